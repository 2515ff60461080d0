package evaluate

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/match"
	"ucwarden/policy/parse"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// evaluatorOf prepares a document with policies for def; nil is the Unity Catalog service.
func evaluatorOf(t testing.TB, def *ranger.ServiceDef, doc string) *Evaluator {
	t.Helper()
	p, err := parse.ServicePolicies([]byte(doc), "test.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ranger.NewSnapshot(ranger.SnapshotInput{Policies: p, ServiceDef: def})
	if err != nil {
		t.Fatal(err)
	}
	e := New(policytest.Rules(s, rules.NameMapping{}))
	return e
}

const onC = `"resources":{"catalog":{"values":["c"]}}`

func item(access, who string) string {
	return fmt.Sprintf(`{"accesses":[{"type":%q}],%s}`, access, who)
}

func TestDecisions(t *testing.T) {
	ann, all := `"users":["ann"]`, `"groups":["public"]`
	unknownCondition := `,"conditions":[{"type":"moon"}]`
	for name, tc := range map[string]struct {
		policies string
		request  Request
		want     string
	}{
		"nothing": {``, Request{User: "ann"}, "undetermined: no policy decides"},
		"deny of another policy of the same priority": {
			`{"id":1,"name":"a","priority":0,` + onC + `,"policyItems":[` + item("select", all) + `],"denyPolicyItems":[` + item("modify", `"users":["bob"]`) + `]},
			 {"id":2,"name":"b",` + onC + `,"denyPolicyItems":[` + item("select", ann) + `]}`,
			Request{User: "ann"}, `denied by policy 2 "b", denyPolicyItems[0] for select to user ann`},
		"deny of lower priority": {
			`{"id":1,"name":"a","policyPriority":1,` + onC + `,"policyItems":[` + item("select", ann) + `]},
			 {"id":2,"name":"b",` + onC + `,"denyPolicyItems":[` + item("select", all) + `]}`,
			Request{User: "ann"}, `allowed by policy 1 "a", policyItems[0] for select to user ann`},
		"an exception to an allow under an unknown condition": {
			`{"id":1,"name":"a",` + onC + `,"policyItems":[` + item("select", all) + `],"allowExceptions":[{"accesses":[{"type":"select"}],` + ann + unknownCondition + `}]}`,
			Request{User: "ann"}, "undetermined: no policy decides"},
		"an exception to a deny under an unknown condition": {
			`{"id":1,"name":"a",` + onC + `,"denyPolicyItems":[` + item("select", all) + `],"denyExceptions":[{"accesses":[{"type":"select"}],` + ann + unknownCondition + `}]}`,
			Request{User: "ann"}, `denied by policy 1 "a", denyPolicyItems[0] for select to everyone`},
		"an exception ends the search among its items": {
			`{"id":1,"name":"a",` + onC + `,"policyItems":[` + item("select", all) + `,` + item("select", ann) + `],"allowExceptions":[` + item("select", ann) + `]}`,
			Request{User: "ann"}, "undetermined: no policy decides"},
		"an access switched off": {
			`{"id":1,"name":"a",` + onC + `,"policyItems":[{"accesses":[{"type":"select","isAllowed":false}],` + all + `}]}`,
			Request{User: "ann"}, "undetermined: no policy decides"},
		"an empty user name is nobody": {
			`{"id":1,"name":"a",` + onC + `,"policyItems":[` + item("select", `"users":[""]`) + `]}`,
			Request{User: ""}, "undetermined: no policy decides"},
		"access type in another case": {
			`{"id":1,"name":"a",` + onC + `,"policyItems":[` + item("select", ann) + `]}`,
			Request{User: "ann", AccessType: "SELECT"}, `allowed by policy 1 "a", policyItems[0] for SELECT to user ann`},
		"delegated administration": {
			`{"id":1,"name":"a",` + onC + `,"policyItems":[{"delegateAdmin":true,"accesses":[{"type":"select"}],` + ann + `}]}`,
			Request{User: "ann", AccessType: "_admin"}, `allowed by policy 1 "a", policyItems[0] for _admin to user ann`},
		"one of several access types": {
			`{"id":1,"name":"a",` + onC + `,"policyItems":[` + item("modify", ann) + `]}`,
			Request{User: "ann", AccessTypes: []string{"select", "modify"}}, `allowed by policy 1 "a", policyItems[0] for modify to user ann`},
		"each of several access types": {
			`{"id":1,"name":"a",` + onC + `,"policyItems":[` + item("modify", ann) + `]}`,
			Request{User: "ann", AccessTypes: []string{"select", "modify"}, AccessGroups: [][]string{{"select"}, {"modify"}}}, "undetermined: no policy decides"},
		"each of several access types, one optional": {
			`{"id":1,"name":"a",` + onC + `,"policyItems":[` + item("modify", ann) + `]}`,
			Request{User: "ann", AccessTypes: []string{"select", "modify"}, AccessGroups: [][]string{{"select"}, {"modify"}}, Optional: []string{"select"}},
			`allowed by policy 1 "a", policyItems[0] for modify to user ann`},
		"an optional access type denied": {
			`{"id":1,"name":"a",` + onC + `,"policyItems":[` + item("modify", ann) + `],"denyPolicyItems":[` + item("select", all) + `]}`,
			Request{User: "ann", AccessTypes: []string{"select", "modify"}, AccessGroups: [][]string{{"select"}, {"modify"}}, Optional: []string{"select"}},
			`denied by policy 1 "a", denyPolicyItems[0] for select to everyone`},
		"several access types by priority": {
			`{"id":1,"name":"a","policyPriority":1,` + onC + `,"denyPolicyItems":[` + item("modify", all) + `]},
			 {"id":2,"name":"b",` + onC + `,"policyItems":[` + item("select", ann) + `,` + item("modify", ann) + `]}`,
			Request{User: "ann", AccessTypes: []string{"select", "modify"}, AccessGroups: [][]string{{"select"}, {"modify"}}},
			`denied by policy 1 "a", denyPolicyItems[0] for modify to everyone`},
		"several access types, an allow of higher priority before a deny": {
			`{"id":1,"name":"a","policyPriority":1,` + onC + `,"policyItems":[` + item("select", ann) + `]},
			 {"id":2,"name":"b",` + onC + `,"policyItems":[` + item("modify", ann) + `],"denyPolicyItems":[` + item("select", all) + `]}`,
			Request{User: "ann", AccessTypes: []string{"select", "modify"}, AccessGroups: [][]string{{"select"}, {"modify"}}},
			`allowed by policy 1 "a", policyItems[0] for select to user ann`},
		"a deny below is ignored": {
			`{"id":1,"name":"a","resources":{"catalog":{"values":["c"]},"schema":{"values":["s"]}},"denyPolicyItems":[` + item("select", all) + `]},
			 {"id":2,"name":"b",` + onC + `,"policyItems":[` + item("select", ann) + `]}`,
			Request{User: "ann", Descendant: true}, `allowed by policy 2 "b", policyItems[0] for select to user ann`},
		"a deny below is heeded when asked": {
			`{"id":1,"name":"a","resources":{"catalog":{"values":["c"]},"schema":{"values":["s"]}},"denyPolicyItems":[` + item("select", all) + `]},
			 {"id":2,"name":"b",` + onC + `,"policyItems":[` + item("select", ann) + `]}`,
			Request{User: "ann", Descendant: true, CountDescendantDeny: true}, `denied by policy 1 "a", denyPolicyItems[0] for select to everyone`},
		"owner": {`{"id":1,"name":"a",` + onC + `,"policyItems":[` + item("select", `"users":["{OWNER}"]`) + `]}`,
			Request{User: "ann", Owner: "ann"}, `allowed by policy 1 "a", policyItems[0] for select to owner ann`},
		"group": {`{"id":1,"name":"a",` + onC + `,"policyItems":[` + item("select", `"groups":["x","g"]`) + `]}`,
			Request{User: "ann", Groups: []string{"f", "g"}}, `allowed by policy 1 "a", policyItems[0] for select to group g`},
		"role that the request brings": {`{"id":1,"name":"a",` + onC + `,"policyItems":[` + item("select", `"roles":["r"]`) + `]}`,
			Request{User: "ann", Roles: []string{"q", "r"}}, `allowed by policy 1 "a", policyItems[0] for select to role r`},
	} {
		t.Run(name, func(t *testing.T) {
			e := evaluatorOf(t, nil, `{"policies":[`+tc.policies+`]}`)
			tc.request.Resource = policytest.Asked("catalog=c")
			if tc.request.AccessType == "" {
				tc.request.AccessType = "select"
			}
			if got := e.Evaluate(tc.request).String(); got != tc.want {
				t.Errorf("%s\nwant %s", got, tc.want)
			}
		})
	}
}

// Without the option a policy on a container says nothing about what is inside, as in Ranger.
func TestInheritanceIsAnOption(t *testing.T) {
	for _, inherit := range []string{"true", "false"} {
		def := *ranger.DefaultServiceDef()
		def.Options = ranger.OptionMap{ranger.OptionInheritAccess: inherit}
		e := evaluatorOf(t, &def, `{"policies":[{"id":1,`+onC+`,"policyItems":[`+item("select", `"users":["ann"]`)+`]}]}`)
		d := e.Evaluate(Request{User: "ann", AccessType: "select", Resource: policytest.Asked("catalog=c schema=s table=t")})
		if d.Allowed() != (inherit == "true") {
			t.Errorf("inheritAccess %s: %s", inherit, d)
		}
		acls := e.ResourceACLs(Request{Resource: policytest.Asked("catalog=c schema=s table=t")})
		if entry := acls.Users["ann"]["select"]; (entry.Result == ACLAllowed) != (inherit == "true") {
			t.Errorf("inheritAccess %s: the ACLs say %s", inherit, entry.Result)
		}
	}
}

func TestNestedRolesAndCycles(t *testing.T) {
	roles := func(edges ...string) []ranger.Role {
		byName := map[string]*ranger.Role{}
		var order []string
		for _, e := range edges {
			member, role, _ := strings.Cut(e, ">")
			if byName[role] == nil {
				byName[role] = &ranger.Role{Name: role}
				order = append(order, role)
			}
			byName[role].Roles = append(byName[role].Roles, ranger.RoleMember{Name: member})
		}
		list := []ranger.Role{{Name: "a", Users: []ranger.RoleMember{{Name: "ann"}}}}
		for _, name := range order {
			if name == "a" {
				list[0].Roles = byName[name].Roles
				continue
			}
			list = append(list, *byName[name])
		}
		return list
	}
	chain := make([]string, 2000)
	for i := range chain {
		chain[i] = fmt.Sprintf("r%d>r%d", i, i+1)
	}
	for name, tc := range map[string]struct {
		roles []ranger.Role
		want  []string
	}{
		"four deep":  {roles("a>b", "b>c", "c>d", "x>y"), []string{"a", "b", "c", "d"}},
		"cycle":      {roles("a>b", "b>c", "c>a"), []string{"a", "b", "c"}},
		"self":       {roles("a>a"), []string{"a"}},
		"long chain": {roles(append([]string{"a>r0"}, chain...)...), nil},
	} {
		rs, err := rules.New(&ranger.Snapshot{Roles: tc.roles}, rules.Options{})
		if err != nil {
			t.Fatal(name, err)
		}
		var got []string
		for _, r := range rs.Members.RolesOf(rs.Subjects.ID(rules.SubjectUser, "ann")) {
			got = append(got, rs.Subjects.Of(r).Name)
		}
		slices.Sort(got)
		if tc.want == nil {
			if len(got) != len(chain)+2 {
				t.Errorf("%s: %d roles, want %d", name, len(got), len(chain)+2)
			}
		} else if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	deep := make([]ranger.Role, 4000)
	for i := range deep {
		deep[i] = ranger.Role{Name: fmt.Sprint(i), Users: []ranger.RoleMember{{Name: "ann"}}, Roles: []ranger.RoleMember{{Name: fmt.Sprint(i + 1)}}}
	}
	if _, err := rules.New(&ranger.Snapshot{Roles: deep}, rules.Options{}); policy.CodeOf(err) != policy.CodeTooLarge {
		t.Errorf("a chain of 4000 roles, each with a member: error %v, want class too large", err)
	}
}

// TestMembershipFromUserStore: a request without groups takes those of the user store, and a role through them.
func TestMembershipFromUserStore(t *testing.T) {
	doc, err := parse.ServicePolicies([]byte(`{"policies":[{"id":1,"name":"a",`+onC+`,"policyItems":[`+item("select", `"roles":["boss"]`)+`]}]}`), "f")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ranger.NewSnapshot(ranger.SnapshotInput{Policies: doc,
		Users: &ranger.UserStore{UserGroupMapping: map[string][]string{"ann": {"x", "staff"}}},
		Roles: &ranger.ServiceRoles{RangerRoles: []ranger.Role{{Name: "reader", Groups: []ranger.RoleMember{{Name: "staff"}}}, {Name: "boss", Roles: []ranger.RoleMember{{Name: "reader"}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := New(policytest.Rules(s, rules.NameMapping{}))
	r := Request{User: "ann", AccessType: "select", Resource: policytest.Asked("catalog=c")}
	if got, want := e.Evaluate(r).Subject.String(), "role boss via group staff"; got != want {
		t.Errorf("subject %q, want %q", got, want)
	}
	r.Groups = []string{}
	if d := e.Evaluate(r); d.Allowed() {
		t.Errorf("with groups of its own, none: %s", d)
	}
}

func TestZonesOfContainers(t *testing.T) {
	e := evaluatorOf(t, nil, `{"policies":[{"id":1,"name":"outside","resources":{"catalog":{"values":["hr"]}},"policyItems":[`+item("select", `"users":["ann"]`)+`]}],
		"securityZones":{"pay":{"resources":[{"catalog":["hr"],"schema":["pay*"]}],"policies":[{"id":2,"name":"inside",
		"resources":{"catalog":{"values":["hr"]},"schema":{"values":["payroll"]}},"policyItems":[`+item("select", `"users":["bob"]`)+`]}]}}}`)
	for _, tc := range []struct{ user, access, resource, want string }{
		{"ann", "select", "catalog=hr", `allowed by policy 1 "outside", policyItems[0] for select to user ann`}, // partly in a zone: the policies outside
		{"ann", "", "catalog=hr", `allowed by policy 1 "outside", policyItems[0] for select to user ann`},
		{"bob", "", "catalog=hr", `allowed by policy 2 "inside", policyItems[0] for select to user bob, in zone pay`},
		{"bob", "select", "catalog=hr", "undetermined: no policy decides"},
		{"bob", "select", "catalog=hr schema=payroll table=t", `allowed by policy 2 "inside", policyItems[0] for select to user bob, in zone pay`},
		{"ann", "select", "catalog=hr schema=payroll table=t", "undetermined: no policy decides"},
		{"bob", "", "", `allowed by policy 2 "inside", policyItems[0] for select to user bob, in zone pay`},
	} {
		d := e.Evaluate(Request{User: tc.user, AccessType: tc.access, Resource: policytest.Asked(tc.resource)})
		if got := d.String(); got != tc.want {
			t.Errorf("%s %q on %q: %s\nwant %s", tc.user, tc.access, tc.resource, got, tc.want)
		}
	}
}

func TestTagsBelowCountForAnyAccessOnly(t *testing.T) {
	e := evaluatorOf(t, nil, `{"policies":[{"id":1,"name":"a",`+onC+`,"policyItems":[`+item("select", `"users":["ann"]`)+`]}]}`)
	s := *e.rules.Snapshot
	s.Tags = &ranger.ServiceTags{Tags: map[string]ranger.Tag{"1": {ID: 1, Type: "OPEN"}}, ResourceToTagIDs: map[string][]int64{"1": {1}},
		ServiceResources: []ranger.ServiceResource{{ID: 1, ResourceElements: policytest.Resources("catalog=d schema=s table=t")}}}
	s.TagPolicies = &ranger.TagPolicies{ServiceDef: &ranger.ServiceDef{Name: "tag", Resources: []ranger.ResourceDef{{Name: "tag"}}},
		Policies: []ranger.Policy{{ID: 9, Name: "open", Resources: policytest.Resources("tag=OPEN"), PolicyItems: []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "select"}}, Groups: []string{"public"}}}}}}
	e = New(policytest.Rules(&s, rules.NameMapping{}))
	for resource, want := range map[string][2]int64{ // by access: select, any
		"catalog=d": {-1, 9}, "catalog=d schema=s table=t": {9, 9}, "catalog=d schema=s table=t column=c": {9, 9}, "catalog=d schema=x": {-1, -1},
	} {
		for i, access := range []string{"select", ""} {
			if d := e.Evaluate(Request{User: "bob", AccessType: access, Resource: policytest.Asked(resource)}); d.PolicyID() != want[i] {
				t.Errorf("%q on %s: %s, want policy %d", access, resource, d, want[i])
			}
		}
	}
}

// reference says what policies mean in the plainest way: priority by priority, a deny without exception denies, else an
// allow without exception allows.
func reference(policies []ranger.Policy, model *rules.Model, inherit bool, r Request) Outcome {
	applies := func(items []ranger.PolicyItem) bool {
		return slices.ContainsFunc(items, func(i ranger.PolicyItem) bool {
			return (slices.Contains(i.Users, r.User) || slices.Contains(i.Groups, rules.GroupPublic)) && slices.ContainsFunc(i.Accesses, func(a ranger.ItemAccess) bool { return slices.Contains(model.ImpliedBy(a.Type), r.AccessType) })
		})
	}
	var path match.Path
	path.Set(model.Forest(ranger.PolicyTypeAccess), r.Resource)
	for _, priority := range []int{1, 0} {
		allowed := false
		for i := range policies {
			p := &policies[i]
			matcher, _ := match.New(model.Forest(ranger.PolicyTypeAccess), p.Resources, nil)
			m := matcher.Match(path.Elements, nil, false)
			if p.PolicyPriority != priority || m != match.Self && m != match.SelfAndAllDescendants && !(m == match.Ancestor && inherit) {
				continue
			}
			denies := applies(p.DenyPolicyItems) && !applies(p.DenyExceptions)
			allows := applies(p.PolicyItems) && !applies(p.AllowExceptions)
			if denies || p.IsDenyAllElse && !allows {
				return Denied
			}
			allowed = allowed || allows
		}
		if allowed {
			return Allowed
		}
	}
	return Undetermined
}

func TestEvaluatorAgreesWithReference(t *testing.T) {
	items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ranger.PolicyItem {
		i := ranger.PolicyItem{Accesses: []ranger.ItemAccess{{Type: rapid.SampledFrom([]string{"select", "update", "all"}).Draw(t, "access")}}}
		if who := rapid.SampledFrom([]string{"ann", "bob", rules.GroupPublic}).Draw(t, "who"); who == rules.GroupPublic {
			i.Groups = []string{who}
		} else {
			i.Users = []string{who}
		}
		return i
	}), 0, 2)
	policies := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ranger.Policy {
		p := ranger.Policy{Resources: map[string]ranger.PolicyResource{}, PolicyPriority: rapid.SampledFrom([]int{0, 0, 1}).Draw(t, "priority")}
		for _, level := range []string{"database", "table", "column"}[:rapid.IntRange(1, 3).Draw(t, "depth")] {
			p.Resources[level] = ranger.PolicyResource{Values: []string{rapid.SampledFrom([]string{"a", "b", "*", "a*"}).Draw(t, level)}, IsExcludes: rapid.IntRange(0, 9).Draw(t, "excludes") == 0}
		}
		p.PolicyItems, p.DenyPolicyItems = items.Draw(t, "allow"), items.Draw(t, "deny")
		p.AllowExceptions, p.DenyExceptions = items.Draw(t, "allowExceptions"), items.Draw(t, "denyExceptions")
		p.IsDenyAllElse = rapid.IntRange(0, 9).Draw(t, "denyAllElse") == 0
		return p
	}), 0, 5)
	rapid.Check(t, func(t *rapid.T) {
		inherit := rapid.Bool().Draw(t, "inherit")
		def := policytest.HiveLike("")
		def.Options = ranger.OptionMap{ranger.OptionInheritAccess: strconv.FormatBool(inherit)}
		model := rules.NewModel(def)
		list := policies.Draw(t, "policies")
		e := New(policytest.Rules(&ranger.Snapshot{ServiceDef: def, Policies: list}, rules.NameMapping{}))
		r := Request{User: rapid.SampledFrom([]string{"ann", "bob", "cy"}).Draw(t, "user"), AccessType: rapid.SampledFrom([]string{"select", "update"}).Draw(t, "access")}
		r.Resource = policytest.Asked(rapid.SampledFrom([]string{"database=a", "database=a table=b", "database=b table=a column=ab", "database=c table=a column=c"}).Draw(t, "resource"))
		if got, want := e.Evaluate(r), reference(list, model, inherit, r); got.Outcome != want {
			doc, _ := json.Marshal(list)
			t.Fatalf("%s, want %s\nrequest %+v\npolicies %s", got, want, r, doc)
		}
	})
}

func TestEvaluatorIsSafeForConcurrentUse(t *testing.T) {
	e := benchmarkEvaluator(t, 200)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 200 {
				r := Request{Resource: policytest.Asked(fmt.Sprintf("catalog=catalog_%d schema=schema_%d table=table_%d", i%20, i/20, i)), AccessType: "select",
					User: "ann", Groups: []string{fmt.Sprintf("group_%d", i%500)}, Time: time.Unix(1, 0)}
				if g%2 == 0 {
					r.AccessType = AnyAccess
				}
				if want := i%5 == 0 || i%5 == 1 || i%5 == 2; want && !e.Evaluate(r).Allowed() {
					t.Errorf("request %d: %s", i, e.Evaluate(r))
				}
			}
		})
	}
	group.Wait()
}

func TestDecisionAllocatesNothing(t *testing.T) {
	e := benchmarkEvaluator(t, 1000)
	r := Request{Resource: policytest.Asked("catalog=catalog_0 schema=schema_0 table=table_0"), AccessType: "select", User: "ann", Groups: []string{"group_0"}, Time: time.Unix(1, 0)}
	if !e.Evaluate(r).Allowed() {
		t.Fatal("the request is not allowed")
	}
	// A collection empties the pool of working memory, and the race detector makes the pool lose some at random; a decision
	// that found one there must do with it.
	fewest := math.Inf(1)
	for range 50 {
		fewest = min(fewest, testing.AllocsPerRun(1, func() { e.Evaluate(r) }))
	}
	if fewest > 0 {
		t.Errorf("%v allocations a decision, want none", fewest)
	}
}

// Ten thousand patterns on one level, all of which have to be tried, stay within reason: no decision takes time in the
// product of anything.
func TestManyWildcards(t *testing.T) {
	doc := &ranger.ServicePolicies{}
	for i := range 10_000 {
		doc.Policies = append(doc.Policies, ranger.Policy{ID: int64(i), Resources: map[string]ranger.PolicyResource{"catalog": {Values: []string{fmt.Sprintf("*a*a*a*a*%d", i)}}},
			PolicyItems: []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "select"}}, Users: []string{"ann"}}}})
	}
	s, err := ranger.NewSnapshot(ranger.SnapshotInput{Policies: doc})
	if err != nil {
		t.Fatal(err)
	}
	e := New(policytest.Rules(s, rules.NameMapping{}))
	d := e.Evaluate(Request{User: "ann", AccessType: "select", Resource: match.Resource{{Name: "catalog", Value: strings.Repeat("a", 250) + "9999"}}})
	if !d.Allowed() {
		t.Errorf("%s, want allowed", d)
	}
	one := ranger.Policy{ID: 1, Resources: map[string]ranger.PolicyResource{"catalog": {}}}
	for i := range 10_000 {
		r := one.Resources["catalog"]
		r.Values = append(r.Values, fmt.Sprintf("x%d*", i))
		one.Resources["catalog"] = r
	}
	one.PolicyItems = doc.Policies[0].PolicyItems
	e = New(policytest.Rules(&ranger.Snapshot{ServiceDef: ranger.DefaultServiceDef(), Policies: []ranger.Policy{one}}, rules.NameMapping{}))
	if d := e.Evaluate(Request{User: "ann", AccessType: "select", Resource: policytest.Asked("catalog=x77y")}); !d.Allowed() {
		t.Errorf("one policy with many values: %s, want allowed", d)
	}
}
