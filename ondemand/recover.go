package ondemand

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"ucwarden/ondemand/store"
)

// recoverChunk is how many tasks a start reads, or moves, in one transaction.
const recoverChunk = 500

// recoverTasks counts the tasks that have not ended, and loads those that are not in the backlog. What the last process left
// INPROGRESS goes back to WAITING, or to FAILED where it is the likely cause of several crashes. A parent whose children are
// open stays INPROGRESS.
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
			t, err := loadExisting(tx, id)
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

// Census counts the tasks that have not ended while their store is opened, so that the index of a large one need not be read
// twice. Its zero value is ready.
type Census struct {
	begun  bool
	ids    []string        // of tasks that are not in the backlog
	behind map[string]*int // tasks of the backlog, by status byte and summary, of which there are few
	key    []byte          // buffer
}

// Visit counts an entry of the store, see store.Options.
func (c *Census) Visit(bucket, key, value []byte) {
	c.begun = true
	if !bytes.Equal(bucket, bucketByStatus) || len(key) < 9 || key[0] != statusBytes[New] && key[0] != statusBytes[Waiting] && key[0] != statusBytes[InProgress] {
		return
	}
	if !inBacklog(value) {
		c.ids = append(c.ids, string(key[9:]))
		return
	}
	if c.behind == nil {
		c.behind = make(map[string]*int)
	}
	c.key = append(append(c.key[:0], key[0]), value...)
	n := c.behind[string(c.key)]
	if n == nil {
		n = new(int)
		c.behind[string(c.key)] = n
	}
	*n++
}

// countStored counts the tasks of the backlog, and returns the ids of the others that have not ended.
func (q *Queue) countStored() (ids []string, err error) {
	c := q.opts.Census
	if c == nil || !c.begun {
		c = new(Census)
		err = q.store.View(func(tx *store.Tx) error {
			cursor := tx.Bucket(bucketByStatus).Cursor()
			for _, s := range []Status{New, Waiting, InProgress} {
				prefix := []byte{statusBytes[s]}
				for k, v := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = cursor.Next() {
					c.Visit(bucketByStatus, k, v)
				}
			}
			return nil
		})
	}
	for status, b := range statusBytes {
		for v, n := range c.behind {
			if v[0] == b {
				f := decodeSummary([]byte(v[1:]))
				q.live.countBacklog(f.typ, status, laneOf(&Task{Type: f.typ, PostedBy: f.owner}), *n)
			}
		}
	}
	q.opts.Census = nil
	slices.Sort(c.ids) // they are loaded by id
	return c.ids, err
}

// inBacklog reports whether an encoded summary says that the task is in the backlog.
func inBacklog(b []byte) bool {
	for range 4 {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return false
		}
		b = b[size+int(n):]
	}
	return len(b) > 0
}

// loadStored loads tasks that are to stay as they are, and returns the ids of the others.
func (q *Queue) loadStored(ids []string) (rest []string, err error) {
	tasks := make([]Task, 0, len(ids))
	err = q.store.View(func(tx *store.Tx) error {
		for _, id := range ids {
			t, err := loadExisting(tx, id)
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
	overflow := q.overflow(tasks, false)
	var changes []change
	for i, t := range tasks {
		if t.Status == InProgress && !t.waitsForChildren() || t.Status.queued() && overflow[i] {
			rest = append(rest, t.ID)
		} else {
			changes = append(changes, change{task: t, recovered: true})
		}
	}
	q.apply(changes)
	return rest, nil
}

// waitsForChildren reports whether a task that is INPROGRESS has no job, but children that have not ended.
func (t *Task) waitsForChildren() bool { return t.Children != nil && t.Children.Open() > 0 }

// recoverTask moves a task that the last process left INPROGRESS, or for which there is no room in memory.
func (q *Queue) recoverTask(tx *store.Tx, t Task) ([]change, error) {
	now := q.now()
	if t.Status.queued() { // an earlier version of the program had all of them in memory
		return []change{{task: t, recovered: true, overflow: true}}, joinBacklog(tx, &t)
	}
	t.Crashes++
	if t.RanAlone && t.Crashes >= q.opts.MaxCrashes {
		t.StatusMessage = fmt.Sprintf("gave up: the process stopped %d times while the task ran, the last time while no other task ran", t.Crashes)
		return endTask(tx, t, Failed, t.StatusMessage, now)
	}
	c, err := moveTask(tx, t, Waiting, "the process stopped while the task ran", now)
	return []change{c}, err
}
