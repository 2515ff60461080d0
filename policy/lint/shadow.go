package lint

import (
	"fmt"
	"slices"
	"strings"

	"ucwarden/policy/explain"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// An item is shadowed when taking it away would change no decision: everyone it names has every access it names, on
// all of its resources, by other items of the same or a higher priority. It is without effect when others always
// decide against it: a deny of the same or a higher priority against an allow, an allow of a higher priority against a
// deny. Conditions and schedules of the other item rule it out, and so do exceptions that may concern the same access,
// but for what is then said with "maybe". Membership counts as far as it is known.

// shadowFinder looks for shadowed items in one list of access policies.
type shadowFinder struct {
	*linter
	repo  *rules.Repository
	order map[*rules.Policy]int // position in the list
}

func (l *linter) shadows(repo *rules.Repository) {
	s := &shadowFinder{linter: l, repo: repo, order: make(map[*rules.Policy]int)}
	for i, p := range repo.All() {
		s.order[p] = i
	}
	for _, p := range repo.Policies(ranger.PolicyTypeAccess) {
		if l.refused[p.Source] || p.Damaged() || len(p.Resources) == 0 {
			continue
		}
		wider := s.wider(p)
		for i := range p.Allow {
			if !s.check(p, &p.Allow[i], wider, false) && !p.DenyAllElse {
				s.check(p, &p.Allow[i], wider, true)
			}
		}
		for i := range p.Deny {
			if !s.check(p, &p.Deny[i], wider, true) {
				s.check(p, &p.Deny[i], wider, false)
			}
		}
	}
}

// wider lists the policies, p among them, that hold without condition wherever p does, with at least its priority.
func (s *shadowFinder) wider(p *rules.Policy) []*rules.Policy {
	var list []*rules.Policy
	for _, q := range s.repo.MayCover(p) {
		holds := len(q.Validity)+len(q.Conditions) == 0 && q.Priority >= p.Priority && q.Zone == p.Zone && !q.Damaged()
		if q == p || holds && !s.refused[q.Source] && q.Covers(p) {
			list = append(list, q)
		}
	}
	return list
}

// check looks whether items of the wider policies that allow (or deny) cover all that the item says, and reports it.
func (s *shadowFinder) check(p *rules.Policy, item *rules.Item, wider []*rules.Policy, allowing bool) bool {
	same := allowing == (item.Kind == rules.ItemAllow)
	by, maybe := []string(nil), false
	subjects := itemSubjects(item)
	accesses, _ := item.Accesses()
	if len(accesses)*len(subjects) == 0 {
		return false
	}
	for _, subject := range subjects {
		for _, access := range accesses {
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
	s.find(p.Source, severity, check, explain.ItemPath(item.Kind, item.Index), "all it says %s %s %s by %s; %s", is, did, word, strings.Join(by, " and "), advice)
	return true
}

// itemSubjects lists those an item names. NoSubject stands for {OWNER}.
func itemSubjects(i *rules.Item) []rules.SubjectID {
	list := slices.Clone([]rules.SubjectID(i.Who))
	if i.Owner {
		list = append(list, rules.NoSubject)
	}
	return list
}

// covering names an item of the wider policies that decides for the subject and access what allowing says. maybe
// tells that an exception may stand against it.
func (s *shadowFinder) covering(p *rules.Policy, item *rules.Item, subject rules.SubjectID, access string, wider []*rules.Policy, allowing bool) (where string, maybe bool) {
	for _, q := range wider {
		same := allowing == (item.Kind == rules.ItemAllow)
		higher := q.Priority > p.Priority
		if allowing && !same && !higher {
			continue // of the same priority, a deny goes before an allow
		}
		items, exceptions := q.Deny, q.DenyExceptions
		if allowing {
			items, exceptions = q.Allow, q.AllowExceptions
		}
		if q == p && len(p.Validity)+len(p.Conditions) > 0 && !same {
			continue
		}
		for i := range items {
			other := &items[i]
			if q == p && other.Kind == item.Kind && other.Index == item.Index {
				continue
			}
			if len(other.Conditions) > 0 || !other.MatchesAccess(access) || !s.covers(other, subject) {
				continue
			}
			if same && s.mutual(p, q, item, other) && s.earlier(p, q, item, other) {
				continue // of two that say the same, the first stays
			}
			// A request that q's own deny keeps from its allow would be denied by p's allow all the same.
			excepted := slices.ContainsFunc(exceptions, func(x rules.Item) bool { return x.MatchesAccess(access) })
			if excepted && q == p && same {
				excepted = false // what is excepted from the one is excepted from the other
			}
			if excepted && slices.ContainsFunc(exceptions, func(x rules.Item) bool { return x.MatchesAccess(access) && s.covers(&x, subject) }) {
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

func (s *shadowFinder) describe(p, q *rules.Policy, item *rules.Item) string {
	path := explain.ItemPath(item.Kind, item.Index)
	if q == p {
		return path
	}
	text := fmt.Sprintf("%s of policy %d %q", path, q.Source.ID, q.Source.Name)
	if q.Priority > p.Priority {
		text += ", which has a higher priority"
	}
	return text
}

// mutual reports whether both items say the same of the same resources.
func (s *shadowFinder) mutual(p, q *rules.Policy, item, other *rules.Item) bool {
	if p.Priority != q.Priority || len(p.Validity)+len(p.Conditions)+len(item.Conditions) > 0 {
		return false
	}
	accesses, _ := other.Accesses()
	for _, a := range accesses {
		if !item.MatchesAccess(a) {
			return false
		}
	}
	for _, subject := range itemSubjects(other) {
		if !s.covers(item, subject) {
			return false
		}
	}
	return p == q || p.Covers(q)
}

// earlier reports whether the item comes before the other one.
func (s *shadowFinder) earlier(p, q *rules.Policy, item, other *rules.Item) bool {
	if p == q {
		return item.Index < other.Index
	}
	return s.order[p] < s.order[q]
}

// covers reports whether the item is for the subject, as far as memberships are known.
func (s *shadowFinder) covers(item *rules.Item, subject rules.SubjectID) bool {
	if item.Who.Has(rules.Everyone) {
		return true
	}
	if subject == rules.NoSubject {
		return item.Owner
	}
	if item.Who.Has(subject) {
		return true
	}
	members := s.rules.Members
	inRole := func(id rules.SubjectID) bool {
		_, found := item.Who.HasAny(members.RolesOf(id))
		return found
	}
	switch s.rules.Subjects.Of(subject).Kind {
	case rules.SubjectUser:
		return inRole(subject) || inRole(rules.Everyone) || slices.ContainsFunc(members.GroupsOf(subject), func(g rules.SubjectID) bool { return item.Who.Has(g) || inRole(g) })
	case rules.SubjectGroup, rules.SubjectEveryone:
		return inRole(subject) || inRole(rules.Everyone)
	}
	return false
}
