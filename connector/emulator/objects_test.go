package emulator_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestLifeOfEveryResource makes, reads, lists, changes, renames and deletes one object of each collection.
func TestLifeOfEveryResource(t *testing.T) {
	tests := []struct {
		path, list, key     string // collection, its list with parent, its JSON key
		body, name          string // of create, and the full name it gets
		label               string // of error codes
		update              string // body of an update, "" for the owner only
		field               string // that the update changes
		renamed             string // full name after a rename, "" when it cannot be renamed
		missing, incomplete string // body without its name; body without what else it needs
	}{
		{path: "catalogs", list: "catalogs", key: "catalogs", body: `{"name":"New","comment":"c","properties":{"a":"1"}}`, name: "new",
			label: "CATALOG", update: `{"comment":"d"}`, field: "comment", renamed: "newer"},
		{path: "schemas", list: "schemas?catalog_name=SALES", key: "schemas", body: `{"name":"New","catalog_name":"Sales"}`, name: "sales.new",
			label: "SCHEMA", update: `{"comment":"d"}`, field: "comment", renamed: "sales.newer", incomplete: `{"name":"x"}`},
		{path: "tables", list: "tables?catalog_name=sales&schema_name=emea", key: "tables",
			body: `{"name":"New","catalog_name":"sales","schema_name":"emea","table_type":"MANAGED","data_source_format":"DELTA","columns":[{"name":"Id","type_name":"LONG","type_text":"bigint","type_json":"{}","position":0}]}`,
			name: "sales.emea.new", label: "TABLE", incomplete: `{"name":"x","catalog_name":"sales","schema_name":"emea","table_type":"MANAGED","columns":[]}`},
		{path: "functions", list: "functions?catalog_name=sales&schema_name=emea", key: "functions",
			body: `{"function_info":{"name":"New","catalog_name":"sales","schema_name":"emea","routine_body":"SQL","routine_definition":"1","input_params":{"parameters":[{"name":"x","position":0}]}}}`,
			name: "sales.emea.new", label: "FUNCTION", incomplete: `{"name":"x","catalog_name":"sales","schema_name":"emea"}`},
		{path: "models", list: "models?catalog_name=sales&schema_name=emea", key: "registered_models",
			body: `{"name":"New","catalog_name":"sales","schema_name":"emea"}`, name: "sales.emea.new", label: "REGISTERED_MODEL",
			update: `{"comment":"d"}`, field: "comment", renamed: "sales.emea.newer", incomplete: `{"name":"x","catalog_name":"sales"}`},
		{path: "volumes", list: "volumes?catalog_name=sales&schema_name=emea", key: "volumes",
			body: `{"name":"New","catalog_name":"sales","schema_name":"emea","volume_type":"MANAGED"}`, name: "sales.emea.new", label: "VOLUME",
			update: `{"comment":"d"}`, field: "comment", renamed: "sales.emea.newer", incomplete: `{"name":"x","catalog_name":"sales","schema_name":"emea","volume_type":"EXTERNAL"}`},
		{path: "external-locations", list: "external-locations", key: "external_locations", body: `{"name":"New","url":"s3://other/x","credential_name":"Cred"}`, name: "new",
			label: "EXTERNAL_LOCATION", update: `{"url":"s3://other/y"}`, field: "url", renamed: "newer", incomplete: `{"name":"x","url":"s3://y/x"}`},
		{path: "storage-credentials", list: "storage-credentials", key: "storage_credentials", body: `{"name":"New","aws_iam_role":{"role_arn":"arn:1"}}`, name: "new",
			label: "STORAGE_CREDENTIAL", update: `{"read_only":true}`, field: "read_only", renamed: "newer", incomplete: `{"name":"x"}`},
		{path: "credentials", list: "credentials?purpose=SERVICE", key: "credentials", body: `{"name":"New","aws_iam_role":{"role_arn":"arn:1"}}`, name: "new",
			label: "CREDENTIAL", update: `{"comment":"d"}`, field: "comment", renamed: "newer",
			incomplete: `{"name":"x","aws_iam_role":{"role_arn":"a"},"azure_managed_identity":{"access_connector_id":"b"}}`},
		{path: "connections", list: "connections", key: "connections", body: `{"name":"New","connection_type":"MYSQL","options":{"host":"h","password":"p"}}`, name: "new",
			label: "CONNECTION", update: `{"options":{"host":"i"}}`, field: "options", renamed: "newer", incomplete: `{"name":"x"}`},
		{path: "shares", list: "shares", key: "shares", body: `{"name":"New"}`, name: "new", label: "SHARE", update: `{"comment":"d"}`, field: "comment", renamed: "newer"},
		{path: "recipients", list: "recipients", key: "recipients", body: `{"name":"New","authentication_type":"TOKEN"}`, name: "new",
			label: "RECIPIENT", update: `{"comment":"d"}`, field: "comment", renamed: "newer", incomplete: `{"name":"x"}`},
		{path: "providers", list: "providers", key: "providers",
			body: `{"name":"New","authentication_type":"TOKEN","recipient_profile_str":"{\"shareCredentialsVersion\":1,\"endpoint\":\"https://x\",\"bearerToken\":\"hush\"}"}`, name: "new",
			label: "PROVIDER", update: `{"comment":"d"}`, field: "comment", renamed: "newer", incomplete: `{"name":"x"}`},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			w := newWorld(t)
			before, _ := w.names(admin, test.list, test.key, "name")
			made := w.must(admin, "POST", test.path, test.body)
			own := test.name[strings.LastIndexByte(test.name, '.')+1:]
			for field, want := range map[string]any{"name": own, "full_name": test.name, "owner": "admin@example.com", "created_by": "admin@example.com"} {
				if made.json[field] != want {
					t.Errorf("created: %s is %v, want %v", field, made.json[field], want)
				}
			}
			if at, _ := made.json["created_at"].(float64); at < 1e12 {
				t.Errorf("created_at is %v, want epoch milliseconds", made.json["created_at"])
			}
			if strings.Contains(made.raw, "hush") || strings.Contains(made.raw, "password") {
				t.Errorf("the answer shows a secret: %s", made.raw)
			}
			one := test.path + "/" + strings.ToUpper(test.name)
			if got := w.must(admin, "GET", one, ""); got.raw != made.raw {
				t.Errorf("GET differs from the create's answer:\n%s%s", got.raw, made.raw)
			}
			after, _ := w.names(admin, test.list, test.key, "name")
			equal(t, "list", after, slices.Sorted(slices.Values(append(before, own))))
			w.refused(admin, "POST", test.path, strings.Replace(test.body, "New", "nEW", 1), 409, test.label+"_ALREADY_EXISTS")
			w.refused(admin, "POST", test.path, strings.Replace(test.body, `"New"`, `"a b"`, 1), 400, "INVALID_PARAMETER_VALUE")
			w.refused(admin, "POST", test.path, strings.Replace(test.body, `"New"`, `7`, 1), 400, "MALFORMED_REQUEST")
			if test.incomplete != "" {
				if r := w.do(admin, "POST", test.path, test.incomplete); r.status != 400 {
					t.Errorf("incomplete body: %d %s", r.status, r.raw)
				}
			}
			w.refused(bob, "POST", test.path, strings.Replace(test.body, "New", "bobs", 1), 403, "PERMISSION_DENIED")
			w.refused(bob, "GET", one, "", 403, "PERMISSION_DENIED")
			w.refused(bob, "PATCH", one, `{"owner":"bob@example.com"}`, 403, "PERMISSION_DENIED")
			w.refused(bob, "DELETE", one, "", 403, "PERMISSION_DENIED")
			w.refused(admin, "PATCH", one, `{"owner":"nobody"}`, 404, "PRINCIPAL_DOES_NOT_EXIST")
			if test.update != "" {
				changed := w.must(admin, "PATCH", one, test.update)
				if fmt.Sprint(changed.json[test.field]) == fmt.Sprint(made.json[test.field]) {
					t.Errorf("the update did not change %s: %s", test.field, changed.raw)
				}
			}
			if test.renamed != "" {
				w.refused(admin, "PATCH", one, `{"new_name":"a/b"}`, 400, "INVALID_PARAMETER_VALUE")
				w.must(admin, "PATCH", one, `{"new_name":"`+test.renamed[strings.LastIndexByte(test.renamed, '.')+1:]+`"}`)
				w.refused(admin, "GET", one, "", 404, test.label+"_DOES_NOT_EXIST")
				one = test.path + "/" + test.renamed
				w.must(admin, "GET", one, "")
			}
			w.must(admin, "PATCH", one, `{"owner":"analysts"}`)
			if r := w.do(alice, "GET", one, ""); r.status != 200 && !strings.Contains(test.name, ".") {
				t.Errorf("a member of the owning group may not read it: %s", r.raw)
			}
			w.must(admin, "PATCH", one, `{"owner":"admin@example.com"}`)
			w.must(admin, "DELETE", one, "")
			w.refused(admin, "GET", one, "", 404, test.label+"_DOES_NOT_EXIST")
			w.refused(admin, "DELETE", one, "", 404, test.label+"_DOES_NOT_EXIST")
			left, _ := w.names(admin, test.list, test.key, "name")
			equal(t, "list in the end", left, before)
		})
	}
}

func TestDeleteNeedsForceWhenInUse(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct{ path, inside, code string }{
		{"schemas/sales.emea", "tables/sales.emea.orders", "SCHEMA_DOES_NOT_EXIST"},
		{"catalogs/sales", "schemas/sales.apac", "CATALOG_DOES_NOT_EXIST"},
		{"storage-credentials/cred", "storage-credentials/cred", "STORAGE_CREDENTIAL_DOES_NOT_EXIST"}, // a location uses it
	} {
		w.refused(admin, "DELETE", test.path, "", 400, "INVALID_STATE")
		w.refused(admin, "DELETE", test.path+"?force=maybe", "", 400, "INVALID_PARAMETER_VALUE")
		w.must(admin, "GET", test.inside, "")
		w.must(admin, "DELETE", test.path+"?force=true", "")
		w.refused(admin, "GET", test.inside, "", 404, test.code)
	}
}

func TestRenameTakesContentsAlong(t *testing.T) {
	w := newWorld(t)
	w.grant("table", "sales.emea.orders", "analysts", "SELECT")
	w.must(admin, "PATCH", "catalogs/sales", `{"owner":"admin@example.com"}`)
	w.must(admin, "PATCH", "catalogs/sales", `{"name":"Trade"}`)
	w.refused(admin, "GET", "tables/sales.emea.orders", "", 404, "CATALOG_DOES_NOT_EXIST")
	equal(t, "grants under the new name", w.grants("table", "trade.emea.orders"), []string{"analysts SELECT"})
	names, _ := w.names(admin, "table-summaries?catalog_name=trade&table_name_pattern=orders", "tables", "full_name")
	equal(t, "summaries", names, []string{"trade.apac.orders", "trade.emea.orders"})
	w.must(admin, "PATCH", "schemas/trade.emea", `{"owner":"admin@example.com"}`)
	w.refused(admin, "PATCH", "schemas/trade.emea", `{"new_name":"apac"}`, 409, "SCHEMA_ALREADY_EXISTS")
}

func TestVisibility(t *testing.T) {
	w := newWorld(t)
	visible := func(path, key, field string, want ...string) {
		t.Helper()
		got, _ := w.names(alice, path, key, field)
		if !slices.Equal(got, want) {
			t.Errorf("%s: alice sees %q, want %q", path, got, want)
		}
	}
	visible("catalogs", "catalogs", "name")
	visible("external-locations", "external_locations", "name")
	w.refused(alice, "GET", "schemas?catalog_name=sales", "", 403, "PERMISSION_DENIED")
	w.grant("catalog", "sales", "staff", "USE_CATALOG") // alice is in analysts, analysts in staff
	visible("catalogs", "catalogs", "name", "sales")
	visible("schemas?catalog_name=sales", "schemas", "name")
	w.refused(alice, "GET", "schemas/sales.emea", "", 403, "PERMISSION_DENIED")
	w.grant("schema", "sales.emea", "alice@example.com", "USE_SCHEMA")
	visible("schemas?catalog_name=sales", "schemas", "name", "emea")
	visible("tables?catalog_name=sales&schema_name=emea", "tables", "name")
	w.refused(alice, "GET", "tables?catalog_name=sales&schema_name=apac", "", 403, "PERMISSION_DENIED")
	w.grant("table", "sales.emea.orders", "account users", "SELECT")
	w.grant("table", "sales.emea.orders_mv", "analysts", "ALL_PRIVILEGES")
	w.grant("table", "sales.apac.orders", "analysts", "SELECT") // without USE_SCHEMA it confers nothing
	visible("tables?catalog_name=sales&schema_name=emea", "tables", "name", "orders", "orders_mv")
	visible("table-summaries?catalog_name=sales", "tables", "full_name", "sales.emea.orders", "sales.emea.orders_mv")
	w.refused(alice, "GET", "tables/sales.apac.orders", "", 403, "PERMISSION_DENIED")
	w.refused(alice, "GET", "tables/sales.emea.orders_v", "", 403, "PERMISSION_DENIED")
	w.grant("external-location", "loc", "analysts", "READ_FILES")
	visible("external-locations", "external_locations", "name", "loc")
	w.refused(bob, "GET", "tables/sales.emea.orders", "", 403, "PERMISSION_DENIED") // SELECT, but no USE_*
}

func TestCreatePrivileges(t *testing.T) {
	w := newWorld(t)
	const metastore = "11111111-2222-4333-8444-555555555555"
	table := `{"name":"t1","catalog_name":"sales","schema_name":"emea","table_type":"VIEW","view_definition":"SELECT 1","columns":[]}`
	w.refused(alice, "POST", "catalogs", `{"name":"mine"}`, 403, "PERMISSION_DENIED")
	w.grant("metastore", metastore, "analysts", "CREATE_CATALOG")
	w.must(alice, "POST", "catalogs", `{"name":"mine"}`)
	w.must(alice, "POST", "schemas", `{"name":"s","catalog_name":"mine"}`) // owner of the catalog
	w.grant("schema", "sales.emea", "analysts", "CREATE_TABLE", "USE_SCHEMA")
	w.refused(alice, "POST", "tables", table, 403, "PERMISSION_DENIED") // USE_CATALOG is missing
	w.grant("catalog", "sales", "analysts", "USE_CATALOG")
	r := w.must(alice, "POST", "tables", table)
	if r.json["owner"] != "alice@example.com" {
		t.Errorf("owner is %v, want the caller", r.json["owner"])
	}
	w.refused(alice, "POST", "schemas", `{"name":"s2","catalog_name":"sales"}`, 403, "PERMISSION_DENIED")
	w.must(alice, "DELETE", "tables/sales.emea.t1", "")
	w.refused(alice, "DELETE", "tables/sales.emea.orders", "", 403, "PERMISSION_DENIED")
}

func TestTableRules(t *testing.T) {
	w := newWorld(t)
	base := `"name":"t","catalog_name":"sales","schema_name":"emea"`
	for name, body := range map[string]string{
		"no type":                `{` + base + `}`,
		"unknown type":           `{` + base + `,"table_type":"CUBE","columns":[]}`,
		"view without a query":   `{` + base + `,"table_type":"VIEW","columns":[]}`,
		"unknown format":         `{` + base + `,"table_type":"EXTERNAL","data_source_format":"XLS","storage_location":"s3://b/x","columns":[]}`,
		"no location":            `{` + base + `,"table_type":"EXTERNAL","data_source_format":"CSV","columns":[]}`,
		"location of the web":    `{` + base + `,"table_type":"EXTERNAL","data_source_format":"CSV","storage_location":"https://b/x","columns":[]}`,
		"unknown column type":    `{` + base + `,"table_type":"VIEW","view_definition":"x","columns":[{"name":"a","type_name":"MONEY","type_text":"x","type_json":"x"}]}`,
		"column twice, any case": `{` + base + `,"table_type":"VIEW","view_definition":"x","columns":[{"name":"a","type_name":"INT","type_text":"int","type_json":"x"},{"name":"A","type_name":"INT","type_text":"int","type_json":"x"}]}`,
		"no schema":              `{"name":"t","catalog_name":"sales","table_type":"VIEW","view_definition":"x","columns":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			(&world{t, w.srv, w.url}).refused(admin, "POST", "tables", body, 400, "INVALID_PARAMETER_VALUE")
		})
	}
	w.refused(admin, "POST", "tables", `{"name":"t","catalog_name":"none","schema_name":"emea","columns":[],"table_type":"VIEW"}`, 404, "CATALOG_DOES_NOT_EXIST")
	r := w.must(admin, "POST", "tables", `{`+base+`,"table_type":"VIEW","view_definition":"x","columns":[{"name":"CaSe","type_name":"INT","type_text":"int","type_json":"x"}]}`)
	if column := r.json["columns"].([]any)[0].(map[string]any); column["name"] != "CaSe" {
		t.Errorf("a column name lost its case: %v", column)
	}
	if got := w.must(admin, "GET", "tables/sales.emea.t/exists", "").json["table_exists"]; got != true {
		t.Errorf("exists: %v", got)
	}
	if got := w.must(admin, "GET", "tables/sales.emea.none/exists", "").json["table_exists"]; got != false {
		t.Errorf("exists of a missing table: %v", got)
	}
}

func TestLocationsDoNotOverlap(t *testing.T) {
	w := newWorld(t)
	for url, ok := range map[string]bool{"s3://bucket/loc": false, "s3://bucket/loc/": false, "s3://bucket/loc/deep": false, "s3://bucket": false,
		"s3://bucket/ext": false, "s3://bucket/ext/part": false, "s3://bucket/location": true, "s3://bucket/extra": true, "ftp://x/y": false,
		"s3://bucket/a/../loc": false, "s3://bucket/a/%2E%2e/lo": false, "s3://bucket/./location/b": false, "s3://me@bucket/loc/in": false, "s3://bucket:443/loc/in": false,
		"s3://bucket/..location/b.": true} {
		r := w.do(admin, "POST", "external-locations", fmt.Sprintf(`{"name":"l%d","url":%q,"credential_name":"cred"}`, len(url), url))
		if (r.status == 200) != ok {
			t.Errorf("location at %s: %d %s", url, r.status, r.raw)
		}
		if ok {
			w.must(admin, "DELETE", fmt.Sprintf("external-locations/l%d", len(url)), "")
		}
	}
	w.refused(admin, "POST", "external-locations", `{"name":"x","url":"s3://n/x","credential_name":"none"}`, 404, "STORAGE_CREDENTIAL_DOES_NOT_EXIST")
	w.refused(admin, "POST", "credentials", `{"name":"cred","aws_iam_role":{"role_arn":"a"}}`, 409, "STORAGE_CREDENTIAL_ALREADY_EXISTS")
	got, _ := w.names(admin, "credentials", "credentials", "purpose")
	equal(t, "purposes", got, []string{"STORAGE", "SERVICE"})
	r := w.must(admin, "POST", "storage-credentials", `{"name":"az","azure_service_principal":{"directory_id":"d","application_id":"a","client_secret":"hush"}}`)
	if strings.Contains(r.raw, "hush") {
		t.Errorf("the secret comes back: %s", r.raw)
	}
}
