package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// prefix is the path of the API.
const prefix = "/api/2.1/unity-catalog"

const maxBody = 16 << 20

// call is one request.
type call struct {
	srv      *Server
	req      *http.Request
	body     []byte
	who      *caller
	stale    staleness
	list     listFault
	account  bool   // at a route of the account, of an account admin, who may do there what metastore admins and owners may
	browse   bool   // include_browse: what the caller may only browse is shown, too
	deferred string // the id of the statement that is carried out now, after its request was answered
	unbound  bool   // a list shows what is not bound to the workspace, too
}

// handlerFunc returns the answer to a call, which is sent as JSON; nil is sent as {}.
type handlerFunc func(*call) (any, error)

// ServeHTTP serves the API, and the admin calls below /_emulator.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isClean(r.URL.EscapedPath()) {
		// The mux would redirect such a path, without a trace entry and perhaps to another object.
		s.unknown(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// isClean reports whether a path is absolute and has no empty, "." or ".." element.
func isClean(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.Contains(path, "//") &&
		!strings.Contains(path+"/", "/./") && !strings.Contains(path+"/", "/../")
}

// handle wraps a handler with what applies to all requests: the trace, faults, authentication.
func (s *Server) handle(pattern string, h handlerFunc, authenticated bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		entry := TraceEntry{RequestID: fmt.Sprintf("emulator-%d", s.requests.Add(1)), Time: time.Now(), Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Route: pattern}
		defer func() { // also when the connection is dropped by a panic
			entry.Duration = time.Since(entry.Time)
			s.trace.add(entry)
		}()
		w.Header().Set("X-Request-Id", entry.RequestID)
		c := &call{srv: s, req: r}
		readErr := c.readBody()
		entry.Body = redactedBody(pattern, c.body)
		name, authErr := s.authenticate(r)
		if again, ok := r.Context().Value(replayed{}).(TraceEntry); ok {
			name, authErr = again.Caller, nil
		}
		entry.Caller = name

		fault := s.faultRules.match(c, pattern, name)
		entry.Fault = fault.ids
		c.stale, c.list = fault.stale, fault.listing
		if !sleep(r.Context(), fault.latency) {
			return // the client disconnected: status 0
		}
		if fault.drop && !fault.after {
			panic(http.ErrAbortHandler)
		}
		if fault.hang && !fault.after {
			<-r.Context().Done()
			return
		}
		var payload any
		err := fault.err
		if err == nil || fault.after {
			err = readErr
			if err == nil && authenticated {
				err = authErr
			}
			if err == nil {
				payload, err = s.run(c, h, name, &entry)
				if pending, ok := payload.(*pendingAnswer); ok {
					payload = pending.wait(r.Context())
				}
			}
			if fault.after && fault.err != nil {
				err = fault.err
			}
		}
		if fault.drop {
			panic(http.ErrAbortHandler)
		}
		if fault.hang {
			<-r.Context().Done()
			return
		}
		entry.Status = s.writeAnswer(w, payload, err, fault)
		if fault.truncate {
			panic(http.ErrAbortHandler) // the body is shorter than Content-Length
		}
	}
}

// writeAnswer writes the response and returns its status.
func (s *Server) writeAnswer(w http.ResponseWriter, payload any, err error, fault faultEffect) int {
	status := http.StatusOK
	header := w.Header()
	if err != nil {
		var api *apiError
		if !errors.As(err, &api) {
			api = &apiError{status: http.StatusInternalServerError, code: "INTERNAL_ERROR", message: err.Error()}
		}
		if api.retryAfter != "" {
			header.Set("Retry-After", api.retryAfter)
		}
		if api.status == http.StatusUnauthorized {
			header.Set("WWW-Authenticate", "Bearer")
		}
		status = api.status
		payload = api.body()
	}
	if payload == nil {
		payload = struct{}{}
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(payload); err != nil {
		s.log.Error("encoding an answer failed", "error", err)
		status = http.StatusInternalServerError
		body.Reset()
		body.WriteString(`{"error_code":"INTERNAL_ERROR","message":"the answer could not be encoded"}`)
	}
	out := body.Bytes()
	if fault.garble {
		out = garble(out)
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(out)))
	w.WriteHeader(status)
	if fault.truncate {
		out = out[:len(out)/2]
	}
	if _, err := w.Write(out); err != nil {
		s.log.Debug("writing an answer failed", "error", err) // the client disconnected
	}
	if fault.truncate {
		if err := http.NewResponseController(w).Flush(); err != nil {
			s.log.Debug("flushing a truncated answer failed", "error", err)
		}
	}
	return status
}

func (c *call) readBody() error {
	var err error
	c.body, err = io.ReadAll(io.LimitReader(c.req.Body, maxBody+1))
	switch {
	case err != nil:
		return malformed("could not read the request body: %v", err)
	case len(c.body) > maxBody:
		c.body = nil
		return &apiError{status: http.StatusRequestEntityTooLarge, code: "MAX_REQUEST_SIZE_EXCEEDED", message: "the request body is too large"}
	}
	return nil
}

// object returns the fields of the JSON object of the body, or of the one nested in it under wrapper.
func (c *call) object(wrapper string) (map[string]json.RawMessage, error) {
	fields, err := jsonObject(c.body)
	if err != nil || wrapper == "" {
		return fields, err
	}
	inner, err := jsonObject(fields[wrapper])
	if err != nil {
		return nil, malformed("the request body must hold an object %q", wrapper)
	}
	return inner, nil
}

// decode decodes a JSON object into each target. A wrong type is an error; fields that a target does not have are ignored.
func decode(body []byte, targets ...any) error {
	for _, target := range targets {
		if err := json.Unmarshal(body, target); err != nil {
			var kind *json.UnmarshalTypeError
			var api *apiError
			if errors.As(err, &api) {
				return api
			}
			if errors.As(err, &kind) {
				return malformed("field '%s' must not be a JSON %s", kind.Field, kind.Value)
			}
			return malformed("could not parse the request body: %v", err)
		}
	}
	return nil
}

// flag returns a boolean query parameter, false when it is absent.
func (c *call) flag(name string) (bool, error) {
	text := c.req.URL.Query().Get(name)
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, invalid("%s must be true or false, not '%s'.", name, text)
	}
	return value, nil
}

// Running is a listening server.
type Running struct {
	URL  string // http://host:port
	http *http.Server
	done chan error
}

// Start listens on addr and serves in the background; "" means a free port of the loopback interface. Stop it with
// Shutdown. The error names the address.
func (s *Server) Start(addr string) (*Running, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the Unity Catalog emulator on %s: %w; choose another address or stop the process that uses it", addr, err)
	}
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	r := &Running{
		URL:  "http://" + net.JoinHostPort(host, port),
		http: &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second},
		done: make(chan error, 1),
	}
	go func() { r.done <- r.http.Serve(listener) }()
	s.log.Info("unity catalog emulator listens", "url", r.URL)
	return r, nil
}

// Shutdown stops listening and waits for requests in progress until ctx ends; then it closes their connections.
func (r *Running) Shutdown(ctx context.Context) error {
	err := r.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, r.http.Close())
	}
	if served := <-r.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// authenticate returns the name of the calling principal.
func (s *Server) authenticate(r *http.Request) (string, error) {
	token := bearer(r)
	if token == "" {
		return "", unauthenticated("Credential was not sent or was of an unsupported type for this API.")
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.directory.find(s.tokens[token])
	switch {
	case p == nil:
		return "", unauthenticated("Invalid access token.")
	case p.inactive:
		return "", denied("Principal '%s' is not active.", p.name)
	}
	return p.name, nil
}
