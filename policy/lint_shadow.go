package policy

import (
	"fmt"
	"slices"
	"strings"
)

// An item is shadowed when taking it away would change no decision: everyone it names has every access it names, on
// all of its resources, by other items of the same or a higher priority. It is without effect when others always
// decide against it: a deny of the same or a higher priority against an allow, an allow of a higher priority against a
// deny. Conditions and schedules of the other item rule it out, and so do exceptions that may concern the same access,
// but for what is then said with "maybe". Membership counts as far as it is known.

// shadowFinder looks for shadowed items in one list of access policies.
type shadowFinder struct {
	*lintList
	index *repository
	order map[*Policy]int // position in the list
}

func (l *lintList) shadows() {
	rename := sameName
	if l.tags {
		component := l.snapshot.ServiceDef.Name + ":"
		rename = func(name string) (string, bool) {
			local, ours := strings.CutPrefix(name, component)
			return local, ours || !strings.Contains(name, ":")
		}
	}
	s := &shadowFinder{lintList: l, index: newRenamedRepository(l.model, l.policies, rename), order: make(map[*Policy]int)}
	for i := range l.policies {
		s.order[&l.policies[i]] = i
	}
	for _, p := range s.index.byType[PolicyTypeAccess].policies {
		if l.refused[p.policy] || len(p.resources) == 0 {
			continue
		}
		wider := s.wider(p)
		for i := range p.allow {
			if !s.check(p, &p.allow[i], wider, false) && !p.policy.IsDenyAllElse {
				s.check(p, &p.allow[i], wider, true)
			}
		}
		for i := range p.deny {
			if !s.check(p, &p.deny[i], wider, true) {
				s.check(p, &p.deny[i], wider, false)
			}
		}
	}
}

// wider lists the policies, p among them, that hold without condition wherever p does, with at least its priority.
func (s *shadowFinder) wider(p *evalPolicy) []*evalPolicy {
	index := &s.index.byType[PolicyTypeAccess]
	var ids []int32
	for _, m := range p.resources {
		// Whatever covers the patterns of p matches their texts as names, too.
		path := make([]*Element, len(m.levels))
		for i := range m.levels {
			path[i] = &Element{Name: m.levels[i].def.Name}
			if level := &m.levels[i]; !level.any {
				path[i].Value = level.values[0].pattern.String()
			}
		}
		ids = index.root.collect(path, false, ids)
	}
	slices.Sort(ids)
	var list []*evalPolicy
	for _, id := range slices.Compact(ids) {
		q := index.policies[id]
		holds := len(q.validity)+len(q.conditions) == 0 && q.policy.PolicyPriority >= p.policy.PolicyPriority && q.policy.ZoneName == p.policy.ZoneName
		if q == p || holds && !s.refused[q.policy] && s.coversPolicy(q, p) {
			list = append(list, q)
		}
	}
	return list
}

// check looks whether items of the wider policies that allow (or deny) cover all that the item says, and reports it.
func (s *shadowFinder) check(p *evalPolicy, item *evalItem, wider []*evalPolicy, allowing bool) bool {
	same := allowing == (item.kind == ItemAllow)
	by, maybe := []string(nil), false
	subjects := item.subjects()
	if len(item.accesses)*len(subjects) == 0 {
		return false
	}
	for _, subject := range subjects {
		for _, access := range item.accesses {
			where, doubtful := s.covering(p, item, subject, access, wider, allowing)
			if where == "" {
				return false
			}
			maybe = maybe || doubtful
			if !slices.Contains(by, where) {
				by = append(by, where)
			}
		}
	}
	check, severity := CheckShadowed, SeverityWarning
	word, did := "allowed", "already"
	if !allowing {
		word = "denied"
	}
	advice := "remove it"
	if !same {
		check, did = CheckNoEffect, "all the same"
		advice = "so it never takes effect; remove it, or narrow the other"
	}
	is := "is"
	if maybe {
		severity, is = SeverityInfo, "may be"
		if same {
			advice = "remove it, unless it is for whom exceptions there leave out"
		}
	}
	if len(by) > 3 {
		by = append(by[:3], fmt.Sprintf("%d more", len(by)-3))
	}
	s.find(p.policy, severity, check, itemPath(item.kind, item.index), "all it says %s %s %s by %s; %s", is, did, word, strings.Join(by, " and "), advice)
	return true
}

// itemSubject is one of those an item names.
type itemSubject struct {
	kind SubjectKind
	name string
}

func (i *evalItem) subjects() []itemSubject {
	var list []itemSubject
	for _, u := range i.users {
		list = append(list, itemSubject{SubjectUser, u})
	}
	for _, g := range i.groups {
		if g != groupPublic && g != "" {
			list = append(list, itemSubject{SubjectGroup, g})
		}
	}
	for _, r := range i.roles {
		if r != "" {
			list = append(list, itemSubject{SubjectRole, r})
		}
	}
	if i.owner {
		list = append(list, itemSubject{kind: SubjectOwner})
	}
	if i.everyone {
		list = append(list, itemSubject{kind: SubjectPublic})
	}
	return list
}

// covering names an item of the wider policies that decides for the subject and access what allowing says. maybe
// tells that an exception may stand against it.
func (s *shadowFinder) covering(p *evalPolicy, item *evalItem, subject itemSubject, access string, wider []*evalPolicy, allowing bool) (where string, maybe bool) {
	for _, q := range wider {
		same := allowing == (item.kind == ItemAllow)
		higher := q.policy.PolicyPriority > p.policy.PolicyPriority
		if allowing && !same && !higher {
			continue // of the same priority, a deny goes before an allow
		}
		items, exceptions := q.deny, q.denyExc
		if allowing {
			items, exceptions = q.allow, q.allowExc
		}
		if q == p && len(p.validity)+len(p.conditions) > 0 && !same {
			continue
		}
		for i := range items {
			other := &items[i]
			if q == p && other.kind == item.kind && other.index == item.index {
				continue
			}
			if len(other.conditions) > 0 || !other.matchesAccess(access) || !s.covers(other, subject) {
				continue
			}
			if same && s.mutual(p, q, item, other) && s.earlier(p, q, item, other) {
				continue // of two that say the same, the first stays
			}
			// A request that q's own deny keeps from its allow would be denied by p's allow all the same.
			excepted := slices.ContainsFunc(exceptions, func(x evalItem) bool { return x.matchesAccess(access) })
			if excepted && q == p && same {
				excepted = false // what is excepted from the one is excepted from the other
			}
			if excepted && slices.ContainsFunc(exceptions, func(x evalItem) bool { return x.matchesAccess(access) && s.covers(&x, subject) }) {
				continue // it is just whom the exception names that this item is for
			}
			text := s.describe(p, q, other)
			if !excepted {
				return text, false
			}
			where, maybe = text, true
		}
	}
	return where, maybe
}

func (s *shadowFinder) describe(p, q *evalPolicy, item *evalItem) string {
	path := itemPath(item.kind, item.index)
	if q == p {
		return path
	}
	text := fmt.Sprintf("%s of policy %d %q", path, q.policy.ID, q.policy.Name)
	if q.policy.PolicyPriority > p.policy.PolicyPriority {
		text += ", which has a higher priority"
	}
	return text
}

// mutual reports whether both items say the same of the same resources.
func (s *shadowFinder) mutual(p, q *evalPolicy, item, other *evalItem) bool {
	if p.policy.PolicyPriority != q.policy.PolicyPriority || len(p.validity)+len(p.conditions)+len(item.conditions) > 0 {
		return false
	}
	for _, a := range other.accesses {
		if !item.matchesAccess(a) {
			return false
		}
	}
	for _, subject := range other.subjects() {
		if !s.covers(item, subject) {
			return false
		}
	}
	return p == q || s.coversPolicy(p, q)
}

// earlier reports whether the item comes before the other one.
func (s *shadowFinder) earlier(p, q *evalPolicy, item, other *evalItem) bool {
	if p == q {
		return item.index < other.index
	}
	return s.order[p.policy] < s.order[q.policy]
}

// covers reports whether the item is for the subject, as far as memberships are known.
func (s *shadowFinder) covers(item *evalItem, subject itemSubject) bool {
	inAny := func(list []string, names []string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(list, n) })
	}
	if item.everyone {
		return true
	}
	switch subject.kind {
	case SubjectOwner:
		return item.owner
	case SubjectUser:
		if slices.Contains(item.users, subject.name) || inAny(item.roles, s.roles.ofUser[subject.name]) {
			return true
		}
		groups, _ := s.snapshot.Users.GroupsOf(subject.name)
		return slices.ContainsFunc(groups, func(g string) bool {
			return slices.Contains(item.groups, g) || inAny(item.roles, s.roles.ofGroup[g])
		})
	case SubjectGroup:
		return slices.Contains(item.groups, subject.name) || inAny(item.roles, s.roles.ofGroup[subject.name])
	case SubjectRole:
		return slices.Contains(item.roles, subject.name)
	}
	return false
}

// coversPolicy reports whether q matches whatever p matches.
func (s *shadowFinder) coversPolicy(q, p *evalPolicy) bool {
	for _, m := range p.resources {
		if !slices.ContainsFunc(q.resources, func(w *resourceMatcher) bool { return coversResource(w, m, s.model.inherit) }) {
			return false
		}
	}
	return true
}

func coversResource(q, p *resourceMatcher, inherit bool) bool {
	if len(q.levels) > len(p.levels) || len(q.levels) < len(p.levels) && !inherit {
		return false
	}
	for i := range q.levels {
		if q.levels[i].def != p.levels[i].def || !coversLevel(&q.levels[i], &p.levels[i]) {
			return false
		}
	}
	return true
}

// coversLevel reports whether q matches every name that p matches. It errs on the side of no.
func coversLevel(q, p *elementMatcher) bool {
	switch {
	case q.any:
		return !q.excludes
	case p.any:
		return false
	case q.excludes && p.excludes:
		return eachValue(q, func(v *valueMatcher) bool {
			return someValue(p, func(w *valueMatcher) bool { return coversValue(w, v) })
		})
	case q.excludes:
		return eachValue(p, func(v *valueMatcher) bool { return eachValue(q, func(w *valueMatcher) bool { return disjoint(v, w) }) })
	case p.excludes:
		return false
	}
	return eachValue(p, func(v *valueMatcher) bool {
		return someValue(q, func(w *valueMatcher) bool { return coversValue(w, v) })
	})
}

func eachValue(m *elementMatcher, is func(*valueMatcher) bool) bool {
	return !someValue(m, func(v *valueMatcher) bool { return !is(v) })
}

func someValue(m *elementMatcher, is func(*valueMatcher) bool) bool {
	for i := range m.values {
		if is(&m.values[i]) {
			return true
		}
	}
	return false
}

// coversValue reports whether q matches every name that p matches. A value with macros covers only its like.
func coversValue(q, p *valueMatcher) bool {
	switch {
	case q.recursive != p.recursive:
		return false
	case q.macro != nil || p.macro != nil:
		return q.macro != nil && p.macro != nil && q.macro.source == p.macro.source
	}
	return q.pattern.covers(p.pattern)
}

// disjoint reports whether it is certain that no name matches both.
func disjoint(a, b *valueMatcher) bool {
	if a.options != nil || b.options != nil {
		return false
	}
	if name, ok := a.pattern.Exact(); ok {
		return !b.pattern.Match(name)
	}
	if name, ok := b.pattern.Exact(); ok {
		return !a.pattern.Match(name)
	}
	x, y := a.pattern.Prefix(), b.pattern.Prefix()
	return !strings.HasPrefix(x, y) && !strings.HasPrefix(y, x)
}

// covers reports whether p matches every name that o matches. It may miss that it does where '?' and '*' stand side by
// side.
func (p Pattern) covers(o Pattern) bool {
	if p.kind == patternAny {
		return true
	}
	if name, ok := o.Exact(); ok {
		return p.Match(name)
	}
	if o.kind == patternAny {
		return false
	}
	// A wildcard of o is a character of its own, which stands for names that only a wildcard at least as wide takes.
	wide := []rune(p.String())
	reach := make([]bool, len(wide)+1)
	reach[0] = true
	stars := func(at []bool) {
		for i, c := range wide {
			if at[i] && p.wildcard && c == '*' {
				at[i+1] = true
			}
		}
	}
	stars(reach)
	for _, n := range o.String() {
		next := make([]bool, len(wide)+1)
		for i, c := range wide {
			switch {
			case !reach[i]:
			case p.wildcard && c == '*':
				next[i] = true
			case p.wildcard && c == '?' && n != '*' || c == n && n != '*':
				next[i+1] = true
			}
		}
		stars(next)
		reach = next
	}
	return reach[len(wide)]
}
