package queue

import (
	"slices"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/policy"
)

// entry is a task that has not ended, as the queue holds it in memory. The rest of the task stays in the store.
type entry struct {
	id         string
	typ        ondemand.Type
	status     ondemand.Status
	priority   int
	received   time.Time
	due        time.Time // by the monotonic clock: when the next attempt may begin
	approve    string
	plan       string
	parent     string
	narrow     bool               // a full sync that takes a part; see Options.Narrow
	lane       string             // see laneOf
	turn       uint64             // among the tasks of other owners; 0 until it is ready for the first time
	targets    []policy.Securable // the valid resources that it syncs, without duplicates
	named      []policy.Securable // what each resource names; zero where that is not valid
	roots      []policy.Securable // the targets that no other target covers
	skipReason string             // why it must end SKIPPED; "" when it can run

	run       *run               // that claimed it; nil: none
	heldLocks []policy.Securable // locks kept after its job, until its children have ended
	alone     bool               // no other job may run beside it
	admitted  bool               // see Options.AdmitWindow
	parked    bool               // behind a lock
	place     place              // where the window counts it
	heap      *entryHeap
	index     int // in heap
}

// covering returns what covers the securable: itself, its containers, and for a root object other than a catalog also
// the metastore.
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

// outermostOf returns the keys that no other key covers.
func outermostOf(keys []policy.Securable) []policy.Securable {
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

// liveTasks holds the tasks that have not ended but for the backlog, ordered for claiming and indexed for coalescing. It has
// no mutex of its own; the queue's guards it. A waiting task is in exactly one of four places: ready, delayed until its next
// attempt, parked behind a lock, or among those that run alone.
type liveTasks struct {
	byID           map[string]*entry
	counts         map[countKey]int // with the backlog
	waiting        int              // NEW and WAITING together, with the backlog
	window         window
	ready          readyTasks
	delayed        entryHeap
	alone          entryHeap
	locks          lockTable
	waitingByCover map[policy.Securable]map[*entry]struct{}
	fullSyncs      map[*entry]struct{} // the full syncs among them
	runs           map[string]bool     // by id: those that are followed, and whether they were cancelled
}

type countKey struct {
	typ    ondemand.Type
	status ondemand.Status
}

// newLiveTasks returns an empty set that is to hold about that many waiting tasks.
func newLiveTasks(size int) *liveTasks {
	l := &liveTasks{
		byID:           make(map[string]*entry),
		counts:         make(map[countKey]int),
		window:         newWindow(size),
		ready:          readyTasks{onDemand: entryHeap{less: inTurn}, shards: entryHeap{less: before}, last: make(map[string]uint64)},
		delayed:        entryHeap{less: func(a, b *entry) bool { return a.due.Before(b.due) }},
		alone:          entryHeap{less: before},
		waitingByCover: make(map[policy.Securable]map[*entry]struct{}),
		fullSyncs:      make(map[*entry]struct{}),
		runs:           make(map[string]bool),
	}
	l.locks = newLockTable(func(e *entry) {
		l.ready.push(e)
		l.window.move(e, held)
	})
	return l
}

// newEntry returns the entry of a task. skipReason returns why a task cannot run, "" when it can; valid is the number
// of its valid resources.
func newEntry(t *ondemand.Task, skipReason func(t *ondemand.Task, valid int) string) *entry {
	e := &entry{
		id: t.ID, typ: t.Type, status: t.Status, priority: t.Priority, received: t.ReceivedTime,
		approve: t.RequestInfo.Approve, plan: t.RequestInfo.Plan, parent: t.ParentID, lane: records.LaneOf(t), index: -1,
	}
	e.named = ondemand.SecurablesOf(t.RequestInfo.Resources)
	if t.Type == ondemand.ResourceSync {
		e.targets = distinct(e.named)
	}
	e.roots = outermostOf(e.targets)
	e.skipReason = skipReason(t, len(e.targets))
	return e
}

// add adds a task that has not ended.
func (l *liveTasks) add(e *entry, now time.Time) {
	l.byID[e.id] = e
	if e.typ == ondemand.FullSync {
		l.fullSyncs[e] = struct{}{}
	}
	to := e.status
	e.status = ""
	l.setStatus(e, to)
	if to.Queued() {
		l.enqueue(e, now)
	}
}

// remove removes a task that has ended, and releases the locks it kept.
func (l *liveTasks) remove(e *entry) {
	l.dequeue(e)
	l.setStatus(e, "")
	delete(l.byID, e.id)
	delete(l.fullSyncs, e)
	l.locks.release(e.heldLocks)
	e.heldLocks = nil
}

func (l *liveTasks) setStatus(e *entry, to ondemand.Status) {
	if from := (countKey{e.typ, e.status}); e.status != "" {
		if l.counts[from]--; l.counts[from] == 0 {
			delete(l.counts, from)
		}
		if e.status.Queued() {
			l.waiting--
			addTo(l.window.owned, e.lane[1:], -1)
		}
	}
	e.status = to
	if to != "" {
		l.counts[countKey{e.typ, to}]++
		if to.Queued() {
			l.waiting++
			addTo(l.window.owned, e.lane[1:], 1)
		}
	}
}

// supersededBy returns a full sync before e that has not begun, takes all that e does and carries the same approval, and no saved plan;
// nil when there is none.
func (l *liveTasks) supersededBy(e *entry) *entry {
	if e.typ != ondemand.FullSync {
		return nil
	}
	for o := range l.fullSyncs {
		if o == e || o.run != nil || !o.status.Queued() || o.approve != e.approve || o.plan != e.plan || o.narrow && !e.narrow {
			continue
		}
		if admitted := o.status == ondemand.Waiting && e.status == ondemand.New; admitted || o.status == e.status && before(o, e) {
			return o
		}
	}
	return nil
}

// enqueue makes a waiting task claimable, now or once it is due, and indexes it by what covers its targets.
func (l *liveTasks) enqueue(e *entry, now time.Time) {
	l.window.move(e, held)
	switch {
	case e.skipReason != "" || !e.admitted:
		return // admission ends it, or calls again
	case e.alone:
		l.alone.push(e)
		return
	case e.due.After(now):
		l.delayed.push(e)
		l.window.move(e, stopped)
	default:
		l.ready.push(e)
	}
	for _, k := range e.targets {
		for _, c := range covering(k) {
			if l.waitingByCover[c] == nil {
				l.waitingByCover[c] = make(map[*entry]struct{})
			}
			l.waitingByCover[c][e] = struct{}{}
		}
	}
}

// dequeue removes a task from the places where a claim would find it.
func (l *liveTasks) dequeue(e *entry) {
	l.window.move(e, nowhere)
	if e.heap != nil {
		e.heap.remove(e)
	}
	l.locks.leave(e)
	for _, k := range e.targets {
		for _, c := range covering(k) {
			if delete(l.waitingByCover[c], e); len(l.waitingByCover[c]) == 0 {
				delete(l.waitingByCover, c)
			}
		}
	}
}

// room says for which tasks there is a worker.
type room struct {
	least  int  // priority; math.MaxInt where there is none
	shards bool // for those of a full sync, and for its planning
}

// claim removes from the queue and returns the next task to run for which there is room, with the waiting tasks that its
// run covers; leader is nil when no task can run now.
func (l *liveTasks) claim(now time.Time, free room) (leader *entry, followers []*entry) {
	for e := l.delayed.peek(); e != nil && !e.due.After(now); e = l.delayed.peek() {
		l.delayed.remove(e)
		l.ready.push(e)
		l.window.move(e, held)
	}
	for e := l.ready.next(free); e != nil; e = l.ready.next(free) {
		if by, held := l.locks.blocked(e); held {
			e.heap.remove(e)
			l.locks.park(e, by)
			l.window.move(e, stopped)
			continue
		}
		l.dequeue(e)
		l.ready.took(e)
		followers = l.covered(e)
		for _, f := range followers {
			l.dequeue(f)
		}
		return e, followers
	}
	return nil, nil
}

// maxFollowers bounds how many tasks one job takes along: they end together, in one commit.
const maxFollowers = 1000

// covered returns the waiting tasks that a job of the leader takes along.
func (l *liveTasks) covered(leader *entry) []*entry {
	if len(leader.targets) == 0 {
		return nil
	}
	covers := setOf(leader.targets)
	seen := make(map[*entry]bool)
	var list []*entry
	for _, k := range leader.roots {
		for e := range l.waitingByCover[k] {
			if seen[e] {
				continue
			}
			seen[e] = true
			if _, own := l.locks.held[policy.Securable{Type: lockTask, FullName: e.id}]; !own && leader.takes(e, covers) {
				list = append(list, e)
			}
		}
	}
	slices.SortFunc(list, func(a, b *entry) int {
		switch {
		case before(a, b):
			return -1
		case before(b, a):
			return 1
		}
		return 0
	})
	return list[:min(len(list), maxFollowers)]
}

func setOf(list []policy.Securable) map[policy.Securable]bool {
	set := make(map[policy.Securable]bool, len(list))
	for _, s := range list {
		set[s] = true
	}
	return set
}

// takes reports whether a job of e takes the other task along: its resources cover every one of the other's. A shard takes no
// on-demand task along but for the same objects, which its lock would hold up: by itself it has its end sooner. A task with an
// approval is included only if the leader carries the same one: an approval is for one plan. What does exactly a saved plan does
// nothing else, so both carry the same one or none.
func (e *entry) takes(o *entry, covers map[policy.Securable]bool) bool {
	return len(o.targets) > 0 && (o.approve == "" || o.approve == e.approve) && o.plan == e.plan && coveredBy(o, covers) &&
		(!e.isShard() || o.isShard() || same(o.targets, covers))
}

// same reports whether every target is one of the keys.
func same(targets []policy.Securable, keys map[policy.Securable]bool) bool {
	return !slices.ContainsFunc(targets, func(s policy.Securable) bool { return !keys[s] })
}

func coveredBy(e *entry, keys map[policy.Securable]bool) bool {
	for _, k := range e.targets {
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

// nextDue returns when the next delayed task becomes claimable; ok is false when there is none.
func (l *liveTasks) nextDue() (time.Time, bool) {
	if e := l.delayed.peek(); e != nil {
		return e.due, true
	}
	return time.Time{}, false
}

// distinct returns the valid securables of the list, each once; the list itself where it is so already.
func distinct(list []policy.Securable) []policy.Securable {
	seen := make(map[policy.Securable]bool, len(list))
	var keys []policy.Securable
	for _, s := range list {
		if s != (policy.Securable{}) && !seen[s] {
			seen[s] = true
			keys = append(keys, s)
		}
	}
	if len(keys) == len(list) {
		return list
	}
	return keys
}
