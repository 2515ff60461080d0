package rules

import (
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// Membership answers who belongs to what. Users belong to groups by the user store; users, groups and roles belong to
// roles by the role definitions. What the user store does not mention is unknown, not absent.
type Membership struct {
	table   *SubjectTable
	of      []memberships // by subject; subjects numbered later have none
	users   *ranger.UserStore
	respelt bool // the user store has some user under several names
}

type memberships struct {
	groups     []SubjectID // of a user, by the user store, sorted
	users      []SubjectID // of a group, by the user store, sorted
	roles      []SubjectID // that a user, group or role is in, directly or through others, sorted
	inRole     []SubjectID // the direct members of a role
	knownUser  bool        // the user store mentions the user
	knownGroup bool        // the user store has members of the group
	knownRole  bool        // there is a definition of the role
}

var noMemberships memberships

// maxRoleMemberships bounds the memberships in roles, direct and through other roles.
const maxRoleMemberships = 4 << 20

// newMembership reads the user store and the roles. Roles that contain one another are taken as one: each holds the
// members of the other. More memberships than anybody needs are an error of class CodeTooLarge: long chains of roles
// multiply them.
func newMembership(t *SubjectTable, users *ranger.UserStore, roles []ranger.Role) (*Membership, error) {
	m := &Membership{table: t, users: users}
	if users != nil {
		for user, groups := range users.UserGroupMapping {
			u := t.add(SubjectUser, user)
			m.respelt = m.respelt || m.at(u).knownUser
			m.at(u).knownUser = true
			for _, group := range groups {
				g := t.add(SubjectGroup, group)
				m.at(u).groups = append(m.at(u).groups, g)
				m.at(g).users, m.at(g).knownGroup = append(m.at(g).users, u), true
			}
		}
	}
	direct := make(map[SubjectID][]SubjectID) // member → roles that name it
	for _, role := range roles {
		r := t.add(SubjectRole, role.Name)
		m.at(r).knownRole = true // even if empty
		for kind, members := range [...][]ranger.RoleMember{SubjectUser: role.Users, SubjectGroup: role.Groups, SubjectRole: role.Roles} {
			for _, member := range members {
				id := t.add(SubjectKind(kind), member.Name)
				direct[id] = append(direct[id], r)
				m.at(r).inRole = append(m.at(r).inRole, id)
			}
		}
	}
	if err := m.closeRoles(direct); err != nil {
		return nil, err
	}
	for i := range m.of {
		for _, list := range []*[]SubjectID{&m.of[i].groups, &m.of[i].users} {
			slices.Sort(*list)
			*list = slices.Compact(*list)
		}
	}
	return m, nil
}

func (m *Membership) closeRoles(direct map[SubjectID][]SubjectID) error {
	total := 0
	for id, first := range direct {
		seen := make(map[SubjectID]bool)
		var held []SubjectID
		for queue := slices.Clone(first); len(queue) > 0; queue = queue[1:] {
			if r := queue[0]; !seen[r] {
				seen[r] = true
				held = append(held, r)
				queue = append(queue, direct[r]...)
			}
		}
		if total += len(held); total > maxRoleMemberships {
			return policy.Errorf(policy.CodeTooLarge, "roles: more than %d memberships of users, groups and roles, directly or through other roles; nest roles less deep", maxRoleMemberships)
		}
		slices.Sort(held)
		m.at(id).roles = held
	}
	return nil
}

// at returns what is known of a subject, to be changed.
func (m *Membership) at(id SubjectID) *memberships {
	if n := int(id) + 1 - len(m.of); n > 0 {
		m.of = append(m.of, make([]memberships, n)...)
	}
	return &m.of[id]
}

// get returns what is known of a subject.
func (m *Membership) get(id SubjectID) *memberships {
	if id < 0 || int(id) >= len(m.of) {
		return &noMemberships
	}
	return &m.of[id]
}

// GroupsOf lists the groups of a user, sorted.
func (m *Membership) GroupsOf(user SubjectID) []SubjectID { return m.get(user).groups }

// GroupNames lists the groups that the user store has a user in, under whatever names it has the user; known is false when
// it does not mention the user. The caller must not change the list.
func (m *Membership) GroupNames(user string) (groups []string, known bool) {
	if m.users == nil {
		return nil, false
	}
	if groups, known = m.users.UserGroupMapping[user]; known && !m.respelt {
		return groups, true
	}
	u := m.get(m.table.ID(SubjectUser, user))
	if !u.knownUser {
		return nil, false
	}
	groups = make([]string, len(u.groups))
	for i, g := range u.groups {
		if groups[i] = m.table.Of(g).Name; g == Everyone {
			groups[i] = GroupPublic
		}
	}
	return groups, true
}

// RolesOf lists every role that a user, group or role is in, directly or through others, sorted.
func (m *Membership) RolesOf(id SubjectID) []SubjectID { return m.get(id).roles }

// Tristate is yes, no, or not known.
type Tristate uint8

// The answers.
const (
	No Tristate = iota
	Yes
	Unknown
)

// UserInGroup reports whether a user is in a group. The user store is the authority on the users and on the groups that
// it mentions.
func (m *Membership) UserInGroup(user, group SubjectID) Tristate {
	u := m.get(user)
	if u.knownUser {
		if _, found := slices.BinarySearch(u.groups, group); found {
			return Yes
		}
		return No
	}
	if m.get(group).knownGroup {
		return No
	}
	return Unknown
}

// ContainersOf lists the groups and roles that a subject is known to belong to, not counting everyone's group, nor what
// everyone belongs to.
func (m *Membership) ContainersOf(id SubjectID) []SubjectID {
	s := m.get(id)
	list := slices.Concat(s.groups, s.roles)
	for _, g := range s.groups {
		list = append(list, m.RolesOf(g)...)
	}
	return list
}

// UsersOf lists the users of a user, group or role, sorted; known is false when some of them cannot be known.
func (m *Membership) UsersOf(id SubjectID) (users []SubjectID, known bool) {
	seen := map[SubjectID]bool{}
	known = true
	var visit func(id SubjectID)
	visit = func(id SubjectID) {
		if seen[id] {
			return
		}
		seen[id] = true
		switch s := m.get(id); m.table.Of(id).Kind {
		case SubjectUser:
			users = append(users, id)
		case SubjectGroup:
			known = known && s.knownGroup
			for _, u := range s.users {
				visit(u)
			}
		case SubjectRole:
			known = known && s.knownRole
			for _, member := range s.inRole {
				visit(member)
			}
		}
	}
	visit(id)
	slices.Sort(users)
	return users, known
}
