package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// world is a random set of policies, objects and memberships, small enough to ask about every person and object.
type world struct {
	snapshot *Snapshot
	listed   []Object // in the inventory
	future   []Object // created after the compilation
	groupsOf map[string][]string
	roles    []Role
	users    []string
	model    *serviceModel
}

var (
	worldUsers  = []string{"u1", "u2", "u3", "u4"}
	worldGroups = []string{"g1", "g2", "g3"}
	worldRoles  = []string{"r1", "r2"}
)

func drawWorld(t *rapid.T) world {
	w := world{groupsOf: map[string][]string{}, users: worldUsers}
	for _, u := range worldUsers {
		w.groupsOf[u] = rapid.SliceOfNDistinct(rapid.SampledFrom(worldGroups), 0, 3, rapid.ID).Draw(t, "groups of "+u)
	}
	member := func(names []string, label string) []RoleMember {
		var list []RoleMember
		for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 2, rapid.ID).Draw(t, label) {
			list = append(list, RoleMember{Name: n})
		}
		return list
	}
	for _, r := range worldRoles {
		w.roles = append(w.roles, Role{Name: r, Users: member(worldUsers, r+" users"), Groups: member(worldGroups, r+" groups")})
	}
	if rapid.Bool().Draw(t, "r1 in r2") {
		w.roles[1].Roles = []RoleMember{{Name: "r1"}}
	}
	for _, c := range []string{"c1", "c2"} {
		w.listed = append(w.listed, Object{Securable: Securable{Catalog, c}})
		for _, s := range []string{"s1", "s2"} {
			schema := c + "." + s
			w.listed = append(w.listed, Object{Securable: Securable{Schema, schema}})
			for _, o := range []Object{
				{Securable: Securable{Table, "t1"}}, {Securable: Securable{Table, "cust_a"}}, {Securable: Securable{Table, "cust_v"}, Kind: KindView},
				{Securable: Securable{Function, "f1"}}, {Securable: Securable{Function, "m1"}, Kind: KindModel}, {Securable: Securable{Volume, "v1"}},
			} {
				o.FullName = schema + "." + o.FullName
				if rapid.IntRange(0, 3).Draw(t, "listed "+o.String()) > 0 {
					w.listed = append(w.listed, o)
				}
			}
			for _, o := range []Object{{Securable: Securable{Table, "new"}}, {Securable: Securable{Function, "new_f"}}, {Securable: Securable{Function, "new_m"}, Kind: KindModel}, {Securable: Securable{Volume, "new_v"}}} {
				o.FullName = schema + "." + o.FullName
				w.future = append(w.future, o)
			}
		}
		for _, o := range []Object{{Securable: Securable{Table, "t1"}}, {Securable: Securable{Function, "f1"}}, {Securable: Securable{Function, "m1"}, Kind: KindModel}, {Securable: Securable{Volume, "v1"}}} {
			o.FullName = c + ".s9." + o.FullName
			w.future = append(w.future, o)
		}
	}
	def := *DefaultServiceDef()
	if rapid.Bool().Draw(t, "inherit") {
		def.Options = OptionMap{OptionInheritAccess: "true"}
	} else {
		def.Options = nil
	}
	w.snapshot = &Snapshot{ServiceDef: &def, Roles: w.roles}
	w.model = newServiceModel(&def)
	n := rapid.IntRange(1, 5).Draw(t, "policies")
	for i := range n {
		w.snapshot.Policies = append(w.snapshot.Policies, drawPolicy(t, int64(i+1)))
	}
	return w
}

func drawPolicy(t *rapid.T, id int64) Policy {
	p := Policy{ID: id, Name: fmt.Sprintf("p%d", id), Resources: map[string]PolicyResource{}}
	level := func(name string, values ...string) {
		v := rapid.SampledFrom(values).Draw(t, name)
		text, excluded := strings.CutPrefix(v, "!")
		p.Resources[name] = PolicyResource{Values: strings.Split(text, ","), IsExcludes: excluded}
	}
	depth := rapid.IntRange(1, 5).Draw(t, "depth")
	level("catalog", "c1", "c1", "*", "C2", "!c2")
	if depth > 1 {
		level("schema", "*", "s1", "s*", "!s1", "s1,s2")
	}
	if depth > 2 {
		leaf := rapid.SampledFrom([]string{"table", "table", "table", "function", "model", "volume"}).Draw(t, "leaf")
		level(leaf, "*", "*", "cust_*", "!cust_*", "t1", "?1")
		if leaf == "table" && depth > 4 {
			level("column", "*", "*", "ssn")
		}
	}
	items := func(label string, chance int) []PolicyItem {
		var list []PolicyItem
		for i := range rapid.IntRange(0, 2).Draw(t, label) {
			if rapid.IntRange(0, 9).Draw(t, label+" chance") >= chance {
				continue
			}
			label := fmt.Sprintf("%s[%d]", label, i)
			item := PolicyItem{
				Users:  rapid.SliceOfNDistinct(rapid.SampledFrom(worldUsers), 0, 2, rapid.ID).Draw(t, label+" users"),
				Groups: rapid.SliceOfNDistinct(rapid.SampledFrom(append(worldGroups, "public")), 0, 2, rapid.ID).Draw(t, label+" groups"),
				Roles:  rapid.SliceOfNDistinct(rapid.SampledFrom(worldRoles), 0, 1, rapid.ID).Draw(t, label+" roles"),
			}
			for _, a := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"select", "select", "modify", "execute", "manage", "apply_tag", "create_table", "read_volume", "all_privileges", "use_schema"}), 1, 3, rapid.ID).Draw(t, label+" accesses") {
				item.Accesses = append(item.Accesses, ItemAccess{Type: a})
			}
			list = append(list, item)
		}
		return list
	}
	p.PolicyItems = items("policyItems", 9)
	p.AllowExceptions = items("allowExceptions", 3)
	p.DenyPolicyItems = items("denyPolicyItems", 3)
	p.DenyExceptions = items("denyExceptions", 3)
	p.PolicyPriority = rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "priority")
	p.IsDenyAllElse = rapid.IntRange(0, 14).Draw(t, "denyAllElse") == 0
	return p
}

// person is who may gain by grants: a user with groups and roles, or somebody known only to be in a group or role.
type person struct {
	name          string
	user          string
	groups, roles []string
}

func (w *world) persons(groupsOf map[string][]string) []person {
	rolesOf := func(user string, groups []string) []string {
		in := map[string]bool{}
		for range w.roles { // nested roles: as often as there are roles
			for _, r := range w.roles {
				holds := slices.ContainsFunc(r.Users, func(m RoleMember) bool { return m.Name == user }) ||
					slices.ContainsFunc(r.Groups, func(m RoleMember) bool { return slices.Contains(groups, m.Name) }) ||
					slices.ContainsFunc(r.Roles, func(m RoleMember) bool { return in[m.Name] })
				if holds {
					in[r.Name] = true
				}
			}
		}
		return slices.Sorted(maps.Keys(in))
	}
	list := []person{{name: "anybody"}}
	for _, u := range w.users {
		list = append(list, person{u, u, groupsOf[u], rolesOf(u, groupsOf[u])})
	}
	for _, g := range worldGroups {
		list = append(list, person{"somebody in " + g, "", []string{g}, rolesOf("", []string{g})})
	}
	for _, r := range worldRoles {
		roles := []string{r}
		if r == "r1" && len(w.roles[1].Roles) > 0 {
			roles = append(roles, "r2")
		}
		list = append(list, person{"somebody in " + r, "", nil, roles})
	}
	return list
}

func (p person) principals() []Principal {
	list := []Principal{AccountUsers}
	if p.user != "" {
		list = append(list, Principal(p.user))
	}
	for _, g := range p.groups {
		list = append(list, Principal(g))
	}
	for _, r := range p.roles {
		list = append(list, Principal("role_"+r))
	}
	return list
}

// effective computes access as Unity Catalog does: x granted on the object or a container of it, and USE_* above.
func effective(g *GrantSet, who []Principal, x Privilege, o Object) bool {
	has := func(s Securable, x Privilege) bool {
		for {
			for _, p := range who {
				if g.Has(Grant{s, p, x}) || AllPrivileges.Implies(x) && g.Has(Grant{s, p, AllPrivileges}) {
					return true
				}
			}
			parent, ok := s.Parent()
			if !ok {
				return false
			}
			s = parent
		}
	}
	if !has(o.Securable, x) {
		return false
	}
	for parent, ok := o.Parent(); ok; parent, ok = parent.Parent() {
		use := UseSchema
		if parent.Type == Catalog {
			use = UseCatalog
		}
		if !has(parent, use) {
			return false
		}
	}
	return true
}

// oracle is the policies' word on one person, privilege and object, worked out in the plainest way, apart from both
// the compiler and the evaluator. Columns and inheritance are as the compiler documents them.
func oracle(w *world, p person, x Privilege, o Object) bool {
	inherit := w.snapshot.ServiceDef.Options[OptionInheritAccess] == "true"
	names := o.Names()
	leaf := map[class]string{classTable: "table", classFunction: "function", classModel: "model", classVolume: "volume"}[classOf(o)]
	levels := []string{"catalog", "schema", leaf}[:len(names)]
	match := func(r PolicyResource, name string) bool {
		m := newLevelMatch(r)
		return m.match(name)
	}
	covers := func(pol *Policy) bool {
		used := 0
		for i, level := range levels {
			r, ok := pol.Resources[level]
			if !ok {
				if used == len(pol.Resources) && inherit {
					break
				}
				return false
			}
			used++
			if !match(r, names[i]) {
				return false
			}
		}
		for level, r := range pol.Resources {
			if !slices.Contains(levels, level) {
				if m := newLevelMatch(r); !m.any {
					return false
				}
			}
		}
		return true
	}
	hit := func(items []PolicyItem) bool {
		return slices.ContainsFunc(items, func(it PolicyItem) bool {
			if !slices.Contains(w.model.effectiveAccesses(&it), strings.ToLower(string(x))) {
				return false
			}
			return p.user != "" && slices.Contains(it.Users, p.user) || slices.Contains(it.Groups, "public") ||
				slices.ContainsFunc(it.Groups, func(g string) bool { return slices.Contains(p.groups, g) }) ||
				slices.ContainsFunc(it.Roles, func(r string) bool { return slices.Contains(p.roles, r) })
		})
	}
	for _, priority := range []int{1, 0} {
		allow := false
		for i := range w.snapshot.Policies {
			pol := &w.snapshot.Policies[i]
			if pol.PolicyPriority != priority || !covers(pol) {
				continue
			}
			allowed := hit(pol.PolicyItems) && !hit(pol.AllowExceptions)
			if hit(pol.DenyPolicyItems) && !hit(pol.DenyExceptions) || pol.IsDenyAllElse && !allowed {
				return false
			}
			allow = allow || allowed
		}
		if allow {
			return true
		}
	}
	return false
}

func compileWorld(t *rapid.T, w *world) (*Compiled, CompileOptions, bool) {
	known := rapid.Bool().Draw(t, "membership known")
	if known {
		w.snapshot.Users = &UserStore{UserGroupMapping: w.groupsOf}
	}
	o := CompileOptions{
		Deny:  rapid.SampledFrom([]DenyStrategy{DenyWithhold, DenyExpand}).Draw(t, "strategy"),
		Names: NameMapping{RolePrefix: "role_"},
	}
	return Compile(w.snapshot, NewInventory(w.listed...), o), o, known
}

var comparedPrivileges = []Privilege{Select, Modify, Execute, Manage, ApplyTag, CreateTable, ReadVolume, AllPrivileges}

// TestCompiledAccess holds the compiler to its rule: never wider than the policies, not even on objects to come, and
// the same wherever the report says nothing.
func TestCompiledAccess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		compiled, options, known := compileWorld(t, &w)
		for _, p := range w.persons(w.groupsOf) {
			if !known && p.user == "" && len(p.groups)+len(p.roles) > 0 {
				continue
			}
			for _, x := range comparedPrivileges {
				for _, o := range slices.Concat(w.listed, w.future) {
					if actsOn[x]&classOf(o) == 0 || !Supports(o.Type, o.Kind, x) {
						continue
					}
					want, got := oracle(&w, p, x, o), effective(compiled.Grants, p.principals(), x, o)
					if got && !want {
						t.Fatalf("wider: %s has %s on %s\n%s", p.name, x, o, dump(&w, compiled))
					}
					if p.user == "" && options.Deny == DenyExpand {
						continue // a group written out member by member is exact for the members of today
					}
					if want && !got && compiled.Report.Exact() && slices.Contains(w.listed, o) {
						t.Fatalf("narrower, though the report says exact: %s lacks %s on %s\n%s", p.name, x, o, dump(&w, compiled))
					}
				}
			}
		}
	})
}

// TestCompiledSmallest: there is no grant without which everybody has the same access.
func TestCompiledSmallest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		compiled, _, _ := compileWorld(t, &w)
		if slices.ContainsFunc(compiled.Report.Findings, func(f Finding) bool { return f.Privilege.IsUse() }) {
			return // a policy denies the way: what is granted behind it confers nothing, and is kept
		}
		persons := w.persons(nil) // what is not known implies nothing
		if w.snapshot.Users != nil {
			persons = w.persons(w.groupsOf)
		}
		for g := range compiled.Grants.All() {
			rest := compiled.Grants.Clone()
			rest.Set(g.Securable, slices.DeleteFunc(slices.Clone(rest.Of(g.Securable)), func(a Assignment) bool {
				return a == Assignment{g.Principal, g.Privilege}
			}))
			if !loses(&w, persons, compiled.Grants, rest, g) {
				t.Fatalf("without %v nobody loses anything\n%s", g, dump(&w, compiled))
			}
		}
	})
}

func loses(w *world, persons []person, before, after *GrantSet, g Grant) bool {
	for _, p := range persons {
		who := p.principals()
		if !slices.Contains(who, g.Principal) {
			continue
		}
		for _, o := range slices.Concat(w.listed, w.future) {
			if !g.Securable.Contains(o.Securable) {
				continue
			}
			for _, x := range privilegeList {
				if effective(before, who, x, o) && !effective(after, who, x, o) {
					return true
				}
			}
		}
	}
	return false
}

func dump(w *world, c *Compiled) string {
	var b strings.Builder
	policies := slices.Clone(w.snapshot.Policies)
	for name, z := range w.snapshot.Zones {
		fmt.Fprintf(&b, "zone %s %v, %d policies\n", name, z.Resources, len(z.Policies))
		policies = append(policies, z.Policies...)
	}
	if w.snapshot.TagPolicies != nil {
		policies = append(policies, w.snapshot.TagPolicies.Policies...)
		fmt.Fprintf(&b, "tagged %v %v\n", w.snapshot.Tags.ServiceResources, w.snapshot.Tags.ResourceToTagIDs)
	}
	for _, p := range policies {
		fmt.Fprintf(&b, "policy %d priority %d denyAllElse %v %v\n", p.ID, p.PolicyPriority, p.IsDenyAllElse, p.Resources)
		for name, items := range map[string][]PolicyItem{"allow": p.PolicyItems, "allowEx": p.AllowExceptions, "deny": p.DenyPolicyItems, "denyEx": p.DenyExceptions} {
			for _, it := range items {
				fmt.Fprintf(&b, "   %s u%v g%v r%v %v", name, it.Users, it.Groups, it.Roles, it.Conditions)
				for _, a := range it.Accesses {
					fmt.Fprintf(&b, " %s", a.Type)
				}
				fmt.Fprintln(&b)
			}
		}
	}
	fmt.Fprintf(&b, "groups %v roles %+v known %v options %v\n", w.groupsOf, w.roles, w.snapshot.Users != nil, w.snapshot.ServiceDef.Options)
	for g := range c.Grants.All() {
		fmt.Fprintf(&b, "grant %s %s %s\n", g.Securable, g.Principal, g.Privilege)
	}
	for _, f := range c.Report.Findings {
		fmt.Fprintf(&b, "%s %s %s %s\n", f.Effect, f.Securable, f.Privilege, f)
	}
	return b.String()
}

// TestOracleAgreesWithEvaluator ties the compiler's rule to Ranger's: what the oracle says, which the compiler is held
// to, is what the evaluator decides. Columns are left to the oracle: the evaluator, asked about a table as a whole,
// says nothing of them.
func TestOracleAgreesWithEvaluator(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		e, err := NewEvaluator(w.snapshot)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range w.persons(w.groupsOf) {
			for _, o := range slices.Concat(w.listed, w.future) {
				var resource Resource
				leaf := map[class]string{classTable: "table", classFunction: "function", classModel: "model", classVolume: "volume"}[classOf(o)]
				for i, name := range o.Names() {
					resource = append(resource, Element{Name: []string{"catalog", "schema", leaf}[i], Value: name})
				}
				for _, x := range comparedPrivileges {
					if actsOn[x]&classOf(o) == 0 {
						continue
					}
					d := e.Evaluate(Request{
						Resource: resource, AccessType: strings.ToLower(string(x)),
						User: p.user, Groups: append([]string{}, p.groups...), Roles: append([]string{}, p.roles...),
					})
					if want := oracle(&w, p, x, o); d.Allowed() != want {
						t.Fatalf("%s %s on %s: evaluator %v (%s), oracle %v\n%s", p.name, x, o, d.Allowed(), d, want, dump(&w, &Compiled{Report: &Report{}}))
					}
				}
			}
		}
	})
}
