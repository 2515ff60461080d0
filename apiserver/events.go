package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// Watcher tells when a task moves.
type Watcher interface {
	// Wait gives the task once it is terminal. When ctx ends first it gives the task as it is, with ctx's error.
	Wait(ctx context.Context, id string) (ondemand.Task, error)
	// Subscribe sends the task as it is and again after changes, and closes the channel when it is terminal or ctx
	// ends. Its error is of class not found where there is no such task.
	Subscribe(ctx context.Context, id string) (<-chan ondemand.Task, error)
}

// event is the data of one server-sent event: a transition of the task.
type event struct {
	Task   string          `json:"task"`
	From   ondemand.Status `json:"from"`
	To     ondemand.Status `json:"to"`
	Time   time.Time       `json:"time"`
	Reason string          `json:"reason,omitempty"`
}

// place is where a transition stands in the life of its task, the id of its event. It stays the same when the queue
// drops transitions from the middle of a long list.
type place struct {
	nanos int64 // time of the transition
	nth   int   // among those of the same time
}

func (p place) after(o place) bool {
	return p.nanos > o.nanos || p.nanos == o.nanos && p.nth > o.nth
}

func (p place) String() string { return fmt.Sprintf("%d-%d", p.nanos, p.nth) }

// parsePlace reads a Last-Event-ID; one that is not ours means the beginning.
func parsePlace(text string) place {
	a, b, ok := strings.Cut(text, "-")
	nanos, err1 := strconv.ParseInt(a, 10, 64)
	nth, err2 := strconv.Atoi(b)
	if !ok || err1 != nil || err2 != nil {
		return place{}
	}
	return place{nanos, nth}
}

// events streams the transitions of a task, past ones first, until it is terminal (WHATWG HTML, section 9.2). A
// reader that comes again with the id of the last one gets 204, which tells an EventSource to stay away.
func (s *Server) events(c echo.Context) error {
	task, err := s.lookUp(c)
	if err != nil {
		return err
	}
	seen := parsePlace(c.Request().Header.Get("Last-Event-ID"))
	if task.Status.Terminal() && len(eventsAfter(task, seen)) == 0 {
		return c.NoContent(http.StatusNoContent)
	}
	done, ok := s.hold(c, 0)
	if !ok {
		return &failure{code: policy.CodeRateLimited, detail: "Too many event streams are open. Try again later, or poll the task."}
	}
	defer done()
	// A stream must not outlive its token, nor hold up a shutdown: an EventSource comes back, to whoever answers then.
	ctx, cancel := context.WithDeadline(c.Request().Context(), identityOf(c).Expires.Add(keys.Leeway))
	defer cancel()
	defer context.AfterFunc(s.draining, cancel)()
	moves, err := s.tasks.Subscribe(ctx, task.ID)
	if err != nil {
		return fmt.Errorf("watch task: %w", err)
	}

	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // NGINX would hold events back
	c.Response().WriteHeader(http.StatusOK)
	st := &stream{c: c, rc: http.NewResponseController(c.Response())}
	err = st.write("retry: 2000\n\n")
	beat := time.NewTicker(s.opts.Heartbeat)
	defer beat.Stop()
	for err == nil { // an error means that the reader is gone
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			err = st.write(": still here\n\n")
		case task, ok := <-moves:
			if !ok {
				return nil
			}
			for _, e := range eventsAfter(task, seen) {
				if err = st.write(e.text); err != nil {
					break
				}
				seen = e.place
			}
		}
	}
	return nil
}

// rendered is an event as it goes over the wire, and its place.
type rendered struct {
	place place
	text  string
}

// eventsAfter renders the transitions of a task that come after the place seen.
func eventsAfter(t ondemand.Task, seen place) []rendered {
	var out []rendered
	var at place
	for _, tr := range t.Transitions {
		if n := tr.Time.UnixNano(); n == at.nanos {
			at.nth++
		} else {
			at = place{nanos: n}
		}
		if !at.after(seen) {
			continue
		}
		data, err := json.Marshal(event{t.ID, tr.From, tr.To, tr.Time, tr.Reason})
		if err != nil { // a time outside the years that JSON can say
			continue
		}
		out = append(out, rendered{at, fmt.Sprintf("id: %s\nevent: transition\ndata: %s\n\n", at, data)})
	}
	return out
}

// stream writes server-sent events, each within writeTime.
type stream struct {
	c  echo.Context
	rc *http.ResponseController
}

func (st *stream) write(text string) error {
	_ = st.rc.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := st.c.Response().Write([]byte(text)); err != nil {
		return err
	}
	return st.rc.Flush()
}
