package unitycatalog_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"ucwarden/connector/unitycatalog"
	"ucwarden/policy"
)

// answering is a workspace that answers each path with the texts given for it, one after the other, the last for ever.
type answering struct {
	mu      sync.Mutex
	answers map[string][]string
	asked   []string
	called  func(call string)
}

func (a *answering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	call := r.Method + " " + r.URL.Path
	a.mu.Lock()
	list := a.answers[call]
	a.asked = append(a.asked, strings.TrimSpace(call+" "+r.URL.RawQuery+" "+string(body)))
	if len(list) > 1 {
		a.answers[call] = list[1:]
	}
	a.mu.Unlock()
	if a.called != nil {
		a.called(call)
	}
	if len(list) == 0 {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, list[0])
}

func (a *answering) client(t *testing.T) *unitycatalog.Client {
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	return newClient(t, unitycatalog.Options{Host: server.URL, Token: secret})
}

const statements = "/api/2.0/sql/statements"

func TestExecute(t *testing.T) {
	a := &answering{answers: map[string][]string{
		"POST " + statements:                        {`{"statement_id":"s1","status":{"state":"PENDING"}}`},
		"GET " + statements + "/s1":                 {`{"status":{"state":"RUNNING"}}`, `{"status":{"state":"SUCCEEDED"},"result":{"data_array":[["a",null]],"next_chunk_index":1}}`},
		"GET " + statements + "/s1/result/chunks/1": {`{"data_array":[["b","c"]]}`},
	}}
	rows, err := a.client(t).Warehouse("w1").Execute(t.Context(), "SELECT 1")
	if err != nil || fmt.Sprint(rows) != "[[a ] [b c]]" {
		t.Errorf("the rows are %v, %v", rows, err)
	}
	i := slices.IndexFunc(a.asked, func(s string) bool { return strings.HasPrefix(s, "POST") })
	_, body, _ := strings.Cut(a.asked[i], "{")
	var sent map[string]string
	if err := json.Unmarshal([]byte("{"+body), &sent); err != nil || sent["warehouse_id"] != "w1" || sent["statement"] != "SELECT 1" || sent["on_wait_timeout"] != "CONTINUE" {
		t.Errorf("sent was %v, %v", sent, err)
	}
}

func TestExecuteFails(t *testing.T) {
	for answer, want := range map[string]policy.Code{
		`{"state":"FAILED","error":{"error_code":"BAD_REQUEST","message":"[PARSE_SYNTAX_ERROR] x"},"sql_state":"42601"}`:       policy.CodeInvalid,
		`{"state":"FAILED","error":{"error_code":"BAD_REQUEST","message":"[ROUTINE_ALREADY_EXISTS] x"}}`:                       policy.CodeConflict,
		`{"state":"FAILED","error":{"error_code":"BAD_REQUEST","message":"[INSUFFICIENT_PERMISSIONS] x"},"sql_state":"42501"}`: policy.CodeForbidden,
		`{"state":"FAILED","error":{"error_code":"BAD_REQUEST","message":"[TABLE_OR_VIEW_NOT_FOUND] x"}}`:                      policy.CodeNotFound,
		`{"state":"FAILED","error":{"error_code":"TEMPORARILY_UNAVAILABLE","message":"x"}}`:                                    policy.CodeUnavailable,
		`{"state":"CANCELED"}`: policy.CodeUnavailable, `{"state":"CLOSED"}`: policy.CodeUnavailable,
	} {
		a := &answering{answers: map[string][]string{"POST " + statements: {`{"statement_id":"s1","status":` + answer + `}`}}}
		_, err := a.client(t).Warehouse("w1").Execute(t.Context(), "SELECT 1")
		if policy.CodeOf(err) != want {
			t.Errorf("%s: %v, of class %s; want %s", answer, err, policy.CodeOf(err), want)
		}
	}
}

// A statement that nobody waits for any more is cancelled: to stop polling does not end it.
func TestExecuteCancels(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := make(chan struct{})
	a := &answering{answers: map[string][]string{
		"POST " + statements:                {`{"statement_id":"s1","status":{"state":"PENDING"}}`},
		"GET " + statements + "/s1":         {`{"status":{"state":"RUNNING"}}`},
		"POST " + statements + "/s1/cancel": {`{}`},
	}}
	a.called = func(call string) {
		switch call {
		case "GET " + statements + "/s1":
			cancel()
		case "POST " + statements + "/s1/cancel":
			close(cancelled)
		}
	}
	_, err := a.client(t).Warehouse("w1").Execute(ctx, "SELECT 1")
	if policy.CodeOf(err) != policy.CodeUnavailable {
		t.Errorf("the error is %v", err)
	}
	<-cancelled
}

func TestTables(t *testing.T) {
	const one = `{"name":"t","catalog_name":"c","schema_name":"s","full_name":"c.s.t","table_id":"i","table_type":"MANAGED","owner":"o",
		"row_filter":{"function_name":"c.p.F","input_arguments":[{"column":"A"},{"constant":"'x'"}]},
		"columns":[{"name":"A","type_text":"int"},{"name":"B","type_text":"string","mask":{"function_name":"c.p.m","using_column_names":["A"]}}]}`
	a := &answering{answers: map[string][]string{
		"GET /api/2.1/unity-catalog/tables": {`{"tables":[` + one + `],"next_page_token":"n"}`, `{"next_page_token":"m"}`,
			`{"tables":[{"name":"u","full_name":"c.s.u","table_type":"MANAGED","browse_only":true},{"name":"v","full_name":"c.s.v","table_type":"MANAGED_SHALLOW_CLONE","columns":[{"name":"A","type_text":"int"}]},
			{"name":"w","full_name":"c.s.w","table_type":"EXTERNAL","data_source_format":"DELTASHARING","columns":[{"name":"A","type_text":"int"}]}]}`},
		"GET /api/2.1/unity-catalog/tables/c.s.t": {one},
	}}
	c := a.client(t)
	list, err := c.Tables(t.Context(), policy.Securable{Type: policy.Schema, FullName: "c.s"})
	if err != nil || len(list) != 4 || !list[0].Known || list[0].Unprotectable != "" || list[1].Known || list[2].Unprotectable == "" || list[3].Unprotectable == "" {
		t.Fatalf("the tables are %+v, %v", list, err)
	}
	p := list[0].Protection
	if p.Filter.Function != "c.p.f" || fmt.Sprint(p.Filter.Arguments) != "[{a } { 'x'}]" || p.Masks["b"].Function != "c.p.m" || fmt.Sprint(p.Masks["b"].Arguments) != "[{a }]" {
		t.Errorf("the table carries %+v", p)
	}
	if list, err := c.Tables(t.Context(), policy.Securable{Type: policy.Table, FullName: "c.s.t"}); err != nil || len(list) != 1 || list[0].ID != "i" {
		t.Errorf("the table is %+v, %v", list, err)
	}
}

func TestFunctionsAndAttributePolicies(t *testing.T) {
	a := &answering{answers: map[string][]string{
		"GET /api/2.1/unity-catalog/functions":           {`{"functions":[{"name":"f","full_name":"c.p.f","comment":"x","routine_definition":"TRUE","owner":"o","full_data_type":"BOOLEAN","updated_at":5,"input_params":{"parameters":[{"name":"p1","type_text":"int"}]}}]}`},
		"GET /api/2.1/unity-catalog/policies/schema/c.s": {`{"policies":[{"name":"n","policy_type":"POLICY_TYPE_ROW_FILTER","on_securable_type":"CATALOG","on_securable_fullname":"C","row_filter":{"function_name":"c.x.f"}}]}`},
	}}
	c := a.client(t)
	list, err := c.Functions(t.Context(), policy.Securable{Type: policy.Schema, FullName: "c.p"})
	if err != nil || len(list) != 1 || list[0].Body != "TRUE" || list[0].Owner != "o" || list[0].UpdatedAt.UnixMilli() != 5 || list[0].Parameters[0].Type != "int" {
		t.Errorf("the functions are %+v, %v", list, err)
	}
	policies, err := c.AttributePolicies(t.Context(), policy.Securable{Type: policy.Schema, FullName: "c.s"})
	if err != nil || len(policies) != 1 || policies[0].On != (policy.Securable{Type: policy.Catalog, FullName: "c"}) || policies[0].Function != "c.x.f" {
		t.Errorf("the policies are %+v, %v", policies, err)
	}
	if none, err := c.AttributePolicies(t.Context(), policy.Securable{Type: policy.Schema, FullName: "c.other"}); err != nil || none != nil {
		t.Errorf("where there are no such policies: %v, %v", none, err)
	}
}

// A statement that failed because the warehouse had too much to do is sent again.
func TestExecuteAgain(t *testing.T) {
	a := &answering{answers: map[string][]string{"POST " + statements: {
		`{"statement_id":"s1","status":{"state":"FAILED","error":{"error_code":"RESOURCE_EXHAUSTED","message":"x"}}}`,
		`{"statement_id":"s2","status":{"state":"SUCCEEDED"},"result":{"data_array":[["a"]]}}`,
	}}}
	rows, err := a.client(t).Warehouse("w1").Execute(t.Context(), "SELECT 1")
	if err != nil || fmt.Sprint(rows) != "[[a]]" {
		t.Errorf("the rows are %v, %v", rows, err)
	}
}

// A statement is cancelled too when the wait ends while the workspace has not answered yet: its answer is waited for.
func TestExecuteCancelledBeforeAnswer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := &answering{answers: map[string][]string{
		"POST " + statements:                {`{"statement_id":"s1","status":{"state":"RUNNING"}}`},
		"POST " + statements + "/s1/cancel": {`{}`},
	}}
	a.called = func(call string) {
		if call == "POST "+statements {
			cancel()
		}
	}
	_, err := a.client(t).Warehouse("w1").Execute(ctx, "SELECT 1")
	if policy.CodeOf(err) != policy.CodeUnavailable || !slices.ContainsFunc(a.asked, func(s string) bool { return strings.HasPrefix(s, "POST "+statements+"/s1/cancel") }) {
		t.Errorf("Execute returns %v after %q", err, a.asked)
	}
}
