package protect

import (
	"fmt"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/rules"
	"ucwarden/policy/sqlexpr"
)

// persons are those for whom a branch of a CASE is, as SQL can ask about them.
type persons struct {
	everyone bool
	groups   []string // names in the spelling of the workspace
	users    []string // names in lower case; application ids of service principals
	sessions []string // names of groups, for sessions in the role of them alone
	anyRole  bool     // sessions in the role of any group, instead of sessions
	noRoles  bool     // no sessions in the role of groups
}

func (w persons) empty() bool { return !w.everyone && len(w.groups)+len(w.users)+len(w.sessions) == 0 }

func (w *persons) addUser(name string) {
	if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
		w.users = append(w.users, name)
	}
}

func (w *persons) sort() {
	for _, list := range []*[]string{&w.groups, &w.users, &w.sessions} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
}

// SQL returns the condition that is true of the persons. In a session in the role of a group the name of the session is that of
// the group, of which the role is no member. Names of groups are never folded: Unity Catalog compares them exactly.
func (w persons) SQL() (string, error) {
	switch {
	case w.everyone:
		return "TRUE", nil
	case w.anyRole: // users have an '@' in their names, and service principals are named as a UUID
		return "NOT (session_user() LIKE '%@%' OR session_user() RLIKE '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$')", nil
	}
	ownRole := w.groups
	if w.noRoles {
		ownRole = nil
	}
	var parts []string
	for _, g := range w.groups {
		name, err := sqlexpr.Literal(g)
		if err != nil {
			return "", err
		}
		parts = append(parts, "is_account_group_member("+name+")")
	}
	for _, of := range []struct {
		who   string
		names []string
	}{{"session_user()", slices.Concat(ownRole, w.sessions)}, {"lower(session_user())", w.users}} {
		if len(of.names) == 0 {
			continue
		}
		list, err := literals(of.names)
		if err != nil {
			return "", err
		}
		if len(of.names) == 1 {
			parts = append(parts, of.who+" = "+list)
		} else {
			parts = append(parts, of.who+" IN ("+list+")")
		}
	}
	switch len(parts) {
	case 0:
		return "FALSE", nil
	case 1:
		return parts[0], nil
	}
	return "(" + strings.Join(parts, " OR ") + ")", nil
}

func literals(texts []string) (string, error) {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		q, err := sqlexpr.Literal(text)
		if err != nil {
			return "", err
		}
		quoted[i] = q
	}
	return strings.Join(quoted, ", "), nil
}

// unknownError says that it cannot be told who somebody named by a policy is, so that a function would let them pass.
type unknownError struct{ what string }

func (e *unknownError) Error() string { return e.what }

// named returns the persons that an item names. An [*unknownError] says that some of them cannot be asked about in SQL.
func (p *Protector) named(item *rules.Item, table *policy.TableState) (persons, error) {
	w, err := p.persons(item.Who)
	if err != nil {
		return w, err
	}
	if item.Owner {
		w.addUser(table.Owner)
	}
	w.sort()
	return w, nil
}

func (p *Protector) persons(who rules.SubjectSet) (persons, error) {
	var w persons
	seen := make(map[rules.SubjectID]bool)
	for _, id := range who {
		if err := p.add(&w, id, seen); err != nil {
			return w, err
		}
	}
	w.sort()
	return w, nil
}

// add adds a subject: a group by its name, or where the workspace does not have it by its members; a role by both.
func (p *Protector) add(w *persons, id rules.SubjectID, seen map[rules.SubjectID]bool) error {
	if seen[id] {
		return nil
	}
	seen[id] = true
	subject := p.set.Subjects.Of(id)
	switch subject.Kind {
	case rules.SubjectEveryone:
		w.everyone = true
		return nil
	case rules.SubjectUser:
		p.addUser(w, id)
		return nil
	}
	principal, listed := p.options.Resolve(id)
	if principal.IsEveryone() {
		w.everyone = true
		return nil
	}
	if listed {
		w.groups = append(w.groups, principal.Name)
	}
	members, known := p.set.Members.MembersOf(id)
	switch {
	case subject.Kind == rules.SubjectRole && known:
		for _, m := range members {
			if err := p.add(w, m, seen); err != nil {
				return err
			}
		}
	case listed:
	case !known:
		return &unknownError{fmt.Sprintf("the workspace has no group for %s, and its members are not known", subject)}
	case len(members) > p.options.MaxNamed:
		return &unknownError{fmt.Sprintf("the workspace has no group for %s, and its %d members are more than the %d that a function names", subject, len(members), p.options.MaxNamed)}
	default:
		for _, m := range members {
			if err := p.add(w, m, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// addUser adds a user under each of the names that may be theirs.
func (p *Protector) addUser(w *persons, id rules.SubjectID) {
	principal, _ := p.options.Resolve(id)
	w.addUser(principal.Name)
	w.addUser(p.set.Subjects.Of(id).Name)
	w.addUser(p.set.Subjects.OtherName(id))
}

// usersOf returns the users that are in a set, as far as known, up to a number; ok is false where there are more, or where
// somebody else may be in it.
func (p *Protector) usersOf(who rules.SubjectSet, limit int) (users []rules.SubjectID, ok bool) {
	for _, id := range who {
		list, known := p.set.Members.UsersOf(id)
		if id == rules.Everyone || !known {
			return nil, false
		}
		users = append(users, list...)
	}
	slices.Sort(users)
	users = slices.Compact(users)
	return users, len(users) <= limit
}
