package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNeverWiderThanEvaluator draws what a workspace full of Ranger's features holds (zones, tags, masks, filters,
// columns, macros, conditions, schedules) and holds every grant against the evaluator's decisions.
func TestNeverWiderThanEvaluator(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		drawFeatures(t, &w)
		options := CompileOptions{
			Time: now, Deny: rapid.SampledFrom([]DenyStrategy{DenyWithhold, DenyExpand}).Draw(t, "strategy"),
			Names: NameMapping{RolePrefix: "role_"},
		}
		if rapid.Bool().Draw(t, "membership known") {
			w.snapshot.Users = &UserStore{UserGroupMapping: w.groupsOf}
		}
		compiled := Compile(w.snapshot, NewInventory(w.listed...), options)
		e, err := NewEvaluator(w.snapshot)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range w.persons(w.groupsOf) {
			if p.user == "" {
				continue
			}
			for _, o := range slices.Concat(w.listed, w.future) {
				for _, x := range comparedPrivileges {
					if actsOn[x]&classOf(o) == 0 || !Supports(o.Type, o.Kind, x) || !effective(compiled.Grants, p.principals(), x, o) {
						continue
					}
					r := Request{
						Resource: resourceOf(o), AccessType: strings.ToLower(string(x)), Time: now,
						User: p.user, Groups: append([]string{}, p.groups...), Roles: append([]string{}, p.roles...),
					}
					if d := e.Evaluate(r); !d.Allowed() {
						t.Fatalf("wider: %s has %s on %s, but %s\n%s", p.name, x, o, d, dump(&w, compiled))
					}
					if x != Select || o.Type != Table {
						continue
					}
					if d := e.EvaluateRowFilter(r); d.Allowed() && d.Filter != nil && d.Filter.FilterExpr != "" {
						t.Fatalf("unfiltered: %s reads %s, but %s\n%s", p.name, o, d, dump(&w, compiled))
					}
					for _, column := range []string{"id", "ssn"} {
						r.Resource = append(resourceOf(o), Element{Name: "column", Value: column})
						d := e.Evaluate(r)
						if d.Outcome == Denied && namesColumn(d) {
							t.Fatalf("wider: %s reads column %s of %s, but %s\n%s", p.name, column, o, d, dump(&w, compiled))
						}
						if d := e.EvaluateDataMask(r); d.Allowed() && d.Mask.DataMaskType != "MASK_NONE" {
							t.Fatalf("unmasked: %s reads column %s of %s, but %s\n%s", p.name, column, o, d, dump(&w, compiled))
						}
					}
				}
			}
		}
	})
}

// namesColumn reports whether the deciding policy is about single columns. What others say of the columns of a table is
// what they say of the table.
func namesColumn(d Decision) bool {
	if d.Policy == nil {
		return false
	}
	r, named := d.Policy.Resources["column"]
	return named && !slices.Contains(r.Values, "*")
}

func resourceOf(o Object) Resource {
	leaf := map[class]string{classTable: "table", classFunction: "function", classModel: "model", classVolume: "volume"}[classOf(o)]
	var r Resource
	for i, name := range o.Names() {
		r = append(r, Element{Name: []string{"catalog", "schema", leaf}[i], Value: name})
	}
	return r
}

// drawFeatures adds to a world what drawWorld leaves out.
func drawFeatures(t *rapid.T, w *world) {
	s := w.snapshot
	id := int64(100)
	for i := range s.Policies {
		p := &s.Policies[i]
		switch rapid.IntRange(0, 7).Draw(t, "feature") {
		case 0:
			p.Resources["catalog"] = PolicyResource{Values: []string{"{USER}", "c1"}}
		case 1:
			if len(p.PolicyItems) > 0 {
				p.PolicyItems[0].Conditions = []Condition{{Type: "somewhere", Values: []string{"x"}}}
			}
			if len(p.DenyPolicyItems) > 0 {
				p.DenyPolicyItems[0].Conditions = []Condition{{Type: "somewhere", Values: []string{"x"}}}
			}
		case 2:
			p.ValiditySchedules = []ValiditySchedule{{StartTime: "2026/01/01 00:00:00", EndTime: rapid.SampledFrom([]string{"2026/02/01 00:00:00", "2027/01/01 00:00:00"}).Draw(t, "end"), TimeZone: "UTC"}}
		}
	}
	if rapid.Bool().Draw(t, "zone") {
		zone := &SecurityZone{ZoneName: "z", Resources: []map[string][]string{{
			"catalog": {rapid.SampledFrom([]string{"c1", "*"}).Draw(t, "zone catalog")},
			"schema":  {rapid.SampledFrom([]string{"s1", "s*", "*"}).Draw(t, "zone schema")},
		}}}
		for range rapid.IntRange(0, 2).Draw(t, "zone policies") {
			id++
			zone.Policies = append(zone.Policies, drawPolicy(t, id))
		}
		s.Zones = map[string]*SecurityZone{"z": zone}
	}
	if rapid.Bool().Draw(t, "protection") {
		id++
		p := drawPolicy(t, id)
		p.Resources = map[string]PolicyResource{"catalog": {Values: []string{"c1"}}, "schema": {Values: []string{"*"}}, "table": {Values: []string{rapid.SampledFrom([]string{"*", "t1", "cust_*"}).Draw(t, "protected")}}}
		item := PolicyItem{Accesses: []ItemAccess{{Type: "select"}}, Groups: []string{rapid.SampledFrom(append(worldGroups, "public")).Draw(t, "bound")}}
		free := PolicyItem{Accesses: []ItemAccess{{Type: "select"}}, Users: []string{rapid.SampledFrom(worldUsers).Draw(t, "freed")}}
		p.PolicyItems, p.AllowExceptions, p.DenyPolicyItems, p.DenyExceptions, p.IsDenyAllElse = nil, nil, nil, nil, false
		if rapid.Bool().Draw(t, "mask") {
			p.PolicyType = PolicyTypeDataMask
			p.Resources["column"] = PolicyResource{Values: []string{"ssn"}}
			p.DataMaskPolicyItems = []DataMaskPolicyItem{
				{PolicyItem: free, DataMaskInfo: DataMaskInfo{DataMaskType: "MASK_NONE"}}, {PolicyItem: item, DataMaskInfo: DataMaskInfo{DataMaskType: "MASK"}},
			}
		} else {
			p.PolicyType = PolicyTypeRowFilter
			p.RowFilterPolicyItems = []RowFilterPolicyItem{{PolicyItem: item, RowFilterInfo: RowFilterInfo{FilterExpr: "a = 1"}}}
		}
		s.Policies = append(s.Policies, p)
	}
	if rapid.Bool().Draw(t, "tags") {
		drawTags(t, w)
	}
}

// drawTags puts tags on a few resources, and policies on the tags.
func drawTags(t *rapid.T, w *world) {
	s := w.snapshot
	s.Tags = &ServiceTags{
		TagDefinitions: map[string]TagDefinition{"1": {ID: 1, Name: "PII"}, "2": {ID: 2, Name: "OPEN"}},
		Tags:           map[string]Tag{"1": {ID: 1, Type: "PII"}, "2": {ID: 2, Type: "OPEN"}}, ResourceToTagIDs: map[string][]int64{},
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "tagged") {
		elements := map[string]PolicyResource{"catalog": {Values: []string{"c1"}}}
		depth := rapid.IntRange(0, 3).Draw(t, "tagged depth")
		if depth > 0 {
			elements["schema"] = PolicyResource{Values: []string{"s1"}}
		}
		if depth > 1 {
			elements["table"] = PolicyResource{Values: []string{rapid.SampledFrom([]string{"t1", "cust_a"}).Draw(t, "tagged table")}}
		}
		if depth > 2 {
			elements["column"] = PolicyResource{Values: []string{"ssn"}}
		}
		s.Tags.ServiceResources = append(s.Tags.ServiceResources, ServiceResource{ID: int64(i), ResourceElements: elements})
		s.Tags.ResourceToTagIDs[fmt.Sprint(i)] = []int64{int64(rapid.IntRange(1, 2).Draw(t, "tag"))}
	}
	service := s.ServiceDef.Name
	tagDef := &ServiceDef{Name: "tag", Resources: []ResourceDef{{Name: "tag", Level: 1, Matcher: "org.apache.ranger.plugin.resourcematcher.RangerDefaultResourceMatcher", MatcherOptions: map[string]string{"wildCard": "true", "ignoreCase": "false"}}}}
	for _, a := range []string{"select", "modify", "execute", "manage"} {
		tagDef.AccessTypes = append(tagDef.AccessTypes, AccessTypeDef{Name: service + ":" + a})
	}
	s.TagPolicies = &TagPolicies{ServiceName: "tags", ServiceDef: tagDef}
	for i := range rapid.IntRange(1, 2).Draw(t, "tag policies") {
		p := drawPolicy(t, int64(200+i))
		p.Resources = map[string]PolicyResource{"tag": {Values: []string{rapid.SampledFrom([]string{"PII", "OPEN", "*"}).Draw(t, "tag of the policy")}}}
		for _, items := range [][]PolicyItem{p.PolicyItems, p.AllowExceptions, p.DenyPolicyItems, p.DenyExceptions} {
			for j := range items {
				items[j].Accesses = []ItemAccess{{Type: service + ":" + rapid.SampledFrom([]string{"select", "modify", "execute"}).Draw(t, "tag access")}}
			}
		}
		s.TagPolicies.Policies = append(s.TagPolicies.Policies, p)
	}
}
