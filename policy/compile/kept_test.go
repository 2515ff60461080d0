package compile

import (
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// keptWorld returns a small world for defects that random worlds found: u1 and u2 in g1, u3 in g2, r1 holds u1.
func keptWorld(list ...ranger.Policy) policytest.World {
	def := *ranger.DefaultServiceDef()
	def.Options = ranger.OptionMap{"enableDenyAndExceptionsInPolicies": "true"}
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
var keptWorlds = map[string]func() policytest.World{
	"a deny in a zone that the download does not have holds": func() policytest.World {
		d := denying("catalog=c1 schema=s1 table=t1", "select", "g1")
		d.ZoneName = "absent"
		return keptWorld(allowing(allTables, "select", "g1"), d)
	},
	"an allow in a zone that the download does not have grants nothing": func() policytest.World {
		a := allowing(allTables, "select", "g1")
		a.ZoneName = "absent"
		return keptWorld(a)
	},
	"inheritAccess in capitals": func() policytest.World {
		w := keptWorld(allowing("catalog=c1 schema=s1", "select", "g1"))
		w.Snapshot.ServiceDef.Options[ranger.OptionInheritAccess] = "TRUE"
		return w
	},
	"inheritAccess of a spelling that is not true": func() policytest.World {
		w := keptWorld(allowing("catalog=c1 schema=s1", "select", "g1"))
		w.Snapshot.ServiceDef.Options[ranger.OptionInheritAccess] = "yes"
		return w
	},
	"two zones over one table": func() policytest.World {
		w := keptWorld(allowing(allTables, "select", "g2"))
		zone := func(name, schema string) *ranger.SecurityZone {
			p := allowing(allTables, "select", "g1")
			p.ID, p.ZoneName = 50, name
			return &ranger.SecurityZone{ZoneName: name, Policies: []ranger.Policy{p}, Resources: []map[string][]string{{"catalog": {"c1"}, "schema": {schema}}}}
		}
		w.Snapshot.Zones = map[string]*ranger.SecurityZone{"y": zone("y", "s1"), "z": zone("z", "s*")}
		return w
	},
	"a zone of a literal star": func() policytest.World {
		w := keptWorld(allowing(allTables, "select", "g1"))
		w.Snapshot.ServiceDef.Resources[1].MatcherOptions = ranger.OptionMap{"wildCard": "false"}
		w.Snapshot.Zones = map[string]*ranger.SecurityZone{"z": {ZoneName: "z", Resources: []map[string][]string{{"catalog": {"c1"}, "schema": {"*"}}}}}
		return w
	},
	"a quoted name that is case sensitive": func() policytest.World {
		w := keptWorld(allowing(allTables, "select", "g1"), denying("catalog=c1 schema=s1 table=\"T1", "select", "g1"))
		w.Snapshot.ServiceDef.Resources[2].MatcherOptions = ranger.OptionMap{"quotedCaseSensitive": "true", "ignoreCase": "false"}
		return w
	},
	"a deny matches names by simple case folding": func() policytest.World {
		return keptWorld(allowing(allTables, "select", "g1"), denying("catalog=c1 schema=s1 table=STRAßE,CUST_Σ", "select", "g1"))
	},
	"a name matched by folding denies all else": func() policytest.World {
		p := allowing("catalog=c1 schema=s1 table=CUST_Σ", "select", "g1")
		p.IsDenyAllElse = true
		return keptWorld(allowing(allTables, "select", "g1", "g2"), p)
	},
	"an override that allows some and denies others": func() policytest.World {
		p := allowing("catalog=c1 schema=s1 table=t1", "select", "g1")
		p.DenyPolicyItems, p.PolicyPriority = item("select", "g2"), 1
		return taggedWorld(keptWorld(p, allowing(allTables, "select", "g1", "g2")), denying("tag=PII", "uc:select", "g1"))
	},
	"an override for a tag against a deny for the table": func() policytest.World {
		p := allowing("tag=PII", "uc:select", "g1")
		p.PolicyPriority = 1
		return taggedWorld(keptWorld(denying("catalog=c1 schema=s1 table=t1", "select", "g1"), allowing(allTables, "select", "g2")), p)
	},
	"a policy that cannot be understood closes what it is about": func() policytest.World {
		p := allowing("catalog=c1 schema=s1 table=t1", "select", "g2")
		p.Unreadable = "denyPolicyItem is unknown"
		return keptWorld(allowing(everything, "select", "g1"), p)
	},
	"roles in a circle": func() policytest.World {
		p := allowing(allTables, "select")
		p.PolicyItems[0].Roles = []string{"r2"}
		d := denying("catalog=c1 schema=s1 table=t1", "select")
		d.DenyPolicyItems[0].Roles = []string{"r1"}
		w := keptWorld(p, d)
		w.Roles[0].Roles = []ranger.RoleMember{{Name: "r2"}}
		w.Roles[1].Roles = []ranger.RoleMember{{Name: "r1"}, {Name: "r1"}}
		return w
	},
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
	for name, world := range keptWorlds {
		for _, strategy := range []DenyStrategy{DenyWithhold, DenyExpand} {
			for _, known := range []bool{true, false} {
				t.Run(name, func(t *testing.T) {
					w := world()
					checkAgainstEvaluator(t, &w, strategy, known)
				})
			}
		}
	}
}
