package policytest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// DrawOddWorld draws a world with what nobody writes on purpose, and what people write all the same: zones that are named
// and absent, odd spellings of booleans and names, users in another case, roles inside roles in circles, empty and duplicate lists, schedules that
// are over or cannot be read, access types that nothing knows, policies that cannot be understood.
func DrawOddWorld(t *rapid.T) World {
	w := DrawWorld(t)
	drawFeatures(t, &w)
	odd(t, &w)
	return w
}

// maybe draws one of the values in about one of n cases, the zero value else.
func maybe[T any](t *rapid.T, label string, n int, values ...T) T {
	if rapid.IntRange(1, n).Draw(t, label+" or not") > 1 {
		var none T
		return none
	}
	return rapid.SampledFrom(values).Draw(t, label)
}

var oddBooleans = []string{"true", "TRUE", "True", " true", "yes", "1", "t", "false", "FALSE", "no", ""}

// oddNames are names that nobody, or hardly anybody, has.
var oddNames = []string{`["g1"]`, `"u1"`, "'u1'", "g1;g2", " g1", "g1,g2", "g*", "{USR}", "g1]", "u1 "}

func odd(t *rapid.T, w *World) {
	s := w.Snapshot
	def := s.ServiceDef
	def.Options = ranger.OptionMap{}
	for _, name := range []string{ranger.OptionInheritAccess, "enableDenyAndExceptionsInPolicies"} {
		if rapid.Bool().Draw(t, name) {
			def.Options[name] = rapid.SampledFrom(oddBooleans).Draw(t, name+" is")
		}
	}
	def.Resources = slices.Clone(def.Resources)
	for i := range def.Resources {
		name := def.Resources[i].Name
		if !slices.Contains([]string{"catalog", "schema", "table"}, name) {
			continue
		}
		def.Resources[i].MatcherOptions = ranger.OptionMap{}
		for _, option := range []string{"ignoreCase", "wildCard", "quotedCaseSensitive"} {
			if v := maybe(t, name+" "+option, 6, oddBooleans...); v != "" {
				def.Resources[i].MatcherOptions[option] = v
			}
		}
	}
	oddDefinition(t, def)
	for _, name := range []string{"c1.s1.ſtraße", "c1.s1.cust_ς", "c1.s1.cafe\u0301", "c1.s1.cust_*", "c1.s2.\"t1"} {
		w.Listed = append(w.Listed, policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: name}})
	}
	for i := range w.Roles {
		for j := range w.Roles[i].Users {
			w.Roles[i].Users[j].Name = respell(t, w.Roles[i].Users[j].Name)
		}
	}
	for i := range w.Roles {
		if name := maybe(t, "odd member of "+w.Roles[i].Name, 5, oddNames...); name != "" {
			w.Roles[i].Users = append(w.Roles[i].Users, ranger.RoleMember{}, ranger.RoleMember{Name: name})
			w.Roles[i].Groups = append(w.Roles[i].Groups, ranger.RoleMember{Name: name})
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "everyone in a role") == 0 {
		w.Roles[0].Groups = append(w.Roles[0].Groups, ranger.RoleMember{Name: rules.GroupPublic})
	}
	if rapid.IntRange(0, 3).Draw(t, "roles in a circle") == 0 {
		w.Roles[0].Roles = append(w.Roles[0].Roles, ranger.RoleMember{Name: "r2"})
		w.Roles[1].Roles = append(w.Roles[1].Roles, ranger.RoleMember{Name: "r1"}, ranger.RoleMember{Name: "r1"})
	}
	oddPolicies(t, s.Policies)
	if s.TagPolicies != nil {
		oddPolicies(t, s.TagPolicies.Policies)
		oddTagMasks(t, s)
		if rapid.IntRange(0, 5).Draw(t, "tag service without definition") == 0 {
			s.TagPolicies.ServiceDef = nil
		}
		tag := s.Tags.Tags["1"]
		tag.Validity = maybe(t, "tag validity", 4, []ranger.ValiditySchedule{{EndTime: "2026/02/01 00:00:00"}}, []ranger.ValiditySchedule{{StartTime: "soon"}})
		s.Tags.Tags["1"] = tag
		s.Tags.Faults = maybe(t, "fault of tags", 4, []ranger.Fault{{Field: "tags.1.options"}}, []ranger.Fault{{Field: "serviceResources[0].id"}}, []ranger.Fault{{Field: "serviceResources[1]"}, {Field: "tags.2"}})
	}
	for _, name := range []string{"y", "nil", "nowhere"} {
		if rapid.IntRange(0, 5).Draw(t, "zone "+name) > 0 {
			continue
		}
		if s.Zones == nil {
			s.Zones = make(map[string]*ranger.SecurityZone)
		}
		var zone *ranger.SecurityZone
		switch name {
		case "y":
			zone = &ranger.SecurityZone{ZoneName: "another name", Policies: []ranger.Policy{drawPolicy(t, 300)}, Resources: []map[string][]string{{"catalog": {"c1"}, "schema": {rapid.SampledFrom([]string{"s1", "S*", "s2"}).Draw(t, "y schema")}}}}
		case "nowhere":
			zone = &ranger.SecurityZone{Policies: []ranger.Policy{drawPolicy(t, 301)}, Resources: []map[string][]string{{"schema": {"s1"}}, {}}}
		}
		s.Zones[name] = zone
	}
	for _, zone := range s.Zones {
		if zone != nil {
			oddPolicies(t, zone.Policies)
		}
	}
}

// oddDefinition draws what access types imply, by way of others too, and how masks compare names.
func oddDefinition(t *rapid.T, def *ranger.ServiceDef) {
	def.AccessTypes = slices.Clone(def.AccessTypes)
	for i := range def.AccessTypes {
		a := &def.AccessTypes[i]
		switch a.Name {
		case "all_privileges":
			if rapid.IntRange(0, 3).Draw(t, "odd all_privileges") == 0 {
				a.ImpliedGrants = rapid.SampledFrom([][]string{nil, {"manage"}, {"select", "selct"}}).Draw(t, "all_privileges implies")
			}
		case "manage", "modify", "apply_tag":
			if rapid.IntRange(0, 3).Draw(t, "odd "+a.Name) == 0 {
				a.ImpliedGrants = rapid.SampledFrom([][]string{{"modify"}, {"select"}, {"all_privileges"}, {"apply_tag", "nothing"}}).Draw(t, a.Name+" implies")
			}
		}
	}
	def.MarkerAccessTypes = maybe(t, "markers", 6, []ranger.AccessTypeDef{{Name: "_READ"}, {Name: "_ALL", ImpliedGrants: []string{"modify"}}, {Name: "_REED", ImpliedGrants: []string{"select"}}})
	if def.DataMaskDef != nil {
		masks := *def.DataMaskDef
		masks.Resources = slices.Clone(masks.Resources)
		for i := range masks.Resources {
			oddMatching(t, &masks.Resources[i])
		}
		def.DataMaskDef = &masks
	}
}

// oddMatching draws options by which the names of a resource are compared.
func oddMatching(t *rapid.T, r *ranger.ResourceDef) {
	for _, option := range []string{"ignoreCase", "wildCard"} {
		if v := maybe(t, "masks' "+r.Name+" "+option, 6, oddBooleans...); v != "" {
			r.MatcherOptions = maps.Clone(r.MatcherOptions)
			if r.MatcherOptions == nil {
				r.MatcherOptions = ranger.OptionMap{}
			}
			r.MatcherOptions[option] = v
		}
	}
}

// oddTagMasks adds masks by tags, for which the tag service may compare names otherwise than for access.
func oddTagMasks(t *rapid.T, s *ranger.Snapshot) {
	prefix := s.ServiceDef.Name + ":"
	if def := s.TagPolicies.ServiceDef; rapid.Bool().Draw(t, "tag masks have options") {
		resource := ranger.ResourceDef{Name: ranger.TagResource}
		oddMatching(t, &resource)
		def.DataMaskDef = &ranger.DataMaskDef{Resources: []ranger.ResourceDef{resource}}
	}
	if rapid.Bool().Draw(t, "tag mask") {
		s.TagPolicies.Policies = append(s.TagPolicies.Policies, ranger.Policy{ID: 250, Name: "tag mask", PolicyType: ranger.PolicyTypeDataMask,
			Resources: map[string]ranger.PolicyResource{ranger.TagResource: {Values: []string{rapid.SampledFrom([]string{"PII", "pii", "P*", "*"}).Draw(t, "masked tag")}}},
			DataMaskPolicyItems: []ranger.DataMaskPolicyItem{{
				PolicyItem:   ranger.PolicyItem{Accesses: []ranger.ItemAccess{{Type: prefix + "select"}}, Groups: []string{rapid.SampledFrom(append(Groups, "public")).Draw(t, "masked")}},
				DataMaskInfo: ranger.DataMaskInfo{DataMaskType: prefix + "MASK"},
			}}})
	}
}

// oddPolicies changes each policy in one or two ways.
func oddPolicies(t *rapid.T, list []ranger.Policy) {
	off := false
	for i := range list {
		p := &list[i]
		for range rapid.IntRange(0, 2).Draw(t, "oddities") {
			switch rapid.IntRange(0, 18).Draw(t, "oddity") {
			case 0:
				p.ZoneName = rapid.SampledFrom([]string{"z", "y", "absent"}).Draw(t, "zone name")
			case 1:
				p.IsEnabled = &off
			case 2:
				p.ValiditySchedules = rapid.SampledFrom([][]ranger.ValiditySchedule{
					{{EndTime: "2026/01/01 00:00:00"}}, {{StartTime: "2027/01/01 00:00:00"}}, {{StartTime: "soon"}}, {{}},
					{{Recurrences: []ranger.ValidityRecurrence{{Schedule: ranger.RecurrenceSchedule{DayOfWeek: "*", Hour: "11", Minute: "0"}, Interval: ranger.ValidityInterval{Hours: 2}}}}},
				}).Draw(t, "validity")
			case 3:
				other := drawPolicy(t, 0)
				p.AdditionalResources = append(p.AdditionalResources, other.Resources, map[string]ranger.PolicyResource{"nothing": {Values: []string{"x"}}})
			case 4:
				eachItem(p, func(item *ranger.PolicyItem) {
					item.Users, item.Groups = append(item.Users, item.Users...), append(item.Groups, item.Groups...)
					item.Accesses = append(item.Accesses, item.Accesses...)
				})
			case 5:
				eachItem(p, func(item *ranger.PolicyItem) {
					item.Accesses = append([]ranger.ItemAccess{{Type: "read"}, {Type: "SELECT"}, {Type: rapid.SampledFrom([]string{"_READ", "_ALL", "_REED", "select"}).Draw(t, "marker")}, {Type: "modify", IsAllowed: &off}}, item.Accesses...)
				})
			case 6:
				eachItem(p, func(item *ranger.PolicyItem) {
					item.Users, item.Roles = append(item.Users, "", "{OWNER}", "U1"), append(item.Roles, "", "unknown role")
				})
			case 7:
				p.PolicyItems, p.DenyPolicyItems = append(p.PolicyItems, ranger.PolicyItem{}), append(p.DenyPolicyItems, ranger.PolicyItem{Groups: []string{}})
			case 8:
				p.Conditions = []ranger.Condition{{Type: "somewhere", Values: []string{"x"}}}
			case 9:
				for name, r := range p.Resources {
					r.Values = append(slices.Clone(r.Values), rapid.SampledFrom([]string{"C1", "S1", "STRASSE", "STRAßE", "s*", "CUST_Σ", "CAFÉ", "cafe\u0301", "t1", "{USER}", "${{USER.dept}}1", "", `"T1`}).Draw(t, "value of "+name))
					p.Resources[name] = r
				}
			case 10:
				for name, r := range p.Resources {
					r.IsExcludes = rapid.Bool().Draw(t, name+" excludes")
					p.Resources[name] = r
				}
			case 11:
				p.Faults = append(p.Faults, DrawFault(t))
			case 12, 17:
				p.PolicyPriority = 1
			case 14:
				eachItem(p, func(item *ranger.PolicyItem) {
					for j, user := range item.Users {
						item.Users[j] = respell(t, user)
					}
				})
			case 15:
				p.IsDenyAllElse = true
			case 16:
				p.DenyPolicyItems = append(p.DenyPolicyItems, rapid.SampledFrom([]ranger.PolicyItem{
					{}, {DelegateAdmin: true}, {Groups: []string{"public"}},
					{Accesses: []ranger.ItemAccess{{Type: "other:select"}}, Groups: []string{"public"}},
					{Accesses: []ranger.ItemAccess{{Type: "select", IsAllowed: &off}}, Groups: []string{"public"}},
				}).Draw(t, "deny item that denies nothing"))
			case 18:
				eachItem(p, func(item *ranger.PolicyItem) {
					name := rapid.SampledFrom(oddNames).Draw(t, "odd name")
					item.Users, item.Groups, item.Roles = append(item.Users, name), append(item.Groups, name, ""), append(item.Roles, name)
				})
			case 13:
				delete(p.Resources, rapid.SampledFrom([]string{"catalog", "schema", "table"}).Draw(t, "without"))
			}
		}
		if p.Name == "" {
			p.Name = fmt.Sprintf("p%d", p.ID)
		}
	}
}

// DrawFault draws something in a policy that cannot be understood.
func DrawFault(t *rapid.T) ranger.Fault {
	list := rapid.SampledFrom([]string{"policyItems", "denyPolicyItems", "allowExceptions", "denyExceptions"}).Draw(t, "list")
	f := rapid.SampledFrom([]ranger.Fault{
		{Field: "denyPolicyItem", Known: "denyPolicyItems"}, {Field: "enabled", Known: "isEnabled"}, {Field: "denials"}, {Field: "isDenyAllElse"},
		{Field: "resources"}, {Field: "resources.table.values"}, {Field: "resources.schema.isExclude", Known: "isExcludes"}, {Field: "resources.catalog"},
		{Field: "additionalResources[0].schema"}, {Field: "additionalResource", Known: "additionalResources"}, {Field: "policyType"}, {Field: "policyPriority"},
		{Field: "validitySchedules[0].endTime"}, {Field: "condition", Known: "conditions"}, {Field: "name"}, {Field: "zoneName"}, {Field: "zone", Known: "zoneName"},
		{Field: list}, {Field: list + "[0]"}, {Field: list + "[0].accesses[0].type"}, {Field: list + "[0].accesses"}, {Field: list + "[0].user", Known: "users"},
		{Field: list + "[0].groups[0]"}, {Field: list + "[0].condition", Known: "conditions"}, {Field: list + "[1].something"},
	}).Draw(t, "fault")
	f.Reason = "it was made up"
	return f
}

// respell draws a spelling of a user's name: in Unity Catalog it is the same user.
func respell(t *rapid.T, user string) string {
	if rapid.Bool().Draw(t, user+" in capitals") {
		return strings.ToUpper(user)
	}
	return user
}

func eachItem(p *ranger.Policy, change func(*ranger.PolicyItem)) {
	for item := range p.AllItems() {
		change(item)
	}
}
