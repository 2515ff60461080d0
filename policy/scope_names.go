package policy

import (
	"fmt"
	"slices"
	"strings"
)

// ScopeName is a name or pattern that a scope is made of.
type ScopeName struct {
	Setting string // as in scope.tables.exclude
	Text    string // as it was given
	Type    SecurableType
	Kinds   []PrincipalKind // of principals: those that it can be about
}

func (n ScopeName) String() string { return fmt.Sprintf("%s names %q", n.Setting, n.Text) }

// matches reports whether the name, or the pattern, is about one of the names. Case counts as the scope has it count.
func (n ScopeName) matches(names []string) bool {
	fold, exactCase := n.Type != "", n.Setting == "scope.groups.include" || n.Setting == "scope.roles.include"
	text := n.Text
	if n.Type == "" && !exactCase {
		text = FoldPrincipal(text)
	}
	p := NewPattern(text, n.Setting != "scope.protected", fold)
	return slices.ContainsFunc(names, func(name string) bool {
		if n.Type == "" && !exactCase {
			name = FoldPrincipal(name)
		}
		return p.Match(name)
	})
}

// Unmatched returns what the filters and the protection name that is none of the principals.
func (s Scope) Unmatched(principals []Principal) []ScopeName {
	byKind := make(map[PrincipalKind][]string)
	for _, p := range principals {
		byKind[p.Kind] = append(byKind[p.Kind], p.Name)
	}
	var list []ScopeName
	check := func(setting string, texts []string, kinds ...PrincipalKind) {
		for _, text := range texts {
			n := ScopeName{Setting: setting, Text: text, Kinds: kinds}
			if strings.Trim(text, "*") != "" && !slices.ContainsFunc(kinds, func(k PrincipalKind) bool { return n.matches(byKind[k]) }) {
				list = append(list, n)
			}
		}
	}
	o := s.options
	check("scope.protected", o.Protected, User, ServicePrincipal, Group)
	check("scope.users.include", o.Users.Include, User, ServicePrincipal)
	check("scope.users.exclude", o.Users.Exclude, User, ServicePrincipal)
	check("scope.groups.include", o.Groups.Include, Group)
	check("scope.groups.exclude", o.Groups.Exclude, Group)
	check("scope.roles.include", o.Roles.Include, Group)
	check("scope.roles.exclude", o.Roles.Exclude, Group)
	return list
}

// UnmatchedObjects returns what the filters of objects name that is none of the objects, which are those of the listed catalogs,
// and the catalogs of the workspace. What may lie in a catalog that was not listed is not among them.
func (s Scope) UnmatchedObjects(objects, catalogs []Securable, listed func(catalog Securable) bool) []ScopeName {
	byType := make(map[SecurableType][]string)
	for _, o := range objects {
		byType[o.Type] = append(byType[o.Type], o.FullName)
	}
	for _, c := range catalogs {
		byType[Catalog] = append(byType[Catalog], c.FullName)
	}
	var list []ScopeName
	for _, t := range SecurableTypes {
		f := s.options.Objects[t]
		if t == Metastore || t.isRootObject() && !s.ReachesType(t) {
			continue
		}
		for i, text := range slices.Concat(f.Include, f.Exclude) {
			key := ".include"
			if i >= len(f.Include) {
				key = ".exclude"
			}
			n := ScopeName{Setting: "scope." + strings.ToLower(string(t)) + "s" + key, Text: text, Type: t}
			of, _, _ := strings.Cut(text, ".")
			in := NewPattern(of, true, true)
			unseen := t.Depth() > 1 && slices.ContainsFunc(catalogs, func(c Securable) bool { return !listed(c) && in.Match(c.FullName) })
			if !unseen && strings.Trim(text, "*.") != "" && !n.matches(byType[t]) {
				list = append(list, n)
			}
		}
	}
	return list
}
