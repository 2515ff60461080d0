package policy

import (
	"slices"
	"strings"
)

// subjectKind tells what a policy item's user, group or role list names.
type subjectKind uint8

const (
	subjectUser subjectKind = iota
	subjectGroup
	subjectRole
	subjectEveryone
)

// subjectID numbers subjects within one compilation; everyone is 0.
type subjectID int32

const (
	everyone  subjectID = 0
	noSubject subjectID = -1
)

type subject struct {
	kind subjectKind
	name string
}

// subjectTable numbers subjects. Users whom the name mapping takes for one principal are one subject, since whoever is
// denied by either name must not be granted by the other.
type subjectTable struct {
	ids   map[subject]subjectID
	list  []subject
	names NameMapping
	store *UserStore
}

func newSubjectTable(names NameMapping, store *UserStore) *subjectTable {
	t := &subjectTable{ids: make(map[subject]subjectID), names: names, store: store}
	t.add(subject{kind: subjectEveryone})
	return t
}

func (t *subjectTable) add(s subject) subjectID {
	id := subjectID(len(t.list))
	t.ids[s] = id
	t.list = append(t.list, s)
	return id
}

// id gives the number of a subject. Ranger's group public and the user macro {USER} are everyone, and so is a group
// that is Unity Catalog's "account users".
func (t *subjectTable) id(kind subjectKind, name string) subjectID {
	switch {
	case kind == subjectUser && name == "{USER}", kind == subjectGroup && t.names.Group(name, t.store).isEveryone():
		return everyone
	case kind == subjectUser:
		name = string(t.names.User(name, t.store))
	}
	s := subject{kind, name}
	if id, ok := t.ids[s]; ok {
		return id
	}
	return t.add(s)
}

func (t *subjectTable) kind(id subjectID) subjectKind { return t.list[id].kind }

func (t *subjectTable) describe(id subjectID) string {
	s := t.list[id]
	switch s.kind {
	case subjectUser:
		return "user " + s.name
	case subjectGroup:
		return "group " + s.name
	case subjectRole:
		return "role " + s.name
	}
	return "everyone"
}

// CaseConversion changes the case of user names.
type CaseConversion string

// The case conversions.
const (
	CaseKeep  CaseConversion = "none"
	CaseLower CaseConversion = "lower"
	CaseUpper CaseConversion = "upper"
)

// NameMapping turns the names in policies into principal names of Unity Catalog.
type NameMapping struct {
	UserCase    CaseConversion
	GroupPrefix string
	RolePrefix  string // roles become groups
}

// User gives the principal of a user. A cloud id in the user store (an e-mail address, usually) goes before the name.
func (m NameMapping) User(name string, store *UserStore) Principal {
	if store != nil && store.UserCloudIDMapping[name] != "" {
		name = store.UserCloudIDMapping[name]
	}
	switch m.UserCase {
	case CaseLower:
		name = strings.ToLower(name)
	case CaseUpper:
		name = strings.ToUpper(name)
	}
	return Principal(name)
}

// Group gives the principal of a group.
func (m NameMapping) Group(name string, store *UserStore) Principal {
	if name == "public" {
		return AccountUsers
	}
	if store != nil && store.GroupCloudIDMapping[name] != "" {
		name = store.GroupCloudIDMapping[name]
	}
	return Principal(m.GroupPrefix + name)
}

// Role gives the principal of a role.
func (m NameMapping) Role(name string) Principal { return Principal(m.RolePrefix + name) }

func (m NameMapping) principal(s subject, store *UserStore) Principal {
	switch s.kind {
	case subjectUser:
		return Principal(s.name) // mapped when it was numbered
	case subjectGroup:
		return m.Group(s.name, store)
	case subjectRole:
		return m.Role(s.name)
	}
	return AccountUsers
}

func (p Principal) isEveryone() bool { return strings.EqualFold(string(p), string(AccountUsers)) }

// subjectSet is who a policy item names: sorted ids.
type subjectSet []subjectID

func newSubjectSet(t *subjectTable, item *PolicyItem) subjectSet {
	var set subjectSet
	for kind, names := range [...][]string{subjectUser: item.Users, subjectGroup: item.Groups, subjectRole: item.Roles} {
		for _, name := range names {
			if name == "{OWNER}" {
				continue // owners hold every privilege in Unity Catalog without a grant
			}
			set = append(set, t.id(subjectKind(kind), name))
		}
	}
	slices.Sort(set)
	return slices.Compact(set)
}

func (s subjectSet) has(id subjectID) bool {
	_, found := slices.BinarySearch(s, id)
	return found
}
