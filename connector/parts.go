package connector

import (
	"maps"
	"slices"

	"ucwarden/policy"
)

// splitRefused takes a change apart that was refused because of a principal that the workspace does not know: into
// the change without that principal or, when the answer did not say which one it is, into parts among which it can be
// found. unknown is that principal, empty while it is not found. Parts are in the order that policy.Diff keeps between
// changes.
func splitRefused(c policy.Change, named policy.Principal) (unknown policy.Principal, parts []policy.Change) {
	principals := principalsOf(c)
	if len(principals) == 1 {
		named = principals[0]
	}
	if slices.Contains(principals, named) {
		return named, []policy.Change{only(c, func(a policy.Assignment) bool { return a.Principal != named })}
	}
	if parts = stages(c); len(parts) > 1 {
		return policy.Principal{}, parts
	}
	half := principals[:len(principals)/2]
	inHalf := func(a policy.Assignment) bool { return slices.Contains(half, a.Principal) }
	return policy.Principal{}, []policy.Change{only(c, inHalf), only(c, func(a policy.Assignment) bool { return !inHalf(a) })}
}

// stages takes a change apart into what must not be swapped: access is added before access is removed, that before
// USE_* is added, and that before USE_* is removed.
func stages(c policy.Change) []policy.Change {
	use := func(a policy.Assignment) bool { return a.Privilege.IsUse() }
	access := func(a policy.Assignment) bool { return !use(a) }
	var parts []policy.Change
	for _, pick := range []func(policy.Assignment) bool{access, use} {
		part := only(c, pick)
		for _, p := range []policy.Change{
			{Securable: c.Securable, Wave: c.Wave, Causes: c.Causes, Add: part.Add},
			{Securable: c.Securable, Wave: c.Wave, Causes: c.Causes, Remove: part.Remove},
		} {
			if !empty(p) {
				parts = append(parts, p)
			}
		}
	}
	return parts
}

// dropAdds returns the change without what it adds for the principals that drop picks, and those principals.
func dropAdds(c policy.Change, drop func(policy.Principal) bool) (rest policy.Change, dropped []policy.Principal) {
	c.Add = slices.DeleteFunc(slices.Clone(c.Add), func(a policy.Assignment) bool {
		if !drop(a.Principal) {
			return false
		}
		dropped = append(dropped, a.Principal)
		return true
	})
	return c, dropped
}

func principalsOf(c policy.Change) []policy.Principal {
	set := make(map[policy.Principal]bool)
	for _, a := range slices.Concat(c.Add, c.Remove) {
		set[a.Principal] = true
	}
	return slices.SortedFunc(maps.Keys(set), policy.ComparePrincipals)
}

func only(c policy.Change, keep func(policy.Assignment) bool) policy.Change {
	pick := func(list []policy.Assignment) []policy.Assignment {
		return slices.DeleteFunc(slices.Clone(list), func(a policy.Assignment) bool { return !keep(a) })
	}
	c.Add, c.Remove = pick(c.Add), pick(c.Remove)
	return c
}

func empty(c policy.Change) bool { return len(c.Add)+len(c.Remove) == 0 }

// remaining returns what of c is not so yet, given the grants on its securable.
func remaining(c policy.Change, have []policy.Assignment) policy.Change {
	rest := policy.Change{Securable: c.Securable, Wave: c.Wave}
	for _, a := range c.Add {
		if !slices.Contains(have, a) {
			rest.Add = append(rest.Add, a)
		}
	}
	for _, a := range c.Remove {
		if slices.Contains(have, a) {
			rest.Remove = append(rest.Remove, a)
		}
	}
	return rest
}
