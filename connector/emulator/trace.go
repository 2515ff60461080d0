package emulator

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"
)

// TraceEntry is one request that the server received.
type TraceEntry struct {
	Seq      int64     // counts from 1 since the start or the last reset
	Time     time.Time // of arrival
	Caller   string    // principal; empty when not authenticated
	Method   string
	Path     string // as received, escaped
	Query    string // as received, escaped
	Body     string // of the request, without secrets, at most 64 KiB
	Route    string // pattern of the route that served it
	Status   int    // 0: no answer was sent
	Duration time.Duration
	Fault    string // ids of the faults that affected it, joined by commas

	RequestID string // header X-Request-Id of the answer; not reused after a reset
	// Applied numbers the requests that changed something, in the order of their effects, also where the answer was lost;
	// 0 for others. It goes on after a reset.
	Applied int64
}

// traceWire is the JSON form of a TraceEntry: the body nested when it is JSON, the duration in microseconds.
type traceWire struct {
	Seq      int64           `json:"seq"`
	Time     time.Time       `json:"time"`
	Caller   string          `json:"caller,omitempty"`
	Method   string          `json:"method"`
	Path     string          `json:"path"`
	Query    string          `json:"query,omitempty"`
	Body     json.RawMessage `json:"body,omitempty"`
	Route    string          `json:"route"`
	Status   int             `json:"status"`
	Duration int64           `json:"duration_us"`
	Fault    string          `json:"fault,omitempty"`

	RequestID string `json:"request_id,omitempty"`
	Applied   int64  `json:"applied,omitempty"`
}

// MarshalJSON returns the form of GET /_emulator/trace: "body" holds the request's JSON, or a string when it was not
// JSON; "duration_us" is in microseconds.
func (e TraceEntry) MarshalJSON() ([]byte, error) {
	w := traceWire{e.Seq, e.Time, e.Caller, e.Method, e.Path, e.Query, nil, e.Route, e.Status, e.Duration.Microseconds(), e.Fault, e.RequestID, e.Applied}
	switch {
	case e.Body == "":
	case json.Valid([]byte(e.Body)):
		w.Body = json.RawMessage(e.Body)
	default:
		quoted, err := json.Marshal(e.Body)
		if err != nil {
			return nil, err
		}
		w.Body = quoted
	}
	return json.Marshal(w)
}

// UnmarshalJSON parses what MarshalJSON returns.
func (e *TraceEntry) UnmarshalJSON(b []byte) error {
	var w traceWire
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*e = TraceEntry{w.Seq, w.Time, w.Caller, w.Method, w.Path, w.Query, string(w.Body), w.Route, w.Status, time.Duration(w.Duration) * time.Microsecond, w.Fault, w.RequestID, w.Applied}
	if text := ""; strings.HasPrefix(e.Body, `"`) && json.Unmarshal(w.Body, &text) == nil {
		e.Body = text
	}
	return nil
}

// Stats counts requests since the start or the last reset.
type Stats struct {
	// Requests is the number of requests in all.
	Requests int64 `json:"requests"`
	// Dropped is the number of trace entries that were replaced by newer ones.
	Dropped int64 `json:"dropped"`
	// Routes has the counts by route pattern ("GET /api/2.1/unity-catalog/tables/{name}") and status; status "0" means
	// that no answer was sent.
	Routes map[string]map[string]int64 `json:"routes"`
}

// Count returns the number of requests whose route pattern begins with prefix ("PATCH " for every PATCH, "" for all).
func (s Stats) Count(prefix string) int64 {
	var n int64
	for route, statuses := range s.Routes {
		if strings.HasPrefix(route, prefix) {
			for _, count := range statuses {
				n += count
			}
		}
	}
	return n
}

// traceLog is a ring buffer of the last requests, with counts.
type traceLog struct {
	limit int

	mu     sync.Mutex
	ring   []TraceEntry
	next   int // where the next entry goes once the ring is full
	seq    int64
	counts map[routeStatus]int64 // of requests
}

type routeStatus struct {
	route  string
	status int
}

// add adds a request.
func (l *traceLog) add(e TraceEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = make(map[routeStatus]int64)
	}
	l.counts[routeStatus{e.Route, e.Status}]++
	l.keep(e)
}

// addEffect adds what a request that was counted has done later.
func (l *traceLog) addEffect(e TraceEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep(e)
}

// keep keeps an entry; the lock is held.
func (l *traceLog) keep(e TraceEntry) {
	l.seq++
	e.Seq = l.seq
	if len(l.ring) < l.limit {
		l.ring = append(l.ring, e)
		return
	}
	l.ring[l.next] = e
	l.next = (l.next + 1) % l.limit
}

// Trace returns the kept requests, oldest first.
func (s *Server) Trace() []TraceEntry {
	l := &s.trace
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(append(make([]TraceEntry, 0, len(l.ring)), l.ring[l.next:]...), l.ring[:l.next]...)
}

// ResetTrace clears the trace and the counts.
func (s *Server) ResetTrace() {
	l := &s.trace
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring, l.next, l.seq, l.counts = nil, 0, 0, nil
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	l := &s.trace
	l.mu.Lock()
	counts, seq, kept := maps.Clone(l.counts), l.seq, len(l.ring)
	l.mu.Unlock()
	stats := Stats{Dropped: seq - int64(kept), Routes: make(map[string]map[string]int64)}
	for key, n := range counts {
		if stats.Routes[key.route] == nil {
			stats.Routes[key.route] = make(map[string]int64)
		}
		stats.Routes[key.route][strconv.Itoa(key.status)] = n
		stats.Requests += n
	}
	return stats
}

const maxTraceBody = 64 << 10

// redactedBody returns a request's body for the trace, without secrets.
func redactedBody(pattern string, body []byte) string {
	switch {
	case len(body) == 0:
		return ""
	case strings.HasSuffix(pattern, tokenPath):
		return "(omitted: it contains a secret)"
	case strings.Contains(pattern, "credentials"), strings.Contains(pattern, "connections"), strings.Contains(pattern, "providers"):
		body = redact(body)
	}
	return string(body[:min(len(body), maxTraceBody)])
}

// redact replaces the values of secret fields in a JSON body.
func redact(body []byte) []byte {
	var value any
	if json.Unmarshal(body, &value) != nil {
		return []byte("(omitted: it may contain a secret)")
	}
	clean, err := json.Marshal(redactValue(value))
	if err != nil {
		return []byte("(omitted: it may contain a secret)")
	}
	return clean
}

func redactValue(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			if isSecret(key) {
				value[key] = "***"
			} else {
				value[key] = redactValue(inner)
			}
		}
	case []any:
		for i, inner := range value {
			value[i] = redactValue(inner)
		}
	}
	return value
}

// isSecret reports whether a field contains a secret, judging by its name.
func isSecret(field string) bool {
	folded := strings.ToLower(field)
	for _, word := range []string{"secret", "password", "token", "private_key", "privatekey", "recipient_profile_str", "pem", "sas"} {
		if strings.Contains(folded, word) && folded != "private_key_id" {
			return true
		}
	}
	return false
}
