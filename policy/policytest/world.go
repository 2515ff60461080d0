package policytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// World is a random set of policies, objects and memberships, small enough to ask about every Person and object.
type World struct {
	Snapshot *ranger.Snapshot
	Listed   []policy.Object // in the inventory
	Future   []policy.Object // created after the compilation
	GroupsOf map[string][]string
	Roles    []ranger.Role
	Users    []string
	Model    *rules.Model
}

// Whom worlds are about.
var (
	Users  = []string{"u1", "u2", "u3", "u4"}
	Groups = []string{"g1", "g2", "g3"}
	Roles  = []string{"r1", "r2"}
)

// DrawWorld draws policies, objects and memberships as people write them.
func DrawWorld(t *rapid.T) World {
	w := World{GroupsOf: map[string][]string{}, Users: Users}
	for _, u := range Users {
		w.GroupsOf[u] = rapid.SliceOfNDistinct(rapid.SampledFrom(Groups), 0, 3, rapid.ID).Draw(t, "groups of "+u)
	}
	member := func(names []string, label string) []ranger.RoleMember {
		var list []ranger.RoleMember
		for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 2, rapid.ID).Draw(t, label) {
			list = append(list, ranger.RoleMember{Name: n})
		}
		return list
	}
	for _, r := range Roles {
		w.Roles = append(w.Roles, ranger.Role{Name: r, Users: member(Users, r+" users"), Groups: member(Groups, r+" groups")})
	}
	if rapid.Bool().Draw(t, "r1 in r2") {
		w.Roles[1].Roles = []ranger.RoleMember{{Name: "r1"}}
	}
	for _, c := range []string{"c1", "c2"} {
		w.Listed = append(w.Listed, policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: c}})
		for _, s := range []string{"s1", "s2"} {
			schema := c + "." + s
			w.Listed = append(w.Listed, policy.Object{Securable: policy.Securable{Type: policy.Schema, FullName: schema}})
			for _, o := range []policy.Object{
				{Securable: policy.Securable{Type: policy.Table, FullName: "t1"}}, {Securable: policy.Securable{Type: policy.Table, FullName: "cust_a"}}, {Securable: policy.Securable{Type: policy.Table, FullName: "cust_v"}, Kind: policy.KindView},
				{Securable: policy.Securable{Type: policy.Function, FullName: "f1"}}, {Securable: policy.Securable{Type: policy.Function, FullName: "m1"}, Kind: policy.KindModel}, {Securable: policy.Securable{Type: policy.Volume, FullName: "v1"}},
			} {
				o.FullName = schema + "." + o.FullName
				if rapid.IntRange(0, 3).Draw(t, "listed "+o.String()) > 0 {
					w.Listed = append(w.Listed, o)
				}
			}
			for _, o := range []policy.Object{{Securable: policy.Securable{Type: policy.Table, FullName: "new"}}, {Securable: policy.Securable{Type: policy.Function, FullName: "new_f"}}, {Securable: policy.Securable{Type: policy.Function, FullName: "new_m"}, Kind: policy.KindModel}, {Securable: policy.Securable{Type: policy.Volume, FullName: "new_v"}}} {
				o.FullName = schema + "." + o.FullName
				w.Future = append(w.Future, o)
			}
		}
		for _, o := range []policy.Object{{Securable: policy.Securable{Type: policy.Table, FullName: "t1"}}, {Securable: policy.Securable{Type: policy.Function, FullName: "f1"}}, {Securable: policy.Securable{Type: policy.Function, FullName: "m1"}, Kind: policy.KindModel}, {Securable: policy.Securable{Type: policy.Volume, FullName: "v1"}}} {
			o.FullName = c + ".s9." + o.FullName
			w.Future = append(w.Future, o)
		}
	}
	def := *ranger.DefaultServiceDef()
	if rapid.Bool().Draw(t, "inherit") {
		def.Options = ranger.OptionMap{ranger.OptionInheritAccess: "true"}
	} else {
		def.Options = nil
	}
	w.Snapshot = &ranger.Snapshot{ServiceDef: &def, Roles: w.Roles}
	w.Model = rules.NewModel(&def)
	n := rapid.IntRange(1, 5).Draw(t, "policies")
	for i := range n {
		w.Snapshot.Policies = append(w.Snapshot.Policies, drawPolicy(t, int64(i+1)))
	}
	return w
}

// drawPolicy draws one policy on resources.
func drawPolicy(t *rapid.T, id int64) ranger.Policy {
	p := ranger.Policy{ID: id, Name: fmt.Sprintf("p%d", id), Resources: map[string]ranger.PolicyResource{}}
	level := func(name string, values ...string) {
		v := rapid.SampledFrom(values).Draw(t, name)
		text, excluded := strings.CutPrefix(v, "!")
		p.Resources[name] = ranger.PolicyResource{Values: strings.Split(text, ","), IsExcludes: excluded}
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
	items := func(label string, chance int) []ranger.PolicyItem {
		var list []ranger.PolicyItem
		for i := range rapid.IntRange(0, 2).Draw(t, label) {
			if rapid.IntRange(0, 9).Draw(t, label+" chance") >= chance {
				continue
			}
			label := fmt.Sprintf("%s[%d]", label, i)
			item := ranger.PolicyItem{
				Users:  rapid.SliceOfNDistinct(rapid.SampledFrom(Users), 0, 2, rapid.ID).Draw(t, label+" users"),
				Groups: rapid.SliceOfNDistinct(rapid.SampledFrom(append(Groups, "public")), 0, 2, rapid.ID).Draw(t, label+" groups"),
				Roles:  rapid.SliceOfNDistinct(rapid.SampledFrom(Roles), 0, 1, rapid.ID).Draw(t, label+" roles"),
			}
			for _, a := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"select", "select", "modify", "execute", "manage", "apply_tag", "create_table", "read_volume", "all_privileges", "use_schema"}), 1, 3, rapid.ID).Draw(t, label+" accesses") {
				item.Accesses = append(item.Accesses, ranger.ItemAccess{Type: a})
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

// Person is who may gain by grants: a user with groups and roles, or somebody known only to be in a group or role.
type Person struct {
	Name          string
	User          string
	Groups, Roles []string
}

// Persons lists everybody whose access is looked at; groupsOf is who is in which group.
func (w *World) Persons(groupsOf map[string][]string) []Person {
	rolesOf := func(user string, groups []string) []string {
		in := map[string]bool{}
		for range w.Roles { // nested roles: as often as there are roles
			for _, r := range w.Roles {
				holds := slices.ContainsFunc(r.Users, func(m ranger.RoleMember) bool { return policy.FoldPrincipal(m.Name) == policy.FoldPrincipal(user) }) ||
					slices.ContainsFunc(r.Groups, func(m ranger.RoleMember) bool { return m.Name == rules.GroupPublic || slices.Contains(groups, m.Name) }) ||
					slices.ContainsFunc(r.Roles, func(m ranger.RoleMember) bool { return in[m.Name] })
				if holds {
					in[r.Name] = true
				}
			}
		}
		return slices.Sorted(maps.Keys(in))
	}
	everyones := rolesOf("", nil)
	list := []Person{{Name: "anybody", Roles: everyones}}
	for _, u := range w.Users {
		list = append(list, Person{u, u, groupsOf[u], rolesOf(u, groupsOf[u])})
	}
	for _, g := range Groups {
		list = append(list, Person{"somebody in " + g, "", []string{g}, rolesOf("", []string{g})})
	}
	for _, r := range Roles {
		roles := []string{r}
		if r == "r1" && len(w.Roles[1].Roles) > 0 {
			roles = append(roles, "r2")
		}
		roles = append(roles, everyones...)
		slices.Sort(roles)
		list = append(list, Person{"somebody in " + r, "", nil, slices.Compact(roles)})
	}
	return list
}

// Principals lists whose grants reach the person.
func (p Person) Principals() []policy.Principal {
	list := []policy.Principal{policy.AccountUsers}
	if p.User != "" {
		list = append(list, policy.NewPrincipal(policy.User, p.User))
	}
	for _, g := range p.Groups {
		list = append(list, policy.NewPrincipal(policy.Group, g))
	}
	for _, r := range p.Roles {
		list = append(list, policy.NewPrincipal(policy.Group, "role_"+r))
	}
	return list
}

// Effective computes access as Unity Catalog does: x granted on the object or a container of it, and USE_* above.
func Effective(g *policy.GrantSet, who []policy.Principal, x policy.Privilege, o policy.Object) bool {
	has := func(s policy.Securable, x policy.Privilege) bool {
		for {
			for _, p := range who {
				if g.Has(policy.Grant{Securable: s, Principal: p, Privilege: x}) || policy.AllPrivileges.Implies(x) && g.Has(policy.Grant{Securable: s, Principal: p, Privilege: policy.AllPrivileges}) {
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
		use := policy.UseSchema
		if parent.Type == policy.Catalog {
			use = policy.UseCatalog
		}
		if !has(parent, use) {
			return false
		}
	}
	return true
}

// ComparedPrivileges are those that tests ask about.
var ComparedPrivileges = []policy.Privilege{policy.Select, policy.Modify, policy.Execute, policy.Manage, policy.ApplyTag, policy.CreateTable, policy.ReadVolume, policy.AllPrivileges}

// drawFeatures adds to a World what DrawWorld leaves out.
func drawFeatures(t *rapid.T, w *World) {
	s := w.Snapshot
	id := int64(100)
	for i := range s.Policies {
		p := &s.Policies[i]
		switch rapid.IntRange(0, 7).Draw(t, "feature") {
		case 0:
			p.Resources["catalog"] = ranger.PolicyResource{Values: []string{"{USER}", "c1"}}
		case 1:
			if len(p.PolicyItems) > 0 {
				p.PolicyItems[0].Conditions = []ranger.Condition{{Type: "somewhere", Values: []string{"x"}}}
			}
			if len(p.DenyPolicyItems) > 0 {
				p.DenyPolicyItems[0].Conditions = []ranger.Condition{{Type: "somewhere", Values: []string{"x"}}}
			}
		case 2:
			p.ValiditySchedules = []ranger.ValiditySchedule{{StartTime: "2026/01/01 00:00:00", EndTime: rapid.SampledFrom([]string{"2026/02/01 00:00:00", "2027/01/01 00:00:00"}).Draw(t, "end"), TimeZone: "UTC"}}
		}
	}
	if rapid.Bool().Draw(t, "zone") {
		zone := &ranger.SecurityZone{ZoneName: "z", Resources: []map[string][]string{{
			"catalog": {rapid.SampledFrom([]string{"c1", "*"}).Draw(t, "zone catalog")},
			"schema":  {rapid.SampledFrom([]string{"s1", "s*", "*"}).Draw(t, "zone schema")},
		}}}
		for range rapid.IntRange(0, 2).Draw(t, "zone policies") {
			id++
			zone.Policies = append(zone.Policies, drawPolicy(t, id))
		}
		s.Zones = map[string]*ranger.SecurityZone{"z": zone}
	}
	if rapid.Bool().Draw(t, "protection") {
		id++
		p := drawPolicy(t, id)
		p.Resources = map[string]ranger.PolicyResource{"catalog": {Values: []string{"c1"}}, "schema": {Values: []string{"*"}}, "table": {Values: []string{rapid.SampledFrom([]string{"*", "t1", "cust_*"}).Draw(t, "protected")}}}
		item := ranger.PolicyItem{Accesses: []ranger.ItemAccess{{Type: rapid.SampledFrom([]string{"select", "select", "select", "all_privileges", "modify"}).Draw(t, "bound for")}}, Groups: []string{rapid.SampledFrom(append(Groups, "public")).Draw(t, "bound")}}
		free := ranger.PolicyItem{Accesses: []ranger.ItemAccess{{Type: rapid.SampledFrom([]string{"select", "select", "modify"}).Draw(t, "freed for")}}, Users: []string{rapid.SampledFrom(Users).Draw(t, "freed")}}
		p.PolicyItems, p.AllowExceptions, p.DenyPolicyItems, p.DenyExceptions, p.IsDenyAllElse = nil, nil, nil, nil, false
		if rapid.Bool().Draw(t, "mask") {
			p.PolicyType = ranger.PolicyTypeDataMask
			p.Resources["column"] = ranger.PolicyResource{Values: []string{"ssn"}}
			p.DataMaskPolicyItems = []ranger.DataMaskPolicyItem{
				{PolicyItem: free, DataMaskInfo: ranger.DataMaskInfo{DataMaskType: "MASK_NONE"}}, {PolicyItem: item, DataMaskInfo: ranger.DataMaskInfo{DataMaskType: "MASK"}},
			}
		} else {
			p.PolicyType = ranger.PolicyTypeRowFilter
			p.RowFilterPolicyItems = []ranger.RowFilterPolicyItem{{PolicyItem: item, RowFilterInfo: ranger.RowFilterInfo{FilterExpr: "a = 1"}}}
		}
		s.Policies = append(s.Policies, p)
	}
	if rapid.Bool().Draw(t, "tags") {
		drawTags(t, w)
	}
}

// drawTags puts tags on a few resources, and policies on the tags.
func drawTags(t *rapid.T, w *World) {
	s := w.Snapshot
	s.Tags = &ranger.ServiceTags{
		TagDefinitions: map[string]ranger.TagDefinition{"1": {ID: 1, Name: "PII"}, "2": {ID: 2, Name: "OPEN"}},
		Tags:           map[string]ranger.Tag{"1": {ID: 1, Type: "PII"}, "2": {ID: 2, Type: "OPEN"}}, ResourceToTagIDs: map[string][]int64{},
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "tagged") {
		elements := map[string]ranger.PolicyResource{"catalog": {Values: []string{"c1"}}}
		depth := rapid.IntRange(0, 3).Draw(t, "tagged depth")
		if depth > 0 {
			elements["schema"] = ranger.PolicyResource{Values: []string{"s1"}}
		}
		if depth > 1 {
			elements["table"] = ranger.PolicyResource{Values: []string{rapid.SampledFrom([]string{"t1", "cust_a"}).Draw(t, "tagged table")}}
		}
		if depth > 2 {
			elements["column"] = ranger.PolicyResource{Values: []string{"ssn"}}
		}
		s.Tags.ServiceResources = append(s.Tags.ServiceResources, ranger.ServiceResource{ID: int64(i), ResourceElements: elements})
		s.Tags.ResourceToTagIDs[fmt.Sprint(i)] = []int64{int64(rapid.IntRange(1, 2).Draw(t, "tag"))}
	}
	service := s.ServiceDef.Name
	tagDef := &ranger.ServiceDef{Name: "tag", Resources: []ranger.ResourceDef{{Name: "tag", Level: 1, Matcher: "org.apache.ranger.plugin.resourcematcher.RangerDefaultResourceMatcher", MatcherOptions: map[string]string{"wildCard": "true", "ignoreCase": "false"}}}}
	for _, a := range []string{"select", "modify", "execute", "manage"} {
		tagDef.AccessTypes = append(tagDef.AccessTypes, ranger.AccessTypeDef{Name: service + ":" + a})
	}
	s.TagPolicies = &ranger.TagPolicies{ServiceName: "tags", ServiceDef: tagDef}
	for i := range rapid.IntRange(1, 2).Draw(t, "tag policies") {
		p := drawPolicy(t, int64(200+i))
		p.Resources = map[string]ranger.PolicyResource{"tag": {Values: []string{rapid.SampledFrom([]string{"PII", "OPEN", "*"}).Draw(t, "tag of the policy")}}}
		for _, items := range [][]ranger.PolicyItem{p.PolicyItems, p.AllowExceptions, p.DenyPolicyItems, p.DenyExceptions} {
			for j := range items {
				items[j].Accesses = []ranger.ItemAccess{{Type: service + ":" + rapid.SampledFrom([]string{"select", "modify", "execute"}).Draw(t, "tag access")}}
			}
		}
		s.TagPolicies.Policies = append(s.TagPolicies.Policies, p)
	}
}

// ResourceOf writes an object as the resource of a request, in the words of the built-in service definition.
func ResourceOf(o policy.Object) match.Resource {
	leaf := map[policy.ObjectClass]string{policy.ClassTable: "table", policy.ClassFunction: "function", policy.ClassModel: "model", policy.ClassVolume: "volume"}[policy.ClassOf(o)]
	var r match.Resource
	for i, name := range o.Names() {
		r = append(r, match.Element{Name: []string{"catalog", "schema", leaf}[i], Value: name})
	}
	return r
}

// Dump writes a world and what was compiled of it, for failures.
func Dump(w *World, grants *policy.GrantSet, report *policy.Report) string {
	var b strings.Builder
	line := func(what string, v any) {
		data, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, "%s %s\n", what, data)
	}
	snapshot := w.Snapshot
	for _, p := range snapshot.Policies {
		line(fmt.Sprint("policy ", p.Faults), p)
	}
	for name, zone := range snapshot.Zones {
		line("zone "+name, zone)
	}
	if snapshot.TagPolicies != nil {
		line("tag policies", snapshot.TagPolicies)
		line("tags", snapshot.Tags)
	}
	line("roles", w.Roles)
	line("groups", w.GroupsOf)
	line("known", snapshot.Users != nil)
	line("options", snapshot.ServiceDef.Options)
	line("masks", snapshot.ServiceDef.DataMaskDef)
	line("markers", snapshot.ServiceDef.MarkerAccessTypes)
	for _, a := range snapshot.ServiceDef.AccessTypes {
		if len(a.ImpliedGrants) > 0 {
			line(a.Name+" implies", a.ImpliedGrants)
		}
	}
	for _, r := range snapshot.ServiceDef.Resources {
		if len(r.MatcherOptions) > 0 {
			line("options of "+r.Name, r.MatcherOptions)
		}
	}
	for g := range grants.All() {
		fmt.Fprintf(&b, "grant %s %s %s\n", g.Securable, g.Principal, g.Privilege)
	}
	for _, f := range report.Findings {
		fmt.Fprintf(&b, "%s %s %s %s\n", f.Effect, f.Securable, f.Privilege, f)
	}
	return b.String()
}
