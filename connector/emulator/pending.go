package emulator

import (
	"context"
	"net/http"
	"time"
)

// pendingStatement is a statement that waits for its warehouse to start.
type pendingStatement struct {
	timer *time.Timer
	over  chan struct{}
}

// pendingAnswer is the answer to a call whose effect is still to come. It is a change of its own when it does.
type pendingAnswer struct {
	s      *Server
	id     string
	over   <-chan struct{}
	atMost time.Duration
	cancel bool // when the time is over
}

// deferStatement carries out the statement of a call after the delay, as its caller may then. s.mu must be held.
func (s *Server) deferStatement(c *call, delay, wait time.Duration, cancel bool) *pendingAnswer {
	s.pendingID++
	id := uuid(0x5718, s.pendingID)
	s.statements.add(id, &executed{caller: c.who.name, state: "PENDING"})
	p := &pendingStatement{over: make(chan struct{})}
	later := &call{srv: s, req: c.req.Clone(context.Background()), body: c.body, deferred: id}
	p.timer = time.AfterFunc(delay, func() { s.runPending(later, c.who.name) })
	s.pending[id] = p
	return &pendingAnswer{s, id, p.over, wait, cancel}
}

// runPending carries out a statement whose time has come. The trace shows it as a request of its own, with the time at which it took
// effect; it is counted once.
func (s *Server) runPending(c *call, name string) {
	entry := TraceEntry{RequestID: c.deferred, Time: time.Now(), Caller: name, Method: c.req.Method, Path: c.req.URL.EscapedPath(),
		Query: c.req.URL.RawQuery, Route: c.req.Pattern, Body: redactedBody(c.req.Pattern, c.body), Status: http.StatusOK}
	_, err := s.run(c, func(c *call) (any, error) {
		s.mu.RLock()
		_, waits := s.pending[c.deferred]
		s.mu.RUnlock()
		if !waits { // canceled meanwhile
			return nil, context.Canceled
		}
		return s.executeStatement(c)
	}, name, &entry)
	s.mu.Lock()
	defer s.mu.Unlock()
	p, waits := s.pending[c.deferred]
	if !waits {
		return
	}
	if e := s.statements.byID[c.deferred]; err != nil && e != nil {
		e.state = "FAILED"
		e.sqlState, e.message = sqlError(err)
		entry.Status = http.StatusBadRequest
	}
	delete(s.pending, c.deferred)
	close(p.over)
	s.trace.addEffect(entry)
}

// cancelPending takes back a statement that is pending. s.mu must be held.
func (s *Server) cancelPending(id string) {
	p, waits := s.pending[id]
	if !waits {
		return
	}
	p.timer.Stop()
	delete(s.pending, id)
	if e := s.statements.byID[id]; e != nil {
		e.state = "CANCELED"
	}
	close(p.over)
}

// stopPending takes back all that is pending.
func (s *Server) stopPending() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.pending {
		s.cancelPending(id)
	}
}

// wait returns the answer: that of the statement if it is over in time, else that it is pending, or canceled.
func (a *pendingAnswer) wait(ctx context.Context) any {
	timer := time.NewTimer(a.atMost)
	defer timer.Stop()
	select {
	case <-a.over:
	case <-ctx.Done():
	case <-timer.C:
	}
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	if a.cancel && a.atMost > 0 {
		a.s.cancelPending(a.id)
	}
	if e := a.s.statements.byID[a.id]; e != nil {
		return e.response(a.id)
	}
	return map[string]any{"statement_id": a.id, "status": map[string]any{"state": "PENDING"}}
}
