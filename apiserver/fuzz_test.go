package apiserver_test

import (
	"strings"
	"testing"
)

// FuzzSubmit posts anything: it is taken in or refused, never a failure of the server, and what is taken in is found
// again.
func FuzzSubmit(f *testing.F) {
	for _, seed := range []string{
		table("", "sales"), table("id", "s"), `{"type":"FULL_SYNC"}`, `{}`, `[]`, `null`, `"`, "\xff", "{\"type\":\"\\ud800\"}",
		`{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"catalog","values":null}]}}`,
		`{"id":"a/../b","type":"x"}`, `{"id":"%2e%2e","type":"x","createTime":-1}`, `{"type":"x","createTime":99999999999999999}`,
		`{"type":"x","requestInfo":{"approve":"y"},"Type":"z","TYPE":1}`, strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200),
	} {
		f.Add(seed)
	}
	e := newEnv(f, func(s *setup) { s.stopped, s.Rate, s.queue.MaxQueued = true, -1, 1<<30 })
	f.Fuzz(func(t *testing.T, body string) {
		e := *e
		e.t = t
		r := e.do("POST", tasksPath, body)
		switch r.status {
		case 200, 202:
			if got := e.do("GET", r.header.Get("Location"), "").want(200).task(); got.ID != r.task().ID {
				t.Errorf("stored as %q, found as %q", r.task().ID, got.ID)
			}
		case 400, 409, 413:
		default:
			t.Errorf("status %d: %s", r.status, r.body)
		}
	})
}
