package policy

import (
	"fmt"
	"time"
)

// Guard may refuse a whole plan. Refusals are errors of class CodeRefused that say why and what to do.
type Guard interface {
	Check(p *Plan, c GuardInput) error
}

// GuardInput is what a guard knows besides the plan.
type GuardInput struct {
	Now       time.Time
	FetchedAt time.Time // when the policies were last confirmed to be current; zero when the source has no such time
	Policies  int       // enabled policies in force
	Listed    int       // objects listed in the plan's scope
	LastTime  int       // objects listed there the last time; 0 when not known
	// RevokedBefore of ManagedBefore grants were revoked by earlier plans of the same policies, not counting approved
	// ones: the other shards of a full sync.
	RevokedBefore, ManagedBefore int

	Approved string // digest of the plan a person has approved; "" for none
}

// RevokeGuard refuses a plan that revokes more than Max grants and also more than MaxRatio of the grants that are ours
// to manage, by itself or together with what earlier plans of the same policies revoked, unless exactly this plan was
// approved.
type RevokeGuard struct {
	Max      int
	MaxRatio float64 // 0 to 1
}

// Check implements Guard.
func (g RevokeGuard) Check(p *Plan, c GuardInput) error {
	removes, managed := p.Totals.Removes, p.Totals.Managed
	if removes == 0 || c.Approved == p.Digest() {
		return nil
	}
	whole := ""
	if !g.exceeded(removes, managed) {
		removes, managed = removes+c.RevokedBefore, managed+c.ManagedBefore
		if !g.exceeded(removes, managed) {
			return nil
		}
		whole = fmt.Sprintf(" (%d of them here, the others earlier by the same policies)", p.Totals.Removes)
	}
	return Errorf(CodeRefused, "the plan revokes %d of %d managed grants (%.0f%%)%s, more than guard.max_revokes %d and guard.max_revoke_ratio %g allow; nothing was changed. "+
		"Look at it with 'ucwarden plan'; if it is right, run 'ucwarden sync --approve %s'",
		removes, managed, 100*float64(removes)/float64(managed), whole, g.Max, g.MaxRatio, p.Digest())
}

func (g RevokeGuard) exceeded(removes, managed int) bool {
	return removes > g.Max && managed > 0 && float64(removes) > g.MaxRatio*float64(managed)
}

// ShrunkenListingGuard refuses a plan that removes anything when the listing of its scope has become suspiciously
// small: an empty listing, or one that lost more than MaxLoss of its objects, is more likely a fault than the truth,
// and would revoke USE_* from everybody who needs it for what was not listed.
type ShrunkenListingGuard struct {
	MaxLoss float64 // 0 to 1
	MinLast int     // listings smaller than this the last time are not judged, unless empty now
}

// Check implements Guard.
func (g ShrunkenListingGuard) Check(p *Plan, c GuardInput) error {
	if p.Totals.Removes == 0 || c.LastTime == 0 || c.Approved == p.Digest() {
		return nil
	}
	lost := c.LastTime - c.Listed
	empty := c.Listed <= 1 && c.LastTime > 1 // the container itself is always there
	if !empty && (c.LastTime < g.MinLast || float64(lost) <= g.MaxLoss*float64(c.LastTime)) {
		return nil
	}
	return Errorf(CodeRefused, "the listing shows %d objects where there were %d the last time, so what it seems to revoke may be a fault of the listing; nothing was changed. "+
		"If the objects are really gone, run 'ucwarden sync --approve %s'", c.Listed, c.LastTime, p.Digest())
}

// StalePolicyGuard refuses to revoke by policies that their source has not confirmed for longer than MaxAge, or by an
// empty set of policies.
type StalePolicyGuard struct {
	MaxAge time.Duration // 0: any age
}

// Check implements Guard.
func (g StalePolicyGuard) Check(p *Plan, c GuardInput) error {
	if p.Totals.Removes == 0 || c.Approved == p.Digest() {
		return nil
	}
	if c.Policies == 0 {
		return Errorf(CodeRefused, "no policy is in force, and the plan would revoke %d grants; nothing was changed. Check policies.path or policies.ranger", p.Totals.Removes)
	}
	if g.MaxAge > 0 && !c.FetchedAt.IsZero() && c.Now.Sub(c.FetchedAt) > g.MaxAge {
		return Errorf(CodeRefused, "the policies were last confirmed %s ago, more than guard.max_policy_age %s, and the plan would revoke %d grants; nothing was changed. Check that the policy source answers",
			c.Now.Sub(c.FetchedAt).Round(time.Second), g.MaxAge, p.Totals.Removes)
	}
	return nil
}

// CheckAll asks every guard and gives the first refusal.
func CheckAll(guards []Guard, p *Plan, c GuardInput) error {
	for _, g := range guards {
		if err := g.Check(p, c); err != nil {
			return fmt.Errorf("guard: %w", err)
		}
	}
	return nil
}
