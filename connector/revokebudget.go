package connector

import (
	"sync"

	"ucwarden/policy/guard"
	"ucwarden/policy/ranger"
)

// revokeBudget adds up what syncs of named objects by one snapshot of the policies revoke, so that guards notice when
// many small ones revoke much. A full sync is judged as a whole, by its own plan.
type revokeBudget struct {
	mu               sync.Mutex
	of               *ranger.Snapshot
	revoked, managed int
}

// admit counts a plan and asks check about it, with what plans before it revoke. A plan that is refused is taken
// out again. One that a person approved is not counted: it says nothing about the others.
func (b *revokeBudget) admit(s *ranger.Snapshot, c guard.Input, check func(guard.Input) error) error {
	if c.Approved == c.Digest {
		return check(c)
	}
	c.RevokedBefore, c.ManagedBefore = b.add(s, c.Totals.Losses(), c.Totals.Managed)
	err := check(c)
	if err != nil {
		b.add(s, -c.Totals.Losses(), -c.Totals.Managed)
	}
	return err
}

// add counts, from nothing when the snapshot is a new one, and returns the counts before.
func (b *revokeBudget) add(s *ranger.Snapshot, revoked, managed int) (revokedBefore, managedBefore int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil || !b.of.Same(s) {
		if revoked < 0 || managed < 0 {
			return 0, 0 // taken out of counts that are no more
		}
		b.revoked, b.managed = 0, 0
		b.of = s
	}
	revokedBefore, managedBefore = b.revoked, b.managed
	b.revoked += revoked
	b.managed += managed
	return revokedBefore, managedBefore
}
