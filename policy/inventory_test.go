package policy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy"
)

// An inventory holds what was put in, whatever the order, and every container above it.
func TestInventory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := []policy.Securable{{Type: policy.Catalog, FullName: "a"}, {Type: policy.Schema, FullName: "a.s"}, {Type: policy.Table, FullName: "a.s.t"},
			{Type: policy.Volume, FullName: "a.s.t"}, {Type: policy.Function, FullName: "a.r.f"}, {Type: policy.Schema, FullName: "b.s"},
			{Type: policy.Table, FullName: "b.s.t"}, {Type: policy.ExternalLocation, FullName: "a"}, {Type: policy.Catalog, FullName: "a_b"}}
		put := rapid.SliceOfNDistinct(rapid.SampledFrom(pool), 0, len(pool), rapid.ID).Draw(t, "put")
		inv, want := &policy.Inventory{}, map[policy.Securable]bool{}
		for _, s := range put {
			inv.Add(policy.Object{Securable: s})
			for ok := true; ok; s, ok = s.Parent() {
				want[s] = true
			}
		}
		var got []policy.Securable
		inv.Objects(func(o policy.Object) bool {
			if parent, ok := o.Parent(); ok && !slices.Contains(got, parent) {
				t.Fatalf("%s comes before its container", o)
			}
			got = append(got, o.Securable)
			return true
		})
		if len(got) != len(want) || inv.Len() != len(want) {
			t.Fatalf("%d objects, length %d, want %d: %v", len(got), inv.Len(), len(want), got)
		}
		for _, s := range pool {
			if inv.Has(s) != want[s] || slices.Contains(got, s) != want[s] {
				t.Fatalf("%s: has %t, want %t", s, inv.Has(s), want[s])
			}
		}
	})
}
