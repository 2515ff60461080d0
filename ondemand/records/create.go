package records

import (
	"fmt"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
)

// NewTask is a task that is not stored yet, with all that is to be written for it: only one transaction runs at a time, and
// others wait for it, so that as little as possible is left to do in there.
type NewTask struct{ entries entries }

// entries are what is to be written for a task.
type entries []entry

type entry struct{ bucket, key, value []byte }

func (list entries) put(tx *store.Tx) error {
	for i := range list {
		if err := tx.Bucket(list[i].bucket).Put(list[i].key, list[i].value); err != nil {
			return err
		}
	}
	return nil
}

// Prepare returns what is to be written for a new task; to the backlog as well, where that is set.
func Prepare(t *ondemand.Task, backlog bool) (NewTask, error) {
	data, err := t.MarshalJSON()
	if err != nil {
		return NewTask{}, fmt.Errorf("write task %s: %w", t.ID, err)
	}
	indexed, order := summaryOf(t).encode(), orderKey(t)
	list := append(make(entries, 0, 7), entry{bucketTasks, []byte(t.ID), data}, entry{bucketByTime, order, indexed})
	if t.ParentID != "" {
		list = append(list, entry{bucketByParent, parentKey(t.ParentID, order), indexed})
	}
	if id := t.ExternalID(); id != "" {
		list = append(list, entry{bucketByExternal, externalKey(id, order), indexed})
	}
	if backlog {
		return NewTask{appendBacklog(list, t)}, nil
	}
	return NewTask{append(list, entry{bucketByStatus, statusKey(t), indexed})}, nil
}

// Create stores the task.
func (n *NewTask) Create(tx *store.Tx) error { return n.entries.put(tx) }
