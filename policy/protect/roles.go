package protect

import (
	"fmt"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// In a session in the role of a group, Databricks SQL knows the group's name alone: what a filter or mask asks about the person is
// not true of it. So a group that may read a table, and in which somebody is whom an item binds, is told from the others by its
// name: a session in its role is shown no row, or NULL, unless the item names the group itself.

// role is a group in whose role somebody may act.
type role struct {
	principal policy.Principal
	subjects  []rules.SubjectID // that stand for it in policies
}

// mayRead returns who may be granted SELECT on a table by its policies. It errs on the side of too many.
func (c *compilation) mayRead() rules.SubjectSet {
	if c.readers != nil {
		return c.readers
	}
	who := rules.SubjectSet{}
	resource, _ := c.resource(c.object())
	var path match.Path
	path.Set(c.set.Model.Forest(ranger.PolicyTypeAccess), resource)
	add := func(p *rules.Policy) {
		for i := range p.Allow {
			if p.Allow[i].MatchesAccess("select") {
				who = append(who, p.Allow[i].Who...)
			}
		}
	}
	repo := c.set.InZone(c.zoneOf(resource))
	for _, i := range repo.Candidates(ranger.PolicyTypeAccess, &path, true, nil) {
		if p := repo.Policies(ranger.PolicyTypeAccess)[i]; touches(p, &path) {
			add(p)
		}
	}
	if c.set.TagRules != nil {
		for _, tag := range c.tagsOf(resource, true) {
			for _, i := range c.set.TagRules.Candidates(ranger.PolicyTypeAccess, &tag.Path, false, nil) {
				add(c.set.TagRules.Policies(ranger.PolicyTypeAccess)[i])
			}
		}
	}
	slices.Sort(who)
	c.readers = slices.Compact(who)
	return c.readers
}

// rolesWith returns the names of the groups among those who may read, and of those in them, in which somebody is, or may be, whom a
// branch is for, and whether all groups that are known were looked at: where everybody may read, and where it is not known which groups
// are in those who may.
func (p *Protector) rolesWith(readers rules.SubjectSet, b *branch) (names []string, every bool) {
	roles, every := p.rolesOf(readers)
	key := heldBy{b.item, b.also}
	if every {
		if known, ok := p.allHeld.Load(key); ok {
			return slices.Clone(known.([]string)), true
		}
	}
	for _, r := range roles {
		if p.mayHold(r, b.item.Who) && (b.also == nil || p.mayHold(r, b.also.Who)) {
			names = append(names, r.principal.Name)
		}
	}
	if every {
		p.allHeld.Store(key, slices.Clone(names))
	}
	return names, every
}

// heldBy are the items of a branch.
type heldBy struct{ item, also *rules.Item }

func (p *Protector) everyone(who rules.SubjectSet) bool {
	return slices.ContainsFunc(who, func(id rules.SubjectID) bool {
		principal, _ := p.options.Resolve(id)
		return id == rules.Everyone || principal.IsEveryone()
	})
}

func (p *Protector) rolesNamed(who rules.SubjectSet) []role {
	var list []role
	at := make(map[policy.Principal]int)
	for _, id := range who {
		if id == rules.Everyone || p.set.Subjects.Of(id).Kind == rules.SubjectUser {
			continue
		}
		principal, _ := p.options.Resolve(id)
		if principal.IsEveryone() {
			continue
		}
		if i, ok := at[principal]; ok {
			list[i].subjects = append(list[i].subjects, id)
			continue
		}
		at[principal] = len(list)
		list = append(list, role{principal, []rules.SubjectID{id}})
	}
	return list
}

// rolesOf returns the groups in whose roles a table may be read that these may read: they, and the groups in them. Where everybody may
// read, or it is not known which groups are in them, these are all groups that are known.
func (p *Protector) rolesOf(readers rules.SubjectSet) (roles []role, every bool) {
	if p.everyone(readers) {
		return p.groups(), true
	}
	named := p.rolesNamed(readers)
	for _, r := range named {
		if !p.nestedIn(r).all {
			return p.groups(), true
		}
	}
	known := make(map[policy.Principal]bool, len(named))
	for _, r := range named {
		known[r.principal] = true
	}
	roles = named
	for _, r := range named {
		for _, in := range p.nestedIn(r).roles {
			if !known[in.principal] {
				known[in.principal] = true
				roles = append(roles, in)
			}
		}
	}
	return roles, false
}

// nesting is the groups in a group, directly or through others.
type nesting struct {
	roles []role
	all   bool // these are all
}

// nestedIn returns the groups in a group, as the workspace and the roles of policies know them. Who of policies is in a group is users alone,
// so whether these are all is told by the workspace.
func (p *Protector) nestedIn(r role) *nesting {
	if known, ok := p.nestings.Load(r.principal); ok {
		return known.(*nesting)
	}
	n := &nesting{}
	if p.options.Within != nil {
		var in []policy.Principal
		in, n.all = p.options.Within(r.principal)
		for _, g := range in {
			if !g.IsEveryone() {
				n.roles = append(n.roles, p.roleOf(g))
			}
		}
	}
	seen := make(map[rules.SubjectID]bool)
	for queue := slices.Clone(r.subjects); len(queue) > 0; queue = queue[1:] {
		id := queue[0]
		if seen[id] || p.set.Subjects.Of(id).Kind == rules.SubjectUser {
			continue
		}
		seen[id] = true
		if principal, _ := p.options.Resolve(id); principal != r.principal && !principal.IsEveryone() {
			n.roles = append(n.roles, p.roleOf(principal))
		}
		if members, _ := p.set.Members.MembersOf(id); p.set.Subjects.Of(id).Kind == rules.SubjectRole {
			queue = append(queue, members...)
		}
	}
	p.nestings.Store(r.principal, n)
	return n
}

// roleOf returns a group with the subjects that stand for it.
func (p *Protector) roleOf(group policy.Principal) role {
	p.groups()
	if i, ok := p.allAt[group]; ok {
		return p.all[i]
	}
	return role{principal: group}
}

// groups returns all groups that policies or the workspace know.
func (p *Protector) groups() []role {
	p.allOnce.Do(func() {
		all := make(rules.SubjectSet, 0, p.set.Subjects.Len())
		for id := range rules.SubjectID(p.set.Subjects.Len()) {
			all = append(all, id)
		}
		p.all, p.allAt = p.rolesNamed(all), make(map[policy.Principal]int)
		for i, r := range p.all {
			p.allAt[r.principal] = i
		}
		for _, g := range p.options.Groups {
			if _, known := p.allAt[g]; !known && !g.IsEveryone() {
				p.allAt[g] = len(p.all)
				p.all = append(p.all, role{principal: g})
			}
		}
	})
	return p.all
}

// holds says whether somebody may act in the role of a group of whom an item is.
type holds struct {
	role policy.Principal
	of   rules.SubjectID
}

// mayHold reports whether somebody is, or may be, in a group who is one of the given subjects. Who is in a group counts as the
// workspace knows it, where it does.
func (p *Protector) mayHold(r role, of rules.SubjectSet) bool {
	return slices.ContainsFunc(of, func(id rules.SubjectID) bool {
		key := holds{r.principal, id}
		if known, ok := p.held.Load(key); ok {
			return known.(bool)
		}
		may := p.mayHoldOne(r, id)
		p.held.Store(key, may)
		return may
	})
}

func (p *Protector) mayHoldOne(r role, id rules.SubjectID) bool {
	if id == rules.Everyone {
		return true
	}
	policies := rules.Unknown
	for i, q := range r.subjects {
		if how := p.judge().MayBe(q, id); i == 0 || how != rules.No {
			policies = how
		}
	}
	if policies == rules.Yes || p.options.Members == nil {
		return policies != rules.No
	}
	inRole, of := p.membersOf(r.principal), p.personsOf(id)
	few, many := inRole, of
	if len(few.names) > len(many.names) {
		few, many = many, few
	}
	for name := range few.names {
		if many.names[name] {
			return true
		}
	}
	return policies == rules.Unknown && !(inRole.all && of.all)
}

// members are who is in a group, by name, as the workspace knows it.
type members struct {
	names map[string]bool // folded
	all   bool
}

func newMembers(names []string, all bool) *members {
	m := &members{make(map[string]bool, len(names)), all}
	for _, name := range names {
		m.names[policy.FoldPrincipal(name)] = true
	}
	return m
}

func (p *Protector) membersOf(group policy.Principal) *members {
	if known, ok := p.members.Load(group); ok {
		return known.(*members)
	}
	m := newMembers(p.options.Members(group))
	p.members.Store(group, m)
	return m
}

// personsOf returns the users that a subject stands for in the workspace.
func (p *Protector) personsOf(id rules.SubjectID) *members {
	principal, listed := p.options.Resolve(id)
	if p.set.Subjects.Of(id).Kind == rules.SubjectUser {
		return newMembers([]string{principal.Name}, true)
	}
	if listed {
		return p.membersOf(principal)
	}
	users, known := p.set.Members.UsersOf(id)
	var names []string
	for _, u := range users {
		user, _ := p.options.Resolve(u)
		names = append(names, user.Name)
	}
	return newMembers(names, known)
}

func (p *Protector) judge() *judge.Judge {
	p.judgeOnce.Do(func() {
		principals := make([]policy.Principal, p.set.Subjects.Len())
		for id := range principals {
			principals[id], _ = p.options.Resolve(rules.SubjectID(id))
		}
		p.memberships = judge.New(p.set, principals, false)
	})
	return p.memberships
}

// hideRoles adds that sessions in the role of a group in which somebody may be whom a branch binds are shown what is hidden, after
// those whom the branch names have what it says.
func (c *compilation) hideRoles(f *function, b *branch, otherwise shown) error {
	who := c.mayRead()
	if len(who) == 0 || b.also == nil && c.everyone(b.item.Who) {
		return nil
	}
	names, every := c.rolesWith(who, b)
	names = slices.DeleteFunc(names, func(name string) bool { return f.decided[name] })
	if len(names) == 0 {
		return nil
	}
	sessions := c.sessionsOf(names)
	text, err := sessions.SQL()
	if err != nil {
		return fmt.Errorf("the name of a group that may read it: %w", err)
	}
	f.add(text, otherwise.hidden, b)
	for _, name := range names {
		f.decide(name)
	}
	more := ""
	if n := len(sessions.sessions); n > 1 {
		more = fmt.Sprintf(" and %d more", n-1)
	}
	c.find(b, policy.EffectNone, "%s[%d]: who acts in the role of group %q%s is shown %s, since somebody whom the item binds is or may be in it%s", b.item.Kind, b.item.Index, sessions.sessions[0], more, otherwise.words, c.unknownNesting(every, who))
	return nil
}

// sessionsOf returns the sessions in the roles of groups; in any role where the groups are too many to be named.
func (p *Protector) sessionsOf(groups []string) persons {
	w := persons{sessions: groups, anyRole: len(groups) > p.options.MaxNamed}
	w.sort()
	return w
}

// unknownNesting says, for findings, that groups were taken for such that may read because it is not known which may.
func (p *Protector) unknownNesting(every bool, readers rules.SubjectSet) string {
	if !every || p.everyone(readers) {
		return ""
	}
	return "; which groups are in those that may read it is not known, so every group that is known counts as in them"
}

// decide notes that what a session in the role of a group is shown is decided.
func (f *function) decide(group string) {
	if f.decided == nil {
		f.decided = make(map[string]bool)
	}
	f.decided[group] = true
}

// Exempt returns whom no filter and no mask binds.
func (p *Protector) Exempt() []policy.Principal { return p.options.Exempt }

// ElseClosed returns a Protector by the same policies with that option.
func (p *Protector) ElseClosed() *Protector {
	o := p.options
	o.ElseClosed = true
	return New(p.set, o)
}

// elseClosed adds that those see the rows whom policies allow to read the table, as persons.
func (c *compilation) elseClosed(f *function) error {
	w := persons{noRoles: true}
	for _, id := range c.mayRead() {
		if one, err := c.persons(rules.SubjectSet{id}); err == nil { // else it is a group that there is not
			w.everyone = w.everyone || one.everyone
			w.groups, w.users = append(w.groups, one.groups...), append(w.users, one.users...)
		}
	}
	w.sort()
	text, err := w.SQL()
	if err != nil {
		return fmt.Errorf("the name of somebody who may read it: %w", err)
	}
	if len(w.groups) > 0 { // a role is a member of the groups that its group is in
		roles, err := persons{anyRole: true}.SQL()
		if err != nil {
			return err
		}
		f.add(roles, "FALSE", nil)
	}
	f.add(text, "TRUE", nil)
	return nil
}
