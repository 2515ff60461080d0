package policy

import (
	"maps"
	"slices"
	"strings"
	"time"
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
	// DenyIgnore grants the group, denied members included. Access is then wider than the policies say.
	DenyIgnore DenyStrategy = "ignore"
)

// DefaultExpandLimit is the largest group that DenyExpand writes out member by member.
const DefaultExpandLimit = 500

// CompileOptions says how policies become grants. The zero value withholds, adds USE_* and keeps names.
type CompileOptions struct {
	Time        time.Time    // at which validity is judged; the zero time takes every schedule as open
	Deny        DenyStrategy // "" is DenyWithhold
	ExpandLimit int          // 0 is DefaultExpandLimit
	SkipUse     bool         // do not add USE_CATALOG and USE_SCHEMA for who needs them below
	Names       NameMapping
	// Manages tells whether grants to a principal are ours to make; nil means all are. A principal that is not
	// managed gets nothing, and what it holds is not counted on for its members.
	Manages func(Principal) bool
}

// Compiler turns the policies of one snapshot into grants. It is made once for a snapshot, is never changed
// afterwards, and may be used by many goroutines at once.
//
// The rule: a principal is granted a privilege on an object if and only if the policies allow it, for whatever object
// the grant reaches and whatever person. A grant goes on the highest container all of whose present and future
// objects, by the patterns alone, it may reach; and it is left out where another grant implies it: the same on a
// container above, ALL_PRIVILEGES, or the same to a group or role that the principal is known to be in.
type Compiler struct {
	rules
	opts       CompileOptions
	subjects   *subjectTable
	principals []Principal // by subject
	managed    []bool      // by subject
	members    *membership
	generics   []witness                 // by subject
	users      []userList                // by subject
	twins      map[subjectID][]subjectID // groups and roles of one principal
	byRoot     map[class]*levelIndex
	openUse    *compiledPolicy // allows everyone USE_*, below every deny
	sayable    map[class]privSet
	enabled    int
}

// NewCompiler prepares the policies of s.
func NewCompiler(s *Snapshot, o CompileOptions) *Compiler {
	if o.Deny == "" {
		o.Deny = DenyWithhold
	}
	if o.ExpandLimit == 0 {
		o.ExpandLimit = DefaultExpandLimit
	}
	c := &Compiler{opts: o, subjects: newSubjectTable(o.Names, s.Users), byRoot: make(map[class]*levelIndex)}
	c.members = newMembership(c.subjects, s.Users, s.Roles)
	c.rules = readRules(s, o, c.subjects)
	c.sayable = sayable(s.ServiceDef)
	for i := range s.Policies {
		if s.Policies[i].Enabled() {
			c.enabled++
		}
	}
	for id, subj := range c.subjects.list {
		p := o.Names.principal(subj, s.Users)
		c.principals = append(c.principals, p)
		c.managed = append(c.managed, o.Manages == nil || o.Manages(p))
		c.generics = append(c.generics, c.newGeneric(subjectID(id)))
		list, known := c.members.usersOf(c.subjects, subjectID(id))
		c.users = append(c.users, userList{list, known && subj.kind != subjectEveryone})
	}
	c.meet()
	byClass := make(map[class][]int32)
	for i := range c.entries {
		cl := c.entries[i].region.class
		if cl <= classVolume {
			cl = classCatalog
		}
		byClass[cl] = append(byClass[cl], int32(i))
	}
	for cl, list := range byClass {
		c.byRoot[cl] = newLevelIndex(c.entries, list, 1)
	}
	c.openUse = &compiledPolicy{
		src: &Policy{Name: "USE_* for who needs it"}, priority: -1 << 30,
		allow: []compiledItem{{allPrivSet, subjectSet{everyone}}}, allowPrivs: allPrivSet,
	}
	return c
}

// sayable tells which privileges a service definition has words for, by class of object: those with an access type of
// their name, where the definition has the object as a resource or, for a container, has something to put in it.
func sayable(def *ServiceDef) map[class]privSet {
	if def == nil {
		def = DefaultServiceDef()
	}
	var set privSet
	for _, a := range def.AccessTypes {
		set |= Privilege(strings.ToUpper(a.Name)).bit()
	}
	by := make(map[class]privSet)
	for _, r := range def.Resources {
		if level, ok := resourceLevels[strings.ToLower(r.Name)]; ok {
			by[level.class] = set
		}
	}
	return by
}

// Expresses tells whether the policies' service definition has words for a privilege on a type of securable. USE_* is
// always theirs, because it follows from what they say, unless it is not to be added.
func (c *Compiler) Expresses(t SecurableType, p Privilege) bool {
	cl := classOfType[t]
	if p.IsUse() && !c.opts.SkipUse && c.sayable[cl] != 0 {
		return true
	}
	return c.sayable[cl].has(p)
}

// Policies is the number of enabled access policies of the snapshot.
func (c *Compiler) Policies() int { return c.enabled }

// Same reports whether both snapshots say the same, whenever each was confirmed: by their digests where they have
// them.
func (s *Snapshot) Same(o *Snapshot) bool {
	return s == o || s != nil && o != nil && s.Digest != "" && s.Digest == o.Digest
}

// Scheduled reports whether a policy's validity depends on the time, so that what is compiled holds for the moment.
func (s *Snapshot) Scheduled() bool {
	timed := func(list []Policy) bool {
		return slices.ContainsFunc(list, func(p Policy) bool { return len(p.ValiditySchedules) > 0 })
	}
	if timed(s.Policies) || s.TagPolicies != nil && timed(s.TagPolicies.Policies) {
		return true
	}
	for _, z := range s.Zones {
		if z != nil && timed(z.Policies) {
			return true
		}
	}
	return false
}

// Compiled is the outcome of a compilation.
type Compiled struct {
	Grants *GrantSet
	Report *Report
}

// Compile gives the grants that the policies of s mean for the objects of inv. See [Compiler] for the rule.
func Compile(s *Snapshot, inv *Inventory, o CompileOptions) *Compiled {
	return NewCompiler(s, o).Compile(inv)
}

// Compile gives the grants that the policies mean for the objects of inv.
func (c *Compiler) Compile(inv *Inventory) *Compiled {
	r := &compilation{Compiler: c, inv: inv, grants: &GrantSet{}, catalogs: make(map[string]*catalogNode)}
	r.grants.bySecurable = make(map[Securable][]Assignment, inv.Len()/2)
	for _, root := range inv.roots {
		if root.Type == Catalog {
			r.catalog(root)
		} else {
			r.root(root)
		}
	}
	return &Compiled{Grants: r.grants, Report: &Report{Findings: r.mergeFindings()}}
}

// compilation is one run of a Compiler. Objects that the same policies match have the same grants, so what is worked
// out for one is remembered by the numbers of the matching entries, along the tree of catalogs, schemas and objects.
type compilation struct {
	*Compiler
	inv      *Inventory
	grants   *GrantSet
	catalogs map[string]*catalogNode
	findings []*placedFindings
	scratch  []int32
	key      []byte
}

type catalogNode struct {
	outcome
	bySchema *levelIndex
	schemas  map[string]*schemaNode
	active   []int32
}

type schemaNode struct {
	outcome
	byObject *levelIndex
	objects  map[string]*objectNode
	active   []int32
	noted    *placedFindings
}

type objectNode struct {
	assignments []Assignment
	needUse     []subjectID // who needs USE_* above
	noted       *placedFindings
	inSchema    string // the last schema whose needs were counted
}

// placedFindings are findings that hold on as many securables as the node was used for.
type placedFindings struct {
	list  []Finding
	first Securable
	more  int
}

func (r *compilation) note(list []Finding) *placedFindings {
	if len(list) == 0 {
		return nil
	}
	p := &placedFindings{list: list, more: -1}
	r.findings = append(r.findings, p)
	return p
}

func (p *placedFindings) at(s Securable) {
	if p == nil {
		return
	}
	if p.more++; p.more == 0 {
		p.first = s
	}
}

// memoKey spells the matching entries, and a kind of object, as a map key.
func (r *compilation) memoKey(kind byte, extra []int32) []byte {
	r.key = append(r.key[:0], kind)
	for _, i := range extra {
		r.key = append(r.key, byte(i), byte(i>>8), byte(i>>16), byte(i>>24))
	}
	return r.key
}

func mergeSorted(a, b []int32) []int32 {
	merged := append(slices.Clone(a), b...)
	slices.Sort(merged)
	return merged
}

func (r *compilation) root(o Object) {
	ix := r.byRoot[classOf(o)]
	if ix == nil {
		return
	}
	active := mergeSorted(ix.always, ix.match(r.entries, o.FullName, 1, nil))
	out := r.evaluate(place{class: classOf(o), leaf: true, supported: newPrivSet(Privileges(o.Type, o.Kind)...), depth: 1, active: active}, nil)
	r.grants.put(o.Securable, r.assignments(out.granted))
	r.note(out.findings).at(o.Securable)
}

func (r *compilation) catalog(o Object) {
	ix := r.byRoot[classCatalog]
	if ix == nil {
		return
	}
	r.scratch = ix.match(r.entries, o.FullName, 1, r.scratch[:0])
	key := r.memoKey(0, r.scratch)
	n := r.catalogs[string(key)]
	if n == nil {
		n = &catalogNode{active: mergeSorted(ix.always, r.scratch), schemas: make(map[string]*schemaNode)}
		r.catalogs[string(key)] = n
		n.outcome = r.evaluate(place{class: classCatalog, supported: newPrivSet(privilegesOf[Catalog]...), depth: 1, active: n.active}, nil)
		r.wantUse(&n.outcome, place{class: classCatalog, depth: 1, active: n.active}, nil)
		n.bySchema = newLevelIndex(r.entries, n.active, 2)
	}
	r.note(n.findings).at(o.Securable)

	need := maps.Clone(n.needUse)
	if need == nil {
		need = map[subjectID]bool{}
	}
	for _, schema := range r.inv.children[o.FullName] {
		r.schema(n, schema, need)
	}
	final := n.granted
	if !r.opts.SkipUse {
		var findings []Finding
		final, findings = r.addUse(n.granted, nil, UseCatalog, need, place{class: classCatalog, depth: 1, active: n.active})
		r.note(findings).at(o.Securable)
	}
	r.grants.put(o.Securable, r.assignments(final))
}

func (r *compilation) schema(parent *catalogNode, o Object, catalogNeed map[subjectID]bool) {
	name := o.FullName[len(o.FullName)-len(lastName(o.FullName)):]
	r.scratch = parent.bySchema.match(r.entries, name, 2, r.scratch[:0])
	key := r.memoKey(0, r.scratch)
	n := parent.schemas[string(key)]
	at := place{class: classSchema, depth: 2}
	if n == nil {
		n = &schemaNode{active: mergeSorted(parent.bySchema.always, r.scratch), objects: make(map[string]*objectNode)}
		parent.schemas[string(key)] = n
		at.active, at.supported = n.active, newPrivSet(privilegesOf[Schema]...)
		n.outcome = r.evaluate(at, &parent.outcome)
		n.byObject = newLevelIndex(r.entries, n.active, 3)
		n.noted = r.note(n.findings)
	}
	at.active = n.active
	n.noted.at(o.Securable)

	need := maps.Clone(parent.pendingUse)
	if need == nil {
		need = map[subjectID]bool{}
	}
	for p := range n.needUse {
		need[p], catalogNeed[p] = true, true
	}
	for _, object := range r.inv.children[o.FullName] {
		on := r.object(n, object)
		if len(on.assignments) > 0 {
			r.grants.put(object.Securable, on.assignments)
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
		var findings []Finding
		final, findings = r.addUse(n.granted, parent.above, UseSchema, need, at)
		r.note(findings).at(o.Securable)
		for p, set := range final {
			if set.has(UseSchema) {
				catalogNeed[p] = true
			}
		}
	}
	r.grants.put(o.Securable, r.assignments(final))
}

func (r *compilation) object(parent *schemaNode, o Object) *objectNode {
	r.scratch = parent.byObject.match(r.entries, lastName(o.FullName), 3, r.scratch[:0])
	cl := classOf(o)
	key := r.memoKey(objectKind(o), r.scratch)
	n := parent.objects[string(key)]
	if n == nil {
		n = &objectNode{}
		parent.objects[string(key)] = n
		out := r.evaluate(place{
			class: cl, leaf: true, kind: o.Kind, supported: newPrivSet(Privileges(o.Type, o.Kind)...), depth: 3,
			active: mergeSorted(parent.byObject.always, r.scratch),
		}, &parent.outcome)
		n.assignments = r.assignments(out.granted)
		n.needUse = slices.Sorted(maps.Keys(out.needUse))
		n.noted = r.note(out.findings)
	}
	return n
}

// objectKind tells apart, in one byte, the kinds of object that accept different privileges.
func objectKind(o Object) byte {
	switch o.Kind {
	case KindView:
		return 'v'
	case KindMaterializedView, KindStreamingTable:
		return 'r'
	case KindModel:
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

// assignments spells grants by subject as a sorted list without duplicates.
func (r *compilation) assignments(by map[subjectID]privSet) []Assignment {
	var list []Assignment
	for p, set := range by {
		for x := range set.all() {
			list = append(list, Assignment{r.principals[p], x})
		}
	}
	slices.SortFunc(list, compareAssignments)
	return slices.Compact(list)
}

// mergeFindings gives one finding for the same thing said of many securables, and the findings of the policies
// themselves.
func (r *compilation) mergeFindings() []Finding {
	merged := slices.Clone(r.rules.findings)
	at := make(map[Finding]int)
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
	slices.SortStableFunc(merged, compareFindings)
	return slices.CompactFunc(merged, func(a, b Finding) bool { return a == b })
}
