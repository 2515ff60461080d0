package queue

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"ucwarden/ondemand"
)

// An urgent task runs although every worker has a job; another that is not waits.
func TestUrgentTasksDoNotWaitForAWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		o := g.options()
		o.Workers = 1
		r := newRig(t, o)
		r.start()
		r.submit(syncTask("long", "catalog:c"))
		synctest.Wait()
		r.submit(syncTask("usual", "table:d.s.t"))
		r.submit(withPriority(syncTask("now", "table:e.s.t"), ondemand.Urgent))
		r.submit(withPriority(syncTask("then", "table:e.s.u"), ondemand.Urgent))
		synctest.Wait()
		if got := g.seen(); got != "long now" {
			t.Errorf("jobs at once: %s", got)
		}
		close(g.open)
		for _, id := range []string{"long", "usual", "now", "then"} {
			if done := r.wait(id); done.Status != ondemand.Success {
				t.Errorf("%s ended %s", id, done.Status)
			}
		}
		r.close()
	})
}

// What validity schedules changed is synced at once although every worker is busy, also with all of what it concerns, and
// one at a time.
func TestValiditySyncDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		o := g.options()
		o.Workers = 1
		o.Handlers[ondemand.ValiditySync] = o.Handlers[ondemand.ResourceSync]
		r := newRig(t, o)
		r.start()
		r.submit(syncTask("all", "catalog:c"))
		synctest.Wait()
		r.submit(withPriority(ondemand.Task{ID: "now", Type: ondemand.ValiditySync}, ondemand.Urgent))
		r.submit(withPriority(ondemand.Task{ID: "then", Type: ondemand.ValiditySync}, ondemand.Urgent))
		synctest.Wait()
		if got := g.seen(); got != "all now" {
			t.Errorf("jobs at once: %s", got)
		}
		close(g.open)
		for _, id := range []string{"all", "now", "then"} {
			if done := r.wait(id); done.Status != ondemand.Success {
				t.Errorf("%s ended %s", id, done.Status)
			}
		}
		r.close()
	})
}

// A long job makes room for on-demand tasks, goes on behind them, and its runs count as one attempt.
func TestLongJobsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran []string
		var r *rig
		release := make(chan struct{})
		r = newRig(t, Options{Workers: 2, MaxAttempts: 1, Handlers: handlers(func(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
			if job.Task.ID == "holds" {
				<-release
				return succeed(ctx, job)
			}
			ran = append(ran, job.Task.ID)
			if job.Task.Type == ondemand.ResourceSync {
				return succeed(ctx, job)
			}
			if len(ran) == 1 {
				if job.Yield() {
					t.Error("makes room for nobody")
				}
				r.submit(syncTask("holds", "catalog:d")) // has the worker that no full sync has
				synctest.Wait()
				r.submit(syncTask("small", "table:c.s.t"))
				if !job.Yield() {
					t.Error("does not make room")
				}
				return ondemand.Outcome{Again: true, Message: "1 of 2 planned"}, nil
			}
			return ondemand.Outcome{Message: "done"}, nil
		})})
		r.submit(ondemand.Task{ID: "full", Type: ondemand.FullSync})
		r.start()
		done := r.wait("full")
		close(release)
		r.wait("holds")
		if got := strings.Join(ran, " "); got != "full small full" || done.Status != ondemand.Success || done.Attempts != 1 {
			t.Errorf("ran %s; the long one ended %s after %d attempts", got, done.Status, done.Attempts)
		}
		if text := fmt.Sprint(done.Transitions); !strings.Contains(text, "1 of 2 planned") {
			t.Errorf("transitions do not tell: %s", text)
		}
		r.close()
	})
}
