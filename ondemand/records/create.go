package records

import (
	"fmt"
	"slices"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
)

// Batch prepares tasks that are not stored yet: only one transaction runs at a time, and others wait for it, so that as little as
// possible is left to do in there. What is to be written for them shares few pieces of memory.
type Batch struct {
	list []store.Entry
	text []byte // keys and values; where it is full, it is left to the entries that share it
	size int    // of such a piece
}

// Grow makes room for about that many tasks.
func (b *Batch) Grow(tasks int) {
	b.list = slices.Grow(b.list, tasks*usualEntries)
	b.size = min(tasks*usualText, mostText)
}

// Reset makes the batch empty. It uses its memory again, to which nothing may refer any more.
func (b *Batch) Reset() {
	clear(b.list)
	b.list, b.text = b.list[:0], b.text[:0]
	if cap(b.text) > mostText {
		b.text = nil
	}
}

const (
	usualEntries = 5   // of a task
	usualText    = 640 // without resources
	mostText     = 256 << 10
)

// NewBatch returns a Batch for about that many tasks.
func NewBatch(tasks int) *Batch {
	b := new(Batch)
	b.Grow(tasks)
	return b
}

// NewTask is all that is to be written for a new task.
type NewTask struct{ entries []store.Entry }

// Create stores the task.
func (n *NewTask) Create(tx *store.Tx) error { return put(tx, n.entries) }

func put(tx *store.Tx, entries []store.Entry) error {
	for i := range entries {
		if err := tx.Put(entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// Prepare returns what is to be written for a new task; to the backlog as well, where that is set.
func (b *Batch) Prepare(t *ondemand.Task, backlog bool) (NewTask, error) {
	if need := usualText + 256*len(t.RequestInfo.Resources); cap(b.text)-len(b.text) < need {
		b.text = make([]byte, 0, max(need, b.size))
	}
	from := len(b.list)
	id, order := b.keep(func(to []byte) []byte { return append(to, t.ID...) }), b.keep(func(to []byte) []byte { return appendOrder(to, t) })
	var err error
	b.add(bucketTasks, id, func(to []byte) []byte { to, err = t.AppendJSON(to); return to })
	if err != nil {
		return NewTask{}, fmt.Errorf("write task %s: %w", t.ID, err)
	}
	indexed := summaryOf(t)
	if t.ParentID != "" {
		b.add(bucketByParent, parentKey(t.ParentID, order), indexed.append)
	}
	if id := t.ExternalID(); id != "" {
		b.add(bucketByExternal, externalKey(id, order), indexed.append)
	}
	if backlog {
		b.addBacklog(t)
	} else {
		b.add(bucketByStatus, b.keep(func(to []byte) []byte { return appendStatus(to, t) }), indexed.append)
	}
	return NewTask{b.list[from:len(b.list):len(b.list)]}, nil
}

// keep returns what f appends.
func (b *Batch) keep(f func(to []byte) []byte) []byte {
	from := len(b.text)
	b.text = f(b.text)
	return b.text[from:len(b.text):len(b.text)]
}

// add adds an entry with the value that f appends.
func (b *Batch) add(bucket, key []byte, f func(to []byte) []byte) {
	sealed := b.keep(func(to []byte) []byte { return f(append(to, make([]byte, store.SealSize)...)) })
	b.list = append(b.list, store.Seal(bucket, key, sealed))
}
