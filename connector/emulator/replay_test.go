package emulator_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/connector/emulator"
)

// Whatever callers do at the same time, with answers that are lost, the trace leads from the state before to the state
// afterwards.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	start := w.srv.State()
	if _, err := w.srv.AddFaults(emulator.Fault{Method: "PATCH", Probability: 0.2, Status: 504, After: true},
		emulator.Fault{Method: "PATCH", Probability: 0.2, Status: 503}, emulator.Fault{Drop: true, After: true, Probability: 0.1}); err != nil {
		t.Fatal(err)
	}
	var callers sync.WaitGroup
	for n := range 4 {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 1))
			pick := func(from ...string) string { return from[random.IntN(len(from))] }
			for i := range 100 {
				method, path, body := "PATCH", "permissions/"+pick("table/sales.emea.orders", "schema/sales.emea", "catalog/sales"), ""
				switch random.IntN(4) {
				case 0:
					method, path = "POST", "schemas"
					body = fmt.Sprintf(`{"name":"s%d","catalog_name":"sales"}`, random.IntN(5))
				case 1:
					method, path = "DELETE", fmt.Sprintf("schemas/sales.s%d", random.IntN(5))
				default:
					body = fmt.Sprintf(`{"changes":[{"principal":%q,%q:[%q]}]}`, pick("analysts", "bob@example.com", "nobody@example.com"),
						pick("add", "remove"), pick("SELECT", "MODIFY", "ALL_PRIVILEGES", "MANAGE"))
				}
				_, _ = w.try(pick(admin, bob), method, path, body) // some are refused, some answers are lost
				if i%10 == 0 {
					w.try(admin, "GET", "catalogs", "")
				}
			}
		})
	}
	callers.Wait()
	trace := w.srv.Trace()
	steps, last := 0, (*emulator.Server)(nil)
	for instant, err := range emulator.Replay(start, trace) {
		if err != nil {
			t.Fatal(err)
		}
		if steps++; instant.Cause.Applied != int64(steps) {
			t.Fatalf("step %d is change %d", steps, instant.Cause.Applied)
		}
		last = instant.Server
	}
	if steps < 50 {
		t.Fatalf("only %d changes took effect", steps)
	}
	if diff := cmp.Diff(w.srv.State(), last.State()); diff != "" {
		t.Errorf("state (-truth +replayed):\n%s", diff)
	}

	// A change that is missing is noticed.
	missing := slices.DeleteFunc(trace, func(e emulator.TraceEntry) bool { return e.Applied == 7 })
	var failed error
	for _, failed = range emulator.Replay(start, missing) {
	}
	if failed == nil || !strings.Contains(failed.Error(), "gap") {
		t.Errorf("a trace without change 7: %v", failed)
	}
}

func TestAccess(t *testing.T) {
	seed, err := emulator.ParseSeed([]byte(`
groups: [{name: staff, members: [analysts]}, {name: analysts, members: [ann@example.com]}]
users: [ann@example.com, bob@example.com, eve@example.com]
catalogs:
- name: sales
  grants: {staff: [USE_CATALOG], bob@example.com: [SELECT], "account users": [BROWSE]}
  schemas:
  - name: emea
    grants: {analysts: [USE_SCHEMA, ALL_PRIVILEGES]}
    tables: [{name: orders, grants: {bob@example.com: [MODIFY]}}, {name: v, type: VIEW, definition: SELECT 1}]
  - name: apac
    owner: bob@example.com
    tables: [{name: leads, owner: eve@example.com}]
`))
	if err != nil {
		t.Fatal(err)
	}
	srv, err := emulator.New(emulator.Options{Seed: seed, Tokens: map[string]string{"x": admin}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		who, name string
		want      string
	}{
		{"ann@example.com", "sales.emea.orders", "APPLY_TAG DELETE INSERT MODIFY READ_PRIVATE_FILES SELECT UPDATE WRITE_PRIVATE_FILES"},
		{"ann@example.com", "sales.emea.v", "APPLY_TAG SELECT"}, // what fits a view
		{"ann@example.com", "sales", "BROWSE USE_CATALOG"},
		{"ann@example.com", "sales.apac.leads", ""},
		{"bob@example.com", "sales", "BROWSE SELECT"},
		{"bob@example.com", "sales.emea.orders", ""}, // no way there
		{"bob@example.com", "sales.apac", ""},        // an owner needs the way too
		{"eve@example.com", "sales.apac.leads", ""},
		{"Ann@Example.com", "sales", "BROWSE USE_CATALOG"},
		{"nobody", "sales", "BROWSE"},
	} {
		var got []string
		for _, a := range srv.Access(test.who) {
			if a.Name == test.name {
				got = append(got, a.Privilege)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s on %s: %v, want %s", test.who, test.name, got, test.want)
		}
	}
	w := emulator.Grant{Type: "CATALOG", Name: "sales", Principal: "bob@example.com", Privilege: "SELECT"}
	if !slices.Contains(srv.Grants(), w) {
		t.Error("the grants changed")
	}
}
