package judge

import (
	"slices"

	"ucwarden/policy/rules"
)

// Denials are whom the policies do not allow a privilege at a place although they are in a group that may hold it, so that
// what is read there can be hidden from them: together the rules name everybody whom the policies allow it but for a deny or an
// exception.
type Denials struct {
	Rules []DenyRule
	// Roles are the groups that may be granted the privilege in which somebody denied is, or may be; everyone among them where they may
	// be granted it. Who acts in the role of one, or of a group in it that somebody denied is in, is not seen to be a person, and so
	// counts as denied.
	Roles rules.SubjectSet
}

// DenyRule denies persons, but for those excepted from it and those whom a policy that goes before it allows.
type DenyRule struct {
	Policy   *rules.Policy
	Who      rules.SubjectSet
	Else     bool // everybody but Allowed, not Who
	Except   rules.SubjectSet
	Override []Allow // that go before the deny
	Allowed  []Allow // whom an Else does not deny
}

// Allow is whom a policy allows: those whom it names, but for exceptions.
type Allow struct {
	Who, Except rules.SubjectSet
}

// Denials returns whom the policies do not allow the privilege here, and whether that can be said by such rules. It cannot
// where a deny on tags binds some of the allows of a lower priority than its own, and leaves others.
func (v *View) Denials() (*Denials, bool) {
	d := &Denials{}
	add := func(rule DenyRule) {
		if rule.Else || len(rule.Who) > 0 {
			d.Rules = append(d.Rules, rule)
		}
	}
	for _, deny := range v.Deny {
		var before []Allow
		for _, a := range v.Allow {
			if v.overrides(a, deny) != (deny.Priority >= a.Priority) {
				return nil, false
			}
			if !v.overrides(a, deny) {
				before = append(before, v.allow(a))
			}
		}
		add(DenyRule{Policy: deny.Rule, Who: v.whoOf(deny.Deny), Except: v.whoOf(deny.DenyExcept), Override: before})
		if deny.DenyAllElse {
			add(DenyRule{Policy: deny.Rule, Else: true, Allowed: []Allow{v.allow(deny)}, Override: before})
		}
	}
	for i, a := range v.Allow {
		others := make([]Allow, 0, len(v.Allow)-1)
		for j, b := range v.Allow {
			if j != i {
				others = append(others, v.allow(b))
			}
		}
		add(DenyRule{Policy: a.Rule, Who: v.whoOf(a.AllowExcept), Override: others})
	}
	return d, true
}

func (v *View) allow(p *Policy) Allow { return Allow{v.whoOf(p.Allow), v.whoOf(p.AllowExcept)} }

// whoOf returns whom those of the items name that are about the privilege.
func (v *View) whoOf(items []Item) rules.SubjectSet {
	var who rules.SubjectSet
	for i := range items {
		if items[i].Privileges&v.Privilege != 0 {
			who = append(who, items[i].Who...)
		}
	}
	slices.Sort(who)
	return slices.Compact(who)
}

// RolesWith lists the groups and roles that policies allow the privilege here, everyone among them, in which somebody is, or may be, who
// is one of the given subjects.
func (j *Judge) RolesWith(v *View, of []rules.SubjectID) rules.SubjectSet {
	var roles rules.SubjectSet
	for _, a := range v.Allow {
		for _, p := range v.whoOf(a.Allow) {
			if j.kindOf(p) != rules.SubjectUser && slices.ContainsFunc(of, func(h rules.SubjectID) bool {
				return j.MayBe(p, h) != rules.No
			}) {
				roles = append(roles, p)
			}
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// WhoDenies returns the policy by which a member of p who is also h is not allowed the view's privilege, or one who is in more that
// the policies deny it to, as persons in p and h may be; nil where no policy does so by one subject alone. h is NoSubject where
// nothing more is known of the member.
func (j *Judge) WhoDenies(p, h rules.SubjectID, v *View) *rules.Policy {
	m := j.Member(p)
	if h != rules.NoSubject {
		m = m.And(j.Member(h))
	}
	if by := v.whoDenies(m); by != nil {
		return by
	}
	for _, more := range v.DeniedSubjects() {
		if j.MayBe(p, more) != rules.No {
			if by := v.whoDenies(m.And(j.Member(more))); by != nil {
				return by
			}
		}
	}
	return nil
}

// whoDenies returns the policy that denies a person the privilege, or excepts one from what it allows.
func (v *View) whoDenies(m Member) *rules.Policy {
	for _, d := range v.Deny {
		if v.DeniedBy(d, m) {
			return d.Rule
		}
	}
	for _, a := range v.Allow {
		if Matches(a.AllowExcept, m, v.Privilege) {
			return a.Rule
		}
	}
	return nil
}
