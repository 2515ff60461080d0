package apiserver

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"ucwarden/policy"
)

// What a request takes in memory, it takes until the client has sent its body and read the answer, which is some 30 seconds for each,
// and a subject may begin hundreds in a second. So those whose body or answer may be large take turns.
const (
	// maxLarge is how many there may be at a time. A subject may have as many as are left for others.
	maxLarge = 32
	// smallBody is how much of a body is read without a turn.
	smallBody = 64 << 10
	// longestTurn is how long a request waits for its turn.
	longestTurn = 10 * time.Second
)

// largeAnswers are the calls whose answer may be large.
var largeAnswers = map[string]bool{
	"listTasks": true, "getTask": true, "cancelTask": true, "retryTask": true, "getTaskPlan": true, "getPlan": true, "listAudit": true,
}

// turns lets requests wait for one of some slots, each subject's in their order.
type turns struct {
	mu      sync.Mutex
	slots   *waitSlots
	waiting []*turn
}

type turn struct {
	subject string
	begin   chan struct{} // closed when it has its slot
}

func newTurns(n int) *turns { return &turns{slots: newWaitSlots(n)} }

// take waits for a slot, at most so long. It reports whether there was one; release then gives it back.
func (l *turns) take(ctx context.Context, subject string, longest time.Duration) bool {
	l.mu.Lock()
	sameSubject := func(t *turn) bool { return t.subject == subject }
	if !slices.ContainsFunc(l.waiting, sameSubject) && l.slots.take(subject) {
		l.mu.Unlock()
		return true
	}
	t := &turn{subject, make(chan struct{})}
	l.waiting = append(l.waiting, t)
	l.mu.Unlock()
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-t.begin:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waiting, t); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
		return false
	}
	return true // it began just now
}

func (l *turns) release(subject string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots.release(subject)
	l.waiting = slices.DeleteFunc(l.waiting, func(t *turn) bool {
		begins := l.slots.take(t.subject)
		if begins {
			close(t.begin)
		}
		return begins
	})
}

const turnKey = "ucwarden.turn"

// takeTurn waits until the request may take much memory. endTurn follows when it is answered, or before.
func (s *Server) takeTurn(c echo.Context) error {
	if taken, _ := c.Get(turnKey).(bool); taken {
		return nil
	}
	if !s.large.take(c.Request().Context(), identityOf(c).Subject, longestTurn) {
		return &responseError{
			code:   policy.CodeRateLimited,
			detail: "Too many requests of this subject with large bodies or answers are under way: read the answers, and send fewer at a time.",
			header: http.Header{"Retry-After": {formatRetryAfter(time.Second)}},
		}
	}
	c.Set(turnKey, true)
	return nil
}

// endTurn reports whether the request had a turn.
func (s *Server) endTurn(c echo.Context) bool {
	taken, _ := c.Get(turnKey).(bool)
	if taken {
		c.Set(turnKey, false)
		s.large.release(identityOf(c).Subject)
	}
	return taken
}

// readInTurn reads a body, and takes a turn where it is large.
func (s *Server) readInTurn(c echo.Context, body io.Reader) ([]byte, error) {
	start, err := io.ReadAll(io.LimitReader(body, smallBody))
	if err != nil || len(start) < smallBody {
		return start, err
	}
	if err := s.takeTurn(c); err != nil {
		return nil, err
	}
	rest, err := io.ReadAll(body)
	return append(start, rest...), err
}
