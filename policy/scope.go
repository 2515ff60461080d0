package policy

import (
	"slices"
	"strings"

	"ucwarden/policy/naming"
)

// Filter selects names by patterns ('*' and '?'). An empty Include takes every name; Exclude wins.
type Filter struct {
	Include []string
	Exclude []string
}

// ScopeOptions says what is ours to manage.
type ScopeOptions struct {
	// Objects filters full names by type; "*" is all of them. The parts of a schema's or table's full name may be patterns too; a filter
	// on a container holds for everything inside it. Any filter on catalogs or schemas takes root objects and the
	// metastore out of scope, but those that an Include of their own type names.
	Objects map[SecurableType]Filter
	// Privileges says which privileges are managed, by type of securable.
	Privileges map[SecurableType]PrivilegeFilter
	// Users, Groups and Roles filter principals. A principal outside is never granted or revoked anything.
	Users, Groups, Roles Filter
	// RolePrefix tells the groups that stand for roles.
	RolePrefix string
	// Protected names the principals that are never changed, of whatever kind and whatever the filters say: our own
	// identity, break-glass accounts. Neither they nor Exclude depend on the case of names.
	Protected []string
}

// Scope is the part of Unity Catalog that a sync may read and change. The zero Scope is everything.
type Scope struct {
	roots      []Securable // empty: the whole metastore
	objects    map[SecurableType]filter
	bounded    bool             // a filter on catalogs or schemas bounds the scope
	around     []naming.Pattern // catalogs that included schemas may lie in, where catalogs have no Include; nil: no such bound
	privileges map[SecurableType]privilegeFilter
	principals [3]principalFilter // users, groups, roles
	rolePrefix string
	protected  map[string]bool // folded
	own        func(Principal) bool
	options    *ScopeOptions // it was made of; nil: of none
}

type filter struct{ include, exclude []naming.Pattern }

// NewScope compiles the options. Errors name the bad pattern.
func NewScope(o ScopeOptions) (Scope, error) {
	s := Scope{options: &o, rolePrefix: o.RolePrefix, protected: make(map[string]bool, len(o.Protected))}
	for t, f := range o.Objects {
		if t.Depth() == 0 {
			return Scope{}, Errorf(CodeInvalid, "scope: unknown securable type %q", t)
		}
		for _, text := range slices.Concat(f.Include, f.Exclude) {
			if n := strings.Count(text, ".") + 1; t.Depth() > 1 && n != t.Depth() && text != "*" {
				return Scope{}, Errorf(CodeInvalid, "scope: pattern %q for %s needs %d dot-separated parts, has %d", text, t, t.Depth(), n)
			}
			if strings.TrimSpace(text) == "" { // it would match nothing, and so leave everything in or out
				return Scope{}, Errorf(CodeInvalid, "scope: an empty pattern for %s", t)
			}
		}
		if s.objects == nil {
			s.objects = make(map[SecurableType]filter)
		}
		s.objects[t] = compileFilter(f)
		if t.IsContainer() && len(f.Include)+len(f.Exclude) > 0 {
			s.bounded = true
		}
	}
	if len(o.Objects[Catalog].Include) == 0 {
		for _, text := range o.Objects[Schema].Include {
			catalog, _, found := strings.Cut(text, ".")
			if !found { // all schemas
				s.around = nil
				break
			}
			s.around = append(s.around, naming.NewPattern(catalog, true, true))
		}
	}
	var err error
	if s.privileges, err = compilePrivileges(o.Privileges); err != nil {
		return Scope{}, err
	}
	for i, f := range []Filter{o.Users, o.Groups, o.Roles} {
		s.principals[i] = newPrincipalFilter(f, i == 0)
	}
	for _, name := range o.Protected {
		s.protected[FoldPrincipal(name)] = true
	}
	return s, nil
}

func compileFilter(f Filter) filter {
	var c filter
	for _, text := range f.Include {
		c.include = append(c.include, naming.NewPattern(text, true, true))
	}
	for _, text := range f.Exclude {
		c.exclude = append(c.exclude, naming.NewPattern(text, true, true))
	}
	return c
}

func (f filter) takes(name string) bool {
	match := func(p naming.Pattern) bool { return p.Match(name) }
	return !slices.ContainsFunc(f.exclude, match) && (len(f.include) == 0 || slices.ContainsFunc(f.include, match))
}

// principalFilter selects principals by name. What it excludes it excludes in any case; what it includes it includes in the
// case that it is written in, unless it is about users, who have none.
type principalFilter struct{ include, exclude []naming.Pattern }

func newPrincipalFilter(f Filter, users bool) principalFilter {
	var c principalFilter
	for _, text := range f.Include {
		if users {
			text = FoldPrincipal(text)
		}
		c.include = append(c.include, naming.NewPattern(text, true, false))
	}
	for _, text := range f.Exclude {
		c.exclude = append(c.exclude, naming.NewPattern(FoldPrincipal(text), true, false))
	}
	return c
}

func (f principalFilter) takes(name string) bool {
	folded := FoldPrincipal(name)
	return !slices.ContainsFunc(f.exclude, func(p naming.Pattern) bool { return p.Match(folded) }) &&
		(len(f.include) == 0 || slices.ContainsFunc(f.include, func(p naming.Pattern) bool { return p.Match(name) }))
}

// Within narrows the scope to the given securables and everything inside them.
func (s Scope) Within(roots ...Securable) Scope {
	s.roots = slices.Clone(roots)
	return s
}

// Options returns what the scope was made of.
func (s Scope) Options() ScopeOptions {
	if s.options == nil {
		return ScopeOptions{}
	}
	return *s.options
}

// Roots lists what the scope was narrowed to; empty for the whole metastore. The caller must not change the list.
func (s Scope) Roots() []Securable { return s.roots }

// Includes reports whether the grants on o are ours to change: o lies in a root, and no filter leaves it or a
// container of it out.
func (s Scope) Includes(o Securable) bool { return s.inRoots(o) && s.Filters(o) }

func (s Scope) inRoots(o Securable) bool {
	return len(s.roots) == 0 || slices.ContainsFunc(s.roots, func(r Securable) bool { return r.Contains(o) })
}

// Filters reports whether the filters take o and every container of it, whatever the roots.
func (s Scope) Filters(o Securable) bool { return !s.AddsOnly(o) && s.reaches(o) }

// AddsOnly reports whether o is a catalog that is not itself in scope, but that schemas in scope may lie in: USE_CATALOG
// may be added there for who needs it, and nothing else is changed.
func (s Scope) AddsOnly(o Securable) bool {
	return s.around != nil && o.Type == Catalog && s.reaches(o)
}

// NotOurs returns the privileges that are not granted on o because a filter of objects leaves it out: all of them, or, on a
// catalog that only schemas in scope lie in, all but USE_CATALOG.
func (s Scope) NotOurs(o Securable) PrivilegeSet {
	switch {
	case len(s.objects) == 0:
		return 0
	case s.AddsOnly(o):
		return AllPrivilegeSet &^ UseCatalog.Set()
	case !s.reaches(o):
		return AllPrivilegeSet
	}
	return 0
}

// FiltersObjects reports whether any filter of objects is set.
func (s Scope) FiltersObjects() bool { return len(s.objects) > 0 }

// Reaches reports whether o, or something inside it, may be in scope.
func (s Scope) Reaches(o Securable) bool {
	if o.Type == Metastore && o.FullName == "" {
		return slices.ContainsFunc(SecurableTypes, func(t SecurableType) bool { return t.isRootObject() && s.ReachesType(t) })
	}
	return s.reaches(o)
}

// ReachesType reports whether objects of a type may be in scope.
func (s Scope) ReachesType(t SecurableType) bool {
	return !s.bounded || !t.isRootObject() || len(s.objects[t].include) > 0
}

func (s Scope) reaches(o Securable) bool {
	if len(s.objects) == 0 {
		return true
	}
	if !s.ReachesType(o.Type) {
		return false
	}
	for ok := true; ok; o, ok = o.Parent() {
		if f, found := s.objects[o.Type]; found && !f.takes(o.FullName) {
			return false
		}
		if o.Type == Catalog && s.around != nil && !slices.ContainsFunc(s.around, func(p naming.Pattern) bool { return p.Match(o.FullName) }) {
			return false
		}
	}
	return true
}

// KeepOwn returns the scope in which our own access is kept: grants that confer it on a principal of whom own reports that it
// is us, or a group that we may be in, are never removed.
func (s Scope) KeepOwn(own func(Principal) bool) Scope {
	s.own = own
	return s
}

// keepsOwn reports whether a grant may confer our own access on us: MANAGE, or USE_*, be it by ALL_PRIVILEGES. Everybody's group is no
// reason to keep a grant: what it holds every user of the account has.
func (s Scope) keepsOwn(on Securable, a Assignment) bool {
	if s.own == nil || a.IsEveryone() || !s.own(a.Principal) {
		return false
	}
	return a.Privilege == Manage || a.Privilege.IsUse() || a.Privilege == AllPrivileges && on.Type.IsContainer()
}

// isRootObject reports whether objects of the type are the metastore or lie directly in it, catalogs aside.
func (t SecurableType) isRootObject() bool { return t.Depth() == 1 && t != Catalog }

// Manages reports whether grants to p are ours to change.
func (s Scope) Manages(p Principal) bool {
	if p.Name == "" || p.Kind == UnknownKind || s.protected[FoldPrincipal(p.Name)] {
		return false
	}
	return s.principals[s.filterOf(p)].takes(p.Name)
}

// leavesOut reports whether a filter of principals, and nothing else, keeps grants to p from being ours to change.
func (s Scope) leavesOut(p Principal) bool {
	return p.Name != "" && p.Kind != UnknownKind && !s.protected[FoldPrincipal(p.Name)] && !s.principals[s.filterOf(p)].takes(p.Name)
}

// filterOf returns which filter a principal is subject to: service principals that of users, and groups that stand for
// roles, as the role prefix tells, one of their own.
func (s Scope) filterOf(p Principal) int {
	switch {
	case p.Kind != Group:
		return 0
	case s.rolePrefix != "" && strings.HasPrefix(p.Name, s.rolePrefix):
		return 2
	}
	return 1
}
