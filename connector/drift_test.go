package connector_test

import (
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/connector"
	"ucwarden/connector/drift"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// What a validity schedule opens again is no drift, also where a sync of the catalog is the first to see it; what others take away is.
func TestDriftAndValidity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, state := newLarge(), &inMemory{}
		s := l.syncer(t, state, allow("table:c.s.t8", "bob@x", "select"),
			valid(allow("table:c.s.t7", "bob@x", "select"), 0, 60), valid(allow("table:c.s.t7", "bob@x", "select"), 120, 180))
		found := func(want drift.Found) {
			t.Helper()
			result, err := s.Sync(t.Context(), connector.Request{Roots: []policy.Securable{sec(t, "catalog:c")}})
			if err != nil {
				t.Fatal(err)
			}
			if got := drift.Of(result.Plan.Changes); got.Missing != want.Missing || got.Excess != want.Excess {
				t.Errorf("found %+v, want %+v, in %v", got, want, result.Plan.Changes)
			}
		}
		t7 := sec(t, "table:c.s.t7")
		found(drift.Found{})
		l.grants.Set(t7, nil)
		found(drift.Found{Missing: 1})
		time.Sleep(time.Until(time.Date(2000, 1, 1, 1, 0, 1, 0, time.UTC)))
		if _, left, err := s.SyncValidity(t.Context(), connector.Request{}); err != nil || len(left) > 0 || len(l.grants.Of(t7)) > 0 {
			t.Fatalf("%v, left %v, granted %v", err, left, l.grants.Of(t7))
		}
		time.Sleep(time.Until(time.Date(2000, 1, 1, 2, 0, 1, 0, time.UTC)))
		found(drift.Found{})
		if len(l.grants.Of(t7)) != 1 {
			t.Error("not granted again")
		}
	})
}

// What policies no longer ask for is no drift where a sync of a table sees first that they changed, as after a task that somebody posts.
// What others made counts all the same: at once where policies are as they were, and in mode grant-only, which leaves it, in each sync.
func TestDriftAndChangedPolicies(t *testing.T) {
	const orders, leads = "table:sales.emea.orders", "table:sales.apac.leads"
	before := []ranger.Policy{allow(orders, "bob@example.com", "select"), allow(orders, "eve@example.com", "select"), allow(leads, "bob@example.com", "select")}
	for _, test := range []struct {
		mode          policy.Mode
		catalog, last int // found in the catalog, and at last in the table
	}{{policy.ModeEnforce, 0, 1}, {policy.ModeGrantOnly, 1, 2}} {
		t.Run(string(test.mode), func(t *testing.T) {
			r := newRig(t, rigOptions{syncer: connector.Options{Mode: policy.ModeEnforce, State: &inMemory{}}}, before...)
			r.sync("catalog:sales")
			r.Mode = test.mode
			found := func(want int, root string) {
				t.Helper()
				if got := r.sync(root).Drift; got.Excess != want || got.Missing != 0 {
					t.Errorf("%s: found %+v, want %d excess", root, got, want)
				}
			}
			r.policies.set(t, before[0], before[2])
			r.grant(leads, "eve@example.com", "MODIFY")
			found(0, orders) // eve's SELECT
			found(1, leads)
			r.grant(orders, "eve@example.com", "MODIFY")
			found(0, orders) // of what policies say something else now, it is not known whether they asked for it
			found(test.catalog, "catalog:sales")
			r.grant(orders, "eve@example.com", "MODIFY") // policies are as they were at the last sync of the catalog
			found(test.last, orders)
		})
	}
}
