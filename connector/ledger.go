package connector

import (
	"context"
	"slices"
	"sync"
	"time"

	"ucwarden/policy"
)

// ledger is what the syncs of one process know of each other, so that those that run side by side do not undo one
// another's work:
//
//   - A sync begins to read only when no change is on its way that was planned by other policies than its own. Such
//     changes stop as soon as the policies change, so the newest policies have the last word.
//   - USE_* that a sync for an object counts on is not taken away by another, which may have listed the container
//     before the object was there.
type ledger struct {
	mu         sync.Mutex
	ttl        time.Duration
	clock      uint64                   // grows with everything that is noted
	running    map[uint64]bool          // syncs under way, by the clock when they began
	applying   map[*policy.Compiler]int // changes on their way, by what they were planned with
	closing    map[policy.Securable]int // containers from which USE_* is being removed
	ended      chan struct{}            // closed when the next change has ended
	relied     map[policy.Grant]reliance
	containers map[policy.Securable]seenGrants
}

type reliance struct{ at, by uint64 }

type seenGrants struct {
	list  []policy.Assignment
	at    time.Time
	wrote uint64 // when this process changed them, on the ledger's clock; 0 when they were only read
}

func newLedger(ttl time.Duration) *ledger {
	return &ledger{
		ttl: ttl, running: make(map[uint64]bool), applying: make(map[*policy.Compiler]int), closing: make(map[policy.Securable]int),
		ended: make(chan struct{}), relied: make(map[policy.Grant]reliance), containers: make(map[policy.Securable]seenGrants),
	}
}

// waitUntil waits, with the lock held on entry and return, until ready or the end of ctx.
func (l *ledger) waitUntil(ctx context.Context, ready func() bool) error {
	for !ready() {
		ended := l.ended
		l.mu.Unlock()
		var err error
		select {
		case <-ended:
		case <-ctx.Done():
			err = ctx.Err()
		}
		l.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// begin notes that a sync by the given policies starts to read, once no change by others is on its way. Its end must
// be told with the number given.
func (l *ledger) begin(ctx context.Context, by *policy.Compiler) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.waitUntil(ctx, func() bool { return len(l.applying) == 0 || len(l.applying) == 1 && l.applying[by] > 0 })
	if err != nil {
		return 0, err
	}
	l.clock++
	l.running[l.clock] = true
	return l.clock, nil
}

func (l *ledger) end(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.running, id)
	if len(l.running) == 0 {
		clear(l.relied)
	}
}

// enter notes that a change is on its way, and gives it without the removals of what other syncs rely on. Its end must
// be told by leave, with the change that was given.
func (l *ledger) enter(id uint64, by *policy.Compiler, c policy.Change) policy.Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applying[by]++
	if !closes(c) {
		return c
	}
	c.Remove = slices.DeleteFunc(slices.Clone(c.Remove), func(a policy.Assignment) bool {
		r, ok := l.relied[policy.Grant{Securable: c.Securable, Principal: a.Principal, Privilege: a.Privilege}]
		return ok && r.by != id && (r.at > id || l.running[r.by])
	})
	if closes(c) {
		l.closing[c.Securable]++
	}
	return c
}

func (l *ledger) leave(by *policy.Compiler, c policy.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.applying[by]--; l.applying[by] == 0 {
		delete(l.applying, by)
	}
	if closes(c) {
		if l.closing[c.Securable]--; l.closing[c.Securable] == 0 {
			delete(l.closing, c.Securable)
		}
	}
	close(l.ended)
	l.ended = make(chan struct{})
}

// closes reports whether a change takes USE_* away on a container.
func closes(c policy.Change) bool {
	return c.Securable.Type.IsContainer() && slices.ContainsFunc(c.Remove, func(a policy.Assignment) bool { return a.Privilege.IsUse() })
}

// relies notes which USE_* on a container a sync counts on. When it returns, no removal of them is on its way.
func (l *ledger) relies(ctx context.Context, id uint64, container policy.Securable, want []policy.Assignment) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.running) == 1 {
		return nil // a sync that begins later sees what this one is about
	}
	l.clock++
	for _, a := range want {
		if a.Privilege.IsUse() {
			l.relied[policy.Grant{Securable: container, Principal: a.Principal, Privilege: a.Privilege}] = reliance{l.clock, id}
		}
	}
	return l.waitUntil(ctx, func() bool { return l.closing[container] == 0 })
}

// wrote notes the grants on s after a change.
func (l *ledger) wrote(s policy.Securable, list []policy.Assignment) {
	if !s.Type.IsContainer() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	l.containers[s] = seenGrants{list, time.Now(), l.clock}
}

// saw notes the grants that a sync read on a container, unless they were changed since it began.
func (l *ledger) saw(id uint64, s policy.Securable, list []policy.Assignment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.containers[s].wrote < id {
		l.containers[s] = seenGrants{list: list, at: time.Now()}
	}
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
	if !ok {
		return nil, false
	}
	if time.Since(seen.at) > l.ttl {
		delete(l.containers, s)
		return nil, false
	}
	return seen.list, true
}
