package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ExplainedPrincipal says as whom a question was taken.
type ExplainedPrincipal struct {
	Name       string      `json:"name"`             // as policies write it
	Kind       string      `json:"kind"`             // user, group, role or everyone
	How        string      `json:"how"`              // where it was found
	Also       []string    `json:"also,omitempty"`   // what else goes by the name
	Groups     []string    `json:"groups,omitempty"` // of a user, by the user store
	Roles      []string    `json:"roles,omitempty"`  // held, directly or through groups and other roles
	Principals []Principal `json:"principals"`       // in Unity Catalog: itself, and those whose grants reach it
}

// explainedSubject is a principal as the evaluator and the compiler know it.
type explainedSubject struct {
	explained ExplainedPrincipal
	kind      SubjectKind
	name      string
}

// lookUpSubject finds who is meant: by a kind before the name, by the user store, the roles, the names that Unity
// Catalog knows them by, and last by how policies name them. A name that nothing knows is a user.
func lookUpSubject(s *Snapshot, names NameMapping, text string) explainedSubject {
	known := newKnownNames(s)
	kind, name := SubjectNone, text
	for word, k := range map[string]SubjectKind{"user:": SubjectUser, "group:": SubjectGroup, "role:": SubjectRole} {
		if rest, ok := strings.CutPrefix(text, word); ok {
			kind, name = k, rest
		}
	}
	subject := func(k SubjectKind, name, how string) explainedSubject {
		out := explainedSubject{kind: k, name: name, explained: ExplainedPrincipal{Name: name, Kind: subjectWord(k), How: how}}
		if kind == SubjectNone {
			for _, other := range []SubjectKind{SubjectUser, SubjectGroup, SubjectRole} {
				if other != k && known.where(other, name) != "" {
					word := subjectWord(other)
					out.explained.Also = append(out.explained.Also, fmt.Sprintf("a %s of this name is %s; ask about it as %s:%s", word, known.where(other, name), word, name))
				}
			}
		}
		return out
	}
	kinds := []SubjectKind{SubjectUser, SubjectGroup, SubjectRole}
	if kind != SubjectNone {
		kinds = []SubjectKind{kind}
	}
	if (kind == SubjectNone || kind == SubjectGroup) && (name == groupPublic || name == string(AccountUsers)) {
		return subject(SubjectPublic, groupPublic, "the group everyone is in")
	}
	for _, k := range kinds {
		if where := known.where(k, name); where != "" && where != namedByPolicies {
			return subject(k, name, where)
		}
	}
	for _, k := range kinds {
		for _, n := range known.list(k) {
			if p := principalOf(names, s.Users, k, n); string(p) == name && n != name {
				return subject(k, n, fmt.Sprintf("%s in Unity Catalog; %s", name, known.where(k, n)))
			}
		}
	}
	for _, k := range kinds {
		if where := known.where(k, name); where != "" {
			return subject(k, name, where)
		}
	}
	k, how := SubjectUser, "nothing names it; taken as a user"
	if kind != SubjectNone {
		k, how = kind, "nothing names it"
	} else if !strings.Contains(name, "@") {
		how += ", say group:" + name + " or role:" + name + " for another"
	}
	if near := known.near(kinds, name); near != "" {
		how += "; names count with their case, did you mean " + near + "?"
	}
	return subject(k, name, how)
}

func subjectWord(k SubjectKind) string {
	switch k {
	case SubjectUser:
		return "user"
	case SubjectGroup:
		return "group"
	case SubjectRole:
		return "role"
	}
	return "everyone"
}

// principalOf gives the name in Unity Catalog of a user, group or role, or of everyone.
func principalOf(names NameMapping, store *UserStore, k SubjectKind, name string) Principal {
	switch k {
	case SubjectUser:
		return names.User(name, store)
	case SubjectGroup:
		return names.Group(name, store)
	case SubjectRole:
		return names.Role(name)
	}
	return AccountUsers
}

// Where names are found. What neither the user store nor the roles hold is named by policies alone.
const (
	inUserStore     = "in the user store"
	namedByPolicies = "named by policies alone; its members and memberships are not known"
)

// knownNames tells where users, groups and roles are known from.
type knownNames map[SubjectKind]map[string]string

func newKnownNames(s *Snapshot) knownNames {
	k := knownNames{SubjectUser: {}, SubjectGroup: {}, SubjectRole: {}}
	add := func(kind SubjectKind, name, where string) {
		if _, found := k[kind][name]; !found && name != "" {
			k[kind][name] = where
		}
	}
	if u := s.Users; u != nil {
		const where = inUserStore
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
		add(SubjectRole, r.Name, "among the roles")
	}
	for _, r := range s.Roles {
		for kind, members := range map[SubjectKind][]RoleMember{SubjectUser: r.Users, SubjectGroup: r.Groups, SubjectRole: r.Roles} {
			for _, m := range members {
				add(kind, m.Name, "a member of roles")
			}
		}
	}
	for policies := range s.policyLists() {
		for i := range policies {
			for item := range policies[i].allItems() {
				for kind, names := range map[SubjectKind][]string{SubjectUser: item.Users, SubjectGroup: item.Groups, SubjectRole: item.Roles} {
					for _, name := range names {
						if !isSubjectMacro(name) {
							add(kind, name, namedByPolicies)
						}
					}
				}
			}
		}
	}
	return k
}

func isSubjectMacro(name string) bool {
	return name == userCurrent || name == userOwner || name == groupPublic
}

func (k knownNames) where(kind SubjectKind, name string) string { return k[kind][name] }

func (k knownNames) list(kind SubjectKind) []string { return sortedKeys(k[kind]) }

// near gives a name that differs in case only.
func (k knownNames) near(kinds []SubjectKind, name string) string {
	for _, kind := range kinds {
		for _, n := range k.list(kind) {
			if n != name && strings.EqualFold(n, name) {
				return subjectWord(kind) + " " + n
			}
		}
	}
	return ""
}

// request is the question whether the subject may do something: of the user with their groups, or of somebody about
// whom nothing is known but the group or role.
func (s *explainedSubject) request(r Resource, owner string, at time.Time) Request {
	q := Request{Resource: r, Owner: owner, Time: at, Groups: []string{}}
	switch s.kind {
	case SubjectUser:
		q.User, q.Groups = s.name, append(q.Groups, s.explained.Groups...)
	case SubjectGroup:
		q.Groups = []string{s.name}
	case SubjectRole:
		q.Roles = append([]string{s.name}, s.explained.Roles...)
	}
	return q
}

// holder is a principal whose grants reach the subject, and the path from one to the other.
type holder struct {
	principal Principal
	path      string
}

// holders lists them, and fills in groups and roles: the subject, its groups, its roles, everyone.
func (s *explainedSubject) holders(e *Evaluator, names NameMapping) []holder {
	store := e.snapshot.Users
	var list []holder
	add := func(k SubjectKind, name, path string) {
		p := principalOf(names, store, k, name)
		if !slices.ContainsFunc(list, func(h holder) bool { return h.principal == p }) {
			list = append(list, holder{p, path})
		}
	}
	via := make(map[string]string) // role to how it is held
	hold := func(roles []string, how string) {
		for _, r := range roles {
			if _, found := via[r]; !found {
				via[r] = how
			}
		}
	}
	switch s.kind {
	case SubjectUser:
		add(SubjectUser, s.name, "user "+s.name)
		groups, _ := store.GroupsOf(s.name)
		s.explained.Groups = slices.Compact(slices.Sorted(slices.Values(groups)))
		hold(e.roles.ofUser[s.name], "")
		for _, g := range s.explained.Groups {
			add(SubjectGroup, g, "group "+g)
			hold(e.roles.ofGroup[g], " via group "+g)
		}
	case SubjectGroup:
		add(SubjectGroup, s.name, "group "+s.name)
		hold(e.roles.ofGroup[s.name], "")
	case SubjectRole:
		add(SubjectRole, s.name, "role "+s.name)
		direct := make(map[string][]string)
		for i := range e.snapshot.Roles {
			for _, m := range e.snapshot.Roles[i].Roles {
				direct[m.Name] = append(direct[m.Name], e.snapshot.Roles[i].Name)
			}
		}
		hold(rolesAbove(s.name, direct)[1:], "")
	}
	s.explained.Roles = sortedKeys(via)
	for _, r := range s.explained.Roles {
		add(SubjectRole, r, "role "+r+via[r])
	}
	add(SubjectPublic, groupPublic, "everyone")
	return list
}
