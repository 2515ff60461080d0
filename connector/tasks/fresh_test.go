package tasks_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/connector/tasks"
	"ucwarden/group"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// askingHandlers returns handlers that ask for news by calling refresh.
func askingHandlers(t *testing.T, f *fake, refresh func(context.Context) error) map[ondemand.Type]ondemand.Handler {
	t.Helper()
	handlers, err := tasks.New(tasks.Options{Syncer: f, Store: &store{values: make(map[string][]byte)}, Refresh: refresh})
	if err != nil {
		t.Fatal(err)
	}
	return handlers
}

// received is the job of a task that was received now.
func received(t *testing.T) ondemand.Job {
	job := jobOf(t, "catalog:sales")
	job.Task.ReceivedTime = time.Now().UTC().Round(0)
	return job
}

// Tasks that were received while the policy source is asked have the answer of one further request, and each runs after a
// request that began once it was received.
func TestNewsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests, answered atomic.Int32
		h := askingHandlers(t, &fake{result: applied(t)}, func(context.Context) error {
			requests.Add(1)
			time.Sleep(time.Second)
			answered.Add(1)
			return nil
		})[ondemand.ResourceSync]
		var wg sync.WaitGroup
		run := func(job ondemand.Job, least int32) {
			wg.Go(func() {
				if _, err := h.Handle(t.Context(), job); err != nil || answered.Load() < least {
					t.Errorf("ran after %d answers, want %d: %v", answered.Load(), least, err)
				}
			})
		}
		run(received(t), 1)
		time.Sleep(time.Millisecond)
		for range 100 {
			run(received(t), 2)
		}
		wg.Wait()
		again := received(t)
		again.Task.ReceivedTime = again.Task.ReceivedTime.Add(-1500 * time.Millisecond)
		run(again, 2) // waited for a worker meanwhile
		again.Task.Transitions = []ondemand.Transition{{From: ondemand.InProgress, To: ondemand.Waiting, Time: time.Now()}}
		run(again, 3)
		wg.Wait()
		if n := requests.Load(); n != 3 {
			t.Errorf("%d requests, want 3", n)
		}
	})
}

// A source that does not answer holds a task up for some seconds, the next ones not at all, and the results say by which
// policies they are.
func TestSilentPolicySource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{result: applied(t)}
		f.result.Plan.PolicyVersion = 7
		h := askingHandlers(t, f, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})[ondemand.ResourceSync]
		for i, longest := range []time.Duration{5 * time.Second, 0} {
			began := time.Now()
			out, err := h.Handle(t.Context(), received(t))
			if took := time.Since(began); err != nil || took > longest {
				t.Errorf("task %d: took %v, %v", i, took, err)
			}
			if out.PolicyVersion != 7 || !strings.Contains(out.Note, "no answer within 5s") {
				t.Errorf("task %d: version %d, note %q", i, out.PolicyVersion, out.Note)
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(10 * time.Minute) // the request is given up
	})
}

// What is not asked for by anybody who waits, and what is for certain policies, runs by what is in force.
func TestNoNewsNeeded(t *testing.T) {
	f := &fake{result: applied(t), shards: []policy.Securable{sec(t, "catalog:sales")}}
	asked := 0
	handlers := askingHandlers(t, f, func(context.Context) error { asked++; return nil })
	for _, tt := range []struct {
		typ  ondemand.Type
		edit func(*ondemand.Task)
		want int
	}{
		{ondemand.ResourceSync, func(task *ondemand.Task) { task.ParentID = "full" }, 0},
		{ondemand.FullSync, func(task *ondemand.Task) { task.Source = tasks.SourcePolicyChange }, 0},
		{ondemand.ValiditySync, func(*ondemand.Task) {}, 0},
		{ondemand.FullSync, func(*ondemand.Task) {}, 1},
	} {
		asked = 0
		job := received(t)
		tt.edit(&job.Task)
		if _, err := handlers[tt.typ].Handle(t.Context(), job); err != nil || asked != tt.want {
			t.Errorf("%s %+v: asked %d times, %v", tt.typ, job.Task, asked, err)
		}
	}
}

// A panic while the policy source is asked is that of every task that waits for the answer; the next request is another.
func TestNewsPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		h := askingHandlers(t, &fake{result: applied(t)}, func(context.Context) error {
			if asked++; asked == 1 {
				time.Sleep(time.Second)
				panic("bad news")
			}
			return nil
		})[ondemand.ResourceSync]
		var wg sync.WaitGroup
		for range 3 {
			job := received(t)
			wg.Go(func() {
				err := group.Call(func() error {
					_, err := h.Handle(t.Context(), job)
					return err
				})
				if p, ok := errors.AsType[*group.Panic](err); !ok || p.Value != "bad news" || !strings.Contains(string(p.Stack), "fresh_test.go") {
					t.Errorf("got %v, want the panic with its stack", err)
				}
			})
		}
		wg.Wait()
		time.Sleep(2 * time.Second)
		if _, err := h.Handle(t.Context(), received(t)); err != nil || asked != 2 {
			t.Errorf("after the panic: %v, asked %d times", err, asked)
		}
	})
}
