package queue

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// failing makes the next commits of the rig fail: before anything is written, or after.
func failing(r *rig, modes ...string) {
	commit := func(commit func() error) error {
		if len(modes) == 0 {
			return commit()
		}
		mode := modes[0]
		modes = modes[1:]
		if mode == "after" {
			if err := commit(); err != nil {
				return err
			}
		}
		return errors.New("input/output error")
	}
	r.commit.Store(&commit)
}

func TestFailingDisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		modes []string
		code  policy.Code // of the submit
		there bool        // and so it must run
	}{
		{"lost", []string{"before"}, policy.CodeUnavailable, false},
		{"uncertain, then confirmed", []string{"after"}, "", true},
		{"uncertain, then lost", []string{"after", "before"}, policy.CodeUnavailable, true},
		{"uncertain twice", []string{"after", "after"}, policy.CodeUnavailable, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Options{Handlers: handlers(succeed)})
			failing(r, c.modes...)
			_, _, err := r.Submit(context.Background(), syncTask("a", "catalog:c"))
			if policy.CodeOf(err) != c.code {
				t.Errorf("submit: %v", err)
			}
			_, err = r.Get(context.Background(), "a")
			if (err == nil) != c.there {
				t.Errorf("get: %v", err)
			}
			r.start()
			if c.there { // acknowledged or not: memory follows the file, and the task is not lost
				if done := r.wait("a"); done.Status != ondemand.Success {
					t.Errorf("ended %s", done.Status)
				}
			}
			_, created, err := r.Submit(context.Background(), syncTask("a", "catalog:c"))
			if err != nil || created == c.there {
				t.Errorf("submitted again: created %v, %v", created, err)
			}
			if done := r.wait("a"); done.Status != ondemand.Success {
				t.Errorf("ended %s", done.Status)
			}
		})
	}
}

// The claim and the end of a task are tried again when the disk fails under them.
func TestRunOnFailingDisk(t *testing.T) {
	for n := range 5 {
		for _, mode := range []string{"before", "after"} {
			r := newRig(t, Options{Handlers: handlers(succeed), RetryBase: time.Millisecond, RetryMax: time.Millisecond})
			r.submit(syncTask("a", "catalog:c"))
			r.submit(ondemand.Task{ID: "b", Type: "unknown"})
			modes := make([]string, n)
			for i := range modes {
				modes[i] = mode
			}
			failing(r, modes...)
			r.start()
			if done := r.wait("a"); done.Status != ondemand.Success || done.Attempts != 1 {
				t.Errorf("%d commits that failed %s: ended %s after %d attempts", n, mode, done.Status, done.Attempts)
			}
			if done := r.wait("b"); done.Status != ondemand.Skipped {
				t.Errorf("%d commits that failed %s: ended %s", n, mode, done.Status)
			}
			r.close()
		}
	}
}

func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	s, err := store.Open(path, store.Options{MaxSize: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	q, err := New(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	stored := 0
	for ; stored < 1000; stored++ {
		if _, _, err = q.Submit(context.Background(), ondemand.Task{Type: "x", Source: strings.Repeat("s", 5000)}); err != nil {
			break
		}
	}
	if policy.CodeOf(err) != policy.CodeUnavailable || stored == 0 || stored == 1000 {
		t.Errorf("after %d tasks: %v", stored, err)
	}
	if got := q.Stats().New; got != stored {
		t.Errorf("%d tasks in memory, %d acknowledged", got, stored)
	}
}
