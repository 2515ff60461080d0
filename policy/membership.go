package policy

import "slices"

// membership answers who belongs to what, by the ids of subjects. Users belong to groups by the user store; users,
// groups and roles belong to roles by the role definitions. What the user store does not mention is unknown, not
// absent.
type membership struct {
	groupsOf  map[subjectID][]subjectID // user → groups, for the users of the user store
	membersOf map[subjectID][]subjectID // group → users, for the groups of the user store
	rolesOf   map[subjectID][]subjectID // user, group or role → every role it is in, directly or through others
	inRole    map[subjectID][]subjectID // role → its direct members
}

// newMembership reads the user store and the roles. Roles that contain one another are taken as one: each holds the
// members of the other.
func newMembership(t *subjectTable, users *UserStore, roles []Role) *membership {
	m := &membership{
		groupsOf:  make(map[subjectID][]subjectID),
		membersOf: make(map[subjectID][]subjectID),
		rolesOf:   make(map[subjectID][]subjectID),
		inRole:    make(map[subjectID][]subjectID),
	}
	if users != nil {
		for user, groups := range users.UserGroupMapping {
			u := t.id(subjectUser, user)
			if _, ok := m.groupsOf[u]; !ok { // the store may have the same person under several names
				m.groupsOf[u] = nil
			}
			for _, group := range groups {
				g := t.id(subjectGroup, group)
				m.groupsOf[u] = append(m.groupsOf[u], g)
				m.membersOf[g] = append(m.membersOf[g], u)
			}
		}
	}
	direct := make(map[subjectID][]subjectID) // member → roles that name it
	for _, role := range roles {
		r := t.id(subjectRole, role.Name)
		if _, ok := m.inRole[r]; !ok {
			m.inRole[r] = nil // known, even if empty
		}
		for kind, members := range [...][]RoleMember{subjectUser: role.Users, subjectGroup: role.Groups, subjectRole: role.Roles} {
			for _, member := range members {
				id := t.id(subjectKind(kind), member.Name)
				direct[id] = append(direct[id], r)
				m.inRole[r] = append(m.inRole[r], id)
			}
		}
	}
	for id, first := range direct {
		seen := make(map[subjectID]bool)
		for queue := slices.Clone(first); len(queue) > 0; queue = queue[1:] {
			if r := queue[0]; !seen[r] {
				seen[r] = true
				m.rolesOf[id] = append(m.rolesOf[id], r)
				queue = append(queue, direct[r]...)
			}
		}
		slices.Sort(m.rolesOf[id])
	}
	for _, lists := range []map[subjectID][]subjectID{m.groupsOf, m.membersOf} {
		for id, list := range lists {
			slices.Sort(list)
			lists[id] = slices.Compact(list)
		}
	}
	return m
}

// tristate is yes, no, or not known.
type tristate uint8

const (
	no tristate = iota
	yes
	unknown
)

// userInGroup tells whether user u is in group g. The user store is the authority on the users and on the groups that
// it mentions.
func (m *membership) userInGroup(u, g subjectID) tristate {
	groups, knownUser := m.groupsOf[u]
	if knownUser {
		if _, found := slices.BinarySearch(groups, g); found {
			return yes
		}
		return no
	}
	if _, knownGroup := m.membersOf[g]; knownGroup {
		return no
	}
	return unknown
}

// containersOf lists the groups and roles that p is known to belong to, not counting everyone's group.
func (m *membership) containersOf(p subjectID) []subjectID {
	list := slices.Concat(m.groupsOf[p], m.rolesOf[p])
	for _, g := range m.groupsOf[p] {
		list = append(list, m.rolesOf[g]...)
	}
	return list
}

// usersOf lists the users of a group or role; known is false when some of them cannot be known.
func (m *membership) usersOf(t *subjectTable, p subjectID) (users []subjectID, known bool) {
	seen := map[subjectID]bool{}
	known = true
	var visit func(id subjectID)
	visit = func(id subjectID) {
		if seen[id] {
			return
		}
		seen[id] = true
		switch t.kind(id) {
		case subjectUser:
			users = append(users, id)
		case subjectGroup:
			members, ok := m.membersOf[id]
			known = known && ok
			for _, u := range members {
				visit(u)
			}
		case subjectRole:
			members, ok := m.inRole[id]
			known = known && ok
			for _, member := range members {
				visit(member)
			}
		}
	}
	visit(p)
	slices.Sort(users)
	return users, known
}
