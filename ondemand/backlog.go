package ondemand

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

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

// laneOf returns whose tasks wait in one line: those of an owner, the syncs of resources apart from others.
func laneOf(t *Task) string {
	if t.Type == ResourceSync {
		return "r" + ownerOf(t)
	}
	return "o" + ownerOf(t)
}

// ownerOf returns whose task it is: who posted it, or else its source.
func ownerOf(t *Task) string {
	if t.PostedBy != "" {
		return t.PostedBy
	}
	return t.Source
}

// mayQueueBehind reports whether a task may wait outside memory. What the daemon asks of itself may not: it is little, and
// has its own order.
func mayQueueBehind(t *Task) bool {
	return t.Priority > shardPriority && t.Priority < Urgent && t.ParentID == ""
}

func backlogPrefix(lane string) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(lane))), lane...)
}

func backlogKey(t *Task) []byte { return append(backlogPrefix(laneOf(t)), orderKey(t)...) }

// backlogID returns the id at the end of a key.
func backlogID(key []byte) (id string, ok bool) {
	n, size := binary.Uvarint(key)
	if size <= 0 || n > uint64(len(key)-size) || uint64(len(key)-size)-n <= 8 {
		return "", false
	}
	return string(key[size+int(n)+8:]), true
}

// pathOf returns a key of which those of all objects inside are extensions by the byte 1. Names hold no control characters.
func pathOf(s policy.Securable) []byte {
	switch s.Type {
	case policy.Metastore:
		return []byte("m")
	case policy.Catalog, policy.Schema:
		return []byte("c\x01" + strings.ReplaceAll(s.FullName, ".", "\x01"))
	case policy.Table, policy.Function, policy.Volume:
		container, _ := s.Parent()
		return append(pathOf(container), "\x01"+strings.ToLower(string(s.Type))+":"+s.FullName[len(container.FullName)+1:]...)
	}
	return []byte("m\x01" + strings.ToLower(string(s.Type)) + ":" + s.FullName)
}

// joinBacklog puts a task that is stored as waiting into the backlog.
func joinBacklog(tx *store.Tx, t *Task) error {
	key := backlogKey(t)
	if err := tx.Bucket(bucketBacklog).Put(key, nil); err != nil {
		return err
	}
	if path := firstPath(t); path != nil {
		if err := tx.Bucket(bucketBacklogResources).Put(path, key); err != nil {
			return err
		}
	}
	indexed := summaryOf(t)
	indexed.backlog = true
	return tx.Bucket(bucketByStatus).Put(statusKey(t), indexed.encode())
}

// firstPath returns the key of a task in backlog_resources; nil where it syncs none.
func firstPath(t *Task) []byte {
	if t.Type != ResourceSync {
		return nil
	}
	for _, r := range t.RequestInfo.Resources {
		if s, err := r.Securable(); err == nil {
			return append(append(pathOf(s), 0), t.ID...)
		}
	}
	return nil
}

// leaveBacklog removes a task from the backlog, and reports whether it was there.
func leaveBacklog(tx *store.Tx, t *Task) (bool, error) {
	key := backlogKey(t)
	backlog := tx.Bucket(bucketBacklog)
	if backlog.Get(key) == nil {
		return false, nil
	}
	if path := firstPath(t); path != nil {
		if err := tx.Bucket(bucketBacklogResources).Delete(path); err != nil {
			return false, err
		}
	}
	return true, backlog.Delete(key)
}

// refill moves the first n tasks of a lane from the backlog to memory, and admits them. It returns how many entries of the
// backlog it has used up.
func (q *Queue) refill(tx *store.Tx, lane string, n int) (changes []change, used int, err error) {
	prefix := backlogPrefix(lane)
	var keys [][]byte // first, because a cursor does not survive writes
	c := tx.Bucket(bucketBacklog).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix) && len(keys) < n; k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	now := q.now()
	for _, key := range keys {
		id, ok := backlogID(key)
		if !ok {
			return nil, 0, policy.Errorf(policy.CodeInternal, "read the backlog: the key %q is none", key)
		}
		t, found, err := loadTask(tx, id)
		if err != nil {
			return nil, 0, err
		}
		switch {
		case !found || !t.Status.queued(): // an older version of the program ended it, which knows no backlog
			err = tx.Bucket(bucketBacklog).Delete(key)
		case t.Status == New:
			var c change
			c, err = moveTask(tx, t, Waiting, reasonAdmitted, now)
			changes = append(changes, c)
		default:
			if _, err = leaveBacklog(tx, &t); err == nil {
				err = tx.Bucket(bucketByStatus).Put(statusKey(&t), summaryOf(&t).encode())
			}
			changes = append(changes, change{task: t, from: t.Status})
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read the backlog: %w", err)
		}
	}
	return changes, len(keys), nil
}

// maxSearched bounds how many tasks of the backlog one claim looks at.
const maxSearched = 4 * maxFollowers

// swallow returns up to n tasks of the backlog that the job of the leader takes along.
func swallow(tx *store.Tx, leader *entry, n int) ([]Task, error) {
	if len(leader.targets) == 0 {
		return nil, nil
	}
	covers := setOf(leader.targets)
	var tasks []Task
	searched := 0
	search := func(prefix []byte) error {
		c := tx.Bucket(bucketBacklogResources).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix) && len(tasks) < n && searched < maxSearched; k, v = c.Next() {
			searched++
			id, ok := backlogID(v)
			if !ok {
				continue
			}
			t, found, err := loadTask(tx, id)
			if err != nil {
				return err
			}
			if !found || !t.Status.queued() || tx.Bucket(bucketBacklog).Get(v) == nil {
				continue
			}
			if e := newEntry(&t, runnable); leader.takes(e, covers) {
				tasks = append(tasks, t)
			}
		}
		return nil
	}
	for _, root := range leader.roots {
		path := pathOf(root)
		if err := search(append(path, 0)); err != nil {
			return nil, err
		}
		if leader.isShard() {
			continue // it takes only what syncs the same object
		}
		if err := search(append(path, 1)); err != nil {
			return nil, err
		}
	}
	return tasks, nil
}

// runnable is for entries of tasks of which it is known that they can run.
func runnable(*Task, int) string { return "" }

// window counts what is in memory and what is in the backlog.
type window struct {
	size    int            // how many waiting tasks memory holds, about; a lane has a quarter of it at most
	held    map[string]int // those, by lane, but for the stopped ones
	total   int            // of held
	stopped int            // tasks between two attempts, or behind a lock
	behind  map[string]int // tasks of the backlog, by lane
	owned   map[string]int // waiting tasks in both, by owner
}

func newWindow(size int) window {
	return window{size: size, held: make(map[string]int), behind: make(map[string]int), owned: make(map[string]int)}
}

// maxStopped bounds the stopped tasks, in sizes of the window.
const maxStopped = 5

// room returns how many more tasks of a lane memory can hold. A lane of which it holds none has room for one even where
// others have filled it.
func (w *window) room(lane string) int {
	held := w.held[lane]
	left := min(max(1, w.size/4)-held, w.size-w.total)
	if left <= 0 && held == 0 && w.total < 2*w.size {
		left = 1
	}
	if w.stopped > maxStopped*w.size {
		left = 0
	}
	return max(left, 0)
}

// due returns how many tasks to bring from the backlog, by lane, n in all at most. A lane gets more when half of its room is
// free.
func (w *window) due(n int) map[string]int {
	list := make(map[string]int)
	for lane, behind := range w.behind {
		room := w.room(lane)
		if room == 0 || room < w.size/8 && w.held[lane] > 0 {
			continue
		}
		list[lane] = min(room, behind, n)
		if n -= list[lane]; n == 0 {
			break
		}
	}
	return list
}

// place is where a waiting task is counted.
type place int

const (
	nowhere place = iota
	held
	stopped
)

func (w *window) move(e *entry, to place) {
	switch e.place {
	case held:
		addTo(w.held, e.lane, -1)
		w.total--
	case stopped:
		w.stopped--
	}
	switch e.place = to; to {
	case held:
		addTo(w.held, e.lane, 1)
		w.total++
	case stopped:
		w.stopped++
	}
}

func addTo(counts map[string]int, key string, n int) {
	if counts[key] += n; counts[key] == 0 {
		delete(counts, key)
	}
}

// countBacklog counts n tasks of the backlog more, or less.
func (l *liveTasks) countBacklog(typ Type, s Status, lane string, n int) {
	addTo(l.window.behind, lane, n)
	addTo(l.window.owned, lane[1:], n)
	key := countKey{typ, s}
	if l.counts[key] += n; l.counts[key] == 0 {
		delete(l.counts, key)
	}
	l.waiting += n
}

// overflow reports which of the tasks are for the backlog: those for which there is no room, and where last is set, so that they
// come behind all others, whatever has a backlog already.
func (q *Queue) overflow(tasks []Task, last bool) []bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := make(map[string]int)
	list := make([]bool, len(tasks))
	for i := range tasks {
		lane := laneOf(&tasks[i])
		switch {
		case tasks[i].Status.Terminal() || !mayQueueBehind(&tasks[i]):
		case last && q.live.window.behind[lane] > 0 || taken[lane] >= q.live.window.room(lane):
			list[i] = true
		default:
			taken[lane]++
		}
	}
	return list
}
