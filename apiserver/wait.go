package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"ucwarden/ondemand"
)

// preferWait returns the wait preference of RFC 7240 (sections 2 and 4.3), at most maxWait. As the RFC requires, an
// invalid preference is ignored.
func preferWait(h http.Header) (time.Duration, bool) {
	for _, line := range h.Values("Prefer") {
		for pref := range strings.SplitSeq(line, ",") {
			pref, _, _ = strings.Cut(pref, ";") // parameters of the preference
			name, value, _ := strings.Cut(pref, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if err != nil {
				return 0, false
			}
			return min(time.Duration(n)*time.Second, maxWait), true // the first one counts
		}
	}
	return 0, false
}

// waitSlots are the slots for requests that wait for a task. A subject may have as many of them as are left for others, so that
// there is always one for who has none.
type waitSlots struct {
	mu    sync.Mutex
	free  int
	taken map[string]int // by subject
}

func newWaitSlots(n int) *waitSlots { return &waitSlots{free: n, taken: make(map[string]int)} }

func (w *waitSlots) take(subject string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.taken[subject] >= w.free {
		return false
	}
	w.free--
	w.taken[subject]++
	return true
}

func (w *waitSlots) release(subject string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free++
	if w.taken[subject]--; w.taken[subject] == 0 {
		delete(w.taken, subject)
	}
}

// acquireWaitSlot reserves one of the slots for requests that wait, and extends the server's timeouts by d. done releases
// the slot; ok is false when the subject can have none.
func (s *Server) acquireWaitSlot(c echo.Context, d time.Duration) (done func(), ok bool) {
	subject := identityOf(c).Subject
	if !s.waitSlots.take(subject) {
		return nil, false
	}
	s.metrics.waiting.Inc()
	// A read deadline that passes would cancel the request's context. Errors mean a writer without deadlines, as in
	// a test: then there is no timeout to extend.
	rc := http.NewResponseController(c.Response())
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(time.Now().Add(d + writeTimeout))
	return func() {
		s.metrics.waiting.Dec()
		s.waitSlots.release(subject)
	}, true
}

// writeTimeout is how long one write to a waiting client may take.
const writeTimeout = 15 * time.Second

// waitFor waits until the task ends, d passes, or the server shuts down, and returns the task as it then is. waited is
// false when too many requests wait already: a server need not follow a preference.
func (s *Server) waitFor(c echo.Context, id string, d time.Duration) (t ondemand.Task, waited bool, err error) {
	done, ok := s.acquireWaitSlot(c, d)
	if !ok {
		return ondemand.Task{}, false, nil
	}
	defer done()
	if s.endTurn(c) { // what was read is stored, and not needed any more
		defer func() { _ = s.takeTurn(c) }() // the task is answered in any case
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), d)
	defer cancel()
	defer context.AfterFunc(s.draining, cancel)()
	t, err = s.tasks.Wait(ctx, id)
	if err != nil && ctx.Err() == nil {
		return ondemand.Task{}, false, fmt.Errorf("wait: %w", err)
	}
	return t, t.ID != "", nil // the task as it is, however the wait ended
}
