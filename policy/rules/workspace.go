package rules

import (
	"maps"
	"slices"

	"ucwarden/policy"
)

// WithMembers returns the rule set with those in its groups and roles whom the workspace has in them, besides those of the user store and
// of the definitions of roles: it goes by its own. membersOf returns the users of a group there, directly or through others, and whether
// these are all; groups of more than limit are left out. Subjects keep their numbers.
func (s *RuleSet) WithMembers(membersOf func(group policy.Principal) (users []string, all bool), limit int) *RuleSet {
	t := *s.Subjects
	for kind := range t.ids {
		t.ids[kind] = maps.Clone(t.ids[kind])
	}
	t.list, t.loose = slices.Clone(t.list), maps.Clone(t.loose)
	m := &Membership{table: &t, of: slices.Clone(s.Members.of), users: s.Members.users, respelt: s.Members.respelt}
	for id := range SubjectID(s.Subjects.Len()) {
		kind := t.Of(id).Kind
		if kind != SubjectGroup && kind != SubjectRole {
			continue
		}
		names, all := membersOf(s.Subjects.Principal(id))
		if len(names) > limit {
			continue
		}
		for _, name := range names {
			u := t.add(SubjectUser, name)
			if !policy.SamePlainly(t.Principal(u).Name, name) {
				all = false // the name mapping makes another of it
				continue
			}
			m.join(u, id, kind)
		}
		if is := m.at(id); all && kind == SubjectGroup {
			is.knownGroup = true
		} else if all {
			is.knownRole = true
		}
	}
	out := *s
	out.Subjects, out.Members = &t, m
	return &out
}

// join notes that a user is in a group or role. What was known before is not changed, since it is another's.
func (m *Membership) join(u, in SubjectID, kind SubjectKind) {
	with := func(list []SubjectID, more ...SubjectID) []SubjectID {
		list = slices.Concat(list, more)
		slices.Sort(list)
		return slices.Compact(list)
	}
	if kind == SubjectGroup {
		m.at(in).users = with(m.at(in).users, u)
		m.at(u).groups = with(m.at(u).groups, in)
		return
	}
	m.at(in).inRole = with(m.at(in).inRole, u)
	m.at(u).roles = with(m.at(u).roles, append(slices.Clone(m.RolesOf(in)), in)...)
}
