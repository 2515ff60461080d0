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

// admit asks check about a plan, telling it what plans before it revoked, and counts the plan when it passes. A plan
// that a person approved is not counted: it says nothing about the others.
func (t *tally) admit(s *policy.Snapshot, p *policy.Plan, c policy.Circumstances, check func(policy.Circumstances) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil || !t.of.Same(s) {
		t.revoked, t.managed = 0, 0
	}
	t.of = s
	c.RevokedBefore, c.ManagedBefore = t.revoked, t.managed
	if err := check(c); err != nil {
		return err
	}
	if c.Approved != p.Digest() {
		t.revoked += p.Totals.Removes
		t.managed += p.Totals.Managed
	}
	return nil
}
