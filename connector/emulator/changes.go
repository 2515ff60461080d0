package emulator

import (
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// changeLog numbers the requests that took effect. Requests that may change something run one at a time, so that the numbers
// are in the order of the effects.
type changeLog struct {
	mu   sync.Mutex
	last int64
	file *os.File                  // data file; nil for none
	at   atomic.Pointer[time.Time] // of the change in progress, by which objects are dated; nil for none
}

// mayChange reports whether requests of a route may change what is in the metastore.
func mayChange(r *http.Request, pattern string) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && pattern != "POST "+tokenPath
}

// run calls the handler for the caller of that name, "" for an unauthenticated one, and notes in the entry whether it took
// effect.
func (s *Server) run(c *call, h handlerFunc, name string, entry *TraceEntry) (any, error) {
	changes := mayChange(c.req, entry.Route)
	if changes {
		s.changes.mu.Lock()
		defer s.changes.mu.Unlock()
		at := s.clock() // once, so that whoever carries the change out again dates it alike
		s.changes.at.Store(&at)
		defer s.changes.at.Store(nil)
	}
	s.mu.RLock()
	c.who = s.callerOf(name)
	s.mu.RUnlock()
	payload, err := h(c)
	if _, later := payload.(*pendingAnswer); changes && err == nil && !later {
		s.changes.last++
		entry.Applied = s.changes.last
		err = s.changes.keep(dataChange{Request: &requestChange{entry.Applied, *s.changes.at.Load(), name, entry.Method, entry.Path, entry.Query, c.body}})
	}
	return payload, err
}
