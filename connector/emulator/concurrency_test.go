package emulator_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"ucwarden/connector/emulator"
)

// TestConcurrentCallers lets writers of grants and of objects, readers, faults and observers loose on one server. Each
// writer has a principal of its own on one shared table: no diff may undo another's. The race detector does the rest.
func TestConcurrentCallers(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.AutoPrincipals, o.TraceSize, o.PageSize = true, 50, 3 })
	const writers, rounds = 6, 15
	var group sync.WaitGroup
	attempt := func(method, path, body string) {
		if _, err := w.try(admin, method, path, body); err != nil {
			t.Errorf("%s %s: %v", method, path, err)
		}
	}
	for i := range writers {
		group.Go(func() {
			for round := range rounds {
				privilege, other := "SELECT", "MODIFY"
				if round%2 == 1 {
					privilege, other = other, privilege
				}
				attempt("PATCH", orders, fmt.Sprintf(`{"changes":[{"principal":"w%d","add":[%q],"remove":[%q]}]}`, i, privilege, other))
				attempt("POST", "tables", fmt.Sprintf(`{"catalog_name":"sales","schema_name":"emea","name":"t%d_%d","table_type":"VIEW","view_definition":"x","columns":[]}`, i, round))
				attempt("GET", "tables?catalog_name=sales&schema_name=emea", "")
				attempt("GET", "effective-permissions/table/sales.emea.orders", "")
				if round%3 == 0 {
					attempt("DELETE", fmt.Sprintf("tables/sales.emea.t%d_%d", i, round), "")
				}
			}
		})
	}
	group.Go(func() {
		for range rounds {
			ids, err := w.srv.AddFaults(emulator.Fault{StaleVersions: 2, Method: "GET"}, emulator.Fault{LatencyMS: 1, Probability: 0.3})
			if err != nil {
				t.Error(err)
			}
			w.srv.Trace()
			w.srv.Stats()
			w.srv.State()
			w.srv.Grants()
			w.srv.Faults()
			w.srv.ClearFaults(ids...)
		}
	})
	group.Wait()
	var want []string
	for i := range writers {
		want = append(want, fmt.Sprintf("w%d %s", i, []string{"SELECT", "MODIFY"}[(rounds-1)%2]))
	}
	equal(t, "grants in the end", w.grants("table", "sales.emea.orders"), want)
	names, _ := w.names(admin, "tables?catalog_name=sales&schema_name=emea", "tables", "name")
	if wantTables := 5 + writers*(rounds-(rounds+2)/3); len(names) != wantTables || !slices.IsSorted(names) {
		t.Errorf("%d tables in the end, want %d, sorted", len(names), wantTables)
	}
}
