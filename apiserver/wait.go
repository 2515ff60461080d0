package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"ucwarden/ondemand"
)

// preferWait reads the wait preference of RFC 7240 (sections 2 and 4.3), at most MaxWait. As that asks, a preference
// that does not parse is ignored.
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
			return min(time.Duration(n)*time.Second, MaxWait), true // the first one counts
		}
	}
	return 0, false
}

// hold takes one of the places for requests that wait, and keeps the server's timeouts from ending the request for as
// long as d. done gives the place back; ok is false when all are taken.
func (s *Server) hold(c echo.Context, d time.Duration) (done func(), ok bool) {
	select {
	case s.held <- struct{}{}:
	default:
		return nil, false
	}
	s.metrics.held.Inc()
	// A read deadline that passes would cancel the request's context. Errors mean a writer without deadlines, as in
	// a test: then there is no timeout to lift.
	rc := http.NewResponseController(c.Response())
	_ = rc.SetReadDeadline(time.Time{})
	_ = rc.SetWriteDeadline(time.Now().Add(d + writeTime))
	return func() {
		s.metrics.held.Dec()
		<-s.held
	}, true
}

// writeTime is how long one write of a held answer may take.
const writeTime = 15 * time.Second

// waitFor holds the request until the task ends, d passes, or the server shuts down, and gives the task as it then
// is. held is false when too many requests are held already: a preference need not be followed.
func (s *Server) waitFor(c echo.Context, id string, d time.Duration) (t ondemand.Task, held bool, err error) {
	done, ok := s.hold(c, d)
	if !ok {
		return ondemand.Task{}, false, nil
	}
	defer done()
	ctx, cancel := context.WithTimeout(c.Request().Context(), d)
	defer cancel()
	defer context.AfterFunc(s.draining, cancel)()
	t, err = s.tasks.Wait(ctx, id)
	if err != nil && ctx.Err() == nil {
		return ondemand.Task{}, false, fmt.Errorf("wait: %w", err)
	}
	return t, t.ID != "", nil // the task as it is, however the wait ended
}
