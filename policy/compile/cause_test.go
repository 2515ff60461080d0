package compile

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// explained compiles a snapshot for objects, and returns the changes from the current grants with their causes.
func explained(s *ranger.Snapshot, o Options, current *policy.GrantSet, objects ...policy.Object) ([]policy.Change, *policy.GrantSet) {
	c := New(policytest.Rules(s, policytest.Names), o)
	inv := policy.NewInventory(objects...)
	desired := c.Compile(inv).Grants
	var read []policy.Securable
	kinds := make(map[policy.Securable]policy.Kind)
	for o := range inv.Objects {
		read = append(read, o.Securable)
		kinds[o.Securable] = o.Kind
	}
	slices.SortFunc(read, policy.Securable.Compare)
	changes, _ := policy.Diff(policy.DiffInput{Read: read, Current: current, Desired: desired})
	c.SetCauses(CauseInput{Inventory: inv, Desired: desired, Kinds: kinds}, changes)
	return changes, desired
}

func TestCauses(t *testing.T) {
	items := func(users, groups []string, accesses ...string) ranger.PolicyItem {
		item := ranger.PolicyItem{Users: users, Groups: groups}
		for _, a := range accesses {
			item.Accesses = append(item.Accesses, ranger.ItemAccess{Type: a})
		}
		return item
	}
	on := func(names ...string) map[string]ranger.PolicyResource {
		resources := make(map[string]ranger.PolicyResource)
		for i, level := range []string{"catalog", "schema", "table"}[:len(names)] {
			resources[level] = ranger.PolicyResource{Values: []string{names[i]}}
		}
		return resources
	}
	s := &ranger.Snapshot{
		Users: &ranger.UserStore{UserGroupMapping: map[string][]string{"ann": {"analysts"}, "bob": {"analysts"}, "eve": {"interns"}}},
		Policies: []ranger.Policy{
			{ID: 1, Name: "read orders", Resources: on("sales", "emea", "orders"), PolicyItems: []ranger.PolicyItem{
				items([]string{"zoe"}, nil, "modify"), items(nil, []string{"readers"}, "select"),
			}},
			{ID: 2, Name: "analysts but bob", Resources: on("sales", "emea", "leads"), PolicyItems: []ranger.PolicyItem{items(nil, []string{"analysts"}, "select")},
				DenyPolicyItems: []ranger.PolicyItem{items([]string{"bob"}, nil, "select")}},
			{ID: 3, Name: "audit", Resources: on("hr", "*", "*"), PolicyItems: []ranger.PolicyItem{items(nil, []string{"audit"}, "select")}},
			{ID: 4, Name: "only owners", Resources: on("sales", "emea", "closed"), DenyPolicyItems: []ranger.PolicyItem{items(nil, []string{"public"}, "select")}},
		},
	}
	table := func(name string) policy.Object {
		return policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: name}}
	}
	zoe, carol := policy.NewPrincipal(policy.User, "zoe"), policy.NewPrincipal(policy.User, "carol")
	analysts, audit := policy.NewPrincipal(policy.Group, "analysts"), policy.NewPrincipal(policy.Group, "audit")
	grant := func(text string, principal policy.Principal, p policy.Privilege) policy.Grant {
		at, err := policy.ParseSecurable(text)
		if err != nil {
			t.Fatal(err)
		}
		return policy.Grant{Securable: at, Principal: principal, Privilege: p}
	}
	current := policy.NewGrantSet(
		grant("table:sales.emea.orders", carol, policy.Select), grant("table:sales.emea.closed", zoe, policy.Select),
		grant("table:sales.emea.leads", analysts, policy.Select), grant("table:hr.core.people", audit, policy.Select),
		grant("schema:hr.core", audit, policy.UseSchema), grant("schema:hr.spare", zoe, policy.UseSchema),
	)
	changes, _ := explained(s, Options{Deny: []DenyStrategy{DenyExpand}}, current,
		table("sales.emea.orders"), table("sales.emea.leads"), table("sales.emea.closed"), table("hr.core.people"), table("hr.spare.x"))
	var got []string
	for _, c := range changes {
		for _, a := range c.Add {
			got = append(got, fmt.Sprintf("%s +%s %s: %s", c.Securable, a.Principal, a.Privilege, c.Causes.Of(policy.ActAdd, a)))
		}
		for _, a := range c.Remove {
			got = append(got, fmt.Sprintf("%s -%s %s: %s", c.Securable, a.Principal, a.Privilege, c.Causes.Of(policy.ActRemove, a)))
		}
	}
	slices.Sort(got)
	want := strings.Split(strings.TrimSpace(`
CATALOG:hr +audit SELECT: policy 3 "audit" policyItems[0]
CATALOG:hr +audit USE_CATALOG: required for SELECT on CATALOG:hr: policy 3 "audit" policyItems[0]
CATALOG:hr +audit USE_SCHEMA: required for SELECT on CATALOG:hr: policy 3 "audit" policyItems[0]
CATALOG:sales +ann USE_CATALOG: required for SELECT on TABLE:sales.emea.leads: policy 2 "analysts but bob" policyItems[0]
CATALOG:sales +readers USE_CATALOG: required for SELECT on TABLE:sales.emea.orders: policy 1 "read orders" policyItems[1]
CATALOG:sales +zoe USE_CATALOG: required for MODIFY on TABLE:sales.emea.orders: policy 1 "read orders" policyItems[0]
SCHEMA:hr.core -audit USE_SCHEMA: held by USE_SCHEMA to audit on CATALOG:hr
SCHEMA:hr.spare -zoe USE_SCHEMA: nothing granted below requires it
SCHEMA:sales.emea +ann USE_SCHEMA: required for SELECT on TABLE:sales.emea.leads: policy 2 "analysts but bob" policyItems[0]
SCHEMA:sales.emea +readers USE_SCHEMA: required for SELECT on TABLE:sales.emea.orders: policy 1 "read orders" policyItems[1]
SCHEMA:sales.emea +zoe USE_SCHEMA: required for MODIFY on TABLE:sales.emea.orders: policy 1 "read orders" policyItems[0]
TABLE:hr.core.people -audit SELECT: held by SELECT to audit on CATALOG:hr
TABLE:sales.emea.closed -zoe SELECT: denied by policy 4 "only owners" denyPolicyItems[0]
TABLE:sales.emea.leads +ann SELECT: policy 2 "analysts but bob" policyItems[0], as a member of group analysts
TABLE:sales.emea.leads -analysts SELECT: withheld: not everybody it reaches is allowed it, by policy 2 "analysts but bob" denyPolicyItems[0]
TABLE:sales.emea.orders +readers SELECT: policy 1 "read orders" policyItems[1]
TABLE:sales.emea.orders +zoe MODIFY: policy 1 "read orders" policyItems[0]
TABLE:sales.emea.orders -carol SELECT: no policy asks for it
`), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestCausesAreTrue checks the cause of each change in random worlds against the policies as they are written: the item
// exists, names whom it is said to, and what is said to require or to confer a grant is granted.
func TestCausesAreTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		_, o, _ := compileWorld(t, &w)
		current := &policy.GrantSet{}
		for range rapid.IntRange(0, 12).Draw(t, "current grants") {
			object := rapid.SampledFrom(w.Listed).Draw(t, "object")
			current.Add(policy.Grant{
				Securable: object.Securable, Principal: rapid.SampledFrom([]policy.Principal{
					policy.NewPrincipal(policy.User, "u1"), policy.NewPrincipal(policy.Group, "g1"), policy.NewPrincipal(policy.Group, "role_r1"),
					policy.NewPrincipal(policy.User, "nobody"),
				}).Draw(t, "principal"),
				Privilege: rapid.SampledFrom(policy.Privileges(object.Type, object.Kind)).Draw(t, "privilege"),
			})
		}
		changes, desired := explained(w.Snapshot, o, current, w.Listed...)
		for _, c := range changes {
			for _, a := range c.Add {
				checkAdded(t, w.Snapshot, desired, c.Securable, a, c.Causes.Of(policy.ActAdd, a))
			}
			for _, a := range c.Remove {
				checkRemoved(t, w.Snapshot, desired, c.Securable, a, c.Causes.Of(policy.ActRemove, a))
			}
		}
	})
}

func checkAdded(t *rapid.T, s *ranger.Snapshot, desired *policy.GrantSet, on policy.Securable, a policy.Assignment, cause policy.Cause) {
	named := namedBy(t, s, cause)
	switch cause.Kind {
	case policy.CausePolicy:
		if !slices.Contains(named, a.Principal) {
			t.Fatalf("%s +%s %s: the item names %s: %s", on, a.Principal, a.Privilege, named, cause)
		}
	case policy.CauseExpansion:
		if slices.Contains(named, a.Principal) || cause.Through == "" || len(named) == 0 {
			t.Fatalf("%s +%s %s: the item names %s: %s", on, a.Principal, a.Privilege, named, cause)
		}
	case policy.CauseUse:
		if !a.Privilege.IsUse() || !on.Contains(cause.On) || len(named) == 0 ||
			!desired.Has(policy.Grant{Securable: cause.On, Principal: cause.Principal, Privilege: cause.Privilege}) {
			if parent, ok := on.Parent(); !ok || parent != cause.On { // what the catalog grants requires USE_SCHEMA on its schemas
				t.Fatalf("%s +%s %s: %s", on, a.Principal, a.Privilege, cause)
			}
		}
	default:
		t.Fatalf("%s +%s %s has no cause: %+v", on, a.Principal, a.Privilege, cause)
	}
}

func checkRemoved(t *rapid.T, s *ranger.Snapshot, desired *policy.GrantSet, on policy.Securable, a policy.Assignment, cause policy.Cause) {
	switch cause.Kind {
	case policy.CauseDeny, policy.CauseWithheld:
		if named := namedBy(t, s, cause); len(named) == 0 && cause.Item != rules.ItemDenyAllElse.String() && cause.Item != rules.ItemUnreadable.String() {
			t.Fatalf("%s -%s %s: the item names nobody: %+v", on, a.Principal, a.Privilege, cause)
		}
	case policy.CauseImplied:
		if !cause.On.Contains(on) || !cause.Privilege.Implies(a.Privilege) ||
			!desired.Has(policy.Grant{Securable: cause.On, Principal: cause.Principal, Privilege: cause.Privilege}) {
			t.Fatalf("%s -%s %s is not %s", on, a.Principal, a.Privilege, cause)
		}
	case policy.CauseUse:
		if !a.Privilege.IsUse() {
			t.Fatalf("%s -%s %s: %s", on, a.Principal, a.Privilege, cause)
		}
	case policy.CauseDrift:
	default:
		t.Fatalf("%s -%s %s has no cause: %+v", on, a.Principal, a.Privilege, cause)
	}
}

// namedBy returns the principals whom the item of a cause names.
func namedBy(t *rapid.T, s *ranger.Snapshot, cause policy.Cause) []policy.Principal {
	list, at, _ := strings.Cut(strings.TrimSuffix(cause.Item, "]"), "[")
	for policies := range s.PolicyLists() {
		for i := range policies {
			p := &policies[i]
			if p.ID != cause.PolicyID || p.Name != cause.Policy {
				continue
			}
			var items []ranger.PolicyItem
			switch list {
			case "policyItems":
				items = p.PolicyItems
			case "denyPolicyItems":
				items = p.DenyPolicyItems
			case "allowExceptions":
				items = p.AllowExceptions
			case "dataMaskPolicyItems":
				for _, item := range p.DataMaskPolicyItems {
					items = append(items, item.PolicyItem)
				}
			case "rowFilterPolicyItems":
				for _, item := range p.RowFilterPolicyItems {
					items = append(items, item.PolicyItem)
				}
			default:
				return nil
			}
			var n int
			if _, err := fmt.Sscan(at, &n); err != nil || n >= len(items) {
				continue // another policy of the same id and name
			}
			var names []policy.Principal
			add := func(kind policy.PrincipalKind, prefix string, list []string) {
				for _, name := range list {
					if name == "{USER}" || name == "public" {
						names = append(names, policy.AccountUsers)
					} else {
						names = append(names, policy.NewPrincipal(kind, prefix+name))
					}
				}
			}
			add(policy.User, "", items[n].Users)
			add(policy.Group, "", items[n].Groups)
			add(policy.Group, "role_", items[n].Roles)
			if len(names) > 0 {
				return names
			}
		}
	}
	return nil
}
