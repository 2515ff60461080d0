package evaluate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// withoutIndex returns policies that mean the same, each of which the index finds for every request: it does not tell apart
// what policies with many values are about.
func withoutIndex(list []ranger.Policy) []ranger.Policy {
	list = slices.Clone(list)
	coarse := func(resources map[string]ranger.PolicyResource) map[string]ranger.PolicyResource {
		resources = maps.Clone(resources)
		for name, r := range resources {
			r.Values = slices.Clone(r.Values)
			for i := range 70 {
				r.Values = append(r.Values, fmt.Sprintf("nothing %d", i))
			}
			resources[name] = r
		}
		return resources
	}
	for i := range list {
		p := &list[i]
		p.Resources, p.AdditionalResources = coarse(p.Resources), slices.Clone(p.AdditionalResources)
		for n := range p.AdditionalResources {
			p.AdditionalResources[n] = coarse(p.AdditionalResources[n])
		}
	}
	return list
}

// TestIndexHasNoSay holds decisions to be the same with the index and without: what is only looked at, and does not match,
// decides nothing.
func TestIndexHasNoSay(t *testing.T) {
	items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ranger.PolicyItem {
		return ranger.PolicyItem{
			Accesses: []ranger.ItemAccess{{Type: rapid.SampledFrom([]string{"select", "update"}).Draw(t, "access")}},
			Users:    []string{rapid.SampledFrom([]string{"ann", "ann", "nobody"}).Draw(t, "user")},
		}
	}), 0, 1)
	policies := func(t *rapid.T, level string, values ...string) []ranger.Policy {
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ranger.Policy {
			p := ranger.Policy{
				ID: rapid.Int64Range(1, 99).Draw(t, "id"), PolicyType: ranger.PolicyType(rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "type")),
				PolicyPriority: rapid.IntRange(0, 1).Draw(t, "priority"), IsDenyAllElse: rapid.IntRange(0, 3).Draw(t, "denyAllElse") == 0,
				Resources: map[string]ranger.PolicyResource{level: {Values: []string{rapid.SampledFrom(values).Draw(t, level)}}},
			}
			if p.PolicyType == ranger.PolicyTypeDataMask {
				for _, i := range items.Draw(t, "masks") {
					p.DataMaskPolicyItems = append(p.DataMaskPolicyItems, ranger.DataMaskPolicyItem{PolicyItem: i, DataMaskInfo: ranger.DataMaskInfo{DataMaskType: "MASK"}})
				}
				return p
			}
			p.PolicyItems, p.DenyPolicyItems = items.Draw(t, "allow"), items.Draw(t, "deny")
			if level == "database" && rapid.Bool().Draw(t, "on a table") {
				p.Resources["table"] = ranger.PolicyResource{Values: []string{rapid.SampledFrom([]string{"*", "t", "u"}).Draw(t, "table")}}
			}
			return p
		}), 0, 4).Draw(t, "policies on "+level)
	}
	check := func(t interface{ Fatalf(string, ...any) }, onResources, onTags []ranger.Policy) {
		def := policytest.HiveLike("")
		tag := ranger.ServiceDef{Name: "tag", Resources: []ranger.ResourceDef{{Name: "tag", Level: 1}}, AccessTypes: def.AccessTypes}
		with := ranger.Snapshot{ServiceDef: def, Policies: onResources, TagPolicies: &ranger.TagPolicies{ServiceDef: &tag, Policies: onTags}}
		without := with
		without.Policies = withoutIndex(with.Policies)
		e, coarse := New(policytest.Rules(&with, rules.NameMapping{})), New(policytest.Rules(&without, rules.NameMapping{}))
		r := Request{User: "ann", Tags: []RequestTag{{Type: "PII"}}}
		for _, resource := range []string{"database=a", "database=a table=t"} {
			r.Resource = policytest.Asked(resource)
			for _, r.AccessTypes = range [][]string{nil, {"select", "update"}} {
				for _, r.AccessType = range []string{"select", "update", AnyAccess} {
					for _, ask := range []func(*Evaluator, Request) Decision{(*Evaluator).Evaluate, (*Evaluator).EvaluateDataMask} {
						if got, want := ask(e, r), ask(coarse, r); got.String() != want.String() {
							doc, _ := json.Marshal([]any{with.Policies, with.TagPolicies.Policies})
							t.Fatalf("%s\nwithout index: %s\nrequest %+v\npolicies %s", got, want, r, doc)
						}
					}
				}
			}
		}
	}
	for _, kept := range [][2]string{ // policies on resources, on tags
		{ // an override whose policy can deny, and a policy about something else
			`[{"id":1,"resources":{"database":{"values":["b"]}},"isDenyAllElse":true},
				{"id":2,"policyPriority":1,"resources":{"database":{"values":["a"]}},"policyItems":[{"accesses":[{"type":"select"}],"users":["ann"]}],"isDenyAllElse":true}]`,
			`[{"id":3,"resources":{"tag":{"values":["PII"]}},"isDenyAllElse":true}]`,
		},
		{ // an allow by tag, a deny, and an override about something else
			`[{"id":1,"resources":{"database":{"values":["a"]}},"isDenyAllElse":true},{"id":2,"policyPriority":1,"resources":{"database":{"values":["b"]}}}]`,
			`[{"id":3,"resources":{"tag":{"values":["PII"]}},"policyItems":[{"accesses":[{"type":"select"}],"users":["ann"]}],"isDenyAllElse":true}]`,
		},
	} {
		var lists [2][]ranger.Policy
		for i := range kept {
			if err := json.Unmarshal([]byte(kept[i]), &lists[i]); err != nil {
				t.Fatal(err)
			}
		}
		check(t, lists[0], lists[1])
	}
	policytest.CheckWorlds(t, 1000, func(t *rapid.T) { check(t, policies(t, "database", "a", "b", "*"), policies(t, "tag", "PII", "OPEN")) })
}
