package emulator_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ucwarden/connector/emulator"
)

const protectSeed = `
metastore: {owner: admin@example.com}
users: [ana@example.com, ben@example.com, maker@example.com, cleo@example.com]
groups:
- {name: analysts, members: [ana@example.com, eu]}
- {name: eu, members: [ben@example.com]}
catalogs:
- name: main
  grants: {analysts: [USE_CATALOG], maker@example.com: [USE_CATALOG], cleo@example.com: [USE_CATALOG, USE_SCHEMA, EXECUTE]}
  schemas:
  - name: sales
    grants: {analysts: [USE_SCHEMA, SELECT], maker@example.com: [USE_SCHEMA, CREATE_FUNCTION]}
    tables:
    - name: orders
      columns: [{name: id, type: INT}, region, {name: email}, {name: due, type: DATE}]
      rows:
      - [1, eu, ana@example.com, 2026-03-04]
      - [2, us, Ben@example.com, null]
      - [3, null, null, 2025-01-01]
    - {name: seen, type: VIEW}
    - {name: totals, type: MATERIALIZED_VIEW, columns: [region]}
    functions: [other]
`

// protecting is a server with a way to run statements as somebody.
type protecting struct {
	t *testing.T
	*emulator.Server
	http *httptest.Server
}

func newProtecting(t *testing.T) *protecting {
	seed, err := emulator.ParseSeed([]byte(protectSeed))
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{"admin": "admin@example.com", "ana": "ana@example.com", "maker": "maker@example.com", "cleo": "cleo@example.com"}
	s, err := emulator.New(emulator.Options{Seed: seed, Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return &protecting{t, s, server}
}

func (p *protecting) call(token, method, path string, body any) map[string]any {
	p.t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.http.URL+path, strings.NewReader(string(encoded)))
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	answer := make(map[string]any)
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		p.t.Fatal(err)
	}
	return answer
}

// run returns the error of a statement, "" if it succeeded.
func (p *protecting) run(token, text string) string {
	p.t.Helper()
	answer := p.call(token, "POST", "/api/2.0/sql/statements", map[string]string{"warehouse_id": "5a1e000000000001", "statement": text})
	status, _ := answer["status"].(map[string]any)
	if status["state"] == "SUCCEEDED" {
		return ""
	}
	failure, _ := status["error"].(map[string]any)
	message, _ := failure["message"].(string)
	return cmp.Or(message, "no state")
}

func (p *protecting) must(token string, texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		if message := p.run(token, text); message != "" {
			p.t.Fatalf("%s: %s", text, message)
		}
	}
}

// reads returns the rows that somebody sees, values joined by blanks and rows by commas, or the class of the error.
func (p *protecting) reads(who, table string) string {
	_, rows, err := p.Rows(who, table)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for _, row := range rows {
		var values []string
		for _, v := range row {
			if v == nil {
				values = append(values, "-")
			} else {
				values = append(values, *v)
			}
		}
		lines = append(lines, strings.Join(values, " "))
	}
	return strings.Join(lines, ", ")
}

func (p *protecting) wantRows(who, table, want string) {
	p.t.Helper()
	if got := p.reads(who, table); got != want {
		p.t.Errorf("%s reads of %s\n%q, want\n%q", who, table, got, want)
	}
}

const ordersTable = "main.sales.orders"

// setUp makes a schema with a filter by group and a mask, and sets both.
func (p *protecting) setUp() {
	p.must("admin",
		"CREATE SCHEMA IF NOT EXISTS `main`.`guard` COMMENT 'ours'", "CREATE SCHEMA IF NOT EXISTS main.guard",
		"CREATE FUNCTION `main`.`guard`.`rf`(`p` string) RETURNS boolean COMMENT 'it\\'s ours' RETURN CASE WHEN is_account_group_member('eu') OR session_user() = 'eu' THEN coalesce((p = 'eu'), FALSE) ELSE TRUE END",
		"CREATE FUNCTION main.guard.mf(val string) RETURNS string RETURN CASE WHEN lower(session_user()) IN ('ana@example.com') THEN mask(val) ELSE val END",
		"ALTER TABLE `main`.`sales`.`orders` SET ROW FILTER `main`.`guard`.`rf` ON (`region`)",
		"ALTER TABLE main.sales.orders ALTER COLUMN EMAIL SET MASK main.guard.mf")
}

func TestRowsAsEachPersonSeesThem(t *testing.T) {
	p := newProtecting(t)
	const all = "1 eu ana@example.com 2026-03-04, 2 us Ben@example.com -, 3 - - 2025-01-01"
	p.wantRows("ana@example.com", ordersTable, all)
	p.setUp()
	p.wantRows("ana@example.com", ordersTable, "1 eu xxx@xxxxxxx.xxx 2026-03-04, 2 us Xxx@xxxxxxx.xxx -, 3 - - 2025-01-01")
	p.wantRows("ben@example.com", ordersTable, "1 eu ana@example.com 2026-03-04")
	// A role is not a member of itself, and is asked by its name; analysts holds eu, and is not in it.
	p.wantRows("eu", ordersTable, "1 eu ana@example.com 2026-03-04")
	p.wantRows("analysts", ordersTable, all)
	if got := p.reads("cleo@example.com", ordersTable); !strings.Contains(got, "may not read") {
		t.Errorf("without SELECT: %s", got)
	}
	// A group that is not there is FALSE, not an error, so that a filter by name fails open when the group is renamed.
	p.must("admin", "CREATE FUNCTION main.guard.gone(p string) RETURNS boolean RETURN NOT is_account_group_member('EU')",
		"ALTER TABLE main.sales.orders SET ROW FILTER main.guard.gone ON (region)")
	p.wantRows("ben@example.com", ordersTable, all)
	// The statements API reads the same.
	answer := p.call("ana", "POST", "/api/2.0/sql/statements", map[string]string{"warehouse_id": "5a1e000000000001", "statement": "SELECT id, email FROM main.sales.orders WHERE region = 'us' LIMIT 5"})
	result, _ := json.Marshal(answer["result"])
	if !strings.Contains(string(result), `[["2","Xxx@xxxxxxx.xxx"]]`) {
		t.Errorf("SELECT as ana: %s", result)
	}
}

// Who names something by the first digits of a table's id has another name for each table.
func TestIdsDifferInTheirFirstDigits(t *testing.T) {
	p := newProtecting(t)
	seen := make(map[string]string)
	for _, name := range []string{"orders", "seen", "totals"} {
		id, _ := p.call("admin", "GET", "/api/2.1/unity-catalog/tables/main.sales."+name, nil)["table_id"].(string)
		if other, twice := seen[id[:8]]; twice {
			t.Errorf("the ids of %s and %s both begin with %s", name, other, id[:8])
		}
		seen[id[:8]] = name
	}
}

// Columns of nested types are masked by functions whose types fit, and are shown as JSON.
func TestNestedTypesAreMasked(t *testing.T) {
	p := newProtecting(t)
	var columns []map[string]any
	types := []string{"struct<a:int,b:struct<c:string>>", "array<struct<a:decimal(10,2),b:string>>", "map<string,array<int>>"}
	for i, text := range types {
		name := text[:strings.Index(text, "<")]
		columns = append(columns, map[string]any{"name": "c" + name, "type_name": strings.ToUpper(name), "type_text": text, "type_json": "{}", "position": i})
	}
	p.call("admin", "POST", "/api/2.1/unity-catalog/tables", map[string]any{"name": "nested", "catalog_name": "main", "schema_name": "sales", "table_type": "EXTERNAL",
		"data_source_format": "DELTA", "storage_location": "s3://b/nested", "columns": columns})
	p.must("admin", "CREATE SCHEMA main.guard", "GRANT SELECT ON TABLE main.sales.nested TO analysts")
	p.wantRows("ana@example.com", "main.sales.nested", `{"n":1} [1] {"n":1}, {"n":2} [2] {"n":2}, {"n":3} [3] {"n":3}, {"n":4} [4] {"n":4}, {"n":5} [5] {"n":5}`)
	for i, text := range types {
		name := text[:strings.Index(text, "<")]
		for _, written := range []string{text, strings.ToUpper(strings.NewReplacer(":", " : ", ",", ", ", "<", " < ").Replace(text))} {
			p.must("admin", fmt.Sprintf("CREATE OR REPLACE FUNCTION main.guard.m%d(val %s) RETURNS %s RETURN CASE WHEN is_account_group_member('eu') THEN CAST(NULL AS %s) ELSE val END", i, written, written, written))
			if got := p.call("admin", "GET", fmt.Sprintf("/api/2.1/unity-catalog/functions/main.guard.m%d", i), nil)["full_data_type"]; got != strings.ToUpper(text) {
				t.Errorf("the function of %s is shown to return %v", written, got)
			}
			p.must("admin", fmt.Sprintf("ALTER TABLE main.sales.nested ALTER COLUMN c%s SET MASK main.guard.m%d", name, i))
		}
		other := strings.Replace(text, "int", "date", 1)
		other = strings.Replace(other, "decimal(10,2)", "decimal(10,3)", 1)
		p.must("admin", fmt.Sprintf("CREATE FUNCTION main.guard.o%d(val %s) RETURNS %s RETURN val", i, other, other))
		if got := p.run("admin", fmt.Sprintf("ALTER TABLE main.sales.nested ALTER COLUMN c%s SET MASK main.guard.o%d", name, i)); got == "" {
			t.Errorf("a mask of type %s is set on a column of type %s", other, text)
		}
	}
	p.wantRows("ana@example.com", "main.sales.nested", `{"n":1} [1] {"n":1}, {"n":2} [2] {"n":2}, {"n":3} [3] {"n":3}, {"n":4} [4] {"n":4}, {"n":5} [5] {"n":5}`)
	p.wantRows("ben@example.com", "main.sales.nested", "- - -, - - -, - - -, - - -, - - -")
}

func TestProtectedTablesFailClosed(t *testing.T) {
	p := newProtecting(t)
	p.setUp()
	p.must("admin", "DROP FUNCTION main.guard.rf", "DROP FUNCTION IF EXISTS main.guard.rf")
	if got := p.reads("ana@example.com", ordersTable); !strings.Contains(got, "UC_DEPENDENCY_DOES_NOT_EXIST") {
		t.Errorf("with its function dropped: %s", got)
	}
	p.must("admin", "ALTER TABLE main.sales.orders DROP ROW FILTER", "ALTER TABLE main.sales.orders ALTER COLUMN email DROP MASK")
	p.wantRows("ben@example.com", ordersTable, "1 eu ana@example.com 2026-03-04, 2 us Ben@example.com -, 3 - - 2025-01-01")
	// An error of the filter is one of the statement: no row is shown.
	p.must("admin", "CREATE FUNCTION main.guard.bad(p string) RETURNS boolean RETURN CAST(p AS INT) > 1", "ALTER TABLE main.sales.orders SET ROW FILTER main.guard.bad ON (region)")
	if got := p.reads("ben@example.com", ordersTable); !strings.Contains(got, "CAST_INVALID_INPUT") {
		t.Errorf("with a filter that fails: %s", got)
	}
}

func TestPoliciesConflictWithFiltersOfTheTable(t *testing.T) {
	p := newProtecting(t)
	p.setUp()
	p.must("admin", "CREATE FUNCTION main.guard.none() RETURNS boolean RETURN false",
		"CREATE FUNCTION main.guard.words(val string COLLATE UTF8_LCASE, gap interval DAY TO SECOND) RETURNS string collate utf8_lcase COMMENT 'x' RETURN CAST(NULL AS string collate UTF8_LCASE)",
		"CREATE FUNCTION main.guard.gap(gap interval) RETURNS interval COMMENT 'x' RETURN CAST(NULL AS interval day)")
	p.call("admin", "POST", "/api/2.1/unity-catalog/policies", map[string]any{"name": "p", "policy_type": "POLICY_TYPE_ROW_FILTER", "on_securable_type": "CATALOG",
		"on_securable_fullname": "main", "for_securable_type": "TABLE", "to_principals": []string{"eu"}, "row_filter": map[string]any{"function_name": "main.guard.none"}})
	if got := p.reads("ben@example.com", ordersTable); !strings.Contains(got, "UC_ABAC_MULTIPLE_ROW_FILTERS") {
		t.Errorf("a policy and a filter of the table: %s", got)
	}
	p.wantRows("ana@example.com", ordersTable, "1 eu xxx@xxxxxxx.xxx 2026-03-04, 2 us Xxx@xxxxxxx.xxx -, 3 - - 2025-01-01")
}

func TestTableInfoShowsWhatProtectsIt(t *testing.T) {
	p := newProtecting(t)
	p.setUp()
	p.must("admin", "CREATE FUNCTION main.guard.two(a string, b int) RETURNS boolean RETURN b > 1", "ALTER TABLE main.sales.orders SET ROW FILTER main.guard.two ON (REGION, -2)")
	const path = "/api/2.1/unity-catalog/tables"
	for query, masked := range map[string]bool{path + "/main.sales.orders": true, path + "?catalog_name=main&schema_name=sales": true, path + "?catalog_name=main&schema_name=sales&omit_columns=true": false} {
		answer, _ := json.Marshal(p.call("admin", "GET", query, nil))
		if want := `"row_filter":{"function_name":"main.guard.two","input_arguments":[{"column":"region"},{"constant":"-2"}],"input_column_names":["region"]}`; !strings.Contains(string(answer), want) {
			t.Errorf("%s shows no %s: %s", query, want, answer)
		}
		if got := strings.Contains(string(answer), `"mask":{"function_name":"main.guard.mf"}`); got != masked {
			t.Errorf("%s shows the mask: %t, want %t", query, got, masked)
		}
	}
	function := p.call("admin", "GET", "/api/2.1/unity-catalog/functions/main.guard.rf", nil)
	for field, want := range map[string]string{"comment": "it's ours", "owner": "admin@example.com", "full_data_type": "BOOLEAN",
		"routine_definition": "CASE WHEN is_account_group_member('eu') OR session_user() = 'eu' THEN coalesce((p = 'eu'), FALSE) ELSE TRUE END"} {
		if function[field] != want {
			t.Errorf("%s is %q, want %q", field, function[field], want)
		}
	}
	for view, want := range map[string]string{"row_filters": `["main","sales","orders","main.guard.two","region, \"-2\""]`, "column_masks": `["main","sales","orders","email","main.guard.mf",""]`} {
		answer, _ := json.Marshal(p.call("admin", "POST", "/api/2.0/sql/statements", map[string]string{"warehouse_id": "5a1e000000000001", "statement": "SELECT * FROM main.information_schema." + view})["result"])
		if !strings.Contains(string(answer), want) {
			t.Errorf("%s: %s, want %s", view, answer, want)
		}
	}
}

func TestStatementsThatProtectAreRefused(t *testing.T) {
	p := newProtecting(t)
	p.setUp()
	p.must("admin", "CREATE FUNCTION main.guard.region(p string) RETURNS string RETURN p", "GRANT SELECT, MODIFY ON TABLE main.sales.orders TO `cleo@example.com`")
	const create = "CREATE FUNCTION main.sales.f(a int) RETURNS boolean RETURN "
	for _, c := range []struct{ who, text, want string }{
		{"admin", "ALTER TABLE main.sales.seen SET ROW FILTER main.guard.rf ON (region)", "not supported"},
		{"admin", "ALTER VIEW main.sales.seen SET ROW FILTER main.guard.rf ON (region)", "not supported"},
		{"admin", "ALTER TABLE main.sales.totals SET ROW FILTER main.guard.rf ON (region)", "use ALTER MATERIALIZED VIEW"},
		{"admin", "ALTER MATERIALIZED VIEW main.sales.totals SET ROW FILTER main.guard.rf ON (region)", ""},
		{"admin", "ALTER TABLE main.sales.orders SET ROW FILTER main.guard.rf ON (nowhere)", "UNRESOLVED_COLUMN"},
		{"admin", "ALTER TABLE main.sales.orders SET ROW FILTER main.guard.rf ON ()", "takes 1 arguments"},
		{"admin", "ALTER TABLE main.sales.orders SET ROW FILTER main.guard.region ON (region)", "must return BOOLEAN"},
		{"admin", "ALTER TABLE main.sales.orders SET ROW FILTER main.guard.no ON (region)", "ROUTINE_NOT_FOUND"},
		{"admin", "ALTER TABLE main.sales.orders ALTER COLUMN id SET MASK main.guard.mf", "must return INT"},
		{"admin", "ALTER TABLE main.sales.orders ALTER COLUMN nowhere DROP MASK", "UNRESOLVED_COLUMN"},
		{"admin", "CREATE FUNCTION main.guard.rf(p string) RETURNS boolean RETURN true", "ROUTINE_ALREADY_EXISTS"},
		{"admin", "CREATE OR REPLACE FUNCTION main.guard.rf(p string) RETURNS boolean RETURN true", ""},
		{"admin", "CREATE OR REPLACE FUNCTION main.guard.rf(p int) RETURNS boolean RETURN true", "another signature"},
		{"admin", create + "b > 1", "UNRESOLVED_COLUMN"},
		{"admin", create + "rand() > 1", "UNSUPPORTED_FEATURE"},
		{"admin", create + "a IN (SELECT 1)", "PARSE_SYNTAX_ERROR"},
		{"admin", create + "a > 1; DROP TABLE main.sales.orders", "PARSE_SYNTAX_ERROR"},
		{"admin", "CREATE SCHEMA main.guard", "SCHEMA_ALREADY_EXISTS"},
		{"admin", "COMMENT ON FUNCTION main.guard.rf IS 'other'", ""},
		{"admin", "COMMENT ON TABLE main.sales.orders IS 'other'", ""},
		{"maker", create + "a > 1", ""},
		{"maker", "ALTER TABLE main.sales.orders SET ROW FILTER main.sales.f ON (id)", "INSUFFICIENT_PERMISSIONS"},
		{"cleo", "ALTER TABLE main.sales.orders DROP ROW FILTER", "INSUFFICIENT_PERMISSIONS"}, // MODIFY does not suffice
		{"ana", "CREATE FUNCTION main.sales.g() RETURNS boolean RETURN true", "INSUFFICIENT_PERMISSIONS"},
		{"ana", "CREATE SCHEMA main.own", "INSUFFICIENT_PERMISSIONS"},
		{"ana", "DROP FUNCTION main.guard.rf", "INSUFFICIENT_PERMISSIONS"},
	} {
		if got := p.run(c.who, c.text); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s, as %s: %q, want %q", c.text, c.who, got, c.want)
		}
	}
	// MANAGE on the table, with EXECUTE on the function, is enough.
	p.must("admin", "GRANT MANAGE ON TABLE main.sales.orders TO `cleo@example.com`")
	p.must("cleo", "ALTER TABLE main.sales.orders SET ROW FILTER main.guard.rf ON (region)")
}

func TestTableMadeAgainIsNotProtected(t *testing.T) {
	p := newProtecting(t)
	p.setUp()
	p.must("admin", "DROP TABLE main.sales.orders")
	answer := p.call("admin", "POST", "/api/2.1/unity-catalog/tables", map[string]any{"name": "orders", "catalog_name": "main", "schema_name": "sales", "table_type": "MANAGED",
		"data_source_format": "DELTA", "columns": []map[string]any{{"name": "region", "type_name": "STRING", "type_text": "string", "type_json": "{}", "position": 0}}})
	if answer["row_filter"] != nil {
		t.Errorf("the new table has a filter: %v", answer)
	}
	if got := p.reads("ben@example.com", ordersTable); !strings.HasPrefix(got, "region 1, region 2") {
		t.Errorf("ben reads %q, want all generated rows", got)
	}
}

func TestStateHoldsWhatProtects(t *testing.T) {
	p := newProtecting(t)
	p.setUp()
	again, err := emulator.New(emulator.Options{Seed: p.State(), Tokens: map[string]string{"admin": "admin@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	p.Server = again
	p.wantRows("ana@example.com", ordersTable, "1 eu xxx@xxxxxxx.xxx 2026-03-04, 2 us Xxx@xxxxxxx.xxx -, 3 - - 2025-01-01")
	p.wantRows("ben@example.com", ordersTable, "1 eu ana@example.com 2026-03-04")
}

func TestSeedRowsMustFitTheirTable(t *testing.T) {
	for rows, want := range map[string]string{"[[1, 2]]": "row 1 has 2 values", "[[x]]": `row 1, column 'id'`} {
		seed, err := emulator.ParseSeed([]byte("catalogs: [{name: c, schemas: [{name: s, tables: [{name: t, columns: [{name: id, type: INT}], rows: " + rows + "}]}]}]"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := emulator.New(emulator.Options{Seed: seed, Tokens: map[string]string{"admin": ""}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("rows %s: %v, want %q", rows, err, want)
		}
	}
}

// A table is shared, or it has a row filter or masks.
func TestSharedTablesAreNotProtected(t *testing.T) {
	p := newProtecting(t)
	p.setUp()
	share := func(action, kind, name string) string {
		answer := p.call("admin", "PATCH", "/api/2.1/unity-catalog/shares/out", map[string]any{"updates": []any{
			map[string]any{"action": action, "data_object": map[string]any{"name": name, "data_object_type": kind}}}})
		message, _ := answer["message"].(string)
		return message
	}
	p.call("admin", "POST", "/api/2.1/unity-catalog/shares", map[string]any{"name": "out"})
	if got := share("ADD", "TABLE", ordersTable); !strings.Contains(got, "cannot be shared") {
		t.Errorf("a table with a filter is shared: %q", got)
	}
	p.must("admin", "ALTER TABLE main.sales.orders DROP ROW FILTER")
	if got := share("ADD", "TABLE", ordersTable); !strings.Contains(got, "cannot be shared") {
		t.Errorf("a table with a mask is shared: %q", got)
	}
	p.must("admin", "ALTER TABLE main.sales.orders ALTER COLUMN email DROP MASK")
	for _, c := range [][2]string{{"TABLE", ordersTable}, {"SCHEMA", "main.sales"}} {
		if got := share("ADD", c[0], c[1]); got != "" {
			t.Fatal(got)
		}
		for _, text := range []string{"ALTER TABLE main.sales.orders SET ROW FILTER main.guard.rf ON (region)", "ALTER TABLE main.sales.orders ALTER COLUMN email SET MASK main.guard.mf"} {
			if got := p.run("admin", text); !strings.Contains(got, "in the share 'out'") {
				t.Errorf("with %s shared, %s: %q", c[1], text, got)
			}
		}
		if got := share("REMOVE", c[0], c[1]); got != "" {
			t.Fatal(got)
		}
	}
	p.must("admin", "ALTER TABLE main.sales.orders SET ROW FILTER main.guard.rf ON (region)")
}
