package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"ucwarden/ondemand"
)

// stream calls each for the transitions that the daemon sends (WHATWG HTML, section 9.2: server-sent events), until
// the stream ends.
func (c *apiClient) stream(ctx context.Context, id string, each func(ondemand.Transition)) error {
	resp, err := c.send(ctx, request{
		method: http.MethodGet,
		path:   []string{id, "events"},
		header: map[string]string{"Accept": "text/event-stream"},
	})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // the stream may be cut at any time
	return readEvents(resp.Body, each)
}

// readEvents reads the events named transition, or without a name; others, and data that is not a transition, are
// passed over.
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
