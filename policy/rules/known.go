package rules

import (
	"maps"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// Where names are found. What neither the user store nor the roles hold is named by policies alone.
const (
	InUserStore     = "in the user store"
	AmongRoles      = "among the roles"
	NamedByPolicies = "named by policies alone; its members and memberships are not known"
)

// KnownNames says where users, groups and roles are known from.
type KnownNames map[SubjectKind]map[string]string

// NewKnownNames collects the names of a snapshot, which need not be verified.
func NewKnownNames(s *ranger.Snapshot) KnownNames {
	k := KnownNames{SubjectUser: {}, SubjectGroup: {}, SubjectRole: {}}
	add := func(kind SubjectKind, name, where string) {
		if _, found := k[kind][name]; !found && name != "" {
			k[kind][name] = where
		}
	}
	if u := s.Users; u != nil {
		const where = InUserStore
		for user, groups := range u.UserGroupMapping {
			add(SubjectUser, user, where)
			for _, g := range groups {
				add(SubjectGroup, g, where)
			}
		}
		for user := range u.UserAttrMapping {
			add(SubjectUser, user, where)
		}
		for user := range u.UserCloudIDMapping {
			add(SubjectUser, user, where)
		}
		for group := range u.GroupAttrMapping {
			add(SubjectGroup, group, where)
		}
		for group := range u.GroupCloudIDMapping {
			add(SubjectGroup, group, where)
		}
	}
	for _, r := range s.Roles {
		add(SubjectRole, r.Name, AmongRoles)
	}
	for _, r := range s.Roles {
		for kind, members := range map[SubjectKind][]ranger.RoleMember{SubjectUser: r.Users, SubjectGroup: r.Groups, SubjectRole: r.Roles} {
			for _, m := range members {
				add(kind, m.Name, "a member of roles")
			}
		}
	}
	for policies := range s.PolicyLists() {
		for i := range policies {
			for item := range policies[i].AllItems() {
				for kind, names := range map[SubjectKind][]string{SubjectUser: item.Users, SubjectGroup: item.Groups, SubjectRole: item.Roles} {
					for _, name := range names {
						if !IsSubjectMacro(name) {
							add(kind, name, NamedByPolicies)
						}
					}
				}
			}
		}
	}
	return k
}

// IsSubjectMacro reports whether a name in an item stands for everyone or the owner.
func IsSubjectMacro(name string) bool {
	return name == UserCurrent || name == UserOwner || name == GroupPublic
}

// Where says where a name is known from, "" where nothing knows it.
func (k KnownNames) Where(kind SubjectKind, name string) string { return k[kind][name] }

// List lists the known names of a kind, sorted.
func (k KnownNames) List(kind SubjectKind) []string { return slices.Sorted(maps.Keys(k[kind])) }

// Near returns a name that differs in case only.
func (k KnownNames) Near(kinds []SubjectKind, name string) string {
	for _, kind := range kinds {
		for _, n := range k.List(kind) {
			if n != name && policy.FoldPrincipal(n) == policy.FoldPrincipal(name) {
				return kind.String() + " " + n
			}
		}
	}
	return ""
}
