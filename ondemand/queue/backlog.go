package queue

import (
	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// refill moves the first n tasks of a lane from the backlog to memory, and admits them. It returns how many entries of the
// backlog it has used up.
func (q *Queue) refill(tx *store.Tx, lane string, n int) (changes []change, used int, err error) {
	tasks, used, err := records.TakeFromBacklog(tx, lane, n)
	if err != nil {
		return nil, 0, err
	}
	now := q.now()
	for _, t := range tasks {
		c := change{task: &t, from: t.Status}
		if t.Status == ondemand.New {
			if c, err = moveTask(tx, t, ondemand.Waiting, reasonAdmitted, now); err != nil {
				return nil, 0, err
			}
		}
		changes = append(changes, c)
	}
	return changes, used, nil
}

// maxSearched bounds how many tasks of the backlog one claim looks at.
const maxSearched = 4 * maxFollowers

// swallow returns up to n tasks of the backlog that the job of the leader takes along.
func swallow(tx *store.Tx, leader *entry, n int) ([]ondemand.Task, error) {
	if len(leader.targets) == 0 {
		return nil, nil
	}
	covers := setOf(leader.targets)
	var tasks []ondemand.Task
	searched := 0
	search := func(root policy.Securable, inside bool) (err error) {
		records.SearchBacklog(tx, root, inside, func(id string) bool {
			var t ondemand.Task
			var found bool
			if t, found, err = records.Load(tx, id); err != nil {
				return false
			}
			if found && t.Status.Queued() && leader.takes(newEntry(&t, runnable), covers) {
				tasks = append(tasks, t)
			}
			searched++
			return len(tasks) < n && searched < maxSearched
		})
		return err
	}
	for _, root := range leader.roots {
		if len(tasks) >= n || searched >= maxSearched {
			break
		}
		if err := search(root, false); err != nil {
			return nil, err
		}
		if leader.isShard() || len(tasks) >= n || searched >= maxSearched {
			continue // a shard takes only what syncs the same object
		}
		if err := search(root, true); err != nil {
			return nil, err
		}
	}
	return tasks, nil
}

// runnable is for entries of tasks of which it is known that they can run.
func runnable(*ondemand.Task, int) string { return "" }

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
func (l *liveTasks) countBacklog(typ ondemand.Type, s ondemand.Status, lane string, n int) {
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
func (q *Queue) overflow(n int, task func(i int) *ondemand.Task, last bool) []bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := make(map[string]int)
	list := make([]bool, n)
	for i := range list {
		t := task(i)
		lane := records.LaneOf(t)
		switch {
		case t.Status.Terminal() || !records.MayQueueBehind(t):
		case last && q.live.window.behind[lane] > 0 || taken[lane] >= q.live.window.room(lane):
			list[i] = true
		default:
			taken[lane]++
		}
	}
	return list
}
