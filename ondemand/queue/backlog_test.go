package queue

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"ucwarden/ondemand"
)

// held returns how many tasks are in memory.
func (r *rig) held() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.live.byID)
}

// A queue holds a window of what waits in memory, also after a start, and carries out all of it, one owner as well as another.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		o := g.options()
		o.Workers, o.InMemory = 1, 8
		r := newRig(t, o)
		var batch []ondemand.Task
		for i := range 100 {
			task := syncTask(fmt.Sprintf("many%02d", i), fmt.Sprintf("table:c.s.t%d", i))
			task.PostedBy = "many"
			batch = append(batch, task)
		}
		if _, err := r.SubmitAll(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		few := syncTask("few", "table:d.s.t")
		few.PostedBy = "few"
		r.submit(few)
		for range 2 {
			if s := r.Stats(); s.New != 101 || r.held() > 16 {
				t.Errorf("%+v, %d in memory", s, r.held())
			}
			r.close()
			r.open()
		}
		r.start()
		synctest.Wait()
		if s := r.Stats(); s.New+s.Waiting != 100 || s.InProgress != 1 || r.held() > 16 {
			t.Errorf("while one runs: %+v, %d in memory", s, r.held())
		}
		close(g.open)
		for _, task := range append(batch, few) {
			if done := r.wait(task.ID); done.Status != ondemand.Success {
				t.Fatalf("%s ended %s %q", done.ID, done.Status, done.StatusMessage)
			}
			if n := len(r.get(task.ID).Transitions); n != 3 {
				t.Fatalf("%s has %d transitions", task.ID, n)
			}
		}
		var order []string
		for _, job := range g.jobs {
			order = append(order, job.Task.ID)
		}
		if got := strings.Join(order[:3], " "); got != "few many00 many01" {
			t.Errorf("began with %s", got)
		}
		if got := order[len(order)-1]; got != "many99" {
			t.Errorf("ended with %s", got)
		}
		r.close()
	})
}

// What a job covers runs with it, whether memory has it or not, and each task has its own end.
func TestBacklogIsTakenAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		o := g.options()
		o.Workers, o.InMemory = 1, 4
		r := newRig(t, o)
		r.submit(syncTask("first", "catalog:c"))
		want := map[string]ondemand.Status{"first": ondemand.Success}
		for i, names := range [][]string{
			{"table:c.s.t"}, {"catalog:c"}, {"schema:c.s"}, {"table:cc.s.t"}, {"table:c.z.t", "table:d.s.t"}, {"volume:c.s.t"}, {"table:c.s.t"}, {"share:c"},
		} {
			id := fmt.Sprintf("%d", i)
			r.submit(syncTask(id, names...))
			want[id] = ondemand.Success
		}
		if _, err := r.Cancel(t.Context(), "6", ""); err != nil {
			t.Error(err)
		}
		want["6"] = ondemand.Skipped
		r.start()
		synctest.Wait()
		// The next one may be on its way to memory, and run after it.
		if got := g.seen(); got != "first+0+1+2+5" && got != "first+1+2+5" {
			t.Errorf("job: %s", got)
		}
		close(g.open)
		for id, status := range want {
			if done := r.wait(id); done.Status != status || len(done.Resources) != len(done.RequestInfo.Resources) && status == ondemand.Success {
				t.Errorf("%s ended %s with %d results", id, done.Status, len(done.Resources))
			}
		}
		if s := r.Stats(); s.New+s.Waiting+s.InProgress != 0 || len(r.live.window.behind) != 0 {
			t.Errorf("left: %+v, %v", s, r.live.window.behind)
		}
		r.close()
	})
}

// A store in which more waits than memory has room for, and nothing says which of it is the backlog, is opened like any other.
func TestBacklogOfAnEarlierVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Handlers: handlers(succeed)})
		for i := range 50 {
			r.submit(syncTask(fmt.Sprintf("%02d", i), fmt.Sprintf("table:c.s.t%d", i)))
		}
		r.close()
		r.opts.InMemory = 4
		r.open()
		if s := r.Stats(); s.New != 50 || r.held() > 8 {
			t.Errorf("%+v, %d in memory", s, r.held())
		}
		r.start()
		for i := range 50 {
			if done := r.wait(fmt.Sprintf("%02d", i)); done.Status != ondemand.Success {
				t.Errorf("%s ended %s", done.ID, done.Status)
			}
		}
		r.close()
	})
}

// A task in the backlog that was retried, or tried again with its id, is the one it was.
func TestBacklogRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Handlers: handlers(succeed), InMemory: 1})
		for i := range 3 {
			r.submit(syncTask(fmt.Sprint(i), fmt.Sprintf("table:c.s.t%d", i)))
		}
		if _, err := r.Cancel(context.Background(), "2", ""); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Retry(context.Background(), "2", ""); err != nil || got.Status != ondemand.Waiting {
			t.Fatalf("%s, %v", got.Status, err)
		}
		if s := r.Stats(); s.New != 2 || s.Waiting != 1 || r.held() != 1 {
			t.Errorf("%+v, %d in memory", s, r.held())
		}
		r.start()
		for i := range 3 {
			if done := r.wait(fmt.Sprint(i)); done.Status != ondemand.Success {
				t.Errorf("%s ended %s", done.ID, done.Status)
			}
		}
		r.close()
	})
}
