package compile

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/directory"
	"ucwarden/policy/grantrules"
	"ucwarden/policy/judge"
	"ucwarden/policy/ranger"
	"ucwarden/policy/region"
	"ucwarden/policy/rules"
	"ucwarden/policy/subjects"
)

// DenyStrategy says what to do where a policy denies a member of a group that another policy allows: Unity Catalog
// has no deny, so the group cannot be granted the privilege exactly.
type DenyStrategy string

// The strategies.
const (
	// DenyWithhold does not grant the group. It is the default, and what the other strategies fall back to.
	DenyWithhold DenyStrategy = "withhold"
	// DenyExpand grants the group's other members one by one, if all of them are known and not too many.
	DenyExpand DenyStrategy = "expand"
	// DenyFilter grants the group SELECT on a table whose row filter shows the denied members no row.
	DenyFilter DenyStrategy = "filter"
	// DenyIgnore grants the group, denied members included. Access is then wider than the policies say.
	DenyIgnore DenyStrategy = "ignore"
)

// defaultExpandLimit is the largest group that DenyExpand writes out member by member.
const defaultExpandLimit = 500

// Options says how policies become grants. The zero value withholds, adds USE_* and keeps names.
type Options struct {
	Time time.Time // at which validity is judged; the zero time takes every schedule as open
	// Deny are the strategies for a deny inside a granted group, of which the first that can be taken is; DenyWithhold where none
	// can.
	Deny        []DenyStrategy
	ExpandLimit int  // 0 is defaultExpandLimit
	SkipUse     bool // do not add USE_CATALOG and USE_SCHEMA for who needs them below
	// Manages tells whether grants to a principal are ours to make; nil means all are. A principal that is not
	// managed gets nothing, and what it holds is not counted on for its members.
	Manages func(policy.Principal) bool
	// Directory resolves the principals that policies name; nil takes them as they are named. One that does not resolve
	// gets nothing, and is reported where the policies allow it something.
	Directory *directory.Directory
	// More returns the privileges that may be granted on a type of securable besides those that are by default, and
	// Excluded those that may not, so that ALL_PRIVILEGES, which would give them too, is granted one by one. Excluded
	// privileges are in the result all the same: who compares it with what stands leaves them out. They are not counted on:
	// what they would imply is granted by itself. Nil means none.
	More, Excluded func(policy.SecurableType) policy.PrivilegeSet
	// NotOurs returns the privileges that may not be granted on a securable because of its name, all of them where it is out
	// of scope. What the policies allow there is granted inside, where that may be. Nil means none.
	NotOurs func(policy.Securable) policy.PrivilegeSet
	// Protects says that tables may be protected; see [Compiler.CompileProtected].
	Protects bool
	// Columns says that who is allowed some columns of a table may be granted it where masks show NULL of the others to them.
	Columns bool
}

// Compiler turns the policies of one snapshot into grants. It is made once for a snapshot, is never changed
// afterwards, and may be used by many goroutines at once.
//
// The rule: a principal is granted a privilege on an object if and only if the policies allow it, for whatever object
// the grant reaches and whatever person. A grant goes on the highest container all of whose present and future
// objects, by the patterns alone, it may reach; and it is left out where another grant implies it: the same on a
// container above, ALL_PRIVILEGES, or the same to a group or role that the principal is known to be in.
type Compiler struct {
	rules       *grantrules.Rules
	findings    []policy.Finding // of the rules, and of who resolves
	judge       *judge.Judge
	set         *rules.RuleSet
	stored      *rules.Membership // by the policies and the user store
	opts        Options
	principals  []policy.Principal         // by subject
	listed      []bool                     // by subject: the workspace has it
	managed     []bool                     // by subject
	withheld    map[rules.SubjectID]string // why a subject that does not resolve is granted nothing
	who         *subjects.Resolved
	byRoot      map[policy.ObjectClass]*region.Index
	openUse     *judge.Policy // allows everyone USE_*, below every deny
	expressible map[policy.ObjectClass]policy.PrivilegeSet
	prints      fingerprints
}

// New prepares a rule set for compilation.
func New(set *rules.RuleSet, o Options) *Compiler {
	if o.ExpandLimit == 0 {
		o.ExpandLimit = defaultExpandLimit
	}
	c := &Compiler{
		stored: set.Members, rules: grantrules.Read(set, grantrules.Options{Time: o.Time, More: o.More, Protects: o.Protects, Columns: o.Columns, Listed: o.Directory.Lists}), set: withMembers(set, &o), opts: o, byRoot: make(map[policy.ObjectClass]*region.Index), expressible: set.Model.Expressible(),
	}
	c.who = subjects.Resolve(subjects.Input{Set: c.set, Policies: c.rules.Policies, Directory: o.Directory, Manages: o.Manages})
	c.judge = judge.New(c.set, c.who.Principals, o.ignores())
	c.who.Alias(c.judge)
	c.principals, c.listed, c.managed, c.withheld = c.who.Principals, c.who.Listed, c.who.Managed, c.who.Withheld
	c.findings = slices.Concat(c.rules.Findings, c.who.Findings)
	c.findReach()
	byClass := make(map[policy.ObjectClass][]region.Ref)
	for i := range c.rules.Regions {
		cl := c.rules.Regions[i].Class
		if cl <= policy.ClassVolume {
			cl = policy.ClassCatalog
		}
		byClass[cl] = append(byClass[cl], region.Ref(i))
	}
	for cl, list := range byClass {
		c.byRoot[cl] = region.NewIndex(c.rules.Regions, list, 1)
	}
	c.openUse = &judge.Policy{
		Rule: &rules.Policy{Source: &ranger.Policy{Name: "USE_* for who needs it"}}, Priority: -1 << 30,
		Allow: []judge.Item{{Privileges: policy.AllPrivilegeSet, Who: rules.SubjectSet{rules.Everyone}}}, Allowed: policy.AllPrivilegeSet,
	}
	return c
}

// Expresses tells whether the policies' service definition has words for a privilege on a type of securable. USE_* is
// always theirs, because it follows from what they say, unless it is not to be added.
func (c *Compiler) Expresses(t policy.SecurableType, p policy.Privilege) bool {
	cl := policy.ClassOfType[t]
	if p.IsUse() && !c.opts.SkipUse && c.expressible[cl] != 0 {
		return true
	}
	return c.expressible[cl].Has(p)
}

// Memberships returns, for each principal that the policies know of, whose grants it is known to have besides its own, for
// that is why it may have none itself.
func (c *Compiler) Memberships() map[policy.Principal][]policy.Principal {
	in := make(map[policy.Principal][]policy.Principal)
	for id, p := range c.principals {
		for _, q := range c.judge.Member(rules.SubjectID(id)) {
			if other := c.principals[q]; other != p && !slices.Contains(in[p], other) {
				in[p] = append(in[p], other)
			}
		}
	}
	return in
}

func (c *Compiler) kind(id rules.SubjectID) rules.SubjectKind { return c.set.Subjects.Of(id).Kind }

func (c *Compiler) describe(id rules.SubjectID) string { return c.set.Subjects.Of(id).String() }

// Policies is the number of enabled policies outside zones.
func (c *Compiler) Policies() int { return len(c.set.Outside.All()) }

// Result is the outcome of a compilation.
type Result struct {
	Grants *policy.GrantSet
	Report *policy.Report
	// Unresolved are the principals that are allowed something and do not resolve, sorted.
	Unresolved []policy.Principal
}

// Compile returns the grants that the policies mean for the objects of inv, where nothing enforces row filters and masks.
func (c *Compiler) Compile(inv *policy.Inventory) *Result { return c.CompileProtected(inv, Enforced{}) }

// CompileProtected returns the grants that the policies mean for the objects of inv, of which some tables are protected: what
// policies say of their rows and columns is enforced there, and so denies nobody SELECT. Grants on containers do not count on
// that, so that a table that is dropped and made again is closed.
func (c *Compiler) CompileProtected(inv *policy.Inventory, enforced Enforced) *Result {
	r := c.compilation(inv)
	r.enforced = enforced
	r.compile()
	return &Result{
		Grants: r.grants, Report: &policy.Report{Findings: r.mergeFindings()},
		Unresolved: slices.SortedFunc(maps.Keys(r.unresolved), policy.ComparePrincipals),
	}
}

// compilation is one run of a Compiler. Objects that the same policies match have the same grants, so what is worked
// out for one is remembered by the numbers of the matching entries, along the tree of catalogs, schemas and objects.
type compilation struct {
	*Compiler
	inv      *policy.Inventory
	grants   *policy.GrantSet
	catalogs map[string]*catalogNode
	findings []*placedFindings
	outside  map[outsideKey]*placedFindings
	scratch  []region.Ref
	room     room
	enforced Enforced
	wanted   map[policy.Securable]*judge.Denials // instead of what is enforced: what filters could hide; see [Compiler.Denied]

	unresolved map[policy.Principal]bool // who is allowed something
	key        []byte
}

type catalogNode struct {
	outcome
	notOurs  policy.PrivilegeSet // by its name
	bySchema *region.Index
	schemas  map[string]*schemaNode
	active   []region.Ref
}

type schemaNode struct {
	outcome
	notOurs  policy.PrivilegeSet // by its name
	byObject *region.Index
	objects  map[string]*objectNode
	active   []region.Ref
	noted    *placedFindings
}

type objectNode struct {
	assignments []policy.Assignment
	needUse     []rules.SubjectID // who needs USE_* above
	noted       *placedFindings
	inSchema    string         // the last schema whose needs were counted
	denied      *judge.Denials // whom a filter is to show no row
}

// placedFindings are findings that hold on as many securables as the node was used for.
type placedFindings struct {
	list  []policy.Finding
	first policy.Securable
	more  int
}

func (r *compilation) note(list []policy.Finding) *placedFindings {
	if len(list) == 0 {
		return nil
	}
	p := &placedFindings{list: list, more: -1}
	r.findings = append(r.findings, p)
	return p
}

func (p *placedFindings) at(s policy.Securable) {
	if p == nil {
		return
	}
	if p.more++; p.more == 0 {
		p.first = s
	}
}

// memoKey spells the matching entries, a kind of object, and what is not ours on a container, as a map key.
func (r *compilation) memoKey(kind uint16, extra []region.Ref, notOurs policy.PrivilegeSet) []byte {
	r.key = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint16(r.key[:0], kind), uint64(notOurs))
	for _, i := range extra {
		r.key = append(r.key, byte(i), byte(i>>8), byte(i>>16), byte(i>>24))
	}
	return r.key
}

func (r *compilation) root(o policy.Object) {
	ix := r.byRoot[policy.ClassOf(o)]
	if ix == nil {
		return
	}
	active := region.Merge(ix.Always, ix.Match(o.FullName, nil))
	out := r.evaluate(node{class: policy.ClassOf(o), leaf: true, supported: r.accepted(o.Type, o.Kind), notByAll: r.excluded(o.Type), notOurs: r.excluded(o.Type), depth: 1, active: active}, nil)
	r.grants.Put(o.Securable, r.assignments(out.granted, 0))
	r.note(out.findings).at(o.Securable)
}

func (r *compilation) catalog(o policy.Object) {
	n := r.catalogNode(o)
	if n == nil {
		return
	}
	r.note(n.findings).at(o.Securable)

	need := maps.Clone(n.needUse)
	if need == nil {
		need = map[rules.SubjectID]bool{}
	}
	for _, schema := range r.inv.Children[o.FullName] {
		r.schema(n, schema, need)
	}
	final := n.granted
	if !r.opts.SkipUse {
		var findings []policy.Finding
		final, findings = r.addUse(n.granted, nil, policy.UseCatalog, need, n.node(r))
		r.note(findings).at(o.Securable)
	}
	r.grants.Put(o.Securable, r.assignments(final, n.notOurs))
}

// catalogNode returns the node of a catalog; nil where no policy is about any.
func (r *compilation) catalogNode(o policy.Object) *catalogNode {
	ix := r.byRoot[policy.ClassCatalog]
	if ix == nil {
		return nil
	}
	r.scratch = ix.Match(o.FullName, r.scratch[:0])
	notOurs := r.notOursOn(o.Securable)
	key := r.memoKey(0, r.scratch, notOurs)
	n := r.catalogs[string(key)]
	if n == nil {
		n = &catalogNode{notOurs: notOurs, active: region.Merge(ix.Always, r.scratch), schemas: make(map[string]*schemaNode)}
		r.catalogs[string(key)] = n
		n.outcome = r.evaluate(n.node(r), nil)
		r.wantUse(&n.outcome, n.node(r), nil)
		n.bySchema = region.NewIndex(r.rules.Regions, n.active, 2)
	}
	return n
}

func (r *compilation) schema(parent *catalogNode, o policy.Object, catalogNeed map[rules.SubjectID]bool) {
	n := r.schemaNode(parent, o)
	at := n.node(r)
	n.noted.at(o.Securable)
	if n.notOurs == policy.AllPrivilegeSet {
		r.outOfScope(o, &parent.outcome)
	}

	need := maps.Clone(parent.pendingUse)
	if need == nil {
		need = map[rules.SubjectID]bool{}
	}
	for p := range n.needUse {
		need[p], catalogNeed[p] = true, true
	}
	for _, object := range r.inv.Children[o.FullName] {
		if r.opts.NotOurs != nil && n.notOurs != policy.AllPrivilegeSet && r.opts.NotOurs(object.Securable) != 0 {
			r.outOfScope(object, &n.outcome)
		}
		on := r.object(n, object)
		if len(on.assignments) > 0 {
			r.grants.Put(object.Securable, on.assignments)
		}
		on.noted.at(object.Securable)
		if on.inSchema != o.FullName {
			on.inSchema = o.FullName
			for _, p := range on.needUse {
				need[p], catalogNeed[p] = true, true
			}
		}
	}
	final := n.granted
	if !r.opts.SkipUse {
		var findings []policy.Finding
		final, findings = r.addUse(n.granted, parent.above, policy.UseSchema, need, at)
		r.note(findings).at(o.Securable)
		for p, set := range final {
			if set.Has(policy.UseSchema) {
				catalogNeed[p] = true
			}
		}
	}
	r.grants.Put(o.Securable, r.assignments(final, n.notOurs))
}

// schemaNode returns the node of a schema in a catalog.
func (r *compilation) schemaNode(parent *catalogNode, o policy.Object) *schemaNode {
	r.scratch = parent.bySchema.Match(lastName(o.FullName), r.scratch[:0])
	notOurs := r.notOursOn(o.Securable)
	key := r.memoKey(0, r.scratch, notOurs)
	n := parent.schemas[string(key)]
	if n == nil {
		n = &schemaNode{notOurs: notOurs, active: region.Merge(parent.bySchema.Always, r.scratch), objects: make(map[string]*objectNode)}
		parent.schemas[string(key)] = n
		n.outcome = r.evaluate(n.node(r), &parent.outcome)
		n.byObject = region.NewIndex(r.rules.Regions, n.active, 3)
		n.noted = r.note(n.findings)
	}
	return n
}

func (r *compilation) object(parent *schemaNode, o policy.Object) *objectNode {
	r.scratch = parent.byObject.Match(lastName(o.FullName), r.scratch[:0])
	cl := policy.ClassOf(o)
	protected, filtered, limited := r.enforcedOn(o)
	kind := uint16(objectKind(o))
	if protected {
		kind |= protectedKind
	}
	if filtered {
		kind |= filteredKind
	}
	if limited {
		kind |= limitedKind
	}
	key := r.memoKey(kind, r.scratch, 0)
	n := parent.objects[string(key)]
	if n == nil {
		n = &objectNode{}
		parent.objects[string(key)] = n
		r.room.active = region.AppendMerged(r.room.active[:0], parent.byObject.Always, r.scratch)
		at := node{
			class: cl, leaf: true, objectKind: o.Kind, supported: r.accepted(o.Type, o.Kind), notByAll: r.excluded(o.Type), notOurs: r.excluded(o.Type), depth: 3,
			active: r.room.active, protected: protected, filtered: filtered, limited: limited,
		}
		out := r.evaluate(at, &parent.outcome)
		n.denied = out.denied
		n.assignments = r.assignments(out.granted, 0)
		for p, set := range out.granted {
			if needsUse(set&^at.notOurs, cl) {
				n.needUse = append(n.needUse, p)
			}
		}
		slices.Sort(n.needUse)
		n.noted = r.note(out.findings)
	}
	if r.wanted != nil && n.denied != nil {
		r.wanted[o.Securable] = n.denied
	}
	return n
}

func (n *catalogNode) node(r *compilation) node {
	not := r.excluded(policy.Catalog)
	return node{class: policy.ClassCatalog, supported: r.accepted(policy.Catalog, ""), notByAll: not, notOurs: not | n.notOurs, depth: 1, active: n.active}
}

func (n *schemaNode) node(r *compilation) node {
	not := r.excluded(policy.Schema)
	return node{class: policy.ClassSchema, supported: r.accepted(policy.Schema, ""), notByAll: not, notOurs: not | n.notOurs, depth: 2, active: n.active}
}

// excluded returns the privileges that ALL_PRIVILEGES must not give on a securable of a type.
func (r *compilation) excluded(t policy.SecurableType) policy.PrivilegeSet {
	if r.opts.Excluded == nil {
		return 0
	}
	return r.opts.Excluded(t)
}

// accepted returns the privileges that may be granted on a securable of a type and kind.
func (r *compilation) accepted(t policy.SecurableType, k policy.Kind) policy.PrivilegeSet {
	set := policy.NewPrivilegeSet(policy.Privileges(t, k)...)
	if r.opts.More != nil {
		set |= r.opts.More(t)
	}
	return set
}

// objectKind tells apart, in one byte, the kinds of object that accept different privileges.
func objectKind(o policy.Object) byte {
	switch o.Kind {
	case policy.KindView:
		return 'v'
	case policy.KindMaterializedView, policy.KindStreamingTable:
		return 'r'
	case policy.KindForeignTable:
		return 'f'
	case policy.KindModel:
		return 'm'
	}
	return o.Type[0]
}

func lastName(fullName string) string {
	for i := len(fullName) - 1; i >= 0; i-- {
		if fullName[i] == '.' {
			return fullName[i+1:]
		}
	}
	return fullName
}

// assignments spells grants by subject, but those of some privileges, as a sorted list without duplicates.
func (r *compilation) assignments(by map[rules.SubjectID]policy.PrivilegeSet, without policy.PrivilegeSet) []policy.Assignment {
	var list []policy.Assignment
	for p, set := range by {
		for x := range (set &^ without).All() {
			list = append(list, policy.Assignment{Principal: r.principals[p], Privilege: x})
		}
	}
	slices.SortFunc(list, policy.CompareAssignments)
	return slices.Compact(list)
}

// mergeFindings returns one finding for the same thing said of many securables, and the findings of the policies
// themselves.
func (r *compilation) mergeFindings() []policy.Finding {
	merged := slices.Clone(r.Compiler.findings)
	at := make(map[policy.Finding]int)
	for _, p := range r.findings {
		for _, f := range p.list {
			f.Count = 0
			if i, ok := at[f]; ok {
				merged[i].Count += p.more + 1
				continue
			}
			at[f] = len(merged)
			f.Securable, f.Count = p.first, p.more
			merged = append(merged, f)
		}
	}
	slices.SortStableFunc(merged, policy.CompareFindings)
	return slices.CompactFunc(merged, func(a, b policy.Finding) bool { return a == b })
}
