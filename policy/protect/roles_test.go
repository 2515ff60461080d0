package protect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/judge"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// readable lets groups, users and everybody read the table.
func readable(groups, users string) ranger.Policy {
	return ranger.Policy{ID: 90, Name: "read", Resources: policytest.Resources("catalog=c schema=s table=*"), PolicyItems: []ranger.PolicyItem{item(groups, users)}}
}

// Whom an item binds cannot walk past it in the role of a group, be it one of policies or, where everybody may read, any.
func TestRoles(t *testing.T) {
	three := []map[string]any{region("EU", 1), region("US", 2), region("EU", 3)}
	filtered, masked := filters(1, 0, filter("eu", "", "n > 2")), masks(2, "region", mask("eu", "MASK", ""))
	for name, c := range map[string]struct {
		policies []ranger.Policy
		options  Options
		rows     map[string]int // by group in whose role somebody acts
		value    map[string]any
	}{
		"granted": {[]ranger.Policy{readable("staff us", ""), filtered, masked}, Options{},
			map[string]int{"staff": 0, "us": 3, "eu": 1, "others": 3}, map[string]any{"staff": nil, "us": "EU", "eu": "XX"}},
		"everybody": {[]ranger.Policy{readable("public", ""), filtered, masked}, Options{},
			map[string]int{"staff": 0, "us": 3, "eu": 1}, map[string]any{"staff": nil, "us": "EU", "eu": "XX"}},
		"later items": {[]ranger.Policy{readable("staff", ""), filters(1, 0, filter("eu", "", "n > 2"), filter("staff", "", "n > 1"))}, Options{},
			map[string]int{"staff": 0, "eu": 1}, nil},
		"named before": {[]ranger.Policy{readable("staff", ""), filters(1, 0, filter("staff", "", "n > 1"), filter("eu", "", "n > 2"))}, Options{Within: nestedIn(nil)},
			map[string]int{"staff": 2, "eu": 1}, nil},
		"shown before": {[]ranger.Policy{readable("staff", ""), filters(1, 0, filter("", "ana", ""), filter("eu", "", "n > 2"))}, Options{},
			map[string]int{"staff": 0, "eu": 1}, nil},
		"a missing column": {[]ranger.Policy{readable("staff us", ""), masks(2, "emial", mask("eu", "MASK", ""))}, Options{},
			map[string]int{"staff": 0, "us": 3, "eu": 0}, nil},
		"known to the workspace": {[]ranger.Policy{readable("public", ""), filtered, masked}, Options{
			Groups:  []policy.Principal{policy.NewPrincipal(policy.Group, "night"), policy.NewPrincipal(policy.Group, "day"), policy.NewPrincipal(policy.Group, "dusk")},
			Members: workspaceOf(map[string][]string{"night": {"ana", "bob"}, "day": {"bob"}, "eu": {"ana"}, "us": {"bob"}, "staff": {"ana", "bob"}}),
		}, map[string]int{"night": 0, "day": 3, "dusk": 0}, map[string]any{"night": nil, "day": "EU", "dusk": nil}},
	} {
		p := newProtector(t, c.options, c.policies...)
		d := p.Compile(testTable(), nil)
		if d.Closed != "" {
			t.Errorf("%s: closed: %s", name, d.Closed)
			continue
		}
		for group, want := range c.rows {
			if got := rows(t, d, session{user: group}, three...); len(got) != want {
				t.Errorf("%s: in the role of %s rows %v are seen, want %d, by\n%s", name, group, got, want, d.Functions[0].Body)
			}
		}
		for group, want := range c.value {
			if got := value(t, d, "region", session{user: group}, three[0]); got != want {
				t.Errorf("%s: in the role of %s %v is seen, want %v", name, group, got, want)
			}
		}
		for _, user := range []string{"ana", "bob", "cy"} {
			plain := newProtector(t, Options{}, c.policies[1:]...).Compile(testTable(), nil) // nobody may read it, so in no role
			if got, want := rows(t, d, sessionOf(user), three...), rows(t, plain, sessionOf(user), three...); !slices.Equal(got, want) {
				t.Errorf("%s: %s sees rows %v, want %v", name, user, got, want)
			}
		}
	}
}

// nestedIn is a workspace's knowledge of which groups are in groups; of others there are none.
func nestedIn(of map[string][]string) func(policy.Principal) ([]policy.Principal, bool) {
	return func(group policy.Principal) (groups []policy.Principal, all bool) {
		for _, name := range of[group.Name] {
			groups = append(groups, policy.NewPrincipal(policy.Group, name))
		}
		return groups, true
	}
}

// Whom an item or a deny binds cannot walk past it in the role of a group that is in one that may read, by the workspace, the roles of
// policies or, where nobody knows which are, any that is known.
func TestNestedRoles(t *testing.T) {
	three := []map[string]any{region("EU", 1), region("US", 2), region("EU", 3)}
	read, filtered, masked := readable("staff", ""), filters(1, 0, filter("", "dan", "n > 2")), masks(2, "region", ranger.DataMaskPolicyItem{PolicyItem: item("", "dan"), DataMaskInfo: ranger.DataMaskInfo{DataMaskType: "MASK"}})
	members := workspaceOf(map[string][]string{"staff": {"ana", "bob", "dan"}, "inner": {"dan"}, "inmost": {"dan"}, "other": {"bob"}})
	nested := nestedIn(map[string][]string{"staff": {"inner", "inmost", "other"}})
	group := func(name string) policy.Principal { return policy.NewPrincipal(policy.Group, name) }
	unlisted := func(policy.Principal) ([]policy.Principal, bool) { return nil, false }
	for name, c := range map[string]struct {
		options Options
		roles   []ranger.Role
		users   *ranger.UserStore
		rows    map[string]int // by group in whose role somebody acts
	}{
		"by the workspace": {options: Options{Members: members, Within: nested}, rows: map[string]int{"staff": 0, "inner": 0, "inmost": 0, "other": 3}},
		"by the workspace, too many to name": {options: Options{Members: members, Within: nested, MaxNamed: 2},
			rows: map[string]int{"staff": 0, "inner": 0, "inmost": 0, "other": 0}},
		"not known": {options: Options{Members: members, Within: unlisted, Groups: []policy.Principal{group("inner"), group("inmost"), group("other")}},
			rows: map[string]int{"staff": 0, "inner": 0, "inmost": 0, "other": 3}},
		"not known, by the user store": {users: &ranger.UserStore{UserGroupMapping: map[string][]string{"dan": {"staff", "inner"}, "bob": {"staff", "other"}}},
			rows: map[string]int{"staff": 0, "inner": 0, "other": 3}},
		"by a role of policies": {options: Options{Members: members, Within: nestedIn(nil)},
			roles: []ranger.Role{{Name: "staff", Roles: []ranger.RoleMember{{Name: "middle"}}}, {Name: "middle", Groups: []ranger.RoleMember{{Name: "inner"}}}},
			rows:  map[string]int{"staff": 0, "inner": 0}},
	} {
		snapshot := &ranger.Snapshot{Policies: []ranger.Policy{read, filtered, masked}, Roles: c.roles, Users: c.users}
		if c.roles != nil {
			snapshot.Policies[0] = ranger.Policy{ID: 90, Name: "read", Resources: read.Resources, PolicyItems: []ranger.PolicyItem{{Accesses: read.PolicyItems[0].Accesses, Roles: []string{"staff"}}}}
		}
		set, err := rules.New(snapshot, rules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c.options.Schema = "p"
		d := New(set, c.options).Compile(testTable(), nil)
		if d.Closed != "" {
			t.Errorf("%s: closed: %s", name, d.Closed)
			continue
		}
		for role, want := range c.rows {
			who := session{role, []string{"staff"}}
			if got := rows(t, d, who, three...); len(got) != want {
				t.Errorf("%s: in the role of %s rows %v are seen, want %d, by\n%s", name, role, got, want, d.Functions[0].Body)
			}
			if got := value(t, d, "region", who, three[0]); (got == "EU") != (want == 3) {
				t.Errorf("%s: in the role of %s %v is seen", name, role, got)
			}
		}
		if said := strings.Contains(fmt.Sprint(d.Findings), "is not known, so every group"); said != strings.HasPrefix(name, "not known") {
			t.Errorf("%s: the findings are %v", name, d.Findings)
		}
	}

	dan := func(set *rules.RuleSet) rules.SubjectSet {
		return rules.SubjectSet{set.Subjects.ID(rules.SubjectUser, "dan")}
	}
	for name, granted := range map[string]string{"a deny": "staff", "a deny where everybody may read": "public"} {
		set, err := rules.New(&ranger.Snapshot{Policies: []ranger.Policy{readable(granted, ""), filtered}}, rules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := New(set, Options{Schema: "p", Members: members, Within: nested, Groups: []policy.Principal{group("inner"), group("inmost"), group("other")}})
		of := &rules.Policy{Source: &ranger.Policy{ID: 7}}
		roles := rules.SubjectSet{rules.Everyone}
		if granted != "public" {
			roles[0] = set.Subjects.ID(rules.SubjectGroup, granted)
		}
		d := p.Compile(testTable(), &judge.Denials{Rules: []judge.DenyRule{{Policy: of, Who: dan(set)}}, Roles: roles})
		for role, want := range map[string]int{"inner": 0, "inmost": 0, "other": 3} {
			if got := rows(t, d, session{role, []string{"staff"}}, three...); len(got) != want {
				t.Errorf("%s: in the role of %s rows %v are seen, want %d, by\n%s", name, role, got, want, d.Functions[0].Body)
			}
		}
		said := slices.ContainsFunc(d.Findings, func(f policy.Finding) bool {
			return f.PolicyID == 7 && f.Effect == policy.EffectNone && f.Securable == testTable().Securable && strings.Contains(f.Message, "no row to sessions in the role of inmost, inner: groups in one")
		})
		if !said {
			t.Errorf("%s: the findings are %v", name, d.Findings)
		}
	}
}

// Where protection is closed else, those see rows whom policies allow to read, as persons; nobody does in the role of a group, be it in one
// that may.
func TestElseClosed(t *testing.T) {
	three := []map[string]any{region("EU", 1), region("US", 2), region("EU", 3)}
	for name, p := range map[string]ranger.Policy{"filter": filters(1, 0, filter("eu", "", "n > 2")), "mask": masks(2, "region", mask("eu", "MASK", ""))} {
		d := newProtector(t, Options{ElseClosed: true}, readable("staff us", "cy@x"), p).Compile(testTable(), nil)
		inEU := map[string]int{"filter": 1, "mask": 0}[name]
		for _, c := range []struct {
			who  session
			want int
		}{
			{session{user: "staff"}, 0}, {session{user: "us"}, 0}, {session{user: "others"}, 0}, {session{"nested", []string{"staff"}}, 0}, {session{user: "eu"}, inEU},
			{session{user: "cy@x"}, 3}, {session{"bob@x", []string{"staff"}}, 3}, {session{"0a1b2c3d-0000-1111-2222-333344445555", []string{"us"}}, 3}, {session{user: "dan@x"}, 0},
		} {
			if got := rows(t, d, c.who, three...); len(got) != c.want {
				t.Errorf("%s: %+v sees rows %v, want %d, by\n%s", name, c.who, got, c.want, d.Functions[0].Body)
			}
		}
	}
}

// workspaceOf returns what a workspace knows of groups; it knows nothing of others.
func workspaceOf(of map[string][]string) func(policy.Principal) ([]string, bool) {
	return func(group policy.Principal) ([]string, bool) {
		list, ok := of[group.Name]
		return list, ok
	}
}

// What binds a group binds those who are known to be in it also once it has another name, unless they are too many.
func TestRenamedGroup(t *testing.T) {
	for most, seen := range map[int]int{0: 2, 1: 2, 2: 1, 100: 1} {
		p := newProtector(t, Options{NameMembers: most, Members: workspaceOf(map[string][]string{"eu": {"ana", "Dan"}})}, filters(1, 0, filter("eu", "", "n > 1")), masks(2, "region", mask("eu", "MASK_NULL", "")))
		d := p.Compile(testTable(), nil)
		for _, user := range []string{"ana", "dan"} {
			who := session{user: user, groups: []string{"renamed"}}
			if got := rows(t, d, who, region("EU", 1), region("EU", 2)); len(got) != seen {
				t.Errorf("with up to %d members named %s sees rows %v, want %d", most, user, got, seen)
			}
			if got := value(t, d, "region", who, region("EU", 1)); (got == nil) != (seen == 1) {
				t.Errorf("with up to %d members named %s sees %v", most, user, got)
			}
		}
	}
	// Whom an item shows more is not named: who left the group would go on seeing it.
	p := newProtector(t, Options{NameMembers: 9}, filters(1, 0, filter("eu", "", ""), filter("public", "", "n > 1")))
	if got := rows(t, p.Compile(testTable(), nil), session{user: "ana"}, region("EU", 1)); got != nil {
		t.Errorf("who left a group that sees all rows sees rows %v", got)
	}
}

// A function stays while it names nine in ten of the members of its groups; who left a group is named no longer.
func TestJoined(t *testing.T) {
	members := func(n int, more ...string) []string {
		list := more
		for i := range n {
			list = append(list, fmt.Sprintf("u%02d@x", i))
		}
		return list
	}
	compile := func(table policy.TableState, of []string, functions ...policy.SQLFunction) Desired {
		p := newProtector(t, Options{NameMembers: 100, Members: workspaceOf(map[string][]string{"eu": of})}, filters(1, 0, filter("eu", "", "n > 1")), masks(2, "region", mask("eu", "MASK_NULL", "")))
		byName := make(map[string]policy.SQLFunction)
		for _, f := range functions {
			byName[f.Name] = f
		}
		return p.CompileOver(table, nil, byName)
	}
	first := compile(testTable(), members(20))
	table := testTable()
	table.Protection = first.Protection
	for _, c := range []struct {
		what  string
		of    []string
		stays bool
	}{
		{"nobody", members(20), true}, {"one joined", members(20, "a@x"), true}, {"two joined", members(20, "a@x", "b@x"), true},
		{"three joined", members(20, "a@x", "b@x", "c@x"), false}, {"one left", members(19), false}, {"one left, one joined", members(19, "a@x"), false},
	} {
		d := compile(table, c.of, first.Functions...)
		for i, f := range first.Functions {
			if got := d.Functions[i].Name == f.Name && d.Functions[i].Body == f.Body; got != c.stays {
				t.Errorf("%s: %s stays: %v, want %v", c.what, f.Name, got, c.stays)
			}
		}
	}
	// What else changes makes another function, which names all.
	p := newProtector(t, Options{NameMembers: 100, Members: workspaceOf(map[string][]string{"eu": members(20, "joined@x")})}, filters(1, 0, filter("eu", "", "n > 2")))
	d := p.CompileOver(table, nil, map[string]policy.SQLFunction{first.Functions[0].Name: first.Functions[0]})
	if !strings.Contains(d.Functions[0].Body, "'joined@x'") {
		t.Errorf("a changed filter is %s", d.Functions[0].Body)
	}
	// Whom a changed function does not name in truth is judged by what it says, not by its name.
	lies := first.Functions[0]
	lies.Body = "TRUE"
	if d := compile(table, members(20, "a@x"), lies); d.Functions[0].Name == lies.Name {
		t.Errorf("a function changed by hand stays: %+v", d.Functions[0])
	}
}
