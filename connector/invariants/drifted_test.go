package invariants_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/ranger"
)

// TestReplacedInGrantOnly: where a mode that never revokes leaves a grant that no policy asks for, whoever holds it sees no more by the
// filter and masks that policies ask for now than by those before; others see what policies say, and a second sync changes nothing.
func TestReplacedInGrantOnly(t *testing.T) {
	at := func(resource, value string) map[string]ranger.PolicyResource {
		r := map[string]ranger.PolicyResource{"catalog": {Values: []string{"sales"}}, "schema": {Values: []string{"emea"}}, "table": {Values: []string{"orders"}}}
		if resource != "" {
			r[resource] = ranger.PolicyResource{Values: []string{value}}
		}
		return r
	}
	item := ranger.PolicyItem{Users: []string{"cleo@example.com"}, Accesses: []ranger.ItemAccess{{Type: "select"}}}
	read := ranger.Policy{ID: 11, Name: "cleo", Resources: at("", ""), PolicyItems: []ranger.PolicyItem{item}}
	rows := ranger.Policy{ID: 12, Name: "rows", PolicyType: ranger.PolicyTypeRowFilter, Resources: at("", ""),
		RowFilterPolicyItems: []ranger.RowFilterPolicyItem{{PolicyItem: item, RowFilterInfo: ranger.RowFilterInfo{FilterExpr: "region = 'us'"}}}}
	mask := ranger.Policy{ID: 13, Name: "mask", PolicyType: ranger.PolicyTypeDataMask, Resources: at("column", "email"),
		DataMaskPolicyItems: []ranger.DataMaskPolicyItem{{PolicyItem: item, DataMaskInfo: ranger.DataMaskInfo{DataMaskType: "MASK_NULL"}}}}
	for name, test := range map[string]struct {
		after []ranger.Policy
		cleo  string
	}{
		"another filter":  {[]ranger.Policy{read, rows}, "us Def;"},
		"another mask":    {[]ranger.Policy{read, mask}, "eu NULL;us NULL;"},
		"both":            {[]ranger.Policy{read, rows, mask}, "us NULL;"},
		"none":            {[]ranger.Policy{read}, "eu Abc;us Def;"},
		"another, of all": {append([]ranger.Policy{rows}, protecting("")...), "us Def;"},
	} {
		for _, schema := range []bool{false, true} { // where the grant that stays is
			u := newObserved(t)
			u.mode = policy.ModeGrantOnly
			if err := errors.Join(u.policies.set(protecting("eu")), u.sync()); err != nil {
				t.Fatal(err)
			}
			if schema {
				u.run(t, "GRANT SELECT ON SCHEMA sales.emea TO readers")
			}
			if got := u.sees("ben@example.com"); got != "eu Xxx;" {
				t.Fatalf("at first ben sees %q", got)
			}
			allowed := name == "another, of all" // ben is, and no filter binds him
			u.look = func(request string) {
				for _, who := range []string{"ben@example.com", "inner"} {
					if got := u.sees(who); !allowed && got != "eu Xxx;" && got != "" && got != "closed" {
						t.Errorf("%s: after %s %s sees %q", name, request, who, got)
					}
				}
			}
			if err := errors.Join(u.policies.set(test.after), u.sync()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := u.sees("cleo@example.com"); got != test.cleo && name != "none" {
				t.Errorf("%s: cleo sees %q, want %q", name, got, test.cleo)
			}
			before := len(u.server.Trace())
			if err := u.sync(); err != nil {
				t.Fatal(err)
			}
			for _, e := range u.server.Trace()[before:] {
				if e.Method != http.MethodGet {
					t.Errorf("%s: a second sync sends %s %s", name, e.Method, e.Path)
				}
			}
			if said := fmt.Sprint(u.result.Plan.Report.Findings); !allowed && !strings.Contains(said, "grants of SELECT") {
				t.Errorf("%s: the findings say nothing of grants that stay: %s", name, said)
			}
		}
	}
}

// TestDriftOfProtection: what others did between syncs to what protects a table is in the plan and the result of the next sync, whatever
// the settings; it is put right, or where others' is in the way the table is closed, unless the mode keeps that.
func TestDriftOfProtection(t *testing.T) {
	filter := func(u *observed) string { return u.filter(t) }
	edits := map[string]struct {
		do   func(u *observed)
		says string
		stay bool // others' is in the way
	}{
		"filter dropped": {do: func(u *observed) { u.run(t, "ALTER TABLE sales.emea.orders DROP ROW FILTER") }, says: "its row filter was taken away since it was set"},
		"mask dropped": {do: func(u *observed) { u.run(t, "ALTER TABLE sales.emea.orders ALTER COLUMN email DROP MASK") },
			says: `the mask of its column "email" was taken away since it was set`},
		"both dropped": {do: func(u *observed) {
			u.run(t, "ALTER TABLE sales.emea.orders DROP ROW FILTER")
			u.run(t, "ALTER TABLE sales.emea.orders ALTER COLUMN email DROP MASK")
		}, says: "its row filter was taken away since it was set"},
		"function dropped": {do: func(u *observed) { u.run(t, "DROP FUNCTION "+filter(u)) }, says: "which others dropped since it was made"},
		"function altered": {do: func(u *observed) {
			var f struct{ Comment string }
			u.callAs(t, ourToken, http.MethodGet, "/api/2.1/unity-catalog/functions/"+filter(u), "", &f)
			u.run(t, "CREATE OR REPLACE FUNCTION "+filter(u)+"(p1 STRING) RETURNS BOOLEAN COMMENT '"+f.Comment+"' RETURN TRUE")
		}, says: "which others altered since it was made"},
		"function made anew, without its comment": {do: func(u *observed) {
			u.run(t, "CREATE OR REPLACE FUNCTION "+filter(u)+"(p1 STRING) RETURNS BOOLEAN RETURN TRUE")
		}, says: "which others altered since it was made"},
		"function made theirs": {do: func(u *observed) {
			u.run(t, "CREATE OR REPLACE FUNCTION "+filter(u)+"(p1 STRING) RETURNS BOOLEAN RETURN TRUE")
			u.run(t, "ALTER FUNCTION "+filter(u)+" OWNER TO `cleo@example.com`")
		}, says: "which has a name of ours, and is not as we made it", stay: true},
		"filter replaced": {do: func(u *observed) {
			u.run(t, "CREATE FUNCTION sales.emea.theirs() RETURNS BOOLEAN RETURN TRUE")
			u.run(t, "ALTER TABLE sales.emea.orders SET ROW FILTER sales.emea.theirs ON ()")
		}, says: "it carries the row filter sales.emea.theirs, which is not ours", stay: true},
		"mask replaced": {do: func(u *observed) {
			u.run(t, "CREATE FUNCTION sales.emea.theirs(x STRING) RETURNS STRING RETURN x")
			u.run(t, "ALTER TABLE sales.emea.orders ALTER COLUMN email SET MASK sales.emea.theirs")
		}, says: `its column "email" carries the mask sales.emea.theirs, which is not ours`, stay: true},
	}
	for name, edit := range edits {
		for _, mode := range []policy.Mode{policy.ModeEnforce, policy.ModeGrantOnly, policy.ModeObserve} {
			for _, closed := range []bool{false, true} {
				list := protecting("eu")
				if closed {
					list = append(list, onColumns("readers", "region"))
				}
				u := newObserved(t)
				u.closed = closed
				if err := errors.Join(u.policies.set(list), u.sync(), u.sync()); err != nil {
					t.Fatal(err)
				}
				u.mode = mode
				edit.do(u)
				before := len(u.server.Trace())
				if err := u.sync(); err != nil {
					t.Fatalf("%s, mode %s, closed %v: %v", name, mode, closed, err)
				}
				said, findings := fmt.Sprint(u.result.Conflicts), fmt.Sprint(u.result.Plan.Report.Findings)
				if !strings.Contains(said, "TABLE:sales.emea.orders: ") || !strings.Contains(said, edit.says) || !strings.Contains(findings, edit.says) {
					t.Errorf("%s, mode %s, closed %v: the conflicts are %s, the findings %s", name, mode, closed, said, findings)
				}
				got, want := u.sees("ben@example.com"), "eu Xxx;"
				if edit.stay {
					want = "closed"
				}
				switch {
				case mode == policy.ModeObserve:
					for _, e := range u.server.Trace()[before:] {
						if e.Method != http.MethodGet {
							t.Errorf("%s: mode observe sends %s %s", name, e.Method, e.Path)
						}
					}
				case mode == policy.ModeGrantOnly && edit.stay: // which takes no grant away
					if !strings.Contains(findings, "mode grant-only never revokes") {
						t.Errorf("%s: mode grant-only leaves a grant, and says %s", name, findings)
					}
				case got != want:
					t.Errorf("%s, mode %s, closed %v: ben sees %q, want %q", name, mode, closed, got, want)
				}
				if err := u.sync(); err != nil {
					t.Fatal(err)
				}
				if again := fmt.Sprint(u.result.Conflicts); (edit.stay || mode == policy.ModeObserve) != strings.Contains(again, edit.says) {
					t.Errorf("%s, mode %s, closed %v: the sync after that says %s", name, mode, closed, again)
				}
			}
		}
	}
}

// TestOthersFilterLater: a policy of others that filters a table which ours filters already, on the table or above it, takes ours off, for
// Unity Catalog refuses queries of a table with both. Whom ours binds is closed out before, and sees no more than by ours once theirs is gone.
func TestOthersFilterLater(t *testing.T) {
	for on, name := range map[string]string{"CATALOG": "sales", "SCHEMA": "sales.emea", "TABLE": "sales.emea.orders"} {
		u := newObserved(t)
		cleo := ranger.Policy{ID: 9, Name: "cleo", Resources: denying().Resources, PolicyItems: []ranger.PolicyItem{{Users: []string{"cleo@example.com"}, Accesses: []ranger.ItemAccess{{Type: "select"}}}}}
		if err := errors.Join(u.policies.set(append(protecting("eu"), cleo)), u.sync()); err != nil {
			t.Fatal(err)
		}
		u.look = func(request string) {
			if got := u.sees("ben@example.com"); got != "closed" && got != "eu Xxx;" {
				t.Errorf("on a %s: after %s ben sees %q", on, request, got)
			}
			if got := u.sees("cleo@example.com"); got != "eu Abc;us Def;" {
				t.Errorf("on a %s: after %s cleo sees %q", on, request, got)
			}
		}
		u.callAs(t, ourToken, http.MethodPost, "/api/2.0/sql/statements", `{"warehouse_id":"5a1e000000000001","statement":"CREATE FUNCTION sales.emea.f() RETURNS BOOLEAN RETURN TRUE"}`, nil)
		u.callAs(t, ourToken, http.MethodPost, "/api/2.1/unity-catalog/policies", fmt.Sprintf(`{"name":"theirs","on_securable_type":%q,"on_securable_fullname":%q,"for_securable_type":"TABLE","policy_type":"POLICY_TYPE_ROW_FILTER","row_filter":{"function_name":"sales.emea.f"},"to_principals":["ben@example.com"]}`, on, name), nil)
		for range 2 {
			if err := u.sync(); err != nil {
				t.Fatal(err)
			}
			if got := u.sees("ben@example.com"); got != "closed" {
				t.Errorf("beside theirs on a %s ben sees %q", on, got)
			}
			if filters := u.filters(); len(filters) > 0 {
				t.Errorf("beside theirs on a %s the table carries %v", on, filters)
			}
			if c := u.result.Conflicts; len(c) != 1 || !c[0].Closed || !strings.Contains(c[0].Why, `the attribute-based policy "theirs" on `+on) || !strings.Contains(fmt.Sprint(u.result.Plan.Report.Findings), c[0].Why) {
				t.Errorf("beside theirs on a %s the conflicts are %v, the findings %v", on, c, u.result.Plan.Report.Findings)
			}
		}
		u.callAs(t, ourToken, http.MethodDelete, "/api/2.1/unity-catalog/policies/"+on+"/"+name+"/theirs", "", nil)
		if err := u.sync(); err != nil {
			t.Fatal(err)
		}
		if got := u.sees("ben@example.com"); got != "eu Xxx;" || len(u.result.Conflicts) > 0 {
			t.Errorf("once theirs on a %s is gone ben sees %q; the conflicts are %v", on, got, u.result.Conflicts)
		}
	}
}

// TestDeniedLater: who comes into a denied group by the workspace while a process runs is denied by its next sync, and allowed again by the
// one after they have left, by each strategy.
func TestDeniedLater(t *testing.T) {
	for name, deny := range map[string][]compile.DenyStrategy{
		"filter": {compile.DenyFilter, compile.DenyWithhold}, "withhold": {compile.DenyWithhold}, "expand": {compile.DenyExpand, compile.DenyWithhold},
	} {
		u := newObserved(t)
		u.deny, u.policies.users = deny, &ranger.UserStore{UserGroupMapping: map[string][]string{"ben@example.com": {"readers"}, "cleo@example.com": {"readers"}}}
		u.inGroup(t, "bound", somebody, true) // of an empty one the workspace does not say so
		if err := u.policies.set(append(protecting(""), denying())); err != nil {
			t.Fatal(err)
		}
		process, end, err := u.start()
		if err != nil {
			t.Fatal(err)
		}
		for _, bound := range []bool{false, true, false} {
			u.inGroup(t, "bound", "ben@example.com", bound)
			if err := u.syncBy(process); err != nil {
				t.Fatal(err)
			}
			if got := u.sees("ben@example.com"); bound != (got == "" || got == "closed") {
				t.Errorf("%s: ben is denied %v, and sees %q", name, bound, got)
			}
		}
		end()
	}
}

// inGroup puts somebody into a group of the workspace, or takes them out.
func (u *observed) inGroup(t *testing.T, group, who string, in bool) {
	t.Helper()
	id := func(kind, attribute, name string) string {
		var list struct{ Resources []map[string]any }
		u.call(t, http.MethodGet, "/api/2.0/preview/scim/v2/"+kind, "", &list)
		for _, r := range list.Resources {
			if r[attribute] == name {
				return r["id"].(string)
			}
		}
		t.Fatalf("there is no %s", name)
		return ""
	}
	operation := fmt.Sprintf(`{"op":"remove","path":"members[value eq \"%s\"]"}`, id("Users", "userName", who))
	if in {
		operation = fmt.Sprintf(`{"op":"add","path":"members","value":[{"value":%q}]}`, id("Users", "userName", who))
	}
	u.call(t, http.MethodPatch, "/api/2.0/preview/scim/v2/Groups/"+id("Groups", "displayName", group), `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[`+operation+`]}`, nil)
}
