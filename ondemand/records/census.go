package records

import (
	"bytes"
	"encoding/binary"
	"slices"

	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
)

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
	if !bytes.Equal(bucket, bucketByStatus) || len(key) < 9 || key[0] != statusBytes[ondemand.New] && key[0] != statusBytes[ondemand.Waiting] && key[0] != statusBytes[ondemand.InProgress] {
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

// Begun reports whether any entry was visited.
func (c *Census) Begun() bool { return c.begun }

// Read visits the entries of a store that is open.
func (c *Census) Read(tx *store.Tx) {
	cursor := tx.Bucket(bucketByStatus).Cursor()
	for _, s := range []ondemand.Status{ondemand.New, ondemand.Waiting, ondemand.InProgress} {
		prefix := []byte{statusBytes[s]}
		for k, v := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = cursor.Next() {
			c.Visit(bucketByStatus, k, v)
		}
	}
}

// Open returns the ids of the tasks that have not ended and are not in the backlog, sorted.
func (c *Census) Open() []string {
	slices.Sort(c.ids)
	return c.ids
}

// Backlog calls visit with the number of tasks of the backlog, by type, status and lane.
func (c *Census) Backlog(visit func(typ ondemand.Type, s ondemand.Status, lane string, n int)) {
	for status, b := range statusBytes {
		for v, n := range c.behind {
			if v[0] == b {
				f := decodeSummary([]byte(v[1:]))
				visit(f.typ, status, LaneOf(&ondemand.Task{Type: f.typ, PostedBy: f.owner}), *n)
			}
		}
	}
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
