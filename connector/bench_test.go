package connector_test

import (
	"strings"
	"testing"

	"ucwarden/connector/emulator"
	"ucwarden/policy"
)

// callCase is a kind of sync whose API calls are counted.
type callCase struct {
	name    string
	roots   []string
	changes int // securables out of sync
}

var callCases = []callCase{
	{"full sync without change", nil, 0},
	{"full sync with 50 changes", nil, 50},
	{"schema task", []string{"schema:sales.raw"}, 1},
	{"single-table task with a change", []string{"table:sales.raw.orders"}, 1},
	{"single-table task without change", []string{"table:sales.raw.orders"}, 0},
}

// newCallRig is a metastore of 2,000 tables in 20 schemas, in sync with the policies.
func newCallRig(tb testing.TB) *rig {
	r := newRig(tb, rigOptions{size: emulator.Generate(emulator.Size{Catalogs: 2, Schemas: 10, Tables: 100, Extras: 1})},
		allow("table:*.*.orders*", "analysts", "select"), allow("table:*.raw.*", "engineers", "modify"), allow("table:sales.raw.cust*", "stewards", "select"))
	r.sync()
	return r
}

// count runs one sync and returns the calls it made, and the least that could be: for listings, the pages there are, one
// call for the grants of each securable that is read, and one for each that is changed.
func (r *rig) count(c callCase) (calls, bound int) {
	r.t.Helper()
	targets := []policy.Object{{Securable: sec(r.t, "table:sales.raw.orders")}}
	if c.changes > 1 {
		var err error
		if targets, err = r.client.List(r.t.Context(), sec(r.t, "schema:sales.raw"), policy.Table); err != nil {
			r.t.Fatal(err)
		}
	}
	for _, o := range targets[:c.changes] {
		r.grant(o.String(), "bob@example.com", "SELECT")
	}
	r.server.ResetTrace()
	result := r.sync(c.roots...)
	if got := len(result.Plan.Changes); got != c.changes {
		r.t.Fatalf("%s: %d changes, want %d", c.name, got, c.changes)
	}
	calls = int(r.server.Stats().Requests)
	const rootLists, schemas = 5, 10 // metastore and four kinds of root object
	bound = result.Plan.Totals.Securables + c.changes
	switch {
	case c.roots == nil: // catalogs; for each, schemas and tables; for each schema, functions, models and volumes
		bound += rootLists + 1 + 2*(2+3*schemas)
	case strings.HasPrefix(c.roots[0], "schema:"): // tables, functions, models and volumes
		bound += 4
	default: // the table, and the grants on the catalog and the schema around it, which others may have changed since
		bound += 3
	}
	return calls, bound
}

// The number of calls is at most 2 % above the least there can be.
func TestNumberOfCalls(t *testing.T) {
	r := newCallRig(t)
	for _, c := range callCases {
		calls, bound := r.count(c)
		if float64(calls) > 1.02*float64(bound) || calls < bound {
			t.Errorf("%s: %d calls, the least is %d", c.name, calls, bound)
		}
	}
}

// BenchmarkCalls reports the API calls of syncs against the least there can be.
func BenchmarkCalls(b *testing.B) {
	r := newCallRig(b)
	for _, c := range callCases {
		b.Run(strings.ReplaceAll(c.name, " ", "-"), func(b *testing.B) {
			var calls, bound int
			for b.Loop() {
				calls, bound = r.count(c)
			}
			b.ReportMetric(float64(calls), "calls")
			b.ReportMetric(float64(bound), "bound")
			b.ReportMetric(float64(calls)/float64(bound), "ratio")
		})
	}
}
