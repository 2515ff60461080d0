package compile

import (
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/policytest"
)

// TestCountsOnNoGrantThatIsNotMade: what the scope leaves out, by privilege or by name, is no reason to leave out a grant that
// it would imply. Everybody keeps by other grants what they can have by them, and nobody has more.
func TestCountsOnNoGrantThatIsNotMade(t *testing.T) {
	less := 0
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		full, options, _ := compileWorld(t, &w)
		excluded := map[policy.SecurableType]policy.PrivilegeSet{}
		for _, typ := range []policy.SecurableType{policy.Catalog, policy.Schema, policy.Table} {
			for _, x := range rapid.SliceOfN(rapid.SampledFrom([]policy.Privilege{policy.Select, policy.Modify, policy.AllPrivileges}), 0, 2).Draw(t, "excluded on "+string(typ)) {
				excluded[typ] |= x.Set()
			}
		}
		notOurs := map[policy.Securable]policy.PrivilegeSet{}
		for _, o := range w.Listed {
			switch {
			case o.Type == policy.Catalog && rapid.IntRange(0, 3).Draw(t, "only USE_CATALOG on "+o.FullName) == 0:
				notOurs[o.Securable] = policy.AllPrivilegeSet &^ policy.UseCatalog.Set()
			case o.Type == policy.Schema && rapid.IntRange(0, 5).Draw(t, o.FullName+" is out of scope") == 0:
				notOurs[o.Securable] = policy.AllPrivilegeSet
			}
		}
		options.Excluded = func(t policy.SecurableType) policy.PrivilegeSet { return excluded[t] }
		options.NotOurs = func(s policy.Securable) policy.PrivilegeSet { return notOurs[s] }
		limited := compileOf(w.Snapshot, policy.NewInventory(w.Listed...), options, policytest.Names)
		made := &policy.GrantSet{}
		for g := range limited.Grants.All() {
			if !(excluded[g.Securable.Type] | notOurs[g.Securable]).Has(g.Privilege) {
				made.Add(g)
			}
		}
		for _, p := range w.Persons(w.GroupsOf) {
			for _, o := range w.Listed {
				schema, ok := o.Parent()
				if o.Type.IsContainer() || ok && notOurs[schema] == policy.AllPrivilegeSet {
					continue
				}
				for _, x := range []policy.Privilege{policy.Select, policy.Modify} {
					if excluded[o.Type].Has(x) || !policy.Supports(o.Type, o.Kind, x) {
						continue
					}
					before, after := policytest.Effective(full.Grants, p.Principals(), x, o), policytest.Effective(made, p.Principals(), x, o)
					if after && !before {
						t.Fatalf("wider: %s has %s on %s\n%s", p.Name, x, o, policytest.Dump(&w, made, limited.Report))
					}
					if before && !after {
						t.Fatalf("lost: %s lacks %s on %s; excluded %v, not ours %v\n%s", p.Name, x, o, excluded, notOurs, policytest.Dump(&w, made, limited.Report))
					}
					if before {
						less++
					}
				}
			}
		}
	})
	if less == 0 {
		t.Error("nobody had anything")
	}
}
