package ondemand

import (
	"fmt"
	"time"

	"ucwarden/ondemand/store"
)

// newTask is a task that is to be stored, encoded already: only one transaction runs at a time, and many wait for it.
type newTask struct {
	task     Task   // NEW
	skip     string // why it ends SKIPPED at once
	skipped  bool
	overflow bool   // it goes to the backlog
	data     []byte // as it is stored
	err      error  // why it cannot be encoded
}

// prepareAll returns the tasks with the fields that the server sets.
func (q *Queue) prepareAll(in []Task) []newTask {
	now := q.now()
	tasks := make([]Task, len(in))
	for i := range in {
		tasks[i] = q.prepare(&in[i], now)
	}
	overflow := q.overflow(tasks, true)
	list := make([]newTask, len(in))
	for i, t := range tasks {
		n := newTask{task: t, skipped: t.Status == Skipped, overflow: overflow[i]}
		if n.skipped {
			n.skip, n.task.Status, n.task.StatusMessage = t.StatusMessage, New, ""
		}
		n.encode()
		list[i] = n
	}
	return list
}

// prepare returns a copy of the task with the fields that the server sets.
func (q *Queue) prepare(in *Task, now time.Time) Task {
	t := Task{
		ID: in.ID, Type: in.Type, AppType: in.AppType, AppSubType: in.AppSubType, Source: in.Source,
		CreateTime: in.CreateTime, RequestInfo: in.RequestInfo, Extra: in.Extra, Priority: in.Priority,
		Status: New, PostedBy: in.PostedBy, ReceivedTime: now,
	}
	if t.ID == "" {
		t.ID = q.ids.next()
	}
	if in.Status == Skipped {
		t.Status, t.StatusMessage = Skipped, in.StatusMessage
	}
	return t
}

func (n *newTask) encode() {
	if n.data, n.err = n.task.MarshalJSON(); n.err != nil {
		n.err = fmt.Errorf("write task %s: %w", n.task.ID, n.err)
	}
}

// createTask stores a new task, and ends it at once where it is to be skipped.
func createTask(tx *store.Tx, n *newTask) ([]change, error) {
	if n.err != nil {
		return nil, n.err
	}
	t := &n.task
	if err := tx.Bucket(bucketTasks).Put([]byte(t.ID), n.data); err != nil {
		return nil, err
	}
	if err := indexTask(tx, t); err != nil {
		return nil, err
	}
	changes := []change{{task: *t, overflow: n.overflow}}
	switch {
	case n.overflow:
		return changes, joinBacklog(tx, t)
	case n.skipped:
		ended := *t
		ended.StatusMessage = n.skip
		c, err := moveTask(tx, ended, Skipped, n.skip, t.ReceivedTime)
		if err != nil {
			return nil, err
		}
		return append(changes, c), nil
	}
	return changes, tx.Bucket(bucketByStatus).Put(statusKey(t), summaryOf(t).encode())
}
