package main

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
	"ucwarden/ondemand/store"
)

// stored calls f with the task store of a world that no process has open, as a queue that does not run.
func (w *world) stored(f func(q *queue.Queue) error) {
	w.Helper()
	s, err := store.Open(filepath.Join(w.dir, "data", "ucwarden.db"), store.Options{})
	if err != nil {
		w.Fatal(err)
	}
	q, err := queue.New(s, queue.Options{})
	if err == nil {
		err = f(q)
	}
	if err := errors.Join(err, s.Close()); err != nil {
		w.Fatal(err)
	}
}

// A sync takes the place of full syncs that a crash has left, and says so; other tasks it carries out, and shows their ends.
func TestSyncSaysWhatACrashLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1", "t2"), readTables)
	w.stored(func(q *queue.Queue) error {
		_, err := q.SubmitAll(t.Context(), []ondemand.Task{{ID: "full-1", Type: ondemand.FullSync}, {ID: "full-2", Type: ondemand.FullSync}, tableSync("table", "c", "s", "t1")})
		return err
	})
	program, err := exec.LookPath("ucwarden")
	if err != nil {
		t.Fatal(err)
	}
	sync := exec.Command(program, "sync", "-c", w.config)
	var said strings.Builder
	sync.Dir, sync.Env, sync.Stderr = w.dir, environment(), &said
	out, err := sync.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, said.String(), out)
	}
	for _, want := range []string{"task full-1, a full sync, was left unfinished", "task full-2, a full sync, was left unfinished", "1 other task of before"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("not said: %s\n%s", want, said.String())
		}
	}
	if text := string(out); !strings.Contains(text, "Tasks of before:") || !strings.Contains(strings.ToUpper(text), "TABLE:C.S.T1") { // it may also wait for the next process
		t.Errorf("the task that was left is not shown: %s", text)
	}
	if n := strings.Count(strings.Join(w.grants(), "\n"), "analysts SELECT"); n != 2 {
		t.Errorf("%d tables are granted: %q", n, w.grants())
	}
}

// What a killed sync has left to do is done by the next one, once, and is in its report.
func TestSyncAfterAKilledOne(t *testing.T) {
	t.Parallel()
	s := startSyncing(t)
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = s.wait()
	s.release()
	next := exec.Command(s.cmd.Path, "sync", "-c", s.config, "-o", "json")
	var said strings.Builder
	next.Dir, next.Env, next.Stderr = s.dir, environment(), &said
	out, err := next.Output()
	if err != nil {
		t.Fatalf("%v: %s%s", err, said.String(), out)
	}
	var report syncReport
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, part := range report.Shards {
		for _, r := range part.Resources {
			changed += len(r.Changes)
		}
	}
	if changed < 17 || report.Task.Status != ondemand.Success {
		t.Errorf("%s with %d changes reported, want at least 17 of 20: %s", report.Task.Status, changed, out)
	}
	if !strings.Contains(said.String(), "a full sync, was left unfinished (") {
		t.Errorf("it does not say what was left: %s", said.String())
	}
	var ends []string
	s.stored(func(q *queue.Queue) error {
		page, err := q.List(t.Context(), ondemand.Filter{Type: ondemand.FullSync})
		for _, task := range page.Items {
			ends = append(ends, string(task.Status)+" "+task.SupersededBy)
		}
		return err
	})
	slices.Sort(ends)
	if want := []string{"SKIPPED " + report.Task.ID, "SUCCESS "}; !slices.Equal(ends, want) {
		t.Errorf("full syncs ended as %q, want %q", ends, want)
	}
}
