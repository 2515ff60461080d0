package verify_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/compile"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/parse"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
	"ucwarden/policy/verify"
)

// taggedWorld is a snapshot of one policy that allows analysts select on the schema sales.emea, one policy on tags, and tags.
func taggedWorld(t *testing.T, tagPolicy, tags string) *ranger.Snapshot {
	t.Helper()
	policies, err := parse.PolicyFile([]byte(`{"policies":[{"id":1,"name":"all","resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["*"]}},
		"policyItems":[{"groups":["analysts"],"accesses":[{"type":"select"}]}]}],"tagPolicies":{"serviceName":"t","policies":[{"id":9,"name":"tags",`+tagPolicy+`}]}}`), "f.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := parse.Tags([]byte(tags), "tags.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ranger.NewSnapshot(ranger.SnapshotInput{Policies: policies, Tags: doc, Users: &ranger.UserStore{UserGroupMapping: map[string][]string{"ann": {"analysts"}, "bob": {"clerks"}}}})
	if err != nil {
		t.Fatal(err)
	}
	return verify.Snapshot(s)
}

// readable lists which of the tables user and group may select, by the evaluator, and checks that the grants give no more.
func readable(t *testing.T, s *ranger.Snapshot, user, group string) string {
	t.Helper()
	set := policytest.Rules(s, rules.NameMapping{})
	tables := []string{"sales.emea.orders", "sales.emea.returns", "sales.apac.orders", "hr.core.pay"}
	inventory := policy.NewInventory()
	for _, name := range tables {
		parts := strings.Split(name, ".")
		inventory.Add(policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: parts[0]}})
		inventory.Add(policy.Object{Securable: policy.Securable{Type: policy.Schema, FullName: parts[0] + "." + parts[1]}})
		inventory.Add(policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: name}})
	}
	grants := compile.New(set, compile.Options{}).Compile(inventory).Grants
	var may []string
	for _, name := range tables {
		parts := strings.Split(name, ".")
		allowed := evaluate.New(set).Evaluate(evaluate.Request{User: user, Groups: []string{group}, AccessType: "select",
			Resource: policytest.Asked(fmt.Sprintf("catalog=%s schema=%s table=%s", parts[0], parts[1], parts[2]))}).Allowed()
		if allowed {
			may = append(may, name)
		}
		o := policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: name}}
		if policytest.Effective(grants, policytest.Person{User: user, Groups: []string{group}}.Principals(), policy.Select, o) && !allowed {
			t.Errorf("%s is granted %s, which the policies do not allow", user, name)
		}
	}
	return strings.Join(may, " ")
}

const (
	ordersTagged = `{"id":1,"resourceElements":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["orders"]}}}`
	bySales      = "sales.emea.orders sales.emea.returns"
)

// A tag of which something cannot be understood opens nothing, and what a policy denies by it is denied wherever it may be.
func TestWhatFaultsOfTagsMean(t *testing.T) {
	tags := func(resources, tag string) string {
		return `{"serviceName":"s","serviceResources":[` + resources + `],"tags":{"1":` + tag + `},"resourceToTagIds":{"1":[1]}}`
	}
	element := func(of string) string { return tags(`{"id":1,"resourceElements":{`+of+`}}`, `{"type":"PII"}`) }
	option := func(options string) string { return tags(ordersTagged, `{"type":"PII","options":{`+options+`}}`) }
	const noOrders = "sales.emea.returns"
	for name, tc := range map[string]struct {
		tags  string
		opens string // which tables an allow by the tag opens to bob
		left  string // of analysts, by a deny
	}{
		"understood":                         {tags(ordersTagged, `{"type":"PII"}`), "sales.emea.orders", noOrders},
		"an empty list":                      {element(`"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":[]}`), "", ""},
		"no list":                            {element(`"catalog":{},"schema":{},"table":{}`), "", ""},
		"null":                               {element(`"catalog":{"values":["sales"]},"schema":null`), "", ""},
		"an empty name":                      {element(`"catalog":{"values":["sales"]},"schema":{"values":[""]}`), "", ""},
		"everything, as written":             {element(`"catalog":{"values":["sales"]},"schema":{"values":["*"]}`), "sales.emea.orders sales.emea.returns sales.apac.orders", ""},
		"an id twice":                        {tags(ordersTagged+`,{"id":1,"resourceElements":{"catalog":{"values":["hr"]}}}`, `{"type":"PII"}`), "", noOrders},
		"another service's, of nothing here": {tags(ordersTagged+`,{"id":2,"serviceName":"hivedev","resourceElements":{"database":{"values":[]}}}`, `{"type":"PII"}`), "sales.emea.orders", noOrders},
		"another service's":                  {tags(strings.Replace(ordersTagged, `{"id"`, `{"serviceName":"trino","id"`, 1), `{"type":"PII"}`), "", noOrders},
		"a resource switched off":            {tags(strings.Replace(ordersTagged, `{"id"`, `{"isEnabled":false,"id"`, 1), `{"type":"PII"}`), "", noOrders},
		"a tag switched off":                 {tags(ordersTagged, `{"type":"PII","isEnabled":false}`), "", noOrders},
		"periods in an option":               {option(`"TAG_VALIDITY_PERIODS":"[{\"startTime\":\"2025/01/01 00:00:00\"}]"`), "sales.emea.orders", noOrders},
		"no periods":                         {option(`"TAG_VALIDITY_PERIODS":""`), "sales.emea.orders", noOrders},
		"periods that are none":              {option(`"TAG_VALIDITY_PERIODS":"garbage"`), "", noOrders},
		"periods not as text":                {option(`"TAG_VALIDITY_PERIODS":[{"startTime":"2025/01/01 00:00:00"}]`), "", noOrders},
		"periods misspelt":                   {option(`"TAG_VALIDITY_PERIOD":"[{\"startTime\":\"2125/01/01 00:00:00\"}]"`), "", noOrders},
		"another option":                     {option(`"colour":"red"`), "sales.emea.orders", noOrders},
		"an unreadable time":                 {tags(ordersTagged, `{"type":"PII","validityPeriods":[{"startTime":"garbage"}]}`), "", noOrders},
		"the same in the option":             {option(`"TAG_VALIDITY_PERIODS":"[{\"startTime\":\"2025-01-01\"}]"`), "", noOrders},
	} {
		t.Run(name, func(t *testing.T) {
			const item = `[{"groups":["%s"],"accesses":[{"type":"databricks-unity-catalog:select"}]}]`
			on := `"resources":{"tag":{"values":["PII"]}},`
			s := taggedWorld(t, on+`"policyItems":`+fmt.Sprintf(item, "clerks"), tc.tags)
			if got := readable(t, s, "bob", "clerks"); got != tc.opens {
				t.Errorf("opened %q, want %q; faults %v", got, tc.opens, s.Tags.Faults)
			}
			s = taggedWorld(t, on+`"denyPolicyItems":`+fmt.Sprintf(item, "analysts"), tc.tags)
			if got := readable(t, s, "ann", "analysts"); got != tc.left {
				t.Errorf("left %q, want %q; faults %v", got, tc.left, s.Tags.Faults)
			}
			if again := verify.Snapshot(s); len(again.Tags.Faults) != len(s.Tags.Faults) {
				t.Errorf("verified twice, faults are %v, then %v", s.Tags.Faults, again.Tags.Faults)
			}
		})
	}
}

// The policies of a tag service that brings no definition are checked as all others: what is misspelt in a deny does not lose it.
func TestTagPoliciesWithoutDefinition(t *testing.T) {
	tags := `{"serviceResources":[` + ordersTagged + `],"tags":{"1":{"type":"PII"}},"resourceToTagIds":{"1":[1]}}`
	deny := func(resources, access string) string {
		name, err := json.Marshal(access)
		if err != nil {
			t.Fatal(err)
		}
		return resources + `"denyPolicyItems":[{"groups":["analysts"],"accesses":[{"type":` + string(name) + `}]}]`
	}
	const on, own = `"resources":{"tag":{"values":["PII"]}},`, "databricks-unity-catalog:"
	for name, tc := range map[string]struct{ policy, want string }{
		"understood":               {deny(on, own+"select"), "sales.emea.returns"},
		"without service":          {deny(on, "select"), "sales.emea.returns"},
		"all privileges":           {deny(on, own+"all_privileges"), "sales.emea.returns"},
		"all, without service":     {deny(on, "ALL_PRIVILEGES"), "sales.emea.returns"},
		"in other capitals":        {deny(on, "Databricks-Unity-Catalog:SELECT"), "sales.emea.returns"},
		"with other separators":    {deny(on, "databricks_unity_catalog:select"), "sales.emea.returns"},
		"another service's":        {deny(on, "hive:select"), bySales},
		"a misspelt access":        {deny(on, own+"selct"), "sales.emea.returns"},
		"and no service":           {deny(on, "selct"), "sales.emea.returns"},
		"a blank":                  {deny(on, own+" select"), "sales.emea.returns"},
		"a misspelt service":       {deny(on, "databricks-unity-catalogue:select"), "sales.emea.returns"},
		"half a service":           {deny(on, "unitycatalog:select"), "sales.emea.returns"},
		"no access":                {deny(on, own), "sales.emea.returns"},
		"a misspelt resource":      {deny(`"resources":{"tags":{"values":["PII"]}},`, own+"select"), "sales.emea.returns"},
		"in capitals":              {deny(`"resources":{"TAG":{"values":["PII"]}},`, own+"select"), "sales.emea.returns"},
		"no resource":              {deny(`"resources":{},`, own+"select"), "sales.emea.returns"},
		"resources of the service": {deny(`"resources":{"catalog":{"values":["sales"]}},`, own+"select"), "sales.emea.returns"},
		"and the tag":              {deny(`"resources":{"tag":{"values":["PII"]},"catalog":{"values":["sales"]}},`, own+"select"), "sales.emea.returns"},
		"misspelt in others":       {deny(on+`"additionalResources":[{"tags":{"values":["PII"]}}],`, own+"select"), "sales.emea.returns"},
	} {
		t.Run(name, func(t *testing.T) {
			s := taggedWorld(t, tc.policy, tags)
			if got := readable(t, s, "ann", "analysts"); got != tc.want {
				t.Errorf("left %q, want %q; faults %v", got, tc.want, faultsOf(s))
			}
		})
	}
}

// Everyone is in a role that holds the group public, for whoever asks.
func TestRoleOfEveryone(t *testing.T) {
	on := `"resources":{"tag":{"values":["PII"]}},"denyPolicyItems":[{"roles":["%s"],"accesses":[{"type":"select"}]}]`
	tags := `{"serviceResources":[` + ordersTagged + `],"tags":{"1":{"type":"PII"}},"resourceToTagIds":{"1":[1]}}`
	for role, want := range map[string]string{"everyone": "sales.emea.returns", "around": "sales.emea.returns", "nobody": bySales} {
		s := taggedWorld(t, fmt.Sprintf(on, role), tags)
		s.Roles = []ranger.Role{{Name: "everyone", Groups: []ranger.RoleMember{{Name: "public"}}}, {Name: "around", Roles: []ranger.RoleMember{{Name: "everyone"}}}, {Name: "nobody"}}
		if got := readable(t, s, "ann", "analysts"); got != want {
			t.Errorf("denied to role %s: left %q, want %q", role, got, want)
		}
	}
}

// Masks and filters by tags need no definition of the tag service either.
func TestProtectionByTagsWithoutDefinition(t *testing.T) {
	tags := `{"serviceResources":[` + ordersTagged + `],"tags":{"1":{"type":"PII"}},"resourceToTagIds":{"1":[1]}}`
	const on, item = `"resources":{"tag":{"values":["PII"]}},`, `"groups":["analysts"],"accesses":[{"type":"databricks-unity-catalog:select"}]`
	for name, tc := range map[string]struct {
		policy string
		fault  string
	}{
		"mask":                    {`"policyType":1,` + on + `"dataMaskPolicyItems":[{` + item + `,"dataMaskInfo":{"dataMaskType":"databricks-unity-catalog:MASK"}}]`, ""},
		"mask without service":    {`"policyType":1,` + on + `"dataMaskPolicyItems":[{` + item + `,"dataMaskInfo":{"dataMaskType":"MASK"}}]`, ""},
		"mask of another service": {`"policyType":1,` + on + `"dataMaskPolicyItems":[{` + item + `,"dataMaskInfo":{"dataMaskType":"hive:MASK"}}]`, ""},
		"mask that there is not":  {`"policyType":1,` + on + `"dataMaskPolicyItems":[{` + item + `,"dataMaskInfo":{"dataMaskType":"databricks-unity-catalog:BLUR"}}]`, "dataMaskPolicyItems[0].dataMaskInfo.dataMaskType"},
		"filter":                  {`"policyType":2,` + on + `"rowFilterPolicyItems":[{` + item + `,"rowFilterInfo":{"filterExpr":"a = 1"}}]`, ""},
	} {
		s := taggedWorld(t, tc.policy, tags)
		if faults := strings.Join(faultsOf(s), " "); (faults == "") != (tc.fault == "") || !strings.Contains(faults, tc.fault) {
			t.Errorf("%s: faults %q, want %q", name, faults, tc.fault)
		}
		wider := false
		for _, f := range accepted.Findings(policytest.Rules(s, rules.NameMapping{}), nil) {
			wider = wider || f.Effect == policy.EffectWider
		}
		if wider != (name == "mask of another service") {
			t.Errorf("%s: is said to be wider: %v", name, wider)
		}
	}
}

// What is not a zone's name leaves open which policies hold where.
func TestZoneWithoutName(t *testing.T) {
	s := taggedWorld(t, `"resources":{"tag":{"values":["PII"]}}`, `{}`)
	s.Zones = map[string]*ranger.SecurityZone{"": {Resources: []map[string][]string{{"catalog": {"sales"}}}}}
	for err := range verify.Zones(s) {
		if strings.Contains(err.Error(), "name of a zone is empty") {
			return
		}
	}
	t.Error("a zone without a name is accepted")
}
