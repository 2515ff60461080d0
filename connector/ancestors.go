package connector

import (
	"context"
	"errors"
	"slices"

	"ucwarden/policy"
)

// ancestry is what a sync has to do on the containers above its roots, which it does not load as a whole.
type ancestry struct {
	// changes grant, on the containers, what the policies grant there and what was loaded inherits. Adding it is safe
	// by itself.
	changes []policy.Change
	// lacking are containers on which somebody lacks USE_* that the policies grant, or has a grant to be revoked that USE_*
	// inside would wake. Granting USE_* may wake grants on objects inside that were not read, so each must be synced as a
	// whole.
	lacking []policy.Securable
	left    []LeftOut // whose grants cannot be read
}

// requireUse looks at the containers above the roots: at what the policies grant there, what is granted, and whether the
// plan would wake some of it.
func (r *run) requireUse(ctx context.Context, found *loaded, plan *policy.Plan, desired *policy.GrantSet) (ancestry, error) {
	var above ancestry
	for _, a := range found.ancestors { // the outermost first: when it is synced as a whole, so is all below it
		want := desired.Of(a)
		covered := slices.ContainsFunc(above.lacking, func(c policy.Securable) bool { return c.Contains(a) })
		opens := slices.ContainsFunc(plan.Changes, func(c policy.Change) bool { return opensInside(a, c) })
		if len(want) == 0 && !opens || !r.Scope.Filters(a) && !r.Scope.AddsOnly(a) {
			continue
		}
		if err := r.coordinator.requireUse(ctx, r.id, a, want); err != nil {
			return ancestry{}, err
		}
		if covered { // read only now that no removal is on its way
			continue
		}
		have, err := r.containerGrants(ctx, a)
		if _, gone := errors.AsType[*goneError](err); gone {
			continue
		}
		if err != nil && failsSmall(err) {
			above.left = append(above.left, LeftOut{Securable: a, Code: policy.CodeOf(err), Reason: err.Error()})
			continue
		}
		if err != nil {
			return ancestry{}, err
		}
		adds := r.missingGrants(a, have, desired)
		wakes := opens && r.Mode == policy.ModeEnforce && r.Scope.Filters(a) && slices.ContainsFunc(have, func(g policy.Assignment) bool {
			return !g.Privilege.IsUse() && r.Scope.Manages(g.Principal) && r.compiler.Expresses(a.Type, g.Privilege) && !slices.Contains(want, g)
		})
		if wakes || slices.ContainsFunc(adds, func(g policy.Assignment) bool { return g.Privilege.IsUse() }) {
			above.lacking = append(above.lacking, a)
			continue
		}
		adds = slices.DeleteFunc(adds, func(g policy.Assignment) bool { return !found.inherits(a, g.Privilege) })
		if len(adds) > 0 {
			above.changes = append(above.changes, policy.Change{Securable: a, Wave: 1, Add: adds})
		}
	}
	return above, nil
}

// opensInside reports whether a change inside the container adds USE_*: with it, what is granted on the container itself
// may begin to confer access.
func opensInside(container policy.Securable, c policy.Change) bool {
	return c.Securable != container && container.Contains(c.Securable) &&
		slices.ContainsFunc(c.Add, func(a policy.Assignment) bool { return a.Privilege.IsUse() || a.Privilege == policy.AllPrivileges })
}

// missingGrants returns what is to be granted on a container that has the given grants. Nothing is to be revoked
// there: what else is granted may be needed by objects inside that were not read.
func (r *run) missingGrants(container policy.Securable, have []policy.Assignment, desired *policy.GrantSet) []policy.Assignment {
	current := &policy.GrantSet{}
	current.Set(container, have)
	want := r.unknown.without(desired, current, []policy.Securable{container}).Of(container)
	addsOnly := r.Scope.AddsOnly(container)
	return slices.DeleteFunc(slices.Clone(want), func(a policy.Assignment) bool {
		return !r.Scope.Manages(a.Principal) || addsOnly && a.Privilege != policy.UseCatalog ||
			current.Has(policy.Grant{Securable: container, Principal: a.Principal, Privilege: a.Privilege})
	})
}

// prepend puts changes that only add in front of a plan's.
func prepend(plan *policy.Plan, changes []policy.Change) {
	for _, c := range changes {
		plan.Totals.Changed++
		plan.Totals.Adds += len(c.Add)
	}
	plan.Changes = slices.Concat(changes, plan.Changes)
}

// inherits reports whether a grant of p on the container bears on an object inside that was read.
func (l *loaded) inherits(container policy.Securable, p policy.Privilege) bool {
	return slices.ContainsFunc(l.read, func(s policy.Securable) bool {
		return container.Contains(s) && policy.Supports(s.Type, l.kinds[s], p)
	})
}

// containerGrants returns the grants on a container, as last seen if that is not long ago.
func (r *run) containerGrants(ctx context.Context, c policy.Securable) ([]policy.Assignment, error) {
	if list, ok := r.coordinator.container(c); ok {
		return list, nil
	}
	list, err := r.grantsOf(ctx, c)
	if err != nil {
		return nil, err
	}
	r.coordinator.saw(r.id, c, list)
	return list, nil
}
