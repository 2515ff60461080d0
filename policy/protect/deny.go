package protect

import (
	"fmt"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/rules"
)

// CanDeny returns nil where a filter can hide rows from whom d denies, whatever name their groups are given and in whose role
// they act; else why not.
func (p *Protector) CanDeny(d *judge.Denials) error {
	_, err := p.denials(d)
	return err
}

// denial is a condition for those who see no row, and the policy that says so; nil for roles.
type denial struct {
	condition string
	policy    *rules.Policy
}

// denials returns for whom a filter shows no row.
func (p *Protector) denials(d *judge.Denials) ([]denial, error) {
	var list []denial
	if roles := p.sessionsOf(p.deniedRoles(d)); !roles.empty() {
		text, err := roles.SQL()
		if err != nil {
			return nil, fmt.Errorf("the name of a granted group: %w", err)
		}
		list = append(list, denial{text, nil})
	}
	for i := range d.Rules {
		rule := &d.Rules[i]
		text, err := p.denies(rule)
		if err != nil {
			return nil, fmt.Errorf("policy %d %q denies SELECT: %w", rule.Policy.Source.ID, rule.Policy.Source.Name, err)
		}
		if text != "FALSE" {
			list = append(list, denial{text, rule.Policy})
		}
	}
	return list, nil
}

// deniedRoles returns the names of the groups in whose roles somebody denied could read: of the granted groups that they are in, and of
// those in one of these.
func (p *Protector) deniedRoles(d *judge.Denials) []string {
	if len(d.Roles) == 0 {
		return nil
	}
	var names []string
	for _, r := range p.rolesNamed(d.Roles) {
		names = append(names, r.principal.Name)
	}
	var of rules.SubjectSet
	for i := range d.Rules {
		of = append(of, d.Rules[i].Who...)
		for _, a := range d.Rules[i].Allowed {
			of = append(of, a.Except...)
		}
	}
	slices.Sort(of)
	of = slices.Compact(of)
	roles, _ := p.rolesOf(d.Roles)
	for _, r := range roles {
		if p.mayHold(r, of) {
			names = append(names, r.principal.Name)
		}
	}
	return names
}

// deny adds to a filter that the denied see no row.
func (c *compilation) deny(f *function, d *judge.Denials) error {
	for i := range d.Rules {
		c.note(boundItem{policy: d.Rules[i].Policy.Source})
	}
	list, err := c.denials(d)
	if err != nil {
		return err
	}
	c.noteNestedRoles(d)
	for _, denial := range list {
		f.add(denial.condition, "FALSE", nil)
		if p := denial.policy; p != nil && !slices.Contains(f.policies, p.Source.ID) {
			f.policies = append(f.policies, p.Source.ID)
		}
	}
	return nil
}

// noteNestedRoles notes in the roles of which groups, that are granted nothing themselves, no row is seen: of the granted ones compile says it.
func (c *compilation) noteNestedRoles(d *judge.Denials) {
	names := c.deniedRoles(d)
	for _, r := range c.rolesNamed(d.Roles) {
		names = slices.DeleteFunc(names, func(name string) bool { return name == r.principal.Name })
	}
	if len(names) == 0 || len(d.Rules) == 0 {
		return
	}
	slices.Sort(names)
	of, shown, more := d.Rules[0].Policy, names[:min(len(names), maxRolesShown)], ""
	if n := len(names) - len(shown); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	f := policy.Finding{PolicyID: of.Source.ID, Policy: of.Source.Name, Effect: policy.EffectNone, Securable: c.table.Securable, Message: fmt.Sprintf(
		"its row filter shows no row to sessions in the role of %s%s: groups in one that is granted SELECT, and in which somebody denied is or may be", strings.Join(shown, ", "), more)}
	if !slices.Contains(c.out.Findings, f) { // a function may be compiled twice
		c.out.Findings = append(c.out.Findings, f)
	}
}

const maxRolesShown = 10

// denies returns whom a rule denies, as SQL.
func (p *Protector) denies(r *judge.DenyRule) (string, error) {
	var text string
	if r.Else {
		text = negation(p.anyOf(r.Allowed))
	} else {
		w, err := p.whoever(r.Who)
		if err != nil {
			return "", err
		}
		if text, err = w.SQL(); err != nil {
			return "", err
		}
		// Whom an exception names that the workspace does not know is not excepted.
		if except, ok := p.known(r.Except); ok && except != "FALSE" {
			text = "(" + text + " AND NOT " + except + ")"
		}
	}
	if before := p.anyOf(r.Override); before != "FALSE" && text != "FALSE" {
		text = "(" + text + " AND NOT " + before + ")"
	}
	return text, nil
}

func negation(condition string) string {
	if condition == "FALSE" {
		return "TRUE"
	}
	return "NOT " + condition
}

// anyOf returns whom one of several allows is for. One of which that cannot be told is for nobody.
func (p *Protector) anyOf(list []judge.Allow) string {
	var parts []string
	for _, a := range list {
		text, ok := p.known(a.Who)
		if !ok || text == "FALSE" {
			continue
		}
		if len(a.Except) > 0 {
			w, err := p.whoever(a.Except)
			if err != nil {
				continue
			}
			except, err := w.SQL()
			if err != nil {
				continue
			}
			text = "(" + text + " AND NOT " + except + ")"
		}
		if !slices.Contains(parts, text) {
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 {
		return "FALSE"
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}

// known returns the condition for those in a set, if it can be told who they are.
func (p *Protector) known(who rules.SubjectSet) (text string, ok bool) {
	w, err := p.persons(who)
	if err != nil {
		return "", false
	}
	text, err = w.SQL()
	return text, err == nil
}

// whoever returns the persons in a set, and names each who is in one of its groups besides, and each group that is: so they, and sessions
// in the roles of these, stay in it when a group is given another name, or is deleted. An [*unknownError] says that this cannot be done.
func (p *Protector) whoever(who rules.SubjectSet) (persons, error) {
	w, err := p.persons(who)
	if err != nil || w.everyone {
		return w, err
	}
	for _, id := range who {
		if err := p.addMembers(&w, id); err != nil {
			return w, err
		}
	}
	w.sort()
	return w, nil
}

// addMembers adds who is in a group or role, by the policies and by the workspace, and the groups in it as far as they are known.
func (p *Protector) addMembers(w *persons, id rules.SubjectID) error {
	subject := p.set.Subjects.Of(id)
	if subject.Kind == rules.SubjectUser {
		return nil
	}
	names, known := p.memberNames(id)
	switch n := len(names); {
	case !known:
		return &unknownError{fmt.Sprintf("it is not known who is in %s, and they would see the rows once it has another name", subject)}
	case n > p.options.MaxNamed:
		return &unknownError{fmt.Sprintf("the %d members of %s are more than the %d that a function names, and they would see the rows once it has another name", n, subject, p.options.MaxNamed)}
	}
	for _, name := range names {
		w.addUser(name)
	}
	for _, r := range p.rolesNamed(rules.SubjectSet{id}) {
		in := p.nestedIn(r).roles
		if n := len(in); n > p.options.MaxNamed {
			return &unknownError{fmt.Sprintf("the %d groups in %s are more than the %d that a function names, and sessions in their roles would see the rows once it has another name", n, subject, p.options.MaxNamed)}
		}
		for _, nested := range in {
			w.sessions = append(w.sessions, nested.principal.Name)
		}
	}
	return nil
}

// memberNames returns the names, in lower case, of the users who are in a group or role, by the policies or by the workspace, and whether
// these are all. A user is in none.
func (p *Protector) memberNames(id rules.SubjectID) (names []string, all bool) {
	if p.set.Subjects.Of(id).Kind == rules.SubjectUser {
		return nil, true
	}
	if list, ok := p.memberLists.Load(id); ok {
		return list.(*memberList).names, list.(*memberList).all
	}
	var w persons
	users, all := p.set.Members.UsersOf(id)
	for _, u := range users {
		p.addUser(&w, u)
	}
	if p.options.Members != nil {
		if principal, listed := p.options.Resolve(id); listed && principal.Kind == policy.Group {
			list, complete := p.options.Members(principal)
			all = all || complete
			for _, name := range list {
				w.addUser(name)
			}
		}
	}
	w.sort()
	p.memberLists.Store(id, &memberList{w.users, all})
	return w.users, all
}

type memberList struct {
	names []string
	all   bool
}
