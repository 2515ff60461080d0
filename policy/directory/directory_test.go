package directory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/directory"
)

const app = "3f9d2c1e-0000-4000-8000-1a2b3c4d5e6f"

func listing() directory.Listing {
	user, group, service := policy.User, policy.Group, policy.ServicePrincipal
	return directory.Listing{
		Self: "s1", Groups: []string{"g1"},
		Entries: []directory.Entry{
			{ID: "u1", Kind: user, Name: "Ana.Lopez@acme.example", Display: "Ana Lopez"},
			{ID: "u2", Kind: user, Name: "bo@acme.example"},
			{ID: "u3", Kind: user, Name: "left@acme.example", Inactive: true},
			{ID: "u4", Kind: user, Name: "ſam@acme.example"},
			{ID: "u5", Kind: user, Name: "sam@acme.example"},
			{ID: "u6", Kind: user, Name: "both"},
			{ID: "s1", Kind: service, Name: strings.ToUpper(app), Display: "etl-loader"},
			{ID: "g1", Kind: group, Name: "connectors"},
			{ID: "g2", Kind: group, Name: "uc-operators", Members: []string{"g1"}, Parents: []string{"g3"}},
			{ID: "g3", Kind: group, Name: "Everything", Members: []string{"g2"}, Parents: []string{"g2"}},
			{ID: "g4", Kind: group, Name: "analysts", Members: []string{"u1"}},
			{ID: "g5", Kind: group, Name: "Twins"},
			{ID: "g6", Kind: group, Name: "twins"},
			{ID: "g7", Kind: group, Name: "Both"},
			{ID: "g8", Kind: group, Name: "team@acme.example"},
			{ID: "g9", Kind: group, Name: "admins", Local: true, Members: []string{"s1"}},
			{ID: "g10", Kind: group, Name: "doubled", Local: true},
			{ID: "g11", Kind: group, Name: "doubled"},
		},
	}
}

// TestResolve holds what a name in a policy means in the workspace: one of its own kind, or nobody, with the reason.
func TestResolve(t *testing.T) {
	d := directory.New(listing())
	for _, tt := range []struct {
		kind     policy.PrincipalKind
		name     string
		want     string // kind and name where it resolves
		withheld string // part of why it gets nothing
		note     string // part of what else is said
		listed   bool
	}{
		{kind: policy.User, name: "ana.lopez@ACME.example", want: "user ana.lopez@acme.example", listed: true},
		{kind: policy.User, name: " Bo@acme.example\u00a0", want: "user bo@acme.example", listed: true},
		{kind: policy.Group, name: " analysts", want: "group analysts", note: "case or blanks", listed: true},
		{kind: policy.User, name: "etl-loader", withheld: "no user or service principal"},
		{kind: policy.User, name: app, want: "service_principal " + app, listed: true},
		{kind: policy.User, name: "left@acme.example", withheld: "deactivated", listed: true},
		{kind: policy.User, name: "sam@acme.example", withheld: `user "ſam@acme.example" and user "sam@acme.example"`},
		{kind: policy.User, name: "analysts", withheld: `only group "analysts"`},
		{kind: policy.User, name: "both", withheld: `user "both" and group "Both"`},
		{kind: policy.User, name: "team@acme.example", withheld: `only group "team@acme.example"`},
		{kind: policy.User, name: "nobody", withheld: "no user or service principal"},
		{kind: policy.User, name: "new@acme.example", want: "user new@acme.example", note: "does not list it"},
		{kind: policy.Group, name: "analysts", want: "group analysts", listed: true},
		{kind: policy.Group, name: "ANALYSTS", want: "group analysts", note: `taken for the group "analysts"`, listed: true},
		{kind: policy.Group, name: "Twins", want: "group Twins", listed: true},
		{kind: policy.Group, name: "TWINS", withheld: `group "Twins" and group "twins"`},
		{kind: policy.Group, name: "Both", withheld: "would not tell them apart"},
		{kind: policy.Group, name: "bo@acme.example", withheld: `only user "bo@acme.example"`},
		{kind: policy.Group, name: "team@acme.example", want: "group team@acme.example", listed: true},
		{kind: policy.Group, name: "club@acme.example", withheld: "no group of this name"},
		{kind: policy.Group, name: "admins", withheld: "group of the workspace alone"},
		{kind: policy.Group, name: "doubled", want: "group doubled", listed: true},
		{kind: policy.Group, name: "newteam", want: "group newteam", note: "does not list it"},
		{kind: policy.Group, name: "account users", want: "group account users", listed: true},
	} {
		r := d.Resolve(policy.NewPrincipal(tt.kind, tt.name))
		got := ""
		if r.Withheld == "" {
			got = r.Principal.Kind.String() + " " + r.Principal.Name
		}
		if got != tt.want || (r.Withheld == "") != (tt.withheld == "") || !strings.Contains(r.Withheld, tt.withheld) || (r.Note == "") != (tt.note == "") ||
			!strings.Contains(r.Note, tt.note) || r.Listed != tt.listed {
			t.Errorf("%s %q: %+v, want %+v", tt.kind, tt.name, r, tt)
		}
	}
	for name, want := range map[string]string{
		"ANA.LOPEZ@acme.example": "user ana.lopez@acme.example", "analysts": "group analysts", "Analysts": "group Analysts", "both": "unknown both", "Both": "unknown Both",
		"twins": "group twins", "Twins": "group Twins", "team@acme.example": "group team@acme.example", app: "service_principal " + app, "Account Users": "group account users",
		"gone@acme.example": "user gone@acme.example", "gone": "group gone", "sam@acme.example": "unknown sam@acme.example",
	} {
		if p := d.Identify(name); p.Kind.String()+" "+p.Name != want {
			t.Errorf("a grant to %q is one to %s %q, want %s", name, p.Kind, p.Name, want)
		}
	}
	if got := d.Spelling(d.Identify("ana.lopez@acme.example")); got != "Ana.Lopez@acme.example" {
		t.Errorf("spelled %s", got)
	}
}

// TestUnread holds that without a directory the shape of a name tells its kind, and nobody is taken for another kind.
func TestUnread(t *testing.T) {
	var d directory.Directory
	for p, want := range map[policy.Principal]bool{
		policy.NewPrincipal(policy.User, "ana@x"): true, policy.NewPrincipal(policy.User, "analysts"): false, policy.NewPrincipal(policy.Group, "analysts"): true,
		policy.NewPrincipal(policy.Group, "ana@x"): false, policy.NewPrincipal(policy.Group, app): false, policy.NewPrincipal(policy.ServicePrincipal, app): true, policy.AccountUsers: true,
	} {
		if r := d.Resolve(p); (r.Withheld == "") != want || r.Principal != p || r.Note != "" {
			t.Errorf("%s %s: %+v", p.Kind, p.Name, r)
		}
	}
	if d.Identify("Ana@x") != policy.NewPrincipal(policy.User, "ana@x") || d.Identify("Analysts") != policy.NewPrincipal(policy.Group, "Analysts") {
		t.Error("the shape of a name did not tell its kind")
	}
}

// TestOwnGroups holds that our groups are found at any depth, by members or by parents, also where groups hold one another.
func TestOwnGroups(t *testing.T) {
	d := directory.New(listing())
	for name, want := range map[string]bool{"connectors": true, "uc-operators": true, "Everything": true, "admins": true, "analysts": false} {
		if d.Own(policy.NewPrincipal(policy.Group, name)) != want {
			t.Errorf("we are in %s: %t", name, !want)
		}
	}
	if !d.Own(policy.NewPrincipal(policy.ServicePrincipal, app)) || d.Own(policy.NewPrincipal(policy.User, "bo@acme.example")) {
		t.Error("we are not ourselves, or somebody else")
	}
	everybody := directory.New(directory.Listing{Self: "s1", Groups: []string{"g1"}, Entries: []directory.Entry{{ID: "g1", Kind: policy.Group, Name: "account users"}}})
	if everybody.Own(policy.AccountUsers) {
		t.Error("everybody's group is ours")
	}
}

func TestNearest(t *testing.T) {
	d := directory.New(listing())
	for p, want := range map[policy.Principal]string{
		policy.NewPrincipal(policy.User, "ana.lopes@acme.exampl"): `"Ana.Lopez@acme.example"`, policy.NewPrincipal(policy.User, "bo"): `"bo@acme.example"`,
		policy.NewPrincipal(policy.User, "etl-LOADER"): `"` + strings.ToUpper(app) + `" (service principal "etl-loader")`, policy.NewPrincipal(policy.Group, "etl-loader"): "",
		policy.NewPrincipal(policy.User, "Ana Lopez"): `"Ana.Lopez@acme.example" (user "Ana Lopez")`,
		policy.NewPrincipal(policy.Group, "analyst"):  `"analysts"`, policy.NewPrincipal(policy.Group, "ana.lopez@acme.example"): "", policy.NewPrincipal(policy.Group, "zebra"): "",
	} {
		if got := d.Nearest(p); got != want {
			t.Errorf("next to %s %q: %q, want %q", p.Kind, p.Name, got, want)
		}
	}
}

func TestSame(t *testing.T) {
	l := listing()
	d := directory.New(l)
	slices.Reverse(l.Entries)
	if !d.Same(directory.New(l)) {
		t.Error("the order of a listing counts")
	}
	for what, change := range map[string]func(*directory.Listing){
		"a name":      func(l *directory.Listing) { l.Entries[0].Name += "x" },
		"a principal": func(l *directory.Listing) { l.Entries = l.Entries[1:] },
		"activity":    func(l *directory.Listing) { l.Entries[2].Inactive = false },
		"our groups":  func(l *directory.Listing) { l.Groups = nil },
	} {
		l := listing()
		change(&l)
		if d.Same(directory.New(l)) {
			t.Errorf("%s changed unnoticed", what)
		}
	}
	if d.Same(&directory.Directory{}) {
		t.Error("one that was not read is the same")
	}
}

func TestGroupsOf(t *testing.T) {
	d := directory.New(listing())
	for _, c := range []struct {
		who  policy.Principal
		want []string
	}{
		{policy.NewPrincipal(policy.User, "Ana.Lopez@acme.example"), []string{"analysts"}},
		{policy.NewPrincipal(policy.User, "bo@acme.example"), nil},
		{policy.NewPrincipal(policy.Group, "connectors"), []string{"Everything", "uc-operators"}}, // which are in each other
		{policy.NewPrincipal(policy.ServicePrincipal, app), []string{"admins"}},
		{policy.NewPrincipal(policy.Group, "Connectors"), nil},
	} {
		var got []string
		for _, g := range d.GroupsOf(c.who) {
			got = append(got, g.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s is in %q, want %q", c.who.Name, got, c.want)
		}
	}
}

// Who is in a group, and which groups are, is told by what the group lists and by what those say who are in it.
func TestIn(t *testing.T) {
	group := func(id string, members []string, in ...string) directory.Entry {
		return directory.Entry{ID: id, Kind: policy.Group, Name: "G" + id, Members: members, Parents: in}
	}
	d := directory.New(directory.Listing{Entries: []directory.Entry{
		{ID: "1", Kind: policy.User, Name: "ana@x"}, {ID: "2", Kind: policy.User, Name: "ben@x", Parents: []string{"40"}},
		group("10", []string{"1", "20"}), group("20", []string{"30", "10"}), group("30", []string{}), group("40", nil), group("50", []string{"99"}), group("60", []string{}, "40", "30"),
	}})
	for name, want := range map[string]string{
		"G10": "G20 G30 G60|ana@x|true", "G20": "G10 G30 G60|ana@x|true", "G30": "G60||true", "G60": "||true", "G40": "G60|ben@x|false", "G50": "||false", "none": "||false",
	} {
		groups, all := d.GroupsIn(policy.NewPrincipal(policy.Group, name))
		var names []string
		for _, g := range groups {
			names = append(names, g.Name)
		}
		users, allUsers := d.UsersIn(policy.NewPrincipal(policy.Group, name))
		if got := fmt.Sprintf("%s|%s|%t", strings.Join(names, " "), strings.Join(users, " "), all); got != want || all != allUsers {
			t.Errorf("in %s are %s, want %s; users are all: %t", name, got, want, allUsers)
		}
	}
}
