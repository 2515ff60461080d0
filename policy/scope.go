package policy

import (
	"slices"
	"strings"
)

// Filter selects names by patterns ('*' and '?'). An empty Include takes every name; Exclude wins.
type Filter struct {
	Include []string
	Exclude []string
}

// ScopeOptions says what is ours to manage.
type ScopeOptions struct {
	// Objects filters full names by type. The parts of a schema's or table's full name may be patterns too; a filter
	// on a container holds for everything inside it.
	Objects map[SecurableType]Filter
	// Users, Groups and Roles filter principals. A principal outside is never granted or revoked anything.
	Users, Groups, Roles Filter
	// RolePrefix tells the groups that stand for roles.
	RolePrefix string
	// Protected principals are never changed, whatever the filters say: our own identity, break-glass accounts. Neither
	// they nor Exclude heed the case of names.
	Protected []Principal
}

// Scope is the part of Unity Catalog that a sync may read and change. The zero Scope is everything.
type Scope struct {
	roots      []Securable // empty: the whole metastore
	objects    map[SecurableType]filter
	principals [3]filter // users, groups, roles
	rolePrefix string
	protected  map[Principal]bool
}

type filter struct{ include, exclude []Pattern }

// NewScope compiles the options. Errors name the bad pattern.
func NewScope(o ScopeOptions) (Scope, error) {
	s := Scope{rolePrefix: o.RolePrefix, protected: make(map[Principal]bool, len(o.Protected))}
	for t, f := range o.Objects {
		if t.Depth() == 0 {
			return Scope{}, Errorf(CodeInvalid, "scope: unknown securable type %q", t)
		}
		for _, text := range slices.Concat(f.Include, f.Exclude) {
			if n := strings.Count(text, ".") + 1; t.Depth() > 1 && n != t.Depth() {
				return Scope{}, Errorf(CodeInvalid, "scope: pattern %q for %s needs %d dot-separated parts, has %d", text, t, t.Depth(), n)
			}
		}
		if s.objects == nil {
			s.objects = make(map[SecurableType]filter)
		}
		s.objects[t] = compileFilter(f, true)
	}
	for i, f := range []Filter{o.Users, o.Groups, o.Roles} {
		s.principals[i] = filter{compileFilter(f, false).include, compileFilter(f, true).exclude}
	}
	for _, p := range o.Protected {
		s.protected[p.folded()] = true
	}
	return s, nil
}

func compileFilter(f Filter, fold bool) filter {
	var c filter
	for _, text := range f.Include {
		c.include = append(c.include, NewPattern(text, true, fold))
	}
	for _, text := range f.Exclude {
		c.exclude = append(c.exclude, NewPattern(text, true, fold))
	}
	return c
}

func (f filter) takes(name string) bool {
	match := func(p Pattern) bool { return p.Match(name) }
	return !slices.ContainsFunc(f.exclude, match) && (len(f.include) == 0 || slices.ContainsFunc(f.include, match))
}

// Within narrows the scope to the given securables and everything inside them.
func (s Scope) Within(roots ...Securable) Scope {
	s.roots = slices.Clone(roots)
	return s
}

// Roots lists what the scope was narrowed to; empty for the whole metastore. The caller must not change the list.
func (s Scope) Roots() []Securable { return s.roots }

// Includes reports whether the grants on o are ours to change: o lies in a root, and no filter leaves it or a
// container of it out.
func (s Scope) Includes(o Securable) bool {
	if len(s.roots) > 0 && !slices.ContainsFunc(s.roots, func(r Securable) bool { return r.Contains(o) }) {
		return false
	}
	return s.Filters(o)
}

// Filters reports whether the filters take o and every container of it, whatever the roots.
func (s Scope) Filters(o Securable) bool {
	if len(s.objects) == 0 {
		return true
	}
	for ok := true; ok; o, ok = o.Parent() {
		if f, found := s.objects[o.Type]; found && !f.takes(o.FullName) {
			return false
		}
	}
	return true
}

// Manages reports whether grants to p are ours to change.
func (s Scope) Manages(p Principal) bool {
	if p == "" || s.protected[p.folded()] {
		return false
	}
	return s.principals[s.kindOf(p)].takes(string(p))
}

// folded is the principal in lower case: whoever is not to be touched is not, however the workspace spells the name.
func (p Principal) folded() Principal { return Principal(strings.ToLower(string(p))) }

// kindOf tells users (e-mail addresses) and service principals (UUIDs) from groups, and groups that stand for roles
// from others by the role prefix: grants in Unity Catalog carry no more than a name.
func (s Scope) kindOf(p Principal) int {
	switch {
	case strings.Contains(string(p), "@") || isUUID(string(p)):
		return 0
	case s.rolePrefix != "" && strings.HasPrefix(string(p), s.rolePrefix):
		return 2
	}
	return 1
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return true
}
