package emulator

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"

	"ucwarden/policy"
)

// privilegeSet is a set of privileges, one bit each, in the order of privilegeTable.names.
type privilegeSet uint64

// privilegeTable numbers every privilege that is applicable to some securable type.
type privilegeTable struct {
	names []policy.Privilege // sorted, so that sets are listed in order
	bit   map[policy.Privilege]privilegeSet
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
	table := &privilegeTable{names: slices.Compact(names), bit: make(map[policy.Privilege]privilegeSet)}
	if len(table.names) > 64 {
		panic("emulator: more privileges than a privSet has bits")
	}
	for i, name := range table.names {
		table.bit[name] = 1 << i
	}
	return table
}

// parse returns the privilege of that name, written with spaces or underscores between the words.
func (t *privilegeTable) parse(text string) (policy.Privilege, error) {
	p := policy.Privilege(strings.ReplaceAll(text, " ", "_"))
	if t.bit[p] == 0 {
		return "", invalid("Privilege '%s' is not a privilege of Unity Catalog.", text)
	}
	return p, nil
}

// list returns the privileges of the set, sorted.
func (t *privilegeTable) list(s privilegeSet) []policy.Privilege {
	list := make([]policy.Privilege, 0, bits.OnesCount64(uint64(s)))
	for ; s != 0; s &= s - 1 {
		list = append(list, t.names[bits.TrailingZeros64(uint64(s))])
	}
	return list
}

// implying returns the set of privileges any of which implies p, itself included.
func (t *privilegeTable) implying(p policy.Privilege) privilegeSet {
	set := t.bit[p]
	if policy.AllPrivileges.Implies(p) {
		set |= t.bit[policy.AllPrivileges]
	}
	return set
}

// grantee is a principal with its privileges on one object.
type grantee struct {
	id    int64
	privs privilegeSet
}

// grantList holds the grants on one object: sorted by id, without empty sets, and immutable once stored, so that answers
// and history may share it.
type grantList []grantee

func (g grantList) find(id int64) (int, bool) {
	return slices.BinarySearchFunc(g, id, func(g grantee, id int64) int { return cmp.Compare(g.id, id) })
}

func (g grantList) of(id int64) privilegeSet {
	if i, ok := g.find(id); ok {
		return g[i].privs
	}
	return 0
}

// with returns a copy in which the principal has exactly privs.
func (g grantList) with(id int64, privs privilegeSet) grantList {
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
