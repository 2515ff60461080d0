package policy

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Grant is one direct grant.
type Grant struct {
	Securable Securable
	Principal Principal
	Privilege Privilege
}

// Assignment is a grant without its securable. Its JSON names the principal in fields of its own.
type Assignment struct {
	Principal
	Privilege Privilege `json:"privilege"`
}

func (a Assignment) String() string { return a.Name + " " + string(a.Privilege) }

// CompareAssignments orders assignments by principal, then by privilege.
func CompareAssignments(a, b Assignment) int {
	return cmp.Or(ComparePrincipals(a.Principal, b.Principal), cmp.Compare(a.Privilege, b.Privilege))
}

// GrantSet is a state of the world: a set of direct grants. The zero value is an empty set, ready to use. Desired
// and current grants are held alike, so that their difference is a subtraction of sets.
type GrantSet struct {
	// containers holds the grants on what lies in a container, by its full name; "" for what lies in none. States are read
	// and compared container by container, so what is looked up next is near. Each slice is sorted, without duplicates, and
	// never changed once stored: many securables may share one.
	containers map[string]map[Securable][]Assignment
	size       int // grants
}

// NewGrantSet makes a set of the given grants.
func NewGrantSet(grants ...Grant) *GrantSet {
	s := &GrantSet{}
	for _, g := range grants {
		s.Add(g)
	}
	return s
}

// Add puts one grant into the set.
func (g *GrantSet) Add(grant Grant) {
	a := Assignment{grant.Principal, grant.Privilege}
	old := g.Of(grant.Securable)
	i, found := slices.BinarySearchFunc(old, a, CompareAssignments)
	if found {
		return
	}
	list := make([]Assignment, 0, len(old)+1)
	list = append(append(append(list, old[:i]...), a), old[i:]...)
	g.Put(grant.Securable, list)
}

// Set replaces what the set holds for one securable. Order and duplicates of the input do not matter.
func (g *GrantSet) Set(s Securable, assignments []Assignment) {
	list := slices.Clone(assignments)
	slices.SortFunc(list, CompareAssignments)
	g.Put(s, slices.Compact(list))
}

// Put stores list, which must be sorted, unique and never changed afterwards.
func (g *GrantSet) Put(s Securable, list []Assignment) {
	name := s.container()
	in := g.containers[name]
	g.size += len(list) - len(in[s])
	if len(list) == 0 {
		delete(in, s)
		return
	}
	if in == nil {
		if g.containers == nil {
			g.containers = make(map[string]map[Securable][]Assignment)
		}
		in = make(map[Securable][]Assignment)
		g.containers[name] = in
	}
	in[s] = list
}

// Of returns the assignments on one securable, sorted by principal and privilege. The caller must not change them.
func (g *GrantSet) Of(s Securable) []Assignment {
	if g == nil {
		return nil
	}
	return g.containers[s.container()][s]
}

// container returns the full name of what the securable lies in, "" for a catalog.
func (s Securable) container() string {
	return s.FullName[:max(strings.LastIndexByte(s.FullName, '.'), 0)]
}

// grantReader looks up one securable after the other; in one container that is cheaper than [GrantSet.Of].
type grantReader struct {
	set  *GrantSet
	name string
	in   map[Securable][]Assignment // of the container called name
}

func (r *grantReader) of(s Securable) []Assignment {
	if r.set == nil {
		return nil
	}
	if name := s.container(); name != r.name || r.in == nil {
		r.name, r.in = name, r.set.containers[name]
	}
	return r.in[s]
}

// Has reports whether the set holds the grant.
func (g *GrantSet) Has(grant Grant) bool {
	_, found := slices.BinarySearchFunc(g.Of(grant.Securable), Assignment{grant.Principal, grant.Privilege}, CompareAssignments)
	return found
}

// Len is the number of grants.
func (g *GrantSet) Len() int {
	if g == nil {
		return 0
	}
	return g.size
}

// Securables lists the securables with at least one grant, sorted.
func (g *GrantSet) Securables() []Securable {
	if g == nil {
		return nil
	}
	var list []Securable
	for _, in := range g.containers {
		list = slices.AppendSeq(list, maps.Keys(in))
	}
	slices.SortFunc(list, Securable.Compare)
	return list
}

// All ranges over the grants, sorted by securable, principal and privilege.
func (g *GrantSet) All() iter.Seq[Grant] {
	return func(yield func(Grant) bool) {
		for _, s := range g.Securables() {
			for _, a := range g.Of(s) {
				if !yield(Grant{s, a.Principal, a.Privilege}) {
					return
				}
			}
		}
	}
}

// Clone copies the set.
func (g *GrantSet) Clone() *GrantSet {
	c := &GrantSet{containers: make(map[string]map[Securable][]Assignment, len(g.containers)), size: g.size}
	for name, in := range g.containers {
		c.containers[name] = maps.Clone(in)
	}
	return c
}
