package unitycatalog_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ucwarden/connector/emulator"
	"ucwarden/connector/protection"
	"ucwarden/connector/unitycatalog"
	"ucwarden/policy"
	"ucwarden/policy/attach"
)

const protectedWorkspace = `
users: [ana@example.com, ben@example.com, reader@example.com]
groups: [{name: eu, members: [ben@example.com]}]
catalogs:
- name: sales
  grants: {account users: [USE_CATALOG, USE_SCHEMA]}
  schemas:
  - name: emea
    tables: [{name: orders, grants: {account users: [SELECT]}, columns: [{name: num, type: INT}, email], rows: [[1, a@x], [2, b@y]]}]
warehouses: [{id: w1, name: slow, state: STOPPED}, {id: w2, name: own}]
`

// protectedServer is an emulator whose warehouse w1 is stopped, with a client of its admin.
func protectedServer(t *testing.T, start time.Duration) (*emulator.Server, *unitycatalog.Client, string) {
	seed, err := emulator.ParseSeed([]byte(protectedWorkspace))
	if err != nil {
		t.Fatal(err)
	}
	server, err := emulator.New(emulator.Options{Seed: seed, WarehouseStart: start, Tokens: map[string]string{adminToken: admin, readerToken: "reader@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	return server, newClient(t, unitycatalog.Options{Host: web.URL, Token: adminToken}), web.URL
}

var ordersTable = policy.Securable{Type: policy.Table, FullName: "sales.emea.orders"}

// ordersChange sets a filter and a mask.
func ordersChange() policy.ProtectionChange {
	filter, mask := policy.Attached{Function: "sales.guard.rf_1", Arguments: []policy.Argument{{Column: "num"}}}, policy.Attached{Function: "sales.guard.mf_1"}
	return policy.ProtectionChange{Table: ordersTable,
		Create: []policy.SQLFunction{
			{Name: filter.Function, Parameters: []policy.Column{{Name: "p1", Type: "int"}}, Returns: "boolean", Comment: "it's \\ ours", Body: "CASE WHEN is_account_group_member('eu') THEN coalesce((p1 > 1), FALSE) ELSE TRUE END"},
			{Name: mask.Function, Parameters: []policy.Column{{Name: "val", Type: "string"}}, Returns: "string", Comment: "ours", Body: "CASE WHEN session_user() = 'ana@example.com' THEN mask(val) ELSE val END"},
		},
		Filter: &policy.AttachedChange{To: &filter}, Masks: map[string]policy.AttachedChange{"email": {To: &mask}}}
}

func rowsOf(t *testing.T, s *emulator.Server, who string) string {
	t.Helper()
	_, rows, err := s.Rows(who, ordersTable.FullName)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "%s %s, ", *row[0], *row[1])
	}
	return b.String()
}

// What we write is what the workspace enforces, and what is read of it is what was written; a stopped warehouse is waited for.
func TestProtectionTakesEffect(t *testing.T) {
	server, c, _ := protectedServer(t, 50*time.Millisecond)
	warehouse := c.Warehouse("w1")
	schema, err := attach.CreateSchema("sales", "guard")
	if err != nil {
		t.Fatal(err)
	}
	change := ordersChange()
	list, err := attach.StatementsOf(change)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(append([]string{schema, schema}, list.Create...), list.Set...) {
		if _, err := warehouse.Execute(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	for who, want := range map[string]string{"ana@example.com": "1 x@x, 2 x@x, ", "ben@example.com": "2 b@y, ", "reader@example.com": "1 a@x, 2 b@y, "} {
		if got := rowsOf(t, server, who); got != want {
			t.Errorf("%s sees %q, want %q", who, got, want)
		}
	}
	tables, err := c.Tables(t.Context(), policy.Securable{Type: policy.Schema, FullName: "sales.emea"})
	if err != nil || len(tables) != 1 || !tables[0].Known {
		t.Fatalf("the tables are %+v, %v", tables, err)
	}
	if p := tables[0].Protection; p.Filter == nil || fmt.Sprint(*p.Filter) != fmt.Sprint(*change.Filter.To) || fmt.Sprint(p.Masks) != fmt.Sprint(map[string]policy.Attached{"email": *change.Masks["email"].To}) {
		t.Errorf("the table carries %+v", p)
	}
	functions, err := c.Functions(t.Context(), policy.Securable{Type: policy.Schema, FullName: "sales.guard"})
	if err != nil || len(functions) != 2 {
		t.Fatalf("the functions are %+v, %v", functions, err)
	}
	for _, f := range functions {
		for _, made := range change.Create {
			if f.Name == made.Name && (f.Body != made.Body || f.Comment != made.Comment || f.Owner != admin || f.UpdatedAt.IsZero()) {
				t.Errorf("%s is read as %+v", made.Name, f)
			}
		}
	}
	if _, err := warehouse.Execute(t.Context(), list.Create[0]); policy.CodeOf(err) != policy.CodeConflict {
		t.Errorf("a function made twice: %v", err)
	}
}

// The classes of errors are those of what the workspace answers.
func TestProtectionRefused(t *testing.T) {
	server, c, url := protectedServer(t, 0)
	reader := newClient(t, unitycatalog.Options{Host: url, Token: readerToken})
	const drop = "ALTER TABLE `sales`.`emea`.`orders` DROP ROW FILTER"
	for name, try := range map[string]struct {
		client    *unitycatalog.Client
		warehouse string
		statement string
		want      policy.Code
	}{
		"warehouse missing":  {c, "gone", drop, policy.CodeInvalid},
		"not the owner":      {reader, "w1", drop, policy.CodeForbidden},
		"no such table":      {c, "w1", "ALTER TABLE `sales`.`emea`.`none` DROP ROW FILTER", policy.CodeNotFound},
		"no such function":   {c, "w1", "ALTER TABLE `sales`.`emea`.`orders` SET ROW FILTER `sales`.`emea`.`none` ON (`num`)", policy.CodeNotFound},
		"a statement unread": {c, "w1", "ALTER TABLE", policy.CodeInvalid},
	} {
		if _, err := try.client.Warehouse(try.warehouse).Execute(t.Context(), try.statement); policy.CodeOf(err) != try.want {
			t.Errorf("%s: %v, of class %s; want %s", name, err, policy.CodeOf(err), try.want)
		}
	}
	if got := rowsOf(t, server, "ana@example.com"); got != "1 a@x, 2 b@y, " {
		t.Errorf("refused, and ana sees %q", got)
	}
}

// An answer that is lost leaves unknown whether the statement had its effect, and says so by its class.
func TestProtectionAnswerLost(t *testing.T) {
	server, c, _ := protectedServer(t, 0)
	if _, err := server.AddFaults(emulator.Fault{Method: "POST", Path: "/api/2.0/sql/statements", Drop: true, After: true, Count: 1}); err != nil {
		t.Fatal(err)
	}
	_, err := c.Warehouse("w1").Execute(t.Context(), "CREATE SCHEMA `sales`.`guard`")
	if policy.CodeOf(err) != policy.CodeUnavailable || errors.Is(err, protection.ErrNotRun) {
		t.Errorf("the error is %v", err)
	}
	if list, err := c.Functions(t.Context(), policy.Securable{Type: policy.Schema, FullName: "sales.guard"}); err != nil || len(list) != 0 {
		t.Errorf("the statement had no effect: %v, %v", list, err)
	}
}

// Tables are known to be shared by themselves or with their schema; what else shares hold is none.
func TestShared(t *testing.T) {
	_, c, url := protectedServer(t, 0)
	call := func(method, path, body string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, url+"/api/2.1/unity-catalog/shares"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+adminToken)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode >= 300 {
			t.Fatal(response.Status)
		}
	}
	if got, err := c.Shared(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("shared are %v, %v", got, err)
	}
	for _, name := range []string{"one", "two", "none"} {
		call("POST", "", `{"name":"`+name+`"}`)
	}
	call("PATCH", "/one", `{"updates":[{"action":"ADD","data_object":{"name":"sales.emea.orders","data_object_type":"TABLE"}}]}`)
	call("PATCH", "/two", `{"updates":[{"action":"ADD","data_object":{"name":"sales.emea","data_object_type":"SCHEMA"}}]}`)
	want := map[policy.Securable]string{ordersTable: "one", {Type: policy.Schema, FullName: "sales.emea"}: "two"}
	if got, err := c.Shared(t.Context()); err != nil || !maps.Equal(got, want) {
		t.Errorf("shared are %v, %v; want %v", got, err, want)
	}
}
