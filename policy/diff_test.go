package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestDiffNeverWider applies plans change by change, in an order the waves allow, and holds every state on the way
// between old ∩ new and old ∪ new, for every person.
func TestDiffNeverWider(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		w.snapshot.Users = &UserStore{UserGroupMapping: w.groupsOf}
		compiled := Compile(w.snapshot, NewInventory(w.listed...), CompileOptions{Names: NameMapping{RolePrefix: "role_"}})
		if slices.ContainsFunc(compiled.Report.Findings, func(f Finding) bool { return f.Privilege.IsUse() }) {
			return // a policy denies the way to what another allows: what is behind stays closed, see Diff
		}
		current := drawGrants(t, &w)
		var read []Securable
		for _, o := range w.listed {
			read = append(read, o.Securable)
		}
		changes, totals := Diff(DiffInput{Read: read, Current: current, Desired: compiled.Grants})

		state := current.Clone()
		persons := w.persons(w.groupsOf)
		var path strings.Builder
		for wave := 1; wave <= waveRemoveUse; wave++ {
			var now []Change
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
					who := p.principals()
					for _, o := range w.listed {
						if !c.Securable.Contains(o.Securable) && !o.Contains(c.Securable) {
							continue
						}
						for _, x := range []Privilege{Select, Modify, Execute, Manage} {
							if actsOn[x]&classOf(o) == 0 || x == Manage && o.Type.IsContainer() {
								continue
							}
							before, after, is := effective(current, who, x, o), effective(compiled.Grants, who, x, o), effective(state, who, x, o)
							if is && !before && !after {
								t.Fatalf("wider on the way: %s has %s on %s\n%s%s", p.name, x, o, path.String(), dump(&w, compiled)+dumpGrants(current))
							}
							if !is && before && after {
								t.Fatalf("a gap on the way: %s lacks %s on %s\n%s%s", p.name, x, o, path.String(), dump(&w, compiled)+dumpGrants(current))
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
		if again, _ := Diff(DiffInput{Read: read, Current: state, Desired: compiled.Grants}); len(again) > 0 {
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

func applyChange(g *GrantSet, c Change) {
	list := slices.DeleteFunc(slices.Clone(g.Of(c.Securable)), func(a Assignment) bool { return slices.Contains(c.Remove, a) })
	g.Set(c.Securable, append(list, c.Add...))
}

// drawGrants makes a state somebody else may have left: any grants, well-formed or not.
func drawGrants(t *rapid.T, w *world) *GrantSet {
	g := &GrantSet{}
	principals := []Principal{"u1", "u2", "g1", "g2", "role_r1", AccountUsers}
	for range rapid.IntRange(0, 14).Draw(t, "grants") {
		o := rapid.SampledFrom(w.listed).Draw(t, "securable")
		list := slices.DeleteFunc(slices.Clone(Privileges(o.Type, o.Kind)), func(p Privilege) bool {
			return !slices.Contains([]Privilege{Select, Modify, Execute, UseSchema, UseCatalog}, p)
		})
		if len(list) == 0 {
			continue
		}
		g.Add(Grant{o.Securable, rapid.SampledFrom(principals).Draw(t, "principal"), rapid.SampledFrom(list).Draw(t, "privilege")})
	}
	return g
}

func dumpGrants(g *GrantSet) string {
	var b strings.Builder
	for x := range g.All() {
		fmt.Fprintf(&b, "before %s %s %s\n", x.Securable, x.Principal, x.Privilege)
	}
	return b.String()
}
