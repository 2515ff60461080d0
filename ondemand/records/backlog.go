package records

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// The queue holds a window of the waiting tasks in memory. What does not fit is the backlog: tasks that only the store has,
// found again by their lane, in the order in which they were received, and by what they sync.
//
//	backlog            length and name of the lane + order key → nothing
//	backlog_resources  path of the first resource + 0 + id      → key in backlog
//
// The path of an object begins with that of what contains it. The first resource of a task is enough: a job that takes the
// task along covers all of them.
var (
	bucketBacklog          = []byte("backlog")
	bucketBacklogResources = []byte("backlog_resources")
)

// LaneOf returns whose tasks wait in one line: those of an owner, the syncs of resources apart from others.
func LaneOf(t *ondemand.Task) string {
	if t.Type == ondemand.ResourceSync {
		return "r" + OwnerOf(t)
	}
	return "o" + OwnerOf(t)
}

// OwnerOf returns whose task it is: who posted it, or else its source.
func OwnerOf(t *ondemand.Task) string {
	if t.PostedBy != "" {
		return t.PostedBy
	}
	return t.Source
}

// MayQueueBehind reports whether a task may wait outside memory. What the daemon asks of itself may not: it is little, and
// has its own order.
func MayQueueBehind(t *ondemand.Task) bool {
	return t.Priority > ondemand.ShardPriority && t.Priority < ondemand.Urgent && t.ParentID == ""
}

func appendBacklogPrefix(to []byte, lane string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(lane))), lane...)
}

func backlogKey(t *ondemand.Task) []byte {
	return appendOrder(appendBacklogPrefix(nil, LaneOf(t)), t)
}

// backlogID returns the id at the end of a key.
func backlogID(key []byte) (id string, ok bool) {
	n, size := binary.Uvarint(key)
	if size <= 0 || n > uint64(len(key)-size) || uint64(len(key)-size)-n <= 8 {
		return "", false
	}
	return string(key[size+int(n)+8:]), true
}

// appendPath appends a key of which those of all objects inside are extensions by the byte 1. Names hold no control characters.
func appendPath(to []byte, s policy.Securable) []byte {
	switch s.Type {
	case policy.Metastore:
		return append(to, 'm')
	case policy.Catalog, policy.Schema:
		to = append(to, "c\x01"...)
		from := len(to)
		to = append(to, s.FullName...)
		for i := from; i < len(to); i++ {
			if to[i] == '.' {
				to[i] = 1
			}
		}
		return to
	case policy.Table, policy.Function, policy.Volume:
		container, _ := s.Parent()
		return appendTyped(appendPath(to, container), s.Type, s.FullName[len(container.FullName)+1:])
	}
	return appendTyped(append(to, 'm'), s.Type, s.FullName)
}

func appendTyped(to []byte, t policy.SecurableType, name string) []byte {
	return append(append(append(append(to, 1), strings.ToLower(string(t))...), ':'), name...)
}

// JoinBacklog puts a task that is stored as waiting into the backlog.
func JoinBacklog(tx *store.Tx, t *ondemand.Task) error {
	b := NewBatch(1)
	b.addBacklog(t)
	return put(tx, b.list)
}

// addBacklog adds what is written for a task that waits in the backlog, besides the task itself and what its status does not
// change.
func (b *Batch) addBacklog(t *ondemand.Task) {
	key := b.keep(func(to []byte) []byte { return appendOrder(appendBacklogPrefix(to, LaneOf(t)), t) })
	b.add(bucketBacklog, key, func(to []byte) []byte { return to })
	if path := b.keep(func(to []byte) []byte { return appendFirstPath(to, t) }); len(path) > 0 {
		b.add(bucketBacklogResources, path, func(to []byte) []byte { return append(to, key...) })
	}
	indexed := summaryOf(t)
	indexed.backlog = true
	b.add(bucketByStatus, b.keep(func(to []byte) []byte { return appendStatus(to, t) }), indexed.append)
}

// appendFirstPath appends the key of a task in backlog_resources; nothing where it syncs none.
func appendFirstPath(to []byte, t *ondemand.Task) []byte {
	if t.Type != ondemand.ResourceSync {
		return to
	}
	for _, r := range t.RequestInfo.Resources {
		if s, err := r.Securable(); err == nil {
			return append(append(appendPath(to, s), 0), t.ID...)
		}
	}
	return to
}

// leaveBacklog removes a task from the backlog, and reports whether it was there.
func leaveBacklog(tx *store.Tx, t *ondemand.Task) (bool, error) {
	key := backlogKey(t)
	backlog := tx.Bucket(bucketBacklog)
	if backlog.Get(key) == nil {
		return false, nil
	}
	if path := appendFirstPath(nil, t); path != nil {
		if err := tx.Bucket(bucketBacklogResources).Delete(path); err != nil {
			return false, err
		}
	}
	return true, backlog.Delete(key)
}

// TakeFromBacklog returns the first n tasks of a lane, which leave the backlog: the WAITING ones now, the NEW ones as soon as
// they are stored as WAITING. It returns how many entries it has used up, some of them of tasks that have ended.
func TakeFromBacklog(tx *store.Tx, lane string, n int) (tasks []ondemand.Task, used int, err error) {
	prefix := appendBacklogPrefix(nil, lane)
	var keys [][]byte // first, because a cursor does not survive writes
	c := tx.Bucket(bucketBacklog).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix) && len(keys) < n; k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	for _, key := range keys {
		id, ok := backlogID(key)
		if !ok {
			return nil, 0, policy.Errorf(policy.CodeInternal, "read the backlog: the key %q is none", key)
		}
		t, found, err := Load(tx, id)
		switch {
		case err != nil:
		case !found || !t.Status.Queued(): // an older version of the program ended it, which knows no backlog
			err = tx.Bucket(bucketBacklog).Delete(key)
		default:
			tasks = append(tasks, t)
			if t.Status == ondemand.Waiting {
				if _, err = leaveBacklog(tx, &t); err == nil {
					err = tx.Bucket(bucketByStatus).Put(statusKey(&t), summaryOf(&t).append(nil))
				}
			}
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read the backlog: %w", err)
		}
	}
	return tasks, len(keys), nil
}

// SearchBacklog calls visit with the id of each task of the backlog whose first resource is the object, or with inside lies in
// it, until visit returns false.
func SearchBacklog(tx *store.Tx, object policy.Securable, inside bool, visit func(id string) bool) {
	prefix := append(appendPath(nil, object), 0)
	if inside {
		prefix[len(prefix)-1] = 1
	}
	c := tx.Bucket(bucketBacklogResources).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if id, ok := backlogID(v); ok && tx.Bucket(bucketBacklog).Get(v) != nil && !visit(id) {
			return
		}
	}
}
