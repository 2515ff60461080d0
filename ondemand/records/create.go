package records

import (
	"fmt"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
)

// NewTask is a task that is not stored yet, with all that is to be written for it: only one transaction runs at a time, and
// others wait for it, so that as little as possible is left to do in there.
type NewTask struct {
	entries []entry
}

type entry struct{ bucket, key, value []byte }

// Prepare returns what is to be written for a new task; to the backlog as well, where that is set.
func Prepare(t *ondemand.Task, backlog bool) (NewTask, error) {
	data, err := t.MarshalJSON()
	if err != nil {
		return NewTask{}, fmt.Errorf("write task %s: %w", t.ID, err)
	}
	fields, order := summaryOf(t), orderKey(t)
	indexed := fields.encode()
	entries := make([]entry, 0, 6)
	entries = append(entries, entry{bucketTasks, []byte(t.ID), data}, entry{bucketByTime, order, indexed})
	if t.ParentID != "" {
		entries = append(entries, entry{bucketByParent, parentKey(t.ParentID, order), indexed})
	}
	if id := t.ExternalID(); id != "" {
		entries = append(entries, entry{bucketByExternal, externalKey(id, order), indexed})
	}
	if backlog {
		key := backlogKey(t)
		entries = append(entries, entry{bucketBacklog, key, nil})
		if path := firstPath(t); path != nil {
			entries = append(entries, entry{bucketBacklogResources, path, key})
		}
		fields.backlog = true
		indexed = fields.encode()
	}
	return NewTask{append(entries, entry{bucketByStatus, statusKey(t), indexed})}, nil
}

// Create stores the task.
func (n *NewTask) Create(tx *store.Tx) error {
	for i := range n.entries {
		if err := tx.Bucket(n.entries[i].bucket).Put(n.entries[i].key, n.entries[i].value); err != nil {
			return err
		}
	}
	return nil
}
