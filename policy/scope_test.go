package policy_test

import (
	"strings"
	"testing"

	"ucwarden/policy"
)

func parse(t *testing.T, s string) policy.Securable {
	t.Helper()
	parsed, err := policy.ParseSecurable(s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestScope(t *testing.T) {
	scope, err := policy.NewScope(policy.ScopeOptions{
		Objects: map[policy.SecurableType]policy.Filter{
			policy.Catalog: {Include: []string{"sales", "HR*"}, Exclude: []string{"hr_old"}},
			policy.Schema:  {Exclude: []string{"*.tmp"}},
			policy.Table:   {Exclude: []string{"sales.*.x?"}},
		},
		Users: policy.Filter{Exclude: []string{"root@*"}}, Groups: policy.Filter{Include: []string{"team-*"}},
		Roles: policy.Filter{Exclude: []string{"role_old"}}, RolePrefix: "role_",
		Protected: []string{"me@example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]bool{
		"catalog:sales": true, "catalog:hr": true, "catalog:hr_old": false, "catalog:web": false, "schema:sales.emea": true,
		"schema:sales.tmp": false, "table:sales.tmp.t": false, "table:hr_old.s.t": false, "table:sales.emea.x1": false,
		"table:sales.emea.x12": true, "table:hr.emea.x1": true, "volume:sales.emea.x1": true, "external_location:web": false, "metastore:m1": false,
	} {
		if got := scope.Includes(parse(t, s)); got != want {
			t.Errorf("includes %s: %t", s, got)
		}
	}
	for name, want := range map[string]bool{
		"ann@example.com": true, "root@example.com": false, "Root@Example.com": false, "me@example.com": false, "Me@Example.com": false, "Team-a": false, "team-a": true, "other": false, "": false,
		"role_a": true, "role_old": false, "11111111-2222-3333-4444-555555555555": true, "11111111-2222-3333-4444-55555555555g": false,
	} {
		if got := scope.Manages(policy.PrincipalByShape(name)); got != want {
			t.Errorf("manages %q: %t", name, got)
		}
	}
	narrow := scope.Within(parse(t, "schema:sales.emea"), parse(t, "catalog:hr_old"))
	for s, want := range map[string]bool{
		"schema:sales.emea": true, "table:sales.emea.t": true, "catalog:sales": false, "table:sales.emea2.t": false, "table:hr_old.s.t": false,
	} {
		if got := narrow.Includes(parse(t, s)); got != want {
			t.Errorf("narrowed: includes %s: %t", s, got)
		}
	}
	for _, bad := range []policy.ScopeOptions{
		{Objects: map[policy.SecurableType]policy.Filter{"TABEL": {}}},
		{Objects: map[policy.SecurableType]policy.Filter{policy.Catalog: {Include: []string{" "}}}},
		{Objects: map[policy.SecurableType]policy.Filter{policy.Table: {Exclude: []string{"orders"}}}},
	} {
		if _, err := policy.NewScope(bad); policy.CodeOf(err) != policy.CodeInvalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// A limit on catalogs or schemas binds root objects, the metastore, and the catalogs around the schemas.
func TestScopeOfContainersBindsTheRest(t *testing.T) {
	type filters = map[policy.SecurableType]policy.Filter
	for _, test := range []struct {
		name    string
		filters filters
		in, out string // securables
		adds    string // catalogs where only USE_CATALOG may be added
	}{
		{"no filter", nil, "metastore:m1 external_location:lake catalog:hr table:hr.core.t", "", ""},
		{"a catalog", filters{policy.Catalog: {Include: []string{"sales"}}},
			"catalog:sales table:sales.emea.t", "metastore:m1 external_location:lake storage_credential:c credential:c connection:c share:s catalog:hr", ""},
		{"all catalogs but one", filters{policy.Catalog: {Exclude: []string{"hr"}}},
			"catalog:sales", "metastore:m1 connection:c catalog:hr table:hr.core.t", ""},
		{"own settings admit", filters{policy.Catalog: {Include: []string{"sales"}}, policy.Metastore: {Include: []string{"*"}}, policy.Connection: {Include: []string{"pg*"}}},
			"metastore:m1 connection:pg1", "external_location:lake connection:my", ""},
		{"the metastore left out", filters{policy.Metastore: {Exclude: []string{"*"}}}, "catalog:sales connection:c", "metastore:m1", ""},
		{"an exclude of its own does not", filters{policy.Catalog: {Include: []string{"sales"}}, policy.Connection: {Exclude: []string{"pg"}}},
			"catalog:sales", "connection:my", ""},
		{"a schema", filters{policy.Schema: {Include: []string{"sales.emea"}}},
			"schema:sales.emea table:sales.emea.t", "metastore:m1 connection:c catalog:hr schema:sales.apac table:sales.apac.t table:hr.core.t", "catalog:sales"},
		{"a schema and its catalog", filters{policy.Schema: {Include: []string{"sales.emea"}}, policy.Catalog: {Include: []string{"sales"}}},
			"catalog:sales table:sales.emea.t", "catalog:hr schema:sales.apac", ""},
		{"all schemas but one", filters{policy.Schema: {Exclude: []string{"sales.tmp"}}},
			"catalog:sales catalog:hr schema:hr.core", "schema:sales.tmp connection:c", ""},
		{"all schemas", filters{policy.Schema: {Include: []string{"sales.emea", "*"}}}, "catalog:sales schema:hr.core table:hr.core.t", "metastore:m1 connection:c", ""},
		{"no volumes", filters{policy.Volume: {Exclude: []string{"*"}}}, "catalog:sales table:a.b.t metastore:m1", "volume:a.b.v", ""},
		{"some tables", filters{policy.Table: {Exclude: []string{"*.*.tmp_*"}}},
			"catalog:sales connection:c metastore:m1", "table:a.b.tmp_1", ""},
	} {
		scope, err := policy.NewScope(policy.ScopeOptions{Objects: test.filters})
		if err != nil {
			t.Fatal(err)
		}
		check := func(list string, in, adds bool) {
			for s := range strings.FieldsSeq(list) {
				o := parse(t, s)
				if scope.Filters(o) != in || scope.AddsOnly(o) != adds || scope.Reaches(o) != (in || adds) {
					t.Errorf("%s: %s: in scope %t, adds only %t, reaches %t", test.name, s, scope.Filters(o), scope.AddsOnly(o), scope.Reaches(o))
				}
			}
		}
		check(test.in, true, false)
		check(test.out, false, false)
		check(test.adds, false, true)
		roots := strings.Contains(test.in, "metastore:") || strings.Contains(test.in, "connection:")
		if scope.Reaches(policy.Securable{Type: policy.Metastore}) != roots {
			t.Errorf("%s: reaches the metastore's objects: %t", test.name, !roots)
		}
	}
}
