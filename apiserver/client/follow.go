package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"ucwarden/endpoint"
	"ucwarden/ondemand"
)

// The waits of Follow between two event streams: they double while streams fail.
const (
	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second
)

// Follow calls each for every transition of the task, past ones first and none twice, and returns the task when it
// has ended. It reads the event stream and, when that breaks, looks the task up and opens the stream again. An error
// of the first look-up ends it, and so does one that will come again, or a server that has not answered for
// Options.GiveUpAfter; others are waited out, at least for as long as their Retry-After says.
func (c *Client) Follow(ctx context.Context, id string, each func(ondemand.Transition)) (ondemand.Task, error) {
	once := onlyOnce(each)
	var answered time.Time // when the server last did
	wait := firstWait
	var streamErr error
	for next := time.Now(); ; { // next is when the server takes a stream again
		if !time.Now().Before(next) {
			streamErr = c.stream(ctx, id, once)
			next = time.Now().Add(retryAfter(streamErr))
		}
		task, err := c.Get(ctx, id)
		switch {
		case err == nil:
			answered = time.Now()
			for _, t := range task.Transitions {
				once(t)
			}
			if task.Status.Terminal() {
				return task, nil
			}
		case ctx.Err() != nil:
			return task, ctx.Err()
		case isPermanent(err), answered.IsZero(), time.Since(answered) > c.giveUpAfter:
			return task, err
		}
		if streamErr == nil {
			wait = firstWait // it worked; the server ended it
		}
		select {
		case <-ctx.Done():
			return task, ctx.Err()
		case <-time.After(max(wait, min(retryAfter(err), c.giveUpAfter))):
			wait = min(2*wait, longestWait)
		}
	}
}

// retryAfter returns how long a server wants to be left alone that answered with err; 0 for other errors.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

func isPermanent(err error) bool {
	if _, ok := errors.AsType[*endpoint.RedirectError](err); ok {
		return true
	}
	e, ok := errors.AsType[*Error](err)
	return ok && e.permanent()
}

// onlyOnce returns a function that calls each with every transition it has not seen yet.
func onlyOnce(each func(ondemand.Transition)) func(ondemand.Transition) {
	type step struct {
		nanos    int64
		from, to ondemand.Status
	}
	seen := make(map[step]bool)
	return func(t ondemand.Transition) {
		if s := (step{t.Time.UnixNano(), t.From, t.To}); !seen[s] {
			seen[s] = true
			each(t)
		}
	}
}

// stream calls each for the transitions that the server sends, until the stream ends.
func (c *Client) stream(ctx context.Context, id string, each func(ondemand.Transition)) error {
	resp, err := c.api.WatchTask(ctx, id, nil, func(_ context.Context, req *http.Request) error {
		req.Header.Set("Accept", "text/event-stream")
		return nil
	})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // the stream may be cut at any time
	return readEvents(resp.Body, each)
}

// readEvents reads server-sent events (WHATWG HTML, section 9.2) that are named transition, or without a name. Others,
// and data that is not a transition, are passed over.
func readEvents(r io.Reader, each func(ondemand.Transition)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), 1<<20)
	var name string
	var data []string
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			var t ondemand.Transition
			if len(data) > 0 && (name == "" || name == "transition") && json.Unmarshal([]byte(strings.Join(data, "\n")), &t) == nil && t.To != "" {
				each(t)
			}
			name, data = "", nil
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			name = value
		case "data":
			data = append(data, value)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read event stream: %w", err)
	}
	return nil
}
