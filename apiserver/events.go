package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// Watcher waits for changes of a task.
type Watcher interface {
	// Wait returns the task once it has ended. When ctx ends first it returns the task as it is, with ctx's error.
	Wait(ctx context.Context, id string) (ondemand.Task, error)
	// Subscribe sends the task as it is and again after changes, and closes the channel when the task or ctx ends. It
	// returns an error of class not found when there is no such task.
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

// eventID identifies a transition of a task: its number, from 1, also where the queue has dropped some from the middle of a
// long list. The clock may have been set back between two of them.
type eventID int

// parseEventID parses a Last-Event-ID; an invalid one means the beginning.
func parseEventID(text string) eventID {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0
	}
	return eventID(n)
}

// WatchTask streams the transitions of a task, past ones first, until it ends (WHATWG HTML, section 9.2). A client that
// reconnects with the id of the last one gets 204, after which an EventSource does not reconnect.
func (s calls) WatchTask(c echo.Context, id ID, params WatchTaskParams) error {
	task, err := s.findTask(c, id)
	if err != nil {
		return err
	}
	if c.Request().Method == http.MethodHead {
		c.Response().Header().Set(echo.HeaderContentType, "text/event-stream")
		return c.NoContent(http.StatusOK)
	}
	seen := parseEventID(value(params.LastEventID))
	if task.Status.Terminal() && len(eventsAfter(task, seen)) == 0 {
		return c.NoContent(http.StatusNoContent)
	}
	done, ok := s.acquireWaitSlot(c, 0)
	if !ok {
		return &responseError{code: policy.CodeRateLimited, detail: "Too many event streams are open. Try again later, or poll the task."}
	}
	defer done()
	// A stream must not outlive its token or delay a shutdown: an EventSource reconnects.
	ctx, cancel := context.WithDeadline(c.Request().Context(), identityOf(c).Expires.Add(keys.Leeway))
	defer cancel()
	defer context.AfterFunc(s.draining, cancel)()
	updates, err := s.tasks.Subscribe(ctx, task.ID)
	if err != nil {
		return fmt.Errorf("watch task: %w", err)
	}

	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // NGINX would buffer the events
	c.Response().WriteHeader(http.StatusOK)
	st := &eventStream{c: c, rc: http.NewResponseController(c.Response())}
	err = st.write("retry: 2000\n\n")
	beat := time.NewTicker(s.opts.Heartbeat)
	defer beat.Stop()
	for err == nil { // an error means that the client disconnected
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			err = st.write(": keep-alive\n\n")
		case task, ok := <-updates:
			if !ok {
				return nil
			}
			for _, e := range eventsAfter(task, seen) {
				if err = st.write(e.text); err != nil {
					break
				}
				seen = e.id
			}
		}
	}
	return nil
}

// renderedEvent is an event as it is sent, with its id.
type renderedEvent struct {
	id   eventID
	text string
}

// eventsAfter returns the events of the transitions of a task after the one identified by seen.
func eventsAfter(t ondemand.Task, seen eventID) []renderedEvent {
	var out []renderedEvent
	for i, tr := range t.Transitions {
		at := eventID(i + 1)
		if i >= ondemand.KeepFirst {
			at += eventID(t.LeftOut)
		}
		if at <= seen {
			continue
		}
		data, err := json.Marshal(event{t.ID, tr.From, tr.To, tr.Time, tr.Reason})
		if err != nil { // a time outside the years that JSON can represent
			continue
		}
		out = append(out, renderedEvent{at, fmt.Sprintf("id: %d\nevent: transition\ndata: %s\n\n", at, data)})
	}
	return out
}

// eventStream writes server-sent events, each within writeTimeout.
type eventStream struct {
	c  echo.Context
	rc *http.ResponseController
}

func (st *eventStream) write(text string) error {
	_ = st.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := st.c.Response().Write([]byte(text)); err != nil {
		return err
	}
	return st.rc.Flush()
}
