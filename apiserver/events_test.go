package apiserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
)

// message is one server-sent event, or a comment.
type message struct{ id, event, data, comment string }

// stream opens the events of a task; the channel closes with the stream.
func (e *env) stream(ctx context.Context, id, lastID string, headers ...string) (<-chan message, *http.Response) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", e.http.URL+tasksPath+"/"+id+"/events", nil)
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+e.token)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := e.http.Client().Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	out := make(chan message, 100)
	go func() {
		defer close(out)
		defer resp.Body.Close()
		var m message
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				m.id = value
			case "event":
				m.event = value
			case "data":
				m.data = value
			case "":
				if value != "" {
					m.comment = value
				} else if m != (message{}) {
					out <- m
					m = message{}
				}
			}
		}
	}()
	return out, resp
}

func collect(t *testing.T, c <-chan message) (list []message) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case m, ok := <-c:
			if !ok {
				return list
			}
			list = append(list, m)
		case <-deadline:
			t.Fatalf("the stream does not end; so far %+v", list)
		}
	}
}

func next(t *testing.T, c <-chan message) message {
	t.Helper()
	select {
	case m, ok := <-c:
		if !ok {
			t.Fatal("the stream ended")
		}
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
	}
	return message{}
}

func to(t *testing.T, m message) ondemand.Status {
	t.Helper()
	var e struct {
		Task string          `json:"task"`
		From ondemand.Status `json:"from"`
		To   ondemand.Status `json:"to"`
		Time time.Time       `json:"time"`
	}
	if err := json.Unmarshal([]byte(m.data), &e); err != nil || e.Task != "t" || e.Time.IsZero() || e.From == e.To || m.event != "transition" || m.id == "" {
		t.Errorf("event %+v: %v", m, err)
	}
	return e.To
}

func TestEventsFollowATask(t *testing.T) {
	gate := make(chan struct{})
	e := newEnv(t, func(s *setup) { s.gate = gate })
	e.do("POST", tasksPath, table("t", "sales")).want(202)
	events, resp := e.stream(t.Context(), "t", "")
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || ct != "text/event-stream" {
		t.Fatalf("status %d, content type %q", resp.StatusCode, ct)
	}
	first := next(t, events)
	if s := to(t, first); s != ondemand.Waiting {
		t.Errorf("first event to %s", s)
	}
	second := next(t, events)
	if s := to(t, second); s != ondemand.InProgress {
		t.Errorf("second event to %s", s)
	}
	// Another reader comes again after the first event and sees what it missed.
	again, _ := e.stream(t.Context(), "t", first.id)
	if m := next(t, again); m != second {
		t.Errorf("after %s came %+v, want %+v", first.id, m, second)
	}
	close(gate)
	for _, c := range []<-chan message{events, again} {
		rest := collect(t, c)
		if len(rest) != 1 || to(t, rest[0]) != ondemand.Success {
			t.Errorf("rest of the stream: %+v", rest)
		}
	}
	all, _ := e.stream(t.Context(), "t", "")
	list := collect(t, all)
	if len(list) != 3 || list[0] != first || list[1] != second {
		t.Errorf("replay: %+v", list)
	}
	if _, resp := e.stream(t.Context(), "t", list[2].id); resp.StatusCode != http.StatusNoContent {
		t.Errorf("status %d for a reader who has seen everything", resp.StatusCode)
	}
	odd, _ := e.stream(t.Context(), "t", "not-ours")
	if list := collect(t, odd); len(list) != 3 {
		t.Errorf("with an id that is not ours: %+v", list)
	}
}

func TestEventStreamBeats(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped, s.Heartbeat = true, 10*time.Millisecond })
	e.do("POST", tasksPath, table("t", "sales")).want(202)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, _ := e.stream(ctx, "t", "")
	for range 3 {
		if m := next(t, events); m.comment == "" {
			t.Errorf("not a comment: %+v", m)
		}
	}
}

func TestHeldRequestsAreLimited(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped, s.MaxWaiting, s.Heartbeat = true, 1, 10*time.Millisecond })
	e.do("POST", tasksPath, table("t", "sales")).want(202)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, _ := e.stream(ctx, "t", "")
	next(t, events)
	if r := e.do("GET", tasksPath+"/t/events", "").want(429); r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	// A wait is a preference: the task is taken, and the answer comes at once.
	start := time.Now()
	e.do("POST", tasksPath, table("u", "sales"), "Prefer", "wait=30").want(202)
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	cancel()
	for range events {
	}
	// The server notices in its own time that the reader is gone; then there is a place again.
	for deadline := time.Now().Add(10 * time.Second); ; {
		if r := e.do("POST", tasksPath, table("t", "sales"), "Prefer", "wait=1"); r.header.Get("Preference-Applied") != "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a stream is not given back")
		}
	}
}

// One subject cannot have all places for requests that wait: there is one for who has none.
func TestEachSubjectHasAShareOfHeldRequests(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped, s.MaxWaiting, s.Heartbeat = true, 4, 10*time.Millisecond })
	e.do("POST", tasksPath, table("t", "sales")).want(202)
	open := func(subject string) int {
		events, resp := e.stream(t.Context(), "t", "", bearer(e.issue(subject, nil, keys.ScopeRead))...)
		if resp.StatusCode == 200 {
			next(t, events)
		}
		return resp.StatusCode
	}
	for i, c := range []struct {
		subject string
		want    int
	}{{"greedy", 200}, {"greedy", 200}, {"greedy", 429}, {"other", 200}, {"other", 429}, {"third", 200}} {
		if got := open(c.subject); got != c.want {
			t.Errorf("stream %d, of %s: %d, want %d", i, c.subject, got, c.want)
		}
	}
}

func TestEventStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	e := newEnv(t, func(s *setup) { s.stopped = true })
	e.do("POST", tasksPath, table("t", "sales")).want(202)
	nearlyOver := e.custom(t, "s", "tasks:read", nil, time.Now().Add(4*time.Second-keys.Leeway))
	events, resp := e.stream(t.Context(), "t", "", bearer(nearlyOver)...)
	if resp.StatusCode != 200 {
		t.Fatalf("status %d", resp.StatusCode)
	}
	collect(t, events)
}
