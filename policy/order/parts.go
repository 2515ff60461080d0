package order

import (
	"slices"

	"ucwarden/policy"
)

// SplitRefused takes a change apart that was refused because of a principal that the workspace does not know: into
// the change without that principal or, when the answer did not say which one it is, into parts among which it can be
// found. unknown is that principal, empty while it is not found.
func SplitRefused(c policy.Change, named policy.Principal) (unknown policy.Principal, parts []policy.Change) {
	principals := c.Principals()
	if len(principals) == 1 {
		named = principals[0]
	}
	if slices.Contains(principals, named) {
		return named, []policy.Change{c.Filter(func(a policy.Assignment) bool { return a.Principal != named })}
	}
	if parts = stages(c); len(parts) > 1 {
		return policy.Principal{}, parts
	}
	half := principals[:len(principals)/2]
	return policy.Principal{}, divide(c, func(a policy.Assignment) bool { return slices.Contains(half, a.Principal) })
}

// divide returns the part of a change that first picks, and the rest.
func divide(c policy.Change, first func(policy.Assignment) bool) []policy.Change {
	parts := []policy.Change{c.Filter(first), c.Filter(func(a policy.Assignment) bool { return !first(a) })}
	return slices.DeleteFunc(parts, policy.Change.Empty)
}

// stages takes a change apart into what comes first and what comes after. On an object it is the adds, so that nobody is
// left without for a moment. On a container, where adds may open what removes are to close, it is the removes; but what
// a principal loses only to have it by an add of the same change stays with that add. What a principal has by
// ALL_PRIVILEGES and keeps is sent with its removal, which would clear it.
func stages(c policy.Change) []policy.Change {
	has := func(list []policy.Assignment, implied func(policy.Privilege) bool, who policy.Principal) bool {
		return slices.ContainsFunc(list, func(a policy.Assignment) bool { return a.Principal == who && implied(a.Privilege) })
	}
	isAll := func(p policy.Privilege) bool { return p == policy.AllPrivileges }
	container := c.Securable.Type.IsContainer()
	return divide(c, func(a policy.Assignment) bool {
		losesAll := has(c.Remove, isAll, a.Principal)
		switch added := slices.Contains(c.Add, a) || slices.Contains(c.AddTemporary, a); {
		case added && container:
			return losesAll && policy.AllPrivileges.Implies(a.Privilege)
		case added:
			return !losesAll
		case container:
			return !has(c.Add, func(p policy.Privilege) bool { return p.Implies(a.Privilege) }, a.Principal)
		}
		return false
	})
}

// WithoutAdds returns the change without what it adds for the principals that drop picks, and those principals.
func WithoutAdds(c policy.Change, drop func(policy.Principal) bool) (rest policy.Change, dropped []policy.Principal) {
	c.Add = slices.DeleteFunc(slices.Clone(c.Add), func(a policy.Assignment) bool {
		if !drop(a.Principal) {
			return false
		}
		dropped = append(dropped, a.Principal)
		return true
	})
	return c, dropped
}
