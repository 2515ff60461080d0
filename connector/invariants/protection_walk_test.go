package invariants_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy/ranger"
)

// onPlain returns a policy that filters another table, so that functions come and go that have nothing to do with the first.
func onPlain(expr string) ranger.Policy {
	return ranger.Policy{ID: 6, Name: "plain", PolicyType: ranger.PolicyTypeRowFilter, Resources: map[string]ranger.PolicyResource{"catalog": {Values: []string{"sales"}}, "schema": {Values: []string{"emea"}}, "table": {Values: []string{"plain"}}},
		RowFilterPolicyItems: []ranger.RowFilterPolicyItem{{PolicyItem: ranger.PolicyItem{Groups: []string{"bound"}, Accesses: []ranger.ItemAccess{{Type: "select"}}}, RowFilterInfo: ranger.RowFilterInfo{FilterExpr: expr}}}}
}

// stations are policies between which a walk goes, with what ben sees of the table by them: rows that he may see, and in which of
// them the address as it is.
var stations = []struct {
	policies []ranger.Policy
	rows     []string
	plain    bool
}{
	{protecting(""), []string{"eu", "us"}, true},
	{protecting("eu"), []string{"eu"}, false},
	{protecting("us"), []string{"us"}, false},
	{append(protecting(""), denying()), nil, false},
	{append(protecting("us"), denying()), nil, false},
	{append(protecting(""), denying(), onPlain("a = 'x'")), nil, false},
	{append(protecting(""), denying(), onPlain("a = 'y'")), nil, false},
	{append(protecting("eu"), onPlain("a = 'x'")), []string{"eu"}, false},
	{protecting("")[:0], nil, false},
	{masking("us", "MASK_SHOW_FIRST_4"), []string{"us"}, true}, // the address is no longer than that
	{masking("eu", "MASK_SHOW_FIRST_4"), []string{"eu"}, true},
}

// masking is protecting with a mask of another type.
func masking(region, mask string) []ranger.Policy {
	list := protecting(region)
	list[2].DataMaskPolicyItems[0].DataMaskInfo.DataMaskType = mask
	return list
}

// edits are what others do meanwhile, none of which shows ben more than policies once a sync has followed.
var edits = []string{
	"ALTER TABLE sales.emea.orders DROP ROW FILTER", "ALTER TABLE sales.emea.orders ALTER COLUMN email DROP MASK", "ALTER TABLE sales.emea.plain DROP ROW FILTER",
}

// TestProtectionWalk: on a walk from policies to policies, with syncs that crash, nothing is seen at any time that is shown neither by
// the policies before nor by those after; a sync that is not disturbed brings what policies say, and so does the one after it.
func TestProtectionWalk(t *testing.T) {
	for seed := range uint64(5) {
		walk(t, rand.New(rand.NewPCG(seed, 15)), seed)
	}
}

func walk(t *testing.T, random *rand.Rand, number uint64) {
	u := newObserved(t)
	from := 0
	if err := errors.Join(u.policies.set(stations[from].policies), u.sync()); err != nil {
		t.Fatal(err)
	}
	for step := range 8 {
		to := random.IntN(len(stations))
		where := fmt.Sprintf("walk %d, step %d from %d to %d", number, step, from, to)
		check := func(request string, of ...int) {
			if wrong := wrongly(u.sees("ben@example.com"), of); wrong != "" {
				t.Errorf("%s: after %s ben sees %s", where, request, wrong)
			}
		}
		if err := u.policies.set(stations[to].policies); err != nil {
			t.Fatal(err)
		}
		u.look = func(request string) { check(request, from, to) }
		for range random.IntN(3) {
			u.crash(1+random.IntN(12), random.IntN(2) == 0)
			_ = u.sync() // it may have crashed
		}
		u.crash(0, false)
		for _, which := range []string{"the sync", "another sync"} {
			if err := u.sync(); err != nil {
				t.Fatalf("%s: %s: %v", where, which, err)
			}
			check(which, to)
			if got := u.sees("ben@example.com"); len(stations[to].rows) > 0 && !strings.Contains(got, stations[to].rows[0]) {
				t.Errorf("%s: after %s ben sees %q", where, which, got)
			}
			u.look = func(request string) { check(request, to) }
		}
		u.look = func(string) {}
		if random.IntN(2) == 0 {
			u.run(t, edits[random.IntN(len(edits))])
			if err := u.sync(); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			check("the sync after an edit", to)
		}
		if t.Failed() {
			return
		}
		from = to
	}
}

// wrongly says what of what is seen none of the stations shows; empty for nothing.
func wrongly(seen string, of []int) string {
	if seen == "closed" {
		return ""
	}
	for row := range strings.SplitSeq(strings.TrimSuffix(seen, ";"), ";") {
		region, address, _ := strings.Cut(row, " ")
		shown := slices.ContainsFunc(of, func(i int) bool {
			return slices.Contains(stations[i].rows, region) && (stations[i].plain || address == "Xxx")
		})
		if region != "" && !shown {
			return row
		}
	}
	return ""
}

// run runs a statement as the owner of the tables.
func (u *observed) run(t *testing.T, statement string) {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, "/api/2.0/sql/statements", strings.NewReader(fmt.Sprintf(`{"warehouse_id":"5a1e000000000001","statement":%q}`, statement)))
	request.Header.Set("Authorization", "Bearer "+ourToken)
	answer, err := serve(u.server, request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), `"SUCCEEDED"`) {
		t.Errorf("%s: %s %v", statement, text, err)
	}
}

// TestReplacedWithGrants: a filter is replaced by one sync also where grants change with it, of which those that revoke SELECT wait for
// those that the new filter has to come before.
func TestReplacedWithGrants(t *testing.T) {
	allow := func(resource, group string, types ...string) []ranger.Policy {
		list := protecting("eu")
		list[0].PolicyItems = nil
		for _, access := range types {
			list[0].PolicyItems = append(list[0].PolicyItems, ranger.PolicyItem{Groups: []string{group}, Accesses: []ranger.ItemAccess{{Type: access}}})
		}
		if list[0].Resources = list[1].Resources; resource == "schema" {
			list[0].Resources = map[string]ranger.PolicyResource{"catalog": {Values: []string{"sales"}}, "schema": {Values: []string{"emea"}}}
		}
		return list
	}
	for _, test := range []struct {
		name          string
		before, after []ranger.Policy
		edit          string // of others, before the second sync
		kept          bool   // cleo, whom no filter binds, sees the table all the while
	}{
		{"less to the same group", allow("table", "readers", "all_privileges"), allow("table", "readers", "select"), "", true},
		{"more to the same group", allow("table", "readers", "select"), allow("table", "readers", "all_privileges"), "", false},
		{"from one group to all", allow("schema", "bound", "all_privileges"), allow("schema", "public", "all_privileges"), "", false},
		{"others granted all, and something new", allow("schema", "readers", "select"), allow("schema", "readers", "select", "create_table"), "GRANT ALL PRIVILEGES ON SCHEMA sales.emea TO `readers`", false},
	} {
		u := newObserved(t)
		if err := errors.Join(u.policies.set(test.before), u.sync()); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if test.edit != "" {
			u.run(t, test.edit)
		}
		test.after[1].RowFilterPolicyItems[0].RowFilterInfo.FilterExpr = "region = 'us'"
		u.look = func(request string) {
			if got := u.sees("ben@example.com"); got != "closed" && got != "eu Xxx;" && got != "us Xxx;" {
				t.Errorf("%s: after %s ben sees %q", test.name, request, got)
			}
			if test.kept && u.sees("cleo@example.com") == "closed" {
				t.Errorf("%s: after %s the table is closed to cleo", test.name, request)
			}
		}
		if err := errors.Join(u.policies.set(test.after), u.sync()); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		for _, out := range u.result.Outcomes {
			if out.Err != nil {
				t.Errorf("%s: %s: %v", test.name, out.Change, out.Err)
			}
		}
		if got := u.sees("ben@example.com"); got != "us Xxx;" {
			t.Errorf("%s: ben sees %q in the end", test.name, got)
		}
	}
}
