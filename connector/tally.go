package connector

import (
	"sync"

	"ucwarden/policy"
)

// tally adds up what plans made by one snapshot of the policies revoke, so that guards can judge a full sync as a
// whole although each of its shards has a plan of its own.
type tally struct {
	mu               sync.Mutex
	of               *policy.Snapshot
	revoked, managed int
}

// admit counts a plan and asks check about it, telling it what plans before it revoke. A plan that is refused is taken
// out again. One that a person approved is not counted: it says nothing about the others.
func (t *tally) admit(s *policy.Snapshot, p *policy.Plan, c policy.Circumstances, check func(policy.Circumstances) error) error {
	if c.Approved == p.Digest() {
		return check(c)
	}
	c.RevokedBefore, c.ManagedBefore = t.add(s, p.Totals.Removes, p.Totals.Managed)
	err := check(c)
	if err != nil {
		t.add(s, -p.Totals.Removes, -p.Totals.Managed)
	}
	return err
}

// add counts, from nothing when the snapshot is a new one, and gives the counts before.
func (t *tally) add(s *policy.Snapshot, revoked, managed int) (revokedBefore, managedBefore int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil || !t.of.Same(s) {
		if revoked < 0 || managed < 0 {
			return 0, 0 // taken out of counts that are no more
		}
		t.revoked, t.managed = 0, 0
		t.of = s
	}
	revokedBefore, managedBefore = t.revoked, t.managed
	t.revoked += revoked
	t.managed += managed
	return revokedBefore, managedBefore
}
