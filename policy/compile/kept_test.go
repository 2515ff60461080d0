package compile

import (
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// keptWorld returns a small world for defects that random worlds found: u1 and u2 in g1, u3 in g2, r1 holds u1.
func keptWorld(list ...ranger.Policy) policytest.World {
	list = append(list, allowing("catalog=*", "use_catalog", "public"), allowing("catalog=* schema=*", "use_schema", "public"))
	def := *ranger.DefaultServiceDef()
	def.Options = ranger.OptionMap{"enableDenyAndExceptionsInPolicies": "true"}
	def.Resources = slices.Clone(def.Resources)
	w := policytest.World{
		Users: policytest.Users, GroupsOf: map[string][]string{"u1": {"g1"}, "u2": {"g1"}, "u3": {"g2"}, "u4": {}},
		Roles:    []ranger.Role{{Name: "r1", Users: []ranger.RoleMember{{Name: "u1"}}}, {Name: "r2"}},
		Snapshot: &ranger.Snapshot{ServiceDef: &def, Policies: list},
		Model:    rules.NewModel(&def),
	}
	w.Snapshot.Roles = w.Roles
	for i := range list {
		list[i].ID = int64(i + 1)
	}
	for _, name := range []string{"c1", "c1.s1", "c1.s2"} {
		kind := policy.Schema
		if name == "c1" {
			kind = policy.Catalog
		}
		w.Listed = append(w.Listed, policy.Object{Securable: policy.Securable{Type: kind, FullName: name}})
	}
	for _, name := range []string{"c1.s1.t1", "c1.s1.cust_a", "c1.s1.\"t1", "c1.s1.ſtraße", "c1.s1.cust_ς", "c1.s2.t1"} {
		w.Listed = append(w.Listed, policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: name}})
	}
	w.Future = []policy.Object{{Securable: policy.Securable{Type: policy.Table, FullName: "c1.s1.new"}}, {Securable: policy.Securable{Type: policy.Table, FullName: "c1.s9.t1"}}}
	return w
}

func item(access string, groups ...string) []ranger.PolicyItem {
	return []ranger.PolicyItem{{Groups: groups, Accesses: []ranger.ItemAccess{{Type: access}}}}
}

func allowing(resources, access string, groups ...string) ranger.Policy {
	return ranger.Policy{Resources: policytest.Resources(resources), PolicyItems: item(access, groups...)}
}

func denying(resources, access string, groups ...string) ranger.Policy {
	return ranger.Policy{Resources: policytest.Resources(resources), DenyPolicyItems: item(access, groups...)}
}

const everything, allTables = "catalog=* schema=* table=*", "catalog=c1 schema=* table=*"

// keptWorlds are defects that reviews and random worlds found, in the smallest world that shows each.
var keptWorlds = map[string]struct {
	reads string // which tables of c1.s1, and of c1.s2, each user reads where memberships are known and denies are expanded
	world func() policytest.World
}{
	"a mask's item that shows a column frees only whom it names for select": {`u2: t1 cust_a "t1 ſtraße cust_ς s2.t1`, func() policytest.World {
		mask := func(who, access, mask string) ranger.DataMaskPolicyItem {
			return ranger.DataMaskPolicyItem{PolicyItem: ranger.PolicyItem{Users: []string{who}, Accesses: []ranger.ItemAccess{{Type: access}}}, DataMaskInfo: ranger.DataMaskInfo{DataMaskType: mask}}
		}
		return keptWorld(allowing(allTables, "select", "g1"), ranger.Policy{PolicyType: ranger.PolicyTypeDataMask, Resources: policytest.Resources("catalog=* schema=* table=* column=ssn"),
			DataMaskPolicyItems: []ranger.DataMaskPolicyItem{mask("u1", "modify", "MASK_NONE"), mask("u1", "select", "MASK")}})
	}},
	"a mask or filter for another access than select closes nothing, as in Ranger": {`u1: t1 cust_a "t1 ſtraße cust_ς s2.t1; u2: t1 cust_a "t1 ſtraße cust_ς s2.t1`, func() policytest.World {
		modify := item("modify", "g1")[0]
		return keptWorld(allowing(allTables, "select", "g1"),
			ranger.Policy{PolicyType: ranger.PolicyTypeDataMask, Resources: policytest.Resources("catalog=* schema=* table=* column=ssn"),
				DataMaskPolicyItems: []ranger.DataMaskPolicyItem{{PolicyItem: modify, DataMaskInfo: ranger.DataMaskInfo{DataMaskType: "MASK"}}}},
			ranger.Policy{PolicyType: ranger.PolicyTypeRowFilter, Resources: policytest.Resources(allTables),
				RowFilterPolicyItems: []ranger.RowFilterPolicyItem{{PolicyItem: modify, RowFilterInfo: ranger.RowFilterInfo{FilterExpr: "a = 1"}}}})
	}},
	"a deny in a zone that the download does not have holds": {`u1: cust_a "t1 ſtraße cust_ς s2.t1; u2: cust_a "t1 ſtraße cust_ς s2.t1`, func() policytest.World {
		d := denying("catalog=c1 schema=s1 table=t1", "select", "g1")
		d.ZoneName = "absent"
		return keptWorld(allowing(allTables, "select", "g1"), d)
	}},
	"a policy of no zone holds whatever zone it names, as in Ranger": {`u1: t1 cust_a "t1 ſtraße cust_ς s2.t1; u2: t1 cust_a "t1 ſtraße cust_ς s2.t1`, func() policytest.World {
		a := allowing(allTables, "select", "g1")
		a.ZoneName = "absent"
		return keptWorld(a)
	}},
	"inheritAccess in capitals": {`u1: t1 cust_a "t1 ſtraße cust_ς; u2: t1 cust_a "t1 ſtraße cust_ς`, func() policytest.World {
		w := keptWorld(allowing("catalog=c1 schema=s1", "select", "g1"))
		w.Snapshot.ServiceDef.Options[ranger.OptionInheritAccess] = "TRUE"
		return w
	}},
	"inheritAccess of a spelling that is not true": {"", func() policytest.World {
		w := keptWorld(allowing("catalog=c1 schema=s1", "select", "g1"))
		w.Snapshot.ServiceDef.Options[ranger.OptionInheritAccess] = "yes"
		return w
	}},
	"two zones over one table": {`u1: s2.t1; u2: s2.t1`, func() policytest.World {
		w := keptWorld(allowing(allTables, "select", "g2"))
		zone := func(name, schema string) *ranger.SecurityZone {
			p := allowing(allTables, "select", "g1")
			p.ID, p.ZoneName = 50, name
			return &ranger.SecurityZone{ZoneName: name, Policies: []ranger.Policy{p}, Resources: []map[string][]string{{"catalog": {"c1"}, "schema": {schema}}}}
		}
		w.Snapshot.Zones = map[string]*ranger.SecurityZone{"y": zone("y", "s1"), "z": zone("z", "s*")}
		return w
	}},
	"a zone of a literal star": {"", func() policytest.World {
		w := keptWorld(allowing(allTables, "select", "g1"))
		w.Snapshot.ServiceDef.Resources[1].MatcherOptions = ranger.OptionMap{"wildCard": "false"}
		w.Snapshot.Zones = map[string]*ranger.SecurityZone{"z": {ZoneName: "z", Resources: []map[string][]string{{"catalog": {"c1"}, "schema": {"*"}}}}}
		return w
	}},
	"a quoted name that is case sensitive": {`u1: t1 cust_a "t1 ſtraße cust_ς s2.t1; u2: t1 cust_a "t1 ſtraße cust_ς s2.t1`, func() policytest.World {
		w := keptWorld(allowing(allTables, "select", "g1"), denying("catalog=c1 schema=s1 table=\"T1", "select", "g1"))
		w.Snapshot.ServiceDef.Resources[2].MatcherOptions = ranger.OptionMap{"quotedCaseSensitive": "true", "ignoreCase": "false"}
		return w
	}},
	"a deny matches names by simple case folding": {`u1: t1 cust_a "t1 s2.t1; u2: t1 cust_a "t1 s2.t1`, func() policytest.World {
		return keptWorld(allowing(allTables, "select", "g1"), denying("catalog=c1 schema=s1 table=STRAßE,CUST_Σ", "select", "g1"))
	}},
	"a deny matches a name whose accents are characters of their own": {"", func() policytest.World {
		w := keptWorld(allowing("catalog=c1 schema=s1 table=CAFE\u0301,caf\u00e9", "select", "g1"), denying("catalog=c1 schema=s1 table=Caf\u00e9", "select", "g1"))
		for _, name := range []string{"c1.s1.cafe\u0301", "c1.s1.caf\u00e9"} {
			w.Listed = append(w.Listed, policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: name}})
		}
		return w
	}},
	"a name matched by folding denies all else": {`u1: t1 cust_a "t1 ſtraße cust_ς s2.t1; u2: t1 cust_a "t1 ſtraße cust_ς s2.t1; u3: t1 cust_a "t1 ſtraße s2.t1`, func() policytest.World {
		p := allowing("catalog=c1 schema=s1 table=CUST_Σ", "select", "g1")
		p.IsDenyAllElse = true
		return keptWorld(allowing(allTables, "select", "g1", "g2"), p)
	}},
	"an override that allows some and denies others": {`u1: cust_a "t1 ſtraße cust_ς s2.t1; u2: cust_a "t1 ſtraße cust_ς s2.t1; u3: cust_a "t1 ſtraße cust_ς s2.t1`, func() policytest.World {
		p := allowing("catalog=c1 schema=s1 table=t1", "select", "g1")
		p.DenyPolicyItems, p.PolicyPriority = item("select", "g2"), 1
		return taggedWorld(keptWorld(p, allowing(allTables, "select", "g1", "g2")), denying("tag=PII", "uc:select", "g1"))
	}},
	"an override for a tag against a deny for the table": {`u1: t1; u2: t1; u3: t1 cust_a "t1 ſtraße cust_ς s2.t1`, func() policytest.World {
		p := allowing("tag=PII", "uc:select", "g1")
		p.PolicyPriority = 1
		return taggedWorld(keptWorld(denying("catalog=c1 schema=s1 table=t1", "select", "g1"), allowing(allTables, "select", "g2")), p)
	}},
	"an override about something else, between a tag that allows and a deny": {"", func() policytest.World {
		p := allowing(everything, "modify", "g2")
		p.PolicyPriority = 1
		return taggedWorld(keptWorld(denying(everything, "select", "g1"), p), allowing("tag=PII", "uc:select", "g1"))
	}},
	"an override that says nothing, between a tag that allows and a deny": {"", func() policytest.World {
		p := ranger.Policy{Resources: policytest.Resources("catalog=*"), PolicyPriority: 1}
		return taggedWorld(keptWorld(denying(everything, "select", "g1"), p), allowing("tag=PII", "uc:select", "g1"))
	}},
	"a policy that cannot be understood closes what it is about": {`u1: cust_a "t1 ſtraße cust_ς s2.t1; u2: cust_a "t1 ſtraße cust_ς s2.t1`, func() policytest.World {
		p := allowing("catalog=c1 schema=s1 table=t1", "select", "g2")
		p.Faults = []ranger.Fault{{Field: "denyPolicyItem", Known: "denyPolicyItems"}}
		return keptWorld(allowing(everything, "select", "g1"), p)
	}},
	"roles in a circle": {`u1: cust_a "t1 ſtraße cust_ς s2.t1`, func() policytest.World {
		p := allowing(allTables, "select")
		p.PolicyItems[0].Roles = []string{"r2"}
		d := denying("catalog=c1 schema=s1 table=t1", "select")
		d.DenyPolicyItems[0].Roles = []string{"r1"}
		w := keptWorld(p, d)
		w.Roles[0].Roles = []ranger.RoleMember{{Name: "r2"}}
		w.Roles[1].Roles = []ranger.RoleMember{{Name: "r1"}, {Name: "r1"}}
		return w
	}},
}

// taggedWorld tags c1.s1.t1 as PII and adds policies for tags.
func taggedWorld(w policytest.World, list ...ranger.Policy) policytest.World {
	service := w.Snapshot.ServiceDef.Name
	for i := range list {
		list[i].ID = int64(100 + i)
		for it := range list[i].AllItems() {
			for j := range it.Accesses {
				it.Accesses[j].Type = service + it.Accesses[j].Type[len("uc"):]
			}
		}
	}
	w.Snapshot.TagPolicies = &ranger.TagPolicies{ServiceName: "tags", Policies: list, ServiceDef: &ranger.ServiceDef{
		Name: "tag", Resources: []ranger.ResourceDef{{Name: "tag", Level: 1}}, AccessTypes: []ranger.AccessTypeDef{{Name: service + ":select"}},
	}}
	w.Snapshot.Tags = &ranger.ServiceTags{
		TagDefinitions: map[string]ranger.TagDefinition{"1": {ID: 1, Name: "PII"}}, Tags: map[string]ranger.Tag{"1": {ID: 1, Type: "PII"}},
		ServiceResources: []ranger.ServiceResource{{ID: 0, ResourceElements: policytest.Resources("catalog=c1 schema=s1 table=t1")}},
		ResourceToTagIDs: map[string][]int64{"0": {1}},
	}
	return w
}

func TestKeptWorlds(t *testing.T) {
	for name, kept := range keptWorlds {
		for _, strategy := range []DenyStrategy{DenyWithhold, DenyExpand} {
			for _, known := range []bool{true, false} {
				t.Run(name, func(t *testing.T) {
					w := kept.world()
					checkAgainstEvaluator(t, &w, strategy, known)
				})
			}
		}
		w := kept.world()
		w.Snapshot.Users = &ranger.UserStore{UserGroupMapping: w.GroupsOf}
		grants := compileOf(w.Snapshot, policy.NewInventory(w.Listed...), Options{Deny: []DenyStrategy{DenyExpand}}, policytest.Names).Grants
		var reads []string
		for _, p := range w.Persons(w.GroupsOf) {
			var tables []string
			for _, o := range w.Listed {
				if p.User != "" && o.Type == policy.Table && policytest.Effective(grants, p.Principals(), policy.Select, o) {
					tables = append(tables, strings.TrimPrefix(strings.TrimPrefix(o.FullName, "c1."), "s1."))
				}
			}
			if len(tables) > 0 {
				reads = append(reads, p.Name+": "+strings.Join(tables, " "))
			}
		}
		if got := strings.Join(reads, "; "); got != kept.reads {
			t.Errorf("%s\n read %s\nwant %s", name, got, kept.reads)
		}
	}
}
