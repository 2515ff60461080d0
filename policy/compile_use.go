package policy

import (
	"fmt"
	"maps"
	"slices"
)

// wantUse gives USE_SCHEMA on a catalog to whoever holds, on the catalog itself, what is of use inside schemas only.
// Where a policy denies it in some schema, it is left to be given schema by schema.
func (r *compilation) wantUse(out *outcome, at place, above map[subjectID]privSet) {
	out.pendingUse = map[subjectID]bool{}
	if r.opts.SkipUse {
		return
	}
	want := map[subjectID]bool{}
	for p, set := range out.granted {
		for x := range set.all() {
			if x != UseSchema && actsOn[x]&classesInCatalog != 0 && !set.has(AllPrivileges) {
				want[p] = true
			}
		}
	}
	before := out.granted
	granted, _ := r.addUse(before, above, UseSchema, want, at)
	out.granted = granted
	for p := range want {
		held := false
		for _, q := range r.withContainers(p) {
			held = held || granted[q].withImplied().has(UseSchema)
		}
		if !held {
			out.pendingUse[p] = true
		}
	}
	for p, set := range granted {
		out.above[p] |= set.withImplied()
	}
}

// addUse adds the USE_* privilege at a place for those in need who do not hold it there or above, and gives the grants
// with it. A policy that denies it to somebody by name stands, and such a need is reported; one that denies all else than
// it allows does not mean the way to what another policy allows.
func (r *compilation) addUse(granted, above map[subjectID]privSet, use Privilege, need map[subjectID]bool, at place) (map[subjectID]privSet, []Finding) {
	if len(need) == 0 {
		return granted, nil
	}
	e := &evaluation{compilation: r, place: at, parent: &outcome{above: above}, here: maps.Clone(granted)}
	if e.here == nil {
		e.here = map[subjectID]privSet{}
	}
	e.out.settled = map[subjectID]privSet{}
	e.cover()
	v := e.view(use, classOfUse(use))
	v.allow, v.named = append(slices.Clone(v.allow), r.openUse), true
	hazards := v.hazards()
	views, hazardLists := []*view{v}, [][]subjectID{hazards}
	for _, p := range slices.Sorted(maps.Keys(need)) {
		if !r.managed[p] || e.impliedAbove(p, use) || e.here[p].withImplied().has(use) {
			continue
		}
		switch w, against, _ := r.judge(p, v, v.deny, hazards); {
		case w == safe:
			e.here[p] |= use.bit()
		case w == unsafe && r.opts.Deny == DenyExpand && r.subjects.kind(p) != subjectUser && r.usersOf(p).known && len(r.usersOf(p).users) <= r.opts.ExpandLimit:
			e.expand(p, use, r.usersOf(p).users, views, hazardLists, false)
			last := &e.out.findings[len(e.out.findings)-1]
			last.Effect, last.Message = EffectNarrower, last.Message+"; the members who are denied it cannot use what they are granted below"
		default:
			e.report(p, use, EffectNarrower, fmt.Sprintf("%s needs %s for what it is granted below, but policy %s denies it; it is not added",
				r.subjects.describe(p), use, e.whoDenies(p, against, v)), nil)
		}
	}
	return r.minimal(e.here, above), e.out.findings
}

func classOfUse(use Privilege) class {
	if use == UseSchema {
		return classSchema
	}
	return classCatalog
}
