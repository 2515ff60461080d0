package apiserver

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
)

const (
	requestKey = "ucwarden.request"
	taskKey    = "ucwarden.task"

	headerRequestID = "X-Request-Id"
)

func requestID(c echo.Context) string {
	id, _ := c.Get(requestKey).(string)
	return id
}

// observe assigns the request an id, writes the answer for an error, and logs and counts the request. The log has the
// route and not the query, which may hold a token by mistake.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		id := c.Request().Header.Get(headerRequestID)
		if !isSafeID(id) {
			id = rand.Text()
		}
		c.Set(requestKey, id)
		if s.opts.Tracer != nil {
			c.Set(startKey, start)
		}
		h := c.Response().Header()
		h.Set(headerRequestID, id)
		setSecurityHeaders(h, c.Request().TLS != nil)

		defer s.endTurn(c)
		if err := next(c); err != nil {
			s.respond(err, c)
		}
		endSpan(c)

		route, status, took := c.Path(), c.Response().Status, time.Since(start)
		if route == "" {
			route = "none"
		}
		s.metrics.observe(c.Request().Method, route, status, took)
		level := slog.LevelInfo
		if isProbe(route) && status < 400 {
			level = slog.LevelDebug
		}
		attrs := []slog.Attr{
			slog.String("request", id),
			slog.String("method", c.Request().Method),
			slog.String("route", route),
			slog.Int("status", status),
			slog.Duration("duration", took),
			slog.String("remote", c.Request().RemoteAddr),
		}
		if subject := identityOf(c).Subject; subject != "" {
			attrs = append(attrs, slog.String("subject", subject))
		}
		if task, _ := c.Get(taskKey).(string); task != "" {
			attrs = append(attrs, slog.String("task", task))
		}
		s.log.LogAttrs(c.Request().Context(), level, "http request", attrs...)
		return nil
	}
}

// setSecurityHeaders lets a browser that is led here run, frame and keep nothing (OWASP REST Security Cheat Sheet), and by TLS come back
// by TLS alone (RFC 6797). The page of the document has a policy of its own.
func setSecurityHeaders(h http.Header, byTLS bool) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	if byTLS {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// isSafeID reports whether a client's request id is safe to log.
func isSafeID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, r := range id {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return true
}

// recoverPanic turns a panic of a handler into an error with the stack, for the log.
func (s *Server) recoverPanic(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch r := recover(); {
			case r == nil:
			case isAbort(r):
				panic(r)
			default:
				s.metrics.panics.Inc()
				err = policy.Errorf(policy.CodeInternal, "panic: %v\n%s", r, debug.Stack())
			}
		}()
		return next(c)
	}
}

func isAbort(r any) bool {
	err, ok := r.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

// limitHeader rejects requests whose request line and headers together are larger than maxHeader.
func limitHeader(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		size := len(r.Method) + len(r.RequestURI) + len(r.Host) + len("  HTTP/1.1\r\nHost: \r\n")
		for name, values := range r.Header {
			for _, v := range values {
				size += len(name) + len(v) + len(": \r\n")
			}
		}
		if size > maxHeader {
			return &responseError{
				code: policy.CodeInvalid, status: http.StatusRequestHeaderFieldsTooLarge,
				detail: fmt.Sprintf("The request line and headers are larger than %d bytes.", maxHeader),
			}
		}
		return next(c)
	}
}

// metrics counts requests.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	waiting  prometheus.Gauge
	panics   prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ucwarden_http_requests_total", Help: "Requests answered, by method, route and status.",
		}, []string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ucwarden_http_request_duration_seconds", Help: "Time to answer, by method and route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"method", "route"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ucwarden_http_requests_held", Help: "Requests that wait for a task: Prefer: wait, and event streams.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ucwarden_http_panics_total", Help: "Panics of handlers that were caught.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.waiting, m.panics} {
		if err := r.Register(c); err != nil {
			return nil, policy.Errorf(policy.CodeInvalid, "api server: register metrics: %w", err)
		}
	}
	return m, nil
}

// knownMethods bounds the values of the label: a client may send any method.
var knownMethods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPost: true, http.MethodPut: true, http.MethodPatch: true,
	http.MethodDelete: true, http.MethodOptions: true,
}

func (m *metrics) observe(method, route string, status int, took time.Duration) {
	if !knownMethods[method] {
		method = "other"
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(method, route).Observe(took.Seconds())
}
