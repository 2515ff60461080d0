package emulator_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"ucwarden/connector/emulator"
)

func TestPermissionsAreASet(t *testing.T) {
	w := newWorld(t)
	const path = "permissions/table/sales.emea.orders"
	r := w.must(admin, "PATCH", path, `{"changes":[{"principal":"analysts","add":["SELECT","MODIFY","SELECT"]},{"principal":"bob@example.com","add":["SELECT"]}]}`)
	want := []string{"analysts MODIFY", "analysts SELECT", "bob@example.com SELECT"}
	equal(t, "answer of the first diff", lines(r), want)
	equal(t, "stored", w.grants("table", "sales.emea.orders"), want)
	r = w.must(admin, "PATCH", path, `{"changes":[{"principal":"analysts","add":["SELECT"],"remove":["MODIFY","APPLY_TAG"]},{"principal":"carol@example.com","remove":["SELECT"]}]}`)
	equal(t, "answer of the second diff", lines(r), []string{"analysts SELECT", "bob@example.com SELECT"})
	r = w.must(admin, "GET", path+"?principal=analysts", "")
	equal(t, "of one principal", lines(r), []string{"analysts SELECT"})
	r = w.must(admin, "PATCH", path, `{"changes":[{"principal":"analysts","remove":["SELECT"]}],"omit_permissions_in_response":true}`)
	if r.raw != "{}\n" {
		t.Errorf("omit_permissions_in_response: got %q", r.raw)
	}
	equal(t, "in the end", w.grants("table", "SALES.Emea.ORDERS"), []string{"bob@example.com SELECT"})
}

func TestRefusedDiffChangesNothing(t *testing.T) {
	const good = `{"principal":"analysts","add":["SELECT"]}`
	tests := []struct {
		name, path, body string
		status           int
		code             string
	}{
		{"unknown principal", "table/sales.emea.orders", `{"changes":[` + good + `,{"principal":"nobody","add":["SELECT"]}]}`, 404, "PRINCIPAL_DOES_NOT_EXIST"},
		{"unknown principal loses", "table/sales.emea.orders", `{"changes":[` + good + `,{"principal":"nobody","remove":["SELECT"]}]}`, 404, "PRINCIPAL_DOES_NOT_EXIST"},
		{"groups are case-sensitive", "table/sales.emea.orders", `{"changes":[` + good + `,{"principal":"Analysts","add":["SELECT"]}]}`, 404, "PRINCIPAL_DOES_NOT_EXIST"},
		{"unsupported privilege", "table/sales.emea.orders", `{"changes":[` + good + `,{"principal":"bob@example.com","add":["USE_SCHEMA"]}]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"unheard-of privilege", "table/sales.emea.orders", `{"changes":[` + good + `,{"principal":"bob@example.com","add":["OWN"]}]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"unheard-of privilege removed", "table/sales.emea.orders", `{"changes":[` + good + `,{"principal":"bob@example.com","remove":["OWN"]}]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"lower-case privilege", "table/sales.emea.orders", `{"changes":[` + good + `,{"principal":"bob@example.com","add":["select"]}]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"added and removed", "table/sales.emea.orders", `{"changes":[` + good + `,{"principal":"bob@example.com","add":["SELECT"],"remove":["SELECT"]}]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"added and removed in two changes", "table/sales.emea.orders", `{"changes":[` + good + `,{"principal":"analysts","remove":["SELECT"]}]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"one user in two spellings", "table/sales.emea.orders", `{"changes":[{"principal":"bob@example.com","add":["SELECT"]},{"principal":"Bob@Example.com","add":["MODIFY"]}]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"one group twice", "table/sales.emea.orders", `{"changes":[` + good + `,{"principal":"analysts","add":["MODIFY"]}]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"added and removed in two spellings", "catalog/sales", `{"changes":[{"principal":"analysts","add":["USE CATALOG"],"remove":["USE_CATALOG"]}]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"no principal", "table/sales.emea.orders", `{"changes":[` + good + `,{"add":["SELECT"]}]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"principal and id", "table/sales.emea.orders", `{"changes":[` + good + `,{"principal":"analysts","principal_id":1003,"add":["SELECT"]}]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"no changes", "table/sales.emea.orders", `{}`, 400, "INVALID_PARAMETER_VALUE"},
		{"wrong type", "table/sales.emea.orders", `{"changes":[` + good + `,{"principal":"bob@example.com","add":"SELECT"}]}`, 400, "MALFORMED_REQUEST"},
		{"an array", "table/sales.emea.orders", `[` + good + `]`, 400, "MALFORMED_REQUEST"},
		{"null", "table/sales.emea.orders", `null`, 400, "MALFORMED_REQUEST"},
		{"cut off", "table/sales.emea.orders", `{"changes":[` + good, 400, "MALFORMED_REQUEST"},
		{"two values", "table/sales.emea.orders", `{"changes":[` + good + `]}{}`, 400, "MALFORMED_REQUEST"},
		{"empty body", "table/sales.emea.orders", ``, 400, "MALFORMED_REQUEST"},
		{"unknown table", "table/sales.emea.none", `{"changes":[` + good + `]}`, 404, "TABLE_DOES_NOT_EXIST"},
		{"unknown schema", "table/sales.none.orders", `{"changes":[` + good + `]}`, 404, "SCHEMA_DOES_NOT_EXIST"},
		{"unknown catalog", "table/none.emea.orders", `{"changes":[` + good + `]}`, 404, "CATALOG_DOES_NOT_EXIST"},
		{"a function is no table", "table/sales.emea.mask", `{"changes":[` + good + `]}`, 404, "TABLE_DOES_NOT_EXIST"},
		{"two names for a table", "table/sales.orders", `{"changes":[` + good + `]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"unknown type", "cluster/sales", `{"changes":[` + good + `]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"illegal name", "table/sales.emea.or%2Fders", `{"changes":[` + good + `]}`, 400, "INVALID_PARAMETER_VALUE"},
		{"unknown metastore", "metastore/main", `{"changes":[` + good + `]}`, 404, "METASTORE_DOES_NOT_EXIST"},
		{"nothing can be granted on a recipient", "recipient/partner", `{"changes":[{"principal":"analysts","add":["SELECT"]}]}`, 400, "INVALID_PARAMETER_VALUE"},
	}
	w := newWorld(t)
	w.grant("table", "sales.emea.orders", "carol@example.com", "MODIFY")
	before := w.srv.Grants()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := &world{t, w.srv, w.url}
			w.refused(admin, "PATCH", "permissions/"+test.path, test.body, test.status, test.code)
			if after := w.srv.Grants(); !slices.Equal(after, before) {
				t.Errorf("the refused diff changed grants: %v", after)
			}
		})
	}
}

func TestPrivilegesByTypeAndKind(t *testing.T) {
	tests := []struct {
		typ, name  string
		takes, not []string
	}{
		{"metastore", "11111111-2222-4333-8444-555555555555", []string{"CREATE_CATALOG", "CREATE CONNECTION"}, []string{"SELECT", "MANAGE"}},
		{"catalog", "sales", []string{"USE_CATALOG", "USE CATALOG", "BROWSE", "SELECT", "CREATE_TABLE", "ALL_PRIVILEGES", "EXTERNAL USE SCHEMA"}, []string{"CREATE_CATALOG", "READ_FILES"}},
		{"schema", "sales.emea", []string{"USE_SCHEMA", "REFRESH", "READ_VOLUME", "EXECUTE"}, []string{"USE_CATALOG", "BROWSE"}},
		{"table", "sales.emea.orders", []string{"SELECT", "MODIFY", "APPLY_TAG", "MANAGE"}, []string{"REFRESH", "EXECUTE"}},
		{"view", "sales.emea.orders_v", []string{"SELECT"}, []string{"MODIFY", "REFRESH"}},
		{"table", "sales.emea.orders_mv", []string{"SELECT", "REFRESH"}, []string{"MODIFY"}},
		{"table", "sales.emea.orders_st", []string{"SELECT", "REFRESH"}, []string{"MODIFY"}},
		{"function", "sales.emea.mask", []string{"EXECUTE"}, []string{"SELECT", "APPLY_TAG"}},
		{"function", "sales.emea.churn", []string{"EXECUTE", "APPLY_TAG"}, []string{"SELECT"}},
		{"volume", "sales.emea.landing", []string{"READ_VOLUME", "WRITE VOLUME"}, []string{"SELECT"}},
		{"external-location", "loc", []string{"READ_FILES", "CREATE_MANAGED_STORAGE"}, []string{"SELECT"}},
		{"external_location", "loc", []string{"WRITE_FILES"}, []string{"SELECT"}},
		{"storage-credential", "cred", []string{"CREATE_EXTERNAL_LOCATION"}, []string{"ACCESS"}},
		{"storage_credential", "cred", []string{"READ_FILES"}, []string{"ACCESS"}},
		{"credential", "svc", []string{"ACCESS"}, []string{"READ_FILES"}},
		{"connection", "pg", []string{"USE_CONNECTION"}, []string{"SELECT"}},
	}
	w := newWorld(t)
	for _, test := range tests {
		t.Run(test.typ+" "+test.name, func(t *testing.T) {
			w := &world{t, w.srv, w.url}
			want := []string{}
			for _, p := range test.takes {
				w.grant(test.typ, test.name, "analysts", p)
				want = append(want, "analysts "+strings.ReplaceAll(p, " ", "_"))
			}
			slices.Sort(want)
			for _, p := range test.not {
				w.refused(admin, "PATCH", "permissions/"+test.typ+"/"+test.name,
					`{"changes":[{"principal":"analysts","add":["`+p+`"]}]}`, 400, "INVALID_PARAMETER_VALUE")
			}
			got := slices.DeleteFunc(w.grants(test.typ, test.name), func(line string) bool { return !slices.Contains(want, line) })
			equal(t, "granted", got, slices.Compact(want))
		})
	}
}

func TestReplacePermissions(t *testing.T) {
	w := newWorld(t)
	w.grant("schema", "sales.emea", "analysts", "USE_SCHEMA", "SELECT")
	w.grant("schema", "sales.emea", "bob@example.com", "USE_SCHEMA")
	r := w.must(admin, "PUT", "permissions/schema/sales.emea", `{"privilege_assignments":[{"principal":"bob@example.com","privileges":["SELECT"]}]}`)
	if r.raw != "{}\n" {
		t.Errorf("PUT answers %q, want {}", r.raw)
	}
	equal(t, "replaced", w.grants("schema", "sales.emea"), []string{"bob@example.com SELECT"})
	w.refused(admin, "PUT", "permissions/schema/sales.emea", `{"privilege_assignments":[{"principal":"nobody","privileges":["SELECT"]}]}`, 404, "PRINCIPAL_DOES_NOT_EXIST")
	w.refused(admin, "PUT", "permissions/schema/sales.emea", `{}`, 400, "INVALID_PARAMETER_VALUE")
	equal(t, "kept", w.grants("schema", "sales.emea"), []string{"bob@example.com SELECT"})
	w.must(admin, "PUT", "permissions/schema/sales.emea", `{"privilege_assignments":[]}`)
	equal(t, "emptied", w.grants("schema", "sales.emea"), []string{})
}

func TestOddNamesReachTheirObject(t *testing.T) {
	names := []string{"a#b", "a?b", "a%b", "a%23b", "a%2523b", "übér", "a+b", "a&b=c", "a;b", "テーブル", "a:b@c", "a\\b", "'a'", "~a"}
	w := newWorld(t)
	for _, name := range names {
		body := fmt.Sprintf(`{"catalog_name":"hr","schema_name":"odd","name":%q,"table_type":"VIEW","view_definition":"SELECT 1","columns":[]}`, name)
		if name == names[0] {
			w.must(admin, "POST", "schemas", `{"catalog_name":"hr","name":"odd"}`)
		}
		w.must(admin, "POST", "tables", body)
	}
	for _, name := range names {
		w.grant("table", "hr.odd."+name, "analysts", "SELECT")
		for _, other := range names {
			got := w.grants("table", "hr.odd."+other)
			want := []string{}
			if other == name {
				want = []string{"analysts SELECT"}
			}
			equal(t, "grants of "+other+" after a grant on "+name, got, want)
		}
		w.must(admin, "PUT", "permissions/table/"+url.PathEscape("hr.odd."+name), `{"privilege_assignments":[]}`)
		if got := w.must(admin, "GET", "tables/"+url.PathEscape("HR.odd."+name), "").json["name"]; got != name {
			t.Errorf("GET of table %q gave %q", name, got)
		}
	}
}

func TestWhoMayReadAndChange(t *testing.T) {
	const path = "permissions/table/sales.emea.orders"
	const change = `{"changes":[{"principal":"bob@example.com","add":["SELECT"]}]}`
	tests := []struct {
		name    string
		arrange func(*world)
		manages bool
	}{
		{"nobody", func(*world) {}, false},
		{"a reader", func(w *world) { w.grant("table", "sales.emea.orders", "alice@example.com", "SELECT", "ALL_PRIVILEGES") }, false},
		{"MANAGE on the table", func(w *world) { w.grant("table", "sales.emea.orders", "alice@example.com", "MANAGE") }, true},
		{"MANAGE on the schema through nested groups", func(w *world) { w.grant("schema", "sales.emea", "staff", "MANAGE") }, true},
		{"MANAGE on the catalog", func(w *world) { w.grant("catalog", "sales", "account users", "MANAGE") }, true},
		{"MANAGE elsewhere", func(w *world) { w.grant("catalog", "hr", "alice@example.com", "MANAGE") }, false},
		{"owner of the table", func(w *world) { w.must(admin, "PATCH", "tables/sales.emea.orders", `{"owner":"alice@example.com"}`) }, true},
		{"owner of the catalog by group", func(w *world) { w.must(admin, "PATCH", "catalogs/sales", `{"owner":"analysts"}`) }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			test.arrange(w)
			w.must(alice, "GET", path+"?principal=alice@example.com", "")
			if test.manages {
				w.must(alice, "GET", path, "")
				w.must(alice, "GET", path+"?principal=bob@example.com", "")
				w.must(alice, "GET", strings.Replace(path, "permissions", "effective-permissions", 1), "")
				w.must(alice, "PATCH", path, change)
				return
			}
			w.refused(alice, "GET", path, "", 403, "UNAUTHORIZED")
			w.refused(alice, "GET", path+"?principal=bob@example.com", "", 403, "UNAUTHORIZED")
			w.refused(alice, "GET", strings.Replace(path, "permissions", "effective-permissions", 1), "", 403, "UNAUTHORIZED")
			w.refused(alice, "PATCH", path, change, 403, "UNAUTHORIZED")
			w.refused(alice, "PUT", path, `{"privilege_assignments":[]}`, 403, "UNAUTHORIZED")
		})
	}
}

func TestEffectivePermissions(t *testing.T) {
	w := newWorld(t)
	w.grant("catalog", "sales", "analysts", "USE_CATALOG", "SELECT")
	w.grant("schema", "sales.emea", "analysts", "USE_SCHEMA")
	w.grant("table", "sales.emea.orders", "analysts", "SELECT")
	w.grant("table", "sales.emea.orders", "bob@example.com", "MODIFY")
	w.grant("metastore", "11111111-2222-4333-8444-555555555555", "analysts", "CREATE_CATALOG")
	list := func(path string) []string {
		var got []string
		for _, a := range w.must(admin, "GET", path, "").json["privilege_assignments"].([]any) {
			a := a.(map[string]any)
			for _, p := range a["privileges"].([]any) {
				p := p.(map[string]any)
				line := fmt.Sprint(a["principal"], " ", p["privilege"])
				if from := p["inherited_from_type"]; from != nil {
					line += fmt.Sprint(" from ", from, " ", p["inherited_from_name"])
				}
				got = append(got, line)
			}
		}
		return got
	}
	equal(t, "on the table", list("effective-permissions/table/sales.emea.orders"), []string{
		"analysts SELECT", "analysts USE_SCHEMA from SCHEMA sales.emea", "analysts SELECT from CATALOG sales",
		"analysts USE_CATALOG from CATALOG sales", "bob@example.com MODIFY"})
	equal(t, "on the table, of one", list("effective-permissions/table/sales.emea.orders?principal=bob%40example.com"), []string{"bob@example.com MODIFY"})
	equal(t, "on the other schema's table", list("effective-permissions/table/sales.apac.orders"), []string{
		"analysts SELECT from CATALOG sales", "analysts USE_CATALOG from CATALOG sales"})
	equal(t, "on the catalog", list("effective-permissions/catalog/sales"), []string{"analysts SELECT", "analysts USE_CATALOG"})
}

func TestDeletedPrincipal(t *testing.T) {
	w := newWorld(t)
	w.grant("table", "sales.emea.orders", "bob@example.com", "SELECT")
	if !w.srv.DeletePrincipal("bob@example.com") {
		t.Fatal("bob is not there to delete")
	}
	assignment := func() map[string]any {
		list, _ := w.must(admin, "GET", "permissions/table/sales.emea.orders", "").json["privilege_assignments"].([]any)
		if len(list) != 1 {
			t.Fatalf("want one assignment, got %v", list)
		}
		return list[0].(map[string]any)
	}
	gone := assignment()
	id, _ := gone["principal_id"].(float64)
	if gone["principal"] != "" || id == 0 {
		t.Fatalf("a deleted principal's assignment is %v, want an empty principal and an id", gone)
	}
	w.refused(bob, "GET", "catalogs", "", 401, "UNAUTHENTICATED")
	w.refused(admin, "PATCH", "permissions/table/sales.emea.orders", `{"changes":[{"principal":"bob@example.com","remove":["SELECT"]}]}`, 404, "PRINCIPAL_DOES_NOT_EXIST")
	if err := w.srv.AddPrincipal(emulator.User, "bob@example.com"); err != nil {
		t.Fatal(err)
	}
	if again := assignment(); again["principal"] != "" {
		t.Errorf("a new principal of the same name inherited the grants: %v", again)
	}
	w.refused(admin, "PATCH", "permissions/table/sales.emea.orders", fmt.Sprintf(`{"changes":[{"principal_id":%.0f,"add":["MODIFY"]}]}`, id), 400, "INVALID_PARAMETER_VALUE")
	w.must(admin, "PATCH", "permissions/table/sales.emea.orders", fmt.Sprintf(`{"changes":[{"principal_id":%.0f,"remove":["SELECT"]}]}`, id))
	equal(t, "after removal by id", w.grants("table", "sales.emea.orders"), []string{})
}

func TestAutoPrincipals(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.AutoPrincipals = true })
	const path = "permissions/table/sales.emea.orders"
	w.refused(admin, "PATCH", path, `{"changes":[{"principal":"newcomers","add":["SELECT"]},{"principal":"x@example.com","add":["USE_CATALOG"]}]}`, 400, "INVALID_PARAMETER_VALUE")
	if list, _ := w.names(admin, "/api/2.0/preview/scim/v2/Groups", "Resources", "displayName"); slices.Contains(list, "newcomers") {
		t.Error("a refused diff made a principal known")
	}
	w.must(admin, "PATCH", path, `{"changes":[{"principal":"newcomers","add":["SELECT"]},{"principal":"x@example.com","add":["MODIFY"]}]}`)
	equal(t, "grants", w.grants("table", "sales.emea.orders"), []string{"newcomers SELECT", "x@example.com MODIFY"})
}

func TestPermissionPages(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.AutoPrincipals = true })
	var want []string
	for i := range 120 {
		name := fmt.Sprintf("group %03d", i)
		w.grant("catalog", "hr", name, "USE_CATALOG", "SELECT")
		want = append(want, name)
	}
	for _, n := range []int{1, 149, -1} {
		w.refused(admin, "GET", fmt.Sprintf("permissions/catalog/hr?max_results=%d", n), "", 400, "INVALID_PARAMETER_VALUE")
	}
	for query, wantPages := range map[string]int{"": 1, "?max_results=150": 2, "?max_results=0": 1, "?max_results=240": 1, "?max_results=239": 2} {
		got, pages := w.names(admin, "permissions/catalog/hr"+query, "privilege_assignments", "principal")
		equal(t, "principals"+query, got, want)
		if pages != wantPages {
			t.Errorf("%q: %d pages, want %d", query, pages, wantPages)
		}
	}
	if got, pages := w.names(admin, "effective-permissions/catalog/hr?max_results=150", "privilege_assignments", "principal"); pages != 2 || !slices.Equal(got, want) {
		t.Errorf("effective permissions: %d pages of %d principals", pages, len(got))
	}
}
