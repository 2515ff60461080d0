package connector

import (
	"slices"
	"sync"
	"time"

	"ucwarden/policy"
)

// ledger remembers what this process did and saw, so that syncs which run side by side do not undo one another's work
// by plans made from what they read before.
type ledger struct {
	mu         sync.Mutex
	ttl        time.Duration
	clock      uint64                      // grows with each change applied
	running    []uint64                    // the clock when each sync under way began
	changed    map[policy.Securable]uint64 // the clock at the last change, while a sync that began earlier runs
	containers map[policy.Securable]seenGrants
}

type seenGrants struct {
	list []policy.Assignment
	at   time.Time
}

func newLedger(ttl time.Duration) *ledger {
	return &ledger{ttl: ttl, changed: make(map[policy.Securable]uint64), containers: make(map[policy.Securable]seenGrants)}
}

// begin notes that a sync starts to read. Its end must be told with the number given.
func (l *ledger) begin() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = append(l.running, l.clock)
	return l.clock
}

func (l *ledger) end(began uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.running, began); i >= 0 {
		l.running = slices.Delete(l.running, i, i+1)
	}
	if len(l.running) == 0 {
		clear(l.changed)
	}
}

// changedSince reports whether another sync changed s after the given moment.
func (l *ledger) changedSince(s policy.Securable, began uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed[s] > began
}

// wrote notes the grants on s after a change.
func (l *ledger) wrote(s policy.Securable, list []policy.Assignment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	l.changed[s] = l.clock
	if s.Type.IsContainer() {
		l.containers[s] = seenGrants{list, time.Now()}
	}
}

// saw notes the grants read on a container.
func (l *ledger) saw(s policy.Securable, list []policy.Assignment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.containers[s] = seenGrants{list, time.Now()}
}

// forget drops what is known of a container, because it turned out not to be so.
func (l *ledger) forget(s policy.Securable) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.containers, s)
}

// container gives the grants last seen on a container, if that is not too long ago.
func (l *ledger) container(s policy.Securable) ([]policy.Assignment, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen, ok := l.containers[s]
	if !ok || time.Since(seen.at) > l.ttl {
		return nil, false
	}
	return seen.list, true
}

// unknownPrincipals remembers whom the workspace did not know, so that not every sync asks again for each of the
// people who have left and still stand in policies.
type unknownPrincipals struct {
	mu    sync.Mutex
	ttl   time.Duration
	until map[policy.Principal]time.Time
}

func newUnknownPrincipals(ttl time.Duration) *unknownPrincipals {
	return &unknownPrincipals{ttl: ttl, until: make(map[policy.Principal]time.Time)}
}

func (u *unknownPrincipals) add(p policy.Principal) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.until[p] = time.Now().Add(u.ttl)
}

// list gives the principals that are not to be tried now.
func (u *unknownPrincipals) list() map[policy.Principal]bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	list := make(map[policy.Principal]bool, len(u.until))
	for p, until := range u.until {
		if now.After(until) {
			delete(u.until, p)
			continue
		}
		list[p] = true
	}
	return list
}

// without gives the grants on the listed securables less those to unknown principals; the same set when there are none.
func (u *unknownPrincipals) without(g *policy.GrantSet, on []policy.Securable) *policy.GrantSet {
	unknown := u.list()
	if len(unknown) == 0 {
		return g
	}
	rest := &policy.GrantSet{}
	for _, s := range on {
		rest.Set(s, slices.DeleteFunc(slices.Clone(g.Of(s)), func(a policy.Assignment) bool { return unknown[a.Principal] }))
	}
	return rest
}
