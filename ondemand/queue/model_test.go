package queue

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// stage is a handler whose jobs end when the test says so, and how.
type stage struct {
	mu   sync.Mutex
	jobs []*staged
}

type staged struct {
	job    ondemand.Job
	answer chan func() (ondemand.Outcome, error)
}

func (s *stage) Handle(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	j := &staged{job, make(chan func() (ondemand.Outcome, error))}
	s.mu.Lock()
	s.jobs = append(s.jobs, j)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.jobs = slices.DeleteFunc(s.jobs, func(o *staged) bool { return o == j })
	}()
	select {
	case f := <-j.answer:
		return f()
	case <-ctx.Done():
		return ondemand.Outcome{}, ctx.Err()
	}
}

func (s *stage) list() []*staged {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Clone(s.jobs)
	slices.SortFunc(list, func(a, b *staged) int { return bytes.Compare([]byte(a.job.Task.ID), []byte(b.job.Task.ID)) })
	return list
}

// model is what the test knows: every task that was acknowledged, and how it ended.
type model struct {
	rig
	stage *stage
	next  int
	want  map[string]ondemand.Task // as acknowledged or last seen
}

const modelAttempts = 3

func newModel(t *rapid.T, path string) *model {
	m := &model{stage: &stage{}, want: make(map[string]ondemand.Task)}
	m.rig = rig{t: t, path: path, stop: func() {}, opts: Options{
		Handlers: map[ondemand.Type]ondemand.Handler{ondemand.ResourceSync: m.stage, ondemand.FullSync: m.stage}, Workers: 3,
		MaxAttempts: modelAttempts, MaxCrashes: 1000, InMemory: rapid.SampledFrom([]int{0, 0, 1, 6}).Draw(t, "in memory"), RetryBase: time.Minute, RetryMax: 10 * time.Minute, Grace: time.Second,
	}}
	m.begin()
	return m
}

func (m *model) begin() {
	m.open()
	m.start()
	synctest.Wait()
}

func (m *model) ids() []string { return slices.Sorted(maps.Keys(m.want)) }

func (m *model) draw(t *rapid.T) ondemand.Task {
	names := []string{"catalog:a", "catalog:b", "schema:a.s", "schema:b.s", "table:a.s.t", "table:a.s.u", "table:b.s.t", "share:x"}
	var task ondemand.Task
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0:
		task = ondemand.Task{Type: ondemand.FullSync}
	case 1:
		task = ondemand.Task{Type: "odd"}
	default:
		task = syncTask("", rapid.SliceOfN(rapid.SampledFrom(names), 1, 3).Draw(t, "resources")...)
		if rapid.IntRange(0, 4).Draw(t, "illegal") == 0 {
			task.RequestInfo.Resources = append(task.RequestInfo.Resources, ondemand.Resource{Type: "galaxy"})
		}
	}
	task.Priority = rapid.IntRange(-1, 1).Draw(t, "priority")
	task.Source = rapid.SampledFrom([]string{"", "x"}).Draw(t, "source")
	return task
}

func (m *model) actions() map[string]func(*rapid.T) {
	pick := func(t *rapid.T) string {
		if len(m.want) == 0 {
			t.Skip("no task yet")
		}
		return rapid.SampledFrom(m.ids()).Draw(t, "id")
	}
	return map[string]func(*rapid.T){
		"submit": func(t *rapid.T) {
			var batch []ondemand.Task
			for range rapid.IntRange(1, 3).Draw(t, "tasks") {
				task := m.draw(t)
				m.next++
				task.ID = fmt.Sprintf("t%03d", m.next)
				batch = append(batch, task)
			}
			got, err := m.SubmitAll(context.Background(), batch)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range got {
				if s.Err != nil || !s.Created {
					t.Fatalf("submit %s: created %v, %v", s.Task.ID, s.Created, s.Err)
				}
				m.want[s.Task.ID] = s.Task
			}
		},
		"submit again": func(t *rapid.T) {
			old := m.want[pick(t)]
			if old.ParentID != "" {
				t.Skip("a child")
			}
			if got, created, err := m.Submit(context.Background(), old); created || err != nil || got.Status != m.get(old.ID).Status {
				t.Fatalf("the same content again: created %v, %v", created, err)
			}
			old.Source += "other"
			if _, created, err := m.Submit(context.Background(), old); created || policy.CodeOf(err) != policy.CodeConflict {
				t.Fatalf("other content: created %v, %v", created, err)
			}
		},
		"cancel": func(t *rapid.T) {
			id := pick(t)
			ended := m.want[id].Status.Terminal()
			got, err := m.Cancel(context.Background(), id, "")
			if ended && policy.CodeOf(err) != policy.CodeConflict || !ended && (err != nil || got.Status != ondemand.Skipped) {
				t.Fatalf("cancel %s, ended %v: %s, %v", id, ended, got.Status, err)
			}
		},
		"retry": func(t *rapid.T) {
			id := pick(t)
			old := m.want[id].Status
			_, err := m.Retry(context.Background(), id, "")
			if can := old == ondemand.Failed || old == ondemand.Skipped; can != (err == nil) {
				t.Fatalf("retry a task that is %s: %v", old, err)
			}
			if err == nil {
				task := m.want[id]
				task.Status = ondemand.Waiting
				m.want[id] = task
			}
		},
		"end a job": func(t *rapid.T) { m.endJob(t, rapid.IntRange(0, 9).Draw(t, "how")) },
		"pass time": func(t *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(1, 900).Draw(t, "seconds")) * time.Second)
		},
		"stop and start":  func(*rapid.T) { m.close(); m.begin() },
		"crash and start": func(*rapid.T) { m.crash(); m.begin() },
		"":                m.check,
	}
}

// endJob lets one job end, and checks what becomes of its tasks.
func (m *model) endJob(t *rapid.T, how int) {
	jobs := m.stage.list()
	if len(jobs) == 0 {
		t.Skip("no job runs")
	}
	j := jobs[rapid.IntRange(0, len(jobs)-1).Draw(t, "job")]
	statuses := make(map[policy.Securable]ondemand.Status)
	out := ondemand.Outcome{}
	for _, r := range j.job.Resources {
		s, _ := r.Securable()
		statuses[s] = rapid.SampledFrom([]ondemand.Status{ondemand.Success, ondemand.Success, ondemand.Failed, ondemand.Skipped}).Draw(t, "result")
		out.Results = append(out.Results, ondemand.ResourceResult{Status: statuses[s]})
	}
	if j.job.Task.Type == ondemand.FullSync {
		for range rapid.IntRange(0, 3).Draw(t, "children") {
			out.Children = append(out.Children, m.draw(t))
		}
		out.Children = slices.DeleteFunc(out.Children, func(c ondemand.Task) bool { return c.Type == ondemand.FullSync })
	}
	tasks := append([]ondemand.Task{j.job.Task}, j.job.Followers...)
	before := make(map[string]ondemand.Task)
	for _, task := range tasks {
		before[task.ID] = m.get(task.ID)
	}
	j.answer <- func() (ondemand.Outcome, error) {
		switch how {
		case 0, 1:
			return ondemand.Outcome{}, policy.Errorf(policy.CodeUnavailable, "transient")
		case 2:
			return ondemand.Outcome{}, policy.Errorf(policy.CodeRefused, "permanent")
		case 3:
			panic("in the handler")
		}
		return out, nil
	}
	synctest.Wait()
	for i, task := range tasks {
		if before[task.ID].Status != ondemand.InProgress {
			continue // cancelled while it ran
		}
		got := m.get(task.ID)
		var want []ondemand.Status
		switch {
		case how < 2 && got.Attempts >= modelAttempts:
			want = []ondemand.Status{ondemand.Failed, ondemand.Waiting, ondemand.InProgress} // Waiting: it came along early, and may be claimed again
		case how < 2:
			want = []ondemand.Status{ondemand.Waiting, ondemand.InProgress}
		case how < 4:
			want = []ondemand.Status{ondemand.Failed}
		case i == 0 && len(out.Children) > 0:
			want = []ondemand.Status{ondemand.InProgress, ondemand.Skipped} // all children may have been skipped at once
		default:
			want = []ondemand.Status{expected(task, statuses)}
		}
		if !slices.Contains(want, got.Status) {
			t.Fatalf("task %s is %s %q after its job ended (%d), want one of %v", task.ID, got.Status, got.StatusMessage, how, want)
		}
	}
}

// expected is the rule of the contract, written once more.
func expected(task ondemand.Task, statuses map[policy.Securable]ondemand.Status) ondemand.Status {
	skipped := 0
	for _, r := range task.RequestInfo.Resources {
		s, err := r.Securable()
		if err != nil || statuses[s] == ondemand.Skipped {
			skipped++
		} else if statuses[s] == ondemand.Failed {
			return ondemand.Failed
		}
	}
	if skipped > 0 && skipped == len(task.RequestInfo.Resources) {
		return ondemand.Skipped
	}
	return ondemand.Success
}

// check holds after every action.
func (m *model) check(t *rapid.T) {
	synctest.Wait()
	stored := make(map[string]ondemand.Task)
	for cursor := ""; ; {
		page, err := m.List(context.Background(), ondemand.Filter{Limit: 7, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range page.Items {
			stored[task.ID] = task
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	for id, want := range m.want {
		got, ok := stored[id]
		switch {
		case !ok:
			t.Fatalf("acknowledged task %s is gone", id)
		case want.Status.Terminal() && got.Status != want.Status:
			t.Fatalf("task %s went from %s to %s", id, want.Status, got.Status)
		case ondemand.SameContent(&want, &got) != nil:
			t.Fatalf("task %s has other content", id)
		}
	}
	running := make(map[string]bool)
	var leaders []*entry
	for _, j := range m.stage.list() {
		for _, task := range append([]ondemand.Task{j.job.Task}, j.job.Followers...) {
			running[task.ID] = true
		}
		e := newEntry(&j.job.Task, m.skipReason)
		for _, o := range leaders {
			if overlap(e, o) {
				t.Fatalf("%s and %s overlap", o.id, e.id)
			}
		}
		leaders = append(leaders, e)
	}
	idle := len(m.stage.list()) < 3
	for id, task := range stored {
		parent := task.Children != nil && task.Children.Open() > 0
		switch {
		case task.Status == ondemand.New && m.inMemory(id):
			t.Fatalf("task %s is not admitted", id)
		case task.Status == ondemand.InProgress && !running[id] && !parent:
			t.Fatalf("task %s is INPROGRESS without a job", id)
		case task.Status == ondemand.Waiting && idle && m.inMemory(id) && !task.NotBefore.After(time.Now()) && !m.mayWait(&task, leaders, running, stored):
			t.Fatalf("task %s waits while a worker is idle", id)
		case parent:
			open := 0
			for _, c := range stored {
				if c.ParentID == id && !c.Status.Terminal() {
					open++
				}
			}
			if open < task.Children.Open() {
				t.Fatalf("parent %s counts %+v, %d children are open", id, task.Children, open)
			}
		}
	}
	m.want = stored
	m.checkIndexes(t, stored)
}

// overlap is the rule of the locks, written once more.
func overlap(a, b *entry) bool {
	for _, x := range a.roots {
		for _, y := range b.roots {
			inside := x.Contains(y) || y.Contains(x)
			if x == y || inside && a.isShard() == b.isShard() {
				return true
			}
		}
	}
	return false
}

func (m *model) inMemory(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live.byID[id] != nil
}

// mayWait reports whether something holds the task up: a job, or a task that waits for one.
func (m *model) mayWait(task *ondemand.Task, leaders []*entry, running map[string]bool, stored map[string]ondemand.Task) bool {
	if running[task.ID] {
		return true // cancelled and retried; the old handler has not returned
	}
	e := newEntry(task, m.skipReason)
	for _, o := range leaders {
		if overlap(e, o) {
			return true
		}
	}
	// Not before one that covers it and waits for a job, or for another that does.
	blocked := slices.Clone(leaders)
	for grown := true; grown; {
		grown = false
		for id, o := range stored {
			if o.Status != ondemand.Waiting || o.Priority <= ondemand.ShardPriority || slices.ContainsFunc(blocked, func(b *entry) bool { return b.id == id }) {
				continue
			}
			oe := newEntry(&o, m.skipReason)
			if slices.ContainsFunc(blocked, func(b *entry) bool { return overlap(oe, b) }) {
				blocked, grown = append(blocked, oe), true
			}
		}
	}
	if slices.ContainsFunc(blocked, func(b *entry) bool { return b.id == task.ID }) {
		return true
	}
	if task.Type != ondemand.FullSync {
		return false
	}
	for id, o := range stored {
		if o.Type == ondemand.FullSync && (running[id] || o.Status == ondemand.InProgress) {
			return true
		}
	}
	return false
}

func (m *model) checkIndexes(t *rapid.T, stored map[string]ondemand.Task) {
	live := 0
	for _, task := range stored {
		if !task.Status.Terminal() {
			live++
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	behind := 0
	for _, n := range m.live.window.behind {
		behind += n
	}
	if len(m.live.byID)+behind != live {
		t.Fatalf("%d tasks in memory and %d in the backlog, %d open in the store", len(m.live.byID), behind, live)
	}
	for id, e := range m.live.byID {
		if e.status != stored[id].Status {
			t.Fatalf("task %s is %s in memory, %s in the store", id, e.status, stored[id].Status)
		}
	}
	err := m.store.View(func(tx *store.Tx) error {
		for _, name := range []string{"tasks", "by_status"} {
			if n := tx.Bucket([]byte(name)).Len(); n != len(stored) {
				t.Fatalf("%s has %d entries for %d tasks", name, n, len(stored))
			}
		}
		inBacklog := make(map[string]bool)
		c := tx.Bucket([]byte("backlog")).Cursor()
		for k, _ := c.Seek(nil); k != nil; k, _ = c.Next() {
			lane, size := binary.Uvarint(k)
			inBacklog[string(k[size+int(lane)+8:])] = true // behind the lane and the time
		}
		if len(inBacklog) != behind {
			t.Fatalf("the backlog has %d entries for %d tasks", len(inBacklog), behind)
		}
		byStatus := make(map[string]byte)
		c = tx.Bucket([]byte("by_status")).Cursor()
		for k, _ := c.Seek(nil); k != nil; k, _ = c.Next() {
			byStatus[string(k[9:])] = k[0]
		}
		letters := map[ondemand.Status]byte{ondemand.New: 'N', ondemand.Waiting: 'W', ondemand.InProgress: 'I', ondemand.Success: 'S', ondemand.Failed: 'F', ondemand.Skipped: 'K'}
		for _, task := range stored {
			if inBacklog[task.ID] != (m.live.byID[task.ID] == nil && !task.Status.Terminal()) {
				t.Fatalf("task %s is %s; in the backlog: %v", task.ID, task.Status, inBacklog[task.ID])
			}
			if byStatus[task.ID] != letters[task.Status] {
				t.Fatalf("task %s is not indexed as %s", task.ID, task.Status)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestModel drives a running queue through random submissions, cancels, retries, ends of jobs, shutdowns and crashes.
// In the end everything is left to succeed, and every task must come to an end.
func TestModel(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue { // one is a whole life of a queue
		if err := f.Value.Set("40"); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		var failure any // rapid ends a test by a panic, which must leave the bubble to reach it
		synctest.Test(t, func(*testing.T) {
			defer func() { failure = recover() }()
			m := newModel(rt, path)
			defer m.close()
			rt.Repeat(m.actions())
			m.finishAll()
			m.check(rt)
			for id, task := range m.want {
				if !task.Status.Terminal() {
					rt.Fatalf("task %s never ends: %s %q", id, task.Status, task.StatusMessage)
				}
			}
		})
		switch {
		case failure == nil:
		case strings.Contains(fmt.Sprintf("%T", failure), "invalidData"):
			panic(failure) // not a failure; rapid tells them apart by the line, too
		default:
			panic(failure)
		}
	})
}

// finishAll lets every job succeed until no task is left.
func (m *model) finishAll() {
	for range 2000 {
		synctest.Wait()
		jobs := m.stage.list()
		if len(jobs) > 0 {
			out, err := succeed(context.Background(), jobs[0].job)
			jobs[0].answer <- func() (ondemand.Outcome, error) { return out, err }
			continue
		}
		if s := m.Stats(); s.New+s.Waiting+s.InProgress == 0 {
			return
		}
		time.Sleep(10 * time.Minute)
	}
}
