package ondemand

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"ucwarden/policy"
)

// The layout of the file. A moment is 8 bytes, nanoseconds since 1970, big-endian with the sign bit flipped, so that
// keys sort by time; a position is a moment and the id of the task received then.
//
//	meta       "schema", "seq"
//	tasks      id                          → the task's JSON
//	by_time    position                    → summary
//	by_status  status byte + position      → summary
//	by_parent  parent id + 0 + position    → summary
//	shards     parent id + 0 + child id    → status byte of a child that its parent counts
//	values     key                         → value of another part of the process
//
// A summary holds the fields that a listing filters by, so that it decodes only the tasks it returns.
var (
	bucketMeta     = []byte("meta")
	bucketTasks    = []byte("tasks")
	bucketByTime   = []byte("by_time")
	bucketByStatus = []byte("by_status")
	bucketByParent = []byte("by_parent")
	bucketShards   = []byte("shards")
	bucketValues   = []byte("values")

	allBuckets = [][]byte{bucketMeta, bucketTasks, bucketByTime, bucketByStatus, bucketByParent, bucketShards, bucketValues}

	keySchema = []byte("schema")
	keySeq    = []byte("seq")
)

var statusBytes = map[Status]byte{New: 'N', Waiting: 'W', InProgress: 'I', Success: 'S', Failed: 'F', Skipped: 'K'}

func moment(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixNano())^(1<<63))
}

func position(t *Task) []byte { return append(moment(t.ReceivedTime), t.ID...) }

func statusKey(t *Task) []byte { return append([]byte{statusBytes[t.Status]}, position(t)...) }

func familyKey(parent string, rest []byte) []byte {
	return append(append([]byte(parent), 0), rest...)
}

// summary is what a listing filters by beside its index.
type summary struct {
	typ    Type
	source string
	parent string
}

func (s summary) encode() []byte {
	b := make([]byte, 0, len(s.typ)+len(s.source)+len(s.parent)+6)
	for _, field := range []string{string(s.typ), s.source, s.parent} {
		b = append(binary.AppendUvarint(b, uint64(len(field))), field...)
	}
	return b
}

func decodeSummary(b []byte) summary {
	var fields [3]string
	for i := range fields {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			break
		}
		fields[i] = string(b[size : size+int(n)])
		b = b[size+int(n):]
	}
	return summary{Type(fields[0]), fields[1], fields[2]}
}

// loadTask reads one task; ok is false when there is none.
func loadTask(tx *bolt.Tx, id string) (t Task, ok bool, err error) {
	data := tx.Bucket(bucketTasks).Get([]byte(id))
	if data == nil {
		return Task{}, false, nil
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return Task{}, false, fmt.Errorf("read stored task %s: %w", id, err)
	}
	return t, true, nil
}

func mustLoad(tx *bolt.Tx, id string) (Task, error) {
	t, ok, err := loadTask(tx, id)
	if err == nil && !ok {
		err = policy.Errorf(policy.CodeNotFound, "there is no task %q", id)
	}
	return t, err
}

// storeTask writes a task and moves its index entries. old is the status it had in the store, "" for a new task.
func storeTask(tx *bolt.Tx, t *Task, old Status) error {
	data, err := t.MarshalJSON()
	if err != nil {
		return fmt.Errorf("write task %s: %w", t.ID, err)
	}
	if err := tx.Bucket(bucketTasks).Put([]byte(t.ID), data); err != nil {
		return err
	}
	if old == t.Status {
		return nil
	}
	about := summary{t.Type, t.Source, t.ParentID}.encode()
	byStatus := tx.Bucket(bucketByStatus)
	if old != "" {
		before := *t
		before.Status = old
		if err := byStatus.Delete(statusKey(&before)); err != nil {
			return err
		}
	} else {
		if err := tx.Bucket(bucketByTime).Put(position(t), about); err != nil {
			return err
		}
		if t.ParentID != "" {
			if err := tx.Bucket(bucketByParent).Put(familyKey(t.ParentID, position(t)), about); err != nil {
				return err
			}
		}
	}
	return byStatus.Put(statusKey(t), about)
}

// deleteTask removes a task and everything that points to it.
func deleteTask(tx *bolt.Tx, t *Task) error {
	for _, entry := range []struct{ bucket, key []byte }{
		{bucketTasks, []byte(t.ID)}, {bucketByTime, position(t)}, {bucketByStatus, statusKey(t)},
		{bucketByParent, familyKey(t.ParentID, position(t))}, {bucketShards, familyKey(t.ParentID, []byte(t.ID))},
	} {
		if err := tx.Bucket(entry.bucket).Delete(entry.key); err != nil {
			return err
		}
	}
	return dropShards(tx, t.ID)
}

// dropShards forgets which children a parent counts.
func dropShards(tx *bolt.Tx, parent string) error {
	prefix := familyKey(parent, nil)
	c := tx.Bucket(bucketShards).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Seek(prefix) {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// openShards lists the children that their parent still waits for.
func openShards(tx *bolt.Tx, parent string) []string {
	prefix := familyKey(parent, nil)
	var ids []string
	c := tx.Bucket(bucketShards).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if len(v) == 1 && v[0] == statusBytes[New] {
			ids = append(ids, string(k[len(prefix):]))
		}
	}
	return ids
}

// Filter selects tasks for a listing. Zero fields select everything.
type Filter struct {
	Status   Status
	Type     Type
	Source   string
	ParentID string
	Since    time.Time // received at or after
	Limit    int       // page size; 0 means 100, at most 1,000
	Cursor   string    // Page.NextCursor of the page before, with the same filter
}

// Page is one page of a listing, newest received first.
type Page struct {
	Items      []Task `json:"items"`
	NextCursor string `json:"nextCursor,omitempty"` // empty on the last page
}

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// list reads one page. The index with the fewest entries to pass over is chosen; all of them end with the position.
func list(tx *bolt.Tx, f Filter) (Page, error) {
	limit := min(f.Limit, maxLimit)
	if limit <= 0 {
		limit = defaultLimit
	}
	bucket, prefix := bucketByTime, []byte(nil)
	switch {
	case f.Status != "":
		b, ok := statusBytes[f.Status]
		if !ok {
			return Page{}, policy.Errorf(policy.CodeInvalid, "list tasks: unknown status %q", f.Status)
		}
		bucket, prefix = bucketByStatus, []byte{b}
	case f.ParentID != "":
		bucket, prefix = bucketByParent, familyKey(f.ParentID, nil)
	}
	c := tx.Bucket(bucket).Cursor()
	k, v, err := seekPage(c, prefix, f.Cursor)
	if err != nil {
		return Page{}, err
	}
	page := Page{Items: []Task{}}
	var last []byte
	for ; k != nil && bytes.HasPrefix(k, prefix); k, v = c.Prev() {
		at := k[len(prefix):]
		if !f.Since.IsZero() && bytes.Compare(at[:8], moment(f.Since)) < 0 {
			break
		}
		about := decodeSummary(v)
		if f.Type != "" && about.typ != f.Type || f.Source != "" && about.source != f.Source ||
			f.ParentID != "" && about.parent != f.ParentID {
			continue
		}
		if len(page.Items) == limit {
			page.NextCursor = base64.RawURLEncoding.EncodeToString(last)
			break
		}
		t, err := mustLoad(tx, string(at[8:]))
		if err != nil {
			return Page{}, fmt.Errorf("list tasks: %w", err)
		}
		page.Items = append(page.Items, t)
		last = at
	}
	return page, nil
}

// seekPage goes to the newest entry under prefix, or to the first one older than the cursor.
func seekPage(c *bolt.Cursor, prefix []byte, cursor string) (k, v []byte, err error) {
	before := append([]byte(nil), prefix...)
	if cursor == "" {
		before = append(before, bytes.Repeat([]byte{0xff}, 9)...)
	} else {
		at, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil || len(at) < 9 {
			return nil, nil, policy.Errorf(policy.CodeInvalid, "list tasks: the cursor is not one that a page gave")
		}
		before = append(before, at...)
	}
	if k, _ := c.Seek(before); k == nil {
		k, v = c.Last()
		return k, v, nil
	}
	k, v = c.Prev()
	return k, v, nil
}
