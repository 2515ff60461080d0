package unitycatalog_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"ucwarden/connector/doctor"
	"ucwarden/connector/emulator"
	"ucwarden/connector/unitycatalog"
	"ucwarden/policy"
)

// diagnosed returns what the named check found, one a line with what to do.
func diagnosed(t *testing.T, c *unitycatalog.Client, check string, o unitycatalog.CheckOptions) []string {
	t.Helper()
	var list []string
	for _, f := range doctor.Run(t.Context(), c.Checks(o)...) {
		if f.Check != check {
			continue
		}
		if (f.Do == "") != (f.Status == doctor.OK) {
			t.Errorf("%s %q says to do %q", f.Status, f.Message, f.Do)
		}
		list = append(list, strings.TrimSuffix(fmt.Sprintf("%s: %s; %s", f.Status, f.Message, f.Do), "; "))
	}
	return list
}

func checkDiagnosed(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got\n  %s\nwant, to begin with,\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

const rightsSeed = `
metastore: {name: main, owner: admin@example.com}
users: [ann@example.com, bob@example.com]
groups:
- {name: keepers, members: [inner]}
- {name: inner, members: [ann@example.com]}
- {name: Keepers, members: [bob@example.com]}
catalogs:
- {name: mine, owner: ann@example.com}
- {name: ours, owner: keepers}
- {name: managed, owner: bob@example.com, grants: {keepers: [MANAGE], ann@example.com: [USE_CATALOG, USE_SCHEMA]}}
- {name: for_all, owner: bob@example.com, grants: {account users: [MANAGE, ALL_PRIVILEGES]}}
- {name: others, owner: Keepers, grants: {Keepers: [MANAGE, ALL_PRIVILEGES], ann@example.com: [BROWSE]}}
- {name: half, owner: bob@example.com, grants: {ann@example.com: [MANAGE]}}
- name: parts
  owner: bob@example.com
  grants: {ann@example.com: [USE_CATALOG, USE_SCHEMA, BROWSE]}
  schemas:
  - {name: owned, owner: keepers}
  - {name: managed, grants: {ann@example.com: [MANAGE]}}
  - {name: not_ours, grants: {bob@example.com: [MANAGE]}}
- {name: "odd` + "`" + `name", owner: bob@example.com, grants: {ann@example.com: [USE_CATALOG, BROWSE]}}
`

func TestCheckRights(t *testing.T) {
	seed, err := emulator.ParseSeed([]byte(rightsSeed))
	if err != nil {
		t.Fatal(err)
	}
	server, host := startEmulator(t, emulator.Options{Seed: seed})
	scopeOf := func(o policy.ScopeOptions) policy.Scope {
		scope, err := policy.NewScope(o)
		if err != nil {
			t.Fatal(err)
		}
		return scope
	}
	everything := scopeOf(policy.ScopeOptions{})
	ann := newClient(t, unitycatalog.Options{Host: host, Token: readerToken})
	checkDiagnosed(t, diagnosed(t, ann, "identity", unitycatalog.CheckOptions{Scope: everything}),
		"ok: we are ann@example.com, in inner, keepers (directly or through other groups); our own access is never changed")
	checkDiagnosed(t, diagnosed(t, ann, "rights", unitycatalog.CheckOptions{Scope: everything, Catalogs: []string{"mine", "Nowhere"}}),
		"note: we are not metastore admin: metastore ",
		"warning: on catalog half we hold MANAGE without USE_CATALOG and USE_SCHEMA, and may not see all that is inside; as its owner, bob@example.com, run: GRANT MANAGE, USE CATALOG, USE SCHEMA ON CATALOG `half` TO `ann@example.com`",
		"problem: catalog odd`name is in scope, and we are neither its owner nor hold MANAGE on it; as its owner, bob@example.com, run: GRANT MANAGE, USE CATALOG, USE SCHEMA ON CATALOG `odd``name` TO `ann@example.com`",
		"problem: catalog others is in scope, and we are neither its owner nor hold MANAGE on it; as its owner, Keepers, run: GRANT MANAGE",
		"warning: catalog parts is in scope; we manage 2 of the 3 schemas in scope that we see there (parts.managed, parts.owned), but not the catalog itself: USE_CATALOG cannot be granted or revoked on it; as its owner, bob@example.com, run: GRANT MANAGE",
		"ok: 2 catalogs in scope can be managed as owner: mine, ours",
		"ok: 2 catalogs in scope can be managed by MANAGE: for_all, managed",
		"problem: catalog Nowhere is named by the scope, and does not exist or is hidden from us; correct scope.catalogs.include, or as its owner run: GRANT MANAGE",
	)
	some := scopeOf(policy.ScopeOptions{Objects: map[policy.SecurableType]policy.Filter{policy.Catalog: {Include: []string{"mine"}}, policy.Metastore: {Exclude: []string{"*"}}}})
	checkDiagnosed(t, diagnosed(t, ann, "rights", unitycatalog.CheckOptions{Scope: some}), "ok: 1 catalog in scope can be managed as owner: mine")
	none := scopeOf(policy.ScopeOptions{Objects: map[policy.SecurableType]policy.Filter{policy.Catalog: {Include: []string{"x*"}}, policy.Metastore: {Exclude: []string{"*"}}}})
	checkDiagnosed(t, diagnosed(t, ann, "rights", unitycatalog.CheckOptions{Scope: none}), "problem: we see no catalog in scope; correct scope.catalogs, ")

	boss := newClient(t, unitycatalog.Options{Host: host, Token: adminToken})
	checkDiagnosed(t, diagnosed(t, boss, "rights", unitycatalog.CheckOptions{Scope: everything}),
		"ok: we are metastore admin: metastore ", "ok: 8 catalogs in scope can be managed as metastore admin: ")

	stranger := newClient(t, unitycatalog.Options{Host: host, Token: "dapi-wrong"})
	checkDiagnosed(t, diagnosed(t, stranger, "identity", unitycatalog.CheckOptions{Scope: everything}), "problem: ")
	if found := diagnosed(t, stranger, "rights", unitycatalog.CheckOptions{Scope: everything}); len(found) > 0 {
		t.Errorf("rights of nobody: %q", found)
	}

	// What a sync works on without is a warning here, which says what the sync then does.
	fault(t, server, emulator.Fault{Path: "/api/2.0/preview/scim/v2/Users", Status: http.StatusForbidden})
	checkDiagnosed(t, diagnosed(t, ann, "identity", unitycatalog.CheckOptions{Scope: everything}),
		"warning: without them the shape of names tells users from groups, and MANAGE, USE_* and ALL_PRIVILEGES are revoked from no group: ",
		"ok: we are ann@example.com, in inner; our own access is never changed")
	fault(t, server, emulator.Fault{Path: "/api/2.0/preview/scim/v2/Me", Status: http.StatusForbidden})
	checkDiagnosed(t, diagnosed(t, ann, "identity", unitycatalog.CheckOptions{Scope: everything}),
		"warning: the workspace does not say who we are, so MANAGE and USE_* are revoked from nobody, ")
}

// The clock and the SQL warehouse, which the emulator does not have.
func TestCheckClockAndWarehouse(t *testing.T) {
	statement := func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Warehouse string `json:"warehouse_id"`
			Statement string `json:"statement"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Statement != "SELECT 1" {
			t.Errorf("a statement that is tried: %q, %v", body.Statement, err)
		}
		switch body.Warehouse {
		case "w5": // one that we may see, and not use
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"error_code": "PERMISSION_DENIED", "message": "not yours"}`)
		case "w6": // one that takes it, and fails it
			fmt.Fprint(w, `{"statement_id": "s", "status": {"state": "FAILED", "error": {"error_code": "INTERNAL_ERROR", "message": "broken"}}}`)
		default:
			fmt.Fprint(w, `{"statement_id": "s", "status": {"state": "SUCCEEDED"}}`)
		}
	}
	var skew time.Duration
	var age string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
		if age != "" {
			w.Header().Set("Age", age)
		}
		state, ok := map[string]string{"w1": "RUNNING", "w2": "STOPPED", "w3": "DELETED", "w5": "RUNNING", "w6": "RUNNING"}[strings.TrimPrefix(r.URL.Path, "/api/2.0/sql/warehouses/")]
		switch {
		case r.URL.Path == "/api/2.0/sql/statements":
			statement(w, r)
		case ok:
			fmt.Fprintf(w, `{"name": "protect", "state": %q}`, state)
		case strings.HasPrefix(r.URL.Path, "/api/2.0/sql/"):
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such warehouse"}`)
		default:
			fmt.Fprint(w, `{}`)
		}
	}))
	defer server.Close()
	var log bytes.Buffer
	connect := func() *unitycatalog.Client {
		log.Reset()
		return newClient(t, unitycatalog.Options{Host: server.URL, Token: "dapi-1", AllowHTTP: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	}
	for _, test := range []struct {
		skew time.Duration
		want string
	}{
		{0, "ok: our clock and the workspace's agree"},
		{-20 * time.Second, "warning: our clock and the workspace's differ by "},
		{time.Hour, "problem: our clock and the workspace's differ by "},
	} {
		skew = test.skew
		c := connect()
		if said := strings.Contains(log.String(), "our clock and the workspace's differ by "); said != (test.skew != 0) {
			t.Errorf("clocks that differ by %s: logged %q", test.skew, &log)
		}
		checkDiagnosed(t, diagnosed(t, c, "clock", unitycatalog.CheckOptions{}), test.want)
	}
	for id, want := range map[string]policy.Code{"w1": policy.CodeOf(nil), "w2": policy.CodeOf(nil), "w3": policy.CodeInvalid, "w4": policy.CodeInvalid, "w5": policy.CodeInvalid, "w6": policy.CodeOf(nil)} {
		if err := connect().Warehouse(id).Usable(t.Context(), true); policy.CodeOf(err) != want {
			t.Errorf("SQL warehouse %s: %v, want %q", id, err, want)
		}
	}
	age = "3600" // a cache answers, with the Date of an hour ago
	checkDiagnosed(t, diagnosed(t, connect(), "clock", unitycatalog.CheckOptions{}), "note: the workspace's clock could not be read: ")
	age, skew = "", 0
	c := connect()
	for id, want := range map[string]string{
		"w1": "ok: SQL warehouse w1 (protect) is RUNNING", "w2": "note: SQL warehouse w2 (protect) is STOPPED; nothing: the first statement starts it",
		"w5": "problem: SQL warehouse w5 (protect) is RUNNING, and takes no statement of ours: ", "w6": "ok: SQL warehouse w6 (protect) is RUNNING",
		"": "ok: none is configured (databricks.warehouse)", "w3": "problem: SQL warehouse w3 (protect) is DELETED", "w4": "problem: SQL warehouse w4 cannot be read: ",
	} {
		checkDiagnosed(t, diagnosed(t, c, "warehouse", unitycatalog.CheckOptions{Warehouse: id}), want)
	}
}
