package protection_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ucwarden/connector/memory"
	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

func TestLifts(t *testing.T) {
	w := newWorld(t, 5)
	w.apply(rowFilter("t*", "n > 1"), columnMask("t1", "MASK"))
	p := w.apply()
	if len(p.Changes) != 5 || w.warehouse.String() != "" {
		t.Errorf("without policies %v is changed, and what is left is %s", p.Changes, w.warehouse)
	}
	w.warehouse.Age(2 * time.Hour)
	w.apply()
	if names := w.warehouse.FunctionNames(); len(names) != 0 {
		t.Errorf("the functions %v are left", names)
	}
	w.quiet()
}

// A mask that several tables share is taken off those that no policy asks for it on any more, be the schema small or large, and by
// another process than set it; in a sync of some tables of a schema, off these.
func TestLiftsWhatTablesShare(t *testing.T) {
	for _, tables := range []int{2, 3, 4, 9} {
		for _, restarted := range []bool{false, true} {
			w := newWorld(t, tables)
			w.apply(columnMask("t*", "MASK"), rowFilter("t0", "n > 1"))
			if restarted {
				w.restart()
			}
			w.apply(columnMask("t1", "MASK"))
			for n := range tables {
				if is := w.warehouse.Table(fmt.Sprintf("c.s.t%d", n)); (len(is.Masks) > 0) != (n == 1) || is.Filter != nil {
					t.Errorf("%d tables, restarted %v: t%d carries %v, %v", tables, restarted, n, is.Masks, is.Filter)
				}
			}
			w.quiet(columnMask("t1", "MASK"))
		}
	}
	w := newWorld(t, 6)
	w.apply(columnMask("t*", "MASK"))
	w.inventory, w.parts = policy.NewInventory(policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: "c"}}), true
	for _, n := range []int{0, 2, 3, 4, 5} { // more than are read one by one
		w.inventory.Add(policy.Object{Securable: table(n).Securable})
	}
	w.apply(columnMask("t2", "MASK"), columnMask("t3", "MASK"), columnMask("t4", "MASK"), columnMask("t5", "MASK"))
	for n := range 6 {
		if masked := len(w.warehouse.Table(fmt.Sprintf("c.s.t%d", n)).Masks) > 0; masked != (n != 0) {
			t.Errorf("after a sync of all but t1, in which policies do not ask for masks of t0 and t1: t%d masked %v", n, masked)
		}
	}
}

// A sync of one table alone takes off what no policy asks for there any more, by another process than set it, too; it reads no table
// of which it is known that it carries nothing.
func TestLiftsOfOneTable(t *testing.T) {
	for _, forgotten := range []bool{false, true} {
		w := newWorld(t, 6)
		w.apply(rowFilter("t*", "n > 1"), columnMask("t1", "MASK"))
		whole := w.inventory
		w.parts, w.inventory = true, policy.NewInventory(policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: "c"}})
		w.inventory.Add(policy.Object{Securable: table(1).Securable})
		if forgotten {
			w.memory = memory.New(nil, memory.Folder(t.TempDir()))
		}
		w.restart()
		w.apply()
		if is := w.warehouse.Table("c.s.t1"); is.Filter != nil || len(is.Masks) > 0 || w.warehouse.Table("c.s.t0").Filter == nil {
			t.Errorf("forgotten %v: t1 carries %v, t0 %v", forgotten, is, w.warehouse.Table("c.s.t0"))
		}
		w.quiet()
		w.parts, w.inventory = false, whole
		w.apply()
		if left := w.warehouse.String(); left != "" {
			t.Errorf("forgotten %v: after a sync of all that is left: %s", forgotten, left)
		}
		w.parts, w.inventory = true, policy.NewInventory(policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: "c"}})
		w.inventory.Add(policy.Object{Securable: table(1).Securable})
		w.restart()
		w.quiet()
		before := w.warehouse.Reads
		w.restart()
		w.quiet()
		if w.warehouse.Reads != before {
			t.Errorf("forgotten %v: a sync of a table that carries nothing makes %d reads", forgotten, w.warehouse.Reads-before)
		}
	}
}

// Which tables carry something is kept: a new process does not look at all tables of the catalog.
func TestCarriersAreKept(t *testing.T) {
	w := newWorld(t, 3)
	for n := range 200 {
		other := table(n)
		other.FullName = fmt.Sprintf("c.s%d.plain", n)
		w.warehouse.AddTable(other)
		w.inventory.Add(policy.Object{Securable: other.Securable})
	}
	w.apply(rowFilter("t0", "n > 1"))
	w.apply(rowFilter("t0", "n > 1"))
	w.restart()
	before := w.warehouse.Reads
	w.apply(rowFilter("t0", "n > 1"))
	others := 202 // the attribute-based policies of the catalog, and of its schemas
	if reads := w.warehouse.Reads - before; reads > others+10 {
		t.Errorf("a new process makes %d reads", reads)
	}
}

// The filter of a table on which no policy sets one, but somebody is denied, is no leftover: not where a function of another table
// is not referred to any more, either.
func TestDeniedIsNoLeftover(t *testing.T) {
	w := newWorld(t, 2)
	denied := &judge.Denials{Rules: []judge.DenyRule{{Policy: &rules.Policy{Source: &ranger.Policy{ID: 9}}, Else: true}}} // everybody
	w.denied = func(s policy.Securable) *judge.Denials {
		if s == table(1).Securable {
			return denied
		}
		return nil
	}
	filter := rowFilter("t0", "n > 1")
	w.apply(filter)
	if w.warehouse.Table("c.s.t1").Filter == nil {
		t.Fatal("nothing hides the rows from the denied")
	}
	w.apply() // the policy is gone, and its function is left
	if w.warehouse.Table("c.s.t0").Filter != nil || w.warehouse.Table("c.s.t1").Filter == nil {
		t.Errorf("t0 carries %v, t1 %v", w.warehouse.Table("c.s.t0"), w.warehouse.Table("c.s.t1"))
	}
	w.quiet()
}

// What a table carries stays where policies come to ask for what cannot be: it is closed for whom they bind, and nobody else sees more.
func TestNothingIsLiftedWhereClosed(t *testing.T) {
	w := newWorld(t, 1)
	odd := table(0)
	odd.Columns = append(odd.Columns, policy.Column{Name: "odd", Type: "struct<a'b:int>"})
	w.warehouse.AddTable(odd)
	policies := []ranger.Policy{rowFilter("t0", "n > 1"), columnMask("t0", "MASK")}
	w.apply(policies...)
	bad := columnMask("t0", "MASK")
	bad.ID, bad.Resources = 3, policytest.Resources("catalog=c schema=s column=odd table=t0")
	p := w.apply(append(policies, bad)...)
	if is := w.warehouse.Table("c.s.t0"); len(p.Changes) > 0 || is.Filter == nil || len(is.Masks) != 1 || len(p.Conflicts) != 1 || !p.Conflicts[0].Closed {
		t.Errorf("%v is changed, and it carries %v; the conflicts are %v", p.Changes, is, p.Conflicts)
	}
}

// Where others filter or mask a table that is filtered and masked here, by an attribute-based policy set later, queries of it would fail:
// what of ours does not go with it is lifted, the table is closed, and protected again once that policy is gone.
func TestGovernedLater(t *testing.T) {
	policies := []ranger.Policy{rowFilter("t0", "n > 1"), columnMask("t0", "MASK")}
	for _, on := range []policy.Securable{{Type: policy.Metastore, FullName: "0123"}, {Type: policy.Catalog, FullName: "c"}, {Type: policy.Schema, FullName: "c.s"}, table(0).Securable} {
		for _, kind := range []policy.AttributePolicyType{policy.AttributeRowFilter, policy.AttributeColumnMask, policy.AttributeGrant} {
			w := newWorld(t, 2)
			w.apply(policies...)
			w.warehouse.Govern(policy.AttributePolicy{Name: "theirs", Type: kind, On: on})
			p := w.apply(policies...)
			is := w.warehouse.Table("c.s.t0")
			filtered, masked := is.Filter != nil, len(is.Masks) > 0
			if filtered != (kind != policy.AttributeRowFilter) || masked != (kind != policy.AttributeColumnMask) || p.Protected[table(0).Securable] != (kind == policy.AttributeGrant) {
				t.Errorf("%s on %s: filtered %v, masked %v, protected %v", kind, on, filtered, masked, p.Protected)
			}
			if !p.Bound[table(0).Securable] || kind != policy.AttributeGrant && !strings.Contains(fmt.Sprint(p.Findings), `the attribute-based policy "theirs" on `+on.String()+` may filter or mask it too`) {
				t.Errorf("%s on %s: the findings are %v", kind, on, p.Findings)
			}
			w.quiet(policies...)
			w.warehouse.Ungovern()
			if p := w.apply(policies...); !p.Protected[table(0).Securable] || w.warehouse.Table("c.s.t0").Filter == nil || len(w.warehouse.Table("c.s.t0").Masks) == 0 {
				t.Errorf("%s on %s: it is not protected again: %v", kind, on, p.Findings)
			}
			w.quiet(policies...)
		}
	}
}
