package compile

import (
	"fmt"
	"maps"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/region"
	"ucwarden/policy/rules"
)

// CauseInput is what [Compiler.SetCauses] works out causes from.
type CauseInput struct {
	Inventory *policy.Inventory                // that was compiled
	Desired   *policy.GrantSet                 // what it was compiled to
	Kinds     map[policy.Securable]policy.Kind // of what is no plain object of its type
	Enforced  Enforced                         // as it was compiled with
}

// SetCauses notes in each of the changes, which lead to what was compiled, why its grants are added and removed. It
// works them out anew from the policies for what changes alone: a compilation that noted them for every grant would
// hold many times more.
func (c *Compiler) SetCauses(in CauseInput, changes []policy.Change) {
	f := &causeFinder{
		compilation: &compilation{Compiler: c, inv: in.Inventory, enforced: in.Enforced, catalogs: make(map[string]*catalogNode), unresolved: make(map[policy.Principal]bool)},
		in:          in, subjects: make(map[policy.Principal][]rules.SubjectID),
	}
	for id, p := range c.principals {
		f.subjects[p] = append(f.subjects[p], rules.SubjectID(id))
	}
	for i := range changes {
		f.explain(&changes[i])
	}
}

// causeFinder finds the causes of changes.
type causeFinder struct {
	*compilation
	in       CauseInput
	subjects map[policy.Principal][]rules.SubjectID

	// Changes come sorted by securable, so what holds for one schema or catalog is kept until the next.
	inSchema string
	schema   *schemaNode
	alike    map[*objectNode]policy.Causes // of the objects in the schema
	needing  [3]neededUse                  // by depth of the container
}

// neededUse is by which securable in a container somebody is the first to require USE_* on it.
type neededUse struct {
	container string
	by        map[rules.SubjectID]policy.Securable
}

// place is where a change is made, with what the policies mean there.
type place struct {
	policy.Securable
	*evaluation
	catalog *catalogNode // nil outside catalogs, or where no policy is about any
	schema  *schemaNode
	object  *objectNode
}

func (f *causeFinder) explain(c *policy.Change) {
	causes, alike := f.ofAlike(c)
	if alike && !slices.ContainsFunc(c.Add, func(a policy.Assignment) bool { return !causes.Has(policy.ActAdd, a) }) &&
		!slices.ContainsFunc(c.Remove, func(a policy.Assignment) bool { return !causes.Has(policy.ActRemove, a) }) {
		c.Causes = causes
		return
	}
	at := f.find(c.Securable)
	own := !alike
	note := func(act policy.Act, list []policy.Assignment, find func(place, policy.Assignment) policy.Cause) {
		for _, a := range list {
			if causes.Has(act, a) {
				continue
			}
			cause := find(at, a)
			if cause.On == c.Securable && !own { // not true of the others
				causes, own = maps.Clone(causes), true
			}
			causes.Set(act, a, cause)
		}
	}
	note(policy.ActAdd, c.Add, f.added)
	note(policy.ActRemove, c.Remove, f.removed)
	c.Causes = causes
}

// ofAlike returns the causes that objects of a schema share where the same policies are about them; for what is no such
// object, causes of its own.
func (f *causeFinder) ofAlike(c *policy.Change) (causes policy.Causes, alike bool) {
	schema, ok := c.Securable.Parent()
	if !ok || schema.Type != policy.Schema {
		return policy.Causes{}, false
	}
	if schema.FullName != f.inSchema {
		f.inSchema, f.schema, f.alike = schema.FullName, f.find(schema).schema, make(map[*objectNode]policy.Causes)
	}
	if f.schema == nil {
		return policy.Causes{}, false
	}
	n := f.object(f.schema, policy.Object{Securable: c.Securable, Kind: f.in.Kinds[c.Securable]})
	if f.alike[n] == nil {
		f.alike[n] = policy.Causes{}
	}
	return f.alike[n], true
}

// find returns the place of a securable.
func (f *causeFinder) find(s policy.Securable) place {
	o := policy.Object{Securable: s, Kind: f.in.Kinds[s]}
	at := place{Securable: s}
	n, parent := node{class: policy.ClassOf(o), objectKind: o.Kind, depth: s.Type.Depth()}, &outcome{}
	names := s.Names()
	if s.Type == policy.Catalog || n.depth > 1 {
		at.catalog = f.catalogNode(policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: names[0]}})
	}
	if at.catalog != nil && n.depth > 1 {
		at.schema = f.schemaNode(at.catalog, policy.Object{Securable: policy.Securable{Type: policy.Schema, FullName: names[0] + "." + names[1]}})
	}
	switch {
	case s.Type == policy.Catalog && at.catalog != nil:
		n.active = at.catalog.active
	case s.Type == policy.Schema && at.catalog != nil:
		n.active, parent = at.schema.active, &at.catalog.outcome
	case n.depth == 3:
		n.leaf = true
		n.protected, n.filtered, n.limited = f.enforcedOn(o)
		if at.schema != nil {
			at.object = f.object(at.schema, o)
			matching := at.schema.byObject.Match(lastName(s.FullName), nil)
			n.active, parent = region.Merge(at.schema.byObject.Always, matching), &at.schema.outcome
		}
	default:
		n.leaf = true
		if ix := f.byRoot[n.class]; ix != nil {
			n.active = region.Merge(ix.Always, ix.Match(s.FullName, nil))
		}
	}
	at.evaluation = &evaluation{compilation: f.compilation, node: n, parent: parent}
	at.cover()
	return at
}

// views returns what the policies say about x at each class of objects that a grant of it there reaches.
func (at *place) views(x policy.Privilege) []*judge.View {
	reach := policy.ActsOn[x] & at.class.Inside()
	if at.leaf {
		reach = at.class
	}
	var list []*judge.View
	for cl := range reach.Each() {
		list = append(list, at.view(x, cl))
	}
	return list
}

// added returns why a grant is added.
func (f *causeFinder) added(at place, a policy.Assignment) policy.Cause {
	if !f.in.Desired.Has(policy.Grant{Securable: at.Securable, Principal: a.Principal, Privilege: a.Privilege}) {
		return policy.Cause{Kind: policy.CauseKept}
	}
	views := at.views(a.Privilege)
	for _, direct := range []bool{true, false} {
		for _, p := range f.subjects[a.Principal] {
			if cause, ok := f.allowing(views, p, direct); ok {
				return cause
			}
		}
	}
	if a.Privilege.IsUse() {
		if cause, ok := f.required(at, a); ok {
			return cause
		}
	}
	for _, c := range at.columnAllows() {
		if a.Privilege == policy.Select && f.principals[c.who] == a.Principal {
			return causeOf(policy.CausePolicy, c.policy, c.item)
		}
	}
	return policy.Cause{Kind: policy.CausePolicy}
}

// allowing returns the first policy item that allows p the privilege of the views: one that names it, or one that names
// a group or role that it is in.
func (f *causeFinder) allowing(views []*judge.View, p rules.SubjectID, direct bool) (policy.Cause, bool) {
	member := f.judge.Member(p)
	for _, v := range views {
		for _, a := range v.Allow {
			if !v.Allowed(a, member, v.Deny) {
				continue
			}
			for i := range a.Allow {
				item := &a.Allow[i]
				switch {
				case item.Privileges&v.Privilege == 0:
				case direct && item.Who.Has(p):
					return causeOf(policy.CausePolicy, a, item), true
				case !direct && member.In(item.Who):
					cause := causeOf(policy.CauseExpansion, a, item)
					for _, q := range member {
						if item.Who.Has(q) {
							cause.Through = f.describe(q)
						}
					}
					return cause, true
				}
			}
		}
	}
	return policy.Cause{}, false
}

func causeOf(kind policy.CauseKind, p *judge.Policy, item *judge.Item) policy.Cause {
	cause := policy.Cause{Kind: kind, PolicyID: p.Rule.Source.ID, Policy: p.Rule.Source.Name}
	switch {
	case item == nil:
	case item.Kind.Listed():
		cause.Item = fmt.Sprintf("%s[%d]", item.Kind, item.Index)
	default:
		cause.Item = item.Kind.String()
	}
	return cause
}

// required returns by which grant USE_* on a container is required: one on the container itself or on the catalog above
// it, or the first one below.
func (f *causeFinder) required(at place, use policy.Assignment) (policy.Cause, bool) {
	if at.catalog == nil || at.object != nil {
		return policy.Cause{}, false
	}
	catalog, schema := at.Securable, at.Securable
	if at.schema != nil {
		catalog, _ = at.Parent()
	}
	needed := f.needed(at)
	for _, p := range f.subjects[use.Principal] {
		for _, q := range append(judge.Member{p}, f.judge.Member(p)...) { // whose member p may stand for
			on, ok := needed[q]
			switch {
			case at.schema != nil && at.schema.needUse[q]:
				on = schema
			case f.needsInside(at.catalog.granted[q]):
				on = catalog
			case at.schema == nil && at.catalog.needUse[q]:
				on = catalog
			case !ok:
				continue
			}
			if cause, ok := f.requiring(on, f.principals[q], use.Privilege); ok {
				return cause, true
			}
		}
	}
	return policy.Cause{}, false
}

// needsInside reports whether any of the privileges, on a catalog, is of use inside its schemas only.
func (f *causeFinder) needsInside(set policy.PrivilegeSet) bool {
	for x := range set.All() {
		if !x.IsUse() && policy.ActsOn[x]&policy.ClassesInCatalog != 0 && !f.excluded(policy.Catalog).Has(x) {
			return true
		}
	}
	return false
}

// requiring returns as a cause the first grant to the principal on a securable that requires USE_* above, for the
// privileges that use opens before other USE_*.
func (f *causeFinder) requiring(on policy.Securable, principal policy.Principal, use policy.Privilege) (policy.Cause, bool) {
	for _, ofUse := range []bool{false, true} {
		for _, a := range f.in.Desired.Of(on) {
			if !needsUse(a.Privilege.Set()&^f.excluded(on.Type), policy.ClassOfType[on.Type]) {
				continue
			}
			if a.Principal != principal || a.Privilege == use || a.Privilege.IsUse() != ofUse {
				continue
			}
			cause := f.added(f.find(on), a)
			cause.Kind, cause.Through = policy.CauseUse, ""
			cause.On, cause.Principal, cause.Privilege = on, a.Principal, a.Privilege
			return cause, true
		}
	}
	return policy.Cause{}, false
}

// needed returns who requires USE_* on a container for what is inside, and for which of the objects first.
func (f *causeFinder) needed(at place) map[rules.SubjectID]policy.Securable {
	kept := &f.needing[at.depth]
	if kept.by != nil && kept.container == at.FullName {
		return kept.by
	}
	*kept = neededUse{at.FullName, make(map[rules.SubjectID]policy.Securable)}
	note := func(p rules.SubjectID, on policy.Securable) {
		if _, ok := kept.by[p]; !ok {
			kept.by[p] = on
		}
	}
	objects := func(n *schemaNode, schema string) {
		seen := make(map[*objectNode]bool)
		for _, o := range f.inv.Children[schema] {
			on := f.object(n, o)
			if !seen[on] {
				seen[on] = true
				for _, p := range on.needUse {
					note(p, o.Securable)
				}
			}
		}
	}
	if at.schema != nil {
		objects(at.schema, at.FullName)
		return kept.by
	}
	for _, schema := range f.inv.Children[at.FullName] {
		n := f.schemaNode(at.catalog, schema)
		for p := range n.needUse {
			note(p, schema.Securable)
		}
		objects(n, schema.FullName)
	}
	return kept.by
}

// removed returns why a grant is removed.
func (f *causeFinder) removed(at place, a policy.Assignment) policy.Cause {
	if cause, ok := f.implied(at, a); ok {
		return cause
	}
	views := at.views(a.Privilege)
	for _, p := range f.subjects[a.Principal] {
		if cause, ok := f.forbidding(views, p); ok {
			return cause
		}
	}
	if a.Privilege.IsUse() && len(f.subjects[a.Principal]) > 0 {
		return policy.Cause{Kind: policy.CauseUse}
	}
	return policy.Cause{Kind: policy.CauseDrift}
}

// implied returns the desired grant by which what is removed is still held.
func (f *causeFinder) implied(at place, a policy.Assignment) (policy.Cause, bool) {
	holders := []policy.Principal{a.Principal}
	for _, p := range f.subjects[a.Principal] {
		for _, q := range f.judge.Member(p) {
			holders = append(holders, f.principals[q])
		}
	}
	for on, ok := at.Securable, true; ok; on, ok = on.Parent() {
		for _, holder := range holders {
			for _, x := range []policy.Privilege{a.Privilege, policy.AllPrivileges} {
				if x.Implies(a.Privilege) && !f.excluded(on.Type).Has(x) && f.in.Desired.Has(policy.Grant{Securable: on, Principal: holder, Privilege: x}) {
					return policy.Cause{Kind: policy.CauseImplied, On: on, Principal: holder, Privilege: x}, true
				}
			}
		}
	}
	return policy.Cause{}, false
}

// forbidding returns the policy item that denies p the privilege of the views, or somebody whom a grant to p reaches.
func (f *causeFinder) forbidding(views []*judge.View, p rules.SubjectID) (policy.Cause, bool) {
	member := f.judge.Member(p)
	allowed := len(views) > 0
	for _, v := range views {
		if v.Decide(member, v.Deny) {
			continue
		}
		allowed = false
		if cause, ok := denial(v, policy.CauseDeny, member); ok {
			return cause, true
		}
	}
	if !allowed {
		return policy.Cause{}, false
	}
	for _, v := range views {
		if verdict, against, _ := f.judge.Grant(p, v, v.Deny, v.DeniedSubjects()); verdict == judge.Unsafe && against != rules.NoSubject {
			if cause, ok := denial(v, policy.CauseWithheld, member.And(f.judge.Member(against))); ok {
				return cause, true
			}
		}
	}
	return policy.Cause{}, false
}

// denial returns the policy item that keeps somebody from the view's privilege: one that denies it, or one that is
// excepted from what is allowed.
func denial(v *judge.View, kind policy.CauseKind, m judge.Member) (policy.Cause, bool) {
	item := func(list []judge.Item) *judge.Item {
		i := slices.IndexFunc(list, func(item judge.Item) bool { return item.Privileges&v.Privilege != 0 && m.In(item.Who) })
		if i < 0 {
			return nil
		}
		return &list[i]
	}
	for _, d := range v.Deny {
		if !v.DeniedBy(d, m) {
			continue
		}
		if by := item(d.Deny); by != nil {
			return causeOf(kind, d, by), true
		}
		return causeOf(kind, d, &judge.Item{Kind: rules.ItemDenyAllElse}), true
	}
	for _, a := range v.Allow {
		if by := item(a.AllowExcept); by != nil {
			return causeOf(kind, a, by), true
		}
	}
	return policy.Cause{}, false
}
