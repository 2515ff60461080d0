package accepted

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"ucwarden/input"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Doubt says how sure it is that a name is a slip of writing.
type Doubt uint8

// The degrees of doubt. What can be nobody's name is granted nothing; what is read as one name, or without the blanks around
// it, is.
const (
	DoubtNone     Doubt = iota // nothing is wrong with it
	DoubtRespelt               // a user's name with blanks around it, which do not count
	DoubtOneName               // one name that looks like a pattern, several names or a macro, which somebody may have all the same
	DoubtNobody                // no principal can have it
	DoubtEveryone              // readers take it for everyone, and it is nobody's where none is known to have it
)

// IsError reports whether what is said of the name is nobody's.
func (d Doubt) IsError() bool { return d == DoubtNobody || d == DoubtEveryone }

// NameProblem is a name of a user, group or role, somewhere in a snapshot, that is a slip of writing, or may be one.
type NameProblem struct {
	Field string // where it stands, as "users[1]" of an item or "rangerRoles[0].groups[2]"
	Kind  rules.SubjectKind
	Name  string
	Doubt Doubt
	Why   string // what is wrong with it, and what to write instead
	More  int    // how often it stands elsewhere, where it is said once
}

// String says what is wrong, without the field.
func (p NameProblem) String() string {
	more := ""
	if p.More > 0 {
		more = fmt.Sprintf(" (and at %d more places)", p.More)
	}
	switch {
	case p.Name == "":
		return "it is empty, so it names nobody; write a name, or remove it" + more
	case p.Doubt == DoubtNobody:
		return fmt.Sprintf("%q can be the name of nobody: %s%s", p.Name, p.Why, more)
	case p.Doubt == DoubtEveryone:
		return fmt.Sprintf("%q is not everyone, and nobody is known by this name: %s%s", p.Name, p.Why, more)
	case p.Doubt == DoubtRespelt:
		return fmt.Sprintf("%q is taken for %q; %s%s", p.Name, strings.TrimSpace(p.Name), p.Why, more)
	}
	return fmt.Sprintf("%q is read as one name: %s%s", p.Name, p.Why, more)
}

// Name returns how sure it is that a name of a user, group or role is a slip of writing, and what is wrong with it. Names of
// groups may hold nearly anything, also commas, brackets and '&', so that little is certain: what is empty, holds what no name
// holds (control and invisible characters, double quotes, ';') or is a list in one text. Source: names in Unity Catalog, by
// the service's SCIM: users are e-mail addresses, without regard to blanks around them; groups are display names.
func Name(kind rules.SubjectKind, name string) (doubt Doubt, why string) {
	if isPlainName(name) {
		return plainName(kind, name)
	}
	if kind == rules.SubjectUser {
		switch bare := strings.TrimSpace(name); {
		case bare == rules.UserCurrent || bare == rules.UserOwner:
			if bare == name {
				return DoubtNone, ""
			}
			return DoubtOneName, "it is a macro only without the blanks"
		case bare != name && bare != "":
			if doubt, why = Name(kind, bare); doubt == DoubtNone {
				return DoubtRespelt, "write it without the blanks"
			}
			return doubt, why
		}
	}
	if strings.Trim(name, "*") == "" && name != "" {
		return DoubtEveryone, "wildcards have no meaning in names; for everyone, write public among groups"
	}
	if why = nobody(kind, name); why != "" {
		return DoubtNobody, why
	}
	if why = oneName(kind, name); why != "" {
		return DoubtOneName, why
	}
	return DoubtNone, ""
}

// isPlainName reports that a name holds nothing but what most names do.
func isPlainName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', c == '_', c == '-', c == '.', c == '@':
		default:
			return false
		}
	}
	return strings.Trim(name, "_-.@") != ""
}

// plainName judges the names that are plain texts: only words that programs write where they have no name are doubtful, and the one
// that stands for everyone, where it does not.
func plainName(kind rules.SubjectKind, name string) (Doubt, string) {
	switch len(name) {
	case len(rules.GroupPublic):
		if strings.EqualFold(name, rules.GroupPublic) && kind != rules.SubjectGroup {
			return DoubtEveryone, "it stands for everyone among groups only; write public there"
		}
	case 3, 4, 9:
		switch strings.ToLower(name) {
		case "null", "none", "nil", "nan", "undefined":
			return DoubtOneName, "programs write it where they have no name"
		}
	}
	return DoubtNone, ""
}

// nobody returns why a name can be nobody's, "" where it can be somebody's.
func nobody(kind rules.SubjectKind, name string) string {
	switch {
	case name == "":
		return "it is empty"
	case strings.TrimFunc(name, unicode.IsSpace) == "":
		return "it is nothing but blanks"
	case strings.TrimFunc(name, unicode.IsSpace) != name:
		return "it begins or ends with a blank"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "it holds a control character"
	case holdsInvisible(name):
		return "it holds an invisible character"
	case strings.ContainsRune(name, utf8.RuneError):
		return "it holds a character that could not be read"
	case strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]"):
		return "it is a list written as one text; write each name for itself"
	case holdsQuotes(name):
		return "it holds quotes; write the name without them"
	case strings.Contains(strings.Trim(name, "; "), ";"):
		return "it holds several names; write each for itself"
	case strings.Contains(name, ";"):
		return "it holds a ';', which no name does; write the name without it"
	case kind == rules.SubjectUser && mails(name) > 1:
		return "it holds several names; write each for itself"
	}
	return ""
}

// oneName returns why a name that somebody may have looks like something else, "" where it does not.
func oneName(kind rules.SubjectKind, name string) string {
	macro := strings.HasPrefix(name, "{") && strings.HasSuffix(name, "}")
	switch {
	case strings.Contains(name, "${"):
		return "expressions are not replaced in names"
	case macro && kind == rules.SubjectUser:
		return "there is no such macro; the macros are " + rules.UserCurrent + " and " + rules.UserOwner
	case macro && (strings.EqualFold(name, rules.UserCurrent) || strings.EqualFold(name, rules.UserOwner)):
		return "it is a macro among users only"
	case strings.ContainsAny(name, "{}"):
		return "braces have no meaning in it"
	case strings.ContainsAny(name, "*?"):
		return "wildcards have no meaning in names; write each name for itself"
	case strings.Count(name, "[") != strings.Count(name, "]"):
		return "it holds one bracket of a pair"
	case mails(name) > 1 || strings.ContainsAny(name, "|\uff0c\uff1b\u3001") || strings.Contains(name, ",") && !isDistinguished(name):
		return "where it means several, write each for itself"
	case strings.HasPrefix(name, "'") || strings.HasSuffix(name, "'"):
		return "it begins or ends with a quote"
	case !strings.ContainsFunc(name, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }):
		return "it holds neither a letter nor a digit"
	}
	if of, _, found := strings.Cut(name, ":"); found {
		switch strings.ToLower(of) {
		case "user", "group", "role":
			return "it begins with a kind of principal; write the name alone into the list of that kind"
		}
	}
	return ""
}

// mails counts the e-mail addresses in a text.
func mails(name string) (n int) {
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;|/&<>()", r) }) {
		if strings.Contains(part, "@") {
			n++
		}
	}
	return n
}

// isDistinguished reports whether a name is that of an entry in a directory, as "cn=hr,ou=groups", whose commas part no names.
func isDistinguished(name string) bool {
	for part := range strings.SplitSeq(name, ",") {
		if !strings.Contains(part, "=") {
			return false
		}
	}
	return true
}

// knownNames are the names of a snapshot's user store and roles, which are read where they are asked for.
type knownNames struct {
	of    *ranger.Snapshot
	store rules.KnownNames
}

// name is [Name] in a snapshot: a name that somebody has there is read as that one's.
func (k *knownNames) name(kind rules.SubjectKind, name string) (doubt Doubt, why string) {
	doubt, why = Name(kind, name)
	if doubt != DoubtEveryone {
		return doubt, why
	}
	if k.store == nil {
		k.store = rules.NewKnownNames(k.of)
	}
	isKnown := k.store.Where(kind, name) == rules.InUserStore
	if kind == rules.SubjectRole {
		isKnown = slices.ContainsFunc(k.of.Roles, func(r ranger.Role) bool { return r.Name == name })
	}
	if isKnown {
		doubt = DoubtOneName
	}
	return doubt, why
}

// itemNames returns what is wrong with the names in an item of a policy, in their order. path is that of the item in the policy.
func (k *knownNames) itemNames(p *ranger.Policy, path itemPath, item *ranger.PolicyItem) (list []NameProblem) {
	for field, name := range namesIn(p, path, item) {
		if doubt, why := k.name(name.kind, name.text); doubt != DoubtNone {
			list = append(list, NameProblem{Field: field.String(), Kind: name.kind, Name: name.text, Doubt: doubt, Why: why})
		}
	}
	return list
}

// itemPath is where an item stands in its policy. It is written only where something is said of it, since all items are looked at.
type itemPath struct {
	kind  rules.ItemKind
	index int
}

func (p itemPath) String() string { return fmt.Sprintf("%s[%d]", p.kind, p.index) }

// namePath is where a name stands in its policy.
type namePath struct {
	item itemPath
	list string // the field of the item
	at   int
}

func (p namePath) String() string { return fmt.Sprintf("%s.%s[%d]", p.item, p.list, p.at) }

// subjectName is the name of a user, group or role.
type subjectName struct {
	kind rules.SubjectKind
	text string
}

// namesIn returns whom an item of a policy names, in their order, each with its field. Those that are of the wrong kind in JSON have a
// fault of their own, and are left out; path is that of the item in the policy.
func namesIn(p *ranger.Policy, path itemPath, item *ranger.PolicyItem) iter.Seq2[namePath, subjectName] {
	return func(yield func(namePath, subjectName) bool) {
		for _, names := range [...]struct {
			field string
			kind  rules.SubjectKind
			list  []string
		}{{"users", rules.SubjectUser, item.Users}, {"groups", rules.SubjectGroup, item.Groups}, {"roles", rules.SubjectRole, item.Roles}} {
			for i, name := range names.list {
				field := namePath{path, names.field, i}
				if len(p.Faults) > 0 && faultWithin(p, field.String()) {
					continue
				}
				if !yield(field, subjectName{names.kind, name}) {
					return
				}
			}
		}
	}
}

// faultWithin reports whether what stands at the path in a policy, or in it, is of the wrong kind in JSON.
func faultWithin(p *ranger.Policy, path string) bool {
	return slices.ContainsFunc(p.Faults, func(fault ranger.Fault) bool { return fault.Within(path) })
}

// SnapshotNames returns what is wrong with the names outside policies: of roles and their members, of the user store, and of the
// super users in the service's configuration. A name in the user store is said once, with where it stands first.
func SnapshotNames(s *ranger.Snapshot) (list []NameProblem) {
	known := knownNames{of: s}
	add := func(kind rules.SubjectKind, name, format string, args ...any) {
		if doubt, why := known.name(kind, name); doubt != DoubtNone {
			list = append(list, NameProblem{Field: fmt.Sprintf(format, args...), Kind: kind, Name: name, Doubt: doubt, Why: why})
		}
	}
	for i := range s.Roles {
		role := &s.Roles[i]
		if role.Name != "" { // else it is refused
			add(rules.SubjectRole, role.Name, "rangerRoles[%d].name", i)
		}
		for _, members := range []struct {
			field string
			kind  rules.SubjectKind
			list  []ranger.RoleMember
		}{{"users", rules.SubjectUser, role.Users}, {"groups", rules.SubjectGroup, role.Groups}, {"roles", rules.SubjectRole, role.Roles}} {
			for n, m := range members.list {
				add(members.kind, m.Name, "rangerRoles[%d].%s[%d]", i, members.field, n)
			}
		}
	}
	if s.Users != nil {
		list = append(list, userStoreNames(s.Users)...)
	}
	for _, set := range []struct {
		key  string
		kind rules.SubjectKind
	}{{rules.SuperUsersKey, rules.SubjectUser}, {rules.SuperGroupsKey, rules.SubjectGroup}} {
		n := 0
		for name := range strings.SplitSeq(s.ServiceConfig[set.key], ",") {
			if name = strings.TrimSpace(name); name != "" {
				add(set.kind, name, "serviceConfig[%q][%d]", set.key, n)
			}
			n++
		}
	}
	return list
}

// RoleProblems returns the roles that are switched off, which changes nothing, as in Ranger: its engine does not look at that.
func RoleProblems(s *ranger.Snapshot) (list []ranger.Problem) {
	for i, role := range s.Roles {
		if role.IsEnabled != nil && !*role.IsEnabled {
			list = append(list, ranger.Problem{Field: fmt.Sprintf("rangerRoles[%d].isEnabled", i), Effect: policy.EffectWider,
				Message: fmt.Sprintf("a role cannot be switched off, as in Ranger, so what is said of role %q holds for its members; remove them from it", role.Name)})
		}
	}
	return list
}

// ConfigProblems returns what of the service's configuration has no effect here. Source: RangerPluginConfig.
func ConfigProblems(s *ranger.Snapshot) (list []ranger.Problem) {
	known := []string{rules.SuperUsersKey, rules.SuperGroupsKey}
	for _, key := range slices.Sorted(maps.Keys(s.ServiceConfig)) {
		p := ranger.Problem{Field: fmt.Sprintf("serviceConfig[%q]", key), Effect: policy.EffectNarrower}
		switch meant := input.Misspelt(key, known); {
		case slices.Contains(known, key) && strings.Trim(s.ServiceConfig[key], ", ") != "":
			p.Message = "Ranger allows everything to whom it names, which is not granted here; grant it by a policy, or in Unity Catalog by ownership"
		case meant != "":
			p.Message = fmt.Sprintf("it has no effect; did you mean %s?", meant)
		default:
			continue
		}
		list = append(list, p)
	}
	return list
}

// userStoreNames returns what is wrong with the names in a user store, each name of a kind once.
func userStoreNames(u *ranger.UserStore) []NameProblem {
	type key struct {
		kind rules.SubjectKind
		name string
	}
	found := make(map[key]*NameProblem)
	add := func(kind rules.SubjectKind, name string, field func() string) {
		doubt, why := Name(kind, name)
		switch doubt {
		case DoubtNone:
			return
		case DoubtEveryone:
			doubt = DoubtOneName // the store has it
		}
		p, again := found[key{kind, name}]
		if !again {
			found[key{kind, name}] = &NameProblem{Field: field(), Kind: kind, Name: name, Doubt: doubt, Why: why}
			return
		}
		p.More++
		p.Field = min(p.Field, field())
	}
	for user, groups := range u.UserGroupMapping {
		add(rules.SubjectUser, user, func() string { return fmt.Sprintf("userGroupMapping[%q]", user) })
		for i, group := range groups {
			add(rules.SubjectGroup, group, func() string { return fmt.Sprintf("userGroupMapping[%q][%d]", user, i) })
		}
	}
	attributes := func(kind rules.SubjectKind, field string, of map[string]map[string]string) {
		for name := range of {
			add(kind, name, func() string { return fmt.Sprintf("%s[%q]", field, name) })
		}
	}
	attributes(rules.SubjectUser, "userAttrMapping", u.UserAttrMapping)
	attributes(rules.SubjectGroup, "groupAttrMapping", u.GroupAttrMapping)
	ids := func(kind rules.SubjectKind, field string, of map[string]string) {
		for name, id := range of {
			add(kind, name, func() string { return fmt.Sprintf("%s[%q]", field, name) })
			if id != "" { // else the name is used
				add(kind, id, func() string { return fmt.Sprintf("%s[%q]: its id", field, name) })
			}
		}
	}
	ids(rules.SubjectUser, "userCloudIdMapping", u.UserCloudIDMapping)
	ids(rules.SubjectGroup, "groupCloudIdMapping", u.GroupCloudIDMapping)
	list := make([]NameProblem, 0, len(found))
	for _, p := range found {
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b NameProblem) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Name, b.Name))
	})
	return list
}
