package compile

import (
	"fmt"
	"maps"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/judge"
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
			d := e.rules.PolicyAt(ref)
			if d == nil || e.covers[i].Touch == 0 || reported[d.Rule] {
				continue
			}
			if h, x := e.deniedManager(p, d, e.covers[i].Touch); x != "" {
				reported[d.Rule] = true
				e.reportManager(p, h, x, d)
			}
		}
	}
}

// deniedManager returns somebody whom a grant to p reaches, or may reach, and whom policy d denies a privilege on objects of
// the classes, or excepts from it, though no other policy allows it here; x is "" where there is nobody.
func (e *evaluation) deniedManager(p rules.SubjectID, d *judge.Policy, touch policy.ObjectClass) (h rules.SubjectID, x policy.Privilege) {
	base := e.judge.Member(p)
	who := []rules.SubjectID{p}
	privs := d.Denied
	for i := range d.Deny {
		who = append(who, d.Deny[i].Who...)
	}
	for i := range d.AllowExcept {
		who, privs = append(who, d.AllowExcept[i].Who...), privs|d.AllowExcept[i].Privileges&d.Allowed
	}
	for privilege := range (privs &^ policy.Manage.Set() &^ policy.AllPrivileges.Set()).All() {
		for cl := range (policy.ActsOn[privilege] & touch).Each() {
			v := e.view(privilege, cl)
			for _, h := range who {
				if h != p && e.judge.MayBe(p, h) == rules.No {
					continue
				}
				m := base.And(e.judge.Member(h))
				if (d.DeniesItself(m, v.Privilege) || d.Excepts(m, v.Privilege)) && !v.Decide(m, v.Deny) {
					return h, privilege
				}
			}
		}
	}
	return rules.NoSubject, ""
}

func (e *evaluation) reportManager(p, h rules.SubjectID, x policy.Privilege, d *judge.Policy) {
	who := "is"
	switch {
	case h == p || e.judge.Member(p).Is(h):
	case e.judge.MayBe(p, h) == rules.Yes:
		who = fmt.Sprintf("includes %s, who is", e.describe(h))
	default:
		who = fmt.Sprintf("may include %s, who is", e.describe(h))
	}
	e.report(p, policy.Manage, policy.EffectWider, fmt.Sprintf("%s is granted MANAGE and %s denied %s by policy %d %q; whoever holds MANAGE can grant that to himself, here and on all that is inside",
		e.describe(p), who, x, d.Rule.Source.ID, d.Rule.Source.Name), e.allowing(policy.Manage))
}
