package queue

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

func TestShutdownAndStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		o := g.options()
		o.Grace = time.Minute
		r := newRig(t, o)
		r.start()
		r.submit(syncTask("a", "catalog:c"))
		synctest.Wait()
		r.submit(syncTask("second", "catalog:c"))
		begin := time.Now()
		r.stop()
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("the running job was given %v, want the grace of 1m", took)
		}
		if got := r.get("a"); got.Status != ondemand.Waiting || got.Attempts != 0 || got.StatusMessage != "interrupted by a shutdown" {
			t.Errorf("interrupted task is %s, attempt %d, %q", got.Status, got.Attempts, got.StatusMessage)
		}
		r.close()
		close(g.open)
		r.open()
		r.start()
		if done := r.wait("a"); done.Status != ondemand.Success || done.Attempts != 1 {
			t.Errorf("ended %s, attempt %d", done.Status, done.Attempts)
		}
		if done := r.wait("second"); done.Status != ondemand.Success {
			t.Errorf("second ended %s", done.Status)
		}
		r.close()
	})
}

// A task that brings the process down is found out: what was running in some crashes runs alone, and only what crashes then
// ends FAILED. Crashes are no attempts.
func TestStartAfterCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		o := g.options()
		o.MaxAttempts, o.MaxCrashes = 1, 4
		r := newRig(t, o)
		r.submit(syncTask("bad", "catalog:b"))
		r.submit(syncTask("good", "catalog:g"))
		var jobs []string
		for crash := 1; crash <= 4; crash++ {
			r.start()
			synctest.Wait()
			jobs = append(jobs, g.seen())
			r.crash()
			g.reset()
			r.open()
		}
		// From the third start on one runs alone, before the other.
		if got := strings.Join(jobs, ", "); got != "bad good, bad good, bad, bad" {
			t.Errorf("jobs at once: %s", got)
		}
		if got := r.get("bad"); got.Status != ondemand.Failed || got.Crashes != 4 || !strings.Contains(got.StatusMessage, "4 times") {
			t.Errorf("after 4 crashes: %s %q, %d crashes", got.Status, got.StatusMessage, got.Crashes)
		}
		close(g.open)
		r.start()
		if done := r.wait("good"); done.Status != ondemand.Success || done.Crashes != 2 {
			t.Errorf("what only ran beside it ended %s %q, %d crashes", done.Status, done.StatusMessage, done.Crashes)
		}
		r.close()
	})
}

// crash ends the process of a rig: nothing it does from now on reaches the file.
func (r *rig) crash() {
	if err := r.store.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.store = nil
	r.close()
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		o := g.options()
		o.Workers = 1
		r := newRig(t, o)
		r.submit(syncTask("a", "catalog:c"))
		r.submit(syncTask("b", "catalog:c"))
		r.submit(syncTask("later", "catalog:d"))
		r.start()
		synctest.Wait()
		cancel := func(id string) {
			t.Helper()
			if got, err := r.Cancel(t.Context(), id, ""); err != nil || got.Status != ondemand.Skipped || got.StatusMessage != "cancelled" {
				t.Errorf("cancel %s: %s %q, %v", id, got.Status, got.StatusMessage, err)
			}
		}
		cancel("later") // waiting
		cancel("a")     // the leader; its follower goes on
		synctest.Wait()
		if got := r.get("b"); got.Status != ondemand.InProgress {
			t.Errorf("follower is %s after its leader was cancelled", got.Status)
		}
		cancel("b") // the last of the job: the context of the handler is cancelled
		synctest.Wait()
		if s := r.Stats(); s.Jobs != 0 || s.InProgress+s.Waiting+s.New != 0 {
			t.Errorf("after cancelling everything: %+v", s)
		}
		if _, err := r.Cancel(t.Context(), "a", ""); policy.CodeOf(err) != policy.CodeConflict {
			t.Errorf("cancel an ended task: %v", err)
		}
		if _, err := r.Cancel(t.Context(), "none", ""); policy.CodeOf(err) != policy.CodeNotFound {
			t.Errorf("cancel no task: %v", err)
		}
		close(g.open)
		if _, err := r.Retry(t.Context(), "a", ""); err != nil {
			t.Fatal(err)
		}
		if done := r.wait("a"); done.Status != ondemand.Success {
			t.Errorf("retried task ended %s", done.Status)
		}
		if _, err := r.Retry(t.Context(), "a", ""); policy.CodeOf(err) != policy.CodeConflict {
			t.Errorf("retry a task that succeeded: %v", err)
		}
		r.close()
	})
}

// A task that was cancelled and retried while its handler still runs does not run twice at once.
func TestRetryWaitsForTheOldHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		runs := 0
		var mu sync.Mutex
		handle := func(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
			mu.Lock()
			runs++
			mu.Unlock()
			<-release // deaf to its context
			return succeed(ctx, job)
		}
		r := newRig(t, Options{Handlers: map[ondemand.Type]ondemand.Handler{ondemand.PipelineUpdate: handlerFunc(handle), ondemand.ResourceSync: handlerFunc(handle)}})
		r.start()
		r.submit(ondemand.Task{ID: "a", Type: ondemand.PipelineUpdate})
		synctest.Wait()
		for _, act := range []func(_ context.Context, id, by string) (ondemand.Task, error){r.Cancel, r.Retry} {
			if _, err := act(t.Context(), "a", ""); err != nil {
				t.Fatal(err)
			}
		}
		r.submit(syncTask("table", "table:c.s.t"))
		synctest.Wait()
		for _, act := range []func(_ context.Context, id, by string) (ondemand.Task, error){r.Cancel, r.Retry} {
			if _, err := act(t.Context(), "table", ""); err != nil {
				t.Fatal(err)
			}
		}
		r.submit(syncTask("catalog", "catalog:c")) // does not take the table along
		synctest.Wait()
		for _, id := range []string{"a", "table"} {
			if got := r.get(id); got.Status != ondemand.Waiting {
				t.Errorf("retried task %s is %s while its old handler runs", id, got.Status)
			}
		}
		close(release)
		for _, id := range []string{"a", "table", "catalog"} {
			if done := r.wait(id); done.Status != ondemand.Success {
				t.Errorf("%s ended %s", id, done.Status)
			}
		}
		if runs != 5 {
			t.Errorf("%d handlers ran, want 2 for each retried task and 1 for the catalog", runs)
		}
		r.close()
	})
}
