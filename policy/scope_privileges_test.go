package policy_test

import (
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
)

func TestScopeOfPrivileges(t *testing.T) {
	type filters = map[policy.SecurableType]policy.PrivilegeFilter
	for _, test := range []struct {
		name          string
		filters       filters
		managed, left string // TYPE:PRIVILEGE
	}{
		{"by default", nil, "TABLE:SELECT SCHEMA:EXTERNAL_USE_SCHEMA CATALOG:BROWSE METASTORE:CREATE_CATALOG",
			"TABLE:READ_METADATA EXTERNAL_LOCATION:EXTERNAL_USE_LOCATION TABLE:INSERT SCHEMA:USAGE CATALOG:EXECUTE_CLEAN_ROOM_TASK TABLE:NEXT_YEARS"},
		{"excluded", filters{policy.Table: {Exclude: []string{"modify", "APPLY TAG"}}}, "TABLE:SELECT SCHEMA:MODIFY", "TABLE:MODIFY TABLE:APPLY_TAG TABLE:INSERT"},
		{"only included", filters{policy.Catalog: {Include: []string{"USE_*", "BROWSE", "READ_METADATA"}, Exclude: []string{"USE_SCHEMA"}}},
			"CATALOG:USE_CATALOG CATALOG:BROWSE CATALOG:READ_METADATA SCHEMA:SELECT", "CATALOG:SELECT CATALOG:USE_SCHEMA"},
		{"added", filters{policy.Table: {Add: []string{"READ_METADATA", "NEXT_YEARS"}}}, "TABLE:SELECT TABLE:READ_METADATA TABLE:NEXT_YEARS", "TABLE:INSERT SCHEMA:READ_METADATA"},
		{"added and excluded", filters{policy.Table: {Add: []string{"READ_METADATA"}, Exclude: []string{"*_METADATA"}}}, "TABLE:SELECT", "TABLE:READ_METADATA"},
	} {
		scope, err := policy.NewScope(policy.ScopeOptions{Privileges: test.filters})
		if err != nil {
			t.Fatal(err)
		}
		for want, list := range map[bool]string{true: test.managed, false: test.left} {
			for entry := range strings.FieldsSeq(list) {
				typ, p, _ := strings.Cut(entry, ":")
				if why := scope.LeavesAlone(policy.SecurableType(typ), policy.Privilege(p)); (why == "") != want {
					t.Errorf("%s: %s is left alone because %q", test.name, entry, why)
				}
			}
		}
	}
	scope, err := policy.NewScope(policy.ScopeOptions{Privileges: filters{policy.Table: {Add: []string{"*"}}, policy.Schema: {Include: []string{"SELECT"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(scope.MorePrivileges(policy.Table).All()); !slices.Contains(got, "INSERT") || slices.Contains(got, "SELECT") || scope.MorePrivileges(policy.Schema) != 0 {
		t.Errorf("asks for %v and %v", got, scope.MorePrivileges(policy.Schema))
	}
}

// A limit that cannot be understood is refused, with the setting and the nearest name.
func TestPrivilegeFiltersAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"SELET": "did you mean SELECT?", "MODIFFY": "did you mean MODIFY?", "REDA_METADATA": "did you mean READ_METADATA?",
		"": "cannot be", " ": "cannot be", "SELECT;": "cannot be", "SÉLECT": "cannot be", "SELECT\tMODIFY": "cannot be",
	} {
		for key, f := range map[string]policy.PrivilegeFilter{"include": {Include: []string{text}}, "add": {Add: []string{text}}, "exclude": {Exclude: []string{"MODIFY", text}}} {
			_, err := policy.NewScope(policy.ScopeOptions{Privileges: map[policy.SecurableType]policy.PrivilegeFilter{policy.ExternalLocation: f}})
			if policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "scope.privileges.external_location."+key) {
				t.Errorf("%q in %s: %v", text, key, err)
			}
		}
	}
	for _, right := range []string{"select", "APPLY TAG", "use_*", "NEXT_YEARS", "USAGE", "modify_clean_room"} {
		if _, err := policy.NewScope(policy.ScopeOptions{Privileges: map[policy.SecurableType]policy.PrivilegeFilter{policy.Table: {Exclude: []string{right}}}}); err != nil {
			t.Errorf("%q: %v", right, err)
		}
	}
}

func TestUnmanaged(t *testing.T) {
	one, two, out := parse(t, "table:a.s.one"), parse(t, "table:a.s.two"), parse(t, "table:b.s.t")
	scope, err := policy.NewScope(policy.ScopeOptions{
		Objects:    map[policy.SecurableType]policy.Filter{policy.Catalog: {Include: []string{"a"}}},
		Privileges: map[policy.SecurableType]policy.PrivilegeFilter{policy.Table: {Exclude: []string{"MODIFY"}}},
		Protected:  []string{"root@example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	grants := func(list ...string) *policy.GrantSet {
		g := policy.NewGrantSet()
		for _, text := range list {
			f := strings.Fields(text)
			g.Add(policy.Grant{Securable: map[string]policy.Securable{"one": one, "two": two, "out": out}[f[0]], Principal: policy.PrincipalByShape(f[1]), Privilege: policy.Privilege(f[2])})
		}
		return g
	}
	in := policy.DiffInput{Read: []policy.Securable{one, two, out}, Scope: scope,
		Current: grants("one readers READ_METADATA", "two readers READ_METADATA", "one readers SELECT", "two writers MODIFY", "two both MODIFY", "one x APPLY_TAG",
			"out readers READ_METADATA", "one root@example.com READ_METADATA"),
		Desired:   grants("one writers MODIFY", "two both MODIFY", "one readers SELECT"),
		Expresses: func(_ policy.SecurableType, p policy.Privilege) bool { return p != "APPLY_TAG" },
	}
	in.Unmanaged = &policy.Unmanaged{}
	changes, totals := policy.Diff(in)
	if len(changes) != 0 || totals.Managed != 2 {
		t.Errorf("changes %v, %+v", changes, totals)
	}
	var got []string
	for _, f := range in.Unmanaged.Findings() {
		got = append(got, string(f.Effect)+" "+f.Securable.FullName+" "+f.String())
	}
	want := []string{
		"none a.s.one readers holds READ_METADATA, which is left as it is: this version does not manage that privilege (and on 1 more)",
		"narrower a.s.one writers is not granted MODIFY, which the policies give: scope.privileges.table.exclude names it",
		"none a.s.one x holds APPLY_TAG, which is left as it is: the service definition has no access type for it",
		"none a.s.two writers holds MODIFY, which is left as it is: scope.privileges.table.exclude names it",
	}
	if !slices.Equal(got, want) {
		t.Errorf("findings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
