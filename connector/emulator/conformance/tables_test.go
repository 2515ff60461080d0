package conformance_test

import (
	"slices"
	"strings"
	"testing"
)

// TestTableRules refuses tables that break a rule of their type.
func TestTableRules(t *testing.T) {
	w := newWorld(t)
	w.needs(accountAdmin)
	f := w.fixture()
	location := w.must(metastoreAdmin, "GET", f.path("location"), nil).str("url") // s3://bucket/loc
	outside := "s3://" + bucket(w) + "/t"
	table := func(change map[string]any) map[string]any {
		body := f.tableBody()
		for field, value := range change {
			if value == nil {
				delete(body, field)
			} else {
				body[field] = value
			}
		}
		return body
	}
	external := func(change map[string]any) map[string]any {
		body := table(map[string]any{"table_type": "EXTERNAL", "data_source_format": "PARQUET", "storage_location": outside})
		for field, value := range change {
			if value == nil {
				delete(body, field)
			} else {
				body[field] = value
			}
		}
		return body
	}
	for what, body := range map[string]map[string]any{
		"no type":                              table(map[string]any{"table_type": nil}),
		"unknown type":                         table(map[string]any{"table_type": "CUBE"}),
		"no format":                            table(map[string]any{"data_source_format": nil}),
		"unknown format":                       table(map[string]any{"data_source_format": "XLS"}),
		"no columns":                           table(map[string]any{"columns": nil}),
		"no schema":                            table(map[string]any{"schema_name": nil}),
		"no catalog":                           table(map[string]any{"catalog_name": nil}),
		"managed with a location":              table(map[string]any{"storage_location": outside}),
		"managed with a credential":            table(map[string]any{"storage_credential_name": f.name("credential")}),
		"external without a location":          external(map[string]any{"storage_location": nil}),
		"external without a format":            external(map[string]any{"data_source_format": nil}),
		"external at no storage URL":           external(map[string]any{"storage_location": "https://x/y"}),
		"external at a location":               external(map[string]any{"storage_location": location}),
		"external at a location with slash":    external(map[string]any{"storage_location": location + "/"}),
		"external above a location":            external(map[string]any{"storage_location": strings.TrimSuffix(location, "/loc")}),
		"view without a definition":            table(map[string]any{"table_type": "VIEW", "data_source_format": nil}),
		"view with a credential":               table(map[string]any{"table_type": "VIEW", "view_definition": "SELECT 1", "storage_credential_name": f.name("credential")}),
		"columns that are no list":             table(map[string]any{"columns": map[string]any{}}),
		"a column that is no object":           table(map[string]any{"columns": []any{"id"}}),
		"a column that is null":                table(map[string]any{"columns": []any{nil}}),
		"two columns of one name, in any case": table(map[string]any{"columns": []any{column("id", "LONG", 0), column("ID", "LONG", 1)}}),
	} {
		t.Run(what, func(t *testing.T) {
			w.with(t).refused(metastoreAdmin, "POST", "tables", body, 400, badValue, malformed)
		})
	}
	w.refused(metastoreAdmin, "POST", "tables", external(map[string]any{"storage_credential_name": "no_such_credential"}), 404, "STORAGE_CREDENTIAL_DOES_NOT_EXIST")
	w.refused(metastoreAdmin, "POST", "tables", table(map[string]any{"catalog_name": "no_such_catalog"}), 404, "CATALOG_DOES_NOT_EXIST")
	w.refused(metastoreAdmin, "POST", "tables", table(map[string]any{"schema_name": "no_such_schema"}), 404, "SCHEMA_DOES_NOT_EXIST")

	managed := w.must(metastoreAdmin, "POST", "tables", table(map[string]any{"storage_location": ""})) // as the client library sends it
	if managed.str("storage_location") == "" {
		w.Errorf("a managed table has no path: %s", managed.raw)
	}
	for _, change := range []map[string]any{
		{"storage_location": location + "/t1"}, // inside a location
		{"storage_location": location + "s"},   // beside it
		{"storage_location": outside, "storage_credential_name": strings.ToUpper(f.name("credential"))},
	} {
		made := w.must(metastoreAdmin, "POST", "tables", external(change))
		if made.str("storage_location") != change["storage_location"] || !strings.EqualFold(made.str("storage_credential_name"), text(change["storage_credential_name"])) {
			w.Errorf("created %s", made.raw)
		}
	}
	for _, format := range []string{"DELTA", "CSV", "JSON", "AVRO", "PARQUET", "ORC", "TEXT", "UNITY_CATALOG", "DELTASHARING"} {
		w.must(metastoreAdmin, "POST", "tables", external(map[string]any{"data_source_format": format, "storage_location": outside + "/" + strings.ToLower(format)}))
	}
	view := w.must(metastoreAdmin, "POST", "tables", table(map[string]any{"table_type": "VIEW", "view_definition": "SELECT 1", "data_source_format": nil, "sql_path": "a.b"}))
	if view.str("view_definition") != "SELECT 1" || view.str("sql_path") != "a.b" || view.str("storage_location") != "" {
		w.Errorf("the view is %s", view.raw)
	}
}

func text(value any) string { s, _ := value.(string); return s }

// TestColumns sends every field of a column.
func TestColumns(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	create := func(c map[string]any) map[string]any {
		body := f.tableBody()
		body["columns"] = []any{c}
		return body
	}
	for _, field := range []string{"name", "type_name", "type_text", "type_json"} {
		for _, value := range []any{nil, "", 7} {
			c := without(column("c", "INT", 0), field)
			if value != nil {
				c[field] = value
			}
			w.refused(metastoreAdmin, "POST", "tables", create(c), 400, badValue, malformed)
		}
	}
	for field, wrong := range map[string]any{"position": -1, "nullable": "yes", "type_precision": "x", "comment": 7, "partition_index": -1} {
		c := column("c", "INT", 0)
		c[field] = wrong
		w.refused(metastoreAdmin, "POST", "tables", create(c), 400, badValue, malformed)
	}
	for _, name := range []string{"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "REAL", "DEC", "NUMERIC", "int", "MONEY"} {
		w.refused(metastoreAdmin, "POST", "tables", create(column("c", name, 0)), 400, badValue)
	}
	shown := func(r reply) map[string]any {
		columns, _ := r.json["columns"].([]any)
		first, _ := columns[0].(map[string]any)
		return first
	}
	for _, name := range []string{"BOOLEAN", "BYTE", "SHORT", "INT", "LONG", "FLOAT", "DOUBLE", "DATE", "TIMESTAMP", "STRING", "BINARY", "DECIMAL", "INTERVAL",
		"ARRAY", "STRUCT", "MAP", "CHAR", "NULL", "TIMESTAMP_NTZ", "VARIANT"} {
		if got := shown(w.must(metastoreAdmin, "POST", "tables", create(column("CaSe", name, 0)))); got["type_name"] != name || got["name"] != "CaSe" || got["nullable"] != true {
			w.Errorf("column of %s: %v", name, got)
		}
	}
	full := column("amount", "DECIMAL", 3)
	for field, value := range map[string]any{"type_precision": 10, "type_scale": 2, "comment": "c", "nullable": false, "partition_index": 0} {
		full[field] = value
	}
	if got := shown(w.must(metastoreAdmin, "POST", "tables", create(full))); !same(got, full) {
		w.Errorf("created %s, answered %s", jsonOf(full), jsonOf(got))
	}
	if got := shown(w.must(metastoreAdmin, "POST", "tables", create(without(column("first", "INT", 0), "position")))); got["position"] != 0.0 {
		w.Errorf("a position that is absent is %v", got["position"])
	}
	if got := w.must(metastoreAdmin, "POST", "tables", create(column("a", "INT", 0))); !strings.Contains(got.raw, "type_json") {
		w.Errorf("no type_json: %s", got.raw)
	}
}

// TestSummaryPatterns matches names with LIKE patterns, in any case.
func TestSummaryPatterns(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.own("catalog", metastoreAdmin)
	catalog, first, _ := strings.Cut(f.name("schema"), ".")
	w.must(metastoreAdmin, "POST", "schemas", map[string]any{"name": "other", "catalog_name": catalog})
	for _, name := range []string{"orders", "orders_v", "ordersxv", "returns"} {
		body := f.tableBody()
		body["name"] = name
		w.must(metastoreAdmin, "POST", "tables", body)
		body["schema_name"] = "other"
		w.must(metastoreAdmin, "POST", "tables", body)
	}
	for patterns, want := range map[[2]string][]string{
		{"", ""}:                {"orders", "orders_v", "ordersxv", "returns", "other.orders", "other.orders_v", "other.ordersxv", "other.returns"},
		{"OTH%", "orders"}:      {"other.orders"},
		{"other", "%S"}:         {"other.orders", "other.returns"},
		{first, "orders_v"}:     {"orders_v", "ordersxv"},
		{first, `orders\_v`}:    {"orders_v"},
		{"_ther", "ret%"}:       {"other.returns"},
		{"oth", ""}:             {},
		{"%", "%e%e%"}:          {},
		{"%", "_______"}:        {"returns", "other.returns"},
		{"other", "Orders%"}:    {"other.orders", "other.orders_v", "other.ordersxv"},
		{"no_such_schema", "%"}: {},
	} {
		got := []string{}
		r := w.must(metastoreAdmin, "POST", "table-summaries", map[string]any{"catalog_name": catalog, "schema_name_pattern": patterns[0], "table_name_pattern": patterns[1]})
		tables, _ := r.json["tables"].([]any)
		for _, table := range tables {
			table := table.(map[string]any)
			got = append(got, strings.TrimPrefix(strings.TrimPrefix(text(table["full_name"]), catalog+"."), first+"."))
			if table["table_type"] != "MANAGED" || len(table) != 2 {
				w.Errorf("summary %v", table)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			w.Errorf("schemas like %q, tables like %q: %q, want %q", patterns[0], patterns[1], got, want)
		}
	}
}

// TestTableUpdates changes a table's owner and comment, and nothing else.
func TestTableUpdates(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.own("catalog", metastoreAdmin)
	f.own("schema", metastoreAdmin)
	f.own("table", metastoreAdmin)
	path := f.path("table")
	before := w.must(metastoreAdmin, "GET", path, nil)
	after := w.must(metastoreAdmin, "PATCH", path, map[string]any{"comment": "new", "columns": []any{}, "properties": map[string]any{"a": "b"}, "name": "other", "new_name": "other"})
	for field, value := range before.json {
		if field != "comment" && field != "updated_at" && field != "updated_by" && !same(after.json[field], value) {
			w.Errorf("%s was %v, is %v", field, value, after.json[field])
		}
	}
	if after.str("comment") != "new" {
		w.Errorf("the comment is %q", after.str("comment"))
	}
}
