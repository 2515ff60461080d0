package invariants_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"ucwarden/connector"
	"ucwarden/connector/emulator"
	"ucwarden/connector/unitycatalog"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/protect"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

const protectedSeed = `
metastore: {owner: "` + us + `"}
users: [ben@example.com, cleo@example.com]
groups: [{name: admins, members: [` + somebody + `]}, {name: readers, members: [cleo@example.com, outer]}, {name: outer, members: [inner]}, {name: inner, members: [ben@example.com]}, {name: bound, members: [ben@example.com]}]
catalogs:
- name: sales
  schemas:
  - name: emea
    tables: [{name: orders, columns: [region, email], rows: [[eu, Abc], [us, Def]]}, {name: plain, columns: [a]}]
`

// observed is a process that syncs an emulator, and crashes at a request that changes something; a crash at one that reads is
// like one at the change before. After each request it looks at what people see.
type observed struct {
	server   *emulator.Server
	state    *memory
	policies *policies
	look     func(request string)
	result   *connector.Result // of the last sync
	mode     policy.Mode
	deny     []compile.DenyStrategy
	closed   bool // protection.else

	mu      sync.Mutex // held while a request is served, so that they are served one by one
	crashAt int        // the change at which it crashes, from 1; 0 for none
	kept    bool       // that change has its effect
	changes int        // sent until now
}

// newObserved returns a workspace of the protected tables, without policies, that nobody looks at.
func newObserved(t *testing.T) *observed {
	t.Helper()
	seed, err := emulator.ParseSeed([]byte(protectedSeed))
	if err != nil {
		t.Fatal(err)
	}
	server, err := emulator.New(emulator.Options{Seed: seed, Tokens: map[string]string{ourToken: us, otherToken: somebody}})
	if err != nil {
		t.Fatal(err)
	}
	return &observed{server: server, deny: []compile.DenyStrategy{compile.DenyFilter, compile.DenyWithhold}, state: &memory{}, policies: &policies{}, look: func(string) {}}
}

// RoundTrip implements http.RoundTripper.
func (u *observed) RoundTrip(r *http.Request) (*http.Response, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.crashAt > 0 && u.changes >= u.crashAt {
		return nil, errCrashed
	}
	crash := false
	if r.Method != http.MethodGet {
		u.changes++
		crash = u.changes == u.crashAt
	}
	if crash && !u.kept {
		return nil, errCrashed
	}
	answer, err := serve(u.server, r)
	u.look(r.Method + " " + r.URL.Path)
	if crash {
		return nil, errCrashed
	}
	return answer, err
}

// crash has the next sync crash at a change, or not where that is 0.
func (u *observed) crash(at int, kept bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.crashAt, u.kept, u.changes = at, kept, 0
}

// crashed reports whether the sync came as far as the change at which it was to crash.
func (u *observed) crashed() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.changes >= u.crashAt
}

// sync runs one sync in a new process.
func (u *observed) sync() error {
	syncer, end, err := u.start()
	if err != nil {
		return err
	}
	defer end()
	return u.syncBy(syncer)
}

// start starts a process, which lasts until end.
func (u *observed) start() (s *connector.Syncer, end func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	client, err := unitycatalog.New(ctx, unitycatalog.Options{
		Host: "http://127.0.0.1", Token: ourToken, Transport: u,
		Pacing: unitycatalog.Pacing{MaxAttempts: 1, BaseBackoff: time.Millisecond, MaxBackoff: time.Millisecond},
	})
	if err != nil {
		cancel()
		return nil, nil, err
	}
	end = func() {
		client.Close()
		cancel()
	}
	scope, err := policy.NewScope(policy.ScopeOptions{Protected: []string{us}})
	if err != nil {
		end()
		return nil, nil, err
	}
	s, err = connector.New(connector.Options{
		Workspace: client, Directory: client, Policies: u.policies, Scope: scope, State: u.state, UnknownState: u.state, Mode: u.mode, Read: rules.Options{}, Parallel: 1, DirectoryInterval: time.Nanosecond,
		Compile:    compile.Options{Deny: u.deny},
		Protection: &connector.Protection{Warehouse: client.Warehouse("5a1e000000000001"), Reader: client, Self: us, Policies: protect.Options{Schema: "ucwarden_protection", NameMembers: 100, Columns: true, ElseClosed: u.closed}},
	})
	if err != nil {
		end()
		return nil, nil, err
	}
	return s, end, nil
}

// syncBy has a process run one sync of everything.
func (u *observed) syncBy(s *connector.Syncer) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	before := u.server.Stats().Count("POST /api/2.0/sql/statements")
	result, err := s.Sync(ctx, connector.Request{ByPerson: true})
	u.result = result
	if sent := u.server.Stats().Count("POST /api/2.0/sql/statements") - before; err == nil && u.mode != policy.ModeObserve && sent != int64(result.Plan.Totals.Statements) {
		err = fmt.Errorf("the plan says %d statements, and %d were sent", result.Plan.Totals.Statements, sent)
	}
	if err == nil && len(result.Unprotected) > 0 {
		err = fmt.Errorf("not protected: %v", result.Unprotected)
	}
	return err
}

func (u *observed) sees(who string) string {
	_, rows, err := u.server.Rows(who, "sales.emea.orders")
	if err != nil {
		return "closed"
	}
	var b strings.Builder
	for _, row := range rows {
		for i, value := range row {
			if value == nil {
				b.WriteString("NULL")
			} else {
				b.WriteString(*value)
			}
			b.WriteString([]string{" ", ";"}[min(i, 1)])
		}
	}
	return b.String()
}

// protecting returns policies that let readers read, but show bound only the rows of a region, and masked.
func protecting(region string) []ranger.Policy {
	resources := map[string]ranger.PolicyResource{"catalog": {Values: []string{"sales"}}, "schema": {Values: []string{"emea"}}, "table": {Values: []string{"*"}}}
	item := func(group string) ranger.PolicyItem {
		return ranger.PolicyItem{Groups: []string{group}, Accesses: []ranger.ItemAccess{{Type: "select"}}}
	}
	list := []ranger.Policy{{ID: 1, Name: "read", Resources: resources, PolicyItems: []ranger.PolicyItem{item("readers")}}}
	if region == "" {
		return list
	}
	one := map[string]ranger.PolicyResource{"catalog": {Values: []string{"sales"}}, "schema": {Values: []string{"emea"}}, "table": {Values: []string{"orders"}}}
	column := map[string]ranger.PolicyResource{"catalog": {Values: []string{"sales"}}, "schema": {Values: []string{"emea"}}, "table": {Values: []string{"orders"}}, "column": {Values: []string{"email"}}}
	return append(list,
		ranger.Policy{ID: 2, Name: "rows", PolicyType: ranger.PolicyTypeRowFilter, Resources: one,
			RowFilterPolicyItems: []ranger.RowFilterPolicyItem{{PolicyItem: item("bound"), RowFilterInfo: ranger.RowFilterInfo{FilterExpr: "region = '" + region + "'"}}}},
		ranger.Policy{ID: 3, Name: "masks", PolicyType: ranger.PolicyTypeDataMask, Resources: column,
			DataMaskPolicyItems: []ranger.DataMaskPolicyItem{{PolicyItem: item("bound"), DataMaskInfo: ranger.DataMaskInfo{DataMaskType: "MASK"}}}})
}

// onColumns returns a policy that lets a group read columns of the table.
func onColumns(group, column string) ranger.Policy {
	return ranger.Policy{ID: 5, Name: "columns", Resources: map[string]ranger.PolicyResource{"catalog": {Values: []string{"sales"}}, "schema": {Values: []string{"emea"}}, "table": {Values: []string{"orders"}}, "column": {Values: []string{column}}},
		PolicyItems: []ranger.PolicyItem{{Groups: []string{group}, Accesses: []ranger.ItemAccess{{Type: "select"}}}}}
}

// denying returns a policy that denies bound what readers, who include them, may read.
func denying() ranger.Policy {
	return ranger.Policy{ID: 4, Name: "deny", Resources: map[string]ranger.PolicyResource{"catalog": {Values: []string{"sales"}}, "schema": {Values: []string{"emea"}}, "table": {Values: []string{"orders"}}},
		DenyPolicyItems: []ranger.PolicyItem{{Groups: []string{"bound"}, Accesses: []ranger.ItemAccess{{Type: "select"}}}}}
}

// TestProtectionNeverGaps: whatever the change at which the process crashes, nobody sees at any time a row or a value that
// neither the policies before nor those after show, and the next sync brings what the policies say.
func TestProtectionNeverGaps(t *testing.T) {
	const all = "eu Abc;us Def;"
	steps := []struct {
		name     string
		policies []ranger.Policy
		allowed  []string // of ben, on the way; it ends in the last
		cleo     string   // in the end
	}{
		{"protect", protecting("eu"), []string{"closed", "eu Xxx;"}, all},
		{"replace", protecting("us"), []string{"closed", "eu Xxx;", "us Xxx;"}, all},
		{"lift", protecting(""), []string{"closed", "us Xxx;", "us Def;", "eu Xxx;us Xxx;", all}, all},
		{"deny", append(protecting(""), denying()), []string{"closed", all, ""}, all},
		{"deny and protect", append(protecting("us"), denying()), []string{"closed", ""}, all},
		{"deny no more", protecting("eu"), []string{"closed", "", "eu Xxx;"}, all},
		{"columns", []ranger.Policy{onColumns("bound", "region")}, []string{"closed", "eu Xxx;", "eu NULL;", "eu NULL;us NULL;"}, "closed"},
		{"other columns", []ranger.Policy{onColumns("readers", "email")}, []string{"closed", "eu NULL;us NULL;", "NULL NULL;NULL NULL;", "NULL Abc;NULL Def;"}, "NULL Abc;NULL Def;"},
		{"all columns", protecting(""), []string{"closed", "NULL Abc;NULL Def;", "eu Abc;us Def;"}, all},
		{"protect again", protecting("eu"), []string{"closed", all, "eu Abc;", "eu Xxx;us Xxx;", "eu Xxx;"}, all},
		// Which shows the whole address, as it is that short: with one filter in place of the other, and one mask of the other, either first.
		{"replace both", masking("us", "MASK_SHOW_FIRST_4"), []string{"closed", "eu Xxx;", "", "us Xxx;", "us Def;"}, all},
		{"replace both, and back", protecting("eu"), []string{"closed", "us Def;", "", "us Xxx;", "eu Xxx;"}, all},
	}
	for step := range steps {
		for _, kept := range []bool{false, true} {
			for crashAt := 1; ; crashAt++ {
				if crashAt > 100 {
					t.Fatal("the sync does not end")
				}
				u := newObserved(t)
				if step > 0 {
					if err := errors.Join(u.policies.set(steps[step-1].policies), u.sync()); err != nil {
						t.Fatalf("%s: %v", steps[step-1].name, err)
					}
				}
				at := steps[step]
				if err := u.policies.set(at.policies); err != nil {
					t.Fatal(err)
				}
				u.look = func(request string) {
					got := u.sees("ben@example.com")
					for _, a := range at.allowed {
						if got == a {
							return
						}
					}
					t.Errorf("%s, crash at %d (kept %t): after %s ben sees %q, want one of %q", at.name, crashAt, kept, request, got, at.allowed)
				}
				u.crash(crashAt, kept)
				err := u.sync()
				crashed := u.crashed()
				u.crash(0, false)
				if !crashed && err != nil {
					t.Fatal(err)
				}
				if err := u.sync(); err != nil {
					t.Fatalf("%s, crash at %d: the next sync: %v", at.name, crashAt, err)
				}
				if got, want := u.sees("ben@example.com"), at.allowed[len(at.allowed)-1]; got != want {
					t.Errorf("%s, crash at %d (kept %t): in the end ben sees %q, want %q", at.name, crashAt, kept, got, want)
				}
				if got := u.sees("cleo@example.com"); got != at.cleo {
					t.Errorf("%s, crash at %d: in the end cleo sees %q, want %q", at.name, crashAt, got, at.cleo)
				}
				if !crashed || t.Failed() {
					break
				}
			}
		}
	}
}

// TestProtectionPutRight: what somebody else takes away from a table, as dbt does in each run, is put back by the next sync, and
// while a function is missing the table is closed.
func TestProtectionPutRight(t *testing.T) {
	u := newObserved(t)
	if err := errors.Join(u.policies.set(protecting("eu")), u.sync()); err != nil {
		t.Fatal(err)
	}
	filter := u.filter(t)
	var function struct{ Comment string }
	u.callAs(t, ourToken, http.MethodGet, "/api/2.1/unity-catalog/functions/"+filter, "", &function)
	for _, edit := range []struct{ statement, sees, says string }{
		{"ALTER TABLE sales.emea.orders DROP ROW FILTER", "eu Xxx;us Xxx;", "its row filter was taken away since it was set, and is to be put back"},
		{"ALTER TABLE sales.emea.orders ALTER COLUMN email DROP MASK", "eu Abc;", `the mask of its column "email" was taken away since it was set, and is to be put back`},
		{"DROP FUNCTION " + filter, "closed", "its row filter is the function " + filter + ", which others dropped since it was made, and is to be made again"},
		{"CREATE OR REPLACE FUNCTION " + filter + "(p1 STRING) RETURNS BOOLEAN COMMENT '" + function.Comment + "' RETURN TRUE", "eu Xxx;us Xxx;", "its row filter is the function " + filter + ", which others altered since it was made; " + filter + "_r2 is to take its place"},
		{"CREATE OR REPLACE FUNCTION " + filter + "_r2(p1 STRING) RETURNS BOOLEAN RETURN TRUE", "eu Xxx;us Xxx;", "its row filter is the function " + filter + "_r2, which others altered since it was made; " + filter + "_r3 is to take its place"},
	} {
		u.run(t, edit.statement)
		if got := u.sees("ben@example.com"); got != edit.sees {
			t.Errorf("after %s ben sees %q, want %q", edit.statement, got, edit.sees)
		}
		if err := u.sync(); err != nil {
			t.Errorf("the sync after %s: %v", edit.statement, err)
		}
		if got := u.sees("ben@example.com"); got != "eu Xxx;" {
			t.Errorf("after the sync that follows %s ben sees %q", edit.statement, got)
		}
		if said := fmt.Sprint(u.result.Conflicts); !strings.Contains(said, "TABLE:sales.emea.orders: "+edit.says) || !strings.Contains(fmt.Sprint(u.result.Plan.Report.Findings), edit.says) {
			t.Errorf("the sync that follows %s does not say %q, but %s and %v", edit.statement, edit.says, said, u.result.Plan.Report.Findings)
		}
	}
	before := len(u.server.Trace())
	if err := u.sync(); err != nil {
		t.Fatal(err)
	}
	for _, e := range u.server.Trace()[before:] {
		if e.Method != http.MethodGet {
			t.Errorf("a sync with nothing to do sends %s %s", e.Method, e.Path)
		}
	}
}

// filters returns the names of the functions of row filters.
func (u *observed) filters() []string {
	var list []string
	for _, catalog := range u.server.State().Catalogs {
		for _, schema := range catalog.Schemas {
			for _, table := range schema.Tables {
				if table.RowFilter != nil {
					list = append(list, table.RowFilter.Function)
				}
			}
		}
	}
	return list
}

// filter returns the name of the function of the row filter.
func (u *observed) filter(t *testing.T) string {
	t.Helper()
	filters := u.filters()
	if len(filters) == 0 {
		t.Fatal("no table carries a filter")
	}
	return filters[0]
}

// TestDeniedInGroup: a member of a granted group whom a policy denies sees no row, by whatever name the group that is denied goes,
// and in whose role they act; the other members do.
func TestDeniedInGroup(t *testing.T) {
	u := newObserved(t)
	if err := errors.Join(u.policies.set(append(protecting(""), denying())), u.sync()); err != nil {
		t.Fatal(err)
	}
	check := func(when, cleo string) {
		t.Helper()
		for who, want := range map[string]string{"ben@example.com": "", "cleo@example.com": cleo, "readers": "", "outer": "", "inner": ""} {
			if got := u.sees(who); got != want && got != "closed" {
				t.Errorf("%s %s sees %q, want %q", when, who, got, want)
			}
		}
	}
	check("at first", "eu Abc;us Def;")
	if got := u.sees("cleo@example.com"); got == "closed" {
		t.Error("at first readers are not granted the table")
	}
	u.rename(t, "bound", "renamed")
	check("once the group is renamed", "eu Abc;us Def;")
	if err := u.sync(); err != nil {
		t.Fatal(err)
	}
	check("after the next sync", "closed")
	if got := u.sees("cleo@example.com"); got != "closed" {
		t.Errorf("the policy denies a group that there is not, and cleo sees %q", got)
	}
}

// TestDeniedByTheWorkspace: who is in a denied group by the workspace alone, and not by the user store, is denied, since the workspace's
// groups are those that Unity Catalog goes by; in the role of a group, too.
func TestDeniedByTheWorkspace(t *testing.T) {
	for _, test := range []struct {
		deny []compile.DenyStrategy
		cleo string
	}{
		{[]compile.DenyStrategy{compile.DenyFilter, compile.DenyWithhold}, "eu Abc;us Def;"},
		{[]compile.DenyStrategy{compile.DenyWithhold}, "closed"},
		{[]compile.DenyStrategy{compile.DenyExpand, compile.DenyWithhold}, "eu Abc;us Def;"},
	} {
		for _, stored := range []map[string][]string{
			{"ben@example.com": {"readers"}, "cleo@example.com": {"readers"}}, // of whom nobody is denied
			{"ben@example.com": {}, "cleo@example.com": {"readers"}},
			{"ben@example.com": {"readers"}, "cleo@example.com": {"readers"}, "gone@example.com": {"readers", "bound"}},
			{"ben@example.com": {}, "cleo@example.com": {}}, // who are in readers by the workspace alone, too
			nil,
		} {
			u := newObserved(t)
			if u.deny = test.deny; stored != nil {
				u.policies.users = &ranger.UserStore{UserGroupMapping: stored}
			}
			u.look = func(request string) {
				for _, who := range []string{"ben@example.com", "inner", "outer"} {
					if got := u.sees(who); got != "" && got != "closed" {
						t.Errorf("%v, the user store has %v: after %s %s sees %q", test.deny, stored, request, who, got)
					}
				}
			}
			if err := errors.Join(u.policies.set(append(protecting(""), denying())), u.sync()); err != nil {
				t.Fatal(err)
			}
			if got := u.sees("cleo@example.com"); got != test.cleo {
				t.Errorf("%v, the user store has %v: cleo sees %q, want %q", test.deny, stored, got, test.cleo)
			}
		}
	}
}

// TestBoundInRole: whom a row filter and a mask bind walks past neither in the role of a group that may read the table, nor once the
// group that they bind has another name; others see what they saw.
func TestBoundInRole(t *testing.T) {
	u := newObserved(t)
	if err := errors.Join(u.policies.set(protecting("eu")), u.sync()); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"at first", "once the group is renamed"} {
		if when != "at first" {
			u.rename(t, "bound", "renamed")
		}
		for who, want := range map[string]string{"ben@example.com": "eu Xxx;", "readers": "", "outer": "", "inner": "", "cleo@example.com": "eu Abc;us Def;"} {
			if got := u.sees(who); got != want {
				t.Errorf("%s %s sees %q, want %q", when, who, got, want)
			}
		}
	}
	if err := u.sync(); err != nil {
		t.Fatal(err)
	}
	if got := u.sees("ben@example.com"); got != "closed" && got != "eu Xxx;" {
		t.Errorf("after the next sync ben sees %q", got)
	}
}

// rename gives a group another name.
func (u *observed) rename(t *testing.T, from, to string) {
	t.Helper()
	var list struct {
		Resources []struct{ ID, DisplayName string }
	}
	u.call(t, http.MethodGet, "/api/2.0/preview/scim/v2/Groups", "", &list)
	for _, g := range list.Resources {
		if g.DisplayName == from {
			u.call(t, http.MethodPatch, "/api/2.0/preview/scim/v2/Groups/"+g.ID, fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"displayName","value":%q}]}`, to), nil)
		}
	}
}

// call sends a request to the emulator, as a workspace admin.
func (u *observed) call(t *testing.T, method, path, body string, answer any) {
	t.Helper()
	u.callAs(t, otherToken, method, path, body, answer)
}

func (u *observed) callAs(t *testing.T, token, method, path, body string, answer any) {
	t.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := serve(u.server, request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		text, _ := io.ReadAll(response.Body)
		t.Fatalf("%s %s: %s %s", method, path, response.Status, text)
	}
	if answer != nil {
		if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
			t.Fatal(err)
		}
	}
}
