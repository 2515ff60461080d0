package apiserver_test

import (
	"context"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ucwarden/apiserver"
	"ucwarden/ondemand"
)

// While the disk is full no task is taken, readiness says so, and no work begins; once there is room all goes on by itself.
func TestDiskFull(t *testing.T) {
	var full atomic.Bool
	gate := make(chan struct{})
	e := newEnv(t, func(s *setup) {
		s.gate, s.queue.Workers, s.queue.RetryBase, s.queue.RetryMax = gate, 1, 10*time.Millisecond, 10*time.Millisecond
		s.commit = func(commit func() error) error {
			if full.Load() {
				return syscall.ENOSPC
			}
			return commit()
		}
		s.wrap = func(tasks apiserver.Tasks) apiserver.Tasks {
			health := s.Store.(interface{ Health() error }).Health
			s.Checks = []apiserver.Check{{Name: "store", Run: func(context.Context) error { return health() }}}
			return tasks
		}
	})
	e.do("POST", tasksPath, table("running", "sales")).want(202)
	e.until("running", ondemand.InProgress)
	e.do("POST", tasksPath, table("waiting", "sales")).want(202)
	full.Store(true)
	e.do("POST", tasksPath, table("refused", "sales")).want(503)
	e.do("GET", "/readyz", "").want(503)
	close(gate) // its end cannot be stored, and the other cannot begin
	e.do("POST", tasksPath, table("refused", "sales")).want(503)
	if s := e.queue.Stats(); s.InProgress != 1 || s.New+s.Waiting != 1 {
		t.Errorf("while the disk is full: %+v", s)
	}
	full.Store(false)
	for _, id := range []string{"running", "waiting"} {
		e.until(id, ondemand.Success)
	}
	e.do("GET", "/readyz", "").want(200)
	e.do("POST", tasksPath, table("refused", "sales")).want(202) // it was never stored
	e.until("refused", ondemand.Success)
}

// until waits until a task has the status, without a request: the store may refuse to be read.
func (e *env) until(id string, want ondemand.Status) {
	e.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		task, err := e.queue.Get(e.t.Context(), id)
		if err == nil && task.Status == want {
			return
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("%s is %s, want %s (%v)", id, task.Status, want, err)
		}
	}
}
