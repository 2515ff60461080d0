package queue

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// shards is a handler that splits a full sync into one child per catalog and hands the children to next.
func shards(next handlerFunc, catalogs ...string) map[ondemand.Type]ondemand.Handler {
	split := func(context.Context, ondemand.Job) (ondemand.Outcome, error) {
		out := ondemand.Outcome{Message: "policy version 7"}
		for _, c := range catalogs {
			out.Children = append(out.Children, syncTask("", "catalog:"+c))
		}
		return out, nil
	}
	return map[ondemand.Type]ondemand.Handler{ondemand.FullSync: handlerFunc(split), ondemand.ResourceSync: next}
}

func (r *rig) children(parent string) []ondemand.Task {
	r.t.Helper()
	page, err := r.List(context.Background(), ondemand.Filter{ParentID: parent})
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Reverse(page.Items)
	return page.Items
}

func TestParentEndsWithItsChildren(t *testing.T) {
	byCatalog := func(_ context.Context, job ondemand.Job) (ondemand.Outcome, error) {
		var out ondemand.Outcome
		for _, r := range job.Resources {
			status := map[string]ondemand.Status{"good": ondemand.Success, "bad": ondemand.Failed, "gone": ondemand.Skipped}[r.Values["catalog"][:len(r.Values["catalog"])-1]]
			out.Results = append(out.Results, ondemand.ResourceResult{Status: status})
		}
		return out, nil
	}
	for _, c := range []struct {
		catalogs []string
		status   ondemand.Status
		message  string
	}{
		{[]string{"good1", "good2", "gone1"}, ondemand.Success, "policy version 7; 2 of 3 shards succeeded, 0 failed, 1 skipped"},
		{[]string{"good1", "bad1", "gone1"}, ondemand.Failed, "policy version 7; 1 of 3 shards succeeded, 1 failed, 1 skipped"},
		{[]string{"gone1", "gone2"}, ondemand.Skipped, "policy version 7; 0 of 2 shards succeeded, 0 failed, 2 skipped"},
		{nil, ondemand.Success, "policy version 7"},
	} {
		r := newRig(t, Options{Handlers: shards(byCatalog, c.catalogs...)})
		r.start()
		done := r.wait(r.submit(ondemand.Task{Type: ondemand.FullSync}).ID)
		if done.Status != c.status || done.StatusMessage != c.message {
			t.Errorf("full sync of %v ended %s %q, want %s %q", c.catalogs, done.Status, done.StatusMessage, c.status, c.message)
		}
		for _, child := range r.children(done.ID) {
			if !child.Status.Terminal() || child.Priority != ondemand.ShardPriority || child.ParentID != done.ID {
				t.Errorf("child %s is %s with priority %d", child.ID, child.Status, child.Priority)
			}
		}
		if r.HasActive(ondemand.FullSync) {
			t.Error("a full sync that ended is active")
		}
	}
}

// The parent waits for its children without a worker, over a restart, and on-demand work overtakes them.
func TestParentSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		o := Options{Handlers: shards(g.Handle, "a", "b", "c"), Workers: 1, Grace: time.Nanosecond}
		r := newRig(t, o)
		r.start()
		parent := r.submit(ondemand.Task{Type: ondemand.FullSync})
		synctest.Wait()
		if p := r.get(parent.ID); p.Status != ondemand.InProgress || p.Children == nil || p.Children.Total != 3 || r.Stats().Jobs != 1 {
			t.Fatalf("parent is %s with %+v, jobs %d", p.Status, p.Children, r.Stats().Jobs)
		}
		r.close()
		r.open()
		g.jobs = nil
		second := r.submit(ondemand.Task{Type: ondemand.FullSync}) // waits for the first to end
		r.submit(syncTask("urgent", "table:z.z.z"))
		r.start()
		synctest.Wait()
		if got := g.seen(); got != "urgent" {
			t.Errorf("first job after the restart is %s, want the on-demand one", got)
		}
		if p := r.get(parent.ID); p.Status != ondemand.InProgress || p.Attempts != 1 {
			t.Errorf("parent is %s, attempt %d after a restart", p.Status, p.Attempts)
		}
		if s := r.get(second.ID); s.Status != ondemand.Waiting {
			t.Errorf("a second full sync is %s while the shards of the first are open", s.Status)
		}
		close(g.open)
		if done := r.wait(parent.ID); done.Status != ondemand.Success || done.Children.Succeeded != 3 {
			t.Errorf("parent ended %s with %+v", done.Status, done.Children)
		}
		if done := r.wait(second.ID); done.Status != ondemand.Success {
			t.Errorf("second full sync ended %s", done.Status)
		}
		r.close()
	})
}

func TestFullSyncsSupersede(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		r := newRig(t, g.options())
		r.start()
		for _, id := range []string{"runs", "waits", "third", "fourth"} {
			r.submit(ondemand.Task{ID: id, Type: ondemand.FullSync})
			synctest.Wait()
		}
		for id, want := range map[string]ondemand.Status{"runs": ondemand.InProgress, "waits": ondemand.Waiting, "third": ondemand.Skipped, "fourth": ondemand.Skipped} {
			if got := r.get(id); got.Status != want {
				t.Errorf("full sync %q is %s, want %s", id, got.Status, want)
			}
		}
		if got := r.get("third"); !strings.Contains(got.StatusMessage, "superseded by task waits") || got.SupersededBy != "waits" {
			t.Errorf("superseded by %q: %q", got.SupersededBy, got.StatusMessage)
		}
		close(g.open)
		r.wait("waits")
		r.close()
	})
}

// narrowRig starts a rig whose jobs wait, and whose full syncs from "part" take a part.
func narrowRig(t *testing.T) (*gate, *rig) {
	g := newGate()
	o := g.options()
	o.Narrow = func(t *ondemand.Task) bool { return t.Source == "part" }
	r := newRig(t, o)
	r.start()
	return g, r
}

// A full sync that takes a part does not do what one was asked for that takes all; the other way round it does.
func TestNarrowSyncsSupersedeNoWholeOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, r := narrowRig(t)
		for _, task := range []ondemand.Task{{ID: "runs"}, {ID: "part", Source: "part"}, {ID: "second-part", Source: "part"}, {ID: "whole"}, {ID: "second-whole"}} {
			task.Type = ondemand.FullSync
			r.submit(task)
			synctest.Wait()
		}
		for id, want := range map[string]string{"runs": "", "part": "", "second-part": "part", "whole": "", "second-whole": "whole"} {
			if got := r.get(id); got.SupersededBy != want {
				t.Errorf("full sync %q is %s, superseded by %q, want %q", id, got.Status, got.SupersededBy, want)
			}
		}
		close(g.open)
		if done := r.wait("whole"); done.Status != ondemand.Success {
			t.Errorf("the whole one ended %s", done.Status)
		}
		r.close()
	})
}

// The schedule does not leave out what a full sync that takes a part does not do.
func TestScheduleBesideANarrowSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, r := narrowRig(t)
		r.submit(ondemand.Task{ID: "part", Source: "part", Type: ondemand.FullSync})
		synctest.Wait()
		s, err := NewScheduler(r.Queue, ScheduleOptions{OnStart: true})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		page, err := r.List(t.Context(), ondemand.Filter{Type: ondemand.FullSync, Source: "schedule"})
		if err != nil || len(page.Items) != 1 || page.Items[0].Status.Terminal() {
			t.Errorf("beside a full sync of a part the schedule submitted %+v, %v", page.Items, err)
		}
		close(g.open)
		r.close()
	})
}

func TestCancelAndRetryOfParentAndChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		failing := true
		handle := func(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
			if job.Resources[0].Values["catalog"] == "a" && failing {
				return ondemand.Outcome{}, policy.Errorf(policy.CodeRefused, "too many revokes")
			}
			return g.Handle(ctx, job)
		}
		r := newRig(t, Options{Handlers: shards(handle, "a", "b", "c"), Workers: 2})
		r.start()
		parent := r.submit(ondemand.Task{Type: ondemand.FullSync}).ID
		synctest.Wait()
		first := r.children(parent)
		if p := r.get(parent); p.Children.Failed != 1 || p.Status != ondemand.InProgress {
			t.Fatalf("parent is %s with %+v", p.Status, p.Children)
		}
		// The failed child is retried while its parent is open, and counts again.
		failing = false
		if _, err := r.Retry(t.Context(), first[0].ID, ""); err != nil {
			t.Fatal(err)
		}
		if p := r.get(parent); p.Children.Failed != 0 || p.Children.Open() != 3 {
			t.Errorf("after a retry of the failed child: %+v", p.Children)
		}
		synctest.Wait()
		if _, err := r.Cancel(t.Context(), parent, ""); err != nil {
			t.Fatal(err)
		}
		if p := r.get(parent); p.Children.Skipped != 3 || p.Children.Open() != 0 {
			t.Errorf("cancelled parent counts %+v", p.Children)
		}
		synctest.Wait()
		for _, c := range first {
			if got := r.get(c.ID); got.Status != ondemand.Skipped || !strings.Contains(got.StatusMessage, "cancelled with its parent") {
				t.Errorf("child is %s %q after its parent was cancelled", got.Status, got.StatusMessage)
			}
		}
		if s := r.Stats(); s.Jobs != 0 || r.HasActive(ondemand.FullSync) || r.HasActive(ondemand.ResourceSync) {
			t.Errorf("after the cancel: %+v", s)
		}
		// The parent runs again with children of its own; one of the first run does not count for it.
		if _, err := r.Retry(t.Context(), parent, ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, act := range []func(_ context.Context, id, by string) (ondemand.Task, error){r.Retry, r.Cancel} {
			if _, err := act(t.Context(), first[2].ID, ""); err != nil {
				t.Fatal(err)
			}
		}
		if p := r.get(parent); p.Children.Open() != 3 {
			t.Errorf("a child of the first run counts in the second: %+v", p.Children)
		}
		close(g.open)
		done := r.wait(parent)
		if done.Status != ondemand.Success || done.Children.Succeeded != 3 || done.Children.Total != 3 || len(r.children(parent)) != 6 {
			t.Errorf("second run ended %s with %+v, %d children in all", done.Status, done.Children, len(r.children(parent)))
		}
		r.close()
	})
}

func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts []time.Duration
		begin := time.Now()
		handle := func(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
			starts = append(starts, time.Since(begin))
			if len(starts) == 3 { // takes longer than two intervals
				select {
				case <-time.After(150 * time.Minute):
				case <-ctx.Done():
				}
			}
			return ondemand.Outcome{}, nil
		}
		r := newRig(t, Options{Handlers: handlers(handle)})
		s, err := NewScheduler(r.Queue, ScheduleOptions{Interval: time.Hour, Jitter: time.Minute, OnStart: true})
		if err != nil {
			t.Fatal(err)
		}
		r.start()
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(starts) != 22 || starts[0] != 0 {
			t.Errorf("%d full syncs in 24 hours, the first after %v; want 22, two left out, the first at once", len(starts), starts[0])
		}
		for i := 1; i < len(starts); i++ {
			gap := starts[i] - starts[i-1]
			whole := time.Hour
			if i == 3 {
				whole = 3 * time.Hour
			}
			if gap < whole || gap > whole+3*time.Minute {
				t.Errorf("gap %d is %v", i, gap)
			}
		}
		page, err := r.List(t.Context(), ondemand.Filter{Type: ondemand.FullSync})
		if err != nil || len(page.Items) != len(starts) {
			t.Errorf("%d full syncs are stored, %v", len(page.Items), err)
		}
		r.close()
	})
}

func TestScheduleOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Handlers: handlers(succeed)})
		s, err := NewScheduler(r.Queue, ScheduleOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		if err := s.Run(ctx); err != nil || r.HasActive(ondemand.FullSync) {
			t.Errorf("a schedule without interval submitted, %v", err)
		}
		if _, err := NewScheduler(r.Queue, ScheduleOptions{Interval: -1}); policy.CodeOf(err) != policy.CodeInvalid {
			t.Errorf("negative interval: %v", err)
		}
		r.close()
	})
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		hold := func(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
			if job.Resources[0].Values["catalog"] == "slow" {
				return g.Handle(ctx, job)
			}
			return succeed(ctx, job)
		}
		r := newRig(t, Options{Handlers: shards(hold, "quick", "slow"), Retention: 24 * time.Hour})
		r.start()
		parent := r.submit(ondemand.Task{ID: "parent", Type: ondemand.FullSync}).ID
		r.submit(syncTask("done", "catalog:x"))
		time.Sleep(20 * time.Hour)
		r.submit(syncTask("younger", "catalog:x"))
		time.Sleep(8 * time.Hour)
		exists := func(id string) bool {
			_, err := r.Get(t.Context(), id)
			if err != nil && policy.CodeOf(err) != policy.CodeNotFound {
				t.Fatal(err)
			}
			return err == nil
		}
		if exists("done") || !exists("younger") {
			t.Errorf("after 28 h: the old task is there %v, the younger %v", exists("done"), exists("younger"))
		}
		if n := len(r.children(parent)); n != 2 {
			t.Errorf("%d children of an open parent are left, want both", n)
		}
		close(g.open)
		if done := r.wait(parent); done.Status != ondemand.Success {
			t.Errorf("parent ended %s", done.Status)
		}
		time.Sleep(50 * time.Hour)
		page, err := r.List(t.Context(), ondemand.Filter{})
		if err != nil || len(page.Items) != 0 || len(r.children(parent)) != 0 {
			t.Errorf("%d tasks are left, %v", len(page.Items), err)
		}
		r.submit(syncTask("done", "catalog:other")) // the id is free again
		r.close()
	})
}
