package compile

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/grantrules"
	"ucwarden/policy/judge"
	"ucwarden/policy/region"
	"ucwarden/policy/rules"
)

// node is where grants are worked out: a container or an object, with the entries whose patterns match its names.
type node struct {
	class      policy.ObjectClass
	leaf       bool // holds nothing
	supported  policy.PrivilegeSet
	notByAll   policy.PrivilegeSet // what ALL_PRIVILEGES must not give here
	notOurs    policy.PrivilegeSet // what is not granted here whatever is worked out: nothing counts on it
	objectKind policy.Kind
	depth      int // names in the full name: 1 to 3
	active     []region.Ref
	protected  bool // a table whose row filters and masks are enforced
	filtered   bool // one whose row filter hides rows from the denied
	limited    bool // one whose masks show NULL of the other columns to those who are allowed some
}

// Added to the kind of a table in the key of its node.
const (
	protectedKind = 1 << 8
	filteredKind  = 1 << 9
	limitedKind   = 1 << 10
)

// outcome is what was worked out for a node.
type outcome struct {
	granted    map[rules.SubjectID]policy.PrivilegeSet // here, nothing that another grant implies
	above      map[rules.SubjectID]policy.PrivilegeSet // here and on the containers above
	settled    map[rules.SubjectID]policy.PrivilegeSet // unsafe for all of the node: dealt with here, not again below
	needUse    map[rules.SubjectID]bool                // whose grants here need USE_* on the containers
	pendingUse map[rules.SubjectID]bool                // who needs USE_SCHEMA on the schemas below, since it could not be given here
	denied     *judge.Denials                          // whom the filter of the table shows no row; nil for nobody
	findings   []policy.Finding
}

// evaluate works out the grants at a node below parent (nil at the top).
func (r *compilation) evaluate(at node, parent *outcome) outcome {
	if parent == nil {
		parent = &outcome{}
	}
	if r.room.here == nil {
		r.room.here = make(map[rules.SubjectID]policy.PrivilegeSet)
	}
	clear(r.room.here)
	e := &evaluation{compilation: r, node: at, parent: parent, here: r.room.here}
	e.out.settled = parent.settled
	e.cover()
	wanted := e.allowed & at.supported
	for x := range wanted.All() {
		e.privilege(x)
	}
	e.grantColumns()
	e.reportUnenforced()
	e.checkAll()
	e.minimise()
	e.checkManage()
	e.out.granted = e.here
	if at.leaf { // nothing is below
		return e.out
	}
	e.out.above = cloneSets(parent.above)
	e.out.needUse = map[rules.SubjectID]bool{}
	for p, set := range e.here {
		ours := set &^ at.notOurs
		e.out.above[p] |= ours.WithImplied()
		if needsUse(ours, at.class) {
			e.out.needUse[p] = true
		}
	}
	return e.out
}

// needsUse reports whether any of the privileges, on an object of class cl, is of use only with USE_* above.
func needsUse(set policy.PrivilegeSet, cl policy.ObjectClass) bool {
	switch cl {
	case policy.ClassCatalog:
		return set&^policy.Browse.Set()&^policy.UseCatalog.Set()&^policy.AllPrivileges.Set() != 0
	case policy.ClassSchema:
		return set != 0
	}
	return set != 0 && cl <= policy.ClassVolume
}

func cloneSets(m map[rules.SubjectID]policy.PrivilegeSet) map[rules.SubjectID]policy.PrivilegeSet {
	c := make(map[rules.SubjectID]policy.PrivilegeSet, len(m))
	for p, set := range m {
		c[p] = set
	}
	return c
}

// evaluation is the work on one node.
type evaluation struct {
	*compilation
	node
	parent  *outcome
	covers  []region.Cover      // by position in active
	allowed policy.PrivilegeSet // by any policy that covers some class here
	here    map[rules.SubjectID]policy.PrivilegeSet
	out     outcome
	// ownSettled says that out.settled is not the parent's.
	ownSettled bool
}

// settle notes that x is dealt with here for p. What is settled above is shared with the other nodes below it.
func (e *evaluation) settle(p rules.SubjectID, x policy.Privilege) {
	if !e.ownSettled {
		e.out.settled, e.ownSettled = cloneSets(e.out.settled), true
	}
	e.out.settled[p] |= x.Set()
}

// cover works out what each active entry covers here, security zones considered.
func (e *evaluation) cover() {
	e.covers = make([]region.Cover, len(e.active))
	inside := e.class.Inside()
	if e.leaf {
		inside = e.class
	}
	for i, n := range e.active {
		r := &e.rules.Regions[n.Number()]
		c := r.At(e.depth)
		if r.Views {
			c = c.OnlyViews(e.leaf, e.objectKind)
		}
		if n.Loose() {
			c.Full = 0 // the names are alike, not the same: nothing is allowed by it
		}
		e.covers[i] = region.Cover{Full: c.Full & inside, Touch: c.Touch & inside}
	}
	if e.rules.Zoned {
		e.limitToZones()
	}
	for i, n := range e.active {
		switch p := e.rules.PolicyAt(n); {
		case p == nil:
			e.covers[i] = region.Cover{}
		case e.covers[i].Full != 0:
			e.allowed |= p.Allowed
		}
	}
}

// limitToZones limits what policies cover to where their zone is. Policies of a zone hold in its resources; the others
// hold outside every zone; tag policies outside zones hold in zones too, unless these have a tag service of their own.
// Where several zones meet nothing is allowed: Ranger takes such a resource for outside, and what each zone denies
// stays denied here.
func (e *evaluation) limitToZones() {
	var inside, withTags region.Cover
	var shared policy.ObjectClass
	zones := make(map[string]region.Cover)
	for i, n := range e.active {
		z := e.rules.ZoneAt(n)
		if z == "" {
			continue
		}
		c, old := e.covers[i], zones[z]
		shared |= c.Touch & inside.Touch &^ old.Touch
		zones[z] = old.Or(c)
		inside = inside.Or(c)
		if e.set.Zones.HasTagService(z) {
			withTags = withTags.Or(c)
		}
	}
	if shared != 0 {
		e.out.findings = append(e.out.findings, policy.Finding{Effect: policy.EffectNarrower, Message: "it lies in several security zones (" +
			strings.Join(slices.Sorted(maps.Keys(zones)), ", ") + "), of which Ranger asks none; nothing is granted where they meet"})
	}
	for i, n := range e.active {
		p := e.rules.PolicyAt(n)
		if p == nil {
			continue
		}
		c := &e.covers[i]
		elsewhere := inside
		if p.Rule.Tag {
			elsewhere = withTags
		}
		switch z := zones[p.Rule.Zone]; {
		case p.Rule.Zone == "":
			c.Full &^= elsewhere.Touch | shared
			c.Touch &^= elsewhere.Full &^ shared
		case p.Rule.Tag && !e.set.Zones.HasTagService(p.Rule.Zone):
			*c = region.Cover{}
		default:
			c.Full &= z.Full &^ shared
			c.Touch &= z.Touch
		}
	}
}

// view gathers what the policies say about x on the objects of one class here.
func (e *evaluation) view(x policy.Privilege, cl policy.ObjectClass) *judge.View {
	return e.fill(&judge.View{}, x, cl)
}

// fill fills an empty view as view says.
func (e *evaluation) fill(v *judge.View, x policy.Privilege, cl policy.ObjectClass) *judge.View {
	v.Privilege, v.Ends = x.Set(), e.rules.SilentEnds
	var partial []*judge.Policy
	for i, n := range e.active {
		c, p := e.covers[i], e.rules.PolicyAt(n)
		if c.Touch&cl == 0 {
			continue
		}
		if p.Ends() {
			v.Ends = max(v.Ends, p.Rule.Priority)
		}
		if p.Allowed&v.Privilege != 0 && c.Full&cl != 0 {
			v.Allow = append(v.Allow, p)
		}
		if p.Denied&v.Privilege != 0 && !(e.protected && grantrules.Protects(p)) {
			// What is enforced on tables one by one is decided there, not on all of a container.
			if !e.leaf && e.opts.Protects && grantrules.Protects(p) {
				partial = append(partial, p)
			} else if c.Full&cl != 0 || e.leaf {
				v.Deny = append(v.Deny, p)
			} else {
				partial = append(partial, p)
			}
		}
	}
	v.Total = len(v.Deny)
	v.Deny = append(v.Deny, partial...)
	return v
}

// privilege grants x here to whom it may be granted.
func (e *evaluation) privilege(x policy.Privilege) {
	reach := policy.ActsOn[x] & e.class.Inside()
	if e.leaf {
		reach = e.class
	}
	views := e.room.emptyViews(bits.OnesCount64(uint64(reach)))
	n := 0
	for cl := range reach.Each() {
		if v := e.fill(views[n], x, cl); len(v.Allow) == 0 && policy.ActsOn[x]&e.class == 0 {
			return
		}
		n++
	}
	if n == 0 {
		return
	}
	// Whoever is granted x must be allowed it in each class, so the candidates of one class are enough; that of the
	// container itself comes first, to report what it alone allows.
	candidates := e.room.candidates[:0]
	for _, p := range views[0].Allow {
		for i := range p.Allow {
			if p.Allow[i].Privileges&views[0].Privilege != 0 {
				candidates = append(candidates, p.Allow[i].Who...)
			}
		}
	}
	slices.Sort(candidates)
	deniedBy := e.room.deniedBy[:0]
	for _, v := range views {
		deniedBy = append(deniedBy, v.DeniedSubjects())
	}
	e.room.candidates, e.room.deniedBy = candidates, deniedBy
	for _, p := range slices.Compact(candidates) {
		switch {
		case e.managed[p] && !e.impliedAbove(p, x):
			e.candidate(p, x, views, deniedBy, reach)
		case e.withheld[p] != "":
			e.reportUnresolved(p, x, views)
		}
	}
}

// candidate grants x here to p, or to its members, or reports why not.
func (e *evaluation) candidate(p rules.SubjectID, x policy.Privilege, views []*judge.View, deniedBy [][]rules.SubjectID, reach policy.ObjectClass) {
	result, against, certain, blocked := judge.Safe, rules.NoSubject, rules.No, 0
	self := judge.Denied
	i := 0
	for cl := range reach.Each() {
		v, culprit, how := e.judge.Grant(p, views[i], views[i].Deny, deniedBy[i])
		if cl == e.class {
			self = v
		}
		if v < result {
			result, against, certain, blocked = v, culprit, how, i
		}
		i++
	}
	if result == judge.Safe && e.protectsInside(x) {
		return // decided on each object: a table that is dropped and made again, without its filter, is open to nobody then
	}
	if result == judge.Safe {
		e.here[p] |= x.Set()
		if e.opts.ignores() {
			e.reportIgnored(p, x, views, deniedBy)
		}
		return
	}
	if self != judge.Denied && !e.leaf && reach != e.class {
		e.report(p, x, policy.EffectNarrower, fmt.Sprintf("%s is allowed %s on the %s itself, but not on everything in it, which Unity Catalog would pass it on to; it is not granted there",
			e.describe(p), x, containerWord(e.class)), views[0].Allow)
	}
	if result == judge.Denied {
		switch v := views[blocked]; {
		case v.OpenToOrder(e.judge.Member(p), v.Deny):
			e.report(p, x, policy.EffectNarrower, fmt.Sprintf("%s is allowed %s with a high priority by a policy that also denies, and denied it with a lower one; which of them wins depends in Ranger on other policies, so it is not granted",
				e.describe(p), x), v.Allow)
		case v.EndedBefore(e.judge.Member(p), v.Deny):
			e.report(p, x, policy.EffectNarrower, fmt.Sprintf("%s is allowed %s by a tag and denied it on the resource; Ranger never comes to the deny, for a policy of higher priority about the same resource ends the evaluation, so it is not granted",
				e.describe(p), x), v.Allow)
		}
		return
	}
	// Unsafe. Where only something inside stands against it, what is inside is decided further down.
	for i, v := range views {
		if !e.leaf {
			if w, _, _ := e.judge.Grant(p, v, v.Deny[:v.Total], deniedBy[i]); w == judge.Safe {
				return
			}
		}
	}
	strategy := e.strategy(p, x, views)
	if strategy == DenyFilter {
		if e.leaf { // else it is decided on the tables inside
			e.filter(p, x, views[0], deniedBy[0])
		}
		return
	}
	reported := e.out.settled[p].Has(x) // on a container above
	e.settle(p, x)
	switch strategy {
	case DenyExpand:
		e.expand(p, x, e.judge.UsersOf(p).Users, views, deniedBy, reported)
		return
	case DenyIgnore:
		e.here[p] |= x.Set()
		e.reportIgnored(p, x, views, deniedBy)
		return
	}
	if reported {
		return
	}
	if !views[blocked].Decide(e.judge.Member(p), views[blocked].Deny) {
		e.report(p, x, policy.EffectNarrower, fmt.Sprintf("%s is allowed %s only for who is also %s, which Unity Catalog cannot express; it is not granted (%s)",
			e.describe(p), x, e.describe(against), e.whyWithheld(p)), views[blocked].Allow)
		return
	}
	word := "includes"
	if certain != rules.Yes {
		word = "may include"
	}
	if e.kind(p) == rules.SubjectUser {
		word = "may be in"
		if certain == rules.Yes {
			word = "is in"
		}
		if e.kind(against) == rules.SubjectUser {
			word = "may be"
		}
	}
	e.report(p, x, policy.EffectNarrower, fmt.Sprintf("%s is allowed %s but %s %s, denied it by %s; Unity Catalog has no deny, so it is not granted (%s)",
		e.describe(p), x, word, e.describe(against), e.whoDenies(p, against, views[blocked]), e.whyWithheld(p)), views[blocked].Allow)
}

// protectsInside reports whether row filters or masks are enforced on tables in a container, of whomever they bind: none of these
// tables is to be reached by a grant of x on the container.
func (e *evaluation) protectsInside(x policy.Privilege) bool {
	if e.leaf || !e.opts.Protects {
		return false
	}
	for i, ref := range e.active {
		if p := e.rules.PolicyAt(ref); p != nil && e.covers[i].Touch&policy.ClassTable != 0 && p.Denied&x.Set() != 0 && grantrules.Protects(p) {
			return true
		}
	}
	return false
}

// whoDenies names the policy that keeps a member of p who is also h from x.
func (e *evaluation) whoDenies(p, h rules.SubjectID, v *judge.View) string {
	by := e.judge.WhoDenies(p, h, v)
	if by == nil {
		return "a combination of policies"
	}
	return fmt.Sprintf("policy %d %q", by.Source.ID, by.Source.Name)
}

// report adds a finding about the first of the policies that allow p the privilege.
func (e *evaluation) report(p rules.SubjectID, x policy.Privilege, effect policy.Effect, message string, allow []*judge.Policy) {
	f := policy.Finding{Effect: effect, Principal: e.principals[p], Privilege: x, Message: message}
	w := e.judge.Member(p)
	for _, a := range allow {
		if a.AllowsItself(w, x.Set()) {
			f.PolicyID, f.Policy = a.Rule.Source.ID, a.Rule.Source.Name
			break
		}
	}
	e.out.findings = append(e.out.findings, f)
}

func containerWord(c policy.ObjectClass) string {
	if c == policy.ClassCatalog {
		return "catalog"
	}
	return "schema"
}

// checkAll takes ALL_PRIVILEGES back from whoever was not granted, one by one, everything it confers here.
func (e *evaluation) checkAll() {
	needed := e.supported & policy.ImpliedByAll
	for p, set := range e.here {
		if !set.Has(policy.AllPrivileges) {
			continue
		}
		var held policy.PrivilegeSet
		for _, q := range e.judge.Member(p) {
			held |= e.here[q] | e.parent.above[q]
		}
		missing, why := needed&^held, "that is not allowed to all it reaches"
		if not := e.notByAll & policy.ImpliedByAll; not != 0 {
			missing, why = not, "the scope excludes that"
		}
		if missing == 0 {
			continue
		}
		e.here[p] = set &^ policy.AllPrivileges.Set()
		for x := range missing.All() {
			if x == policy.Select && e.protectsInside(x) {
				why = "that is granted table by table where policies filter or mask tables"
			}
			e.report(p, policy.AllPrivileges, policy.EffectNarrower, fmt.Sprintf("%s is allowed ALL_PRIVILEGES, which would give %s too, and %s; the others are granted one by one",
				e.describe(p), x, why), e.allowing(policy.AllPrivileges))
			break
		}
	}
}

func (e *evaluation) allowing(x policy.Privilege) []*judge.Policy {
	var list []*judge.Policy
	for i, n := range e.active {
		if p := e.rules.PolicyAt(n); e.covers[i].Full != 0 && p.Allowed&x.Set() != 0 {
			list = append(list, p)
		}
	}
	return list
}

// impliedAbove reports whether p holds x by a grant on a container above, its own or one to who it is in.
func (e *evaluation) impliedAbove(p rules.SubjectID, x policy.Privilege) bool {
	if len(e.parent.above) == 0 {
		return false
	}
	for _, q := range e.judge.Member(p) {
		if e.parent.above[q].Has(x) {
			return true
		}
	}
	return false
}

// minimise leaves out what other grants here or above imply.
func (e *evaluation) minimise() { e.here = e.minimal(e.here, e.parent.above, e.notOurs) }

func (c *Compiler) minimal(here, above map[rules.SubjectID]policy.PrivilegeSet, notOurs policy.PrivilegeSet) map[rules.SubjectID]policy.PrivilegeSet {
	var kept map[rules.SubjectID]policy.PrivilegeSet
	for p, set := range here {
		if (set &^ notOurs).Has(policy.AllPrivileges) {
			set &^= policy.ImpliedByAll
		}
		for _, q := range c.judge.Member(p) {
			set &^= above[q]
			if q != p && !(q > p && c.judge.Member(q).Is(p)) { // of two that contain each other, the first keeps it
				set &^= (here[q] &^ notOurs).WithImplied()
			}
		}
		if set == 0 {
			continue
		}
		if kept == nil {
			kept = make(map[rules.SubjectID]policy.PrivilegeSet, len(here))
		}
		kept[p] = set
	}
	return kept
}
