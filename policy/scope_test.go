package policy_test

import (
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
		"table:sales.emea.x12": true, "table:hr.emea.x1": true, "volume:sales.emea.x1": true, "external_location:web": true,
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
		{Objects: map[policy.SecurableType]policy.Filter{policy.Table: {Exclude: []string{"orders"}}}},
	} {
		if _, err := policy.NewScope(bad); policy.CodeOf(err) != policy.CodeInvalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
