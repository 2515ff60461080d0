package judge

import (
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/rules"
)

// View is what the policies say about one privilege at one place, an object or a container with all that is inside: those
// that allow it for all of the place, and those that deny it anywhere in it.
type View struct {
	Privilege policy.PrivilegeSet // the one
	Allow     []*Policy
	Deny      []*Policy // ones that touch the place; those that cover all of it come first
	Total     int       // how many of Deny cover all of it
	Named     bool      // only denies that name somebody count, not "all else"
	Ends      int       // the highest priority of a policy on resources here that cannot deny
}

// Decide reports whether the policies allow one person the privilege: at each priority a deny goes before an allow, and a
// higher priority before a lower one. Source: RangerPolicyEngineImpl.evaluatePolicies.
func (v *View) Decide(m Member, deny []*Policy) bool {
	return v.allowedBy(m, deny) != nil
}

// allowedBy returns the first policy that allows one person the privilege, nil where the policies do not.
func (v *View) allowedBy(m Member, deny []*Policy) *Policy {
	for _, a := range v.Allow {
		if v.Allowed(a, m, deny) {
			return a
		}
	}
	return nil
}

// Allowed reports whether policy a allows one person the privilege, and none of deny takes that back.
func (v *View) Allowed(a *Policy, m Member, deny []*Policy) bool {
	return a.AllowsItself(m, v.Privilege) && !slices.ContainsFunc(deny, func(d *Policy) bool {
		return v.overrides(a, d) && v.DeniedBy(d, m)
	})
}

// overrides reports whether what d denies counts although a allows: at the priority of a and above. Where a tag policy
// denies with a lower priority than a resource policy allows, the allow holds only if it ends the evaluation, which it does
// not where its policy could go on to deny. Source: RangerDefaultPolicyEvaluator.evaluatePolicyItems and
// RangerPolicyEngineImpl.evaluatePoliciesForOneAccessTypeNoAudit.
func (v *View) overrides(a, d *Policy) bool {
	return d.Priority >= a.Priority || d.Rule.Tag && !a.Rule.Tag && a.mayContinue()
}

// OpenToOrder reports whether a person who is not allowed could be allowed in Ranger all the same: by an allow of a higher
// priority than every deny, whose policy could go on to deny. Which of them wins depends there on what other policies match.
func (v *View) OpenToOrder(m Member, deny []*Policy) bool {
	return slices.ContainsFunc(v.Allow, func(a *Policy) bool {
		return a.mayContinue() && a.AllowsItself(m, v.Privilege) && !slices.ContainsFunc(deny, func(d *Policy) bool {
			return d.Priority >= a.Priority && v.DeniedBy(d, m)
		})
	})
}

// EndedBefore reports whether a person who is not allowed is allowed in Ranger all the same: by an allow of a tag policy,
// after which a policy on resources that cannot deny ends the evaluation before every deny, whatever it is about.
func (v *View) EndedBefore(m Member, deny []*Policy) bool {
	return slices.ContainsFunc(v.Allow, func(a *Policy) bool {
		return a.Rule.Tag && a.AllowsItself(m, v.Privilege) && !slices.ContainsFunc(deny, func(d *Policy) bool {
			return d.Priority >= a.Priority && (d.Rule.Tag || d.Priority >= v.Ends) && v.DeniedBy(d, m)
		})
	})
}

// DeniedBy reports whether the policy denies a person the privilege, as far as the view counts it.
func (v *View) DeniedBy(p *Policy, m Member) bool {
	if v.Named {
		return Matches(p.Deny, m, v.Privilege) && !Matches(p.DenyExcept, m, v.Privilege)
	}
	return p.DeniesItself(m, v.Privilege)
}

// DeniedSubjects lists the subjects by which a member of somebody allowed may be not allowed: whoever is denied, or
// excepted from what is allowed.
func (v *View) DeniedSubjects() []rules.SubjectID {
	var list []rules.SubjectID
	add := func(items []Item) {
		for i := range items {
			if items[i].Privileges&v.Privilege != 0 {
				list = append(list, items[i].Who...)
			}
		}
	}
	for _, p := range v.Allow {
		add(p.AllowExcept)
	}
	for _, p := range v.Deny {
		add(p.Deny)
		if p.DenyAllElse {
			add(p.AllowExcept)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// allowsAnyCombination reports whether some policy allows base in a way that no combination of the unknown memberships can
// take back: none of its exceptions names one of them, and nothing at its priority or above denies base or one of them.
// One membership at a time would not do: who is excepted from an allow of high priority may fall under a lower deny.
func (v *View) allowsAnyCombination(base Member, unknown []rules.SubjectID, deny []*Policy) bool {
	reach := append(slices.Clone(base), unknown...)
	slices.Sort(reach)
	return slices.ContainsFunc(v.Allow, func(a *Policy) bool {
		if !a.AllowsItself(base, v.Privilege) || Matches(a.AllowExcept, reach, v.Privilege) {
			return false
		}
		return !slices.ContainsFunc(deny, func(d *Policy) bool {
			if !v.overrides(a, d) {
				return false
			}
			if Matches(d.Deny, reach, v.Privilege) && !Matches(d.DenyExcept, base, v.Privilege) {
				return true
			}
			return d.DenyAllElse && !v.Named && (!d.AllowsItself(base, v.Privilege) || Matches(d.AllowExcept, reach, v.Privilege))
		})
	})
}

// exemptSubjects lists the subjects that are excepted from a deny.
func (v *View) exemptSubjects(deny []*Policy) []rules.SubjectID {
	var list []rules.SubjectID
	add := func(items []Item) {
		for i := range items {
			if items[i].Privileges&v.Privilege != 0 {
				list = append(list, items[i].Who...)
			}
		}
	}
	for _, p := range deny {
		add(p.DenyExcept)
		if p.DenyAllElse && !v.Named {
			add(p.Allow)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
