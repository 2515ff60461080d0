package directory

import (
	"slices"

	"ucwarden/policy"
)

// UsersIn returns the names of the users and service principals in a group, directly or through others, sorted, and whether
// these are all: not where the members of one of the groups are not known, or one of them is not listed.
func (d *Directory) UsersIn(group policy.Principal) (names []string, all bool) {
	all = true
	seen := make(map[int]bool)
	var visit func(i int)
	visit = func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		e := &d.entries[i]
		if e.Kind != policy.Group {
			names = append(names, e.Name)
			return
		}
		all = all && e.Members != nil
		for _, id := range e.Members {
			if member, listed := d.byID[id]; listed {
				visit(member)
			} else {
				all = false
			}
		}
	}
	found := false
	for _, i := range d.byName[policy.FoldPrincipal(group.Name)] {
		if d.entries[i].principal() == group {
			found = true
			visit(i)
		}
	}
	slices.Sort(names)
	return names, all && found
}

// Groups lists the groups, sorted by id.
func (d *Directory) Groups() []policy.Principal {
	var list []policy.Principal
	for i := range d.entries {
		if d.entries[i].Kind == policy.Group {
			list = append(list, d.entries[i].principal())
		}
	}
	return list
}
