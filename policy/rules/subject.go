package rules

import (
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/naming"
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

// SubjectTable numbers subjects. Users whom the name mapping takes for one principal, and those whose names differ in case
// alone, are one subject: Unity Catalog knows users without regard to case, and whoever is denied by either name must not
// be allowed by the other.
type SubjectTable struct {
	ids      [SubjectRole + 1]map[string]SubjectID // by name as written and as it is numbered
	list     []Subject
	names    NameMapping
	store    *ranger.UserStore
	cloudIDs map[string]string    // of users, by folded name; "" where several differ in case alone
	loose    map[SubjectID]string // another name of a user, which may be somebody else's
}

func newSubjectTable(names NameMapping, store *ranger.UserStore) *SubjectTable {
	t := &SubjectTable{names: names, store: store, cloudIDs: make(map[string]string), loose: make(map[SubjectID]string)}
	for kind := range t.ids {
		t.ids[kind] = make(map[string]SubjectID)
	}
	if store != nil {
		for user, id := range store.UserCloudIDMapping {
			folded := policy.FoldPrincipal(user)
			if other, twice := t.cloudIDs[folded]; twice && other != id {
				id = ""
			}
			t.cloudIDs[folded] = id
		}
	}
	t.list = []Subject{{Kind: SubjectEveryone}}
	return t
}

// add returns the number of a subject, a new one where it has none yet.
func (t *SubjectTable) add(kind SubjectKind, written string) SubjectID {
	if id, ok := t.ids[kind][written]; ok {
		return id
	}
	id := Everyone
	key, everyone := t.key(kind, written)
	if !everyone {
		var ok bool
		if id, ok = t.ids[kind][key]; !ok {
			id = SubjectID(len(t.list))
			name := written
			if kind == SubjectUser {
				name = t.user(written)
			}
			t.list = append(t.list, Subject{kind, name})
			t.ids[kind][key] = id
		} else if kind == SubjectUser {
			if name := t.user(written); !policy.SamePlainly(name, t.list[id].Name) {
				t.loose[id] = name
			}
		}
	}
	if key != written {
		t.ids[kind][written] = id
	}
	return id
}

// ID returns the number of a user, group or role, [NoSubject] where nothing names it.
func (t *SubjectTable) ID(kind SubjectKind, written string) SubjectID {
	if id, ok := t.ids[kind][written]; ok {
		return id
	}
	key, everyone := t.key(kind, written)
	switch {
	case everyone:
		return Everyone
	case key == written: // looked up already
		return NoSubject
	}
	if id, ok := t.ids[kind][key]; ok {
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

// key returns the name by which a subject is numbered. Ranger's group public and the user macro {USER} are everyone, and so
// is a group that is Unity Catalog's "account users".
func (t *SubjectTable) key(kind SubjectKind, name string) (key string, everyone bool) {
	switch kind {
	case SubjectUser:
		if name == UserCurrent {
			return "", true
		}
		return policy.FoldPrincipal(t.user(name)), false
	case SubjectGroup:
		if t.PrincipalOf(kind, name).IsEveryone() {
			return "", true
		}
	}
	return name, false
}

// user returns a user's name in Unity Catalog, in the case that it is written in there or in the policies. A cloud id in the
// user store (an e-mail address, usually) goes before the name.
func (t *SubjectTable) user(name string) string {
	id := t.cloudIDs[policy.FoldPrincipal(name)]
	if t.store != nil && t.store.UserCloudIDMapping[name] != "" {
		id = t.store.UserCloudIDMapping[name]
	}
	if id != "" {
		name = id
	}
	switch t.names.UserCase {
	case CaseLower:
		return naming.Canonical(name)
	case CaseUpper:
		return strings.ToUpper(name)
	}
	return name
}

// OtherName returns another name of a user that may be somebody else's, by [policy.SamePlainly]; empty where there is none.
func (t *SubjectTable) OtherName(id SubjectID) string { return t.loose[id] }

// Len is the number of subjects, everyone included.
func (t *SubjectTable) Len() int { return len(t.list) }

// Of returns the subject of a number.
func (t *SubjectTable) Of(id SubjectID) Subject { return t.list[id] }

// Principal returns the principal in Unity Catalog that a subject stands for.
func (t *SubjectTable) Principal(id SubjectID) policy.Principal {
	s := t.list[id]
	if s.Kind == SubjectUser {
		return userPrincipal(s.Name) // mapped when it was numbered
	}
	return t.PrincipalOf(s.Kind, s.Name)
}

// PrincipalOf returns the principal that a user, group or role of that name in a policy stands for, or everyone.
func (t *SubjectTable) PrincipalOf(kind SubjectKind, name string) policy.Principal {
	switch kind {
	case SubjectUser:
		return userPrincipal(t.user(name))
	case SubjectGroup:
		if name == GroupPublic {
			return policy.AccountUsers
		}
		if t.store != nil && t.store.GroupCloudIDMapping[name] != "" {
			name = t.store.GroupCloudIDMapping[name]
		}
		return policy.NewPrincipal(policy.Group, t.names.GroupPrefix+name)
	case SubjectRole:
		return policy.NewPrincipal(policy.Group, t.names.RolePrefix+name)
	}
	return policy.AccountUsers
}

// userPrincipal returns the principal of a user of Ranger, who may be a service principal.
func userPrincipal(name string) policy.Principal {
	if p := policy.PrincipalByShape(name); p.Kind == policy.ServicePrincipal {
		return p
	}
	return policy.NewPrincipal(policy.User, name)
}

// CaseConversion changes the case of user names. It decides how they are shown, not whom they mean.
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
