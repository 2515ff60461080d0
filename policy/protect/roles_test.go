package protect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
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
		"named before": {[]ranger.Policy{readable("staff", ""), filters(1, 0, filter("staff", "", "n > 1"), filter("eu", "", "n > 2"))}, Options{},
			map[string]int{"staff": 2, "eu": 1}, nil},
		"shown before": {[]ranger.Policy{readable("staff", ""), filters(1, 0, filter("", "ana", ""), filter("eu", "", "n > 2"))}, Options{},
			map[string]int{"staff": 0, "eu": 1}, nil},
		"a missing column": {[]ranger.Policy{readable("staff us", ""), masks(2, "emial", mask("eu", "MASK", ""))}, Options{},
			map[string]int{"staff": 0, "us": 3, "eu": 0}, nil},
		"else closed": {[]ranger.Policy{readable("staff us", "cy"), filtered}, Options{ElseClosed: true},
			map[string]int{"staff": 0, "us": 0, "others": 0, "eu": 1, "cy": 3}, nil},
		"else closed of masks": {[]ranger.Policy{readable("staff us", "cy"), masked}, Options{ElseClosed: true},
			map[string]int{"staff": 0, "us": 0, "others": 0, "eu": 0, "cy": 3}, nil},
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
			if got, want := rows(t, d, sessionOf(user), three...), rows(t, plain, sessionOf(user), three...); !slices.Equal(got, want) && !(c.options.ElseClosed && user == "cy") {
				t.Errorf("%s: %s sees rows %v, want %v", name, user, got, want)
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
