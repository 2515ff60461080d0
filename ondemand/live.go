package ondemand

import (
	"container/heap"
	"slices"
	"time"

	"ucwarden/policy"
)

// entry is a task that has not ended, as the queue holds it in memory. The rest of the task stays in the store.
type entry struct {
	id        string
	typ       Type
	status    Status
	priority  int
	received  time.Time
	notBefore time.Time
	approve   string
	parent    string
	keys      []policy.Securable // what it syncs: legal resources, each once
	roots     []policy.Securable // the keys that no other key covers
	refusal   string             // why it must end SKIPPED; "" when it can run

	job   *run               // that has claimed it
	held  []policy.Securable // locks that outlive its job, until its children have ended
	heap  *entryHeap
	index int // in heap
}

// covering lists what covers the securable: itself, its containers, and for a root object other than a catalog the
// metastore.
func covering(s policy.Securable) []policy.Securable {
	list := make([]policy.Securable, 1, 3)
	list[0] = s
	for p, ok := s.Parent(); ok; p, ok = p.Parent() {
		list = append(list, p)
	}
	switch s.Type {
	case policy.Schema, policy.Catalog, policy.Table, policy.Function, policy.Volume, policy.Metastore:
	default:
		list = append(list, policy.Securable{Type: policy.Metastore})
	}
	return list
}

// outermost gives the keys that no other key covers.
func outermost(keys []policy.Securable) []policy.Securable {
	if len(keys) <= 1 {
		return keys
	}
	all := make(map[policy.Securable]bool, len(keys))
	for _, k := range keys {
		all[k] = true
	}
	var roots []policy.Securable
	for _, k := range keys {
		inner := false
		for _, c := range covering(k)[1:] {
			inner = inner || all[c]
		}
		if !inner {
			roots = append(roots, k)
		}
	}
	return roots
}

// Pseudo types of securable: locks that are not on an object.
const (
	lockTask policy.SecurableType = "task" // the task of that id: a handler still runs for it
	lockType policy.SecurableType = "type" // all tasks of that type: one at a time
)

// locks are what the entry must hold alone while it runs.
func (e *entry) locks() []policy.Securable {
	list := []policy.Securable{{Type: lockTask, FullName: e.id}}
	if e.typ == FullSync {
		list = append(list, policy.Securable{Type: lockType, FullName: string(FullSync)})
	}
	return append(list, e.roots...)
}

// live is the working set: every task that has not ended, ordered for claiming and indexed for coalescing. It has no
// lock of its own; the queue's guards it. Waiting tasks are in exactly one of three places: ready, delayed until
// their time comes, or parked behind a lock.
type live struct {
	byID    map[string]*entry
	counts  map[countKey]int
	ready   entryHeap
	delayed entryHeap
	parked  map[policy.Securable][]*entry
	holders map[policy.Securable]string // lock → id of the task that leads the job, for people who ask why
	under   map[policy.Securable]map[*entry]struct{}
	fulls   map[*entry]struct{} // the full syncs among them
	waiting int                 // NEW and WAITING together
}

type countKey struct {
	typ    Type
	status Status
}

func newLive() *live {
	return &live{
		byID:   make(map[string]*entry),
		counts: make(map[countKey]int),
		ready: entryHeap{less: func(a, b *entry) bool {
			switch {
			case a.priority != b.priority:
				return a.priority > b.priority
			case !a.received.Equal(b.received):
				return a.received.Before(b.received)
			}
			return a.id < b.id
		}},
		delayed: entryHeap{less: func(a, b *entry) bool { return a.notBefore.Before(b.notBefore) }},
		parked:  make(map[policy.Securable][]*entry),
		holders: make(map[policy.Securable]string),
		under:   make(map[policy.Securable]map[*entry]struct{}),
		fulls:   make(map[*entry]struct{}),
	}
}

// newEntry makes the entry of a task. refuse says why a task cannot run; "" when it can.
func newEntry(t *Task, refuse func(t *Task, legal int) string) *entry {
	e := &entry{
		id: t.ID, typ: t.Type, status: t.Status, priority: t.Priority, received: t.ReceivedTime,
		notBefore: t.NotBefore, approve: t.RequestInfo.Approve, parent: t.ParentID, index: -1,
	}
	if t.Type == ResourceSync {
		seen := make(map[policy.Securable]bool, len(t.RequestInfo.Resources))
		for _, r := range t.RequestInfo.Resources {
			if s, err := r.Securable(); err == nil && !seen[s] {
				seen[s] = true
				e.keys = append(e.keys, s)
			}
		}
	}
	e.roots = outermost(e.keys)
	e.refusal = refuse(t, len(e.keys))
	return e
}

// add takes a task into the working set.
func (l *live) add(e *entry, now time.Time) {
	l.byID[e.id] = e
	if e.typ == FullSync {
		l.fulls[e] = struct{}{}
	}
	to := e.status
	e.status = ""
	l.setStatus(e, to)
	if to.queued() {
		l.enqueue(e, now)
	}
}

// remove forgets a task that has ended.
func (l *live) remove(e *entry) {
	l.dequeue(e)
	l.setStatus(e, "")
	delete(l.byID, e.id)
	delete(l.fulls, e)
	l.release(e.held)
	e.held = nil
}

func (l *live) setStatus(e *entry, to Status) {
	if from := (countKey{e.typ, e.status}); e.status != "" {
		if l.counts[from]--; l.counts[from] == 0 {
			delete(l.counts, from)
		}
		if e.status.queued() {
			l.waiting--
		}
	}
	e.status = to
	if to != "" {
		l.counts[countKey{e.typ, to}]++
		if to.queued() {
			l.waiting++
		}
	}
}

// queued reports whether a task of this status waits for its first or next attempt.
func (s Status) queued() bool { return s == New || s == Waiting }

// superseder finds a full sync before e that has not begun and does the same; nil when there is none.
func (l *live) superseder(e *entry) *entry {
	if e.typ != FullSync {
		return nil
	}
	for o := range l.fulls {
		if o == e || o.job != nil || !o.status.queued() || o.approve != e.approve {
			continue
		}
		if admitted := o.status == Waiting && e.status == New; admitted || o.status == e.status && l.ready.less(o, e) {
			return o
		}
	}
	return nil
}

// enqueue makes a waiting task claimable, now or when its time comes, and finds it by what covers it.
func (l *live) enqueue(e *entry, now time.Time) {
	if e.refusal != "" {
		return // ends at admission
	}
	if e.notBefore.After(now) {
		l.delayed.push(e)
	} else {
		l.ready.push(e)
	}
	for _, k := range e.keys {
		for _, c := range covering(k) {
			if l.under[c] == nil {
				l.under[c] = make(map[*entry]struct{})
			}
			l.under[c][e] = struct{}{}
		}
	}
}

// dequeue takes a task out of the places where a claim would find it.
func (l *live) dequeue(e *entry) {
	if e.heap != nil {
		e.heap.remove(e)
	}
	for _, k := range e.keys {
		for _, c := range covering(k) {
			if delete(l.under[c], e); len(l.under[c]) == 0 {
				delete(l.under, c)
			}
		}
	}
}

// claim gives the next task to run with the waiting tasks that its run covers, and takes them out of the queue; nil
// when none can run now.
func (l *live) claim(now time.Time) (leader *entry, followers []*entry) {
	for e := l.delayed.peek(); e != nil && !e.notBefore.After(now); e = l.delayed.peek() {
		l.delayed.remove(e)
		l.ready.push(e)
	}
	for e := l.ready.peek(); e != nil; e = l.ready.peek() {
		if lock, held := l.blocked(e); held {
			l.ready.remove(e)
			l.parked[lock] = append(l.parked[lock], e)
			continue
		}
		l.dequeue(e)
		followers = l.covered(e)
		for _, f := range followers {
			l.dequeue(f)
		}
		return e, followers
	}
	return nil, nil
}

func (l *live) blocked(e *entry) (policy.Securable, bool) {
	for _, lock := range e.locks() {
		if _, held := l.holders[lock]; held {
			return lock, true
		}
	}
	return policy.Securable{}, false
}

// covered lists the waiting tasks whose every resource the leader's resources cover. A task that carries an approval
// goes only with the same one: it speaks of a plan of its own.
func (l *live) covered(leader *entry) []*entry {
	if len(leader.keys) == 0 {
		return nil
	}
	keys := make(map[policy.Securable]bool, len(leader.keys))
	for _, k := range leader.keys {
		keys[k] = true
	}
	seen := make(map[*entry]bool)
	var list []*entry
	for _, k := range leader.roots {
		for e := range l.under[k] {
			if seen[e] || e.approve != "" && e.approve != leader.approve {
				continue
			}
			seen[e] = true
			if _, own := l.holders[policy.Securable{Type: lockTask, FullName: e.id}]; !own && coveredBy(e, keys) {
				list = append(list, e)
			}
		}
	}
	slices.SortFunc(list, func(a, b *entry) int {
		switch {
		case l.ready.less(a, b):
			return -1
		case l.ready.less(b, a):
			return 1
		}
		return 0
	})
	return list
}

func coveredBy(e *entry, keys map[policy.Securable]bool) bool {
	for _, k := range e.keys {
		found := false
		for _, c := range covering(k) {
			found = found || keys[c]
		}
		if !found {
			return false
		}
	}
	return true
}

// hold takes locks for a job led by the task id.
func (l *live) hold(locks []policy.Securable, id string) {
	for _, lock := range locks {
		l.holders[lock] = id
	}
}

// release gives locks back, and makes the tasks parked behind them claimable again.
func (l *live) release(locks []policy.Securable) {
	for _, lock := range locks {
		delete(l.holders, lock)
		for _, e := range l.parked[lock] {
			// It may have been cancelled or claimed as a follower meanwhile, or come back since.
			if l.byID[e.id] == e && e.job == nil && e.heap == nil && e.status.queued() {
				l.ready.push(e)
			}
		}
		delete(l.parked, lock)
	}
}

// wake is when the next delayed task comes due; ok is false when there is none.
func (l *live) wake() (time.Time, bool) {
	if e := l.delayed.peek(); e != nil {
		return e.notBefore, true
	}
	return time.Time{}, false
}

// entryHeap is a priority queue whose members know their place, so that any of them can leave.
type entryHeap struct {
	list []*entry
	less func(a, b *entry) bool
}

func (h *entryHeap) push(e *entry) { heap.Push(h, e) }

func (h *entryHeap) remove(e *entry) { heap.Remove(h, e.index) }

func (h *entryHeap) peek() *entry {
	if len(h.list) == 0 {
		return nil
	}
	return h.list[0]
}

// Len, Less, Swap, Push and Pop are heap.Interface.
func (h *entryHeap) Len() int           { return len(h.list) }
func (h *entryHeap) Less(i, j int) bool { return h.less(h.list[i], h.list[j]) }

func (h *entryHeap) Swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].index, h.list[j].index = i, j
}

func (h *entryHeap) Push(x any) {
	e := x.(*entry)
	e.heap, e.index = h, len(h.list)
	h.list = append(h.list, e)
}

func (h *entryHeap) Pop() any {
	n := len(h.list) - 1
	e := h.list[n]
	h.list[n] = nil
	h.list = h.list[:n]
	e.heap, e.index = nil, -1
	return e
}
