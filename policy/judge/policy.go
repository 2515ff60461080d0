package judge

import (
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Policy is a prepared policy as grants need it: who is allowed and denied which privileges, with exceptions.
type Policy struct {
	Rule        *rules.Policy
	Priority    int
	DenyAllElse bool

	Allow, AllowExcept, Deny, DenyExcept []Item

	Allowed, Denied policy.PrivilegeSet // of all items, by Sum; Denied holds every privilege with DenyAllElse
}

// Item is what a policy allows or denies somebody, or what it excepts them from.
type Item struct {
	Privileges policy.PrivilegeSet
	Who        rules.SubjectSet
	Kind       rules.ItemKind // where it stands in the policy
	Index      int32
}

// Sum notes the privileges of all items.
func (p *Policy) Sum() {
	for _, item := range p.Allow {
		p.Allowed |= item.Privileges
	}
	for _, item := range p.Deny {
		p.Denied |= item.Privileges
	}
	if p.DenyAllElse {
		p.Denied = policy.AllPrivilegeSet
	}
}

// Matches reports whether one of the items is about the person and privilege x.
func Matches(items []Item, m Member, x policy.PrivilegeSet) bool {
	for i := range items {
		if items[i].Privileges&x != 0 && m.In(items[i].Who) {
			return true
		}
	}
	return false
}

// AllowsItself reports whether the policy itself allows privilege x: by its items less their exceptions.
func (p *Policy) AllowsItself(m Member, x policy.PrivilegeSet) bool {
	return p.Allowed&x != 0 && Matches(p.Allow, m, x) && !Matches(p.AllowExcept, m, x)
}

// DeniesItself reports whether the policy itself denies privilege x: by its items less their exceptions, or with all else.
func (p *Policy) DeniesItself(m Member, x policy.PrivilegeSet) bool {
	if p.Denied&x == 0 {
		return false
	}
	if Matches(p.Deny, m, x) && !Matches(p.DenyExcept, m, x) {
		return true
	}
	return p.DenyAllElse && !p.AllowsItself(m, x)
}

// mayContinue reports whether an allow of the policy does not end the evaluation: it could go on to deny.
func (p *Policy) mayContinue() bool { return !p.Rule.Confirms() }

// Ends reports whether the policy ends an evaluation in which a tag policy allowed: it is on resources and cannot deny.
func (p *Policy) Ends() bool {
	return !p.Rule.Tag && p.Rule.Confirms() && p.Rule.Type == ranger.PolicyTypeAccess
}

// Excepts reports whether the policy allows privilege x but for an exception.
func (p *Policy) Excepts(m Member, x policy.PrivilegeSet) bool {
	return Matches(p.Allow, m, x) && Matches(p.AllowExcept, m, x)
}

// Allows reports whether some policy allows the subject something, by its name.
func Allows(policies []*Policy, subject rules.SubjectID) bool {
	return slices.ContainsFunc(policies, func(p *Policy) bool {
		return slices.ContainsFunc(p.Allow, func(item Item) bool { return item.Who.Has(subject) })
	})
}
