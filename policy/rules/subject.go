package rules

import (
	"slices"
	"strings"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// SubjectKind tells what the name of a subject is the name of.
type SubjectKind uint8

// The kinds of subjects. SubjectOwner and SubjectEveryone stand in no list of names: they are what {OWNER}, and {USER} or
// the group public, come to.
const (
	SubjectNone SubjectKind = iota
	SubjectUser
	SubjectGroup
	SubjectRole
	SubjectOwner
	SubjectEveryone
)

func (k SubjectKind) String() string {
	return [...]string{"nobody", "user", "group", "role", "owner", "everyone"}[k]
}

// SubjectID numbers the subjects of one [RuleSet]; [Everyone] is 0.
type SubjectID int32

// The subjects that have no name.
const (
	Everyone  SubjectID = 0
	NoSubject SubjectID = -1
)

// Subject is who a policy item, the user store or a role names.
type Subject struct {
	Kind SubjectKind
	Name string // of a user, as the name mapping writes it
}

func (s Subject) String() string {
	if s.Name == "" {
		return s.Kind.String()
	}
	return s.Kind.String() + " " + s.Name
}

// The names with a meaning of their own in a policy item.
const (
	GroupPublic = "public"
	UserCurrent = "{USER}"
	UserOwner   = "{OWNER}"
)

// SubjectTable numbers subjects. Users whom the name mapping takes for one principal are one subject, since whoever is
// denied by either name must not be allowed by the other.
type SubjectTable struct {
	ids   [SubjectRole + 1]map[string]SubjectID // by name as written and as mapped
	list  []Subject
	names NameMapping
	store *ranger.UserStore
}

func newSubjectTable(names NameMapping, store *ranger.UserStore) *SubjectTable {
	t := &SubjectTable{names: names, store: store}
	for kind := range t.ids {
		t.ids[kind] = make(map[string]SubjectID)
	}
	t.list = []Subject{{Kind: SubjectEveryone}}
	return t
}

// add returns the number of a subject, a new one where it has none yet.
func (t *SubjectTable) add(kind SubjectKind, written string) SubjectID {
	if id, ok := t.ids[kind][written]; ok {
		return id
	}
	id, name := Everyone, written
	var everyone bool
	if name, everyone = t.canonical(kind, written); !everyone {
		var ok bool
		if id, ok = t.ids[kind][name]; !ok {
			id = SubjectID(len(t.list))
			t.list = append(t.list, Subject{kind, name})
			t.ids[kind][name] = id
		}
	}
	if name != written {
		t.ids[kind][written] = id
	}
	return id
}

// ID returns the number of a user, group or role, [NoSubject] where nothing names it.
func (t *SubjectTable) ID(kind SubjectKind, written string) SubjectID {
	if id, ok := t.ids[kind][written]; ok {
		return id
	}
	name, everyone := t.canonical(kind, written)
	switch {
	case everyone:
		return Everyone
	case name == written: // looked up already
		return NoSubject
	}
	if id, ok := t.ids[kind][name]; ok {
		return id
	}
	return NoSubject
}

// HasGroup reports whether a group, not everyone, is in the set, without looking its number up.
func (t *SubjectTable) HasGroup(set SubjectSet, name string) bool {
	for _, id := range set {
		if s := &t.list[id]; s.Name == name && s.Kind == SubjectGroup {
			return true
		}
	}
	return false
}

// canonical returns the name by which a subject is numbered. Ranger's group public and the user macro {USER} are
// everyone, and so is a group that is Unity Catalog's "account users".
func (t *SubjectTable) canonical(kind SubjectKind, name string) (canonical string, everyone bool) {
	switch kind {
	case SubjectUser:
		if name == UserCurrent {
			return "", true
		}
		return string(t.names.user(name, t.store)), false
	case SubjectGroup:
		if t.names.group(name, t.store).IsEveryone() {
			return "", true
		}
	}
	return name, false
}

// Names returns the mapping by which users are numbered.
func (t *SubjectTable) Names() NameMapping { return t.names }

// Len is the number of subjects, everyone included.
func (t *SubjectTable) Len() int { return len(t.list) }

// Of returns the subject of a number.
func (t *SubjectTable) Of(id SubjectID) Subject { return t.list[id] }

// Principal returns the name of a subject in Unity Catalog.
func (t *SubjectTable) Principal(id SubjectID) policy.Principal {
	s := t.list[id]
	if s.Kind == SubjectUser {
		return policy.Principal(s.Name) // mapped when it was numbered
	}
	return t.names.Principal(s.Kind, s.Name, t.store)
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

// user returns the principal of a user. A cloud id in the user store (an e-mail address, usually) goes before the name.
func (m NameMapping) user(name string, store *ranger.UserStore) policy.Principal {
	if store != nil && store.UserCloudIDMapping[name] != "" {
		name = store.UserCloudIDMapping[name]
	}
	switch m.UserCase {
	case CaseLower:
		name = policy.CanonicalName(name)
	case CaseUpper:
		name = strings.ToUpper(name)
	}
	return policy.Principal(name)
}

// group returns the principal of a group.
func (m NameMapping) group(name string, store *ranger.UserStore) policy.Principal {
	if name == GroupPublic {
		return policy.AccountUsers
	}
	if store != nil && store.GroupCloudIDMapping[name] != "" {
		name = store.GroupCloudIDMapping[name]
	}
	return policy.Principal(m.GroupPrefix + name)
}

// role returns the principal of a role.
func (m NameMapping) role(name string) policy.Principal { return policy.Principal(m.RolePrefix + name) }

// Principal returns the principal of a user, group or role, or of everyone.
func (m NameMapping) Principal(k SubjectKind, name string, store *ranger.UserStore) policy.Principal {
	switch k {
	case SubjectUser:
		return m.user(name, store)
	case SubjectGroup:
		return m.group(name, store)
	case SubjectRole:
		return m.role(name)
	}
	return policy.AccountUsers
}

// SubjectSet is who a policy item names: sorted numbers.
type SubjectSet []SubjectID

// newSubjectSet numbers whom an item names. {OWNER} is nobody: an owner holds every privilege in Unity Catalog without a
// grant, and the evaluator looks at the owner of the resource asked for.
func newSubjectSet(t *SubjectTable, item *ranger.PolicyItem) SubjectSet {
	set := make(SubjectSet, 0, len(item.Users)+len(item.Groups)+len(item.Roles))
	for _, name := range item.Users {
		if name != "" && name != UserOwner {
			set = append(set, t.add(SubjectUser, name))
		}
	}
	for _, name := range item.Groups {
		if name != "" {
			set = append(set, t.add(SubjectGroup, name))
		}
	}
	for _, name := range item.Roles {
		if name != "" {
			set = append(set, t.add(SubjectRole, name))
		}
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// Has reports whether the set holds a subject.
func (s SubjectSet) Has(id SubjectID) bool {
	_, found := slices.BinarySearch(s, id)
	return found
}

// HasAny returns the first of the sorted ids that the set holds.
func (s SubjectSet) HasAny(ids []SubjectID) (SubjectID, bool) {
	for i, j := 0, 0; i < len(s) && j < len(ids); {
		switch {
		case s[i] == ids[j]:
			return s[i], true
		case s[i] < ids[j]:
			i++
		default:
			j++
		}
	}
	return NoSubject, false
}
