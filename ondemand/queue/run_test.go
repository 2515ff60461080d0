package queue

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucwarden/group"
	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// gate is a handler that blocks every job until it is released, and records which jobs run.
type gate struct {
	mu   sync.Mutex
	jobs []ondemand.Job
	open chan struct{}
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) Handle(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	g.mu.Lock()
	g.jobs = append(g.jobs, job)
	g.mu.Unlock()
	select {
	case <-g.open:
		return succeed(ctx, job)
	case <-ctx.Done():
		return ondemand.Outcome{}, ctx.Err()
	}
}

// seen lists the leaders so far, with their followers.
func (g *gate) seen() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []string
	for _, j := range g.jobs {
		s := j.Task.ID
		var f []string
		for _, t := range j.Followers {
			f = append(f, t.ID)
		}
		if slices.Sort(f); len(f) > 0 {
			s += "+" + strings.Join(f, "+")
		}
		list = append(list, s)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func (g *gate) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.jobs = nil
}

func (g *gate) options() Options {
	return Options{Handlers: map[ondemand.Type]ondemand.Handler{ondemand.ResourceSync: g, ondemand.FullSync: g}, Workers: 4}
}

func TestCoalescing(t *testing.T) {
	for _, c := range []struct {
		name  string
		tasks []ondemand.Task
		want  string // jobs that run at once
	}{
		{"duplicates run as one", []ondemand.Task{syncTask("a", "table:c.s.t"), syncTask("b", "table:C.S.T"), syncTask("x", "table:c.s.u")}, "a+b x"},
		{"a catalog swallows what is inside", []ondemand.Task{syncTask("a", "catalog:c"), syncTask("b", "schema:c.s"), syncTask("c", "volume:c.s.v"), syncTask("d", "catalog:d")}, "a+b+c d"},
		{"a table does not take along its catalog", []ondemand.Task{syncTask("a", "table:c.s.t"), syncTask("b", "catalog:c")}, "a"},
		{"only tasks that are covered whole", []ondemand.Task{syncTask("a", "schema:c.s"), syncTask("b", "table:c.s.t", "table:c.z.t"), syncTask("d", "table:c.s.t", "table:c.s.u")}, "a+d"},
		{"several resources cover together", []ondemand.Task{syncTask("a", "schema:c.s", "schema:c.z"), syncTask("b", "table:c.s.t", "table:c.z.t")}, "a+b"},
		{"similar names are not inside", []ondemand.Task{syncTask("a", "catalog:c"), syncTask("b", "table:cc.s.t"), syncTask("d", "schema:c1.s")}, "a b d"},
		{"the metastore takes root objects but no catalogs", []ondemand.Task{{ID: "a", Type: ondemand.ResourceSync, RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{{Type: "metastore"}}}}, syncTask("b", "share:s"), syncTask("d", "catalog:d")}, "a+b d"},
		{"an approval goes alone or with its like", []ondemand.Task{withApproval(syncTask("a", "table:c.s.t"), "1"), withApproval(syncTask("b", "table:c.s.t"), "2"), withApproval(syncTask("d", "table:c.s.t"), "1"), syncTask("e", "table:c.s.t")}, "a+d+e"},
		{"a saved plan goes with nothing else", []ondemand.Task{withPlan(syncTask("a", "catalog:c"), "1"), withPlan(syncTask("b", "table:c.s.t"), "2"), syncTask("d", "table:c.s.t")}, "a"},
		{"and nothing else with a saved plan", []ondemand.Task{syncTask("a", "catalog:c"), withPlan(syncTask("b", "table:c.s.t"), "2"), syncTask("d", "table:c.s.t")}, "a+d"},
		{"priority first", []ondemand.Task{withPriority(syncTask("low", "catalog:c"), -1), syncTask("high", "catalog:c")}, "high+low"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				r := newRig(t, g.options())
				for _, task := range c.tasks {
					r.submit(task)
				}
				r.start()
				synctest.Wait()
				if got := g.seen(); got != c.want {
					t.Errorf("jobs at once: %s, want %s", got, c.want)
				}
				close(g.open)
				for _, task := range c.tasks {
					if done := r.wait(task.ID); done.Status != ondemand.Success || done.Attempts != 1 || len(done.Resources) != len(task.RequestInfo.Resources) {
						t.Errorf("task %s ended %s, attempt %d, %d results", task.ID, done.Status, done.Attempts, len(done.Resources))
					}
				}
				r.close()
			})
		})
	}
}

func withApproval(t ondemand.Task, digest string) ondemand.Task {
	t.RequestInfo.Approve = digest
	return t
}

func withPlan(t ondemand.Task, digest string) ondemand.Task { t.RequestInfo.Plan = digest; return t }

func withPriority(t ondemand.Task, p int) ondemand.Task { t.Priority = p; return t }

// Tasks whose resources overlap never run at once, others do. A part of a full sync holds up only the same object.
func TestLocks(t *testing.T) {
	shard := func(id, name string) ondemand.Task { return withPriority(syncTask(id, name), ondemand.ShardPriority) }
	for _, c := range []struct {
		name  string
		tasks []ondemand.Task // each is submitted once those before it have begun, or wait
		want  string          // jobs at once
		then  string          // all jobs, once they may end
	}{
		{"a table inside a catalog", []ondemand.Task{syncTask("a", "catalog:c"), syncTask("b", "table:c.s.t"), syncTask("d", "table:d.s.t")}, "a d", "a b d"},
		{"a catalog around a table", []ondemand.Task{syncTask("a", "table:c.s.t"), syncTask("b", "catalog:c"), syncTask("d", "catalog:d")}, "a d", "a b d"},
		{"the same schema", []ondemand.Task{syncTask("a", "schema:c.s"), syncTask("b", "schema:c.s")}, "a", "a b"},
		{"schemas beside each other", []ondemand.Task{syncTask("a", "schema:c.s"), syncTask("b", "schema:c.z"), syncTask("d", "schema:c.ss")}, "a b d", "a b d"},
		{"a share inside the metastore", []ondemand.Task{{ID: "a", Type: ondemand.ResourceSync, RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{{Type: "metastore"}}}}, syncTask("b", "share:x"), syncTask("d", "catalog:c")}, "a d", "a b d"},
		{"one resource of several", []ondemand.Task{syncTask("a", "table:c.s.t", "table:d.s.t"), syncTask("b", "catalog:e", "schema:d.s")}, "a", "a b"},
		{"no table overtakes a catalog that waits", []ondemand.Task{syncTask("a", "table:c.s.t"), syncTask("b", "catalog:c"), syncTask("d", "table:c.s.u")}, "a", "a b+d"},
		{"a table overtakes a part of a full sync", []ondemand.Task{shard("a", "catalog:c"), syncTask("b", "table:c.s.t"), syncTask("d", "catalog:c")}, "a b", "a b d"},
		{"a part of a full sync overtakes a table", []ondemand.Task{syncTask("a", "table:c.s.t"), shard("b", "catalog:c")}, "a b", "a b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate()
				r := newRig(t, g.options())
				r.start()
				for _, task := range c.tasks {
					r.submit(task)
					synctest.Wait()
				}
				if got := g.seen(); got != c.want {
					t.Errorf("jobs at once: %s, want %s", got, c.want)
				}
				close(g.open)
				for _, task := range c.tasks {
					if done := r.wait(task.ID); done.Status != ondemand.Success {
						t.Errorf("%s ended %s", task.ID, done.Status)
					}
				}
				if got := g.seen(); got != c.then {
					t.Errorf("jobs: %s, want %s", got, c.then)
				}
				r.close()
			})
		})
	}
}

func TestResultsGoToTheirTasks(t *testing.T) {
	handle := func(_ context.Context, job ondemand.Job) (ondemand.Outcome, error) {
		out := ondemand.Outcome{Message: "policy version 7"}
		for _, r := range job.Resources {
			s, _ := r.Securable()
			res := ondemand.ResourceResult{Status: ondemand.Success, Message: s.FullName}
			switch {
			case strings.HasSuffix(s.FullName, "bad"):
				res.Status = ondemand.Failed
			case strings.HasSuffix(s.FullName, "gone"):
				res.Status = ondemand.Skipped
			default:
				res.Changes = []ondemand.Change{{Securable: s.String(), Principal: "p", Add: []string{"SELECT"}}}
			}
			out.Results = append(out.Results, res)
		}
		return out, nil
	}
	r := newRig(t, Options{Handlers: handlers(handle)})
	mixed := syncTask("mixed", "table:c.s.ok", "table:c.s.gone")
	mixed.RequestInfo.Resources = append(mixed.RequestInfo.Resources,
		ondemand.Resource{Type: "galaxy"}, ondemand.Resource{Type: "Table", Values: map[string]string{"catalog": "C", "schema": "S", "table": "OK"}})
	r.submit(syncTask("lead", "schema:c.s"))
	r.submit(mixed)
	r.submit(syncTask("failed", "table:c.s.ok", "table:c.s.bad"))
	r.submit(syncTask("skipped", "table:c.s.gone"))
	r.start()
	for _, c := range []struct {
		id      string
		status  ondemand.Status
		message string
		results string
	}{
		{"lead", ondemand.Success, "policy version 7", "SUCCESS c.s"},
		{"mixed", ondemand.Success, "2 of 4 resources were skipped; c.s.gone", `SUCCESS c.s.ok, SKIPPED c.s.gone, SKIPPED unknown resource type "galaxy", SUCCESS c.s.ok`},
		{"failed", ondemand.Failed, "1 of 2 resources failed; c.s.bad", "SUCCESS c.s.ok, FAILED c.s.bad"},
		{"skipped", ondemand.Skipped, "c.s.gone", "SKIPPED c.s.gone"},
	} {
		done := r.wait(c.id)
		var results []string
		for i, res := range done.Resources {
			results = append(results, string(res.Status)+" "+res.Message)
			if res.Type != done.RequestInfo.Resources[i].Type {
				t.Errorf("%s: result %d is of type %s", c.id, i, res.Type)
			}
		}
		if got := strings.Join(results, ", "); done.Status != c.status || done.StatusMessage != c.message || got != c.results {
			t.Errorf("%s ended %s %q with %s\nwant %s %q with %s", c.id, done.Status, done.StatusMessage, got, c.status, c.message, c.results)
		}
	}
}

func TestSkippedAtAdmission(t *testing.T) {
	ran := func(context.Context, ondemand.Job) (ondemand.Outcome, error) { panic("must not run") }
	r := newRig(t, Options{Handlers: handlers(ran)})
	r.start()
	illegal := ondemand.Task{Type: ondemand.ResourceSync, RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{{Type: "galaxy"}}}}
	several := ondemand.Task{Type: ondemand.ResourceSync, RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{{Type: "galaxy"}, {Type: "catalog"}}}}
	for _, c := range []struct {
		task    ondemand.Task
		message string
	}{
		{ondemand.Task{Type: "DANCE"}, `unsupported task type "DANCE"`},
		{ondemand.Task{Type: "FULLSYNC"}, `unsupported task type "FULLSYNC"; did you mean FULL_SYNC?`},
		{ondemand.Task{Type: ondemand.PipelineUpdate}, `unsupported task type "PIPELINE_UPDATE"`},
		{illegal, `unknown resource type "galaxy"`},
		{several, `all 2 resources were skipped; unknown resource type "galaxy"`},
		{ondemand.Task{Type: "event", Status: ondemand.Skipped, StatusMessage: "partition 3: not JSON"}, "partition 3: not JSON"},
	} {
		done := r.wait(r.submit(c.task).ID)
		if done.Status != ondemand.Skipped || done.StatusMessage != c.message || len(done.Resources) != len(c.task.RequestInfo.Resources) {
			t.Errorf("%s ended %s %q with %d results, want SKIPPED %q", c.task.Type, done.Status, done.StatusMessage, len(done.Resources), c.message)
		}
	}
}

func TestHandlerFaultsFailTheTask(t *testing.T) {
	for name, handle := range map[string]handlerFunc{
		"boom": func(context.Context, ondemand.Job) (ondemand.Outcome, error) { panic("boom") },
		"bang": func(context.Context, ondemand.Job) (ondemand.Outcome, error) {
			g := group.New()
			g.Go(func() error { panic("bang") })
			return ondemand.Outcome{}, g.Wait()
		},
		"0 results for 1": func(context.Context, ondemand.Job) (ondemand.Outcome, error) { return ondemand.Outcome{}, nil },
		`status "WAITING"`: func(context.Context, ondemand.Job) (ondemand.Outcome, error) {
			return ondemand.Outcome{Results: []ondemand.ResourceResult{{Status: ondemand.Waiting}}}, nil
		},
		"plan refused": func(context.Context, ondemand.Job) (ondemand.Outcome, error) {
			return ondemand.Outcome{}, policy.Errorf(policy.CodeRefused, "plan refused")
		},
	} {
		var log bytes.Buffer
		r := newRig(t, Options{Handlers: handlers(handle), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		r.start()
		done := r.wait(r.submit(syncTask("", "catalog:c")).ID)
		r.stop()
		if (name == "boom" || name == "bang") && !strings.Contains(log.String(), "run_test.go") {
			t.Errorf("the log has no stack: %s", &log)
		}
		r.start()
		if done.Status != ondemand.Failed || !strings.Contains(done.StatusMessage, name) || done.Attempts != 1 {
			t.Errorf("task ended %s %q after %d attempts, want FAILED with %q", done.Status, done.StatusMessage, done.Attempts, name)
		}
		if other := r.wait(r.submit(ondemand.Task{Type: "other"}).ID); other.Status != ondemand.Skipped {
			t.Errorf("the queue does not go on: %s", other.Status)
		}
	}
}

func TestTransientErrorsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		handle := func(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
			times = append(times, time.Now())
			if len(times) <= 3 {
				return ondemand.Outcome{}, policy.Errorf(policy.CodeUnavailable, "workspace did not answer")
			}
			return succeed(ctx, job)
		}
		r := newRig(t, Options{Handlers: handlers(handle), RetryBase: time.Minute, RetryMax: 3 * time.Minute})
		r.submit(syncTask("a", "catalog:c"))
		r.start()
		synctest.Wait()
		if got := r.get("a"); got.Status != ondemand.Waiting || got.Attempts != 1 || got.NotBefore.IsZero() || got.StatusMessage != "workspace did not answer" {
			t.Errorf("after one failure: %s, attempt %d, not before %v, %q", got.Status, got.Attempts, got.NotBefore, got.StatusMessage)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		done := r.get("a")
		if done.Status != ondemand.Success || done.Attempts != 4 || done.StatusMessage != "" || !done.NotBefore.IsZero() {
			t.Errorf("ended %s after %d attempts, %q", done.Status, done.Attempts, done.StatusMessage)
		}
		for i, longest := range []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute} {
			if wait := times[i+1].Sub(times[i]); wait < longest/2 || wait > longest {
				t.Errorf("wait %d is %v, want between %v and %v", i, wait, longest/2, longest)
			}
		}
		r.close()
	})
}

// Drift is noted once for all tasks of a job: of an attempt that is made again what was put right, else all that was found.
func TestDriftIsNotedOncePerAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts, told := 0, 0
		var noted []string
		handle := func(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
			attempts++
			out, err := succeed(ctx, job)
			switch attempts {
			case 1:
				out.Drift, err = ondemand.Drift{Excess: 5, Missing: 2, Removed: 3, Protection: 3, Protected: 1}, policy.Errorf(policy.CodeUnavailable, "workspace did not answer")
			case 2:
				out.Drift, err = ondemand.Drift{Excess: 2, Missing: 2, Protection: 2}, policy.Errorf(policy.CodeUnavailable, "workspace did not answer")
			default:
				out.Drift = ondemand.Drift{Excess: 2, Missing: 2, Removed: 1, PutBack: 2, Protection: 2, Protected: 2}
			}
			return out, err
		}
		r := newRig(t, Options{Handlers: handlers(handle), Workers: 1, AfterEnd: func() { told++ }, Drift: func(_ *store.Tx, task *ondemand.Task, d ondemand.Drift) error {
			noted = append(noted, fmt.Sprint(task.Status, " ", d)) // which of the two leads is left open
			return nil
		}})
		r.submit(syncTask("a", "catalog:c"))
		r.submit(syncTask("b", "catalog:c"))
		r.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		if diff := cmp.Diff([]string{"WAITING {3 0 3 0 [] 1 1 []}", "SUCCESS {2 2 1 2 [] 2 2 []}"}, noted); diff != "" {
			t.Errorf("noted (-want +got):\n%s", diff)
		}
		if r.get("b").Status != ondemand.Success || told == 0 {
			t.Errorf("b is %s; told %d times", r.get("b").Status, told)
		}
		r.close()
	})
}

func TestAttemptsAreSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handle := func(context.Context, ondemand.Job) (ondemand.Outcome, error) {
			return ondemand.Outcome{Message: "made until then: 1 grant"}, fmt.Errorf("get grants: %w", context.DeadlineExceeded)
		}
		r := newRig(t, Options{Handlers: handlers(handle), MaxAttempts: 3})
		r.submit(syncTask("a", "catalog:c"))
		r.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		done := r.get("a")
		if done.Status != ondemand.Failed || done.Attempts != 3 || done.StatusMessage != "gave up after 3 attempts: get grants: context deadline exceeded; made until then: 1 grant" {
			t.Errorf("ended %s after %d attempts: %q", done.Status, done.Attempts, done.StatusMessage)
		}
		if again, err := r.Retry(t.Context(), "a", ""); err != nil || again.Status != ondemand.Waiting || again.Attempts != 0 || !again.EndTime.IsZero() {
			t.Errorf("retried task is %s, attempt %d, ended %v, %v", again.Status, again.Attempts, again.EndTime, err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if done := r.get("a"); done.Status != ondemand.Failed || done.Attempts != 3 || len(done.Transitions) != 14 {
			t.Errorf("retried task ended %s after %d attempts with %d transitions", done.Status, done.Attempts, len(done.Transitions))
		}
		r.close()
	})
}

// A task that waits for its next attempt runs together with a new duplicate, and a failure of that run does not count as an attempt.
func TestEarlyFollowersAttemptNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing = true
		handle := func(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
			if failing {
				return ondemand.Outcome{}, policy.Errorf(policy.CodeUnavailable, "down")
			}
			return succeed(ctx, job)
		}
		r := newRig(t, Options{Handlers: handlers(handle), RetryBase: time.Hour, RetryMax: time.Hour})
		r.start()
		r.submit(syncTask("old", "table:c.s.t"))
		synctest.Wait()
		due := r.get("old").NotBefore
		for i := range 10 {
			r.submit(syncTask(fmt.Sprint("new", i), "table:c.s.t"))
			synctest.Wait()
		}
		if got := r.get("old"); got.Status != ondemand.Waiting || got.Attempts != 1 || !got.NotBefore.Equal(due) {
			t.Errorf("after uncounted attempts: %s, attempt %d, not before %v; want WAITING, 1, %v", got.Status, got.Attempts, got.NotBefore, due)
		}
		failing = false
		r.submit(syncTask("last", "schema:c.s"))
		synctest.Wait()
		if got := r.get("old"); got.Status != ondemand.Success || got.Attempts != 1 {
			t.Errorf("after a successful run: %s, attempt %d", got.Status, got.Attempts)
		}
		r.close()
	})
}
