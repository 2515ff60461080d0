package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

func TestSubmitIsIdempotent(t *testing.T) {
	r := newRig(t, Options{Handlers: handlers(succeed)})
	first, err := ondemand.ParseTask([]byte(`{"id": "a/ü", "extra": {"x": "<1.0>"}, "type": "RESOURCE_SYNC", "source": "airflow", "createTime": "2026-01-31T10:00:00Z",
		"requestInfo": {"resources": [{"type": "catalog", "values": {"catalog": "sales"}}, {"type": "view", "values": {"catalog": "sales", "schema": "emea", "table": "orders_v"}}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	again := func(task ondemand.Task) (ondemand.Task, bool, error) { return r.Submit(t.Context(), task) }
	if got, created, err := again(first); err != nil || !created || got.Status != ondemand.New || got.ReceivedTime.IsZero() {
		t.Fatalf("first: %+v, created %v, %v", got, created, err)
	}
	if got, created, err := again(first); err != nil || created || got.Status != ondemand.New {
		t.Errorf("same content: %s, created %v, %v", got.Status, created, err)
	}
	r.start()
	r.wait(first.ID)
	if got, created, err := again(first); err != nil || created || got.Status != ondemand.Success {
		t.Errorf("same content after the end: %s, created %v, %v", got.Status, created, err)
	}
	for _, spoil := range []func(*ondemand.Task){
		func(t *ondemand.Task) { t.Source = "other" },
		func(t *ondemand.Task) { t.CreateTime = t.CreateTime.Add(time.Millisecond) },
		func(t *ondemand.Task) { t.Extra = nil },
		func(t *ondemand.Task) { t.RequestInfo.Resources = t.RequestInfo.Resources[:1] },
	} {
		other := first
		spoil(&other)
		if _, created, err := again(other); created || policy.CodeOf(err) != policy.CodeConflict {
			t.Errorf("other content: created %v, %v", created, err)
		}
	}
}

func TestSubmitAllReportsEachTaskSeparately(t *testing.T) {
	r := newRig(t, Options{Handlers: handlers(succeed)})
	r.submit(syncTask("old", "catalog:c"))
	got, err := r.SubmitAll(t.Context(), []ondemand.Task{
		syncTask("new", "catalog:c"), syncTask("old", "catalog:c"), syncTask("old", "catalog:d"),
		syncTask("new", "catalog:c"), syncTask("new", "catalog:d"), syncTask("a b", "catalog:c"), syncTask("", "catalog:c"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range got {
		lines = append(lines, fmt.Sprintf("%v %s", s.Created, policy.CodeOf(s.Err)))
	}
	want := []string{"true ", "false ", "false conflict", "false ", "false conflict", "false invalid", "true "}
	if !slices.Equal(lines, want) {
		t.Errorf("batch = %q, want %q", lines, want)
	}
	if s := r.Stats(); s.New != 3 {
		t.Errorf("%d tasks are NEW, want 3", s.New)
	}
}

func TestSubmitWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		o := g.options()
		o.MaxQueued = 3
		r := newRig(t, o)
		for i := range 3 {
			r.submit(syncTask(fmt.Sprint(i), fmt.Sprintf("catalog:c%d", i)))
		}
		if _, _, err := r.Submit(t.Context(), syncTask("3", "catalog:c3")); policy.CodeOf(err) != policy.CodeRateLimited {
			t.Errorf("a task too many: %v", err)
		}
		if _, created, err := r.Submit(t.Context(), syncTask("1", "catalog:c1")); created || err != nil {
			t.Errorf("a repeated task on a full queue: created %v, %v", created, err)
		}
		r.start()
		synctest.Wait() // the three run, none waits
		r.submit(syncTask("3", "catalog:c3"))
		synctest.Wait()
		got, err := r.SubmitAll(t.Context(), slices.Repeat([]ondemand.Task{syncTask("", "catalog:z")}, 4))
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range got {
			if full := i == 3; s.Created == full || full != (policy.CodeOf(s.Err) == policy.CodeRateLimited) {
				t.Errorf("task %d of a batch for which there is room for three: created %v, %v", i, s.Created, s.Err)
			}
		}
		close(g.open)
		r.wait("3")
		r.close()
	})
}

// Who fills the queue does not fill it for others.
func TestEachOwnerHasRoom(t *testing.T) {
	r := newRig(t, Options{MaxQueued: 200})
	post := func(owner string, n int) (created int) {
		var batch []ondemand.Task
		for range n {
			task := syncTask("", "catalog:c")
			task.PostedBy = owner
			batch = append(batch, task)
		}
		got, err := r.SubmitAll(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range got {
			if s.Created {
				created++
			}
		}
		return created
	}
	if n := post("greedy", 300); n != 200 {
		t.Errorf("%d tasks of one owner, want 200", n)
	}
	if n := post("other", 5); n != 2 {
		t.Errorf("%d tasks of another, want a hundredth", n)
	}
	if n := post("greedy", 1); n != 0 {
		t.Errorf("%d more of the first, want none", n)
	}
	for i := range 18 {
		if n := post(fmt.Sprint(i), 1); n != 1 {
			t.Errorf("%d tasks of owner %d", n, i)
		}
	}
	if n := post("last", 1); n != 0 {
		t.Errorf("%d tasks beyond a tenth more", n)
	}
}

func TestSubmitAfterClose(t *testing.T) {
	r := newRig(t, Options{})
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	r.store = nil
	if _, _, err := r.Submit(context.Background(), syncTask("a", "catalog:c")); policy.CodeOf(err) != policy.CodeUnavailable {
		t.Errorf("submit into a closed store: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Submit(ctx, syncTask("a", "catalog:c")); !errors.Is(err, context.Canceled) {
		t.Errorf("submit for a caller that is gone: %v", err)
	}
}

// Pages of any size, in any order, return what filtering the whole list returns.
func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Handlers: map[ondemand.Type]ondemand.Handler{ondemand.FullSync: handlerFunc(func(context.Context, ondemand.Job) (ondemand.Outcome, error) {
			return ondemand.Outcome{Children: slices.Repeat([]ondemand.Task{syncTask("", "catalog:c"), {Type: "odd", Source: "s1"}}, 3)}, nil
		}), ondemand.ResourceSync: handlerFunc(succeed)}})
		var ids []string
		for i := range 60 {
			task := ondemand.Task{ID: fmt.Sprintf("%02d", (i*37)%60), Type: []ondemand.Type{"odd", ondemand.PipelineUpdate, ondemand.ResourceSync}[i%3], Source: []string{"", "s1", "s2"}[i/3%3]}
			if task.Type == ondemand.ResourceSync {
				task.RequestInfo.Resources = syncTask("", fmt.Sprintf("catalog:c%d", i)).RequestInfo.Resources
			}
			if i%7 == 0 {
				task.Type = ondemand.FullSync
			}
			ids = append(ids, r.submit(task).ID)
			if i%4 == 0 {
				time.Sleep(time.Minute)
			}
			if i == 40 {
				r.start()
				synctest.Wait()
				r.stop()
			}
		}
		var all []ondemand.Task
		pages := func(f ondemand.Filter) (list []ondemand.Task) {
			for {
				page, err := r.List(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, page.Items...)
				if f.Cursor = page.NextCursor; f.Cursor == "" {
					return list
				}
				if len(page.Items) != f.Limit {
					t.Fatalf("a page of %d, not the last, with limit %d", len(page.Items), f.Limit)
				}
			}
		}
		all = pages(ondemand.Filter{Limit: 1000})
		if len(all) < 60 {
			t.Fatalf("%d tasks", len(all))
		}
		if !slices.IsSortedFunc(all, func(a, b ondemand.Task) int { return b.ReceivedTime.Compare(a.ReceivedTime) }) {
			t.Error("the list is not newest first")
		}
		filters := []ondemand.Filter{
			{}, {Status: ondemand.Success}, {Status: ondemand.Skipped}, {Status: ondemand.New}, {Type: "odd"}, {Type: ondemand.FullSync, Status: ondemand.Success},
			{Source: "s1"}, {Source: "s2", Type: ondemand.ResourceSync}, {Since: all[10].ReceivedTime}, {Since: all[10].ReceivedTime.Add(1)},
			{ParentID: ids[0]}, {ParentID: ids[0], Status: ondemand.Skipped}, {ParentID: ids[0], Type: ondemand.ResourceSync}, {ParentID: "none"},
			{Status: ondemand.Success, Since: all[30].ReceivedTime, Type: ondemand.ResourceSync},
			{TopLevel: true}, {TopLevel: true, Status: ondemand.Success}, {TopLevel: true, ParentID: ids[0]},
		}
		for _, f := range filters {
			var want []string
			for _, task := range all {
				if (f.Status == "" || f.Status == task.Status) && (f.Type == "" || f.Type == task.Type) && (f.Source == "" || f.Source == task.Source) &&
					(f.ParentID == "" || f.ParentID == task.ParentID) && (!f.TopLevel || task.ParentID == "") && !task.ReceivedTime.Before(f.Since) {
					want = append(want, task.ID)
				}
			}
			for _, f.Limit = range []int{1, 3, 1000} {
				var got []string
				for _, task := range pages(f) {
					got = append(got, task.ID)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%+v = %v, want %v", f, got, want)
				}
			}
		}
		for _, f := range []ondemand.Filter{{Status: "DONE"}, {Cursor: "?"}, {Cursor: "AAAA"}} {
			if _, err := r.List(t.Context(), f); policy.CodeOf(err) != policy.CodeInvalid {
				t.Errorf("%+v = %v", f, err)
			}
		}
		r.close()
	})
}

func TestTransitionsAreCapped(t *testing.T) {
	r := newRig(t, Options{})
	r.submit(ondemand.Task{ID: "a", Type: "x"})
	for range 260 {
		if _, err := r.Cancel(t.Context(), "a", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Retry(t.Context(), "a", ""); err != nil {
			t.Fatal(err)
		}
	}
	got := r.get("a")
	list := got.Transitions
	if len(list)+got.LeftOut != 520 || len(list) != ondemand.KeepFirst+keepLast || list[0].From != ondemand.New || list[len(list)-1].Reason != "retried" {
		t.Errorf("%d transitions, from %+v to %+v", len(list), list[0], list[len(list)-1])
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	r := newRig(t, Options{Handlers: handlers(succeed), Registerer: reg})
	r.submit(syncTask("a", "schema:c.s"))
	r.submit(syncTask("b", "table:c.s.t"))
	r.submit(ondemand.Task{ID: "c", Type: "made up by a client"})
	expect := func(want map[string]float64) {
		t.Helper()
		got := gather(t, reg)
		for name, v := range want {
			if got[name] != v {
				t.Errorf("%s is %v, want %v", name, got[name], v)
			}
		}
	}
	expect(map[string]float64{
		"ucwarden_task_queue_depth": 3, "ucwarden_tasks{NEW,RESOURCE_SYNC}": 2, "ucwarden_tasks{NEW,other}": 1,
	})
	r.start()
	for _, id := range []string{"a", "b", "c"} {
		r.wait(id)
	}
	r.stop()
	expect(map[string]float64{
		"ucwarden_task_queue_depth": 0, "ucwarden_tasks{NEW,RESOURCE_SYNC}": 0, "ucwarden_tasks{NEW,other}": 0,
		"ucwarden_task_jobs": 0, "ucwarden_tasks_coalesced_total": 1, "ucwarden_task_attempts_total{RESOURCE_SYNC}": 2,
		"ucwarden_task_seconds{SUCCESS,RESOURCE_SYNC}": 2, "ucwarden_task_seconds{SKIPPED,other}": 1,
		"ucwarden_task_transitions_total{INPROGRESS,SUCCESS,RESOURCE_SYNC}": 2,
	})
	if _, err := New(r.store, Options{Registerer: reg}); err == nil {
		t.Error("metrics were registered twice")
	}
}

// gather reads the metrics by name and label values; of a histogram the number of observations.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			name := f.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}

func TestOptionsAreChecked(t *testing.T) {
	s := openStore(t, t.TempDir()+"/tasks.db", nil)
	defer s.Close()
	for _, o := range []Options{{Workers: -1}, {Grace: -1}, {RetryBase: time.Hour, RetryMax: time.Minute}} {
		if _, err := New(s, o); policy.CodeOf(err) != policy.CodeInvalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// The wire form of an ended task is the one the contract shows.
func TestWireForm(t *testing.T) {
	r := newRig(t, Options{Handlers: handlers(succeed)})
	r.submit(syncTask("a", "table:c.s.t"))
	r.start()
	data, err := json.Marshal(r.wait("a"))
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	for name := range doc {
		got = append(got, name)
	}
	slices.Sort(got)
	want := "attempts endTime id priority receivedTime requestInfo resources startTime status transitions type"
	if strings.Join(got, " ") != want {
		t.Errorf("fields are %s, want %s", strings.Join(got, " "), want)
	}
}
