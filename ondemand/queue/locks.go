package queue

import (
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// Types of the locks that are not on a securable.
const (
	lockTask policy.SecurableType = "task" // on the task of that id: a handler is running for it
	lockType policy.SecurableType = "type" // on all tasks of that type: they run one at a time
)

// locks returns the locks that the entry must hold while it runs.
func (e *entry) locks() []policy.Securable {
	list := []policy.Securable{{Type: lockTask, FullName: e.id}}
	if e.typ == ondemand.FullSync || e.typ == ondemand.ValiditySync {
		list = append(list, policy.Securable{Type: lockType, FullName: string(e.typ)})
	}
	return append(list, e.roots...)
}

// holder is who holds a lock: the part of a full sync, or an on-demand task.
type holder int

const (
	onDemand holder = iota
	shard
)

func (e *entry) holder() holder {
	if e.isShard() {
		return shard
	}
	return onDemand
}

// lockTable keeps jobs whose resources overlap from running at once: the same object, or one inside another. A part of a full
// sync and an on-demand task are kept apart only where they name the same object, so that nobody waits for a catalog whose turn
// in a full sync it is.
//
// An on-demand task that a lock holds up is parked, and no other one that its resources cover begins before it: tasks for single
// tables, one after the other, would hold up a task for their catalog for ever.
type lockTable struct {
	held   map[policy.Securable]holder
	inside map[policy.Securable][2]int   // by container: how many locks are on objects inside it, by holder
	parked map[policy.Securable][]*entry // by what holds them up; some have gone on meanwhile
	claims map[policy.Securable]int      // by resource: the parked on-demand tasks
	unpark func(e *entry)                // makes an entry claimable again
}

func newLockTable(unpark func(e *entry)) lockTable {
	return lockTable{
		held: make(map[policy.Securable]holder), inside: make(map[policy.Securable][2]int),
		parked: make(map[policy.Securable][]*entry), claims: make(map[policy.Securable]int), unpark: unpark,
	}
}

// onObject reports whether the lock is on a securable.
func onObject(lock policy.Securable) bool { return lock.Type != lockTask && lock.Type != lockType }

// blocked returns what holds an entry up; ok is false where nothing does.
func (l *lockTable) blocked(e *entry) (by policy.Securable, ok bool) {
	own := e.holder()
	for _, lock := range e.locks() {
		if _, held := l.held[lock]; held {
			return lock, true
		}
		if !onObject(lock) {
			continue
		}
		if l.inside[lock][own] > 0 {
			return lock, true
		}
		for i, c := range covering(lock) {
			if other, held := l.held[c]; i > 0 && held && other == own {
				return c, true
			}
			if own == onDemand && l.claims[c] > 0 {
				return c, true
			}
		}
	}
	return policy.Securable{}, false
}

// acquire records that a job holds the locks.
func (l *lockTable) acquire(locks []policy.Securable, by holder) {
	for _, lock := range locks {
		l.held[lock] = by
		l.countInside(lock, by, 1)
	}
}

// release releases locks, and makes what they held up claimable again.
func (l *lockTable) release(locks []policy.Securable) {
	for _, lock := range locks {
		by, held := l.held[lock]
		if !held {
			continue
		}
		delete(l.held, lock)
		l.countInside(lock, by, -1)
		l.wake(lock)
		if onObject(lock) {
			for _, c := range covering(lock)[1:] {
				l.wake(c)
			}
		}
	}
}

func (l *lockTable) countInside(lock policy.Securable, by holder, n int) {
	if !onObject(lock) {
		return
	}
	for _, c := range covering(lock)[1:] {
		counts := l.inside[c]
		if counts[by] += n; counts == [2]int{} {
			delete(l.inside, c)
		} else {
			l.inside[c] = counts
		}
	}
}

// park keeps an entry until what holds it up has gone.
func (l *lockTable) park(e *entry, by policy.Securable) {
	e.parked = true
	l.parked[by] = append(l.parked[by], e)
	if e.holder() == onDemand {
		for _, root := range e.roots {
			l.claims[root]++
		}
	}
}

// leave notes that an entry is not parked any more, and lets what waited behind it go on.
func (l *lockTable) leave(e *entry) {
	if !e.parked {
		return
	}
	e.parked = false
	if e.holder() != onDemand {
		return
	}
	for _, root := range e.roots {
		if l.claims[root]--; l.claims[root] == 0 {
			delete(l.claims, root)
		}
	}
	for _, root := range e.roots {
		if _, held := l.held[root]; !held {
			l.wake(root)
		}
	}
}

func (l *lockTable) wake(by policy.Securable) {
	list := l.parked[by]
	delete(l.parked, by)
	for _, e := range list {
		if e.parked {
			l.leave(e)
			l.unpark(e)
		}
	}
}
