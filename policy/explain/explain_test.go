package explain

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/directory"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/parse"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

const explainPolicies = `{"serviceConfig": {"ranger.plugin.super.users": "root"}, "policies": [
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

func explainSnapshot(t *testing.T) *ranger.Snapshot {
	t.Helper()
	policies, err := parse.ServicePolicies([]byte(explainPolicies), "p.json")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ranger.NewSnapshot(ranger.SnapshotInput{
		Policies: policies,
		Roles: &ranger.ServiceRoles{RangerRoles: []ranger.Role{
			{Name: "payroll", Groups: []ranger.RoleMember{{Name: "clerks"}}}, {Name: "staff", Roles: []ranger.RoleMember{{Name: "payroll"}}}, {Name: "ann"},
		}},
		Users: &ranger.UserStore{
			UserGroupMapping:   map[string][]string{"ann": {"analysts"}, "trainee": {"analysts"}, "carl": {"analysts", "clerks"}, "gil": {"guests"}, "auditor": {}, "ivy": {}, "root": {}},
			UserCloudIDMapping: map[string]string{"carl": "carl@example.com"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func explain(t *testing.T, q Question, object string) *Explanation {
	t.Helper()
	s, err := policy.ParseSecurable(object)
	if err != nil {
		t.Fatal(err)
	}
	q.Object.Securable = s
	o := compile.Options{Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	e, err := Explain(policytest.Rules(explainSnapshot(t), rules.NameMapping{RolePrefix: "r_"}), o, q)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// words is an explanation of one privilege as lines: outcome, deciding item, other items, grants, reasons.
func words(p *PrivilegeExplanation) []string {
	list := []string{p.Outcome}
	if p.By != nil {
		list = append(list, "by "+p.By.Item+" of "+p.By.Policy+" to "+p.By.Path)
	}
	for _, m := range p.Others {
		list = append(list, m.Item+" of "+m.Policy+" to "+m.Path+": "+m.Effect)
	}
	for _, g := range p.Grants {
		list = append(list, string(g.State)+": "+string(g.Privilege)+" to "+g.Name+" on "+g.Securable.String()+" via "+g.Path)
	}
	return append(list, p.Fidelity...)
}

func TestExplainPrivilege(t *testing.T) {
	for name, c := range map[string]struct {
		principal, object, owner string
		privilege                policy.Privilege
		want                     []string // parts of the lines, in this order
	}{
		"by a group": {principal: "ann", object: "table:sales.emea.orders", privilege: policy.Select, want: []string{
			"allowed", "by policyItems[0] of analysts read sales to group analysts",
			`policy 1 "analysts read sales": group analysts is allowed SELECT but includes user trainee, denied it by policy 1`}},
		"excepted": {principal: "trainee", object: "table:sales.emea.orders", privilege: policy.Select, want: []string{
			"not mentioned", "policyItems[0] of analysts read sales to group analysts: excepted by allowExceptions[0], user trainee"}},
		"the exception to a deny, by a role of a group, under the name in Unity Catalog": {principal: "carl@example.com", object: "table:sales.payroll.pay", privilege: policy.Select, want: []string{
			"allowed", "by policyItems[0] of analysts read sales to group analysts",
			"denyPolicyItems[0] of no payroll to everyone: excepted by denyExceptions[0], role payroll via group clerks", "group analysts is allowed"}},
		"denied": {principal: "ann", object: "table:sales.payroll.pay", privilege: policy.Select, want: []string{
			"denied", "by denyPolicyItems[0] of no payroll to everyone",
			"policyItems[0] of analysts read sales to group analysts: policy 2 denies it, and a deny goes before an allow"}},
		"overridden": {principal: "auditor", object: "table:sales.payroll.pay", privilege: policy.Select, want: []string{
			"allowed", "by policyItems[0] of audit to user auditor",
			"denyPolicyItems[0] of no payroll to everyone: overridden by policy 3, which has a higher priority",
			"planned: SELECT to auditor on CATALOG:sales via user auditor"}},
		"a group": {principal: "clerks", object: "table:sales.payroll.pay", privilege: policy.Modify, want: []string{"denied", "by denyPolicyItems[0] of no payroll to everyone"}},
		"outside validity": {principal: "guests", object: "schema:sales.emea", privilege: policy.Select, want: []string{
			"not mentioned", "policyItems[0] of over to group guests: outside its validity now"}},
		"a condition nobody can judge, and single columns": {principal: "ivy", object: "table:sales.crm.people", privilege: policy.Select, want: []string{
			"not mentioned", "policyItems[0] of names only to user ivy: about column name only",
			"policyItems[0] of from the office to user ivy: its condition cannot be judged here, so it allows nothing"}},
		"an owner": {principal: "ann", owner: "ann", object: "table:sales.emea.orders", privilege: policy.Modify, want: []string{
			"allowed", "by policyItems[1] of analysts read sales to owner ann", "an owner holds every privilege without a grant"}},
		"a super user": {principal: "root", object: "table:sales.emea.orders", privilege: policy.Modify, want: []string{
			"allowed", "super users get no grant"}},
		"no policy": {principal: "user:ann", object: "table:hr.emea.orders", privilege: policy.Select, want: []string{"not mentioned"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := explain(t, Question{Principal: c.principal, Privileges: []policy.Privilege{c.privilege}, Object: policy.Object{Owner: c.owner}}, c.object)
			got := words(&e.Privileges[0])
			if len(got) != len(c.want) {
				t.Fatalf("got %d lines, want %d:\n%s", len(got), len(c.want), strings.Join(got, "\n"))
			}
			for i := range got {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("got  %s\nwant %s", got[i], c.want[i])
				}
			}
		})
	}
}

func TestExplainPrincipal(t *testing.T) {
	for principal, want := range map[string]string{
		"ann":              "user ann, in the user store; groups analysts; roles ; ann, analysts, account users; a role of this name is among the roles; ask about it as role:ann",
		"role:ann":         "role ann, among the roles; groups ; roles ; r_ann, account users",
		"carl@example.com": "user carl, carl@example.com in Unity Catalog; in the user store; groups analysts,clerks; roles payroll,staff; carl@example.com, analysts, clerks, r_payroll, r_staff, account users",
		"clerks":           "group clerks, in the user store; groups ; roles payroll,staff; clerks, r_payroll, r_staff, account users",
		"r_payroll":        "role payroll, r_payroll in Unity Catalog; among the roles; groups ; roles staff; r_payroll, r_staff, account users",
		"public":           "everyone public, the group everyone is in; groups ; roles ; account users",
		"account users":    "everyone public, the group everyone is in; groups ; roles ; account users",
		"Ann":              "user ann, Ann in Unity Catalog; in the user store; groups analysts; roles ; ann, analysts, account users; a role of this name is among the roles; ask about it as role:ann",
		"Clerks":           "user Clerks, nothing names it; taken as a user, say group:Clerks or role:Clerks for another; names of groups and roles count with their case, did you mean group clerks?; groups ; roles ; clerks, account users",
		"group:nobody":     "group nobody, nothing names it; groups ; roles ; nobody, account users",
	} {
		e := explain(t, Question{Principal: principal}, "table:sales.emea.orders")
		p := e.Principal
		got := p.Kind + " " + p.Name + ", " + p.How + "; groups " + strings.Join(p.Groups, ",") + "; roles " + strings.Join(p.Roles, ",") + "; " + strings.Join(p.Principals, ", ")
		if len(p.Also) > 0 {
			got += "; " + strings.Join(p.Also, "; ")
		}
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", principal, got, want)
		}
	}
}

// What Unity Catalog grants today is compared, and what a sync does about it said.
func TestExplainToday(t *testing.T) {
	orders := policy.Securable{Type: policy.Table, FullName: "sales.emea.orders"}
	catalog := policy.Securable{Type: policy.Catalog, FullName: "sales"}
	q := Question{Principal: "auditor", Privileges: []policy.Privilege{policy.Select, policy.Modify}, Current: policy.NewGrantSet(
		policy.Grant{Securable: catalog, Principal: policy.NewPrincipal(policy.User, "auditor"), Privilege: policy.Select}, policy.Grant{Securable: orders, Principal: policy.NewPrincipal(policy.User, "auditor"), Privilege: policy.Modify}, policy.Grant{Securable: orders, Principal: policy.AccountUsers, Privilege: policy.AllPrivileges}, policy.Grant{Securable: orders, Principal: policy.NewPrincipal(policy.User, "somebody"), Privilege: policy.Select},
		policy.Grant{Securable: policy.Securable{Type: policy.Schema, FullName: "sales.emea"}, Principal: policy.AccountUsers, Privilege: policy.UseSchema})}
	e := explain(t, q, orders.String())
	var got []string
	for i := range e.Privileges {
		for _, g := range e.Privileges[i].Grants {
			got = append(got, string(g.State)+" "+string(g.Privilege)+" to "+g.Name+" on "+g.Securable.FullName+" "+g.Note)
		}
	}
	for _, g := range e.RequiredUse {
		got = append(got, string(g.State)+" "+string(g.Privilege)+" to "+g.Name+" on "+g.Securable.FullName+" "+g.Note)
	}
	want := []string{
		"extra ALL_PRIVILEGES to account users on sales.emea.orders a sync revokes it", "in sync SELECT to auditor on sales ",
		"extra MODIFY to auditor on sales.emea.orders a sync revokes it", "extra ALL_PRIVILEGES to account users on sales.emea.orders a sync revokes it",
		"missing USE_CATALOG to auditor on sales ", "missing USE_SCHEMA to auditor on sales.emea ",
		"extra USE_SCHEMA to account users on sales.emea a sync revokes it, unless other objects inside need it",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	q.LeavesAlone = func(_ policy.SecurableType, p policy.Privilege) string {
		if p == policy.UseCatalog {
			return "excluded"
		}
		return ""
	}
	if way := explain(t, q, orders.String()).RequiredUse; !slices.ContainsFunc(way, func(g ExplainedGrant) bool { return g.Privilege == policy.UseCatalog && g.Note == "not made: excluded" }) {
		t.Errorf("USE_CATALOG is excluded: %v", way)
	}
	q.Includes = func(policy.Securable) bool { return false }
	for _, g := range explain(t, q, orders.String()).RequiredUse {
		if !strings.HasSuffix(g.Note, "outside the managed scope") {
			t.Errorf("%v is outside the scope", g)
		}
	}
}

func TestExplainProtections(t *testing.T) {
	e := explain(t, Question{Principal: "ann", Privileges: []policy.Privilege{policy.Select}}, "table:sales.crm.people")
	if len(e.Protections) != 1 || !e.Protections[0].Applies || e.Protections[0].Filter.FilterExpr != "region = 'emea'" || e.Protections[0].Path != "group analysts" {
		t.Errorf("protections %+v", e.Protections)
	}
	if lines := strings.Join(e.Privileges[0].Fidelity, "\n"); !strings.Contains(lines, `policy 7 "own region": it sets a row filter`) {
		t.Errorf("why it is not granted: %s", lines)
	}
	if e := explain(t, Question{Principal: "auditor"}, "table:sales.crm.people"); len(e.Protections) > 0 {
		t.Errorf("protections of somebody else: %+v", e.Protections)
	}
}

func TestExplainRefusesPrivilege(t *testing.T) {
	_, err := Explain(policytest.Rules(explainSnapshot(t), rules.NameMapping{}), compile.Options{}, Question{Principal: "ann", Object: policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "a.b.c"}, Kind: policy.KindView}, Privileges: []policy.Privilege{policy.Modify}})
	if policy.CodeOf(err) != policy.CodeInvalid || err.Error() != "Unity Catalog takes no MODIFY on VIEW; it takes SELECT, APPLY_TAG, MANAGE, ALL_PRIVILEGES" {
		t.Errorf("error %v", err)
	}
}

// TestExplainAgrees holds explanations to the evaluator and the compiler: the same outcomes, the grants of a whole
// compilation, and a reason wherever what is allowed is not granted.
func TestExplainAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		compiled, options := compileWorld(t, &w)
		evaluator := evaluate.New(policytest.Rules(w.Snapshot, rules.NameMapping{}))
		o := rapid.SampledFrom(w.Listed).Draw(t, "object")
		kind := rapid.SampledFrom([]string{"user", "group", "role"}).Draw(t, "kind")
		name := rapid.SampledFrom(map[string][]string{"user": policytest.Users, "group": policytest.Groups, "role": policytest.Roles}[kind]).Draw(t, "name")
		e, err := Explain(policytest.Rules(w.Snapshot, rules.NameMapping{RolePrefix: "role_"}), options, Question{Principal: kind + ":" + name, Object: o})
		if err != nil {
			t.Fatal(err)
		}
		resource, _ := evaluator.Rules().Model.ResourceOf(o)
		for i := range e.Privileges {
			p := &e.Privileges[i]
			r := evaluate.Request{Resource: resource, AccessType: strings.ToLower(string(p.Privilege)), Groups: e.Principal.Groups}
			switch kind {
			case "user":
				r.User = name
			case "group":
				r.Groups = []string{name}
			case "role":
				r.Roles = append([]string{name}, e.Principal.Roles...)
			}
			if r.Groups == nil {
				r.Groups = []string{}
			}
			d := evaluator.Evaluate(r)
			if want := map[evaluate.Outcome]string{evaluate.Allowed: OutcomeAllowed, evaluate.Denied: OutcomeDenied, evaluate.Undetermined: OutcomeNotMentioned}[d.Outcome]; p.Outcome != want {
				t.Fatalf("%s %s on %v: %s, the evaluator says %s", e.Principal.Name, p.Privilege, o, p.Outcome, want)
			}
			if d.Policy != nil && (p.By == nil || p.By.PolicyID != d.Policy.ID || p.By.Item != ItemPath(d.Item, d.Index)) {
				t.Fatalf("%s %s on %v: decided by %+v, the evaluator says %s", e.Principal.Name, p.Privilege, o, p.By, d)
			}
			granted := false
			for s, ok := o.Securable, true; ok; s, ok = s.Parent() {
				for _, a := range compiled.Grants.Of(s) {
					granted = granted || slices.Contains(e.Principal.Principals, a.Name) && a.Privilege.Implies(p.Privilege)
				}
			}
			if granted != p.isGranted() && !(p.Privilege.IsUse() && o.Type.IsContainer()) {
				t.Fatalf("%s %s on %v: granted %v, by the whole compilation %v", e.Principal.Name, p.Privilege, o, p.isGranted(), granted)
			}
			if p.Outcome == OutcomeAllowed && !p.isGranted() && len(p.Fidelity) == 0 {
				t.Fatalf("%s %s on %v: allowed, not granted, and no reason", e.Principal.Name, p.Privilege, o)
			}
		}
	})
}

// compileWorld compiles a world by a random strategy, with memberships known or not.
func compileWorld(t *rapid.T, w *policytest.World) (*compile.Result, compile.Options) {
	if rapid.Bool().Draw(t, "membership known") {
		w.Snapshot.Users = &ranger.UserStore{UserGroupMapping: w.GroupsOf}
	}
	o := compile.Options{Deny: []compile.DenyStrategy{rapid.SampledFrom([]compile.DenyStrategy{compile.DenyWithhold, compile.DenyExpand}).Draw(t, "strategy")}}
	return compile.New(policytest.Rules(w.Snapshot, policytest.Names), o).Compile(policy.NewInventory(w.Listed...)), o
}

// Who is in which group the workspace says, where the user store does not: its groups count for grants, row filters and masks.
func TestGroupsOfTheWorkspace(t *testing.T) {
	listed := directory.New(directory.Listing{Entries: []directory.Entry{
		{ID: "1", Kind: policy.User, Name: "new@example.com"}, {ID: "2", Kind: policy.User, Name: "carl@example.com"},
		{ID: "3", Kind: policy.Group, Name: "analysts", Members: []string{"4"}}, {ID: "4", Kind: policy.Group, Name: "emea", Members: []string{"1"}},
		{ID: "5", Kind: policy.Group, Name: "clerks", Members: []string{}},
	}})
	var current *policy.GrantSet
	ask := func(principal string) *Explanation {
		e, err := Explain(policytest.Rules(explainSnapshot(t), rules.NameMapping{}), compile.Options{Directory: listed},
			Question{Principal: principal, Object: policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "sales.crm.people"}}, Current: current, Privileges: []policy.Privilege{policy.Select}})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := ask("new@example.com")
	if !slices.Equal(e.Principal.Groups, []string{"analysts", "emea"}) || !slices.Contains(e.Principal.Principals, "emea") {
		t.Errorf("the groups are %v, reached by grants to %v", e.Principal.Groups, e.Principal.Principals)
	}
	if len(e.Protections) != 1 || !e.Protections[0].Applies || e.Protections[0].Path != "group analysts" || e.Privileges[0].Outcome != OutcomeAllowed {
		t.Errorf("bound by %+v, %+v", e.Protections, e.Privileges[0])
	}
	e = ask("group:emea") // which no policy names
	if p := e.Privileges[0]; !slices.Equal(e.Principal.Groups, []string{"analysts"}) || p.Outcome != OutcomeAllowed || p.By == nil || p.By.Path != "group analysts" ||
		len(e.Protections) != 1 || !e.Protections[0].Applies {
		t.Errorf("a group in a group that policies name: %+v, %+v, bound by %+v", e.Principal, p, e.Protections)
	}
	current = &policy.GrantSet{}
	current.Set(policy.Securable{Type: policy.Table, FullName: "sales.crm.people"}, []policy.Assignment{{Principal: policy.NewPrincipal(policy.Group, "analysts"), Privilege: policy.Select}})
	if p := ask("group:emea").Privileges[0]; len(p.Grants) != 1 || p.Grants[0].Path != "group analysts, which group emea is in" {
		t.Errorf("a group in a granted group: %+v", p)
	}
	if e = ask("group:analysts"); len(e.Principal.Groups) > 0 || e.Privileges[0].Outcome != OutcomeAllowed {
		t.Errorf("the group itself: %+v, %+v", e.Principal, e.Privileges[0])
	}
	notes := strings.Join(ask("carl").Notes, "; ")
	if !strings.Contains(notes, `in group "clerks", and the workspace does not`) || !strings.Contains(notes, `in group "analysts", and the workspace does not`) {
		t.Errorf("of carl the notes are %s", notes)
	}
}
