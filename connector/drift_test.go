package connector_test

import (
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/connector"
	"ucwarden/connector/drift"
	"ucwarden/policy"
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
