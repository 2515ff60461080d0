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

// A table whose row filter is enforced is granted by itself, never from above, and others are granted as ever.
func TestProtectedTables(t *testing.T) {
	object := func(typ policy.SecurableType, name string, kind policy.Kind) policy.Object {
		return policy.Object{Securable: policy.Securable{Type: typ, FullName: name}, Kind: kind}
	}
	filtered, view, plain := object(policy.Table, "c.s.filtered", ""), object(policy.Table, "c.s.filtered_v", policy.KindView), object(policy.Table, "c.s.plain", "")
	s := &ranger.Snapshot{
		Policies: []ranger.Policy{
			{ID: 1, Name: "read", Resources: policytest.Resources("catalog=c schema=s table=*"), PolicyItems: []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "select"}}, Groups: []string{"staff"}}}},
			{ID: 2, Name: "rows", PolicyType: ranger.PolicyTypeRowFilter, Resources: policytest.Resources("catalog=c schema=s table=filtered*"), RowFilterPolicyItems: []ranger.RowFilterPolicyItem{{
				PolicyItem: ranger.PolicyItem{Accesses: []ranger.ItemAccess{{Type: "select"}}, Groups: []string{"eu"}}, RowFilterInfo: ranger.RowFilterInfo{FilterExpr: "n > 1"},
			}}},
		},
	}
	for name, members := range map[string]*ranger.UserStore{
		"who is in the groups is not known":     nil,
		"nobody of staff is whom the rows bind": {UserGroupMapping: map[string][]string{"ann": {"staff"}, "bob": {"eu"}}},
	} {
		s.Users = members
		t.Run(name, func(t *testing.T) { testProtectedTables(t, s, filtered, view, plain, members != nil) })
	}
}

func testProtectedTables(t *testing.T, s *ranger.Snapshot, filtered, view, plain policy.Object, unbound bool) {
	set, err := rules.New(s, rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	staff := policy.NewPrincipal(policy.Group, "staff")
	c := compile.New(set, compile.Options{Protects: true})
	catalog, schema := policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: "c"}}, policy.Object{Securable: policy.Securable{Type: policy.Schema, FullName: "c.s"}}
	inv := policy.NewInventory(catalog, schema, filtered, view, plain)
	for _, protected := range []bool{false, true} {
		r := c.CompileProtected(inv, compile.Enforced{Protected: map[policy.Securable]bool{filtered.Securable: protected}})
		for on, want := range map[policy.Object]bool{filtered: protected || unbound, view: unbound, plain: true, schema: false} {
			if got := r.Grants.Has(policy.Grant{Securable: on.Securable, Principal: staff, Privilege: policy.Select}); got != want {
				t.Errorf("with the table protected: %t, SELECT on %s is granted: %t, want %t", protected, on, got, want)
			}
		}
		onTable := 0
		for _, f := range r.Report.Findings {
			if f.Securable == filtered.Securable && strings.Contains(f.Message, "denied it by policy 2") {
				onTable++
			}
		}
		if (onTable == 0) != (protected || unbound) {
			t.Errorf("with the table protected: %t, the findings are %v", protected, r.Report.Findings)
		}
	}
}

// Who is allowed all privileges in a catalog with a protected table has them on each object, and is told why not on the catalog.
func TestAllPrivilegesAboveProtected(t *testing.T) {
	s := &ranger.Snapshot{Users: &ranger.UserStore{UserGroupMapping: map[string][]string{"ann": {"admins"}, "bob": {"eu"}}}, Policies: []ranger.Policy{
		{ID: 1, Name: "all", Resources: policytest.Resources("catalog=c"), PolicyItems: []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "all_privileges"}}, Groups: []string{"admins"}}}},
		{ID: 2, Name: "rows", PolicyType: ranger.PolicyTypeRowFilter, Resources: policytest.Resources("catalog=c schema=s table=t"), RowFilterPolicyItems: []ranger.RowFilterPolicyItem{{
			PolicyItem: ranger.PolicyItem{Accesses: []ranger.ItemAccess{{Type: "select"}}, Groups: []string{"eu"}}, RowFilterInfo: ranger.RowFilterInfo{FilterExpr: "n > 1"},
		}}},
	}}
	set, err := rules.New(s, rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	object := func(t policy.SecurableType, name string) policy.Object {
		return policy.Object{Securable: policy.Securable{Type: t, FullName: name}}
	}
	catalog, other, table := object(policy.Catalog, "c"), object(policy.Schema, "c.other"), object(policy.Table, "c.s.t")
	r := compile.New(set, compile.Options{Protects: true}).CompileProtected(policy.NewInventory(catalog, other, object(policy.Schema, "c.s"), table), compile.Enforced{Protected: map[policy.Securable]bool{table.Securable: true}})
	admins := policy.NewPrincipal(policy.Group, "admins")
	for on, want := range map[policy.Object]bool{catalog: false, other: true, table: true} {
		if got := r.Grants.Has(policy.Grant{Securable: on.Securable, Principal: admins, Privilege: policy.AllPrivileges}); got != want {
			t.Errorf("ALL_PRIVILEGES on %s is granted: %t, want %t", on, got, want)
		}
	}
	if len(r.Report.Findings) == 0 || !strings.Contains(r.Report.Findings[0].Message, "would give SELECT too, and that is granted table by table where policies filter or mask tables") {
		t.Errorf("the findings are %v", r.Report.Findings)
	}
}
