package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"ucwarden/apiserver/client"
	"ucwarden/ondemand"
)

// manyTables is a world of tables that each lack one grant, n tasks to make them right, and what is right. Every tenth
// task is the twin of the one before it.
func manyTables(t testing.TB, n int) (w *world, tasks []ondemand.Task, right []string) {
	var tables []string
	for i := range n {
		name := fmt.Sprintf("t%03d", i)
		if i%10 == 9 {
			tasks = append(tasks, tableSync("twin-"+name, "c", "s", tables[len(tables)-1]))
			continue
		}
		tables = append(tables, name)
		tasks = append(tasks, tableSync("task-"+name, "c", "s", name))
		right = append(right, "TABLE:c.s."+name+" analysts SELECT")
	}
	w = newWorld(t, oneSchema(append(tables, "other")...), readTables)
	right = append(right, w.grants()...) // USE_* is there
	slices.Sort(right)
	return w, tasks, right
}

// postAll submits tasks, several at a time, and tells which were accepted.
func postAll(ctx context.Context, c *client.Client, tasks []ondemand.Task, accepted func(id string)) error {
	var g errgroup.Group
	g.SetLimit(8)
	for _, task := range tasks {
		g.Go(func() error {
			if _, err := c.Submit(ctx, task); err != nil {
				return err
			}
			accepted(task.ID)
			return nil
		})
	}
	return g.Wait()
}

// checkAllDone waits until every task has ended in SUCCESS and checks that the grants are right, and no others.
func checkAllDone(w *world, c *client.Client, tasks []ondemand.Task, right []string) []ondemand.Task {
	w.Helper()
	var ended []ondemand.Task
	for _, task := range tasks {
		ended = append(ended, w.done(c, task.ID, ondemand.Success))
	}
	if got := w.grants(); !slices.Equal(got, right) {
		w.Errorf("missing grants: %q, extra grants: %q", onlyIn(right, got), onlyIn(got, right))
	}
	return ended
}

// A daemon that is killed while 100 tasks are under way carries them all out when it is started again.
func TestKilledWhileTasksAreUnderWay(t *testing.T) {
	t.Parallel()
	w, tasks, right := manyTables(t, 100)
	daemon, api := w.serve()
	underWay, release := make(chan struct{}), make(chan struct{})
	var patches atomic.Int32
	w.onRequest(func(r *http.Request, serve func()) {
		if r.Method == http.MethodPatch && patches.Add(1) == 30 {
			serve() // it takes effect, and nobody hears of it
			close(underWay)
			<-release
			return
		}
		serve()
	})
	if err := postAll(t.Context(), api, tasks, func(string) {}); err != nil {
		t.Fatal(err)
	}
	<-underWay
	daemon.kill()
	close(release)
	if left := onlyIn(right, w.grants()); len(left) == 0 {
		t.Fatal("nothing was left to do when the daemon was killed")
	}
	_, api = w.serve()
	checkAllDone(w, api, tasks, right)
}

// A daemon is killed again and again, at whatever request to the workspace or submission chance picks. What was
// acknowledged is carried out; what was not is accepted when it is posted again.
func TestKilledAtAnyInstant(t *testing.T) {
	t.Parallel()
	const kills, seed = 5, 20261122
	random := rand.New(rand.NewPCG(seed, 0))
	w, tasks, right := manyTables(t, 60)
	accepted := make(map[string]bool)
	var mu sync.Mutex
	accept := func(id string) {
		mu.Lock()
		defer mu.Unlock()
		accepted[id] = true
	}
	for range kills {
		daemon, api := w.serve()
		countdown := int32(1 + random.IntN(45))
		afterEffect := random.IntN(2) == 0
		killed := make(chan struct{})
		w.onRequest(func(_ *http.Request, serve func()) {
			if atomic.AddInt32(&countdown, -1) != 0 {
				serve()
				return
			}
			if afterEffect {
				serve()
			}
			daemon.kill()
			close(killed)
		})
		mu.Lock()
		open := slices.DeleteFunc(slices.Clone(tasks), func(task ondemand.Task) bool { return accepted[task.ID] })
		mu.Unlock()
		posted := make(chan error, 1)
		// A few at a time, so that every life of the daemon has submissions.
		go func() { posted <- postAll(t.Context(), api, open[:min(len(open), 15)], accept) }()
		select {
		case <-killed:
		case <-time.After(processTimeout):
			t.Fatalf("seed %d: the daemon made too few requests to be killed", seed)
		}
		<-posted // refused or broken off, which is what a crash does
		w.onRequest(nil)
	}
	_, api := w.serve()
	for id := range accepted {
		if _, err := api.Get(t.Context(), id); err != nil {
			t.Errorf("an acknowledged task is lost: %v", err)
		}
	}
	if err := postAll(t.Context(), api, tasks, func(string) {}); err != nil {
		t.Fatal(err)
	}
	checkAllDone(w, api, tasks, right)
}

// SIGTERM lets what runs finish, keeps the rest for the next start, and counts no attempt for it. Who watches does
// not hold it up.
func TestTerminatedWhileTasksAreUnderWay(t *testing.T) {
	t.Parallel()
	w, tasks, right := manyTables(t, 40)
	daemon, api := w.serve()
	var patches atomic.Int32
	underWay := make(chan struct{})
	release := make(chan struct{})
	w.onRequest(func(r *http.Request, serve func()) {
		if r.Method == http.MethodPatch {
			if patches.Add(1) == 5 {
				close(underWay)
			}
			if patches.Load() >= 5 {
				<-release
			}
		}
		serve()
	})
	if err := postAll(t.Context(), api, tasks, func(string) {}); err != nil {
		t.Fatal(err)
	}
	<-underWay
	watching, stopWatching := context.WithCancel(t.Context())
	streamed := make(chan struct{}, 1)
	watcher := make(chan error, 1)
	go func() {
		_, err := api.Follow(watching, tasks[len(tasks)-1].ID, func(ondemand.Transition) {
			select {
			case streamed <- struct{}{}:
			default:
			}
		})
		watcher <- err
	}()
	<-streamed
	begun := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- daemon.signal(syscall.SIGTERM) }()
	close(release)
	if err := <-ended; err != nil {
		t.Fatalf("after SIGTERM: %v\n%s", err, daemon.logs())
	}
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("it took %s to end", took)
	}
	stopWatching()
	if err := <-watcher; err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the watched task ended before the daemon did: %v", err)
	}
	if left := onlyIn(right, w.grants()); len(left) == 0 {
		t.Fatal("nothing was left to do when the daemon ended")
	}
	w.onRequest(nil)
	_, api = w.serve()
	for _, task := range checkAllDone(w, api, tasks, right) {
		if task.Attempts != 1 {
			t.Errorf("task %s took %d attempts: %v", task.ID, task.Attempts, task.Transitions)
		}
	}
}
