package connector

import (
	"context"
	"errors"
	"slices"

	"ucwarden/connector/load"
	"ucwarden/connector/unread"
	"ucwarden/group"
	"ucwarden/policy"
	"ucwarden/policy/order"
)

// ancestry is what a sync has to do on the containers above its roots, which it does not load as a whole.
type ancestry struct {
	// changes grant, on the containers, what the policies grant there and what was loaded inherits.
	changes []policy.Change
	// lacking are containers on which somebody lacks what the policies grant and what confers USE_*, or has a grant to be
	// revoked that USE_* inside would wake, or USE_* to be revoked with which what is granted inside can be used, or is to be
	// granted something without the USE_* that it requires. Granting USE_* may wake grants on objects inside that were not read, so each
	// must be synced as a whole.
	lacking []policy.Securable
	left    []load.LeftOut     // whose grants cannot be read
	unread  []policy.Securable // whose grants were not looked at, or cannot be read
}

// ancestor is a container above the roots that has to be looked at.
type ancestor struct {
	policy.Securable
	want   []policy.Assignment
	opens  bool // the plan adds USE_* inside
	closed map[policy.Principal]policy.PrivilegeSet

	have []policy.Assignment
	err  error // of the attempt to read have
}

// requireUse looks at the containers above the roots: at what the policies grant there, what is granted, and whether the
// plan would wake some of it.
func (r *run) requireUse(ctx context.Context, found *load.Found, plan *policy.Plan, desired *policy.GrantSet) (ancestry, error) {
	var above ancestry
	var list []ancestor
	for _, a := range found.Ancestors {
		want := desired.Of(a)
		opens := slices.ContainsFunc(plan.Changes, func(c policy.Change) bool { return opensInside(a, c) })
		closed := r.unwantedUse(a, plan.Changes, desired)
		if r.isPending(a) || len(want) == 0 && !opens && len(closed) == 0 || !r.Scope.Filters(a) && !r.Scope.AddsOnly(a) {
			above.unread = append(above.unread, a)
			continue
		}
		if err := r.coordinator.RequireUse(ctx, r.id, a, want); err != nil {
			return ancestry{}, err
		}
		list = append(list, ancestor{Securable: a, want: want, opens: opens, closed: closed})
	}
	r.readAncestors(ctx, list) // only now that no removal is on its way
	for _, one := range list { // the outermost first: when it is synced as a whole, so is all below it
		a, want, have, err := one.Securable, one.want, one.have, one.err
		if slices.ContainsFunc(above.lacking, func(c policy.Securable) bool { return c.Contains(a) }) {
			continue
		}
		if _, gone := errors.AsType[*load.GoneError](err); gone {
			continue
		}
		if err != nil && load.FailsSmall(err) {
			above.left = append(above.left, load.LeftOut{Securable: a, Code: policy.CodeOf(err), Reason: err.Error()})
			above.unread = append(above.unread, a)
			continue
		}
		if err != nil {
			return ancestry{}, err
		}
		have = r.expansions.ReadBack(a, have, want)
		found.Current.Set(a, have) // for the order of changes
		adds := r.missingGrants(a, have, desired)
		exposes := slices.ContainsFunc(have, func(g policy.Assignment) bool { return r.exposes(a, g, want, one.closed) })
		wakes := one.opens && r.Mode == policy.ModeEnforce && r.Scope.Filters(a) && slices.ContainsFunc(have, func(g policy.Assignment) bool {
			return !g.Privilege.IsUse() && r.Scope.Manages(g.Principal) && r.mayRemove(a.Type, g.Privilege) && !slices.Contains(want, g)
		})
		if wakes || exposes || slices.ContainsFunc(adds, func(g policy.Assignment) bool { return g.Privilege.ConfersUse() }) {
			above.lacking = append(above.lacking, a)
			continue
		}
		adds = slices.DeleteFunc(adds, func(g policy.Assignment) bool { return !inherits(found, a, g.Privilege) })
		// USE_* that is to be revoked may stand inside, where not all is read.
		if r.Mode == policy.ModeEnforce && r.Scope.Filters(a) && slices.ContainsFunc(adds, func(g policy.Assignment) bool { return !hasRequiredUse(desired, a, g.Principal) }) {
			above.lacking = append(above.lacking, a)
			continue
		}
		if len(adds) > 0 {
			above.changes = append(above.changes, policy.Change{Securable: a, Add: adds})
		}
	}
	return above, nil
}

// readAncestors reads the grants on containers: what an earlier sync saw there may have been changed by somebody else since.
func (r *run) readAncestors(ctx context.Context, list []ancestor) {
	options := r.loadOptions()
	g := group.New()
	g.SetLimit(max(1, r.Parallel))
	for i := range list {
		g.Go(func() error {
			list[i].have, list[i].err = options.GrantsOf(ctx, list[i].Securable)
			return nil
		})
	}
	_ = g.Wait() // each has its own error
}

// opensInside reports whether a change inside the container adds USE_*: with it, what is granted on the container itself
// may begin to confer access.
func opensInside(container policy.Securable, c policy.Change) bool {
	return c.Securable != container && container.Contains(c.Securable) &&
		slices.ContainsFunc(c.Add, func(a policy.Assignment) bool { return a.Privilege.ConfersUse() })
}

// unwantedUse returns the USE_* on a container that are not to be had by whom the plan grants something inside: who has them all
// the same would reach what is granted.
func (r *run) unwantedUse(container policy.Securable, changes []policy.Change, desired *policy.GrantSet) map[policy.Principal]policy.PrivilegeSet {
	if r.Mode != policy.ModeEnforce || !r.Scope.Filters(container) {
		return nil
	}
	closed := make(map[policy.Principal]policy.PrivilegeSet)
	for _, c := range changes {
		if c.Securable == container || !container.Contains(c.Securable) {
			continue
		}
		for _, a := range c.Add {
			for use := range unread.UsesOf(container.Type).All() {
				if !unread.HoldsUse(desired, c.Securable, a.Principal, use) {
					closed[a.Principal] |= use.Set()
				}
			}
		}
	}
	return closed
}

// exposes reports whether a grant on a container gives USE_* that is to be revoked to somebody who may be one of closed.
func (r *run) exposes(container policy.Securable, g policy.Assignment, want []policy.Assignment, closed map[policy.Principal]policy.PrivilegeSet) bool {
	if !g.Privilege.ConfersUse() || !r.Scope.Manages(g.Principal) || !r.mayRemove(container.Type, g.Privilege) {
		return false
	}
	uses := g.Privilege.Set().WithImplied() & unread.UsesOf(container.Type)
	for _, w := range want {
		if w.Principal == g.Principal {
			uses &^= w.Privilege.Set().WithImplied()
		}
	}
	for p, lacks := range closed {
		if uses&lacks != 0 && (p == g.Principal || !unread.IsPerson(p) || !unread.IsPerson(g.Principal)) {
			return true
		}
	}
	return false
}

// missingGrants returns what is to be granted on a container that has the given grants. Nothing is to be revoked
// there: what else is granted may be needed by objects inside that were not read.
func (r *run) missingGrants(container policy.Securable, have []policy.Assignment, desired *policy.GrantSet) []policy.Assignment {
	current := &policy.GrantSet{}
	current.Set(container, have)
	want := r.unknown.Without(desired, current, []policy.Securable{container}).Of(container)
	addsOnly := r.Scope.AddsOnly(container)
	return slices.DeleteFunc(slices.Clone(want), func(a policy.Assignment) bool {
		return !r.Scope.Manages(a.Principal) || r.Scope.LeavesAlone(container.Type, a.Privilege) != "" || addsOnly && a.Privilege != policy.UseCatalog ||
			current.Has(policy.Grant{Securable: container, Principal: a.Principal, Privilege: a.Privilege}) ||
			policy.AllPrivileges.Implies(a.Privilege) && current.Has(policy.Grant{Securable: container, Principal: a.Principal, Privilege: policy.AllPrivileges})
	})
}

// order adds the changes above the roots to a plan, and puts all of them in the order of their application.
func (r *run) order(plan *policy.Plan, above ancestry, found *load.Found) {
	for _, c := range above.changes {
		plan.Totals.Changed++
		plan.Totals.Adds += len(c.Add)
	}
	unread := slices.Clone(above.unread)
	for _, left := range found.Left {
		if left.Securable.Type.IsContainer() && !left.Listing {
			unread = append(unread, left.Securable)
		}
	}
	changes, findings := order.Changes(slices.Concat(above.changes, plan.Changes), found.Current, order.Options{MayRemove: r.mayRemove, Unread: unread})
	plan.Changes, plan.Report.Findings = changes, append(plan.Report.Findings, findings...)
}

// inherits reports whether a grant of p on the container bears on an object inside that was read.
func inherits(l *load.Found, container policy.Securable, p policy.Privilege) bool {
	return slices.ContainsFunc(l.Read, func(s policy.Securable) bool {
		return container.Contains(s) && policy.Supports(s.Type, l.Kinds[s], p)
	})
}

// hasRequiredUse reports whether a principal has, by grants, the USE_* that what is granted on s requires: both, wherever it is used.
func hasRequiredUse(grants *policy.GrantSet, s policy.Securable, p policy.Principal) bool {
	return unread.HoldsUse(grants, s, p, policy.UseCatalog) && unread.HoldsUse(grants, s, p, policy.UseSchema)
}
