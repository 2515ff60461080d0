package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"

	"pgregory.net/rapid"
)

// TestDiffNeverWider applies plans change by change, in an order the waves allow, and holds every state on the way
// between old ∩ new and old ∪ new, for every person.
func TestDiffNeverWider(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		w.Snapshot.Users = &ranger.UserStore{UserGroupMapping: w.GroupsOf}
		compiled := compile.New(policytest.Rules(w.Snapshot, policytest.Names), compile.Options{}).Compile(policy.NewInventory(w.Listed...))
		if slices.ContainsFunc(compiled.Report.Findings, func(f policy.Finding) bool { return f.Privilege.IsUse() }) {
			return // a policy denies the way to what another allows: what is behind stays closed, see policy.Diff
		}
		current := drawGrants(t, &w)
		var read []policy.Securable
		for _, o := range w.Listed {
			read = append(read, o.Securable)
		}
		changes, totals := policy.Diff(policy.DiffInput{Read: read, Current: current, Desired: compiled.Grants})

		state := current.Clone()
		persons := w.Persons(w.GroupsOf)
		var path strings.Builder
		for wave := 1; wave <= lastWave(changes); wave++ {
			var now []policy.Change
			for _, c := range changes {
				if c.Wave == wave {
					now = append(now, c)
				}
			}
			for _, i := range rapid.Permutation(indexes(len(now))).Draw(t, fmt.Sprintf("order in wave %d", wave)) {
				c := now[i]
				fmt.Fprintf(&path, "wave %d %s\n", wave, c)
				applyChange(state, c)
				for _, p := range persons {
					who := p.Principals()
					for _, o := range w.Listed {
						if !c.Securable.Contains(o.Securable) && !o.Contains(c.Securable) {
							continue
						}
						for _, x := range []policy.Privilege{policy.Select, policy.Modify, policy.Execute, policy.Manage} {
							if policy.ActsOn[x]&policy.ClassOf(o) == 0 || x == policy.Manage && o.Type.IsContainer() {
								continue
							}
							before, after, is := policytest.Effective(current, who, x, o), policytest.Effective(compiled.Grants, who, x, o), policytest.Effective(state, who, x, o)
							if is && !before && !after {
								t.Fatalf("wider on the way: %s has %s on %s\n%s%s", p.Name, x, o, path.String(), policytest.Dump(&w, compiled.Grants, compiled.Report)+dumpGrants(current))
							}
							if !is && before && after {
								t.Fatalf("a gap on the way: %s lacks %s on %s\n%s%s", p.Name, x, o, path.String(), policytest.Dump(&w, compiled.Grants, compiled.Report)+dumpGrants(current))
							}
						}
					}
				}
			}
		}
		for _, s := range read {
			if !slices.Equal(state.Of(s), compiled.Grants.Of(s)) {
				t.Fatalf("%s ends with %v, want %v", s, state.Of(s), compiled.Grants.Of(s))
			}
		}
		if again, _ := policy.Diff(policy.DiffInput{Read: read, Current: state, Desired: compiled.Grants}); len(again) > 0 {
			t.Fatalf("a second diff still has %v", again)
		}
		adds, removes := 0, 0
		for _, c := range changes {
			adds, removes = adds+len(c.Add), removes+len(c.Remove)
		}
		if totals.Adds != adds || totals.Removes != removes {
			t.Fatalf("totals %+v, but %d adds and %d removes", totals, adds, removes)
		}
	})
}

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func applyChange(g *policy.GrantSet, c policy.Change) {
	list := slices.DeleteFunc(slices.Clone(g.Of(c.Securable)), func(a policy.Assignment) bool { return slices.Contains(c.Remove, a) })
	g.Set(c.Securable, append(list, c.Add...))
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

func dumpGrants(g *policy.GrantSet) string {
	var b strings.Builder
	for x := range g.All() {
		fmt.Fprintf(&b, "before %s %s %s\n", x.Securable, x.Principal, x.Privilege)
	}
	return b.String()
}

func lastWave(changes []policy.Change) int {
	last := 0
	for _, c := range changes {
		last = max(last, c.Wave)
	}
	return last
}
