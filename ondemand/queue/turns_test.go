package queue

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"ucwarden/ondemand"
)

// Of those who submit many tasks at a time, one is in each commit, so that a single task waits for two of them at most.
func TestManyTasksTakeTurns(t *testing.T) {
	r := newRig(t, Options{})
	begun, next := make(chan struct{}, 100), make(chan struct{})
	commit := func(commit func() error) error {
		begun <- struct{}{}
		<-next
		return commit()
	}
	r.commit.Store(&commit)
	var running sync.WaitGroup
	expected := 0
	submit := func(name string, n int) {
		running.Go(func() {
			tasks := make([]ondemand.Task, n)
			for i := range tasks {
				tasks[i] = syncTask(fmt.Sprint(name, "-", i), fmt.Sprint("table:c.s.", name, i))
			}
			if _, err := r.SubmitAll(t.Context(), tasks); err != nil {
				t.Error(err)
			}
		})
		for expected += n; ; runtime.Gosched() {
			r.mu.Lock()
			reserved := r.reserved
			r.mu.Unlock()
			if reserved == expected {
				return
			}
		}
	}
	const many = 200
	submit("first", 1)
	<-begun
	for i := range 5 {
		submit(fmt.Sprint("many", i), many)
	}
	submit("single", 1)
	next <- struct{}{}
	<-begun
	next <- struct{}{}
	<-begun
	if n := r.Stats().New; n > 2+many {
		t.Errorf("%d tasks are stored after two commits, want %d at most", n, 2+many)
	}
	close(next)
	running.Wait()
	if n := r.Stats().New; n != 2+5*many {
		t.Errorf("%d tasks are stored in the end, want %d", n, 2+5*many)
	}
}
