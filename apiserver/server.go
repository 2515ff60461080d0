package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"ucwarden/apiserver/keys"
	"ucwarden/endpoint"
	"ucwarden/policy"
)

// Server serves the REST API. Create it with [New].
type Server struct {
	opts     Options
	log      *slog.Logger
	tasks    Tasks
	verifier *keys.Verifier
	limiter  *limiter
	names    pipelineNames
	metrics  *metrics
	certs    *certificates // nil: no TLS
	document served

	api   *echo.Echo
	admin *echo.Echo // nil: api serves the routes without a token

	waitSlots  *waitSlots
	large      *turns
	checks     chan struct{}   // holds one for each large body that is being checked
	draining   context.Context // done once a shutdown begins; ends waits and streams
	beginDrain context.CancelFunc

	copying sync.Mutex // held by the request that copies the store

	listener, adminListener net.Listener
}

// parsed is parseDocument, once for all servers of a process.
var parsed = sync.OnceValues(parseDocument)

// New returns a server; it does not listen yet. Errors name the invalid option.
func New(o Options) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		opts:      o,
		log:       o.Logger,
		tasks:     o.Tasks,
		verifier:  o.Verifier,
		limiter:   newLimiter(o.Rate, o.Burst),
		waitSlots: newWaitSlots(o.MaxWaiting),
		large:     newTurns(maxLarge),
		checks:    make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	s.draining, s.beginDrain = context.WithCancel(context.Background())
	var err error
	if s.document, err = parsed(); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(o.Registerer); err != nil {
		return nil, err
	}
	if o.TLSCert != "" {
		if s.certs, err = newCertificates(o.TLSCert, o.TLSKey, o.ClientCA, o.Logger); err != nil {
			return nil, err
		}
	}
	s.api = s.newEcho()
	open := s.api
	if o.AdminAddr != "" {
		s.admin = s.newEcho()
		open = s.admin
	}
	s.addRoutes(s.api, open)
	return s, nil
}

// newEcho returns an echo with our error handler and the middleware of every route. Its own logger is off, because the
// errors it would log are also returned to us.
func (s *Server) newEcho() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(io.Discard)
	e.HTTPErrorHandler = s.respond
	e.Use(s.observe, s.recoverPanic, limitHeader)
	return e
}

// Handler returns the handler of the API, and of the routes without a token unless Options.AdminAddr is set.
func (s *Server) Handler() http.Handler { return s.api }

// Listen binds the addresses, so that Addr is known before Run serves. Run calls it unless it was called. An error is of
// class unavailable and names the address.
func (s *Server) Listen() error {
	var err error
	if s.listener == nil && !s.opts.OpenOnly {
		if s.listener, err = net.Listen("tcp", s.opts.Addr); err != nil {
			return policy.Errorf(policy.CodeUnavailable, "api server: listen on %s: %w; choose another address (apiserver.addr) or stop the process that uses it", s.opts.Addr, err)
		}
	}
	if s.opts.AdminAddr != "" && s.adminListener == nil {
		if s.adminListener, err = net.Listen("tcp", s.opts.AdminAddr); err != nil {
			err = policy.Errorf(policy.CodeUnavailable, "api server: listen on %s: %w; choose another address (apiserver.admin_addr) or stop the process that uses it", s.opts.AdminAddr, err)
			if s.listener != nil {
				err = errors.Join(err, s.listener.Close())
				s.listener = nil
			}
			return err
		}
	}
	return nil
}

// Addr returns the address that Listen bound, with the actual port; nil before.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// AdminAddr returns the address of the routes without a token: their own, or Addr.
func (s *Server) AdminAddr() net.Addr {
	if s.adminListener == nil {
		return s.Addr()
	}
	return s.adminListener.Addr()
}

// Run serves until ctx ends, then waits up to Options.Grace for requests in progress; those that wait for a task are
// answered at once with the task as it is. It returns nil after a clean shutdown. Run may be called once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	// gctx ends when one of the servers fails, so that the other stops too.
	g, gctx := errgroup.WithContext(ctx)
	if !s.opts.OpenOnly {
		s.serveAPI(gctx, g)
	}
	if s.admin != nil {
		s.serve(gctx, g, s.admin, s.adminListener, nil)
		s.log.Info("admin server listens", "addr", s.AdminAddr().String())
	}
	return g.Wait()
}

func (s *Server) serveAPI(ctx context.Context, g *errgroup.Group) {
	var tlsConfig *tls.Config
	if s.certs != nil {
		tlsConfig = s.certs.config()
	} else if !isLoopback(s.Addr()) {
		s.log.Warn("the API is served without TLS: tokens are sent in clear text; set a TLS certificate, or put a TLS proxy in front", "addr", s.Addr().String())
	}
	s.serve(ctx, g, s.api, s.listener, tlsConfig)
	s.log.Info("api server listens", "addr", s.Addr().String(), "tls", tlsConfig != nil, "client certificates", s.opts.ClientCA != "")
}

func (s *Server) serve(ctx context.Context, g *errgroup.Group, h http.Handler, l net.Listener, tlsConfig *tls.Config) {
	srv := &http.Server{
		Handler:           h,
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      40 * time.Second, // later than what is read, so that this is answered; waiting requests extend it
		IdleTimeout:       2 * time.Minute,
		// Twice our own limit, so that a larger header is still answered with a problem.
		MaxHeaderBytes: 2 * maxHeader,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	g.Go(func() error {
		var err error
		if tlsConfig != nil {
			err = srv.ServeTLS(l, "", "")
		} else {
			err = srv.Serve(l)
		}
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return policy.Errorf(policy.CodeUnavailable, "api server: serve %s: %w", l.Addr(), err)
	})
	g.Go(func() error {
		<-ctx.Done()
		s.beginDrain()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Grace)
		defer cancel()
		if err := srv.Shutdown(grace); err != nil {
			s.log.Warn("api server: some requests did not end in time and were cut off", "grace", s.opts.Grace, "error", err)
			return srv.Close()
		}
		return nil
	})
}

func isLoopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && endpoint.IsLoopback(tcp.IP.String())
}
