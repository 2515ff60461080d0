package conformance_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// policy returns the body of a row filter on the object of that kind.
func (f *fixture) policy(kind, name string) map[string]any {
	return map[string]any{"name": name, "policy_type": "POLICY_TYPE_ROW_FILTER", "on_securable_type": strings.ToUpper(kind), "on_securable_fullname": f.name(kind),
		"for_securable_type": "TABLE", "to_principals": []any{"account users"}, "except_principals": []any{f.w.user(alice)}, "when_condition": "has_tag('pii')",
		"match_columns": []any{map[string]any{"alias": "region", "condition": "has_tag('region')"}},
		"row_filter":    map[string]any{"function_name": f.name("function"), "using": []any{map[string]any{"alias": "region"}, map[string]any{"constant": "eu"}}}}
}

func (f *fixture) policies(kind string) string {
	return "policies/" + kind + "/" + url.PathEscape(f.name(kind))
}

// TestPolicyAuthorization: policies are for who owns the object, or holds MANAGE, to read them, too.
func TestPolicyAuthorization(t *testing.T) {
	for kind, allowed := range map[string]string{
		"catalog": "own:catalog | MANAGE:catalog",
		"table":   usesBoth + " & (own:table | MANAGE:table)",
	} {
		at := func(method, suffix string, body map[string]any) func(f *fixture) request {
			return func(f *fixture) request {
				f.w.must(metastoreAdmin, "PATCH", "permissions/function/"+url.PathEscape(f.name("function")), diffOf(change("account users", []string{"EXECUTE"}, nil)))
				for container, privilege := range map[string]string{"catalog": "USE_CATALOG", "schema": "USE_SCHEMA"} {
					f.grant(container, bob, privilege)
				}
				f.w.must(bob, "POST", "policies", f.policy(kind, "p"))
				return request{method, f.policies(kind) + suffix, body}
			}
		}
		checkAuthorization(t, []endpoint{
			{name: "list policies on " + kind, allowed: allowed, try: "SELECT:" + kind, call: at("GET", "", nil)},
			{name: "get policy on " + kind, few: true, allowed: allowed, call: at("GET", "/p", nil)},
			{name: "delete policy on " + kind, few: true, allowed: allowed, try: "ALL_PRIVILEGES:" + kind, call: at("DELETE", "/p", nil)},
		})
	}
	// To call a function in a policy takes EXECUTE on it.
	w := newWorld(t)
	f := w.fixture()
	f.name("function")
	for _, ground := range []string{"own:table", "USE_CATALOG:catalog", "USE_SCHEMA:schema"} {
		f.arrange(alice, ground)
	}
	w.refused(alice, "POST", "policies", f.policy("table", "p"), 403, forbidden)
	w.must(metastoreAdmin, "PATCH", "permissions/function/"+url.PathEscape(f.name("function")), diffOf(change(w.user(alice), []string{"EXECUTE"}, nil)))
	w.must(alice, "POST", "policies", f.policy("table", "p"))
	w.refused(alice, "POST", "policies", f.policy("catalog", "p"), 403, forbidden)
}

// TestPolicies makes, changes and lists policies on a catalog, a schema and a table.
func TestPolicies(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.name("function")
	for _, kind := range []string{"catalog", "schema", "table"} {
		f.own(kind, metastoreAdmin)
	}
	w.must(metastoreAdmin, "PATCH", f.permissions("catalog"), diffOf(change("account users", []string{"EXECUTE"}, nil)))
	for _, kind := range []string{"catalog", "schema", "table"} {
		body := f.policy(kind, "On"+kind)
		made := w.must(metastoreAdmin, "POST", "policies", body)
		for field, value := range body {
			if field != "name" && !same(made.json[field], value) {
				w.Errorf("created with %s %v, answered %v", field, value, made.json[field])
			}
		}
		if made.str("name") != "on"+kind || made.str("id") == "" || made.json["created_at"] == nil || made.str("updated_by") != w.user(metastoreAdmin) {
			w.Errorf("created %s", made.raw)
		}
		path := f.policies(kind) + "/ON" + kind
		if got := w.must(metastoreAdmin, "GET", path, nil); !same(got.json, made.json) {
			w.Errorf("get answers %s, create %s", got.raw, made.raw)
		}
		w.must(metastoreAdmin, "GET", strings.Replace(path, kind, strings.ToUpper(kind), 1), nil)
		w.refused(metastoreAdmin, "POST", "policies", body, 409, "POLICY_ALREADY_EXISTS")
	}
	names := func(query string) []string {
		got, _ := w.pages(f.policies("table")+query, "policies", "name", 1)
		return got
	}
	if got := names(""); !same(got, []string{"ontable"}) {
		w.Errorf("policies on the table: %q", got)
	}
	if got := names("?include_inherited=true"); !same(slices.Sorted(slices.Values(got)), []string{"oncatalog", "onschema", "ontable"}) {
		w.Errorf("with the inherited ones: %q", got)
	}

	path := f.policies("table") + "/ontable"
	patch := func(mask string, body map[string]any) reply {
		w.Helper()
		return w.must(metastoreAdmin, "PATCH", path+"?update_mask="+mask, body)
	}
	got := patch("comment,when_condition", map[string]any{"comment": "c", "except_principals": []any{}})
	if got.str("comment") != "c" || got.json["when_condition"] != nil || !same(got.json["except_principals"], []any{w.user(alice)}) {
		w.Errorf("what the mask names, and nothing else, is changed or cleared: %s", got.raw)
	}
	got = patch("", map[string]any{"except_principals": []any{w.user(bob)}, "on_securable_type": "CATALOG"})
	if got.str("comment") != "c" || !same(got.json["except_principals"], []any{w.user(bob)}) || got.str("on_securable_type") != "TABLE" {
		w.Errorf("without a mask, what is there is changed: %s", got.raw)
	}
	got = patch("*", map[string]any{"row_filter": map[string]any{"function_name": f.name("function")}})
	if filter, _ := got.json["row_filter"].(map[string]any); filter["using"] != nil {
		w.Errorf("options are replaced whole: %s", got.raw)
	}
	w.must(metastoreAdmin, "POST", "policies", f.policy("table", "other"))
	w.refused(metastoreAdmin, "PATCH", path, map[string]any{"name": "OTHER"}, 409, "POLICY_ALREADY_EXISTS")
	for _, bad := range []string{"to_principals", "row_filter", "name", "policy_type", "id", "on_securable_type", "nothing"} {
		w.refused(metastoreAdmin, "PATCH", path+"?update_mask="+bad, map[string]any{}, 400, badValue)
	}
	patch("name", map[string]any{"name": "Renamed"})
	w.refused(metastoreAdmin, "GET", path, nil, 404, "POLICY_DOES_NOT_EXIST")
	path = f.policies("table") + "/renamed"
	w.must(metastoreAdmin, "DELETE", path, nil)
	for _, method := range []string{"GET", "DELETE"} {
		w.refused(metastoreAdmin, method, path, nil, 404, "POLICY_DOES_NOT_EXIST")
	}
	if got := names(""); !same(got, []string{"other"}) {
		w.Errorf("policies left: %q", got)
	}
}

func TestPoliciesAreChecked(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.name("function")
	f.own("catalog", metastoreAdmin)
	f.own("table", metastoreAdmin)
	f.own("schema", metastoreAdmin)
	w.must(metastoreAdmin, "PATCH", f.permissions("catalog"), diffOf(change("account users", []string{"EXECUTE"}, nil)))
	mask := map[string]any{"function_name": f.name("function"), "on_column": "region"}
	grant := map[string]any{"privileges": []any{"EXECUTE"}}
	column := func(alias string) map[string]any {
		return map[string]any{"alias": alias, "condition": "has_tag('x')"}
	}
	for what, change := range map[string]map[string]any{
		"no name": {"name": nil}, "bad name": {"name": "a.b"}, "no type": {"policy_type": nil}, "bad type": {"policy_type": "ROW_FILTER"},
		"nowhere": {"on_securable_type": nil}, "no name of where": {"on_securable_fullname": nil}, "on a volume": {"on_securable_type": "VOLUME"},
		"for nothing": {"for_securable_type": nil}, "to nobody": {"to_principals": []any{}}, "no principals": {"to_principals": nil},
		"too many principals": {"to_principals": slices.Repeat([]any{"account users"}, 20)}, "columns of no table": {"for_securable_type": "FUNCTION"},
		"no options": {"row_filter": nil}, "other options": {"row_filter": nil, "column_mask": mask}, "two options": {"column_mask": mask}, "three options": {"column_mask": mask, "grant": grant},
		"no function": {"row_filter": map[string]any{}}, "half a function": {"row_filter": map[string]any{"function_name": "f"}},
		"an unknown alias":   {"row_filter": map[string]any{"function_name": f.name("function"), "using": []any{map[string]any{"alias": "x"}}}},
		"an empty argument":  {"row_filter": map[string]any{"function_name": f.name("function"), "using": []any{map[string]any{}}}},
		"a double argument":  {"row_filter": map[string]any{"function_name": f.name("function"), "using": []any{map[string]any{"alias": "region", "constant": "x"}}}},
		"no condition":       {"match_columns": []any{map[string]any{"alias": "region"}}},
		"too many columns":   {"match_columns": slices.Repeat([]any{column("region")}, 7)},
		"too many of a mask": {"policy_type": "POLICY_TYPE_COLUMN_MASK", "row_filter": nil, "column_mask": mask, "match_columns": slices.Repeat([]any{column("region")}, 4)},
		"a mask of nothing":  {"policy_type": "POLICY_TYPE_COLUMN_MASK", "row_filter": nil, "column_mask": map[string]any{"function_name": f.name("function"), "on_column": "x"}},
		"a grant of nothing": {"policy_type": "POLICY_TYPE_GRANT", "row_filter": nil, "grant": map[string]any{"privileges": []any{}}},
	} {
		body := f.policy("table", "p")
		for field, value := range change {
			if body[field] = value; value == nil {
				delete(body, field)
			}
		}
		if got := w.do(metastoreAdmin, "POST", "policies", body); got.status != 400 {
			w.Errorf("%s: %d %s", what, got.status, got.raw)
		}
	}
	body := f.policy("table", "p")
	body["to_principals"] = []any{"nobody@example.com"}
	w.refused(metastoreAdmin, "POST", "policies", body, 404, "PRINCIPAL_DOES_NOT_EXIST")
	body = f.policy("table", "p")
	body["row_filter"] = map[string]any{"function_name": f.name("function") + "_none"}
	w.refused(metastoreAdmin, "POST", "policies", body, 404, "FUNCTION_DOES_NOT_EXIST")
	body = f.policy("table", "p")
	body["on_securable_fullname"] = f.name("table") + "_none"
	w.refused(metastoreAdmin, "POST", "policies", body, 404, "TABLE_DOES_NOT_EXIST")
	if got := w.must(metastoreAdmin, "GET", f.policies("table"), nil); got.json["policies"] != nil {
		w.Errorf("refused policies are there: %s", got.raw)
	}
	for name, change := range map[string]map[string]any{
		"mask":  {"policy_type": "POLICY_TYPE_COLUMN_MASK", "column_mask": mask},
		"grant": {"policy_type": "POLICY_TYPE_GRANT", "grant": grant},
	} {
		body := f.policy("table", name)
		delete(body, "row_filter")
		for field, value := range change {
			body[field] = value
		}
		w.must(metastoreAdmin, "POST", "policies", body)
	}
}
