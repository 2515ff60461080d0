package protection_test

import (
	"fmt"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// What others did to what protects a table is put right, and said in the findings and as a conflict, also by another process.
func TestDrift(t *testing.T) {
	policies := []ranger.Policy{rowFilter("t0", "n > 1"), columnMask("t0", "MASK")}
	function := func(w *world, edit func(f *policy.SQLFunction)) {
		f, _ := w.warehouse.Function(w.warehouse.Table("c.s.t0").Filter.Function)
		edit(&f)
		w.warehouse.AddFunction(f)
	}
	for name, c := range map[string]struct {
		edit func(w *world)
		says []string
	}{
		"filter dropped": {func(w *world) {
			w.warehouse.Protect("c.s.t0", policy.Protection{Masks: w.warehouse.Table("c.s.t0").Masks})
		},
			[]string{"its row filter was taken away since it was set, and is to be put back"}},
		"mask dropped": {func(w *world) {
			w.warehouse.Protect("c.s.t0", policy.Protection{Filter: w.warehouse.Table("c.s.t0").Filter})
		},
			[]string{`the mask of its column "region" was taken away since it was set, and is to be put back; a build tool`}},
		"all dropped":           {func(w *world) { w.warehouse.Protect("c.s.t0", policy.Protection{}) }, []string{"its row filter was taken away", `the mask of its column "region" was taken away`}},
		"function dropped":      {func(w *world) { w.warehouse.DropFunction(w.warehouse.Table("c.s.t0").Filter.Function) }, []string{"its row filter is the function c.ucwarden_protection.rf_", "others dropped"}},
		"mask function dropped": {func(w *world) { w.warehouse.DropFunction(w.warehouse.Table("c.s.t0").Masks["region"].Function) }, []string{`the mask of its column "region" is the function`, "others dropped"}},
		"function altered":      {func(w *world) { function(w, func(f *policy.SQLFunction) { f.Body = "TRUE" }) }, []string{"which others altered since it was made; c.ucwarden_protection.rf_000000000000_"}},
		"other arguments": {func(w *world) {
			is := w.warehouse.Table("c.s.t0")
			w.warehouse.Protect("c.s.t0", policy.Protection{Filter: &policy.Attached{Function: is.Filter.Function, Arguments: []policy.Argument{{Constant: "7"}}}, Masks: is.Masks})
		}, []string{"its row filter was given other arguments since it was set"}},
		"replaced": {func(w *world) {
			is := w.warehouse.Table("c.s.t0")
			w.warehouse.Protect("c.s.t0", policy.Protection{Filter: &policy.Attached{Function: "c.ucwarden_protection.rf_other"}, Masks: is.Masks})
		}, []string{"its row filter was replaced by c.ucwarden_protection.rf_other since it was set"}},
		"function owned by another": {func(w *world) {
			function(w, func(f *policy.SQLFunction) { f.Owner = "mallory" })
			w.warehouse.Protect("c.s.t0", policy.Protection{Masks: w.warehouse.Table("c.s.t0").Masks})
		}, []string{"its row filter was taken away"}},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted %v", name, restarted), func(t *testing.T) {
				w := newWorld(t, 2)
				w.apply(policies...)
				c.edit(w)
				if restarted {
					w.restart()
				}
				w.plan(policies...) // that nobody applies
				p := w.apply(policies...)
				f, ok := w.warehouse.Function(w.warehouse.Table("c.s.t0").Filter.Function)
				if len(p.Changes) != 1 || !ok || !strings.Contains(f.Body, "eu") || f.Owner != us || w.warehouse.Table("c.s.t0").Masks["region"].Function == "" {
					t.Errorf("it is put right by %v to %v", p.Changes, f)
				}
				found := strings.Count(fmt.Sprint(p.Conflicts), "TABLE:c.s.t0: ")
				if p.Changes[0].PutBack != found || found == 0 {
					t.Errorf("%d filters and masks count as put back, of %d that others changed", p.Changes[0].PutBack, found)
				}
				for _, says := range c.says {
					if !strings.Contains(fmt.Sprint(p.Findings), says) || !strings.Contains(fmt.Sprint(p.Conflicts), "TABLE:c.s.t0: ") || !strings.Contains(fmt.Sprint(p.Conflicts), says) {
						t.Errorf("nothing says %q: the findings are %v, the conflicts %v", says, p.Findings, p.Conflicts)
					}
				}
				w.quiet(policies...)
			})
		}
	}
}

// What we took off ourselves, what a changed policy sets anew, and a table that was made again are not said to be taken away by others.
func TestNoDrift(t *testing.T) {
	policies := []ranger.Policy{rowFilter("t*", "n > 1"), columnMask("t*", "MASK")}
	for name, edit := range map[string]func(w *world){
		"another filter": func(w *world) { w.apply(rowFilter("t*", "n > 2"), columnMask("t*", "MASK_NULL")) },
		"policies gone":  func(w *world) { w.apply() },
		"mask gone":      func(w *world) { w.apply(policies[0]) },
		"made again": func(w *world) {
			again := table(0)
			again.ID = "ffffffffffff"
			w.warehouse.AddTable(again)
		},
		"policies gone while others took it off": func(w *world) {
			w.warehouse.Protect("c.s.t0", policy.Protection{})
			w.apply()
		},
		"an attribute-based policy of others": func(w *world) {
			w.warehouse.Govern(policy.AttributePolicy{Name: "x", Type: policy.AttributeRowFilter, On: table(0).Securable})
			w.apply(policies...)
			w.warehouse.Ungovern()
		},
	} {
		w := newWorld(t, 5)
		w.apply(policies...)
		edit(w)
		w.restart()
		if p := w.apply(policies...); len(p.Conflicts) > 0 || strings.Contains(fmt.Sprint(p.Findings), "since it was") {
			t.Errorf("%s: the conflicts are %v, the findings %v", name, p.Conflicts, p.Findings)
		}
		w.quiet(policies...)
	}
}
