package unread

import (
	"slices"

	"ucwarden/connector/load"
	"ucwarden/policy"
)

// UsesOf returns the USE_* of a type of container; none for what is no container.
func UsesOf(t policy.SecurableType) policy.PrivilegeSet {
	switch t {
	case policy.Catalog:
		return policy.NewPrivilegeSet(policy.UseCatalog, policy.UseSchema)
	case policy.Schema:
		return policy.UseSchema.Set()
	}
	return 0
}

// Opens returns the USE_* that a grant on a container confers and that its principal does not have there.
func Opens(l *load.Found, container policy.Securable, a policy.Assignment) policy.PrivilegeSet {
	uses := a.Privilege.Set().WithImplied() & UsesOf(container.Type)
	for _, have := range l.Current.Of(container) {
		if have.Principal == a.Principal {
			uses &^= have.Privilege.Set().WithImplied()
		}
	}
	return uses
}

// IsPerson reports whether a principal is nobody else beside: who has the grants of a group has others, too.
func IsPerson(p policy.Principal) bool {
	return p.Kind == policy.User || p.Kind == policy.ServicePrincipal
}

// HoldsUse reports whether grants on an object, and on the containers above it, give a principal the USE_*.
func HoldsUse(grants *policy.GrantSet, object policy.Securable, p policy.Principal, use policy.Privilege) bool {
	for s, ok := object, true; ok; s, ok = s.Parent() {
		if UsesOf(s.Type).Has(use) && slices.ContainsFunc(grants.Of(s), func(a policy.Assignment) bool {
			return (a.Principal == p || a.Principal.IsEveryone()) && a.Privilege.Implies(use)
		}) {
			return true
		}
	}
	return false
}
