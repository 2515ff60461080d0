package policy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/policytest"
)

// TestDiff applies a diff: what was read ends as desired, a second diff is empty, and the totals count the changes, of
// which each securable has one.
func TestDiff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		desired := compile.New(policytest.Rules(w.Snapshot, policytest.Names), compile.Options{}).Compile(policy.NewInventory(w.Listed...)).Grants
		current := drawGrants(t, &w)
		var read []policy.Securable
		for _, o := range w.Listed {
			read = append(read, o.Securable)
		}
		changes, totals := policy.Diff(policy.DiffInput{Read: read, Current: current, Desired: desired})
		state := current.Clone()
		want := policy.Totals{Securables: len(read), Grants: current.Len(), Managed: current.Len(), Desired: totals.Desired, Changed: len(changes)}
		seen := make(map[policy.Securable]bool)
		for _, c := range changes {
			if seen[c.Securable] {
				t.Fatalf("two changes on %s", c.Securable)
			}
			seen[c.Securable] = true
			want.Adds, want.Removes = want.Adds+len(c.Add), want.Removes+len(c.Remove)
			list := slices.DeleteFunc(slices.Clone(state.Of(c.Securable)), func(a policy.Assignment) bool { return slices.Contains(c.Remove, a) })
			state.Set(c.Securable, append(list, c.Add...))
		}
		for _, c := range changes {
			for _, a := range c.Remove {
				if holds(state, c.Securable, a) {
					want.StillHeld++
				}
			}
		}
		if totals != want {
			t.Fatalf("totals %+v, want %+v", totals, want)
		}
		for _, s := range read {
			if !slices.Equal(state.Of(s), desired.Of(s)) {
				t.Fatalf("%s ends with %v, want %v", s, state.Of(s), desired.Of(s))
			}
		}
		if again, _ := policy.Diff(policy.DiffInput{Read: read, Current: state, Desired: desired}); len(again) > 0 {
			t.Fatalf("a second diff still has %v", again)
		}
	})
}

// holds reports whether grants on a securable or above it confer a privilege on the principal.
func holds(g *policy.GrantSet, on policy.Securable, a policy.Assignment) bool {
	for _, s := range g.Securables() {
		for _, by := range g.Of(s) {
			if (s == on || s.Contains(on)) && by.Principal == a.Principal && by.Privilege.Implies(a.Privilege) {
				return true
			}
		}
	}
	return false
}

// drawGrants makes a state somebody else may have left: any grants, well-formed or not.
func drawGrants(t *rapid.T, w *policytest.World) *policy.GrantSet {
	g := &policy.GrantSet{}
	principals := []policy.Principal{
		policy.NewPrincipal(policy.User, "u1"), policy.NewPrincipal(policy.User, "u2"), policy.NewPrincipal(policy.Group, "g1"),
		policy.NewPrincipal(policy.Group, "g2"), policy.NewPrincipal(policy.Group, "role_r1"), policy.AccountUsers,
	}
	for range rapid.IntRange(0, 14).Draw(t, "grants") {
		o := rapid.SampledFrom(w.Listed).Draw(t, "securable")
		list := slices.DeleteFunc(slices.Clone(policy.Privileges(o.Type, o.Kind)), func(p policy.Privilege) bool {
			return !slices.Contains([]policy.Privilege{policy.Select, policy.Modify, policy.Execute, policy.UseSchema, policy.UseCatalog}, p)
		})
		if len(list) == 0 {
			continue
		}
		g.Add(policy.Grant{Securable: o.Securable, Principal: rapid.SampledFrom(principals).Draw(t, "principal"), Privilege: rapid.SampledFrom(list).Draw(t, "privilege")})
	}
	return g
}
