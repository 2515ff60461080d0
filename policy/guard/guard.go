package guard

import (
	"fmt"
	"time"

	"ucwarden/policy"
)

// Guard may refuse what a sync would do, as a whole. Refusals are errors of class CodeRefused that say why.
type Guard interface {
	Check(c Input) error
}

// Input is what a guard judges: all that one sync would do, and what is known besides.
type Input struct {
	Totals    policy.Totals
	Digest    string // of the plan; what an approval names
	Now       time.Time
	FetchedAt time.Time // when the policies were last confirmed to be current; zero when the source has no such time
	Policies  int       // enabled policies in force
	Listed    int       // objects listed in the plan's scope
	LastTime  int       // objects listed there the last time; 0 when not known
	// FirstContact says that no sync of this metastore was ever applied from here.
	FirstContact bool
	// ReadOtherwise names what the plan changes and what was last brought into sync by a program that read policies
	// otherwise.
	ReadOtherwise []policy.Securable
	// RevokedBefore of ManagedBefore grants were revoked by earlier syncs of named objects by the same policies, not
	// counting approved ones. A full sync is judged by its own totals.
	RevokedBefore, ManagedBefore int

	Approved string // digest of the plan a person has approved; "" for none
}

// passes reports whether there is nothing for a guard to judge: nobody loses anything, or a person approved exactly this.
func (c Input) passes() bool {
	return c.Totals.Losses() == 0 || c.Approved != "" && c.Approved == c.Digest
}

// handful is how many revokes are never too large a share.
const handful = 10

// firstContactRatio is the share of what was read that may be revoked at first contact with a metastore.
const firstContactRatio = 0.5

// Revokes refuses a sync that takes away more than Max grants, or more than ten and a share of the grants that are
// ours to manage above MaxRatio, or, at first contact with a metastore, more than ten and more than half of them, unless
// exactly that was approved. MaxRatio 1 switches the bounds of shares off.
type Revokes struct {
	Max      int
	MaxRatio float64 // 0 to 1
}

// Check implements Guard.
func (g Revokes) Check(c Input) error {
	if c.passes() {
		return nil
	}
	n, managed := c.Totals.Losses(), c.Totals.Managed
	share := func(ratio float64) bool { return g.MaxRatio < 1 && n > handful && float64(n) > ratio*float64(managed) }
	counts := fmt.Sprintf("%d of %d managed grants (%s)", n, managed, percent(n, managed))
	switch {
	case n > g.Max:
		return policy.Errorf(policy.CodeRefused, "the plan revokes %s, more than guard.max_revokes %d allows", counts, g.Max)
	case share(g.MaxRatio):
		return policy.Errorf(policy.CodeRefused, "the plan revokes %s, a larger share than guard.max_revoke_ratio %g allows", counts, g.MaxRatio)
	case c.FirstContact && share(firstContactRatio):
		return policy.Errorf(policy.CodeRefused, "this is the first sync of this metastore from here, and the plan revokes %s, more than half of what is granted", counts)
	}
	// Syncs of named objects are judged one by one; many small ones count together, by both bounds.
	all, of := n+c.RevokedBefore, managed+c.ManagedBefore
	if all > g.Max && float64(all) > g.MaxRatio*float64(of) {
		return policy.Errorf(policy.CodeRefused, "the plan revokes %d grants, with earlier syncs by the same policies %d of %d managed grants (%s), more than guard.max_revokes %d and guard.max_revoke_ratio %g allow",
			n, all, of, percent(all, of), g.Max, g.MaxRatio)
	}
	return nil
}

func percent(n, of int) string {
	if of == 0 {
		return "100%"
	}
	return fmt.Sprintf("%.0f%%", 100*float64(n)/float64(of))
}

// ShrunkenListing refuses to revoke anything when the listing of its scope has become suspiciously small: an empty
// listing, or one that lost more than MaxLoss of its objects, is more likely a fault than the truth, and would revoke
// USE_* from everybody who needs it for what was not listed.
type ShrunkenListing struct {
	MaxLoss float64 // 0 to 1
	MinLast int     // listings smaller than this the last time are not judged, unless empty now
}

// Check implements Guard.
func (g ShrunkenListing) Check(c Input) error {
	if c.passes() || c.LastTime == 0 {
		return nil
	}
	lost := c.LastTime - c.Listed
	empty := c.Listed <= 1 && c.LastTime > 1 // the container itself is always there
	if !empty && (c.LastTime < g.MinLast || float64(lost) <= g.MaxLoss*float64(c.LastTime)) {
		return nil
	}
	return policy.Errorf(policy.CodeRefused, "the listing shows %d objects where there were %d the last time, so what it would revoke may be a fault of the listing", c.Listed, c.LastTime)
}

// StalePolicies refuses to revoke by policies that their source has not confirmed for longer than MaxAge, or by an
// empty set of policies.
type StalePolicies struct {
	MaxAge time.Duration // 0: any age
}

// Check implements Guard.
func (g StalePolicies) Check(c Input) error {
	if c.passes() {
		return nil
	}
	if c.Policies == 0 {
		return policy.Errorf(policy.CodeRefused, "no policy is in force, and %d grants would be revoked: check policies.path or policies.ranger", c.Totals.Losses())
	}
	if age := c.Now.Sub(c.FetchedAt); g.MaxAge > 0 && !c.FetchedAt.IsZero() && age > g.MaxAge {
		return policy.Errorf(policy.CodeRefused, "the policies were last confirmed %s ago, more than guard.max_policy_age %s, and %d grants would be revoked: check that the policy source answers",
			age.Round(time.Second), g.MaxAge, c.Totals.Losses())
	}
	return nil
}

// Upgrade refuses a plan for what was last brought into sync by a version of the program that read policies otherwise, until
// exactly that plan was approved: the same policies may mean other grants now, fewer or more, and a person looks first.
type Upgrade struct{}

// Check implements Guard.
func (Upgrade) Check(c Input) error {
	if len(c.ReadOtherwise) == 0 || c.Totals.Changed == 0 || c.Approved != "" && c.Approved == c.Digest {
		return nil
	}
	more := ""
	if n := len(c.ReadOtherwise) - 1; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return policy.Errorf(policy.CodeRefused, "another version of ucwarden, which read policies otherwise, last synced %s%s, and this one would add %d grants and revoke %d (guard.confirm_upgrade)",
		c.ReadOtherwise[0], more, c.Totals.Adds, c.Totals.Removes)
}

// CheckAll asks every guard and returns the first refusal.
func CheckAll(guards []Guard, c Input) error {
	for _, g := range guards {
		if err := g.Check(c); err != nil {
			return fmt.Errorf("guard: %w", err)
		}
	}
	return nil
}
