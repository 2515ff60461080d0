package ondemand

import (
	"cmp"
	"slices"
	"time"

	"ucwarden/policy"
)

// entry is a task that has not ended, as the queue holds it in memory. The rest of the task stays in the store.
type entry struct {
	id         string
	typ        Type
	status     Status
	priority   int
	received   time.Time
	notBefore  time.Time
	approve    string
	plan       string
	parent     string
	owner      string             // whose task it is: who posted it, or else its source
	turn       uint64             // among the tasks of other owners; 0 until it is ready for the first time
	targets    []policy.Securable // the valid resources that it syncs, without duplicates
	named      []policy.Securable // what each resource names; zero where that is not valid
	roots      []policy.Securable // the targets that no other target covers
	skipReason string             // why it must end SKIPPED; "" when it can run

	run       *run               // that claimed it; nil: none
	heldLocks []policy.Securable // locks kept after its job, until its children have ended
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

// Types of the locks that are not on a securable.
const (
	lockTask policy.SecurableType = "task" // on the task of that id: a handler is running for it
	lockType policy.SecurableType = "type" // on all tasks of that type: they run one at a time
)

// locks returns the locks that the entry must hold while it runs.
func (e *entry) locks() []policy.Securable {
	list := []policy.Securable{{Type: lockTask, FullName: e.id}}
	if e.typ == FullSync || e.typ == ValiditySync {
		list = append(list, policy.Securable{Type: lockType, FullName: string(e.typ)})
	}
	return append(list, e.roots...)
}

// liveTasks holds every task that has not ended, ordered for claiming and indexed for coalescing. It has no mutex of
// its own; the queue's guards it. A waiting task is in exactly one of three places: ready, delayed until its NotBefore,
// or parked behind a lock.
type liveTasks struct {
	byID           map[string]*entry
	counts         map[countKey]int
	ready          readyTasks
	delayed        entryHeap
	parked         map[policy.Securable][]*entry
	lockHolders    map[policy.Securable]string // lock → id of the task that leads the job
	waitingByCover map[policy.Securable]map[*entry]struct{}
	fullSyncs      map[*entry]struct{} // the full syncs among them
	waiting        int                 // NEW and WAITING together
}

type countKey struct {
	typ    Type
	status Status
}

func newLiveTasks() *liveTasks {
	return &liveTasks{
		byID:           make(map[string]*entry),
		counts:         make(map[countKey]int),
		ready:          readyTasks{onDemand: entryHeap{less: inTurn}, shards: entryHeap{less: before}, last: make(map[string]uint64)},
		delayed:        entryHeap{less: func(a, b *entry) bool { return a.notBefore.Before(b.notBefore) }},
		parked:         make(map[policy.Securable][]*entry),
		lockHolders:    make(map[policy.Securable]string),
		waitingByCover: make(map[policy.Securable]map[*entry]struct{}),
		fullSyncs:      make(map[*entry]struct{}),
	}
}

// newEntry returns the entry of a task. skipReason returns why a task cannot run, "" when it can; valid is the number
// of its valid resources.
func newEntry(t *Task, skipReason func(t *Task, valid int) string) *entry {
	e := &entry{
		id: t.ID, typ: t.Type, status: t.Status, priority: t.Priority, received: t.ReceivedTime,
		notBefore: t.NotBefore, approve: t.RequestInfo.Approve, plan: t.RequestInfo.Plan, parent: t.ParentID,
		owner: cmp.Or(t.PostedBy, t.Source), index: -1,
	}
	e.named = securablesOf(t.RequestInfo.Resources)
	if t.Type == ResourceSync {
		e.targets = distinct(e.named)
	}
	e.roots = outermostOf(e.targets)
	e.skipReason = skipReason(t, len(e.targets))
	return e
}

// add adds a task that has not ended.
func (l *liveTasks) add(e *entry, now time.Time) {
	l.byID[e.id] = e
	if e.typ == FullSync {
		l.fullSyncs[e] = struct{}{}
	}
	to := e.status
	e.status = ""
	l.setStatus(e, to)
	if to.queued() {
		l.enqueue(e, now)
	}
}

// remove removes a task that has ended, and releases the locks it kept.
func (l *liveTasks) remove(e *entry) {
	l.dequeue(e)
	l.setStatus(e, "")
	delete(l.byID, e.id)
	delete(l.fullSyncs, e)
	l.release(e.heldLocks)
	e.heldLocks = nil
}

func (l *liveTasks) setStatus(e *entry, to Status) {
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

// supersededBy returns a full sync before e that has not begun and carries the same approval, and no saved plan; nil when there is none.
func (l *liveTasks) supersededBy(e *entry) *entry {
	if e.typ != FullSync {
		return nil
	}
	for o := range l.fullSyncs {
		if o == e || o.run != nil || !o.status.queued() || o.approve != e.approve || o.plan != e.plan {
			continue
		}
		if admitted := o.status == Waiting && e.status == New; admitted || o.status == e.status && before(o, e) {
			return o
		}
	}
	return nil
}

// enqueue makes a waiting task claimable, now or from its NotBefore on, and indexes it by what covers its targets.
func (l *liveTasks) enqueue(e *entry, now time.Time) {
	if e.skipReason != "" {
		return // admission ends it
	}
	if e.notBefore.After(now) {
		l.delayed.push(e)
	} else {
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
	if e.heap != nil {
		e.heap.remove(e)
	}
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
	for e := l.delayed.peek(); e != nil && !e.notBefore.After(now); e = l.delayed.peek() {
		l.delayed.remove(e)
		l.ready.push(e)
	}
	for e := l.ready.next(free); e != nil; e = l.ready.next(free) {
		if lock, held := l.blocked(e); held {
			e.heap.remove(e)
			l.parked[lock] = append(l.parked[lock], e)
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

func (l *liveTasks) blocked(e *entry) (policy.Securable, bool) {
	for _, lock := range e.locks() {
		if _, held := l.lockHolders[lock]; held {
			return lock, true
		}
	}
	return policy.Securable{}, false
}

// covered returns the waiting tasks whose every resource the leader's resources cover. A shard takes no on-demand task
// along but for the same objects, which its lock would hold up: by itself it has its end sooner. A task with an approval is
// included only if the leader carries the same one: an approval is for one plan. What does exactly a
// saved plan does nothing else, so both carry the same one or none.
func (l *liveTasks) covered(leader *entry) []*entry {
	if len(leader.targets) == 0 {
		return nil
	}
	keys := make(map[policy.Securable]bool, len(leader.targets))
	for _, k := range leader.targets {
		keys[k] = true
	}
	seen := make(map[*entry]bool)
	var list []*entry
	for _, k := range leader.roots {
		for e := range l.waitingByCover[k] {
			if seen[e] || e.approve != "" && e.approve != leader.approve || e.plan != leader.plan {
				continue
			}
			seen[e] = true
			if _, own := l.lockHolders[policy.Securable{Type: lockTask, FullName: e.id}]; !own && coveredBy(e, keys) && (!leader.isShard() || e.isShard() || same(e.targets, keys)) {
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
	return list
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

// acquire records that the job led by the task id holds the locks.
func (l *liveTasks) acquire(locks []policy.Securable, id string) {
	for _, lock := range locks {
		l.lockHolders[lock] = id
	}
}

// release releases locks, and makes the tasks parked behind them claimable again.
func (l *liveTasks) release(locks []policy.Securable) {
	for _, lock := range locks {
		delete(l.lockHolders, lock)
		for _, e := range l.parked[lock] {
			// It may have been cancelled or claimed as a follower meanwhile, or come back since.
			if l.byID[e.id] == e && e.run == nil && e.heap == nil && e.status.queued() {
				l.ready.push(e)
			}
		}
		delete(l.parked, lock)
	}
}

// nextDue returns when the next delayed task becomes claimable; ok is false when there is none.
func (l *liveTasks) nextDue() (time.Time, bool) {
	if e := l.delayed.peek(); e != nil {
		return e.notBefore, true
	}
	return time.Time{}, false
}
