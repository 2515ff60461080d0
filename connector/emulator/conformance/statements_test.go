package conformance_test

import (
	"fmt"
	"strings"
	"testing"
)

const (
	warehousesPath = "/api/2.0/sql/warehouses"
	statementsPath = "/api/2.0/sql/statements"
)

// warehouse makes a warehouse that every user may use, and returns its id.
func (w *world) warehouse() string {
	w.Helper()
	id := w.must(workspaceAdmin, "POST", warehousesPath, map[string]any{"name": w.unique("warehouse"), "cluster_size": "2X-Small", "max_num_clusters": 1}).str("id")
	w.Cleanup(func() { w.send(workspaceAdmin, "DELETE", warehousesPath+"/"+id, nil) })
	w.must(workspaceAdmin, "PATCH", "/api/2.0/permissions/warehouses/"+id, map[string]any{"access_control_list": []any{map[string]any{"group_name": "users", "permission_level": "CAN_USE"}}})
	return id
}

// sql executes a statement and returns its answer, once it is over.
func (w *world) sql(r role, warehouse, statement string, more ...any) reply {
	w.Helper()
	body := map[string]any{"warehouse_id": warehouse, "statement": statement, "wait_timeout": "50s"}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return w.must(r, "POST", statementsPath, body)
}

func (r reply) state() string {
	status, _ := r.json["status"].(map[string]any)
	state, _ := status["state"].(string)
	return state
}

// failure returns the class of the error of a statement.
func (r reply) failure() string {
	status, _ := r.json["status"].(map[string]any)
	problem, _ := status["error"].(map[string]any)
	message, _ := problem["message"].(string)
	class, _, _ := strings.Cut(strings.TrimPrefix(message, "["), "]")
	return class
}

// rows returns the result of a statement, each row as one text.
func (r reply) rows() []string {
	list := []string{}
	result, _ := r.json["result"].(map[string]any)
	data, _ := result["data_array"].([]any)
	for _, row := range data {
		list = append(list, strings.Trim(fmt.Sprint(row), "[]"))
	}
	return list
}

func (w *world) ran(r role, warehouse, statement string, more ...any) reply {
	w.Helper()
	got := w.sql(r, warehouse, statement, more...)
	if got.state() != "SUCCEEDED" {
		w.Fatalf("%s: %s: %s", r, statement, got.raw)
	}
	return got
}

func (w *world) failed(r role, warehouse, statement, class string, more ...any) {
	w.Helper()
	if got := w.sql(r, warehouse, statement, more...); got.state() != "FAILED" || class != "" && got.failure() != class {
		w.Errorf("%s: %s: %s, want FAILED with %s", r, statement, got.raw, class)
	}
}

func ticks(name string) string { return "`" + strings.ReplaceAll(name, ".", "`.`") + "`" }

// TestGrantStatements: a statement does what the permissions API does, for who may.
func TestGrantStatements(t *testing.T) {
	w := newWorld(t)
	w.needs(workspaceAdmin)
	f := w.fixture()
	id := w.warehouse()
	table, who := ticks(f.name("table")), "`"+w.user(alice)+"`"
	grants := func(kind string) any {
		return w.must(metastoreAdmin, "GET", f.permissions(kind), nil).json["privilege_assignments"]
	}
	held := func(privileges ...string) any {
		if len(privileges) == 0 {
			return nil
		}
		return []any{map[string]any{"principal": w.user(alice), "privileges": privileges}}
	}
	w.failed(alice, id, "GRANT SELECT ON TABLE "+table+" TO "+who, "INSUFFICIENT_PERMISSIONS")
	if got := grants("table"); got != nil {
		t.Errorf("refused, and granted %v", got)
	}
	w.ran(bob, id, "GRANT SELECT, MODIFY ON TABLE "+table+" TO "+who)
	if got := grants("table"); !same(got, held("MODIFY", "SELECT")) {
		t.Errorf("granted %v", got)
	}
	w.ran(metastoreAdmin, id, "REVOKE MODIFY ON "+table+" FROM "+who)
	if got := grants("table"); !same(got, held("SELECT")) {
		t.Errorf("revoked, and there is %v", got)
	}
	w.ran(metastoreAdmin, id, "GRANT ALL PRIVILEGES ON TABLE "+table+" TO "+who)
	w.ran(metastoreAdmin, id, "REVOKE ALL PRIVILEGES ON TABLE "+table+" FROM "+who)
	if got := grants("table"); got != nil {
		t.Errorf("all revoked, and there is %v", got)
	}
	catalog, schema, _ := strings.Cut(f.name("schema"), ".")
	short := "`" + f.name("table")[strings.LastIndexByte(f.name("table"), '.')+1:] + "`"
	w.ran(metastoreAdmin, id, "GRANT SELECT ON TABLE "+short+" TO "+who, "catalog", catalog, "schema", schema)
	w.ran(metastoreAdmin, id, "GRANT USE SCHEMA ON SCHEMA `"+schema+"` TO "+who, "catalog", catalog)
	w.ran(metastoreAdmin, id, "GRANT USE CATALOG ON CATALOG `"+catalog+"` TO "+who)
	for kind, privilege := range map[string]string{"table": "SELECT", "schema": "USE_SCHEMA", "catalog": "USE_CATALOG"} {
		if got := grants(kind); !same(got, held(privilege)) {
			t.Errorf("%s: granted %v", kind, got)
		}
	}
	if got, want := w.ran(bob, id, "SHOW GRANTS ON TABLE "+table).rows(), []string{
		w.user(alice) + " SELECT TABLE " + f.name("table"), w.user(alice) + " USE CATALOG CATALOG " + catalog, w.user(alice) + " USE SCHEMA SCHEMA " + f.name("schema")}; !same(got, want) {
		t.Errorf("SHOW GRANTS answers %q, want %q", got, want)
	}
	w.ran(bob, id, "GRANT MODIFY ON TABLE "+table+" TO `account users`")
	if got := w.ran(bob, id, "SHOW GRANTS "+who+" ON TABLE "+table).rows(); len(got) != 3 {
		t.Errorf("SHOW GRANTS of one answers %q", got)
	}
	w.ran(bob, id, "GRANT SELECT ON TABLE "+table+" TO `"+w.user(workspaceAdmin)+"`")
	if got := w.ran(alice, id, "SHOW GRANTS ON TABLE "+table).rows(); len(got) != 4 {
		t.Errorf("SHOW GRANTS answers %q to whom they are", got)
	}
	w.failed(alice, id, "SHOW GRANTS `"+w.user(bob)+"` ON TABLE "+table, "INSUFFICIENT_PERMISSIONS")
	for statement, class := range map[string]string{
		"GRANT SELECT ON TABLE `" + catalog + "`.nothing.t TO " + who: "SCHEMA_NOT_FOUND", "GRANT SELECT ON TABLE " + ticks(f.name("schema")) + ".nothing TO " + who: "TABLE_OR_VIEW_NOT_FOUND",
		"GRANT SELECT ON CATALOG nothing TO " + who: "CATALOG_NOT_FOUND", "GRANT USE CATALOG ON TABLE " + table + " TO " + who: badValue,
		"GRANT FLY ON TABLE " + table + " TO " + who: badValue, "GRANT SELECT ON TABLE " + table + " TO `nobody@example.com`": "PRINCIPAL_DOES_NOT_EXIST",
		"GRANT SELECT ON " + table: "PARSE_SYNTAX_ERROR", "CREATE TABLE t (a INT)": "UNSUPPORTED_FEATURE",
	} {
		w.failed(metastoreAdmin, id, statement, class)
	}
	w.ran(bob, id, "ALTER TABLE "+table+" OWNER TO "+who)
	if got := w.must(metastoreAdmin, "GET", f.path("table"), nil).str("owner"); got != w.user(alice) {
		t.Errorf("the owner is %q", got)
	}
	w.failed(bob, id, "ALTER TABLE "+table+" OWNER TO `"+w.user(bob)+"`", "")
}

// TestTagStatements sets tags by statements, and reads them from the views of the information schema.
func TestTagStatements(t *testing.T) {
	w := newWorld(t)
	w.needs(workspaceAdmin)
	f := w.fixture()
	id := w.warehouse()
	f.name("table")
	for _, kind := range []string{"catalog", "schema", "table"} {
		f.own(kind, metastoreAdmin)
	}
	table := ticks(f.name("table"))
	catalog, schema, _ := strings.Cut(f.name("schema"), ".")
	name := f.name("table")[strings.LastIndexByte(f.name("table"), '.')+1:]
	for _, statement := range []string{
		"ALTER TABLE " + table + " SET TAGS ('pii' = 'High', 'team')", "ALTER TABLE " + table + " SET TAGS ('pii' = 'Very high')", "ALTER TABLE " + table + " ALTER COLUMN ID SET TAGS ('key' = 'it\\'s')",
		"ALTER SCHEMA " + ticks(f.name("schema")) + " SET TAGS ('a' = 'b')", "SET TAG ON CATALOG `" + catalog + "` cost = center", "ALTER TABLE " + table + " SET TAGS ('gone' = '')",
		"ALTER TABLE " + table + " UNSET TAGS ('gone', 'never there')",
	} {
		w.ran(metastoreAdmin, id, statement)
	}
	view := func(name string) string { return "SELECT * FROM `" + catalog + "`.information_schema." + name }
	for query, want := range map[string][]string{
		view("catalog_tags"): {catalog + " cost center"},
		view("schema_tags"):  {catalog + " " + schema + " a b"},
		view("table_tags"):   {catalog + " " + schema + " " + name + " pii Very high", catalog + " " + schema + " " + name + " team "},
		view("column_tags"):  {catalog + " " + schema + " " + name + " Id key it's"},
		view("volume_tags"):  {},
		view("table_tags") + " WHERE tag_value LIKE 'V%'":                                                                                       {catalog + " " + schema + " " + name + " pii Very high"},
		view("table_tags") + " WHERE tag_value LIKE 'v%'":                                                                                       {},
		"SELECT tag_name AS n FROM `" + catalog + "`.information_schema.table_tags ORDER BY tag_name DESC LIMIT 1":                              {"team"},
		"SELECT tag_name FROM system.information_schema.table_tags WHERE catalog_name = '" + catalog + "' AND tag_name NOT IN ('pii', 'other')": {"team"},
		"SELECT table_type FROM `" + catalog + "`.information_schema.tables":                                                                    {"MANAGED"},
		"SELECT column_name FROM `" + catalog + "`.information_schema.columns WHERE ordinal_position > '0'":                                     {"region"},
	} {
		if got := w.ran(metastoreAdmin, id, query).rows(); !same(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if got := w.must(metastoreAdmin, "GET", tagPath("tables", f.name("table"))+"/pii", nil).str("tag_value"); got != "Very high" {
		t.Errorf("the tag has the value %q", got)
	}
	parameter := []any{map[string]any{"name": "t", "value": "team"}}
	if got := w.ran(metastoreAdmin, id, view("table_tags")+" WHERE tag_name = :t", "parameters", parameter).rows(); len(got) != 1 {
		t.Errorf("by a parameter: %q", got)
	}
	// What may not be seen has no rows.
	w.failed(alice, id, view("table_tags"), "INSUFFICIENT_PERMISSIONS")
	f.grant("catalog", alice, "USE_CATALOG")
	f.grant("catalog", alice, "USE_SCHEMA")
	if got := w.ran(alice, id, view("table_tags")).rows(); len(got) != 0 {
		t.Errorf("without access to the table: %q", got)
	}
	f.grant("table", alice, "SELECT")
	if got := w.ran(alice, id, view("table_tags")).rows(); len(got) != 2 {
		t.Errorf("with access to the table: %q", got)
	}
	if got, want := w.ran(alice, id, "SELECT grantee, privilege_type, inherited_from FROM `"+catalog+"`.information_schema.table_privileges").rows(),
		[]string{w.user(alice) + " SELECT NONE"}; !same(got, want) {
		t.Errorf("privileges %q, want %q", got, want)
	}
	f.grant("schema", bob, "MODIFY")
	if got, want := w.ran(metastoreAdmin, id, "SELECT grantee, privilege_type, inherited_from FROM `"+catalog+"`.information_schema.table_privileges ORDER BY grantee").rows(),
		[]string{w.user(alice) + " SELECT NONE", w.user(bob) + " MODIFY SCHEMA"}; !same(got, want) {
		t.Errorf("privileges %q, want %q", got, want)
	}
	if got := w.ran(alice, id, "SELECT grantee FROM `"+catalog+"`.information_schema.table_privileges").rows(); !same(got, []string{w.user(alice)}) {
		t.Errorf("alice sees the privileges of %q", got)
	}
	if got := w.ran(alice, id, "SELECT privilege_type FROM `"+catalog+"`.information_schema.catalog_privileges").rows(); !same(got, []string{"USE CATALOG", "USE SCHEMA"}) {
		t.Errorf("own privileges on the catalog: %q", got)
	}
	w.failed(alice, id, "ALTER TABLE "+table+" SET TAGS ('a' = 'b')", "INSUFFICIENT_PERMISSIONS")
	for statement, class := range map[string]string{
		"ALTER TABLE " + table + " SET TAGS ('fine', 'a.b')": badValue, "ALTER TABLE " + table + " ALTER COLUMN none SET TAGS ('a')": "COLUMN_DOES_NOT_EXIST",
		view("nothing"): "TABLE_OR_VIEW_NOT_FOUND", view("table_tags") + " WHERE nothing = 'a'": "UNRESOLVED_COLUMN", "SELECT nothing FROM " + strings.TrimPrefix(view("table_tags"), "SELECT * FROM "): "UNRESOLVED_COLUMN",
		"SELECT nothing FROM " + table: "UNRESOLVED_COLUMN", "SELECT version()": "UNSUPPORTED_FEATURE",
	} {
		w.failed(metastoreAdmin, id, statement, class)
	}
	if got := w.ran(metastoreAdmin, id, view("table_tags")).rows(); len(got) != 2 {
		t.Errorf("refused, and changed to %q", got)
	}
}

// TestStatements: the requests about statements themselves.
func TestStatements(t *testing.T) {
	w := newWorld(t)
	w.needs(workspaceAdmin)
	id := w.warehouse()
	got := w.ran(alice, id, "SELECT 1, session_user() AS me")
	manifest, _ := got.json["manifest"].(map[string]any)
	if !same(got.rows(), []string{"1 " + w.user(alice)}) || !same(manifest["total_row_count"], 1) || !strings.Contains(got.raw, `"me"`) {
		t.Errorf("answered %s", got.raw)
	}
	path := statementsPath + "/" + got.str("statement_id")
	if again := w.must(alice, "GET", path, nil); !same(again.json, got.json) {
		t.Errorf("asked again: %s", again.raw)
	}
	if chunk := w.must(alice, "GET", path+"/result/chunks/0", nil); !same(chunk.json["data_array"], []any{[]any{"1", w.user(alice)}}) {
		t.Errorf("its chunk: %s", chunk.raw)
	}
	w.refused(alice, "GET", path+"/result/chunks/1", nil, 400, badValue)
	w.refused(bob, "GET", path, nil, 403, forbidden)
	w.must(alice, "POST", path+"/cancel", nil)
	w.refused(alice, "GET", statementsPath+"/no-such", nil, 404)

	pending := w.must(alice, "POST", statementsPath, map[string]any{"warehouse_id": id, "statement": "SELECT 1", "wait_timeout": "0s"})
	if state := pending.state(); state != "PENDING" && state != "RUNNING" && state != "SUCCEEDED" {
		t.Errorf("without waiting: %s", pending.raw)
	}
	if w.emulator != nil {
		if over := w.must(alice, "GET", statementsPath+"/"+pending.str("statement_id"), nil); over.state() != "SUCCEEDED" {
			t.Errorf("in the end: %s", over.raw)
		}
	}
	for what, change := range map[string]map[string]any{
		"no statement": {"statement": nil}, "no warehouse": {"warehouse_id": nil}, "an odd wait": {"wait_timeout": "3s"}, "a long wait": {"wait_timeout": "51s"}, "no wait": {"wait_timeout": "soon"},
		"an odd format": {"format": "XML"}, "an odd disposition": {"disposition": "POST"}, "an odd end": {"on_wait_timeout": "STOP"}, "a negative limit": {"row_limit": -1},
		"a parameter without a name": {"parameters": []any{map[string]any{"value": "x"}}}, "a number": {"statement": 7},
	} {
		body := map[string]any{"warehouse_id": id, "statement": "SELECT 1"}
		for field, value := range change {
			if body[field] = value; value == nil {
				delete(body, field)
			}
		}
		if got := w.do(alice, "POST", statementsPath, body); got.status != 400 {
			t.Errorf("%s: %d %s", what, got.status, got.raw)
		}
	}
	w.refused(alice, "POST", statementsPath, map[string]any{"warehouse_id": "no-such", "statement": "SELECT 1"}, 404)
	if w.emulator == nil {
		return
	}
	// Results in chunks, and cut off.
	f := w.fixture()
	for range 11 {
		body := f.tableBody()
		columns := make([]any, 1000)
		for i := range columns {
			columns[i] = column(fmt.Sprintf("c%d", i), "STRING", i)
		}
		body["columns"] = columns
		w.must(metastoreAdmin, "POST", "tables", body)
	}
	all := w.ran(metastoreAdmin, id, "SELECT column_name FROM `"+f.name("catalog")+"`.information_schema.columns")
	rows := len(all.rows())
	result, _ := all.json["result"].(map[string]any)
	for result["next_chunk_internal_link"] != nil {
		next := w.must(metastoreAdmin, "GET", fmt.Sprint(result["next_chunk_internal_link"]), nil)
		if next.json["row_offset"] != float64(rows) {
			t.Errorf("after %d rows comes a chunk from %v", rows, next.json["row_offset"])
		}
		result = next.json
		rows += len(result["data_array"].([]any))
	}
	if rows != 11000 {
		t.Errorf("%d rows in all chunks", rows)
	}
	cut := w.ran(metastoreAdmin, id, "SELECT column_name FROM `"+f.name("catalog")+"`.information_schema.columns", "row_limit", 7)
	if manifest, _ := cut.json["manifest"].(map[string]any); len(cut.rows()) != 7 || manifest["truncated"] != true {
		t.Errorf("limited to 7: %d rows, %v", len(cut.rows()), manifest["truncated"])
	}
}

// TestWarehouses makes, changes and deletes a warehouse.
func TestWarehouses(t *testing.T) {
	w := newWorld(t)
	w.needs(workspaceAdmin)
	name := w.unique("warehouse")
	id := w.must(bob, "POST", warehousesPath, map[string]any{"name": name, "cluster_size": "Small", "min_num_clusters": 2, "max_num_clusters": 3, "auto_stop_mins": 10}).str("id")
	path, permissions := warehousesPath+"/"+id, "/api/2.0/permissions/warehouses/"+id
	w.Cleanup(func() { w.send(bob, "DELETE", path, nil) })
	got := w.must(bob, "GET", path, nil)
	for field, want := range map[string]any{"name": name, "cluster_size": "Small", "min_num_clusters": 2, "max_num_clusters": 3, "auto_stop_mins": 10, "creator_name": w.user(bob), "warehouse_type": "PRO"} {
		if !same(got.json[field], want) {
			t.Errorf("%s is %v, want %v", field, got.json[field], want)
		}
	}
	body := map[string]any{"warehouse_id": id, "statement": "SELECT 1"}
	refused := func(step string, read, use, manage int) {
		t.Helper()
		for _, call := range []struct {
			request
			status int
		}{{request{"GET", path, nil}, read}, {request{"POST", statementsPath, body}, use}, {request{"POST", path + "/start", nil}, use},
			{request{"POST", path + "/edit", map[string]any{"auto_stop_mins": 20}}, manage}, {request{"GET", permissions, nil}, manage}} {
			if got := w.do(alice, call.method, call.path, call.body); got.status != call.status {
				t.Errorf("%s: %s %s: %d %s, want %d", step, call.method, call.path, got.status, got.raw, call.status)
			}
		}
		listed := strings.Contains(w.must(alice, "GET", warehousesPath, nil).raw, id)
		if listed != (read == 200) {
			t.Errorf("%s: listed %v", step, listed)
		}
	}
	refused("without permission", 403, 403, 403)
	allow := func(method, level string) {
		t.Helper()
		w.must(bob, method, permissions, map[string]any{"access_control_list": []any{map[string]any{"user_name": w.user(alice), "permission_level": level}}})
	}
	allow("PATCH", "CAN_VIEW")
	refused("CAN_VIEW", 200, 403, 403)
	allow("PATCH", "CAN_USE")
	refused("CAN_USE", 200, 200, 403)
	allow("PATCH", "CAN_MANAGE")
	refused("CAN_MANAGE", 200, 200, 200)
	allow("PUT", "CAN_USE")
	w.must(bob, "PUT", permissions, map[string]any{"access_control_list": []any{}})
	refused("replaced", 403, 403, 403)
	w.must(workspaceAdmin, "GET", permissions, nil)
	w.refused(bob, "PATCH", permissions, map[string]any{"access_control_list": []any{map[string]any{"user_name": "nobody@example.com", "permission_level": "CAN_USE"}}}, 404)
	w.refused(bob, "PATCH", permissions, map[string]any{"access_control_list": []any{map[string]any{"user_name": w.user(alice), "permission_level": "CAN_FLY"}}}, 400)

	if levels := w.must(alice, "GET", permissions+"/permissionLevels", nil); !strings.Contains(levels.raw, `"CAN_USE"`) {
		t.Errorf("levels %s", levels.raw)
	}
	const config = "/api/2.0/sql/config/warehouses"
	w.refused(bob, "GET", config, nil, 403, forbidden)
	w.refused(bob, "PUT", config, map[string]any{"security_policy": "NONE"}, 403, forbidden)
	if w.emulator != nil { // another server's is not for tests
		w.refused(workspaceAdmin, "PUT", config, "[]", 400, malformed)
		w.must(workspaceAdmin, "PUT", config, map[string]any{"security_policy": "DATA_ACCESS_CONTROL"})
		if got := w.must(workspaceAdmin, "GET", config, nil); got.str("security_policy") != "DATA_ACCESS_CONTROL" {
			t.Errorf("configuration %s", got.raw)
		}
	}
	state := func(want ...string) {
		t.Helper()
		if got := w.must(bob, "GET", path, nil).str("state"); !contains(want, got) {
			t.Errorf("state %s, want one of %q", got, want)
		}
	}
	w.must(bob, "POST", path+"/stop", nil)
	state("STOPPED", "STOPPING")
	if w.emulator != nil {
		w.must(bob, "POST", statementsPath, body)
		state("RUNNING") // a statement starts it
	}
	w.must(bob, "POST", path+"/edit", map[string]any{"name": name + "_2", "max_num_clusters": 4})
	if got := w.must(bob, "GET", path, nil); got.str("name") != name+"_2" || !same(got.json["min_num_clusters"], 2) {
		t.Errorf("edited to %s", got.raw)
	}
	for _, bad := range []map[string]any{{}, {"name": " "}, {"name": "x", "cluster_size": "Tiny"}, {"name": "x", "min_num_clusters": 3, "max_num_clusters": 2},
		{"name": "x", "auto_stop_mins": -1}, {"name": "x", "warehouse_type": "FREE"}, {"name": 7}} {
		w.refused(bob, "POST", warehousesPath, bad, 400, badValue, malformed)
	}
	w.refused(bob, "POST", warehousesPath, map[string]any{"name": name + "_2"}, 409)
	w.must(bob, "DELETE", path, nil)
	w.refused(bob, "GET", path, nil, 404)
}
