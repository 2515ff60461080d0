package named

import (
	"fmt"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/naming"
)

// scopeName is a name or pattern that a scope is made of.
type scopeName struct {
	Setting string // as in scope.tables.exclude
	Text    string // as it was given
	Type    policy.SecurableType
	Kinds   []policy.PrincipalKind // of principals: those that it can be about
}

func (n scopeName) String() string { return fmt.Sprintf("%s names %q", n.Setting, n.Text) }

// matches reports whether the name, or the pattern, is about one of the names. Case counts as the scope has it count.
func (n scopeName) matches(names []string) bool {
	fold, exactCase := n.Type != "", n.Setting == "scope.groups.include" || n.Setting == "scope.roles.include"
	text := n.Text
	if n.Type == "" && !exactCase {
		text = policy.FoldPrincipal(text)
	}
	p := naming.NewPattern(text, n.Setting != "scope.protected", fold)
	return slices.ContainsFunc(names, func(name string) bool {
		if n.Type == "" && !exactCase {
			name = policy.FoldPrincipal(name)
		}
		return p.Match(name)
	})
}

// unmatched returns what the filters and the protection of a scope name that is none of the principals.
func unmatched(s policy.Scope, principals []policy.Principal) []scopeName {
	byKind := make(map[policy.PrincipalKind][]string)
	for _, p := range principals {
		byKind[p.Kind] = append(byKind[p.Kind], p.Name)
	}
	var list []scopeName
	check := func(setting string, texts []string, kinds ...policy.PrincipalKind) {
		for _, text := range texts {
			n := scopeName{Setting: setting, Text: text, Kinds: kinds}
			if strings.Trim(text, "*") != "" && !slices.ContainsFunc(kinds, func(k policy.PrincipalKind) bool { return n.matches(byKind[k]) }) {
				list = append(list, n)
			}
		}
	}
	o := s.Options()
	check("scope.protected", o.Protected, policy.User, policy.ServicePrincipal, policy.Group)
	check("scope.users.include", o.Users.Include, policy.User, policy.ServicePrincipal)
	check("scope.users.exclude", o.Users.Exclude, policy.User, policy.ServicePrincipal)
	check("scope.groups.include", o.Groups.Include, policy.Group)
	check("scope.groups.exclude", o.Groups.Exclude, policy.Group)
	check("scope.roles.include", o.Roles.Include, policy.Group)
	check("scope.roles.exclude", o.Roles.Exclude, policy.Group)
	return list
}

// unmatchedObjects returns what a scope's filters of objects name that is none of the objects, which are those of the listed catalogs,
// and the catalogs of the workspace. What may lie in a catalog that was not listed is not among them.
func unmatchedObjects(s policy.Scope, objects, catalogs []policy.Securable, listed func(catalog policy.Securable) bool) []scopeName {
	byType := make(map[policy.SecurableType][]string)
	for _, o := range objects {
		byType[o.Type] = append(byType[o.Type], o.FullName)
	}
	for _, c := range catalogs {
		byType[policy.Catalog] = append(byType[policy.Catalog], c.FullName)
	}
	var list []scopeName
	for _, t := range policy.SecurableTypes {
		f := s.Options().Objects[t]
		if t == policy.Metastore || t.Depth() == 1 && t != policy.Catalog && !s.ReachesType(t) {
			continue
		}
		for i, text := range slices.Concat(f.Include, f.Exclude) {
			key := ".include"
			if i >= len(f.Include) {
				key = ".exclude"
			}
			n := scopeName{Setting: "scope." + strings.ToLower(string(t)) + "s" + key, Text: text, Type: t}
			of, _, _ := strings.Cut(text, ".")
			in := naming.NewPattern(of, true, true)
			unseen := t.Depth() > 1 && slices.ContainsFunc(catalogs, func(c policy.Securable) bool { return !listed(c) && in.Match(c.FullName) })
			if !unseen && strings.Trim(text, "*.") != "" && !n.matches(byType[t]) {
				list = append(list, n)
			}
		}
	}
	return list
}
