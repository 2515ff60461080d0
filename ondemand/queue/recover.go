package queue

import (
	"fmt"
	"slices"

	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
)

// recoverChunk is how many tasks a start reads, or moves, in one transaction.
const recoverChunk = 500

// recoverTasks counts the tasks that have not ended, and loads those that are not in the backlog. What the last process left
// INPROGRESS goes back to WAITING, or to FAILED where it is the likely cause of several crashes. A parent whose children are
// open stays INPROGRESS, and so does a task whose run is followed.
func (q *Queue) recoverTasks() error {
	ids, err := q.countStored()
	if err != nil {
		return err
	}
	var rest []string
	for part := range slices.Chunk(ids, recoverChunk) {
		more, err := q.loadStored(part)
		if err != nil {
			return err
		}
		rest = append(rest, more...)
	}
	return q.inChunks(rest, recoverChunk, func(tx *store.Tx, ids []string) ([]change, error) {
		var changes []change
		for _, id := range ids {
			t, err := records.LoadExisting(tx, id)
			if err != nil {
				return nil, err
			}
			done, err := q.recoverTask(tx, t)
			if err != nil {
				return nil, err
			}
			changes = append(changes, done...)
		}
		return changes, nil
	})
}

// countStored counts the tasks of the backlog, and returns the ids of the others that have not ended.
func (q *Queue) countStored() (ids []string, err error) {
	c := q.opts.Census
	if c == nil || !c.Begun() {
		c = new(records.Census)
		err = q.store.View(func(tx *store.Tx) error {
			c.Read(tx)
			return nil
		})
	}
	c.Backlog(q.live.countBacklog)
	q.opts.Census = nil
	return c.Open(), err
}

// loadStored loads tasks that are to stay as they are, and returns the ids of the others.
func (q *Queue) loadStored(ids []string) (rest []string, err error) {
	tasks := make([]ondemand.Task, 0, len(ids))
	err = q.store.View(func(tx *store.Tx) error {
		for _, id := range ids {
			t, err := records.LoadExisting(tx, id)
			if err != nil {
				return err
			}
			tasks = append(tasks, t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	overflow := q.overflow(len(tasks), func(i int) *ondemand.Task { return &tasks[i] }, false)
	var changes []change
	for i, t := range tasks {
		if t.Status == ondemand.InProgress && !waitsForChildren(&t) && t.Run == nil || t.Status.Queued() && overflow[i] {
			rest = append(rest, t.ID)
		} else {
			changes = append(changes, change{task: &t, recovered: true})
		}
	}
	q.apply(changes)
	return rest, nil
}

// waitsForChildren reports whether a task that is INPROGRESS has no job, but children that have not ended.
func waitsForChildren(t *ondemand.Task) bool { return t.Children != nil && t.Children.Open() > 0 }

// recoverTask moves a task that the last process left INPROGRESS, or for which there is no room in memory.
func (q *Queue) recoverTask(tx *store.Tx, t ondemand.Task) ([]change, error) {
	now := q.now()
	if t.Status.Queued() { // an earlier version of the program had all of them in memory
		return []change{{task: &t, recovered: true, overflow: true}}, records.JoinBacklog(tx, &t)
	}
	t.Crashes++
	if t.RanAlone && t.Crashes >= q.opts.MaxCrashes {
		t.StatusMessage = fmt.Sprintf("gave up: the process stopped %d times while the task ran, the last time while no other task ran", t.Crashes)
		return endTask(tx, t, ondemand.Failed, t.StatusMessage, now)
	}
	c, err := moveTask(tx, t, ondemand.Waiting, "the process stopped while the task ran", now)
	return []change{c}, err
}
