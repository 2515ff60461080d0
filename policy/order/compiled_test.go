package order_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/order"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
)

// TestCompiled orders what leads from grants that somebody left to those that policies mean, and holds every state on
// the way between both, for every person.
func TestCompiled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		w.Snapshot.Users = &ranger.UserStore{UserGroupMapping: w.GroupsOf}
		compiled := compile.New(policytest.Rules(w.Snapshot, policytest.Names), compile.Options{
			Deny: []compile.DenyStrategy{rapid.SampledFrom([]compile.DenyStrategy{compile.DenyWithhold, compile.DenyExpand}).Draw(t, "deny")},
		}).Compile(policy.NewInventory(w.Listed...))
		current := drawGrants(t, &w)
		var read []policy.Securable
		for _, o := range w.Listed {
			read = append(read, o.Securable)
		}
		changes, _ := policy.Diff(policy.DiffInput{Read: read, Current: current, Desired: compiled.Grants})
		changes, gaps := order.Changes(changes, current, order.Options{})

		state := current.Clone()
		persons := w.Persons(w.GroupsOf)
		var path strings.Builder
		for _, c := range shuffled(t, changes) {
			path.WriteString(spell([]policy.Change{c}))
			applyChange(state, c)
			for _, p := range persons {
				who := p.Principals()
				for _, o := range w.Listed {
					if !c.Securable.Contains(o.Securable) && !o.Contains(c.Securable) {
						continue
					}
					for _, x := range policytest.ComparedPrivileges {
						if policy.ActsOn[x]&policy.ClassOf(o) == 0 {
							continue
						}
						before, after, is := policytest.Effective(current, who, x, o), policytest.Effective(compiled.Grants, who, x, o), policytest.Effective(state, who, x, o)
						if is && !before && !after || !is && before && after && len(gaps) == 0 {
							t.Fatalf("%s has %s on %s: before %t, afterwards %t, on the way %t\n%s%sbefore %v", p.Name, x, o, before, after, is,
								path.String(), policytest.Dump(&w, compiled.Grants, compiled.Report), slices.Collect(current.All()))
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
	})
}

func applyChange(g *policy.GrantSet, c policy.Change) {
	add, remove := c.Request()
	list := slices.DeleteFunc(slices.Clone(g.Of(c.Securable)), func(a policy.Assignment) bool {
		return slices.Contains(remove, a) || slices.Contains(remove, policy.Assignment{Principal: a.Principal, Privilege: policy.AllPrivileges}) && a.Privilege != policy.Manage
	})
	g.Set(c.Securable, append(list, add...))
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
			return !slices.Contains([]policy.Privilege{policy.Select, policy.Modify, policy.Execute, policy.UseSchema, policy.UseCatalog, policy.Manage, policy.AllPrivileges}, p)
		})
		if len(list) == 0 {
			continue
		}
		g.Add(policy.Grant{Securable: o.Securable, Principal: rapid.SampledFrom(principals).Draw(t, "principal"), Privilege: rapid.SampledFrom(list).Draw(t, "privilege")})
	}
	return g
}
