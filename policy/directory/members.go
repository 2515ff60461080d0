package directory

import (
	"slices"

	"ucwarden/policy"
)

// UsersIn returns the names of the users and service principals in a group, directly or through others, sorted, and whether
// these are all: not where the members of one of the groups are not known, or one of them is not listed.
func (d *Directory) UsersIn(group policy.Principal) (names []string, all bool) {
	all = d.visit(group, func(e *Entry) {
		if e.Kind != policy.Group {
			names = append(names, e.Name)
		}
	})
	slices.Sort(names)
	return names, all
}

// GroupsIn returns the groups in a group, directly or through others, sorted, and whether these are all, as UsersIn does.
func (d *Directory) GroupsIn(group policy.Principal) (groups []policy.Principal, all bool) {
	all = d.visit(group, func(e *Entry) {
		if p := e.principal(); e.Kind == policy.Group && p != group {
			groups = append(groups, p)
		}
	})
	slices.SortFunc(groups, policy.ComparePrincipals)
	return slices.Compact(groups), all
}

// visit calls with a group, and with everybody who is in it, directly or through others, once each, and returns whether these are all.
func (d *Directory) visit(group policy.Principal, call func(*Entry)) (all bool) {
	all = true
	seen := make(map[int]bool)
	var queue []int
	for _, i := range d.byName[policy.FoldPrincipal(group.Name)] {
		if d.entries[i].principal() == group {
			queue = append(queue, i)
		}
	}
	found := len(queue) > 0
	for ; len(queue) > 0; queue = queue[1:] {
		if seen[queue[0]] {
			continue
		}
		seen[queue[0]] = true
		e := &d.entries[queue[0]]
		call(e)
		if e.Kind != policy.Group {
			continue
		}
		all = all && e.Members != nil
		for _, id := range e.Members {
			member, listed := d.byID[id]
			if all = all && listed; listed {
				queue = append(queue, member)
			}
		}
		queue = append(queue, d.told[e.ID]...)
	}
	return all && found
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

// GroupsOf lists the groups that a principal is in, directly or through others, as far as their members are known, sorted. Everybody's
// group is not among them.
func (d *Directory) GroupsOf(p policy.Principal) []policy.Principal {
	in := make(map[string][]string) // groups by member
	for i := range d.entries {
		e := &d.entries[i]
		for _, member := range e.Members {
			in[member] = append(in[member], e.ID)
		}
		in[e.ID] = append(in[e.ID], e.Parents...)
	}
	var queue []string
	for _, i := range d.byName[policy.FoldPrincipal(p.Name)] {
		if d.entries[i].principal() == p {
			queue = append(queue, in[d.entries[i].ID]...)
		}
	}
	seen := make(map[string]bool)
	var groups []policy.Principal
	for ; len(queue) > 0; queue = queue[1:] {
		id := queue[0]
		if seen[id] {
			continue
		}
		seen[id] = true
		queue = append(queue, in[id]...)
		if i, listed := d.byID[id]; listed && !d.entries[i].principal().IsEveryone() {
			groups = append(groups, d.entries[i].principal())
		}
	}
	slices.SortFunc(groups, policy.ComparePrincipals)
	return groups
}
