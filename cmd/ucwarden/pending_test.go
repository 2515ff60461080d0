package main

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"ucwarden/connector/emulator"
	"ucwarden/ondemand"
)

// A task for one table makes a bounded number of calls however large its catalog is: where USE_* on that could wake grants
// that it did not read, all of the catalog is looked at by a task of its own, which the result names, and which grants them.
func TestTableTaskIsBounded(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tables  int
		pending bool
	}{"small": {10, false}, "large": {400, true}} {
		t.Run(name, func(t *testing.T) {
			var tables []emulator.SeedTable
			for i := range tt.tables {
				tables = append(tables, emulator.SeedTable{SeedObject: emulator.SeedObject{Name: fmt.Sprintf("t%d", i)}})
			}
			// Somebody who is to lose it has SELECT on a table that USE_* would open.
			tables[5].Grants = emulator.SeedGrants{"analysts": {"MODIFY"}}
			seed := oneSchema()
			seed.Catalogs[0].Grants = nil
			seed.Catalogs[0].Schemas[0].Grants = nil
			seed.Catalogs[0].Schemas[0].Tables = tables
			w := newWorld(t, seed, strings.Replace(readTables, `"t*"`, `t1`, 1))
			_, api := w.serve()
			if _, err := api.Submit(t.Context(), tableSync("first", "c", "s", "t0")); err != nil { // what follows is about "one" alone
				t.Fatal(err)
			}
			w.done(api, "first", ondemand.Success)
			var calls atomic.Int32
			paused := make(chan struct{})
			w.onRequest(func(r *http.Request, serve func()) {
				calls.Add(1)
				<-paused
				serve()
			})
			if _, err := api.Submit(t.Context(), tableSync("one", "c", "s", "t1")); err != nil {
				t.Fatal(err)
			}
			for calls.Load() == 0 { // it has begun
				runtime.Gosched()
			}
			if _, err := api.Pause(t.Context()); err != nil { // so that nothing else makes calls
				t.Fatal(err)
			}
			close(paused)
			task := w.done(api, "one", ondemand.Success)
			if n := calls.Load(); n > 130 || !tt.pending && n > 60 {
				t.Errorf("%d calls", n)
			}
			if _, err := api.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(task.Pending) != map[bool]int{false: 0, true: 1}[tt.pending] {
				t.Fatalf("pending: %+v, %s", task.Pending, task.StatusMessage)
			}
			if tt.pending {
				wide := w.done(api, task.Pending[0].ID, ondemand.Success)
				if wide.Priority >= 0 || !strings.Contains(task.StatusMessage, wide.ID) {
					t.Errorf("of priority %d: %q", wide.Priority, task.StatusMessage)
				}
				for _, r := range task.Resources {
					for _, c := range r.Changes {
						if strings.Contains(strings.Join(c.Add, " "), "USE_") {
							t.Errorf("granted before: %+v", c)
						}
					}
				}
			}
			if got, want := strings.Join(w.grants(), "\n"), "CATALOG:c analysts USE_CATALOG\nSCHEMA:c.s analysts USE_SCHEMA\nTABLE:c.s.t1 analysts SELECT"; got != want {
				t.Errorf("granted is\n%s\nwant\n%s", got, want)
			}
		})
	}
}
