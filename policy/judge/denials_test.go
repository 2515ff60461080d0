package judge_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Whom some policy allows a privilege, the rules deny exactly where the policies together do.
func TestDenials(t *testing.T) {
	policytest.CheckWorlds(t, 15000, func(t *rapid.T) {
		subjects := []rules.SubjectID{rules.Everyone, rules.Everyone + 1, rules.Everyone + 2, rules.Everyone + 3}
		items := func(label string) []judge.Item {
			var list []judge.Item
			for range rapid.IntRange(0, 2).Draw(t, label) {
				who := rapid.SliceOfNDistinct(rapid.SampledFrom(subjects), 1, 2, rapid.ID).Draw(t, "who")
				slices.Sort(who)
				list = append(list, judge.Item{Privileges: rapid.SampledFrom([]policy.PrivilegeSet{policy.Select.Set(), policy.Modify.Set()}).Draw(t, "privilege"), Who: who})
			}
			return list
		}
		v := &judge.View{Privilege: policy.Select.Set()}
		for id := range rapid.IntRange(1, 4).Draw(t, "policies") {
			p := &judge.Policy{
				Rule:     &rules.Policy{Source: &ranger.Policy{ID: int64(id)}, Tag: rapid.IntRange(0, 3).Draw(t, "on a tag") == 0},
				Priority: rapid.IntRange(0, 2).Draw(t, "priority"), DenyAllElse: rapid.IntRange(0, 3).Draw(t, "all else") == 0,
				Allow: items("allow"), AllowExcept: items("allow exceptions"), Deny: items("deny"), DenyExcept: items("deny exceptions"),
			}
			p.Rule.HasDeny = p.DenyAllElse || len(p.Deny) > 0
			p.Sum()
			if p.Allowed.Has(policy.Select) {
				v.Allow = append(v.Allow, p)
			}
			if p.Denied.Has(policy.Select) {
				v.Deny = append(v.Deny, p)
			}
		}
		d, ok := v.Denials()
		if !ok {
			return
		}
		for _, one := range subjects[1:] {
			for _, other := range subjects[1:] {
				m := judge.Member{rules.Everyone, one}.And(judge.Member{other})
				reached := slices.ContainsFunc(v.Allow, func(a *judge.Policy) bool { return judge.Matches(a.Allow, m, v.Privilege) })
				if got, want := !denies(d, m), v.Decide(m, v.Deny); reached && got != want {
					t.Fatalf("%v is let through: %t, want %t, by %+v", m, got, want, d.Rules)
				}
			}
		}
	})
}

func denies(d *judge.Denials, m judge.Member) bool {
	allowed := func(list []judge.Allow) bool {
		return slices.ContainsFunc(list, func(a judge.Allow) bool { return m.In(a.Who) && !m.In(a.Except) })
	}
	return slices.ContainsFunc(d.Rules, func(r judge.DenyRule) bool {
		denied := m.In(r.Who) && !m.In(r.Except)
		if r.Else {
			denied = !allowed(r.Allowed)
		}
		return denied && !allowed(r.Override)
	})
}
