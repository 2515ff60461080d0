package accepted

import (
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// StoreNames are the names of a snapshot's user store and roles, with which those in policies are compared.
type StoreNames struct {
	known   rules.KnownNames
	alike   map[rules.SubjectKind]map[string]string // by the names without regard to case and blanks
	domains map[string]string                       // users by what stands before the @
	users   bool                                    // there is a user store
}

// NewStoreNames returns the names of the snapshot's user store and roles.
func NewStoreNames(s *ranger.Snapshot) *StoreNames {
	n := &StoreNames{known: rules.NewKnownNames(s), domains: map[string]string{}, users: s.Users != nil}
	n.alike = map[rules.SubjectKind]map[string]string{rules.SubjectUser: {}, rules.SubjectGroup: {}, rules.SubjectRole: {}}
	first := func(by map[string]string, key, name string) {
		if before, ok := by[key]; !ok || name < before {
			by[key] = name
		}
	}
	for kind, names := range n.known {
		for name := range names {
			if !n.Has(kind, name) {
				continue
			}
			first(n.alike[kind], bareName(name), name)
			if local, _, ok := strings.Cut(name, "@"); ok && kind == rules.SubjectUser {
				first(n.domains, bareName(local), name)
			}
		}
	}
	return n
}

func bareName(name string) string { return policy.FoldPrincipal(strings.TrimSpace(name)) }

// Has reports whether the user store, or the list of roles, has the name.
func (n *StoreNames) Has(kind rules.SubjectKind, name string) bool {
	where := n.known.Where(kind, name)
	return where == rules.InUserStore || kind == rules.SubjectRole && where == rules.AmongRoles
}

// Near returns the name that may be meant by one that the user store, or the list of roles, does not have: one that differs in case or
// blanks, or the user's with a domain, or with another one before it; "" where none is, or nothing says who is there.
func (n *StoreNames) Near(kind rules.SubjectKind, name string) string {
	switch {
	case name == "" || n.Has(kind, name) || rules.IsSubjectMacro(name) || !n.users && kind != rules.SubjectRole:
		return ""
	case kind == rules.SubjectUser:
		if n.alike[kind][bareName(name)] != "" {
			return "" // the same user
		}
		return n.domains[bareName(name[strings.LastIndexByte(name, '\\')+1:])] // behind the domain of Windows, where it has one
	}
	return n.alike[kind][bareName(name)]
}

// findMisnamed reports names in an item that takes something away which are nearly those of the user store, or of roles: who is meant is
// not reached by it.
func (f *finder) findMisnamed(p *rules.Policy, path itemPath, item *ranger.PolicyItem) {
	if f.store == nil {
		f.store = NewStoreNames(f.Snapshot)
	}
	named := map[rules.SubjectKind][]string{rules.SubjectUser: item.Users, rules.SubjectGroup: item.Groups, rules.SubjectRole: item.Roles}
	for field, name := range namesIn(p.Source, path, item) {
		near := f.store.Near(name.kind, name.text)
		if doubt, _ := Name(name.kind, name.text); near == "" || doubt.IsError() || slices.Contains(named[name.kind], near) {
			continue
		}
		where := "the user store has"
		if name.kind == rules.SubjectRole {
			where = "the list of roles has"
		}
		r := f.find(p, policy.EffectWider, "%s: %s no %s %q, but %q, who is not meant by that; write that name, or remove it", field, where, name.kind, name.text, near)
		r.Kind, r.Slip = KindName, true
	}
}
