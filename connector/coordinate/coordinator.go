package coordinate

import (
	"context"
	"slices"
	"sync"

	"ucwarden/policy"
	"ucwarden/policy/compile"
)

// Coordinator is what the syncs of one process know of each other, so that those that run side by side do not undo one
// another's work:
//
//   - A sync begins to read only when no change is on its way that was planned by other policies than its own. Such
//     changes stop as soon as the policies change, so the newest policies have the last word.
//   - USE_* that a sync for an object requires is not taken away by another, which may have listed the container
//     before the object was there.
type Coordinator struct {
	mu       sync.Mutex
	clock    uint64                    // grows with everything that is noted
	running  map[uint64]bool           // syncs under way, by the clock when they began
	applying map[*compile.Compiler]int // changes on their way, by what they were planned with
	closing  map[policy.Securable]int  // containers from which USE_* is being removed
	ended    chan struct{}             // closed when the next change has ended
	required map[policy.Grant]requirement
}

// requirement is that a sync requires a grant to stay.
type requirement struct{ at, by uint64 }

// New returns a coordinator.
func New() *Coordinator {
	return &Coordinator{
		running: make(map[uint64]bool), applying: make(map[*compile.Compiler]int), closing: make(map[policy.Securable]int),
		ended: make(chan struct{}), required: make(map[policy.Grant]requirement),
	}
}

// waitUntil waits, with the lock held on entry and return, until ready or the end of ctx.
func (co *Coordinator) waitUntil(ctx context.Context, ready func() bool) error {
	for !ready() {
		ended := co.ended
		co.mu.Unlock()
		var err error
		select {
		case <-ended:
		case <-ctx.Done():
			err = ctx.Err()
		}
		co.mu.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

// Begin notes that a sync by the given policies starts to read, once no change by others is on its way. Its end must
// be reported by End, with the number returned.
func (co *Coordinator) Begin(ctx context.Context, by *compile.Compiler) (uint64, error) {
	co.mu.Lock()
	defer co.mu.Unlock()
	err := co.waitUntil(ctx, func() bool { return len(co.applying) == 0 || len(co.applying) == 1 && co.applying[by] > 0 })
	if err != nil {
		return 0, err
	}
	co.clock++
	co.running[co.clock] = true
	return co.clock, nil
}

// End notes that a sync is over.
func (co *Coordinator) End(id uint64) {
	co.mu.Lock()
	defer co.mu.Unlock()
	delete(co.running, id)
	if len(co.running) == 0 {
		clear(co.required)
	}
}

// Enter notes that a change is on its way, and returns it without the removals of what other syncs require. Its end must
// be reported by Leave, with the change returned.
func (co *Coordinator) Enter(id uint64, by *compile.Compiler, c policy.Change) policy.Change {
	co.mu.Lock()
	defer co.mu.Unlock()
	co.applying[by]++
	if !Closes(c) {
		return c
	}
	required := func(a policy.Assignment) bool {
		r, ok := co.required[policy.Grant{Securable: c.Securable, Principal: a.Principal, Privilege: a.Privilege}]
		return ok && r.by != id && (r.at > id || co.running[r.by])
	}
	c.Remove = slices.DeleteFunc(slices.Clone(c.Remove), required)
	c.RemoveTemporary = slices.DeleteFunc(slices.Clone(c.RemoveTemporary), required)
	for _, removed := range c.Remove {
		if removed.Privilege == policy.AllPrivileges { // which takes USE_* along, that the other sync may be about to add
			for _, use := range []policy.Privilege{policy.UseCatalog, policy.UseSchema} {
				if a := (policy.Assignment{Principal: removed.Principal, Privilege: use}); required(a) && !slices.Contains(c.Keep, a) && !slices.Contains(c.Add, a) {
					c.Add = append(slices.Clone(c.Add), a)
				}
			}
		}
	}
	if Closes(c) {
		co.closing[c.Securable]++
	}
	return c
}

// Leave notes that a change is not on its way any more.
func (co *Coordinator) Leave(by *compile.Compiler, c policy.Change) {
	co.mu.Lock()
	defer co.mu.Unlock()
	if co.applying[by]--; co.applying[by] == 0 {
		delete(co.applying, by)
	}
	if Closes(c) {
		if co.closing[c.Securable]--; co.closing[c.Securable] == 0 {
			delete(co.closing, c.Securable)
		}
	}
	close(co.ended)
	co.ended = make(chan struct{})
}

// Closes reports whether a change takes USE_* away on a container.
func Closes(c policy.Change) bool {
	_, remove := c.Request()
	return c.Securable.Type.IsContainer() && slices.ContainsFunc(remove, func(a policy.Assignment) bool { return a.Privilege.ConfersUse() })
}

// RequireUse notes which USE_* on a container a sync requires. When it returns, no removal of them is on its way.
func (co *Coordinator) RequireUse(ctx context.Context, id uint64, container policy.Securable, want []policy.Assignment) error {
	co.mu.Lock()
	defer co.mu.Unlock()
	if len(co.running) == 1 {
		return nil // a sync that begins later sees what this one is about
	}
	co.clock++
	for _, a := range want {
		if a.Privilege.ConfersUse() {
			co.required[policy.Grant{Securable: container, Principal: a.Principal, Privilege: a.Privilege}] = requirement{co.clock, id}
		}
	}
	return co.waitUntil(ctx, func() bool { return co.closing[container] == 0 })
}
