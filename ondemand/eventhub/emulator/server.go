package emulator

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
)

// Options describe the hub.
type Options struct {
	Hub            string   // required
	Partitions     int      // 1 to 1024
	ConsumerGroups []string // beside $Default
	KeyName, Key   string   // of the shared access policy; made up where empty
	TLS            *tls.Config
	EntraID        bool // also accept tokens of Entra ID for Event Hubs; their signature is not checked
	GeoReplicated  bool // offsets have the form of geo-replicated hubs
	Logger         *slog.Logger
}

// Server is one event hub. Its methods may be called at any time, from any goroutine.
type Server struct {
	o        Options
	listener net.Listener
	wg       sync.WaitGroup

	mu          sync.Mutex
	hub         *hub
	connections map[*connection]bool
	closed      bool
	thaw        chan struct{} // not nil while frozen, closed by Thaw
	refuse      bool
	muteCBS     bool
	rejectCBS   bool
	reads       int // of what the hub or a partition is
}

// New checks the options and returns a server that does not listen yet.
func New(o Options) (*Server, error) {
	if o.Hub == "" || strings.ContainsAny(o.Hub, "/;$ ") {
		return nil, fmt.Errorf("event hub name %q: want one without spaces, slashes, semicolons and dollar signs", o.Hub)
	}
	if o.Partitions < 1 || o.Partitions > 1024 {
		return nil, fmt.Errorf("%d partitions: want 1 to 1024", o.Partitions)
	}
	for _, g := range o.ConsumerGroups {
		if g == "" || strings.ContainsAny(g, "/; ") {
			return nil, fmt.Errorf("consumer group %q: want a name without spaces, slashes and semicolons", g)
		}
	}
	if o.KeyName == "" {
		o.KeyName = "RootManageSharedAccessKey"
	}
	if o.Key == "" {
		o.Key = rand.Text()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.ConsumerGroups = append(slices.Clone(o.ConsumerGroups), "$Default")
	return &Server{o: o, hub: newHub(o.Partitions), connections: make(map[*connection]bool)}, nil
}

// Start listens on addr and serves until Close.
func (s *Server) Start(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.Serve(l)
	return nil
}

// Serve accepts connections from l until Close, which closes l. It returns at once.
func (s *Server) Serve(l net.Listener) {
	s.listener = l
	if s.o.TLS != nil {
		l = tls.NewListener(l, s.o.TLS)
	}
	s.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					s.o.Logger.Error("accept connections", "error", err)
				}
				return
			}
			s.accept(conn)
		}
	})
}

// accept serves one connection in the background, or refuses it.
func (s *Server) accept(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.refuse {
		_ = conn.Close()
		return
	}
	c := newConnection(s, conn)
	s.connections[c] = true
	s.wg.Go(func() {
		err := c.serve()
		s.mu.Lock()
		delete(s.connections, c)
		s.mu.Unlock()
		s.o.Logger.Debug("connection ended", "client", conn.RemoteAddr().String(), "reason", err)
	})
}

// Addr returns the address it listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// ConnectionString returns the connection string for clients. UseDevelopmentEmulator has them speak plain TCP; with TLS it
// is left out.
func (s *Server) ConnectionString() string {
	text := fmt.Sprintf("Endpoint=sb://%s;SharedAccessKeyName=%s;SharedAccessKey=%s;EntityPath=%s", s.Addr(), s.o.KeyName, s.o.Key, s.o.Hub)
	if s.o.TLS == nil {
		text += ";UseDevelopmentEmulator=true"
	}
	return text
}

// Close closes the listener and every connection, and waits for their goroutines.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	if s.thaw != nil {
		close(s.thaw)
		s.thaw = nil
	}
	for c := range s.connections {
		c.kill()
	}
	s.mu.Unlock()
	var err error
	if s.listener != nil {
		err = s.listener.Close()
	}
	s.wg.Wait()
	return err
}
