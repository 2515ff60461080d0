package connector

import (
	"context"
	"slices"

	"ucwarden/policy"
)

// ancestry is what a sync has to do on the containers above its roots, which it does not load as a whole.
type ancestry struct {
	// changes grant, on the containers, what the policies grant there and what was loaded inherits. Adding it is safe
	// by itself.
	changes []policy.Change
	// lacking are containers on which somebody lacks USE_* that the policies grant. Granting it may wake grants on
	// objects inside that were not read, so each must be synced as a whole.
	lacking []policy.Securable
}

// requireUse looks at the containers above the roots: at what the policies grant there and what is granted.
func (r *run) requireUse(ctx context.Context, found *loaded, desired *policy.GrantSet) (ancestry, error) {
	var above ancestry
	for _, a := range found.ancestors { // the outermost first: when it is synced as a whole, so is all below it
		want := desired.Of(a)
		covered := slices.ContainsFunc(above.lacking, func(c policy.Securable) bool { return c.Contains(a) })
		if len(want) == 0 || covered || !r.Scope.Filters(a) {
			continue
		}
		if err := r.coordinator.requireUse(ctx, r.id, a, want); err != nil {
			return ancestry{}, err
		}
		have, err := r.containerGrants(ctx, a)
		if policy.CodeOf(err) == policy.CodeNotFound {
			continue
		}
		if err != nil {
			return ancestry{}, err
		}
		adds := r.missingGrants(a, have, desired)
		if slices.ContainsFunc(adds, func(g policy.Assignment) bool { return g.Privilege.IsUse() }) {
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

// missingGrants returns what is to be granted on a container that has the given grants. Nothing is to be revoked
// there: what else is granted may be needed by objects inside that were not read.
func (r *run) missingGrants(container policy.Securable, have []policy.Assignment, desired *policy.GrantSet) []policy.Assignment {
	current := &policy.GrantSet{}
	current.Set(container, have)
	want := r.unknown.without(desired, current, []policy.Securable{container}).Of(container)
	return slices.DeleteFunc(slices.Clone(want), func(a policy.Assignment) bool {
		return !r.Scope.Manages(a.Principal) ||
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
	list, err := r.grants(ctx, c)
	if err != nil {
		return nil, err
	}
	r.coordinator.saw(r.id, c, list)
	return list, nil
}
