package policy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy"
)

// A grant set is a set: of what was added, in any order, however often.
func TestGrantSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grant := rapid.Custom(func(t *rapid.T) policy.Grant {
			return policy.Grant{Securable: policy.Securable{Type: policy.Catalog, FullName: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "catalog")},
				Principal: rapid.SampledFrom([]policy.Principal{{Name: "x", Kind: policy.User}, {Name: "x", Kind: policy.Group}, {Name: "y", Kind: policy.Group}}).Draw(t, "principal"),
				Privilege: rapid.SampledFrom([]policy.Privilege{"SELECT", "MODIFY", "MANAGE"}).Draw(t, "privilege")}
		})
		list := rapid.SliceOfN(grant, 0, 12).Draw(t, "grants")
		set, want := policy.NewGrantSet(list...), map[policy.Grant]bool{}
		for _, g := range list {
			want[g] = true
		}
		copied := set.Clone()
		copied.Add(policy.Grant{Securable: policy.Securable{Type: policy.Catalog, FullName: "c"}, Principal: policy.NewPrincipal(policy.User, "x"), Privilege: "SELECT"})
		copied.Set(policy.Securable{Type: policy.Catalog, FullName: "a"}, nil)
		got := slices.Collect(set.All())
		if len(got) != len(want) || set.Len() != len(want) {
			t.Fatalf("%v, length %d, want %v", got, set.Len(), want)
		}
		for _, g := range got {
			if !want[g] || !set.Has(g) {
				t.Fatalf("%v is not one of %v", g, list)
			}
		}
	})
}
