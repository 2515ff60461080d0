package queue

import (
	"context"
	"maps"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// Runs returns the ids of the tasks that go on without a worker, since their outcome had an [ondemand.Run], also those that an
// earlier process left so; the value is true where the task was cancelled, so that its update is to be stopped. Whoever follows
// them calls UpdateRun, and EndRun at the end.
func (q *Queue) Runs() map[string]bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return maps.Clone(q.live.runs)
}

// RunsChanged returns a channel that receives a value after there is another task to follow, or one was cancelled.
func (q *Queue) RunsChanged() <-chan struct{} { return q.wakeRuns }

// UpdateRun changes the run and the message of a task that goes on without a worker, and returns the task as stored. set may be
// called more than once; its error is returned. It is of class conflict where the task has ended.
func (q *Queue) UpdateRun(_ context.Context, id string, set func(t *ondemand.Task) error) (ondemand.Task, error) {
	return q.commitChanges(func(tx *store.Tx) ([]change, error) {
		t, err := loadRun(tx, id, set)
		if err != nil {
			return nil, err
		}
		return []change{{task: &t, from: t.Status}}, records.Store(tx, &t, t.Status)
	})
}

// EndRun is UpdateRun for the end of a task. A task that was cancelled before anything was started may have ended by itself.
func (q *Queue) EndRun(_ context.Context, id string, to ondemand.Status, message string, set func(t *ondemand.Task) error) (ondemand.Task, error) {
	return q.commitChanges(func(tx *store.Tx) ([]change, error) {
		t, err := loadRun(tx, id, set)
		if err != nil {
			return nil, err
		}
		t.StatusMessage = message
		return endTask(tx, t, to, message, q.now())
	})
}

func loadRun(tx *store.Tx, id string, set func(t *ondemand.Task) error) (ondemand.Task, error) {
	t, err := records.LoadExisting(tx, id)
	if err != nil {
		return t, err
	}
	if t.Status != ondemand.InProgress || t.Run == nil {
		return t, policy.Errorf(policy.CodeConflict, "task %s is %s: it has no run to follow", id, t.Status)
	}
	if set != nil {
		err = set(&t)
	}
	return t, err
}

// storeRun leaves a task to whoever follows runs.
func (v *completion) storeRun(tx *store.Tx, t ondemand.Task) ([]change, error) {
	t.Run, t.StatusMessage = v.outcome.Run, joinMessages(v.outcome.Note, v.outcome.Message)
	return []change{{task: &t, from: t.Status}}, records.Store(tx, &t, t.Status)
}

// cancelRun notes that the update of a task is to be stopped, which may take long; ok is false where nothing may have been
// started by the task, so that it can end at once.
func cancelRun(tx *store.Tx, t ondemand.Task, by string, now time.Time) (changes []change, ok bool, err error) {
	r := t.Run
	if t.Status != ondemand.InProgress || r == nil || r.Joined || r.SentTime.IsZero() {
		return nil, false, nil
	}
	if r.CancelTime.IsZero() {
		r.CancelTime, r.CancelledBy = now, by
		t.StatusMessage = r.Cancelled() + ": the update is being stopped"
	}
	return []change{{task: &t, from: t.Status}}, true, records.Store(tx, &t, t.Status)
}

// noteRun keeps which tasks are followed, after a change.
func (l *liveTasks) noteRun(t *ondemand.Task) (changed bool) {
	was, followed := l.runs[t.ID]
	if t.Status != ondemand.InProgress || t.Run == nil {
		delete(l.runs, t.ID)
		return false
	}
	cancelled := !t.Run.CancelTime.IsZero()
	l.runs[t.ID] = cancelled
	return !followed || was != cancelled
}
