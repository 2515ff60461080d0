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
	kind      Kind
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
	inside := e.class.inside()
	if e.leaf {
		inside = e.class
	}
	for i, n := range e.active {
		c := e.entries[n].region.at(e.depth)
		if e.entries[n].region.views {
			c = c.onlyViews(e.leaf, e.kind)
		}
		e.covers[i] = cover{c.full & inside, c.touch & inside}
	}
	if e.zoned {
		e.heedZones()
	}
	for i, n := range e.active {
		switch p := e.entries[n].policy; {
		case p == nil:
			e.covers[i] = cover{}
		case e.covers[i].full != 0:
			e.allowed |= p.allowPrivs
		}
	}
}

// heedZones limits what policies cover to where their zone is. Policies of a zone hold in its resources; the others
// hold outside every zone; tag policies outside zones hold in zones too, unless these have a tag service of their own.
// Where several zones meet nothing is allowed: Ranger takes such a resource for outside, and what each zone denies
// stays denied here.
func (e *evaluation) heedZones() {
	var any, withTags cover
	var shared class
	zones := make(map[string]cover)
	tagService := make(map[string]bool)
	for i, n := range e.active {
		z := e.entries[n].zone
		if z == nil {
			continue
		}
		c, old := e.covers[i], zones[z.ZoneName]
		shared |= c.touch & any.touch &^ old.touch
		zones[z.ZoneName] = cover{old.full | c.full, old.touch | c.touch}
		any = cover{any.full | c.full, any.touch | c.touch}
		if z.ContainsAssociatedTagService {
			tagService[z.ZoneName] = true
			withTags = cover{withTags.full | c.full, withTags.touch | c.touch}
		}
	}
	for i, n := range e.active {
		p := e.entries[n].policy
		if p == nil {
			continue
		}
		c := &e.covers[i]
		elsewhere := any
		if p.tag {
			elsewhere = withTags
		}
		switch z := zones[p.zone]; {
		case p.zone == "":
			c.full &^= elsewhere.touch | shared
			c.touch &^= elsewhere.full &^ shared
		case p.tag && !tagService[p.zone]:
			*c = cover{}
		default:
			c.full &= z.full &^ shared
			c.touch &= z.touch
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
		if p.allowPrivs&v.x != 0 {
			if c.full&cl != 0 {
				v.allow = append(v.allow, p)
			}
			v.byTag = v.byTag || p.tag
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
	if result == denied {
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
	told := e.out.settled[p].has(x) // on a container above
	e.out.settled[p] |= x.bit()
	if e.opts.Deny == DenyExpand {
		if list := e.usersOf(p); e.subjects.kind(p) != subjectUser && list.known && len(list.users) <= e.opts.ExpandLimit {
			e.expand(p, x, list.users, views, hazards, told)
			return
		}
	}
	if told {
		return
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
func (e *evaluation) expand(p subjectID, x Privilege, members []subjectID, views []*view, hazards [][]subjectID, told bool) {
	count, doubtful := 0, 0
	for _, u := range members {
		if !e.managed[u] || e.impliedAbove(u, x) {
			continue
		}
		result, total := safe, safe
		for i, v := range views {
			w, _, _ := e.judge(u, v, v.deny, hazards[i])
			result = min(result, w)
			w, _, _ = e.judge(u, v, v.deny[:v.total], hazards[i])
			total = min(total, w)
		}
		switch {
		case result == safe:
			e.here[u] |= x.bit()
			count++
		case total == unsafe:
			doubtful++
		}
	}
	if told && doubtful == 0 {
		return
	}
	message := fmt.Sprintf("%s is allowed %s but some of its members are denied it; it is granted to %d others one by one (strategy expand)",
		e.subjects.describe(p), x, count)
	effect := EffectNone
	if doubtful > 0 {
		effect = EffectNarrower
		message += fmt.Sprintf(", and not to %d who may be denied it by groups they may be in", doubtful)
	}
	e.report(p, x, effect, message, views[0].allow)
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
