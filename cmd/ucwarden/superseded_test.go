package main

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
	"ucwarden/ondemand/store"
)

// A sync that finds a full sync waiting that a crash has left follows that one, reports it and exits by its end.
func TestSyncFollowsWhatACrashLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	s, err := store.Open(filepath.Join(w.dir, "data", "ucwarden.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	queue, err := queue.New(s, queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"runs", "waits"} {
		if _, _, err := queue.Submit(t.Context(), ondemand.Task{ID: id, Type: ondemand.FullSync}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	began := make(chan struct{}) // what follows does not end the first one
	w.onRequest(func(r *http.Request, serve func()) {
		if strings.Contains(r.URL.Path, "/permissions/") {
			<-began
		}
		serve()
	})
	p, err := launch(w.dir, environment(), "sync", "-c", w.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	_, err = p.logged(regexp.MustCompile("task waits asks for the same"))
	close(began)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.logged(regexp.MustCompile("syncing shards: 2 of 2")); err != nil {
		t.Error(err)
	}
	<-p.ended
	if p.state != nil || !strings.Contains(strings.Join(w.grants(), "\n"), "TABLE:c.s.t1 analysts SELECT") {
		t.Errorf("%v: %s; granted: %q", p.state, p.logs(), w.grants())
	}
}
