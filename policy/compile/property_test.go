package compile

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/match"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// oracle is the policies' word on one policytest.Person, privilege and object, worked out in the plainest way, apart from both
// the compiler and the evaluator. Columns and inheritance are as the compiler documents them.
func oracle(w *policytest.World, p policytest.Person, x policy.Privilege, o policy.Object) bool {
	inherit := w.Snapshot.ServiceDef.Options[ranger.OptionInheritAccess] == "true"
	names := o.Names()
	leaf := map[policy.ObjectClass]string{policy.ClassTable: "table", policy.ClassFunction: "function", policy.ClassModel: "model", policy.ClassVolume: "volume"}[policy.ClassOf(o)]
	levels := []string{"catalog", "schema", leaf}[:len(names)]
	match := func(r ranger.PolicyResource, name string) bool {
		return policytest.NameMatches(r, name)
	}
	covers := func(pol *ranger.Policy) bool {
		used := 0
		for i, level := range levels {
			r, ok := pol.Resources[level]
			if !ok {
				if used == len(pol.Resources) && inherit {
					break
				}
				return false
			}
			used++
			if !match(r, names[i]) {
				return false
			}
		}
		for level, r := range pol.Resources {
			if !slices.Contains(levels, level) {
				if !policytest.NameMatches(r, "") {
					return false
				}
			}
		}
		return true
	}
	hit := func(items []ranger.PolicyItem) bool {
		return slices.ContainsFunc(items, func(it ranger.PolicyItem) bool {
			if !slices.ContainsFunc(it.Accesses, func(a ranger.ItemAccess) bool {
				return slices.Contains(w.Model.ImpliedBy(a.Type), strings.ToLower(string(x)))
			}) {
				return false
			}
			return p.User != "" && slices.Contains(it.Users, p.User) || slices.Contains(it.Groups, "public") ||
				slices.ContainsFunc(it.Groups, func(g string) bool { return slices.Contains(p.Groups, g) }) ||
				slices.ContainsFunc(it.Roles, func(r string) bool { return slices.Contains(p.Roles, r) })
		})
	}
	for _, priority := range []int{1, 0} {
		allow := false
		for i := range w.Snapshot.Policies {
			pol := &w.Snapshot.Policies[i]
			if pol.PolicyPriority != priority || !covers(pol) {
				continue
			}
			allowed := hit(pol.PolicyItems) && !hit(pol.AllowExceptions)
			if hit(pol.DenyPolicyItems) && !hit(pol.DenyExceptions) || pol.IsDenyAllElse && !allowed {
				return false
			}
			allow = allow || allowed
		}
		if allow {
			return true
		}
	}
	return false
}

// TestCompiledAccess holds the compiler to its rule: never wider than the policies, not even on objects to come, and
// the same wherever the report says nothing.
func TestCompiledAccess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		compiled, options, known := compileWorld(t, &w)
		for _, p := range w.Persons(w.GroupsOf) {
			if !known && p.User == "" && len(p.Groups)+len(p.Roles) > 0 {
				continue
			}
			for _, x := range policytest.ComparedPrivileges {
				for _, o := range slices.Concat(w.Listed, w.Future) {
					if policy.ActsOn[x]&policy.ClassOf(o) == 0 || !policy.Supports(o.Type, o.Kind, x) {
						continue
					}
					want, got := oracle(&w, p, x, o), policytest.Effective(compiled.Grants, p.Principals(), x, o)
					if got && !want {
						t.Fatalf("wider: %s has %s on %s\n%s", p.Name, x, o, policytest.Dump(&w, compiled.Grants, compiled.Report))
					}
					if p.User == "" && slices.Contains(options.Deny, DenyExpand) {
						continue // a group written out member by member is exact for the members of today
					}
					if want && !got && compiled.Report.Exact() && slices.Contains(w.Listed, o) {
						t.Fatalf("narrower, though the report says exact: %s lacks %s on %s\n%s", p.Name, x, o, policytest.Dump(&w, compiled.Grants, compiled.Report))
					}
				}
			}
		}
	})
}

// TestCompiledSmallest: there is no grant without which everybody has the same access.
func TestCompiledSmallest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		compiled, _, _ := compileWorld(t, &w)
		if slices.ContainsFunc(compiled.Report.Findings, func(f policy.Finding) bool { return f.Privilege.IsUse() }) {
			return // a policy denies the way: what is granted behind it confers nothing, and is kept
		}
		persons := w.Persons(nil) // what is not known implies nothing
		if w.Snapshot.Users != nil {
			persons = w.Persons(w.GroupsOf)
		}
		for g := range compiled.Grants.All() {
			rest := compiled.Grants.Clone()
			rest.Set(g.Securable, slices.DeleteFunc(slices.Clone(rest.Of(g.Securable)), func(a policy.Assignment) bool {
				return a == policy.Assignment{Principal: g.Principal, Privilege: g.Privilege}
			}))
			if !loses(&w, persons, compiled.Grants, rest, g) {
				t.Fatalf("without %v nobody loses anything\n%s", g, policytest.Dump(&w, compiled.Grants, compiled.Report))
			}
		}
	})
}

func loses(w *policytest.World, persons []policytest.Person, before, after *policy.GrantSet, g policy.Grant) bool {
	for _, p := range persons {
		who := p.Principals()
		if !slices.Contains(who, g.Principal) {
			continue
		}
		for _, o := range slices.Concat(w.Listed, w.Future) {
			if !g.Securable.Contains(o.Securable) {
				continue
			}
			for x := range policy.AllPrivilegeSet.All() {
				if policytest.Effective(before, who, x, o) && !policytest.Effective(after, who, x, o) {
					return true
				}
			}
		}
	}
	return false
}

// TestOracleAgreesWithEvaluator ties the compiler's rule to Ranger's: what the oracle says, which the compiler is held
// to, is what the evaluator decides. Columns are left to the oracle: the evaluator, policytest.Asked about a table as a whole,
// says nothing of them.
func TestOracleAgreesWithEvaluator(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		e := evaluate.New(policytest.Rules(w.Snapshot, rules.NameMapping{}))
		for _, p := range w.Persons(w.GroupsOf) {
			for _, o := range slices.Concat(w.Listed, w.Future) {
				var resource match.Resource
				leaf := map[policy.ObjectClass]string{policy.ClassTable: "table", policy.ClassFunction: "function", policy.ClassModel: "model", policy.ClassVolume: "volume"}[policy.ClassOf(o)]
				for i, name := range o.Names() {
					resource = append(resource, match.Element{Name: []string{"catalog", "schema", leaf}[i], Value: name})
				}
				for _, x := range policytest.ComparedPrivileges {
					if policy.ActsOn[x]&policy.ClassOf(o) == 0 {
						continue
					}
					d := e.Evaluate(evaluate.Request{
						Resource: resource, AccessType: strings.ToLower(string(x)),
						User: p.User, Groups: append([]string{}, p.Groups...), Roles: append([]string{}, p.Roles...),
					})
					if want := oracle(&w, p, x, o); d.Allowed() != want {
						t.Fatalf("%s %s on %s: evaluator %v (%s), oracle %v\n%s", p.Name, x, o, d.Allowed(), d, want, policytest.Dump(&w, nil, &policy.Report{}))
					}
				}
			}
		}
	})
}

// TestMembersToCome: everybody who is in g2 today is allowed by name. Who comes into it is in both roles, and so excepted.
// Seed 12981563606387797751 of TestCompiledAccess.
func TestMembersToCome(t *testing.T) {
	for _, inner := range []ranger.Role{{}, {Name: "r3", Groups: []ranger.RoleMember{{Name: "g2"}}}} {
		roles := ranger.PolicyItem{Roles: []string{"r1"}, Accesses: []ranger.ItemAccess{{Type: "select"}}}
		except := ranger.PolicyItem{Roles: []string{"r2"}, Accesses: roles.Accesses}
		byName := ranger.Policy{PolicyPriority: 1, Resources: policytest.Resources(allTables), PolicyItems: []ranger.PolicyItem{{Users: []string{"u3"}, Accesses: roles.Accesses}}}
		w := keptWorld(byName, ranger.Policy{Resources: policytest.Resources(allTables), PolicyItems: []ranger.PolicyItem{roles}, AllowExceptions: []ranger.PolicyItem{except}})
		for i, users := range [][]ranger.RoleMember{nil, {{Name: "u1"}}} {
			w.Roles[i] = ranger.Role{Name: w.Roles[i].Name, Users: users, Groups: []ranger.RoleMember{{Name: "g2"}}}
			if inner.Name != "" {
				w.Roles[i].Groups, w.Roles[i].Roles = nil, []ranger.RoleMember{{Name: inner.Name}}
			}
		}
		w.Snapshot.Roles = append(w.Roles, inner)
		w.Snapshot.Users = &ranger.UserStore{UserGroupMapping: w.GroupsOf}
		table := policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "c1.s1.t1"}}
		for _, strategy := range []DenyStrategy{DenyWithhold, DenyExpand} {
			compiled := compileOf(w.Snapshot, policy.NewInventory(w.Listed...), Options{Deny: []DenyStrategy{strategy}}, policytest.Names)
			somebody := policytest.Person{Groups: []string{"g2"}, Roles: []string{"r1", "r2"}}
			if policytest.Effective(compiled.Grants, somebody.Principals(), policy.Select, table) {
				t.Errorf("%s: somebody in g2 reads %s\n%s", strategy, table, policytest.Dump(&w, compiled.Grants, compiled.Report))
			}
			u3 := policytest.Person{User: "u3", Groups: []string{"g2"}, Roles: []string{"r1", "r2"}}
			if !policytest.Effective(compiled.Grants, u3.Principals(), policy.Select, table) {
				t.Errorf("%s: u3 does not read %s\n%s", strategy, table, policytest.Dump(&w, compiled.Grants, compiled.Report))
			}
		}
	}
}
