package compile_test

import (
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Who is allowed some columns of a table is granted it where masks hide the others and nothing is denied there; else a finding says why
// not.
func TestColumnAllows(t *testing.T) {
	item := func(groups ...string) []ranger.PolicyItem {
		return []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "select"}}, Groups: groups}}
	}
	columns := ranger.Policy{ID: 1, Name: "columns", Resources: policytest.Resources("catalog=c schema=s table=t column=a"), PolicyItems: item("some")}
	excepted := columns
	excepted.AllowExceptions = item("few")
	deny := ranger.Policy{ID: 2, Name: "deny", Resources: policytest.Resources("catalog=c schema=s table=t"), DenyPolicyItems: item("few")}
	denyColumn := ranger.Policy{ID: 2, Name: "deny", Resources: policytest.Resources("catalog=c schema=s table=t column=b"), DenyPolicyItems: item("few")}
	all := ranger.Policy{ID: 3, Name: "all", Resources: policytest.Resources("catalog=c schema=s table=*"), PolicyItems: item("all")}
	table := policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "c.s.t"}}
	on := map[policy.Securable]bool{table.Securable: true}
	for name, c := range map[string]struct {
		policies []ranger.Policy
		off      bool
		enforced compile.Enforced
		granted  bool
		says     string
	}{
		"hidden":                {policies: []ranger.Policy{columns, all}, enforced: compile.Enforced{Protected: on, Columns: on}, granted: true, says: "masks show it NULL of the others"},
		"switched off":          {policies: []ranger.Policy{columns}, off: true, enforced: compile.Enforced{Protected: on, Columns: on}, says: "Unity Catalog grants whole tables"},
		"not protected":         {policies: []ranger.Policy{columns}, enforced: compile.Enforced{Columns: on}, says: "cannot be hidden"},
		"not hidden":            {policies: []ranger.Policy{columns}, enforced: compile.Enforced{Protected: on}, says: "cannot be hidden"},
		"denied":                {policies: []ranger.Policy{columns, deny}, enforced: compile.Enforced{Protected: on, Columns: on}, says: `policy 2 "deny" denies it`},
		"another column denied": {policies: []ranger.Policy{columns, denyColumn}, enforced: compile.Enforced{Protected: on, Columns: on}, says: `policy 2 "deny" denies it`},
		"with an exception":     {policies: []ranger.Policy{excepted}, enforced: compile.Enforced{Protected: on, Columns: on}},
	} {
		set, err := rules.New(&ranger.Snapshot{Policies: c.policies}, rules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		inv := policy.NewInventory(policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: "c"}}, policy.Object{Securable: policy.Securable{Type: policy.Schema, FullName: "c.s"}}, table)
		compiler := compile.New(set, compile.Options{Protects: true, Columns: !c.off})
		r := compiler.CompileProtected(inv, c.enforced)
		some := policy.NewPrincipal(policy.Group, "some")
		grant := policy.Grant{Securable: table.Securable, Principal: some, Privilege: policy.Select}
		if r.Grants.Has(grant) != c.granted {
			t.Errorf("%s: SELECT is granted: %t", name, !c.granted)
		}
		found := c.says == ""
		for _, f := range r.Report.Findings {
			found = found || f.PolicyID == 1 && strings.Contains(f.Message, c.says) && (f.Effect == policy.EffectNone) == c.granted
		}
		if !found {
			t.Errorf("%s: the findings are %v", name, r.Report.Findings)
		}
		if !c.granted {
			continue
		}
		for _, use := range []policy.Grant{{Securable: policy.Securable{Type: policy.Catalog, FullName: "c"}, Principal: some, Privilege: policy.UseCatalog}, {Securable: policy.Securable{Type: policy.Schema, FullName: "c.s"}, Principal: some, Privilege: policy.UseSchema}} {
			if !r.Grants.Has(use) {
				t.Errorf("%s: %v is not granted", name, use)
			}
		}
		changes := []policy.Change{{Securable: table.Securable, Add: []policy.Assignment{{Principal: some, Privilege: policy.Select}}}}
		compiler.SetCauses(compile.CauseInput{Inventory: inv, Desired: r.Grants, Enforced: c.enforced}, changes)
		if cause := changes[0].Causes.Of(policy.ActAdd, changes[0].Add[0]); cause.PolicyID != 1 || cause.Item != "policyItems[0]" {
			t.Errorf("%s: the cause is %v", name, cause)
		}
	}
}
