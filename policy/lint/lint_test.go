package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/compile"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/explain"
	"ucwarden/policy/naming"
	"ucwarden/policy/parse"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
	"ucwarden/policy/verify"
)

var lintTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// lintDocument lints a JSON list of policies with some users and roles, and returns the findings as lines of severity,
// check, policy, field and message.
func lintDocument(t *testing.T, policies string, inv *policy.Inventory) ([]string, *Result) {
	t.Helper()
	list, _, err := parse.Policies([]byte(policies), "p.json")
	if err != nil {
		t.Fatal(err)
	}
	s := ranger.UnverifiedSnapshot(ranger.SnapshotInput{
		Policies: &ranger.ServicePolicies{Policies: list},
		Users:    &ranger.UserStore{UserGroupMapping: map[string][]string{"ann": {"analysts"}, "bob": {"clerks"}}},
		Roles:    &ranger.ServiceRoles{RangerRoles: []ranger.Role{{Name: "staff", Groups: []ranger.RoleMember{{Name: "clerks"}}}}},
	})
	r := Run(s, Options{Compile: compile.Options{Time: lintTime}, Inventory: inv})
	var lines []string
	for _, f := range r.Findings {
		if f.Check != CheckFidelity || strings.Contains(policies, "fidelity") {
			lines = append(lines, fmt.Sprintf("%s %s %d %s: %s", f.Severity, f.Check, f.PolicyID, f.Field, f.Message))
		}
	}
	return lines, r
}

// on is a policy on the tables of c.s, with more fields.
func on(id int, fields string) string {
	return fmt.Sprintf(`{"id": %d, "name": "p%d", "resources": {"catalog": {"values": ["c"]}, "schema": {"values": ["s"]}, "table": {"values": ["*"]}}, %s}`, id, id, fields)
}

func TestLint(t *testing.T) {
	const good = `"policyItems": [{"accesses": [{"type": "select"}], "users": ["ann"], "groups": ["clerks", "public"], "roles": ["staff"]}]`
	at := func(resources string) string {
		return `{"id": 1, "resources": {` + resources + `}, "policyItems": [{"accesses": [{"type": "select"}], "users": ["ann"]}]}`
	}
	inventory := policy.NewInventory(policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "c.s.orders"}}, policy.Object{Securable: policy.Securable{Type: policy.Function, FullName: "c.s.f"}}, policy.Object{Securable: policy.Securable{Type: policy.ExternalLocation, FullName: "landing"}})
	for name, c := range map[string]struct {
		policies string
		known    bool // the workspace's objects are
		want     []string
	}{
		"nothing":        {policies: on(1, good)},
		"unknown access": {policies: on(1, `"policyItems": [{"accesses": [{"type": "slect"}], "users": ["ann"]}]`), want: []string{`error refused 1 policyItems[0].accesses[0].type: service definition "databricks-unity-catalog" has no access type "slect"; did you mean "select"?`}},
		"every wrong access": {policies: on(1, `"policyItems": [{"accesses": [{"type": "a"}, {"type": ""}], "users": ["ann"]}]`),
			want: []string{`error refused 1 policyItems[0].accesses[0].type: service`, `error refused 1 policyItems[0].accesses[1].type: it is empty`}},
		"unknown resource": {policies: at(`"catalog": {"values": ["c"]}, "schem": {"values": ["c"]}`), want: []string{`error refused 1 resources.schem: service definition "databricks-unity-catalog" has no such resource; did you mean "schema"?`}},
		"no values":        {policies: at(`"catalog": {"values": []}`), want: []string{"error refused 1 resources.catalog.values: the list is empty"}},
		"an empty value":   {policies: at(`"catalog": {"values": [""]}`), want: []string{"error refused 1 resources.catalog.values[0]: the value is empty"}},
		"no path":          {policies: at(`"schema": {"values": ["s"]}`), want: []string{"error refused 1 resources: schema is no path"}},
		"priority":         {policies: on(1, `"policyPriority": 7, `+good), want: []string{"error refused 1 policyPriority: 7 is unknown"}},
		"mask":             {policies: on(1, `"policyType": 1, "dataMaskPolicyItems": [{"accesses": [{"type": "select"}], "users": ["ann"], "dataMaskInfo": {"dataMaskType": "BLUR"}}]`), want: []string{"error refused 1 dataMaskPolicyItems[0].dataMaskInfo.dataMaskType: "}},
		"schedule":         {policies: on(1, `"validitySchedules": [{"startTime": "soon"}], `+good), want: []string{`error refused 1 validitySchedules[0].startTime: "soon" is not a date`}},

		"enabled twice":         {policies: `{"id": 1, "isEnabled": true, "isEnabled": false, "resources": {"catalog": {"values": ["c"]}}, ` + good + `}`, want: []string{"error refused 1 isEnabled: duplicate key"}},
		"disabled, capital":     {policies: `{"id": 1, "isEnabled": false, "IsEnabled": true, "resources": {"catalog": {"values": ["c"]}}, ` + good + `}`, want: []string{"error refused 1 IsEnabled: it is not a field"}},
		"disabled, with a note": {policies: `{"id": 1, "isEnabled": false, "disabledBecause": "x", "resources": {"catalog": {"values": ["c"]}}, ` + good + `}`, want: []string{"info disabled 0 : 1 of 1", "error refused 1 disabledBecause: it is not a field"}},

		"unknown names": {policies: on(1, `"policyItems": [{"accesses": [{"type": "select"}], "users": ["zed", "{OWNER}", "{USER}"], "groups": ["Analysts", "ann"], "roles": ["boss"]}]`), want: []string{
			`info does-nothing 1 policyItems[0]: it names {OWNER}`,
			`warning unknown-principal 1 policyItems[0].groups[0]: group "Analysts" is not in the user store; names count with their case, did you mean group analysts?`,
			`warning unknown-principal 1 policyItems[0].groups[1]: group "ann" is not in the user store; there is a user of this name`,
			`warning unknown-principal 1 policyItems[0].roles[0]: role "boss" is not among the roles; correct the name, or remove it`,
			`warning unknown-principal 1 policyItems[0].users[0]: user "zed" is not in the user store; correct`}},

		"everyone": {policies: on(1, `"denyPolicyItems": [{"accesses": [{"type": "select"}], "groups": ["account users"]}, {"accesses": [{"type": "modify"}], "users": ["public"]}]`), want: []string{
			`error unknown-principal 1 denyPolicyItems[1].users[0]: "public" is not everyone`}},

		"excludes everything": {policies: at(`"catalog": {"values": ["*"], "isExcludes": true}`), want: []string{"error never-matches 1 resources.catalog: it excludes '*'"}},
		"a full name":         {policies: at(`"catalog": {"values": ["c"]}, "schema": {"values": ["c.s", "{USER}"]}`), want: []string{`error never-matches 1 resources.schema.values[0]: "c.s" can match no object: it contains '.'; name catalog, schema and object each`}},
		"no object":           {policies: at(`"catalog": {"values": ["c"]}, "schema": {"values": ["x*"]}`), known: true, want: []string{"warning matches-nothing 1 resources: no object of the workspace matches"}},
		"no object of a kind": {policies: at(`"catalog": {"values": ["*"]}, "schema": {"values": ["*"]}, "volume": {"values": ["*"]}`), known: true, want: []string{"does-nothing", "warning matches-nothing 1 resources: no"}},
		"one value of two":    {policies: at(`"catalog": {"values": ["c"]}, "schema": {"values": ["s", "t"]}`), known: true, want: []string{`info matches-nothing 1 resources.schema.values[1]: no object of the workspace matches "t"`}},
		"a root object":       {policies: `{"id": 1, "resources": {"external_location": {"values": ["land*"]}}, "policyItems": [{"accesses": [{"type": "read_files"}], "users": ["ann"]}]}`, known: true},
		"objects":             {policies: at(`"catalog": {"values": ["C"]}, "schema": {"values": ["x"], "isExcludes": true}, "table": {"values": ["o*"]}`), known: true},

		"nobody":         {policies: on(1, `"policyItems": [{"accesses": [{"type": "select"}], "users": [""]}]`), want: []string{"warning names-nobody 1 policyItems[0]: ", "error names-nobody 1 policyItems[0].users[0]: "}},
		"no access":      {policies: on(1, `"denyPolicyItems": [{"users": ["ann"]}]`), want: []string{"warning does-nothing 1 denyPolicyItems[0].accesses: it names no access"}},
		"switched off":   {policies: on(1, `"policyItems": [{"accesses": [{"type": "select", "isAllowed": false}], "users": ["ann"]}]`), want: []string{"warning does-nothing 1 policyItems[0].accesses: every access is switched off"}},
		"delegation":     {policies: on(1, `"policyItems": [{"delegateAdmin": true, "users": ["ann"]}]`), want: []string{"info does-nothing 1 policyItems[0].delegateAdmin: it says who may edit policies"}},
		"no items":       {policies: on(1, `"policyItems": []`), want: []string{"warning does-nothing 1 : it has no items"}},
		"deny all else":  {policies: on(1, `"isDenyAllElse": true`)},
		"exceptions":     {policies: on(1, `"denyExceptions": [{"accesses": [{"type": "select"}], "users": ["ann"]}]`), want: []string{"warning does-nothing 1 denyExceptions: exceptions from nothing: the policy has no denyPolicyItems"}},
		"other type":     {policies: on(1, `"policyType": 2, `+good), want: []string{"warning does-nothing 1 policyItems: a policy of policyType 2 has no use"}},
		"wrong resource": {policies: on(1, `"policyItems": [{"accesses": [{"type": "create_schema"}, {"type": "all_privileges"}], "users": ["ann"]}]`), want: []string{`warning does-nothing 1 policyItems[0]: Unity Catalog has no CREATE_SCHEMA on what its resources name`}},
		"for the schema": {policies: on(1, `"policyItems": [{"accesses": [{"type": "create_table"}], "users": ["ann"]}]`)}, // all tables of a schema are the schema
		"everything":     {policies: on(1, `"policyItems": [{"accesses": [{"type": "all_privileges"}], "groups": ["public"]}]`), want: []string{"warning public-all 1 policyItems[0]: "}},

		"expired":        {policies: on(1, `"validitySchedules": [{"endTime": "2024/02/01 00:00:00"}], `+good), want: []string{"warning expired 1 validitySchedules: it ended on 2024-02-01 00:00 UTC"}},
		"one still open": {policies: on(1, `"validitySchedules": [{"endTime": "2024/02/01 00:00:00"}, {"startTime": "2024/02/01 00:00:00"}], `+good)},
		"later":          {policies: on(1, `"validitySchedules": [{"startTime": "2027/02/01 00:00:00"}], `+good), want: []string{"info not-yet-open 1 validitySchedules: it opens on 2027-02-01 00:00 UTC"}},
		"ends before":    {policies: on(1, `"validitySchedules": [{"startTime": "2027/02/01 00:00:00", "endTime": "2026/02/01 00:00:00"}], `+good), want: []string{"warning never-open 1"}},
		"no such day":    {policies: on(1, `"validitySchedules": [{"recurrences": [{"schedule": {"dayOfMonth": "31", "month": "2", "hour": "1", "minute": "0"}, "interval": {"hours": 1}}]}], `+good), want: []string{"warning never-open 1"}},
		"no day named":   {policies: on(1, `"validitySchedules": [{"recurrences": [{"schedule": {"hour": "1", "minute": "0"}, "interval": {"hours": 1}}]}], `+good), want: []string{"warning never-open 1 validitySchedules[0].recurrences[0].schedule: "}},
		"past year":      {policies: on(1, `"validitySchedules": [{"recurrences": [{"schedule": {"dayOfWeek": "2", "year": "2025", "hour": "1", "minute": "0"}, "interval": {"hours": 1}}]}], `+good), want: []string{"warning expired 1 validitySchedules: no schedule opens any more"}},
		"every monday":   {policies: on(1, `"validitySchedules": [{"recurrences": [{"schedule": {"dayOfWeek": "2", "hour": "1", "minute": "0"}, "interval": {"hours": 1}}]}], `+good)},

		"disabled":     {policies: on(1, `"isEnabled": false, "policyItems": [{"accesses": [{"type": "nonsense"}]}]`), want: []string{"info disabled 0 : 1 of 1 policies are disabled"}},
		"duplicate id": {policies: on(1, good) + `, ` + on(1, good), want: []string{`warning duplicate-id 1 id: policy "p1" has this id too`, "shadowed"}},

		"condition": {policies: on(1, `"description": "fidelity", "policyItems": [{"accesses": [{"type": "select"}], "users": ["ann"], "conditions": [{"type": "office", "values": ["x"]}]}]`), want: []string{"warning fidelity 1 policyItems[0]: it holds only under a condition (office)", "warning unknown-condition 1 policyItems[0].conditions[0].type: "}},
		"deny": {policies: on(1, `"description": "fidelity", "policyItems": [{"accesses": [{"type": "select"}], "groups": ["clerks"]}], "denyPolicyItems": [{"accesses": [{"type": "select"}], "users": ["bob"]}]`), want: []string{
			"warning fidelity 1 : on schema c.s: group clerks is allowed SELECT but includes user bob"}},
		"deny of what others exclude": {policies: `{"id": 1, "description": "fidelity", "resources": {"catalog": {"values": ["c"]}, "schema": {"values": ["apac"], "isExcludes": true}}, "isDenyAllElse": true},` +
			`{"id": 2, "resources": {"catalog": {"values": ["c"]}}, "policyItems": [{"accesses": [{"type": "select"}], "groups": ["clerks"]}]},` +
			`{"id": 3, "resources": {"catalog": {"values": ["*"]}}, "denyPolicyItems": [{"accesses": [{"type": "select"}], "users": ["bob"]}]}`, want: []string{
			"warning fidelity 2 : on schema c.apac: group clerks is allowed SELECT but includes user bob"}},
		"deny of a pattern": {policies: `{"id": 1, "description": "fidelity", "resources": {"catalog": {"values": ["c*"]}}, "policyItems": [{"accesses": [{"type": "select"}], "groups": ["clerks"]}], "denyPolicyItems": [{"accesses": [{"type": "select"}], "users": ["bob"]}]}`, want: []string{
			"warning fidelity 1 : group clerks is allowed SELECT but includes user bob"}},
	} {
		t.Run(name, func(t *testing.T) {
			var inv *policy.Inventory
			if c.known {
				inv = inventory
			}
			got, r := lintDocument(t, "["+c.policies+"]", inv)
			if len(got) != len(c.want) {
				t.Fatalf("got %d findings, want %d:\n%s", len(got), len(c.want), strings.Join(got, "\n"))
			}
			for i := range got {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("got  %s\nwant %s", got[i], c.want[i])
				}
			}
			if n := r.Errors + r.Warnings + r.Infos; n != len(r.Findings) {
				t.Errorf("%d findings counted of %d", n, len(r.Findings))
			}
		})
	}
}

func TestLintShadows(t *testing.T) {
	item := func(list, access, who string) string {
		return `"` + list + `": [{"accesses": [{"type": "` + access + `"}], ` + who + `}]`
	}
	at := func(id int, catalog, fields string) string {
		return fmt.Sprintf(`{"id": %d, "name": "p%d", "resources": {"catalog": {"values": [%s]}}, %s}`, id, id, catalog, fields)
	}
	ann, analysts, clerks, staff, public := `"users": ["ann"]`, `"groups": ["analysts"]`, `"groups": ["clerks"]`, `"roles": ["staff"]`, `"groups": ["public"]`
	for name, c := range map[string]struct {
		policies []string
		want     []string
	}{
		"a user of an allowed group":   {[]string{on(1, item("policyItems", "select", ann)), at(2, `"c"`, item("policyItems", "select", analysts))}, []string{`warning shadowed 1 policyItems[0]: all it says is already allowed by policyItems[0] of policy 2 "p2"; remove it`}},
		"by an access that implies":    {[]string{on(1, item("policyItems", "select", ann)), at(2, `"c", "d"`, item("policyItems", "all_privileges", public))}, []string{"shadowed 1", "public-all 2"}},
		"a group of an allowed role":   {[]string{on(1, item("policyItems", "select", clerks)), at(2, `"*"`, item("policyItems", "select", staff))}, []string{"shadowed 1"}},
		"a role is not its group":      {[]string{on(1, item("policyItems", "select", staff)), at(2, `"*"`, item("policyItems", "select", clerks))}, nil},
		"another access":               {[]string{on(1, item("policyItems", "modify", ann)), at(2, `"c"`, item("policyItems", "select", analysts))}, nil},
		"narrower":                     {[]string{on(1, item("policyItems", "select", ann)), at(2, `"c?"`, item("policyItems", "select", analysts))}, nil},
		"excluded":                     {[]string{on(1, item("policyItems", "select", ann)), `{"id": 2, "name": "p2", "resources": {"catalog": {"values": ["x*"], "isExcludes": true}}, ` + item("policyItems", "select", analysts) + `}`}, []string{"shadowed 1"}},
		"excluded itself":              {[]string{on(1, item("policyItems", "select", ann)), `{"id": 2, "name": "p2", "resources": {"catalog": {"values": ["c"], "isExcludes": true}}, ` + item("policyItems", "select", analysts) + `}`}, nil},
		"twins: the later one":         {[]string{on(1, item("policyItems", "select", ann)), on(2, item("policyItems", "select", ann))}, []string{"shadowed 2"}},
		"with an exception":            {[]string{on(1, item("policyItems", "select", ann)), at(2, `"c"`, item("policyItems", "select", public)+`, `+item("allowExceptions", "select", clerks))}, []string{`info shadowed 1 policyItems[0]: all it says may be already allowed by policyItems[0] of policy 2 "p2"; remove it, unless it is for whom exceptions there leave out`}},
		"just whom it excepts":         {[]string{on(1, item("policyItems", "select", ann)), at(2, `"c"`, item("policyItems", "select", public)+`, `+item("allowExceptions", "select", ann))}, nil},
		"for a time":                   {[]string{on(1, item("policyItems", "select", ann)), at(2, `"c"`, `"validitySchedules": [{"startTime": "2020/01/01 00:00:00"}], `+item("policyItems", "select", public))}, nil},
		"lower priority":               {[]string{on(1, `"policyPriority": 1, `+item("policyItems", "select", ann)), at(2, `"c"`, item("policyItems", "select", public))}, nil},
		"closed for others":            {[]string{on(1, `"isDenyAllElse": true, `+item("policyItems", "select", ann)), at(2, `"c"`, item("policyItems", "select", public))}, nil},
		"always denied":                {[]string{on(1, item("policyItems", "select", ann)), at(2, `"c"`, item("denyPolicyItems", "select", analysts))}, []string{`warning no-effect 1 policyItems[0]: all it says is all the same denied by denyPolicyItems[0] of policy 2 "p2"; so it never takes effect`}},
		"an allow never denies a deny": {[]string{on(1, item("denyPolicyItems", "select", ann)), at(2, `"c"`, item("policyItems", "select", analysts))}, nil},
		"unless of higher priority":    {[]string{on(1, item("denyPolicyItems", "select", ann)), at(2, `"c"`, `"policyPriority": 1, `+item("policyItems", "select", analysts))}, []string{"no-effect 1 denyPolicyItems[0]: all it says is all the same allowed by policyItems[0] of policy 2 \"p2\", which has a higher priority"}},
		"denied twice":                 {[]string{on(1, item("denyPolicyItems", "select", ann)), at(2, `"*"`, item("denyPolicyItems", "select", public))}, []string{"shadowed 1 denyPolicyItems[0]"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := lintDocument(t, "["+strings.Join(c.policies, ",")+"]", nil)
			if len(got) != len(c.want) {
				t.Fatalf("got %d findings, want %d:\n%s", len(got), len(c.want), strings.Join(got, "\n"))
			}
			for i := range got {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("got  %s\nwant %s", got[i], c.want[i])
				}
			}
		})
	}
}

// TestLintShadowsAreSuperfluous takes each item away that is called shadowed or without effect: no decision changes.
func TestLintShadowsAreSuperfluous(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		w.Snapshot.Users = &ranger.UserStore{UserGroupMapping: w.GroupsOf}
		before := decisions(t, &w)
		for _, f := range Run(w.Snapshot, Options{Compile: compile.Options{Time: lintTime}}).Findings {
			if f.Severity != SeverityWarning || f.Check != CheckShadowed && f.Check != CheckNoEffect {
				continue
			}
			found++
			without := w
			without.Snapshot = withoutItem(w.Snapshot, f)
			for i, d := range decisions(t, &without) {
				if d.allowed != before[i].allowed {
					t.Fatalf("%s of policy %d: %s\nbut without it %s changes from allowed=%v", f.Field, f.PolicyID, f.Message, before[i].what, before[i].allowed)
				}
			}
		}
	})
	if found == 0 {
		t.Error("no policytest.World had a shadowed item")
	}
}

type decided struct {
	what    string
	allowed bool
}

func decisions(t *rapid.T, w *policytest.World) []decided {
	e := evaluate.New(policytest.Rules(w.Snapshot, rules.NameMapping{}))
	var list []decided
	for _, o := range w.Listed {
		resource, _ := e.Rules().Model.ResourceOf(o)
		for _, x := range policytest.ComparedPrivileges {
			for _, u := range w.Users {
				r := evaluate.Request{Resource: resource, AccessType: strings.ToLower(string(x)), User: u}
				list = append(list, decided{fmt.Sprintf("%s %s on %v", u, x, o), e.Evaluate(r).Allowed()})
			}
			for _, g := range policytest.Groups {
				r := evaluate.Request{Resource: resource, AccessType: strings.ToLower(string(x)), Groups: []string{g}}
				list = append(list, decided{fmt.Sprintf("group %s %s on %v", g, x, o), e.Evaluate(r).Allowed()})
			}
		}
	}
	return list
}

func withoutItem(s *ranger.Snapshot, f Finding) *ranger.Snapshot {
	next := *s
	next.Policies = slices.Clone(s.Policies)
	p := &next.Policies[slices.IndexFunc(s.Policies, func(p ranger.Policy) bool { return p.ID == f.PolicyID })]
	list := &p.PolicyItems
	if strings.HasPrefix(f.Field, "deny") {
		list = &p.DenyPolicyItems
	}
	i := int(f.Field[strings.IndexByte(f.Field, '[')+1] - '0')
	*list = slices.Delete(slices.Clone(*list), i, i+1)
	return &next
}

// TestPatternCovers holds covers to what it says: whatever the narrower pattern matches, the wider one does.
func TestPatternCovers(t *testing.T) {
	for _, c := range []struct {
		wide, narrow string
		want         bool
	}{
		{"*", "a*b", true}, {"a*", "ab*", true}, {"ab*", "a*", false}, {"*b*", "ab*", true}, {"a?", "a*", false}, {"a*", "a?", true},
		{"a?c", "abc", true}, {"?", "ü", true}, {"??", "?", false}, {"a*c", "a*b*c", true}, {"a*b*c", "a*c", false}, {"a", "A", true}, {"**", "*", true},
	} {
		if got := naming.NewPattern(c.wide, true, true).Covers(naming.NewPattern(c.narrow, true, true)); got != c.want {
			t.Errorf("%s covers %s: %v, want %v", c.wide, c.narrow, got, c.want)
		}
	}
	text := rapid.StringOfN(rapid.SampledFrom([]rune("ab*?")), 0, 5, -1)
	rapid.Check(t, func(t *rapid.T) {
		wide, narrow := naming.NewPattern(text.Draw(t, "wide"), true, true), naming.NewPattern(text.Draw(t, "narrow"), true, true)
		name := rapid.StringOfN(rapid.SampledFrom([]rune("abc")), 0, 6, -1).Draw(t, "name")
		if wide.Covers(narrow) && narrow.Match(name) && !wide.Match(name) {
			t.Fatalf("%s covers %s, but does not match %q", wide, narrow, name)
		}
	})
}

// TestLintSaysWhatThePlanSays holds that whatever is accepted without meaning is said by lint in the words of the plan.
func TestLintSaysWhatThePlanSays(t *testing.T) {
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		s := verify.Snapshot(policytest.DrawWorld(t).Snapshot)
		said := make(map[string]bool)
		for _, f := range Run(s, Options{Compile: compile.Options{Time: lintTime}}).Findings {
			said[strings.TrimPrefix(f.Field+": "+f.Message, ": ")] = true
		}
		for _, r := range accepted.Remarks(policytest.Rules(s, rules.NameMapping{})) {
			if r.Kind == accepted.KindFault {
				continue
			}
			n++
			if text := strings.TrimPrefix(r.Field+": "+r.Message, ": "); !said[text] {
				t.Fatalf("not said: %s\nof %v", text, said)
			}
		}
	})
	if n == 0 {
		t.Error("nothing to say")
	}
}

// FuzzLint lints and explains whatever parses: policies nobody verified must not break either.
func FuzzLint(f *testing.F) {
	f.Add([]byte(fuzzPolicies))
	f.Add([]byte(`{"policies":[{"id":1,"policyType":9,"resources":{"tag":{"values":["*"],"isExcludes":true},"":{"values":[""]}},"additionalResources":[{}],"policyItems":[{"accesses":[{}],"users":["{OWNER}"]}]}]}`))
	f.Add([]byte(`{"serviceDef":{"name":"x","resources":[{"name":"a","parent":"b"},{"name":"b","parent":"a"},{"name":"catalog","isValidLeaf":true}]},"policies":[{"resources":{"a":{"values":["{USER}*"]},"catalog":{"values":["c"]}},"isDenyAllElse":true}],
		"tagPolicies":{"policies":[{"resources":{"tag":{"values":["PII"]}},"denyPolicyItems":[{"accesses":[{"type":"x:read"}],"groups":["public"]}]}]},"securityZones":{"z":null,"y":{"resources":[{"catalog":["c"]}],"policies":[{"id":3}]}}}`))
	f.Add([]byte(`{"policies":[{"id":1,"resources":{"catalog":{"values":["c"]}}}],"securityZones":{"z":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := parse.ServicePolicies(data, "fuzz")
		if err != nil {
			return
		}
		s := ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: doc, Users: &ranger.UserStore{UserGroupMapping: map[string][]string{"u": {"g"}}}})
		r := Run(s, Options{Compile: compile.Options{Time: lintTime}})
		for _, finding := range r.Findings {
			if finding.Message == "" || finding.Check == "" || finding.Severity == "" {
				t.Fatalf("finding %+v says nothing", finding)
			}
		}
		verified, err := ranger.NewSnapshot(ranger.SnapshotInput{Policies: doc})
		for zone := range verify.Zones(s) {
			err = zone
		}
		if err == nil {
			verified = verify.Snapshot(verified)
			policytest.Rules(verified, rules.NameMapping{}).Scheduled()
			for p, fault := range verified.Faults {
				if r.Errors == 0 {
					t.Fatalf("policy %d has a fault that is no error: %s", p.ID, fault)
				}
			}
			if _, err := explain.Explain(policytest.Rules(verified, rules.NameMapping{}), compile.Options{}, explain.Question{Principal: "u", Object: policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "c.s.t"}}}); err != nil {
				t.Fatal(err)
			}
		} else if r.Errors == 0 && len(doc.PolicyDeltas) == 0 {
			t.Fatalf("policies are refused without an error found: %v", err)
		}
	})
}

// fuzzPolicies have something of each kind.
const fuzzPolicies = `{"serviceConfig": {"ranger.plugin.super.users": "root"}, "policies": [
	{"id": 1, "name": "analysts read sales", "resources": {"catalog": {"values": ["sales"]}, "schema": {"values": ["*"]}, "table": {"values": ["*"]}},
		"policyItems": [{"accesses": [{"type": "select"}], "groups": ["analysts"]}, {"accesses": [{"type": "modify"}], "users": ["{OWNER}"]}],
		"allowExceptions": [{"accesses": [{"type": "select"}], "users": ["trainee"]}]},
	{"id": 2, "name": "no payroll", "resources": {"catalog": {"values": ["sales"]}, "schema": {"values": ["payroll"]}, "table": {"values": ["*"]}},
		"denyPolicyItems": [{"accesses": [{"type": "all_privileges"}], "groups": ["public"]}],
		"denyExceptions": [{"accesses": [{"type": "select"}], "roles": ["payroll"]}]},
	{"id": 3, "name": "audit", "policyPriority": 1, "resources": {"catalog": {"values": ["sales"]}},
		"policyItems": [{"accesses": [{"type": "select"}], "users": ["auditor"]}]},
	{"id": 4, "name": "over", "validitySchedules": [{"endTime": "2020/01/01 00:00:00"}], "resources": {"catalog": {"values": ["sales"]}},
		"policyItems": [{"accesses": [{"type": "select"}], "groups": ["guests"]}]},
	{"id": 5, "name": "from the office", "resources": {"catalog": {"values": ["sales"]}},
		"policyItems": [{"accesses": [{"type": "select"}], "users": ["ivy"], "conditions": [{"type": "office", "values": ["x"]}]}]},
	{"id": 6, "name": "names only", "resources": {"catalog": {"values": ["sales"]}, "schema": {"values": ["crm"]}, "table": {"values": ["people"]}, "column": {"values": ["name"]}},
		"policyItems": [{"accesses": [{"type": "select"}], "users": ["ivy"]}]},
	{"id": 7, "name": "own region", "policyType": 2, "resources": {"catalog": {"values": ["sales"]}, "schema": {"values": ["crm"]}, "table": {"values": ["people"]}},
		"rowFilterPolicyItems": [{"accesses": [{"type": "select"}], "groups": ["analysts"], "rowFilterInfo": {"filterExpr": "region = 'emea'"}}]}
]}`
