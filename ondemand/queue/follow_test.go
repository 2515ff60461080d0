package queue

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// A task whose outcome has a run holds no worker, survives restarts without counting an attempt, and ends when who follows it says so.
func TestRunsAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Workers: 1, Handlers: map[ondemand.Type]ondemand.Handler{
			ondemand.ResourceSync: handlerFunc(succeed),
			ondemand.PipelineUpdate: handlerFunc(func(context.Context, ondemand.Job) (ondemand.Outcome, error) {
				return ondemand.Outcome{Run: &ondemand.Run{PipelineID: "p"}, Message: "beginning"}, nil
			}),
		}})
		r.start()
		for _, id := range []string{"a", "b", "c"} {
			if _, _, err := r.Submit(t.Context(), ondemand.Task{ID: id, Type: ondemand.PipelineUpdate}); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := r.Submit(t.Context(), syncTask("sync", "catalog:a")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := r.Stats(); s.Jobs != 0 || s.InProgress != 3 || len(r.Runs()) != 3 {
			t.Fatalf("%+v, runs %v", s, r.Runs())
		}
		started := func(task *ondemand.Task) error {
			task.Run.SentTime = time.Now()
			task.Run.SetUpdate("u")
			return nil
		}
		for _, id := range []string{"a", "b"} {
			if _, err := r.UpdateRun(t.Context(), id, started); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.Cancel(t.Context(), "c", ""); err != nil { // nothing was started
			t.Fatal(err)
		}
		for range 2 {
			if got, err := r.Cancel(t.Context(), "b", ""); err != nil || got.Status != ondemand.InProgress || got.Run.CancelTime.IsZero() {
				t.Fatalf("a cancel: %s, %v", got.Status, err)
			}
		}
		r.close()
		r.open()
		r.start()
		synctest.Wait()
		if runs := r.Runs(); len(runs) != 2 || runs["a"] || !runs["b"] {
			t.Fatalf("after a restart the runs are %v", runs)
		}
		if _, err := r.EndRun(t.Context(), "a", ondemand.Failed, "it failed", nil); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]struct {
			status ondemand.Status
			run    string
		}{"a": {ondemand.Failed, "p:u"}, "b": {ondemand.InProgress, "p:u"}, "c": {ondemand.Skipped, ""}, "sync": {ondemand.Success, ""}} {
			got, err := r.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			run := ""
			if got.Run != nil {
				run = got.Run.ID
			}
			if got.Status != want.status || run != want.run || got.Attempts != 1 || got.Crashes != 0 {
				t.Errorf("%s is %s after %d attempts and %d crashes, run %q", id, got.Status, got.Attempts, got.Crashes, run)
			}
		}
		for _, id := range []string{"a", "c", "sync"} {
			if _, err := r.UpdateRun(t.Context(), id, nil); policy.CodeOf(err) != policy.CodeConflict {
				t.Errorf("a change of the run of %s: %v", id, err)
			}
		}
		if _, err := r.Retry(t.Context(), "a", ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, err := r.Get(t.Context(), "a"); err != nil || got.Status != ondemand.InProgress || got.Run == nil || got.Run.ID != "" {
			t.Errorf("after a retry: %+v, %v", got, err)
		}
	})
}

// Tasks that follow from jobs wait for their time, and one joins another that waits and does the same; also where the job failed.
func TestNextTasksAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Now().Add(time.Minute)
		const pipeline = "11111111-2222-4333-8444-555555555555"
		began := make(chan ondemand.Task, 10)
		var begun []ondemand.Task // as read from it
		read := func() {
			synctest.Wait()
			for len(began) > 0 {
				begun = append(begun, <-began)
			}
		}
		r := newRig(t, Options{Workers: 1, MaxAttempts: 1, Handlers: map[ondemand.Type]ondemand.Handler{
			ondemand.ResourceSync: handlerFunc(func(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
				out, err := succeed(ctx, job)
				next, taskErr := ondemand.RefreshTask(pipeline, at, ondemand.RefreshCause{Task: job.Task.ID})
				if taskErr != nil {
					t.Error(taskErr)
				}
				if out.Next = []ondemand.Task{next}; job.Task.ID == "failing" {
					err = policy.Errorf(policy.CodeUnavailable, "it failed half-way")
				}
				return out, err
			}),
			ondemand.PipelineUpdate: handlerFunc(func(_ context.Context, job ondemand.Job) (ondemand.Outcome, error) {
				began <- job.Task
				return ondemand.Outcome{}, nil
			}),
		}})
		r.start()
		submit := func(id string) {
			if _, _, err := r.Submit(t.Context(), syncTask(id, "catalog:"+id)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		submit("failing")
		submit("b")
		r.close()
		r.open()
		r.start()
		submit("c")
		time.Sleep(59 * time.Second)
		read()
		if len(begun) != 0 {
			t.Fatalf("%d tasks began before their time", len(begun))
		}
		time.Sleep(2 * time.Second)
		read()
		if len(begun) != 1 {
			t.Fatalf("%d tasks began, want 1", len(begun))
		}
		var causes []string
		for _, c := range begun[0].Causes() {
			causes = append(causes, c.Task)
		}
		if got := strings.Join(causes, " "); got != "failing b c" || begun[0].Pipeline().ID != pipeline {
			t.Errorf("it was caused by %q: %+v", got, begun[0])
		}
		submit("d") // by a clock that was set back, or late: the one with that id has ended
		read()
		if len(begun) != 2 || begun[1].ID == begun[0].ID {
			t.Errorf("%d tasks began", len(begun))
		}
	})
}
