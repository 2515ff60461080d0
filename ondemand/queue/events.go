package queue

import (
	"context"
	"encoding/json"
	"fmt"

	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// PositionOf returns the stored position of a stream; ok is false where there is none.
func (q *Queue) PositionOf(stream string) (p ondemand.Position, ok bool, err error) {
	err = q.store.View(func(tx *store.Tx) error {
		p, ok, err = records.LoadPosition(tx, stream)
		return err
	})
	return p, ok, err
}

// SubmitEvents stores the tasks of some events and how far their stream is read then, in one transaction: after a crash
// either both are there or neither. It returns how many tasks were new. A task that is stored already with equal content
// is not stored again; one that repeats an id of its producer with other content becomes a SKIPPED task that says so. Errors by class:
// conflict, the stream was read further before; rate limited, the queue has no room for all of them; unavailable, the
// store cannot commit. Nothing is stored after an error.
func (q *Queue) SubmitEvents(ctx context.Context, events []ondemand.EventTask, read ondemand.Position) (created int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, policy.Errorf(policy.CodeUnavailable, "submit events: %w", err)
	}
	if len(events) > 0 {
		if !q.reserve("", len(events)) {
			return 0, policy.Errorf(policy.CodeRateLimited, "the task queue is full (%d waiting): try again later", q.opts.MaxQueued)
		}
		defer q.unreserve(len(events))
	}
	position, err := json.Marshal(read)
	if err != nil {
		return 0, fmt.Errorf("write the position of %s: %w", read.Stream, err)
	}
	memory, _ := q.memory.Get().(*preparation)
	if memory == nil {
		memory = new(preparation)
	}
	prepared := q.prepareAll(ctx, memory, len(events), func(i int) (*ondemand.Task, string) { return &events[i].Task, events[i].EventID })
	var changes []change
	err = q.store.Update(func(tx *store.Tx) error {
		changes, created = make([]change, 0, len(prepared)), 0
		before, found, err := records.LoadPosition(tx, read.Stream)
		if err != nil {
			return err
		}
		if found && read.Sequence <= before.Sequence {
			return policy.Errorf(policy.CodeConflict, "%s was read up to %d before: a position of %d goes backwards", read.Stream, before.Sequence, read.Sequence)
		}
		for i := range prepared {
			before := len(changes)
			if changes, err = q.createEvent(tx, &prepared[i], events[i].EventID, changes); err != nil {
				return err
			}
			if len(changes) > before {
				created++
			}
		}
		if err := q.noteEnds(tx, changes); err != nil {
			return err
		}
		return records.StorePosition(tx, read.Stream, position)
	}, func() { q.apply(changes) })
	if err != nil {
		return 0, err // and leave the memory alone: the commit may be found in the file later, and is applied then
	}
	memory.reset()
	q.memory.Put(memory)
	return created, nil
}

// createEvent stores the task of an event, and appends what it changes: nothing where the task is there already. A document
// without an id has that of its event. A producer may have chosen an id of this form before; then the task gets another one
// rather than to be lost.
func (q *Queue) createEvent(tx *store.Tx, n *newTask, eventID string, changes []change) ([]change, error) {
	reason := ""
	if err := ondemand.CheckID(n.task.ID); err != nil && n.task.ID != eventID {
		reason = err.Error()
	} else {
		switch found, same, err := stored(tx, &n.task); {
		case err != nil:
			return nil, err
		case !found:
			return createTask(tx, n, changes)
		case same: // the event was read before, by another consumer group
			return changes, nil
		}
	}
	if n.task.ID == eventID {
		return q.createAs(tx, *n, eventID+"-again", changes)
	}
	if reason == "" {
		reason = fmt.Sprintf("the id %s is that of a task with other content, which stays as it is", n.task.ID)
	}
	return q.createAs(tx, newTask{task: n.task, skipped: true, skip: reason}, eventID, changes)
}

// createAs does what createEvent does, with another id, or one that is longer where that is taken.
func (q *Queue) createAs(tx *store.Tx, n newTask, id string, changes []change) ([]change, error) {
	for n.task.ID = id; ; n.task.ID += "-again" {
		switch found, same, err := stored(tx, &n.task); {
		case err != nil:
			return nil, err
		case !found:
			q.prepareRecord(&n, records.NewBatch(1))
			return createTask(tx, &n, changes)
		case same:
			return changes, nil
		}
	}
}

// stored reports whether a task with the id of t is stored, and whether that has the same content.
func stored(tx *store.Tx, t *ondemand.Task) (found, same bool, err error) {
	if !records.Has(tx, t.ID) {
		return false, false, nil
	}
	old, found, err := records.Load(tx, t.ID)
	return found, err == nil && ondemand.SameContent(&old, t) == nil, err
}
