package compile

import (
	"fmt"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/parse"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// TestTagPolicies holds what a tag policy comes to against the evaluator, where the two could read it differently.
// Table shop.a.orders carries the tag; everyone else may read everything in shop.a by another policy, unless it is
// an allow by tag that is policytest.Asked about.
func TestTagPolicies(t *testing.T) {
	const allow, deny = "policyItems", "denyPolicyItems"
	for _, tt := range []struct {
		name      string
		tag       string // in the tag store
		resources string // of the policy
		list      string
		access    string
		tagged    string // resource elements; "" for the table
		want      bool   // SELECT on the table is granted
	}{
		{name: "allowed", tag: `{"id":1,"type":"PII"}`, resources: `"resources":{"tag":{"values":["PII"]}}`, list: allow, want: true},
		{name: "tags have case", tag: `{"id":1,"type":"pii"}`, resources: `"resources":{"tag":{"values":["PII"]}}`, list: allow},
		{name: "denied", tag: `{"id":1,"type":"PII"}`, resources: `"resources":{"tag":{"values":["PII"]}}`, list: deny},
		{name: "denied by an additional resource", tag: `{"id":1,"type":"PII"}`, resources: `"resources":{"tag":{"values":["X"]}},"additionalResources":[{"tag":{"values":["P*"]}}]`, list: deny},
		{name: "denied by access type without component", tag: `{"id":1,"type":"PII"}`, resources: `"resources":{"tag":{"values":["PII"]}}`, list: deny, access: "select"},
		{name: "denied by a macro", tag: `{"id":1,"type":"of_ann"}`, resources: `"resources":{"tag":{"values":["of_{USER}"]}}`, list: deny},
		{name: "a macro allows nobody", tag: `{"id":1,"type":"of_ann"}`, resources: `"resources":{"tag":{"values":["of_{USER}"]}}`, list: allow},
		{name: "a tag that is not in the store", tag: `{"id":2,"type":"PII"}`, resources: `"resources":{"tag":{"values":["*"]}}`, list: allow},
		{name: "a period in the options", tag: `{"id":1,"type":"PII","options":{"TAG_VALIDITY_PERIODS":"[{\"endTime\":\"2020/01/01 00:00:00\"}]"}}`, resources: `"resources":{"tag":{"values":["PII"]}}`, list: allow},
		{name: "an empty list of names is every name", tag: `{"id":1,"type":"PII"}`, resources: `"resources":{"tag":{"values":["PII"]}}`, list: deny, tagged: `{"catalog":{"values":["shop"]},"schema":{"values":[]}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			service, access, tagged, policies := ranger.DefaultServiceDef().Name, tt.access, tt.tagged, ""
			if access == "" {
				access = service + ":select"
			}
			if tagged == "" {
				tagged = `{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["orders"]}}`
			}
			if tt.list == deny {
				policies = `{"id":1,"name":"p",` + shopTables + `,"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}`
			}
			s := readPolicies(t, fmt.Sprintf(`{"serviceName":"uc","policies":[%s],"tagPolicies":{"serviceName":"tags","serviceDef":{"name":"tag",
				"resources":[{"name":"tag","level":1,"matcherOptions":{"wildCard":"true","ignoreCase":"false"}}],"accessTypes":[{"name":"select"},{"name":"%s:select"}]},
				"policies":[{"id":2,"name":"t",%s,"%s":[{"groups":["g"],"accesses":[{"type":"%s"}]}]}]}}`, policies, service, tt.resources, tt.list, access))
			tags, err := parse.Tags([]byte(fmt.Sprintf(`{"tags":{"1":%s},"serviceResources":[{"id":7,"resourceElements":%s}],"resourceToTagIds":{"7":[1]}}`, tt.tag, tagged)), "tags.json")
			if err == nil && strings.Contains(tt.name, "not in the store") {
				delete(tags.Tags, "1")
			}
			if err != nil {
				t.Fatal(err)
			}
			s.Tags = tags
			grants := compileOf(s, shop(), Options{}, rules.NameMapping{}).Grants
			if got := policytest.Effective(grants, []policy.Principal{policy.NewPrincipal(policy.Group, "g")}, policy.Select, policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "shop.a.orders"}}); got != tt.want {
				t.Errorf("granted %t, want %t: %v", got, tt.want, grantLines(grants))
			}
		})
	}
}

// TestMacrosOfDefinition holds that macros are known by the delimiters of the service definition, and that a '*' which it
// does not take for a wildcard allows nothing.
func TestMacrosOfDefinition(t *testing.T) {
	for options, value := range map[string]string{
		`"tokenDelimiterStart":"<","tokenDelimiterEnd":">"`: "<USER>orders",
		`"replaceTokens":"true"`:                            "{USER}orders",
		`"wildCard":"false"`:                                "ord*",
	} {
		const resources = `"resources":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":[%q]}}`
		const items = `[{"groups":["g"],"accesses":[{"type":"select"}]}]`
		named := fmt.Sprintf(resources, value)
		for list, policies := range map[string]string{
			"allow": `{"id":1,"name":"p",` + named + `,"policyItems":` + items + `}`,
			"deny": `{"id":1,"name":"p",` + fmt.Sprintf(resources, "orders") + `,"policyItems":` + items + `},
				{"id":2,"name":"q",` + named + `,"denyPolicyItems":` + items + `}`,
		} {
			s := readPolicies(t, fmt.Sprintf(`{"serviceName":"uc","serviceDef":{"name":"uc","resources":[{"name":"catalog","level":1},{"name":"schema","parent":"catalog","level":2},
				{"name":"table","parent":"schema","level":3,"matcherOptions":{%s}}],"accessTypes":[{"name":"select"}]},"policies":[%s]}`, options, policies))
			inv := policy.NewInventory(policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "shop.a.orders"}}, policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "shop.a.annorders"}})
			if got := grantLines(compileOf(s, inv, Options{}, rules.NameMapping{}).Grants); len(got) > 0 {
				t.Errorf("%s, %s: granted %v", options, list, got)
			}
		}
	}
}

// A tag whose periods are over, or never open, is surely not there: what is said of it is exact. Of one that comes and goes it is not.
func TestTagsThatAreOver(t *testing.T) {
	for periods, want := range map[string]string{
		`[]`: "denied", `[{"endTime":"2026/01/01 00:00:00"}]`: "exact", `[{"startTime":"2026/03/01 00:00:00","endTime":"2026/02/01 00:00:00"}]`: "exact", `[{"endTime":"2027/01/01 00:00:00"}]`: "denied at times", `[{"startTime":"2027/01/01 00:00:00"}]`: "denied at times",
	} {
		s := readPolicies(t, `{"serviceName":"uc","policies":[{"id":1,"name":"p",`+shopTables+`,"policyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}],"tagPolicies":{"serviceName":"tags",
			"policies":[{"id":2,"name":"t","resources":{"tag":{"values":["PII"]}},"denyPolicyItems":[{"groups":["g"],"accesses":[{"type":"select"}]}]}]}}`)
		tags, err := parse.Tags([]byte(`{"tags":{"1":{"type":"PII","validityPeriods":`+periods+`}},"serviceResources":[{"id":7,"resourceElements":{"catalog":{"values":["shop"]},"schema":{"values":["a"]},"table":{"values":["orders"]}}}],"resourceToTagIds":{"7":[1]}}`), "tags.json")
		if err != nil {
			t.Fatal(err)
		}
		s.Tags = tags
		compiled := compileOf(s, shop(), Options{Time: policytest.Time("2026-06-01 12:00")}, rules.NameMapping{})
		got := "denied"
		if policytest.Effective(compiled.Grants, []policy.Principal{policy.NewPrincipal(policy.Group, "g")}, policy.Select, policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "shop.a.orders"}}) {
			got = "granted"
		}
		switch {
		case got == "granted" && compiled.Report.Exact():
			if got = "exact"; !strings.Contains(fmt.Sprint(compiled.Report.Findings), "are over, or never open") {
				t.Errorf("%s: nothing is said: %v", periods, compiled.Report.Findings)
			}
		case strings.Contains(fmt.Sprint(compiled.Report.Findings), "at certain times only"):
			got += " at times"
		}
		if got != want {
			t.Errorf("%s: %s, want %s: %v", periods, got, want, compiled.Report.Findings)
		}
	}
}
