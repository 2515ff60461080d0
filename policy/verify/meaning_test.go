package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/parse"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
	"ucwarden/policy/verify"
)

// What cannot be understood of a policy binds the least that it is about. Each case is a policy beside one that allows
// analysts (ann) and interns (ian) select on two tables; want lists who may then select what. u2 is in no group.
func TestWhatFaultsMean(t *testing.T) {
	const (
		on      = `"resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["orders"]}},`
		all     = "ann:orders,returns ian:orders,returns u2:"
		noIan   = "ann:orders,returns ian:returns u2:"
		nobody  = "ann:returns ian:returns u2:"
		nothing = "ann: ian: u2:"
		with2   = "ann:orders,returns ian:orders,returns u2:orders"
	)
	item := func(who string, accesses ...string) string {
		for i := range accesses {
			accesses[i] = fmt.Sprintf(`{"type":%q}`, accesses[i])
		}
		return fmt.Sprintf(`{%s,"accesses":[%s]}`, who, strings.Join(accesses, ","))
	}
	u2, interns := `"users":["u2"]`, `"groups":["interns"]`
	for name, tc := range map[string]struct{ policy, want string }{
		"understood":                          {on + `"policyItems":[` + item(u2, "select") + `]`, with2},
		"capitals":                            {on + `"policyItems":[` + item(u2, "SELECT") + `]`, with2},
		"capitals that imply":                 {on + `"policyItems":[` + item(u2, "All_Privileges") + `]`, with2},
		"an unknown access allowed":           {on + `"policyItems":[` + item(u2, "time_travel") + `]`, all},
		"beside a known one":                  {on + `"policyItems":[` + item(u2, "time_travel", "select") + `]`, with2},
		"in another item":                     {on + `"policyItems":[` + item(interns, "time_travel") + `,` + item(u2, "select") + `]`, with2},
		"an unknown access denied":            {on + `"denyPolicyItems":[` + item(interns, "time_travel") + `]`, noIan},
		"denied to somebody else":             {on + `"denyPolicyItems":[` + item(u2, "time_travel") + `]`, all},
		"excepted from an allow":              {on + `"policyItems":[` + item(u2, "select") + `],"allowExceptions":[` + item(u2, "slect") + `]`, all},
		"excepted from a deny":                {on + `"denyPolicyItems":[` + item(interns, "select") + `],"denyExceptions":[` + item(interns, "slect") + `]`, noIan},
		"an unknown mask":                     {`"policyType":1,"resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["orders"]},"column":{"values":["*"]}},"dataMaskPolicyItems":[{"groups":["interns"],"accesses":[{"type":"select"}],"dataMaskInfo":{"dataMaskType":"BLUR"}}]`, noIan},
		"a filter of the wrong kind":          {`"policyType":2,` + on + `"rowFilterPolicyItems":[{"groups":["interns"],"accesses":[{"type":"select"}],"rowFilterInfo":"a=1"}]`, noIan},
		"a filter for somebody unknown":       {`"policyType":2,` + on + `"rowFilterPolicyItems":[{"groups":"interns","accesses":[{"type":"select"}],"rowFilterInfo":{"filterExpr":"a=1"}}]`, nobody},
		"a misspelt deny":                     {on + `"denyPolicyItem":[` + item(interns, "select") + `]`, nobody},
		"a deny of the wrong kind":            {on + `"denyPolicyItems":{}`, nobody},
		"a deny item of the wrong kind":       {on + `"denyPolicyItems":["interns"]`, nobody},
		"a deny for somebody unknown":         {on + `"denyPolicyItems":[{"group":["interns"],"accesses":[{"type":"select"}]}]`, nobody},
		"a deny twice":                        {on + `"denyPolicyItems":[` + item(interns, "select") + `],"denyPolicyItems":[]`, nobody},
		"a deny under a misspelt condition":   {on + `"denyPolicyItems":[{"groups":["interns"],"accesses":[{"type":"select"}],"condition":[]}]`, noIan},
		"under one of the wrong kind":         {on + `"denyPolicyItems":[{"groups":["interns"],"accesses":[{"type":"select"}],"conditions":[{"type":"_expression","values":"false"}]}]`, noIan},
		"a name that speaks of a denial":      {on + `"denials":[]`, nobody},
		"a deny, turned":                      {on + `"policyDenyItems":[` + item(interns, "select") + `]`, nobody},
		"exceptions of nobody knows what":     {on + `"policyItems":[` + item(u2, "select") + `],"exceptions":[` + item(u2, "select") + `]`, nobody},
		"whom an allow is not for":            {on + `"policyItems":[{"users":["u2"],"exceptUsers":["u2"],"accesses":[{"type":"select"}]}]`, all},
		"whom a deny is for, too":             {on + `"denyPolicyItems":[{"users":["u2"],"notUsers":["ann"],"accesses":[{"type":"select"}]}]`, nobody},
		"denies within an allow":              {on + `"policyItems":[{"users":["u2"],"accesses":[{"type":"select"}],"denyPolicyItems":[` + item(interns, "select") + `]}]`, nobody},
		"denies among the resources":          {strings.Replace(on, `"table"`, `"denyPolicyItems":[`+item(interns, "select")+`],"table"`, 1) + `"policyItems":[` + item(u2, "select") + `]`, nothing},
		"denies within a schedule":            {on + `"validitySchedules":[{"denyPolicyItems":[` + item(interns, "select") + `]}]`, nobody},
		"masks within an allow":               {on + `"policyItems":[{"users":["u2"],"accesses":[{"type":"select"}],"dataMaskPolicyItems":[]}]`, nobody},
		"a field that says nothing":           {on + `"colour":"red","policyItems":[` + item(u2, "select") + `]`, with2},
		"a misspelt allow":                    {on + `"policyItem":[` + item(u2, "select") + `]`, all},
		"allows twice":                        {on + `"policyItems":[` + item(u2, "select") + `],"policyItems":[` + item(u2, "select") + `]`, all},
		"groups of an allow twice":            {on + `"policyItems":[{"groups":["analysts"],"groups":["interns"],"users":["u2"],"accesses":[{"type":"select"}]}]`, all},
		"users of an exception twice":         {on + `"denyPolicyItems":[` + item(interns, "select") + `],"denyExceptions":[{"groups":["x"],"groups":["interns"],"accesses":[{"type":"select"}]}]`, noIan},
		"groups of a deny twice":              {on + `"denyPolicyItems":[{"groups":["x"],"groups":["interns"],"accesses":[{"type":"select"}]}]`, nobody},
		"a user of the wrong kind":            {on + `"policyItems":[{"users":["u2",5],"accesses":[{"type":"select"}]}]`, with2},
		"an allow under a misspelt condition": {on + `"policyItems":[{"users":["u2"],"accesses":[{"type":"select"}],"condition":[]}]`, all},
		"an access switched off, misspelt":    {on + `"policyItems":[{"users":["u2"],"accesses":[{"type":"select","allowed":false}]}]`, all},
		"switched off, misspelt":              {on + `"enabled":false,"policyItems":[` + item(u2, "select") + `],"denyPolicyItems":[` + item(interns, "select") + `]`, noIan},
		"switched off, of the wrong kind":     {on + `"isEnabled":"no","denyPolicyItems":[` + item(interns, "select") + `]`, noIan},
		"switched off, and broken":            {on + `"isEnabled":false,"denyPolicyItem":[` + item(interns, "select") + `]`, all},
		"switched off and on":                 {on + `"isEnabled":true,"isEnabled":false,"policyItems":[` + item(u2, "select") + `],"denyPolicyItems":[` + item(interns, "select") + `]`, noIan},
		"a date of an allow":                  {on + `"validitySchedules":[{"endTime":"tomorrow"}],"policyItems":[` + item(u2, "select") + `]`, all},
		"a date of a deny":                    {on + `"validitySchedules":[{"endTime":"yesterday"}],"denyPolicyItems":[` + item(interns, "select") + `]`, noIan},
		"an end of the wrong kind":            {on + `"validitySchedules":[{"startTime":"2030/01/01 00:00:00","endTime":5}],"denyPolicyItems":[` + item(interns, "select") + `]`, noIan},
		"a priority":                          {on + `"policyPriority":7,"policyItems":[` + item(u2, "select") + `],"denyPolicyItems":[` + item(interns, "select") + `]`, noIan},
		"a type":                              {on + `"policyType":3,"policyItems":[` + item(u2, "select") + `]`, nobody},
		"an id, of an allow":                  {on + `"id":2,"policyItems":[` + item(u2, "select") + `]`, all},
		"an id, of a deny":                    {on + `"id":2,"denyPolicyItems":[` + item(interns, "select") + `]`, noIan},
		"a name":                              {on + `"name":5,"policyItems":[` + item(u2, "select") + `]`, with2},
		"all else denied":                     {on + `"isDenyAllElse":"yes"`, nobody},
		"resources of an allow":               {`"resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"tabel":{"values":["orders"]}},"policyItems":[` + item(u2, "select") + `]`, all},
		"resources of a deny":                 {`"resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"tabel":{"values":["orders"]}},"denyPolicyItems":[` + item(interns, "select") + `]`, "ann:orders,returns ian: u2:"},
		"above the table":                     {`"resources":{"catlog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["orders"]}},"denyPolicyItems":[` + item(interns, "select") + `]`, noIan},
		"a gap":                               {`"resources":{"catalog":{"values":["sales"]},"table":{"values":["orders"]}},"denyPolicyItems":[` + item(interns, "select") + `]`, noIan},
		"another service's names":             {`"resources":{"database":{"values":["emea"]},"table":{"values":["orders"]}},"denyPolicyItems":[` + item(interns, "select") + `]`, noIan},
		"nothing of ours":                     {`"resources":{"topic":{"values":["*"]}},"denyPolicyItems":[` + item(interns, "publish") + `]`, all},
		"nothing of ours, allowed":            {`"resources":{"topic":{"values":["*"]}},"policyItems":[` + item(u2, "select") + `]`, all},
		"resources of the wrong kind":         {`"resources":"sales","denyPolicyItems":[` + item(interns, "select") + `]`, "ann:orders,returns ian: u2:"},
		"no resources":                        {`"denyPolicyItems":[` + item(interns, "select") + `]`, "ann:orders,returns ian: u2:"},
		"no resources, and a misspelt deny":   {`"denyPolicyItem":[]`, nothing},
		"excluded, misspelt":                  {`"resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["orders"],"isExclude":true}},"denyPolicyItems":[` + item(interns, "select") + `]`, "ann:orders,returns ian: u2:"},
		"excluded from an allow":              {`"resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["orders"],"isExclude":true}},"policyItems":[` + item(u2, "select") + `]`, all},
		"no value":                            {`"resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":[]}},"denyPolicyItems":[` + item(interns, "select") + `]`, "ann:orders,returns ian: u2:"},
		"resources twice":                     {on + `"resources":{"catalog":{"values":["hr"]},"schema":{"values":["*"]},"table":{"values":["*"]}},"denyPolicyItems":[` + item(interns, "select") + `]`, "ann:orders,returns ian: u2:"},
		"resources twice, of an allow":        {`"resources":{"catalog":{"values":["hr"]},"schema":{"values":["*"]},"table":{"values":["*"]}},` + on + `"policyItems":[` + item(u2, "select") + `]`, all},
		"an additional resource":              {on + `"additionalResources":[{"catalog":{"values":["sales"]},"schemma":{"values":["emea"]}}],"denyPolicyItems":[` + item(interns, "select") + `]`, "ann:orders,returns ian: u2:"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := snapshotOf(`{"policies":[
				{"id":1,"name":"both","resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["orders","returns"]}},"policyItems":[{"groups":["analysts","interns"],"accesses":[{"type":"select"}]}]},
				{"id":2,` + tc.policy + `}]}`)
			if err != nil {
				t.Fatal(err)
			}
			rs := policytest.Rules(s, rules.NameMapping{})
			e := evaluate.New(rs)
			var got []string
			for _, who := range []struct {
				user   string
				groups []string
			}{{"ann", []string{"analysts"}}, {"ian", []string{"interns"}}, {"u2", nil}} {
				var may []string
				for _, table := range []string{"orders", "returns"} {
					if e.Evaluate(evaluate.Request{User: who.user, Groups: who.groups, AccessType: "select", Resource: policytest.Asked("catalog=sales schema=emea table=" + table)}).Allowed() {
						may = append(may, table)
					}
				}
				got = append(got, who.user+":"+strings.Join(may, ","))
			}
			if text := strings.Join(got, " "); text != tc.want {
				t.Errorf("got  %s\nwant %s\nfaults %v", text, tc.want, faultsOf(s))
			}
			for p, f := range s.Faults {
				if !p.Enabled() {
					continue
				}
				if !slices.ContainsFunc(accepted.Findings(rs, nil), func(found policy.Finding) bool {
					return found.PolicyID == 2 && strings.HasPrefix(found.Message, f.Field+" cannot be understood")
				}) {
					t.Errorf("no finding of %s in %v", f, accepted.Findings(rs, nil))
				}
			}
		})
	}
}

// In a file, which no newer server wrote, any field that Ranger's model does not have takes its policy out, and closes what that
// is about. That there is no end of them hides nothing that closes more.
func TestWhatFaultsOfFilesMean(t *testing.T) {
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, `"colour%d":1,`, i)
	}
	allow := `"resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["%s"]}},"policyItems":[{"groups":["analysts"],"accesses":[{"type":"select"}]}]`
	orders, returns := fmt.Sprintf(allow, "orders"), fmt.Sprintf(allow, "returns")
	deny := `"denyPolicyItems":[{"groups":["analysts"],"accesses":[{"type":"select"}]}]`
	for name, tc := range map[string]struct{ second, want string }{
		"a field far from any": {`"colour":1,` + orders, "returns"},
		"in its item":          {strings.Replace(orders, `"groups"`, `"colour":1,"groups"`, 1), "orders,returns"},
		"in a deny":            {strings.Replace(orders[:strings.Index(orders, `"policyItems"`)]+deny, `"groups"`, `"colour":1,"groups"`, 1), "returns"},
		"whom a deny is for":   {strings.Replace(orders[:strings.Index(orders, `"policyItems"`)]+deny, `"groups"`, `"people"`, 1), "returns"},
		"what a deny is for":   {strings.Replace(orders[:strings.Index(orders, `"policyItems"`)]+deny, `"accesses"`, `"rights"`, 1), "returns"},
		"and for whom else":    {strings.Replace(orders[:strings.Index(orders, `"policyItems"`)]+deny, `"groups":["analysts"]`, `"users":["u2"],"people":["ann"]`, 1), "returns"},
		"many":                 {many.String() + orders, "returns"},
		"many, and about two":  {many.String() + strings.Replace(orders, `"policyItems"`, `"resources":{"catalog":{"values":["x"]},"schema":{"values":["x"]},"table":{"values":["x"]}},"policyItems"`, 1), ""},
	} {
		list, _, err := parse.Policies([]byte(`{"policies":[{"id":1,`+strings.Replace(orders, `["orders"]`, `["orders","returns"]`, 1)+`},{"id":2,`+tc.second+`},{"id":3,`+returns+`}]}`), "f.json")
		if err != nil {
			t.Fatal(err)
		}
		s, err := ranger.NewSnapshot(ranger.SnapshotInput{Policies: &ranger.ServicePolicies{Policies: list}})
		if err != nil {
			t.Fatal(err)
		}
		s = verify.Snapshot(s)
		e := evaluate.New(policytest.Rules(s, rules.NameMapping{}))
		var may []string
		for _, table := range []string{"orders", "returns"} {
			if e.Evaluate(evaluate.Request{User: "ann", Groups: []string{"analysts"}, AccessType: "select", Resource: policytest.Asked("catalog=sales schema=emea table=" + table)}).Allowed() {
				may = append(may, table)
			}
		}
		if got := strings.Join(may, ","); got != tc.want {
			t.Errorf("%s: %q, want %q; faults %v", name, got, tc.want, faultsOf(s))
		}
	}
}

// What a deny is about stays closed, where it is not known, by a service definition too whose names know no wildcards: '*' is
// an ordinary name there.
func TestFaultsWithoutWildcards(t *testing.T) {
	for _, resource := range []string{"catalog", "schema", "table"} {
		t.Run(resource, func(t *testing.T) {
			s, err := snapshotOf(`{"policies":[
				{"id":1,"name":"all","resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["orders"]}},"policyItems":[{"groups":["public"],"accesses":[{"type":"select"}]}]},
				{"id":2,"name":"none","resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["returns"]}},"denyPolicyItems":[{"groups":["public"],"accesses":[{"type":"select"}]}]}]}`)
			if err != nil {
				t.Fatal(err)
			}
			def := *s.ServiceDef
			def.Resources = slices.Clone(def.Resources)
			for i := range def.Resources {
				def.Resources[i].MatcherOptions = ranger.OptionMap{"wildCard": "false"}
			}
			s.ServiceDef = &def
			asked := evaluate.Request{User: "ann", AccessType: "select", Resource: policytest.Asked("catalog=sales schema=emea table=orders")}
			if !evaluate.New(policytest.Rules(s, rules.NameMapping{})).Evaluate(asked).Allowed() {
				t.Fatal("denied without a fault")
			}
			s.Policies[1].Resources[resource] = ranger.PolicyResource{Values: []string{"other"}}
			s.Policies[1].Resources["table"] = ranger.PolicyResource{Values: []string{"orders"}}
			s.Policies[1].Faults = []ranger.Fault{{Field: "resources." + resource, Reason: "it was made up"}}
			if d := evaluate.New(policytest.Rules(s, rules.NameMapping{})).Evaluate(asked); d.Allowed() {
				t.Errorf("allowed, where the deny may be about it: %s", d)
			}
		})
	}
}

// An allow that overrides a deny by tags, in a policy that also denies, stands only where another policy follows that is about the
// same resource. One that may be off, or that may be about something else, does not make it stand.
func TestFaultyPolicyConfirmsNoOverride(t *testing.T) {
	const onOrders = `"resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["orders"]}}`
	for following, want := range map[string]bool{
		`"isEnabled":false`: false,
		`"isEnabled":true`:  true,
		`"enabled":false`:   false,
		`"validitySchedules":[{"endTime":"yesterday"}]`: false,
	} {
		s, err := snapshotOf(`{"policies":[
			{"id":1,"name":"override","policyPriority":1,` + onOrders + `,"policyItems":[{"users":["ann"],"accesses":[{"type":"select"}]}],"denyPolicyItems":[{"users":["bob"],"accesses":[{"type":"select"}]}]},
			{"id":2,"name":"following",` + following + `,"isDenyAllElse":true,` + onOrders + `}]}`)
		if err != nil {
			t.Fatal(err)
		}
		s.Tags = &ranger.ServiceTags{Tags: map[string]ranger.Tag{"1": {ID: 1, Type: "PII"}}, ResourceToTagIDs: map[string][]int64{"1": {1}},
			ServiceResources: []ranger.ServiceResource{{ID: 1, ResourceElements: policytest.Resources("catalog=sales schema=emea table=orders")}}}
		s.TagPolicies = &ranger.TagPolicies{ServiceDef: &ranger.ServiceDef{Name: "tag", Resources: []ranger.ResourceDef{{Name: "tag"}}},
			Policies: []ranger.Policy{{ID: 9, Name: "pii", Resources: policytest.Resources("tag=PII"),
				DenyPolicyItems: []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "select"}}, Groups: []string{"public"}}}}}}
		asked := evaluate.Request{User: "ann", AccessType: "select", Resource: policytest.Asked("catalog=sales schema=emea table=orders")}
		if d := evaluate.New(policytest.Rules(s, rules.NameMapping{})).Evaluate(asked); d.Allowed() != want {
			t.Errorf("with a policy that follows of %s: %s", following, d)
		}
	}
}

// Of policies of which one cannot be understood, the others hold as without it: it never allows more than it would if it were
// understood, takes nothing from the others where it denies nothing, and is never silent.
func TestOneFaultyPolicyAmongMany(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	closing := 0
	policytest.CheckWorlds(t, 1500, func(t *rapid.T) {
		w := policytest.DrawOddWorld(t)
		s := *w.Snapshot
		for i := range s.Policies {
			s.Policies[i].Faults = nil
		}
		if len(s.Policies) == 0 {
			t.Skip("no policies")
		}
		i := rapid.IntRange(0, len(s.Policies)-1).Draw(t, "faulty")
		fault := policytest.DrawFault(t)
		faulty, without := s, s
		faulty.Policies, without.Policies = slices.Clone(s.Policies), slices.Delete(slices.Clone(s.Policies), i, i+1)
		p := &faulty.Policies[i]
		p.Faults = []ranger.Fault{fault}
		restricts := p.IsDenyAllElse || len(p.DenyPolicyItems)+len(p.DataMaskPolicyItems)+len(p.RowFilterPolicyItems) > 0 || p.PolicyType != 0
		rs := policytest.Rules(&faulty, policytest.Names)
		found := !p.Enabled() && !strings.Contains(fault.Known, "isEnabled")
		closes := false
		for _, f := range accepted.Findings(rs, nil) {
			if f.PolicyID == p.ID && strings.HasPrefix(f.Message, fault.Field+" cannot be understood") {
				found, closes = true, strings.Contains(f.Message, "denied")
			}
		}
		if !found {
			t.Fatalf("no finding of %s: %v", fault, accepted.Findings(rs, nil))
		}
		if closes {
			closing++
		}
		f, c, o := evaluate.New(rs), evaluate.New(policytest.Rules(&s, policytest.Names)), evaluate.New(policytest.Rules(&without, policytest.Names))
		for _, person := range w.Persons(w.GroupsOf) {
			if person.User == "" {
				continue
			}
			for _, object := range slices.Concat(w.Listed, w.Future) {
				r := evaluate.Request{User: person.User, Groups: person.Groups, Roles: person.Roles, AccessType: "select", Resource: policytest.ResourceOf(object), Time: now}
				allowed := f.Evaluate(r).Allowed()
				if allowed && !c.Evaluate(r).Allowed() {
					t.Fatalf("%s on %s: allowed with the fault %s alone: %s", person.Name, object.Securable, fault, f.Evaluate(r))
				}
				if !allowed && !closes && !restricts && o.Evaluate(r).Allowed() {
					t.Fatalf("%s on %s: denied with the fault %s, allowed without the policy: %s", person.Name, object.Securable, fault, f.Evaluate(r))
				}
			}
		}
	})
	if closing == 0 {
		t.Error("no world in which a fault closes something")
	}
}

// A policy of which nobody knows whether it is in force ends no evaluation: what a tag allowed, policies after it may deny.
func TestOfUnknownForceConfirmsNothing(t *testing.T) {
	const on = `"resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["orders"]}},`
	for first, want := range map[string]bool{
		`"isEnabled":true`: true, `"isEnabled":false`: false, `"enabled":false`: false, `"isEnabled":"no"`: false, `"validitySchedules":[{"endTime":"then"}]`: false,
		`"condition":[]`: false, `"zoneName":5`: false, `"policyItem":[]`: true, `"description":5`: true,
	} {
		for _, second := range []string{`"isDenyAllElse":true`, `"denyPolicyItems":[{"users":["u2"],"accesses":[{"type":"select"}]}]`} {
			s, err := snapshotOf(`{"policies":[{"id":1,"name":"a","policyPriority":1,` + on + first + `},{"id":2,"name":"b",` + on + second + `}],
				"tagPolicies":{"serviceName":"t","policies":[{"id":3,"resources":{"tag":{"values":["PII"]}},"policyItems":[{"users":["u2"],"accesses":[{"type":"databricks-unity-catalog:select"}]}]}]}}`)
			if err != nil {
				t.Fatal(err)
			}
			d := evaluate.New(policytest.Rules(s, rules.NameMapping{})).Evaluate(evaluate.Request{User: "u2", AccessType: "select",
				Resource: policytest.Asked("catalog=sales schema=emea table=orders"), Tags: []evaluate.RequestTag{{Type: "PII"}}})
			if d.Allowed() != want {
				t.Errorf("%s, then %s: %s, want %v", first, second, d, want)
			}
		}
	}
}

func FuzzFaults(f *testing.F) {
	f.Add([]byte(policyDoc(`"resources":{"catalog":"x","schema":{"values":[5]}},"denyPolicyItems":[{"groups":5}]`)))
	f.Add([]byte(policyDoc(onCat + `,"denyPolicyItem":[],"policyItems":[{"accesses":[{"type":"SELECT"},{"type":5}]}],"policyItems":"x"`)))
	f.Add([]byte(policyDoc(onCat + `,"policyType":"x","additionalResources":[{"tabel":{}}],"isDenyAllElse":1`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := parse.ServicePolicies(data, "f.json")
		if err != nil {
			return
		}
		s, err := ranger.NewSnapshot(ranger.SnapshotInput{Policies: doc})
		if err != nil {
			return
		}
		again := verify.Snapshot(verify.Snapshot(s))
		n := 0
		for range again.Faults {
			n++
		}
		for range verify.Snapshot(s).Faults {
			n--
		}
		if n != 0 {
			t.Errorf("verified twice, there are %d faults more", n)
		}
		e := evaluate.New(policytest.Rules(again, rules.NameMapping{}))
		e.Evaluate(evaluate.Request{User: "ann", Resource: policytest.Asked("catalog=sales schema=a table=b")})
	})
}

// A deny of which it cannot be understood what zone it is for holds in every zone and outside, whichever list it is in, and is said once.
func TestFaultsOfZoneNames(t *testing.T) {
	const on = `"resources":{"catalog":{"values":["sales"]},"schema":{"values":["emea"]},"table":{"values":["*"]}},`
	item := `[{"groups":["analysts"],"accesses":[{"type":"select"}]}]`
	for zoneName, everywhere := range map[string]bool{`"zoneName":5`: true, `"zone":"z"`: true, `"zonename":"z"`: true, `"zoneName":""`: false} {
		deny := `{"id":9,` + zoneName + `,` + on + `"denyPolicyItems":` + item + `}`
		for _, in := range []string{"", "z", "y"} {
			lists := map[string]string{"": `{"id":1,` + on + `"policyItems":` + item + `}`}
			for _, zone := range []string{"z", "y"} {
				lists[zone] = fmt.Sprintf(`{"id":%d,`, 2+len(lists)) + on + `"policyItems":` + item + `}`
			}
			lists[in] += "," + deny
			zone := func(name, table string) string {
				return `"` + name + `":{"zoneName":"` + name + `","resources":[{"catalog":["sales"],"schema":["emea"],"table":["` + table + `"]}],"policies":[` + lists[name] + `]}`
			}
			s, err := snapshotOf(`{"policies":[` + lists[""] + `],"securityZones":{` + zone("z", "orders") + `,` + zone("y", "returns") + `}}`)
			if err != nil {
				t.Fatal(err)
			}
			rs := policytest.Rules(s, rules.NameMapping{})
			e, denied := evaluate.New(rs), ""
			for zone, table := range map[string]string{"": "other", "z": "orders", "y": "returns"} {
				d := e.Evaluate(evaluate.Request{User: "ann", Groups: []string{"analysts"}, AccessType: "select", Resource: policytest.Asked("catalog=sales schema=emea table=" + table)})
				if want := !everywhere && zone != in; d.Allowed() != want {
					denied += fmt.Sprintf(" %s: %s", table, d)
				}
			}
			said := 0
			for _, f := range accepted.Findings(rs, nil) {
				if strings.Contains(f.Message, "cannot be understood") {
					said++
				}
			}
			if denied != "" || said != map[bool]int{true: 1}[everywhere] {
				t.Errorf("%s in the list of %q: said %d times, wrong%s", zoneName, in, said, denied)
			}
		}
	}
}
