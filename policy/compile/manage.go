package compile

import (
	"fmt"
	"maps"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/rules"
)

// checkManage reports who is granted MANAGE here although the policies deny them, or somebody of them, another privilege here
// or inside: whoever holds MANAGE can grant that to himself. It errs on the side of reporting.
func (e *evaluation) checkManage() {
	for _, p := range slices.Sorted(maps.Keys(e.here)) {
		if !e.here[p].Has(policy.Manage) || e.notOurs.Has(policy.Manage) {
			continue
		}
		reported := make(map[*rules.Policy]bool)
		for i, ref := range e.active {
			d := e.policyAt(ref)
			if d == nil || e.covers[i].Touch == 0 || reported[d.src] {
				continue
			}
			if h, x := e.deniedManager(p, d, e.covers[i].Touch); x != "" {
				reported[d.src] = true
				e.reportManager(p, h, x, d)
			}
		}
	}
}

// deniedManager returns somebody whom a grant to p reaches, or may reach, and whom policy d denies a privilege on objects of
// the classes, or excepts from it, though no other policy allows it here; x is "" where there is nobody.
func (e *evaluation) deniedManager(p rules.SubjectID, d *compiledPolicy, touch policy.ObjectClass) (h rules.SubjectID, x policy.Privilege) {
	base := e.generic(p)
	who := []rules.SubjectID{p}
	privs := d.denyPrivs
	for i := range d.deny {
		who = append(who, d.deny[i].who...)
	}
	for i := range d.allowExcept {
		who, privs = append(who, d.allowExcept[i].who...), privs|d.allowExcept[i].privs&d.allowPrivs
	}
	for privilege := range (privs &^ policy.Manage.Set() &^ policy.AllPrivileges.Set()).All() {
		for cl := range (policy.ActsOn[privilege] & touch).Each() {
			v := e.view(privilege, cl)
			for _, h := range who {
				if h != p && e.mayBe(p, h) == rules.No {
					continue
				}
				m := base.and(e.generic(h))
				if (d.denies(m, v.x) || d.excepts(m, v.x)) && !v.decide(m, v.deny) {
					return h, privilege
				}
			}
		}
	}
	return rules.NoSubject, ""
}

// excepts reports whether the policy allows privilege x but for an exception.
func (p *compiledPolicy) excepts(m hypotheticalMember, x policy.PrivilegeSet) bool {
	return matches(p.allow, m, x) && matches(p.allowExcept, m, x)
}

func (e *evaluation) reportManager(p, h rules.SubjectID, x policy.Privilege, d *compiledPolicy) {
	who := "is"
	switch {
	case h == p || e.generic(p).is(h):
	case e.mayBe(p, h) == rules.Yes:
		who = fmt.Sprintf("includes %s, who is", e.describe(h))
	default:
		who = fmt.Sprintf("may include %s, who is", e.describe(h))
	}
	e.report(p, policy.Manage, policy.EffectWider, fmt.Sprintf("%s is granted MANAGE and %s denied %s by policy %d %q; whoever holds MANAGE can grant that to himself, here and on all that is inside",
		e.describe(p), who, x, d.src.Source.ID, d.src.Source.Name), e.allowing(policy.Manage))
}
