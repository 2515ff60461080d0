package queue

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

func event(id, eventID, table string) ondemand.EventTask {
	return ondemand.EventTask{EventID: eventID, Task: ondemand.Task{ID: id, Type: ondemand.ResourceSync, RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{
		{Type: "table", Values: map[string]string{"catalog": "c", "schema": "s", "table": table}},
	}}}}
}

// The tasks of events and the position after them are stored together or not at all, and survive a restart.
func TestSubmitEvents(t *testing.T) {
	r := newRig(t, Options{Handlers: handlers(succeed), MaxQueued: 3})
	stream := "hub/0"
	if _, ok, err := r.PositionOf(stream); ok || err != nil {
		t.Fatalf("a position before the first event: %v, %v", ok, err)
	}
	batch := []ondemand.EventTask{event("a", "e-1", "t"), event("", "e-2", "t"), event("a", "e-3", "t")}
	if n, err := r.SubmitEvents(t.Context(), batch, ondemand.Position{Stream: stream, Sequence: 2}); n != 2 || err != nil {
		t.Fatalf("created %d, %v, want 2: an id with equal content makes no second task", n, err)
	}
	_, err := r.SubmitEvents(t.Context(), batch, ondemand.Position{Stream: stream, Sequence: 5})
	if policy.CodeOf(err) != policy.CodeRateLimited {
		t.Errorf("with a full queue: %v", err)
	}
	r.close()
	r.open()
	if p, ok, err := r.PositionOf(stream); !ok || p.Sequence != 2 || err != nil {
		t.Errorf("position after a restart: %+v, %v, %v", p, ok, err)
	}
	if _, err := r.SubmitEvents(t.Context(), nil, ondemand.Position{Stream: stream, Sequence: 2}); policy.CodeOf(err) != policy.CodeConflict {
		t.Errorf("the same position again: %v, want a conflict", err)
	}
	if _, err := r.SubmitEvents(t.Context(), []ondemand.EventTask{event("b", "e-4", "t")}, ondemand.Position{Stream: stream, Sequence: 1}); policy.CodeOf(err) != policy.CodeConflict {
		t.Errorf("a position backwards: %v, want a conflict", err)
	}
	if _, err := r.Get(t.Context(), "b"); policy.CodeOf(err) != policy.CodeNotFound {
		t.Errorf("the task of a rejected position: %v", err)
	}
}

// A commit that fails stores neither the tasks nor the position.
func TestSubmitEventsCommitFails(t *testing.T) {
	r := newRig(t, Options{Handlers: handlers(succeed)})
	fail := func(func() error) error { return errors.New("disk full") }
	r.commit.Store(&fail)
	if _, err := r.SubmitEvents(t.Context(), []ondemand.EventTask{event("a", "e", "t")}, ondemand.Position{Stream: "hub/0", Sequence: 1}); policy.CodeOf(err) != policy.CodeUnavailable {
		t.Fatalf("error %v, want unavailable", err)
	}
	if r.memory.Get() != nil {
		t.Error("the memory of tasks that may be found in the file later is used again")
	}
	r.commit.Store(nil)
	if _, ok, err := r.PositionOf("hub/0"); ok || err != nil {
		t.Errorf("a position was stored: %v, %v", ok, err)
	}
	if _, err := r.Get(t.Context(), "a"); policy.CodeOf(err) != policy.CodeNotFound {
		t.Errorf("a task was stored: %v", err)
	}
}

// An id with other content, or one that is no id, becomes one SKIPPED task that says so.
func TestSubmitEventsRefusedIDs(t *testing.T) {
	r := newRig(t, Options{Handlers: handlers(succeed)})
	batch := []ondemand.EventTask{event("a", "e-1", "t"), event("a", "e-2", "other"), event(strings.Repeat("x", 256), "e-3", "t"), event("a", "e-2", "third")}
	if n, err := r.SubmitEvents(t.Context(), batch, ondemand.Position{Stream: "hub/0", Sequence: 4}); n != 4 || err != nil {
		t.Fatalf("created %d, %v", n, err)
	}
	for id, want := range map[string]string{"e-2": "other content", "e-3": "255", "e-2-again": "other content"} {
		got, err := r.Get(t.Context(), id)
		if err != nil || got.Status != ondemand.Skipped || !strings.Contains(got.StatusMessage, want) {
			t.Errorf("%s: %s %q, %v", id, got.Status, got.StatusMessage, err)
		}
	}
	if got, err := r.Get(t.Context(), "a"); err != nil || got.RequestInfo.Resources[0].Values["table"] != "t" {
		t.Errorf("the first task changed: %+v, %v", got.RequestInfo, err)
	}
}

// What another consumer group read before makes no task, nor a second SKIPPED one.
func TestSubmitEventsReplayedRefusals(t *testing.T) {
	r := newRig(t, Options{Handlers: handlers(succeed)})
	batch := []ondemand.EventTask{event("a", "e-1", "t"), event("a", "e-2", "other"), event(strings.Repeat("x", 256), "e-3", "t"), event("", "e-4", "t")}
	for i, want := range []int{4, 0} {
		stream := fmt.Sprintf("hub/group%d/0", i)
		if n, err := r.SubmitEvents(t.Context(), batch, ondemand.Position{Stream: stream, Sequence: 4}); n != want || err != nil {
			t.Errorf("%s: created %d, %v; want %d", stream, n, err, want)
		}
	}
}

// A document without an id is carried out also where somebody took the id that it would have, and once.
func TestSubmitEventsTakenID(t *testing.T) {
	r := newRig(t, Options{Handlers: handlers(succeed)})
	taker, event := event("hub-0-2", "hub-0-1", "worthless"), event("", "hub-0-2", "t")
	for i := range 2 { // the second time as another consumer group
		stream := fmt.Sprintf("hub/group%d/0", i)
		if _, err := r.SubmitEvents(t.Context(), []ondemand.EventTask{taker, event}, ondemand.Position{Stream: stream, Sequence: 2}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := r.Get(t.Context(), "hub-0-2-again")
	if err != nil || got.Status == ondemand.Skipped || got.RequestInfo.Resources[0].Values["table"] != "t" {
		t.Errorf("the task of the event: %s %q, %v", got.Status, got.StatusMessage, err)
	}
	if _, err := r.Get(t.Context(), "hub-0-2-again-again"); policy.CodeOf(err) != policy.CodeNotFound {
		t.Errorf("it was stored twice: %v", err)
	}
}

// An export, a check and a backup of the store know the positions, so that a store that is moved reads no event twice.
func TestPositionsMoveWithTheStore(t *testing.T) {
	r := newRig(t, Options{Handlers: handlers(succeed)})
	want := ondemand.Position{Stream: "hub/0", Sequence: 7}
	if _, err := r.SubmitEvents(t.Context(), []ondemand.EventTask{event("a", "e", "t")}, want); err != nil {
		t.Fatal(err)
	}
	path := r.store.Path()
	backup := filepath.Join(t.TempDir(), "backup.db")
	r.close()
	if report, err := store.Check(path); err != nil || report.Entries["positions"] != 1 {
		t.Errorf("check: %v, %v", report.Entries, err)
	}
	if _, err := store.Backup(path, backup); err != nil {
		t.Fatal(err)
	}
	var exported bytes.Buffer
	if _, damage, err := records.Export(backup, &exported); err != nil || len(damage) > 0 {
		t.Fatalf("export: %v, %v", damage, err)
	}
	moved, err := store.Open(filepath.Join(t.TempDir(), "moved.db"), store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer moved.Close()
	if n, err := records.Import(moved, &exported); n != 1 || err != nil {
		t.Fatalf("imported %d, %v", n, err)
	}
	q, err := New(moved, Options{Handlers: handlers(succeed)})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok, err := q.PositionOf(want.Stream); !ok || got.Sequence != want.Sequence || err != nil {
		t.Errorf("position after the move: %+v, %v, %v", got, ok, err)
	}
}
