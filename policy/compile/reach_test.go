package compile

import (
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/directory"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// TestReach holds that a grant to a group counts as reaching whom the workspace has in it, besides whom the user store has; where the store
// says nothing, the workspace does.
func TestReach(t *testing.T) {
	entry := func(id string, kind policy.PrincipalKind, name string, members ...string) directory.Entry {
		return directory.Entry{ID: id, Kind: kind, Name: name, Members: append([]string{}, members...)}
	}
	workplace := directory.New(directory.Listing{Entries: []directory.Entry{
		entry("1", policy.User, "dan@x"), entry("2", policy.User, "fay@x"), entry("3", policy.User, "gus@x"), entry("4", policy.User, "new@x"), entry("5", policy.User, "eve@x"),
		entry("10", policy.Group, "managers", "1", "11"), entry("11", policy.Group, "inner", "2", "4"), entry("12", policy.Group, "oneil"),
		entry("13", policy.Group, "temps", "2"), entry("14", policy.Group, "unseen", "4"), entry("15", policy.Group, "others", "3"),
	}})
	item := func(users, groups string) []ranger.PolicyItem {
		return []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "select"}}, Users: strings.Fields(users), Groups: strings.Fields(groups)}}
	}
	store := map[string][]string{"fay@x": {"oneil"}, "dan@x": {"managers"}, "gus@x": {"others"}, "eve@x": {"temps"}}
	for name, c := range map[string]struct {
		allow, deny []ranger.PolicyItem
		store       map[string][]string
		granted     string
		denied      string // by a filter instead, the roles that see no row besides
		says        string
	}{
		"a user who is in it there alone":            {allow: item("", "managers"), deny: item("fay@x", ""), store: store, denied: "group managers", says: "group managers is allowed SELECT but includes user fay@x"},
		"a user who is in it nowhere":                {allow: item("", "managers"), deny: item("gus@x", ""), store: store, granted: "managers"},
		"a user who is in it by the store alone":     {allow: item("", "oneil"), deny: item("fay@x", ""), store: store, denied: "group oneil"},
		"without a store, in it":                     {allow: item("", "managers"), deny: item("fay@x", ""), denied: "group managers"},
		"without a store, in another":                {allow: item("", "managers"), deny: item("gus@x", ""), granted: "managers"},
		"without a store, one whom nobody lists":     {allow: item("", "managers"), deny: item("hal@x", ""), denied: "group managers"},
		"a group whose member is in it there":        {allow: item("", "managers"), deny: item("", "temps"), store: store, denied: "group managers"},
		"a group whose member no policy knows":       {allow: item("", "managers"), deny: item("", "unseen"), denied: "group managers"},
		"a group that nobody of it is in":            {allow: item("", "managers"), deny: item("", "others"), granted: "managers"},
		"a user who is in a denied group there":      {allow: item("fay@x", ""), deny: item("", "temps"), store: store, says: "user fay@x is allowed SELECT but is in group temps"},
		"a user who is in no denied group, no store": {allow: item("gus@x", ""), deny: item("", "temps"), granted: "gus@x"},
	} {
		s := &ranger.Snapshot{Policies: []ranger.Policy{{ID: 1, Name: "p", Resources: policytest.Resources("catalog=c schema=s table=t"), PolicyItems: c.allow, DenyPolicyItems: c.deny}}}
		if c.store != nil {
			s.Users = &ranger.UserStore{UserGroupMapping: c.store}
		}
		table := policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "c.s.t"}}
		inventory := policy.NewInventory(policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: "c"}}, policy.Object{Securable: policy.Securable{Type: policy.Schema, FullName: "c.s"}}, table)
		result := compileOf(s, inventory, Options{SkipUse: true, Directory: workplace}, rules.NameMapping{})
		var granted []string
		for g := range result.Grants.All() {
			granted = append(granted, g.Principal.Name)
		}
		if got := strings.Join(granted, " "); got != c.granted {
			t.Errorf("%s: granted to %q, want %q", name, got, c.granted)
		}
		if c.says != "" && !slices.ContainsFunc(result.Report.Findings, func(f policy.Finding) bool { return strings.Contains(f.Message, c.says) }) {
			t.Errorf("%s: nothing says %q: %v", name, c.says, result.Report.Findings)
		}
		set := policytest.Rules(s, rules.NameMapping{})
		compiler := New(set, Options{SkipUse: true, Directory: workplace, Deny: []DenyStrategy{DenyFilter}, Protects: true})
		var roles []string
		if d := compiler.Denied(inventory)[table.Securable]; d != nil {
			for _, id := range d.Roles {
				roles = append(roles, set.Subjects.Of(id).String())
			}
		}
		if got := strings.Join(roles, " "); got != c.denied {
			t.Errorf("%s: a filter is to bind the roles %q, want %q", name, got, c.denied)
		}
	}
}

// TestFingerprintOfReach: what the workspace says of who is in groups decides grants where policies deny, and so tells compilers apart.
func TestFingerprintOfReach(t *testing.T) {
	of := func(deny bool, members ...string) string {
		list := directory.Listing{Entries: []directory.Entry{{ID: "1", Kind: policy.User, Name: "fay@x"}, {ID: "2", Kind: policy.User, Name: "dan@x"}, {ID: "3", Kind: policy.Group, Name: "g", Members: members}}}
		who := []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "select"}}, Groups: []string{"g"}}}
		p := ranger.Policy{ID: 1, Name: "p", Resources: policytest.Resources("catalog=c schema=s table=t"), PolicyItems: who}
		if deny {
			p.DenyPolicyItems = []ranger.PolicyItem{{Accesses: who[0].Accesses, Users: []string{"fay@x"}}}
		}
		return New(policytest.Rules(&ranger.Snapshot{Policies: []ranger.Policy{p}}, rules.NameMapping{}), Options{Directory: directory.New(list)}).Fingerprint("c")
	}
	if of(true, "1") == of(true, "2") {
		t.Error("whom a grant reaches whom policies deny makes no difference")
	}
	if of(true, "1") != of(true, "1", "2") {
		t.Error("who comes into a granted group and is denied nothing makes a difference")
	}
	if of(false, "1") != of(false, "2") {
		t.Error("who is in a group makes a difference where nobody is denied")
	}
}

// TestWhoDeniesIsNamed: where a group is not granted what it is allowed because of who is in it, the report names the policy, also where a
// role stands against it whose group is spelt otherwise.
func TestWhoDeniesIsNamed(t *testing.T) {
	for _, deny := range [][]DenyStrategy{nil, {DenyIgnore}} {
		s := &ranger.Snapshot{
			Policies: []ranger.Policy{
				{ID: 1, Name: "allow", Resources: policytest.Resources("catalog=c schema=s table=*"), PolicyItems: []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "select"}}, Groups: []string{"managers"}}}},
				{ID: 2, Name: "deny", Resources: policytest.Resources("catalog=c schema=s table=t"), DenyPolicyItems: []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "select"}}, Roles: []string{"r"}}}},
			},
			Roles: []ranger.Role{{Name: "r", Groups: []ranger.RoleMember{{Name: "Managers"}}}},
			Users: &ranger.UserStore{UserGroupMapping: map[string][]string{"dan@x": {"managers"}}},
		}
		workplace := directory.New(directory.Listing{Entries: []directory.Entry{
			{ID: "1", Kind: policy.User, Name: "dan@x", Members: []string{}}, {ID: "10", Kind: policy.Group, Name: "managers", Members: []string{"1"}},
		}})
		inventory := policy.NewInventory(policy.Object{Securable: policy.Securable{Type: policy.Catalog, FullName: "c"}}, policy.Object{Securable: policy.Securable{Type: policy.Schema, FullName: "c.s"}},
			policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: "c.s.t"}})
		result := compileOf(s, inventory, Options{SkipUse: true, Directory: workplace, Deny: deny}, rules.NameMapping{})
		named := 0
		for _, f := range result.Report.Findings {
			if strings.Contains(f.Message, `denied it by policy 2 "deny"`) {
				named++
			} else if strings.Contains(f.Message, "denied it by") {
				t.Errorf("%v: %s", deny, f.Message)
			}
		}
		if named == 0 {
			t.Errorf("%v: no policy is named: %v", deny, result.Report.Findings)
		}
	}
}

// TestOthersInGroupsOfRoles: whoever is in a role is so by its definition. Whom the workspace has in its group besides is granted what the role
// is allowed, which the report says to widen access.
func TestOthersInGroupsOfRoles(t *testing.T) {
	users := func(names ...string) (list []ranger.RoleMember) {
		for _, n := range names {
			list = append(list, ranger.RoleMember{Name: n})
		}
		return list
	}
	workplace := directory.New(directory.Listing{Entries: []directory.Entry{
		{ID: "1", Kind: policy.User, Name: "dan@x", Members: []string{}}, {ID: "2", Kind: policy.User, Name: "fay@x", Members: []string{}}, {ID: "3", Kind: policy.User, Name: "gus@x", Members: []string{}},
		{ID: "10", Kind: policy.Group, Name: "role_r", Members: []string{"1", "11"}}, {ID: "11", Kind: policy.Group, Name: "g", Members: []string{"2"}},
	}})
	for name, c := range map[string]struct {
		role   *ranger.Role
		denied bool
		says   string
		effect policy.Effect
	}{
		"all of them":             {role: &ranger.Role{Name: "r", Users: users("dan@x", "fay@x")}},
		"by a group":              {role: &ranger.Role{Name: "r", Users: users("dan@x"), Groups: users("g")}},
		"and more of its own":     {role: &ranger.Role{Name: "r", Users: users("dan@x", "gus@x"), Groups: users("g")}},
		"one it does not have":    {role: &ranger.Role{Name: "r", Users: users("dan@x")}, says: `the workspace has fay@x in group "role_r"`, effect: policy.EffectWider},
		"nobody":                  {role: &ranger.Role{Name: "r"}, says: `the workspace has dan@x and 1 more in group "role_r"`, effect: policy.EffectWider},
		"denied":                  {role: &ranger.Role{Name: "r"}, denied: true, says: "dan@x and 1 more", effect: policy.EffectNone},
		"of a group nobody lists": {role: &ranger.Role{Name: "r", Groups: users("elsewhere")}},
		"no role is defined":      {},
		"another is defined":      {role: &ranger.Role{Name: "R"}, says: `none of the roles that are defined, so that nobody is in it, and group "role_r"`, effect: policy.EffectWider},
	} {
		s := &ranger.Snapshot{Policies: []ranger.Policy{{ID: 1, Name: "p", Resources: policytest.Resources("catalog=c schema=s table=t")}}}
		item := []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "select"}}, Roles: []string{"r"}}}
		if s.Policies[0].PolicyItems = item; c.denied {
			s.Policies[0].PolicyItems, s.Policies[0].DenyPolicyItems = nil, item
		}
		if c.role != nil {
			s.Roles = []ranger.Role{*c.role}
		}
		said := ""
		var effect policy.Effect
		for _, f := range New(policytest.Rules(s, rules.NameMapping{RolePrefix: "role_"}), Options{Directory: workplace}).Compile(policy.NewInventory()).Report.Findings {
			if strings.Contains(f.Message, "by which it is granted") || strings.Contains(f.Message, "of the workspace is granted") {
				said, effect = f.Message, f.Effect
			}
		}
		if (said == "") != (c.says == "") || !strings.Contains(said, c.says) || effect != c.effect {
			t.Errorf("%s: %q (%s), want %q (%s)", name, said, effect, c.says, c.effect)
		}
	}
}
