package records

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
)

// The buckets of the store's file that hold the tasks. A time key is 8 bytes: nanoseconds since 1970, big-endian with the sign bit
// flipped, so that keys sort by time. An order key is the time key of a task's receipt, followed by its id.
//
//	tasks      id                          → the task's JSON
//	by_status  status byte + order key     → summary; all tasks in the order of their receipt are those of each status, merged
//	by_parent  parent id + 0 + order key   → summary
//	by_external  length of the external id and itself + order key → summary; only of tasks that have one
//	shards     parent id + 0 + child id    → status byte of a child that its parent counts
//	positions  stream                      → the JSON of a Position
//
// A summary holds the fields that a list filters by, so that only the tasks on the page are decoded.
var (
	bucketTasks      = []byte("tasks")
	bucketByStatus   = []byte("by_status")
	bucketByParent   = []byte("by_parent")
	bucketByExternal = []byte("by_external")
	bucketShards     = []byte("shards")
)

var buckets = [][]byte{
	bucketTasks, bucketByStatus, bucketByParent, bucketByExternal, bucketShards, bucketPositions, bucketBacklog, bucketBacklogResources,
}

// bucketByTime had the summary of each task under its order key until version 4 of the layout.
var bucketByTime = []byte("by_time")

// Open adds to a store what the functions of this package use, and brings one of an older version of the program up to date: the
// index by external id is added, and the one by time goes.
func Open(s *store.Store) error {
	if err := s.AddBuckets(buckets...); err != nil {
		return err
	}
	return s.Upgrade(func(tx *store.Tx) error {
		c := tx.Bucket(bucketByStatus).Cursor()
		for k, v := c.Seek([]byte{0}); k != nil; k, v = c.Next() {
			if decodeSummary(v).typ != ondemand.PipelineUpdate {
				continue
			}
			t, err := LoadExisting(tx, string(k[9:]))
			if err != nil {
				return err
			}
			if id := t.ExternalID(); id != "" {
				if err := tx.Bucket(bucketByExternal).Put(externalKey(id, k[1:]), v); err != nil {
					return err
				}
			}
		}
		return tx.DropBucket(bucketByTime)
	})
}

var statusBytes = map[ondemand.Status]byte{ondemand.New: 'N', ondemand.Waiting: 'W', ondemand.InProgress: 'I', ondemand.Success: 'S', ondemand.Failed: 'F', ondemand.Skipped: 'K'}

func appendTime(to []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(to, uint64(t.UnixNano())^(1<<63))
}

func timeKey(t time.Time) []byte { return appendTime(nil, t) }

func appendOrder(to []byte, t *ondemand.Task) []byte {
	return append(appendTime(to, t.ReceivedTime), t.ID...)
}

func orderKey(t *ondemand.Task) []byte { return appendOrder(nil, t) }

func appendStatus(to []byte, t *ondemand.Task) []byte {
	return appendOrder(append(to, statusBytes[t.Status]), t)
}

func statusKey(t *ondemand.Task) []byte { return appendStatus(nil, t) }

func parentKey(parent string, rest []byte) []byte {
	return append(append([]byte(parent), 0), rest...)
}

// externalKey returns the key of a task, by its order key, in by_external. An external id may hold any character.
func externalKey(id string, order []byte) []byte {
	return append(append(binary.AppendUvarint(nil, uint64(len(id))), id...), order...)
}

// summary holds what a list filters by in addition to the index it reads, and what a start counts.
type summary struct {
	typ     ondemand.Type
	source  string
	parent  string
	owner   string
	backlog bool // only in by_status: the task is in the backlog
}

func summaryOf(t *ondemand.Task) summary {
	return summary{typ: t.Type, source: t.Source, parent: t.ParentID, owner: OwnerOf(t)}
}

func (s summary) append(to []byte) []byte {
	fields := [...]string{string(s.typ), s.source, s.parent, s.owner, "b"}
	n := len(fields)
	if !s.backlog {
		n--
	}
	for _, field := range fields[:n] {
		to = append(binary.AppendUvarint(to, uint64(len(field))), field...)
	}
	return to
}

func decodeSummary(b []byte) summary {
	var fields [5]string
	for i := range fields {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			break
		}
		fields[i] = string(b[size : size+int(n)])
		b = b[size+int(n):]
	}
	return summary{ondemand.Type(fields[0]), fields[1], fields[2], fields[3], fields[4] != ""}
}

// Has reports whether there is a task of that id. It takes less than [Load].
func Has(tx *store.Tx, id string) bool { return tx.Bucket(bucketTasks).Get([]byte(id)) != nil }

// Load returns one task; ok is false when there is none.
func Load(tx *store.Tx, id string) (task ondemand.Task, ok bool, err error) {
	data := tx.Bucket(bucketTasks).Get([]byte(id))
	if data == nil {
		return ondemand.Task{}, false, nil
	}
	var t ondemand.Task // allocated only where there is one: before each new task is looked whether it is there
	if err := json.Unmarshal(data, &t); err != nil {
		return ondemand.Task{}, false, fmt.Errorf("read stored task %s: %w", id, err)
	}
	return t, true, nil
}

// LoadExisting returns one task, or an error of class not found when there is none.
func LoadExisting(tx *store.Tx, id string) (ondemand.Task, error) {
	t, ok, err := Load(tx, id)
	if err == nil && !ok {
		err = ondemand.NotFound(id)
	}
	return t, err
}

// Store writes a task and its index entries. old is the status it had in the store, "" for a new task.
func Store(tx *store.Tx, t *ondemand.Task, old ondemand.Status) error {
	if old == "" {
		n, err := NewBatch(1).Prepare(t, false)
		if err != nil {
			return err
		}
		return n.Create(tx)
	}
	data, err := t.MarshalJSON()
	if err != nil {
		return fmt.Errorf("write task %s: %w", t.ID, err)
	}
	if err := tx.Bucket(bucketTasks).Put([]byte(t.ID), data); err != nil || old == t.Status {
		return err
	}
	byStatus := tx.Bucket(bucketByStatus)
	before := *t
	before.Status = old
	if err := byStatus.Delete(statusKey(&before)); err != nil {
		return err
	}
	if old.Queued() {
		if _, err := leaveBacklog(tx, t); err != nil {
			return err
		}
	}
	return byStatus.Put(statusKey(t), summaryOf(t).append(nil))
}

// Delete removes a task and its index entries.
func Delete(tx *store.Tx, t *ondemand.Task) error {
	for _, entry := range []struct{ bucket, key []byte }{
		{bucketTasks, []byte(t.ID)}, {bucketByStatus, statusKey(t)},
		{bucketByParent, parentKey(t.ParentID, orderKey(t))}, {bucketShards, parentKey(t.ParentID, []byte(t.ID))},
		{bucketByExternal, externalKey(t.ExternalID(), orderKey(t))},
	} {
		if err := tx.Bucket(entry.bucket).Delete(entry.key); err != nil {
			return err
		}
	}
	return DeleteShards(tx, t.ID)
}

// DeleteShards removes the records of which children a parent counts.
func DeleteShards(tx *store.Tx, parent string) error {
	prefix := parentKey(parent, nil)
	c := tx.Bucket(bucketShards).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Seek(prefix) {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// OpenShards returns the ids of the children that have not ended.
func OpenShards(tx *store.Tx, parent string) []string {
	prefix := parentKey(parent, nil)
	var ids []string
	c := tx.Bucket(bucketShards).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if len(v) == 1 && v[0] == statusBytes[ondemand.New] {
			ids = append(ids, string(k[len(prefix):]))
		}
	}
	return ids
}

// ReceivedBefore returns the ids of up to n tasks of a status that were received before a time, from a key on that an earlier call
// returned, or nil; and where to go on, nil at the end.
func ReceivedBefore(tx *store.Tx, s ondemand.Status, cutoff time.Time, from []byte, n int) (ids []string, next []byte) {
	end := append([]byte{statusBytes[s]}, timeKey(cutoff)...)
	if from == nil {
		from = end[:1]
	}
	c := tx.Bucket(bucketByStatus).Cursor()
	for k, _ := c.Seek(from); k != nil && k[0] == end[0] && string(k[:9]) < string(end); k, _ = c.Next() {
		if len(ids) == n {
			return ids, bytes.Clone(k)
		}
		ids = append(ids, string(k[9:]))
	}
	return ids, nil
}
