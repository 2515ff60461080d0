package queue

import (
	"cmp"
	"context"
	"slices"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
	"ucwarden/span"
)

// newTask is a task that is to be stored, with what can be prepared before the transaction: only one runs at a time, and many
// wait for it.
type newTask struct {
	task     ondemand.Task // NEW
	skip     string        // why it ends SKIPPED at once
	skipped  bool
	overflow bool // it goes to the backlog
	record   records.NewTask
	err      error  // why it cannot be written
	entry    *entry // in memory; nil where it goes to the backlog
}

// preparation is the memory of tasks that are to be stored. The zero value is ready for use.
type preparation struct {
	list  []newTask
	batch records.Batch
}

// reset has the memory used again. Nothing may refer to it any more.
func (p *preparation) reset() {
	clear(p.list)
	p.batch.Reset()
}

// prepareAll returns n tasks, in the memory of p, with the fields that the server sets; task returns each of them, and the id that
// it has where it has none of its own.
func (q *Queue) prepareAll(ctx context.Context, p *preparation, n int, task func(i int) (t *ondemand.Task, id string)) []newTask {
	now, traceparent := q.now(), span.Traceparent(ctx)
	p.list = slices.Grow(p.list[:0], n)[:n]
	list := p.list
	for i := range list {
		t, id := task(i)
		list[i].task = q.prepare(t, cmp.Or(t.ID, id), now)
		list[i].task.Traceparent = cmp.Or(t.Traceparent, traceparent)
	}
	overflow := q.overflow(n, func(i int) *ondemand.Task { return &list[i].task }, true)
	p.batch.Grow(n)
	for i := range list {
		n, t := &list[i], &list[i].task
		n.skipped, n.overflow = t.Status == ondemand.Skipped, overflow[i]
		if n.skipped {
			n.skip, t.Status, t.StatusMessage = t.StatusMessage, ondemand.New, ""
		}
		q.prepareRecord(n, &p.batch)
	}
	return list
}

// prepare returns a copy of the task with the fields that the server sets.
func (q *Queue) prepare(in *ondemand.Task, id string, now time.Time) ondemand.Task {
	t := ondemand.Task{
		ID: id, Type: in.Type, AppType: in.AppType, AppSubType: in.AppSubType, Source: in.Source,
		CreateTime: in.CreateTime, RequestInfo: in.RequestInfo, Extra: in.Extra, Priority: in.Priority,
		Status: ondemand.New, PostedBy: in.PostedBy, ReceivedTime: now,
	}
	if t.ID == "" {
		t.ID = q.ids.next()
	}
	if in.Status == ondemand.Skipped {
		t.Status, t.StatusMessage = ondemand.Skipped, in.StatusMessage
	}
	return t
}

func (q *Queue) prepareRecord(n *newTask, batch *records.Batch) {
	if n.record, n.err = batch.Prepare(&n.task, n.overflow); !n.overflow {
		n.entry = q.newEntry(&n.task)
	}
}

// createTask stores a new task, and ends it at once where it is to be skipped. It appends what it changes.
func createTask(tx *store.Tx, n *newTask, changes []change) ([]change, error) {
	if n.err != nil {
		return nil, n.err
	}
	t := &n.task
	if err := n.record.Create(tx); err != nil {
		return nil, err
	}
	changes = append(changes, change{task: t, overflow: n.overflow, entry: n.entry})
	if !n.skipped {
		return changes, nil
	}
	ended := *t
	ended.StatusMessage = n.skip
	c, err := moveTask(tx, ended, ondemand.Skipped, n.skip, t.ReceivedTime)
	return append(changes, c), err
}
