package compile

import (
	"fmt"
	"maps"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/rules"
)

// wantUse grants USE_SCHEMA on a catalog to whoever holds, on the catalog itself, what is of use inside schemas only.
// Where a policy denies it in some schema, it is left to be given schema by schema.
func (r *compilation) wantUse(out *outcome, at node, above map[rules.SubjectID]policy.PrivilegeSet) {
	out.pendingUse = map[rules.SubjectID]bool{}
	if r.opts.SkipUse {
		return
	}
	want := map[rules.SubjectID]bool{}
	for p, set := range out.granted {
		set &^= at.notOurs
		for x := range set.All() {
			if x != policy.UseSchema && policy.ActsOn[x]&policy.ClassesInCatalog != 0 && !set.Has(policy.AllPrivileges) {
				want[p] = true
			}
		}
	}
	before := out.granted
	granted, _ := r.addUse(before, above, policy.UseSchema, want, at)
	out.granted = granted
	for p := range want {
		held := false
		for _, q := range r.judge.Member(p) {
			held = held || (granted[q] &^ at.notOurs).WithImplied().Has(policy.UseSchema)
		}
		if !held {
			out.pendingUse[p] = true
		}
	}
	for p, set := range granted {
		out.above[p] |= (set &^ at.notOurs).WithImplied()
	}
}

// addUse adds the USE_* privilege at a node for those in need who do not hold it there or above, and returns the grants
// with it. A policy that denies it to somebody by name holds, and such a need is reported. One that denies all else than it
// allows does not mean the USE_* that what another policy allows requires.
func (r *compilation) addUse(granted, above map[rules.SubjectID]policy.PrivilegeSet, use policy.Privilege, need map[rules.SubjectID]bool, at node) (map[rules.SubjectID]policy.PrivilegeSet, []policy.Finding) {
	if len(need) == 0 {
		return granted, nil
	}
	e := &evaluation{compilation: r, node: at, parent: &outcome{above: above}, here: maps.Clone(granted)}
	if e.here == nil {
		e.here = map[rules.SubjectID]policy.PrivilegeSet{}
	}
	e.cover()
	v := e.view(use, classOfUse(use))
	v.Allow, v.Named = append(slices.Clone(v.Allow), r.openUse), true
	deniedBy := v.DeniedSubjects()
	views, deniedByView := []*judge.View{v}, [][]rules.SubjectID{deniedBy}
	for _, p := range slices.Sorted(maps.Keys(need)) {
		if !r.managed[p] || e.impliedAbove(p, use) || (e.here[p] &^ at.notOurs).WithImplied().Has(use) {
			continue
		}
		switch w, against, _ := r.judge.Grant(p, v, v.Deny, deniedBy); {
		case w == judge.Safe:
			e.here[p] |= use.Set()
		case w == judge.Unsafe && e.strategy(p, use, views) == DenyExpand:
			e.expand(p, use, r.judge.UsersOf(p).Users, views, deniedByView, false)
			last := &e.out.findings[len(e.out.findings)-1]
			last.Effect, last.Message = policy.EffectNarrower, last.Message+"; the members who are denied it cannot use what they are granted below"
		case w == judge.Unsafe && e.strategy(p, use, views) == DenyIgnore:
			e.here[p] |= use.Set()
			e.reportIgnored(p, use, views, deniedByView)
		default:
			e.report(p, use, policy.EffectNarrower, fmt.Sprintf("%s needs %s for what it is granted below, but %s denies it; it is not added",
				r.describe(p), use, e.whoDenies(p, against, v)), nil)
		}
	}
	return r.minimal(e.here, above, at.notOurs), e.out.findings
}

func classOfUse(use policy.Privilege) policy.ObjectClass {
	if use == policy.UseSchema {
		return policy.ClassSchema
	}
	return policy.ClassCatalog
}
