package emulator

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"

	"ucwarden/policy"
)

// privSet is a set of privileges, one bit each, in the order of privilegeTable.names.
type privSet uint64

// privilegeTable numbers every privilege that some securable type takes.
type privilegeTable struct {
	names []policy.Privilege // sorted, so that a set lists its privileges in order
	bit   map[policy.Privilege]privSet
}

func newPrivilegeTable() *privilegeTable {
	var names []policy.Privilege
	kinds := []policy.Kind{"", policy.KindView, policy.KindMaterializedView, policy.KindStreamingTable, policy.KindModel}
	for _, t := range policy.SecurableTypes {
		for _, k := range kinds {
			names = append(names, policy.Privileges(t, k)...)
		}
	}
	slices.Sort(names)
	table := &privilegeTable{names: slices.Compact(names), bit: make(map[policy.Privilege]privSet)}
	if len(table.names) > 64 {
		panic("emulator: more privileges than a privSet has bits")
	}
	for i, name := range table.names {
		table.bit[name] = 1 << i
	}
	return table
}

// parse reads a privilege as the API spells it, with blanks or underscores between the words.
func (t *privilegeTable) parse(text string) (policy.Privilege, error) {
	p := policy.Privilege(strings.ReplaceAll(text, " ", "_"))
	if t.bit[p] == 0 {
		return "", invalid("Privilege '%s' is not a privilege of Unity Catalog.", text)
	}
	return p, nil
}

// list spells the set out, sorted.
func (t *privilegeTable) list(s privSet) []policy.Privilege {
	list := make([]policy.Privilege, 0, bits.OnesCount64(uint64(s)))
	for ; s != 0; s &= s - 1 {
		list = append(list, t.names[bits.TrailingZeros64(uint64(s))])
	}
	return list
}

// conferring is the set of privileges any of which confers p.
func (t *privilegeTable) conferring(p policy.Privilege) privSet {
	set := t.bit[p]
	if policy.AllPrivileges.Implies(p) {
		set |= t.bit[policy.AllPrivileges]
	}
	return set
}

// grantee is a principal with the privileges it holds on one object.
type grantee struct {
	id    int64
	privs privSet
}

// grantList is what is granted on one object: sorted by id, without empty sets, and never changed once stored, so
// that answers and history may share it.
type grantList []grantee

func (g grantList) find(id int64) (int, bool) {
	return slices.BinarySearchFunc(g, id, func(g grantee, id int64) int { return cmp.Compare(g.id, id) })
}

func (g grantList) of(id int64) privSet {
	if i, ok := g.find(id); ok {
		return g[i].privs
	}
	return 0
}

// with gives a copy in which the principal holds exactly privs.
func (g grantList) with(id int64, privs privSet) grantList {
	i, found := g.find(id)
	switch next := slices.Clone(g); {
	case found && privs == 0:
		return slices.Delete(next, i, i+1)
	case found:
		next[i].privs = privs
		return next
	case privs == 0:
		return g
	default:
		return slices.Insert(next, i, grantee{id, privs})
	}
}
