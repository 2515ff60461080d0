package protection_test

import (
	"context"
	"fmt"
	"testing"

	"ucwarden/connector/protection"
	"ucwarden/connector/warehousetest"
	"ucwarden/policy"
	"ucwarden/policy/protect"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// BenchmarkProtect plans and applies the row filters and masks of 20,000 tables in 20 schemas: first where there are none, then
// where all are. It reports how many statements and reads that takes; against a warehouse these are its time.
func BenchmarkProtect(b *testing.B) {
	const tables, schemas = 20_000, 20
	policies := []ranger.Policy{rowFilter("t*", "n > 1"), columnMask("t*", "MASK")}
	for i := range policies {
		policies[i].Resources["schema"] = ranger.PolicyResource{Values: []string{"*"}}
	}
	set, err := rules.New(&ranger.Snapshot{Policies: policies}, rules.Options{})
	if err != nil {
		b.Fatal(err)
	}
	world := func() (*warehousetest.Warehouse, *policy.Inventory) {
		w, inventory := warehousetest.New(us), policy.NewInventory(policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: "c"}})
		for n := range tables {
			t := table(n)
			t.FullName = fmt.Sprintf("c.s%d.t%d", n%schemas, n)
			w.AddTable(t)
			inventory.Add(policy.Object{Securable: t.Securable})
		}
		return w, inventory
	}
	run := func(b *testing.B, w *warehousetest.Warehouse, inventory *policy.Inventory) {
		worker := protection.New(protection.Options{Warehouse: w, Reader: w, Schema: "ucwarden_protection", Self: us})
		p, err := worker.Plan(context.Background(), protection.Request{
			Protector: protect.New(set, protect.Options{Schema: "ucwarden_protection"}), Inventory: inventory,
			Whole: []policy.Securable{{Type: policy.Catalog, FullName: "c"}}, InScope: func(policy.Securable) bool { return true },
		})
		if err != nil {
			b.Fatal(err)
		}
		for i, err := range worker.Apply(context.Background(), p.Changes, note) {
			if err != nil {
				b.Fatalf("%s: %v", p.Changes[i], err)
			}
		}
		if len(p.Protected) != tables {
			b.Fatalf("%d tables are protected", len(p.Protected))
		}
	}
	for _, again := range []bool{false, true} {
		b.Run(map[bool]string{false: "first", true: "second"}[again], func(b *testing.B) {
			statements, reads := 0, 0
			for range b.N {
				b.StopTimer()
				w, inventory := world()
				if again {
					run(b, w, inventory)
				}
				before, read := len(w.Statements), w.Reads
				b.StartTimer()
				run(b, w, inventory)
				statements, reads = len(w.Statements)-before, w.Reads-read
			}
			b.ReportMetric(float64(statements), "statements/op")
			b.ReportMetric(float64(reads), "reads/op")
		})
	}
}
