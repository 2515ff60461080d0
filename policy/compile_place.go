package policy

import (
	"fmt"
	"slices"
)

// place is where grants are worked out: a container or an object, with the entries whose patterns match its names.
type place struct {
	class     class
	leaf      bool // holds nothing
	supported privSet
	depth     int // names in the full name: 1 to 3
	active    []int32
}

// outcome is what was worked out for a place.
type outcome struct {
	granted    map[subjectID]privSet // here, nothing that another grant implies
	above      map[subjectID]privSet // here and on the containers above
	settled    map[subjectID]privSet // unsafe all over the place: dealt with here, not again below
	needUse    map[subjectID]bool    // whose grants here need USE_* on the containers
	pendingUse map[subjectID]bool    // who needs USE_SCHEMA on the schemas below, since it could not be given here
	findings   []Finding
}

// evaluate works out the grants at a place below parent (nil at the top).
func (r *compilation) evaluate(at place, parent *outcome) outcome {
	if parent == nil {
		parent = &outcome{}
	}
	e := &evaluation{compilation: r, place: at, parent: parent, here: map[subjectID]privSet{}}
	e.out.settled = cloneSets(parent.settled)
	e.cover()
	wanted := e.allowed & at.supported
	for x := range wanted.all() {
		e.privilege(x)
	}
	e.checkAll()
	e.minimise()
	e.out.granted = e.here
	e.out.above = cloneSets(parent.above)
	e.out.needUse = map[subjectID]bool{}
	for p, set := range e.here {
		e.out.above[p] |= set.withImplied()
		if needsUse(set, at.class) {
			e.out.needUse[p] = true
		}
	}
	return e.out
}

// needsUse reports whether any of the privileges, on an object of class cl, is of use only with USE_* above.
func needsUse(set privSet, cl class) bool {
	switch cl {
	case classCatalog:
		return set&^Browse.bit()&^UseCatalog.bit()&^AllPrivileges.bit() != 0
	case classSchema:
		return set != 0
	}
	return set != 0 && cl <= classVolume
}

func cloneSets(m map[subjectID]privSet) map[subjectID]privSet {
	c := make(map[subjectID]privSet, len(m))
	for p, set := range m {
		c[p] = set
	}
	return c
}

// evaluation is the work on one place.
type evaluation struct {
	*compilation
	place
	parent  *outcome
	covers  []cover // by position in active
	allowed privSet // by any policy that covers some class here
	here    map[subjectID]privSet
	out     outcome
}

// cover works out what each active entry covers here, security zones considered.
func (e *evaluation) cover() {
	e.covers = make([]cover, len(e.active))
	var zones map[string]cover
	var anyZone cover
	for i, n := range e.active {
		en := &e.entries[n]
		c := en.region.at(e.depth)
		inside := e.class.inside()
		if e.leaf {
			inside = e.class
		}
		c.full &= inside
		c.touch &= inside
		e.covers[i] = c
		if en.policy == nil {
			if zones == nil {
				zones = map[string]cover{}
			}
			z := zones[en.zone]
			zones[en.zone] = cover{z.full | c.full, z.touch | c.touch}
			anyZone = cover{anyZone.full | c.full, anyZone.touch | c.touch}
		}
	}
	for i, n := range e.active {
		en := &e.entries[n]
		if en.policy == nil {
			e.covers[i] = cover{}
			continue
		}
		if e.zoned {
			if en.policy.zone == "" {
				e.covers[i].full &^= anyZone.touch
				e.covers[i].touch &^= anyZone.full
			} else {
				z := zones[en.policy.zone]
				e.covers[i].full &= z.full
				e.covers[i].touch &= z.touch
			}
		}
		if e.covers[i].full != 0 {
			e.allowed |= en.policy.allowPrivs
		}
	}
}

// view gathers what the policies say about x on the objects of one class here.
func (e *evaluation) view(x Privilege, cl class) *view {
	v := &view{x: x.bit()}
	var partial []*compiledPolicy
	for i, n := range e.active {
		c, p := e.covers[i], e.entries[n].policy
		if c.touch&cl == 0 {
			continue
		}
		if c.full&cl != 0 && p.allowPrivs&v.x != 0 {
			v.allow = append(v.allow, p)
		}
		if p.denyPrivs&v.x != 0 {
			if c.full&cl != 0 || e.leaf {
				v.deny = append(v.deny, p)
			} else {
				partial = append(partial, p)
			}
		}
	}
	v.total = len(v.deny)
	v.deny = append(v.deny, partial...)
	return v
}

// privilege grants x here to whom it may be granted.
func (e *evaluation) privilege(x Privilege) {
	reach := actsOn[x] & e.class.inside()
	if e.leaf {
		reach = e.class
	}
	var views []*view
	for cl := range reach.each() {
		v := e.view(x, cl)
		if len(v.allow) == 0 && actsOn[x]&e.class == 0 {
			return
		}
		views = append(views, v)
	}
	if len(views) == 0 {
		return
	}
	// Whoever is granted x must be allowed it in each class, so the candidates of one class are enough; that of the
	// container itself comes first, to report what it alone allows.
	var candidates []subjectID
	for _, p := range views[0].allow {
		for i := range p.allow {
			if p.allow[i].privs&views[0].x != 0 {
				candidates = append(candidates, p.allow[i].who...)
			}
		}
	}
	slices.Sort(candidates)
	hazards := make([][]subjectID, len(views))
	for i, v := range views {
		hazards[i] = v.hazards()
	}
	for _, p := range slices.Compact(candidates) {
		if e.managed[p] && !e.impliedAbove(p, x) {
			e.candidate(p, x, views, hazards, reach)
		}
	}
}

// candidate grants x here to p, or to its members, or reports why not.
func (e *evaluation) candidate(p subjectID, x Privilege, views []*view, hazards [][]subjectID, reach class) {
	result, against, certain, blocked := safe, noSubject, no, 0
	self := denied
	i := 0
	for cl := range reach.each() {
		v, culprit, how := e.judge(p, views[i], views[i].deny, hazards[i])
		if cl == e.class {
			self = v
		}
		if v < result {
			result, against, certain, blocked = v, culprit, how, i
		}
		i++
	}
	if result == safe {
		e.here[p] |= x.bit()
		if e.opts.Deny == DenyIgnore {
			e.reportIgnored(p, x, views, hazards)
		}
		return
	}
	if self != denied && !e.leaf && reach != e.class {
		e.report(p, x, EffectNarrower, fmt.Sprintf("%s is allowed %s on the %s itself, but not on everything in it, which Unity Catalog would pass it on to; it is not granted there",
			e.subjects.describe(p), x, containerWord(e.class)), views[0].allow)
	}
	if result == denied || e.out.settled[p].has(x) {
		return
	}
	// Unsafe. Where only something inside stands against it, what is inside is decided further down.
	for i, v := range views {
		if !e.leaf {
			if w, _, _ := e.judge(p, v, v.deny[:v.total], hazards[i]); w == safe {
				return
			}
		}
	}
	e.out.settled[p] |= x.bit()
	if e.opts.Deny == DenyExpand {
		if list := e.usersOf(p); e.subjects.kind(p) != subjectUser && list.known && len(list.users) <= e.opts.ExpandLimit {
			e.expand(p, x, list.users, views, hazards)
			return
		}
	}
	if !views[blocked].decide(e.generic(p), views[blocked].deny) {
		e.report(p, x, EffectNarrower, fmt.Sprintf("%s is allowed %s only for who is also %s, which Unity Catalog cannot express; it is not granted (%s)",
			e.subjects.describe(p), x, e.subjects.describe(against), e.whyWithheld(p)), views[blocked].allow)
		return
	}
	word := "includes"
	if certain != yes {
		word = "may include"
	}
	if e.subjects.kind(p) == subjectUser {
		word = "may be in"
		if e.subjects.kind(against) == subjectUser {
			word = "may be"
		}
	}
	e.report(p, x, EffectNarrower, fmt.Sprintf("%s is allowed %s but %s %s, denied it by policy %s; Unity Catalog has no deny, so it is not granted (%s)",
		e.subjects.describe(p), x, word, e.subjects.describe(against), e.whoDenies(p, against, views[blocked]), e.whyWithheld(p)), views[blocked].allow)
}

func (e *evaluation) whyWithheld(p subjectID) string {
	if e.opts.Deny != DenyExpand || e.subjects.kind(p) == subjectUser {
		return "strategy withhold"
	}
	if list := e.usersOf(p); list.known {
		return fmt.Sprintf("strategy expand: %d members are more than the limit of %d", len(list.users), e.opts.ExpandLimit)
	}
	return "strategy expand: its members are not known"
}

// expand grants x to those members of p whom the policies allow it.
func (e *evaluation) expand(p subjectID, x Privilege, members []subjectID, views []*view, hazards [][]subjectID) {
	count := 0
	for _, u := range members {
		if !e.managed[u] || e.impliedAbove(u, x) {
			continue
		}
		all := true
		for i, v := range views {
			w, _, _ := e.judge(u, v, v.deny, hazards[i])
			all = all && w == safe
		}
		if all {
			e.here[u] |= x.bit()
			count++
		}
	}
	e.report(p, x, EffectNone, fmt.Sprintf("%s is allowed %s but some of its members are denied it; it is granted to the %d others one by one (strategy expand)",
		e.subjects.describe(p), x, count), views[0].allow)
}

// reportIgnored says whom strategy ignore lets keep what they are denied.
func (e *evaluation) reportIgnored(p subjectID, x Privilege, views []*view, hazards [][]subjectID) {
	for i, v := range views {
		base := e.generic(p)
		for _, h := range hazards[i] {
			if base.is(h) || e.mayBe(p, h) == no || v.decide(base.and(e.generic(h)), v.deny) {
				continue
			}
			e.report(p, x, EffectWider, fmt.Sprintf("%s is granted %s although it may include %s, denied it by policy %s (strategy ignore)",
				e.subjects.describe(p), x, e.subjects.describe(h), e.whoDenies(p, h, v)), v.allow)
		}
	}
}

// whoDenies names the policy that keeps a member of p who is also h from x.
func (e *evaluation) whoDenies(p, h subjectID, v *view) string {
	w := e.generic(p)
	if h != noSubject {
		w = w.and(e.generic(h))
	}
	for _, d := range v.deny {
		if v.denies(d, w) {
			return fmt.Sprintf("%d %q", d.src.ID, d.src.Name)
		}
	}
	for _, a := range v.allow {
		if matches(a.allowExcept, w, v.x) {
			return fmt.Sprintf("%d %q", a.src.ID, a.src.Name)
		}
	}
	return "unknown"
}

// report adds a finding about the first of the policies that allow p the privilege.
func (e *evaluation) report(p subjectID, x Privilege, effect Effect, message string, allow []*compiledPolicy) {
	f := Finding{Effect: effect, Principal: e.principals[p], Privilege: x, Message: message}
	w := e.generic(p)
	for _, a := range allow {
		if a.allows(w, x.bit()) {
			f.PolicyID, f.Policy = a.src.ID, a.src.Name
			break
		}
	}
	e.out.findings = append(e.out.findings, f)
}

func containerWord(c class) string {
	if c == classCatalog {
		return "catalog"
	}
	return "schema"
}

// checkAll takes ALL_PRIVILEGES back from whoever was not granted, one by one, everything it confers here.
func (e *evaluation) checkAll() {
	needed := e.supported & impliedByAll
	for p, set := range e.here {
		if !set.has(AllPrivileges) {
			continue
		}
		var held privSet
		for _, q := range e.withContainers(p) {
			held |= e.here[q] | e.parent.above[q]
		}
		missing := needed &^ held
		if missing == 0 {
			continue
		}
		e.here[p] = set &^ AllPrivileges.bit()
		for x := range missing.all() {
			e.report(p, AllPrivileges, EffectNarrower, fmt.Sprintf("%s is allowed ALL_PRIVILEGES, which would give %s too, and that is not allowed to all it reaches; the others are granted one by one",
				e.subjects.describe(p), x), e.allowing(AllPrivileges))
			break
		}
	}
}

func (e *evaluation) allowing(x Privilege) []*compiledPolicy {
	var list []*compiledPolicy
	for i, n := range e.active {
		if p := e.entries[n].policy; e.covers[i].full != 0 && p.allowPrivs&x.bit() != 0 {
			list = append(list, p)
		}
	}
	return list
}

// withContainers lists p, the groups and roles it is known to be in, and everyone.
func (c *Compiler) withContainers(p subjectID) witness { return c.generics[p] }

// impliedAbove reports whether p holds x by a grant on a container above, its own or one to who it is in.
func (e *evaluation) impliedAbove(p subjectID, x Privilege) bool {
	if len(e.parent.above) == 0 {
		return false
	}
	for _, q := range e.withContainers(p) {
		if e.parent.above[q].has(x) {
			return true
		}
	}
	return false
}

// minimise leaves out what other grants here or above imply.
func (e *evaluation) minimise() { e.here = e.minimal(e.here, e.parent.above) }

func (c *Compiler) minimal(here, above map[subjectID]privSet) map[subjectID]privSet {
	kept := make(map[subjectID]privSet, len(here))
	for p, set := range here {
		if set.has(AllPrivileges) {
			set &^= impliedByAll
		}
		for _, q := range c.withContainers(p) {
			set &^= above[q]
			if q != p && !(q > p && c.withContainers(q).is(p)) { // of two that contain each other, the first keeps it
				set &^= here[q].withImplied()
			}
		}
		if set != 0 {
			kept[p] = set
		}
	}
	return kept
}
