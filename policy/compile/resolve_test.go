package compile

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/accepted"
	"ucwarden/policy/directory"
	"ucwarden/policy/parse"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

const application = "3f9d2c1e-0000-4000-8000-1a2b3c4d5e6f"

func workplace() *directory.Directory {
	entry := func(kind policy.PrincipalKind, id, name string) directory.Entry {
		return directory.Entry{ID: id, Kind: kind, Name: name}
	}
	loader, left, local := entry(policy.ServicePrincipal, "s1", strings.ToUpper(application)), entry(policy.User, "u5", "left@acme.example"), entry(policy.Group, "g5", "admins")
	loader.Display, left.Inactive, local.Local = "etl-loader", true, true
	return directory.New(directory.Listing{Entries: []directory.Entry{
		loader, left, local,
		entry(policy.User, "u1", "Ana.Lopez@acme.example"), entry(policy.User, "u2", "ian@acme.example"), entry(policy.User, "u3", "shared"),
		entry(policy.User, "u4", "STRASSE@acme.example"),
		entry(policy.Group, "g1", "analysts"), entry(policy.Group, "g2", "Shared"), entry(policy.Group, "g3", "Twins"), entry(policy.Group, "g4", "twins"),
		entry(policy.Group, "g6", "team@acme.example"), entry(policy.Group, "g7", "etl-loader"), entry(policy.Group, "g8", `the "A" team`),
	}})
}

// TestResolve holds whom policies grant something to in a workspace: a principal of the kind that the item names, or nobody,
// and then the report names who was meant and who may be.
func TestResolve(t *testing.T) {
	item := func(who string) string { return `{` + who + `,"accesses":[{"type":"select"}]}` }
	allow := func(who string) string { return `"policyItems":[` + item(who) + `]` }
	allowDeny := func(who, denied string) string { return allow(who) + `,"denyPolicyItems":[` + item(denied) + `]` }
	for name, tt := range map[string]struct {
		items string
		roles []ranger.Role
		want  string // kind and name of the only one who is granted something
		says  string // in a finding
	}{
		"user in another case":              {items: allow(`"users":["ANA.LOPEZ@acme.example"]`), want: "user ana.lopez@acme.example"},
		"user with a blank behind":          {items: allow(`"users":["ana.lopez@acme.example "]`), want: "user ana.lopez@acme.example", says: `is taken for "ana.lopez@acme.example"`},
		"user denied with a blank behind":   {items: allowDeny(`"users":["ana.lopez@acme.example"]`, `"users":["Ana.Lopez@acme.example "]`), says: `is taken for`},
		"user named like a group":           {items: allow(`"users":["analysts"]`), says: `granted nothing: the workspace has no user or service principal of this name, only group "analysts"`},
		"user named like a group of e-mail": {items: allow(`"users":["team@acme.example"]`), says: `only group "team@acme.example"`},
		"name of two kinds, of the user":    {items: allow(`"users":["shared"]`), says: `user "shared" and group "Shared"`},
		"name of two kinds, of the group":   {items: allow(`"groups":["Shared"]`), says: `user "shared" and group "Shared"`},
		"application id":                    {items: allow(`"users":["` + application + `"]`), want: "service_principal " + application},
		"application id in capitals":        {items: allow(`"users":["` + strings.ToUpper(application) + `"]`), want: "service_principal " + application},
		"service principal by display name": {items: allow(`"users":["etl-loader"]`), says: `did you mean "3F9D2C1E-0000-4000-8000-1A2B3C4D5E6F" (service principal "etl-loader")?`},
		"group of that name":                {items: allow(`"groups":["etl-loader"]`), want: "group etl-loader"},
		"group named by an application id":  {items: allow(`"groups":["` + application + `"]`), says: "only service principal"},
		"user beside a group item of its name": {items: `"policyItems":[` + item(`"users":["ian@acme.example"]`) + `,` + item(`"groups":["ian@acme.example"]`) + `]`,
			want: "user ian@acme.example", says: `group ian@acme.example is granted nothing: the workspace has no group of this name, only user "ian@acme.example"`},
		"application beside a group item of its name": {items: `"policyItems":[` + item(`"users":["`+application+`"]`) + `,` + item(`"groups":["`+strings.ToUpper(application)+`"]`) + `]`,
			want: "service_principal " + application, says: "only service principal"},
		"deactivated":                  {items: allow(`"users":["left@acme.example"]`), says: "deactivated"},
		"misspelt":                     {items: allow(`"users":["ana.lopes@acme.example"]`), want: "user ana.lopes@acme.example", says: `does not list it; its grants are sent all the same; did you mean "Ana.Lopez@acme.example"?`},
		"misspelt and denied":          {items: allowDeny(`"groups":["analysts"]`, `"users":["anna"]`), says: `user anna is named by policies: the workspace has no user or service principal of this name`},
		"group in another case":        {items: allow(`"groups":["ANALYSTS"]`), want: "group analysts", says: `taken for the group "analysts"`},
		"group denied in another case": {items: allowDeny(`"groups":["analysts"]`, `"groups":["Analysts"]`), says: `taken for the group "analysts"`},
		"one of two groups":            {items: allow(`"groups":["twins"]`), want: "group twins"},
		"neither of two groups":        {items: allow(`"groups":["TWINS"]`), says: `group "Twins" and group "twins"`},
		"group of the workspace alone": {items: allow(`"groups":["admins"]`), says: "group of the workspace alone"},
		"role":                         {items: allow(`"roles":["analysts"]`), roles: []ranger.Role{{Name: "analysts"}}, want: "group analysts"},
		"role named like a user":       {items: allow(`"roles":["ian@acme.example"]`), roles: []ranger.Role{{Name: "ian@acme.example"}}, says: `only user "ian@acme.example"`},
		"member of a denied role": {items: allowDeny(`"users":["ANA.LOPEZ@acme.example"]`, `"roles":["r"]`),
			roles: []ranger.Role{{Name: "r", Users: []ranger.RoleMember{{Name: "Ana.Lopez@Acme.Example"}}}}},
		"list as a group":       {items: allow(`"groups":["[\"analysts\"]"]`), says: `is granted nothing: "[\"analysts\"]" can be the name of nobody (it is a list`},
		"two groups as one":     {items: allow(`"groups":["analysts;Twins"]`), says: "is granted nothing"},
		"quoted user":           {items: allow(`"users":["'ian@acme.example'"]`), says: "is granted nothing"},
		"perhaps two groups":    {items: allow(`"groups":["analysts,sales"]`), want: "group analysts,sales", says: "sent all the same"},
		"odd names":             {items: allow(`"groups":["R&D (emea)/a.b"]`), want: "group R&D (emea)/a.b"},
		"listed with quotes":    {items: allow(`"groups":["the \"A\" team"]`), want: `group the "A" team`, says: "the workspace has it"},
		"list denied":           {items: allowDeny(`"groups":["analysts"]`, `"groups":["[\"x\"]"]`), says: "can be the name of nobody"},
		"dotless i":             {items: allow(`"users":["ıan@acme.example"]`), says: `"ian@acme.example" may be another's name`},
		"dotted capital I":      {items: allow(`"users":["İAN@acme.example"]`), says: `"ian@acme.example" may be another's name`},
		"dotless i denied":      {items: allowDeny(`"users":["ian@acme.example"]`, `"users":["IAN@acme.example","ıan@acme.example"]`)},
		"sharp s is no ss":      {items: allowDeny(`"users":["strasse@acme.example"]`, `"users":["straße@acme.example"]`), want: "user strasse@acme.example", says: "straße@acme.example is named by policies: the workspace does not list it"},
		"capital sharp s":       {items: allowDeny(`"users":["straße@x.example"]`, `"users":["STRAẞE@x.example"]`), says: "straße@x.example"},
		"kelvin of one unknown": {items: allow(`"users":["\u212Aim@acme.example"]`), says: "may be another's name"},
	} {
		s := readPolicies(t, `{"serviceName":"uc","policies":[{"id":1,"name":"p",`+shopTables+`,`+tt.items+`}]}`)
		s.Roles = tt.roles
		set := policytest.Rules(s, rules.NameMapping{})
		result := New(set, Options{Directory: workplace()}).Compile(shop())
		var granted []string
		for g := range result.Grants.All() {
			granted = append(granted, g.Principal.Kind.String()+" "+g.Principal.Name)
		}
		slices.Sort(granted)
		if got := strings.Join(slices.Compact(granted), ", "); got != tt.want {
			t.Errorf("%s: granted %q, want %q", name, got, tt.want)
		}
		said := ""
		for _, f := range slices.Concat(result.Report.Findings, accepted.Findings(set, nil)) {
			said += f.Message + "\n"
		}
		if !strings.Contains(said, tt.says) {
			t.Errorf("%s: the report does not say %q:\n%s", name, tt.says, said)
		}
		if unresolved := strings.Contains(said, "is granted nothing: "); unresolved != (len(result.Unresolved) > 0) {
			t.Errorf("%s: unresolved are %v", name, result.Unresolved)
		}
	}
}

// TestNobodyIsGrantedNothing holds that a name that can be nobody's is not sent to Unity Catalog where the workspace was not asked or
// could not be read either, mapped or not, and is said.
func TestNobodyIsGrantedNothing(t *testing.T) {
	s := readPolicies(t, `{"serviceName":"uc","policies":[{"id":1,"name":"p",`+shopTables+`,"policyItems":[
		{"users":["ann@acme.example","'ian@acme.example'","eve"],"groups":["analysts","hr;x","[\"hr\"]","[x"],"roles":["r","[r]"],"accesses":[{"type":"select"}]}]}]}`)
	s.Users = &ranger.UserStore{UserCloudIDMapping: map[string]string{"eve": "\"eve\""}, GroupCloudIDMapping: map[string]string{"hr;x": "hr"}}
	set := policytest.Rules(s, rules.NameMapping{RolePrefix: "role_"})
	for name, o := range map[string]Options{"not asked": {}, "not read": {Directory: &directory.Directory{}}} {
		c := New(set, o)
		if _, listed := c.Principal(set.Subjects.ID(rules.SubjectGroup, `["hr"]`)); listed {
			t.Errorf("%s: there is a group of a name that can be nobody's", name)
		}
		result := c.Compile(shop())
		granted := make(map[string]bool)
		for g := range result.Grants.All() {
			granted[g.Principal.Name] = true
		}
		if diff := cmp.Diff(map[string]bool{"ann@acme.example": true, "analysts": true, "hr": true, "[x": true, "role_r": true}, granted); diff != "" {
			t.Errorf("%s: granted (-want +got):\n%s", name, diff)
		}
		if len(result.Unresolved) != 4 {
			t.Errorf("%s: unresolved are %q, want four", name, result.Unresolved)
		}
	}
	if n := New(set, Options{Directory: workplace()}).Missing(); n != 4 {
		t.Errorf("%d are missed, want ann@acme.example, hr, [x and role_r: others are not waited for", n)
	}
}

// TestNobodyAmongMembers holds that a role written out member by member leaves out names that can be nobody's.
func TestNobodyAmongMembers(t *testing.T) {
	s := readPolicies(t, `{"serviceName":"uc","policies":[{"id":1,"name":"p",`+shopTables+`,"policyItems":[{"roles":["r"],"accesses":[{"type":"select"}]}],
		"denyPolicyItems":[{"users":["bob"],"accesses":[{"type":"select"}]}]}]}`)
	s.Roles = []ranger.Role{{Name: "r", Users: []ranger.RoleMember{{Name: "ann"}, {Name: "bob"}, {Name: ""}, {Name: "a;b"}, {Name: "[x]"}}}}
	granted := make(map[string]bool)
	for g := range New(policytest.Rules(s, rules.NameMapping{}), Options{Deny: []DenyStrategy{DenyExpand}}).Compile(shop()).Grants.All() {
		granted[g.Principal.Name] = true
	}
	if diff := cmp.Diff(map[string]bool{"ann": true}, granted); diff != "" {
		t.Errorf("granted (-want +got):\n%s", diff)
	}
}

// TestResolveUnread holds that a user is granted nothing under a name that policies also give a group where the directory
// cannot tell whether there is such a group.
func TestResolveUnread(t *testing.T) {
	s := readPolicies(t, `{"serviceName":"uc","policies":[{"id":1,"name":"p",`+shopTables+`,"policyItems":[
		{"users":["ian@acme.example"],"accesses":[{"type":"select"}]},{"groups":["ian@acme.example"],"accesses":[{"type":"select"}]}]}]}`)
	result := New(policytest.Rules(s, rules.NameMapping{}), Options{Directory: &directory.Directory{}}).Compile(shop())
	for g := range result.Grants.All() {
		t.Errorf("%s is granted %s", g.Principal, g.Privilege)
	}
	if !slices.ContainsFunc(result.Report.Findings, func(f policy.Finding) bool {
		return strings.Contains(f.Message, "user ian@acme.example has the name of a group that policies name")
	}) {
		t.Errorf("findings %v", result.Report.Findings)
	}
}

// TestResolvedWorlds holds, over random policies and workspaces, that the workspace only narrows what policies grant, and that
// whoever is granted something is one principal there, of the kind that the policies name.
func TestResolvedWorlds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		var listing directory.Listing
		for i, names := range [][]string{policytest.Users, policytest.Groups} {
			kind := []policy.PrincipalKind{policy.User, policy.Group}[i]
			for _, name := range names {
				e := directory.Entry{ID: name, Kind: kind, Name: name}
				switch rapid.IntRange(0, 6).Draw(t, name) {
				case 0:
					continue
				case 1:
					e.Kind = policy.User + policy.Group - kind
				case 2:
					other := e
					other.ID, other.Kind = name+"'", policy.User+policy.Group-kind
					listing.Entries = append(listing.Entries, other)
				case 3:
					e.Inactive = kind == policy.User
					e.Local = kind == policy.Group
				case 4:
					if kind == policy.User {
						e.Name = strings.ToUpper(name)
					}
				}
				listing.Entries = append(listing.Entries, e)
			}
		}
		d := directory.New(listing)
		known := rapid.Bool().Draw(t, "membership known")
		if known {
			w.Snapshot.Users = &ranger.UserStore{UserGroupMapping: w.GroupsOf}
		}
		inv := policy.NewInventory(w.Listed...)
		o := Options{Deny: []DenyStrategy{DenyWithhold}}
		all := compileOf(w.Snapshot, inv, o, policytest.Names).Grants
		o.Directory = d
		resolved := compileOf(w.Snapshot, inv, o, policytest.Names)
		for g := range resolved.Grants.All() {
			who := []policy.Principal{g.Principal, policy.AccountUsers}
			for _, p := range w.Persons(w.GroupsOf) {
				if known && p.User != "" && policy.NewPrincipal(policy.User, p.User) == g.Principal {
					who = p.Principals()
				}
			}
			object := policy.Object{Securable: g.Securable}
			if !g.Privilege.IsUse() && policytest.Effective(resolved.Grants, who, g.Privilege, object) && !policytest.Effective(all, who, g.Privilege, object) {
				t.Fatalf("%v only in this workspace\n%s", g, policytest.Dump(&w, resolved.Grants, resolved.Report))
			}
			if g.Principal.IsEveryone() {
				continue
			}
			for _, e := range listing.Entries {
				if policy.FoldPrincipal(e.Name) != policy.FoldPrincipal(g.Principal.Name) {
					continue
				}
				if e.Kind != g.Principal.Kind || e.Inactive || e.Local {
					t.Fatalf("%v, which in the workspace is %+v\n%s", g, e, policytest.Dump(&w, resolved.Grants, resolved.Report))
				}
			}
		}
	})
}

// TestCaseOfUsers holds that grants do not depend on the case in which policies, the user store and roles spell users.
func TestCaseOfUsers(t *testing.T) {
	respell := func(t *rapid.T, name string) string {
		return rapid.SampledFrom([]string{name, strings.ToUpper(name)}).Draw(t, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		w := policytest.DrawWorld(t)
		w.Snapshot.Users = &ranger.UserStore{UserGroupMapping: w.GroupsOf}
		o := Options{Deny: []DenyStrategy{rapid.SampledFrom([]DenyStrategy{DenyWithhold, DenyExpand}).Draw(t, "strategy")}}
		inv := policy.NewInventory(w.Listed...)
		want := grantLines(compileOf(w.Snapshot, inv, o, policytest.Names).Grants)
		groups := make(map[string][]string)
		for user, list := range w.GroupsOf {
			groups[respell(t, user)] = list
		}
		w.Snapshot.Users = &ranger.UserStore{UserGroupMapping: groups}
		for i := range w.Snapshot.Roles {
			for j := range w.Snapshot.Roles[i].Users {
				m := &w.Snapshot.Roles[i].Users[j]
				m.Name = respell(t, m.Name)
			}
		}
		for list := range w.Snapshot.PolicyLists() {
			for i := range list {
				for item := range list[i].AllItems() {
					item.Users = slices.Clone(item.Users)
					for k, name := range item.Users {
						if !rules.IsSubjectMacro(name) {
							item.Users[k] = respell(t, name)
						}
					}
				}
			}
		}
		if diff := cmp.Diff(want, grantLines(compileOf(w.Snapshot, inv, o, policytest.Names).Grants)); diff != "" {
			t.Fatalf("grants (-want +got):\n%s", diff)
		}
	})
}

// A name that hardly anybody has is somebody's where the workspace has it: then nothing is lost to whom it is about, and no finding says
// so, neither of an item nor of the user store. Where the workspace has it not, one does.
func TestOddNamesThatTheWorkspaceHas(t *testing.T) {
	const doc = `{"policies":[{"id":1,"name":"p","resources":{"catalog":{"values":["hr"]}},
		"policyItems":[{"groups":["the \"A\" team","the \"B\" team"],"accesses":[{"type":"select"}]}],
		"denyPolicyItems":[{"groups":["the \"A\" team"],"users":["ian@acme.example"],"accesses":[{"type":"modify"}]}]}]}`
	policies, err := parse.ServicePolicies([]byte(doc), "f.json")
	if err != nil {
		t.Fatal(err)
	}
	users := &ranger.UserStore{UserGroupMapping: map[string][]string{"ian@acme.example": {`the "A" team`, `the "C" team`}}}
	set, err := rules.New(ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: policies, Users: users}), rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*directory.Directory{nil, {}, workplace()} {
		said := ""
		for _, f := range New(set, Options{Directory: d}).Compile(policy.NewInventory()).Report.Findings {
			if f.Effect != policy.EffectNone {
				said += f.Message + "\n"
			}
		}
		for team, has := range map[string]bool{"A": d != nil && d.Read(), "B": false, "C": false} {
			if says := strings.Contains(said, `"the \"`+team+`\" team" can be the name of nobody`); says == has {
				t.Errorf("the workspace has team %s: %v; it is said to be nobody: %v, by\n%s", team, has, says, said)
			}
		}
	}
}

// An access type without a counterpart is left out, but what it implies is not; a mask says what it takes.
func TestWordsOfAccessTypes(t *testing.T) {
	find := func(implied, policies string) (said string, r *Result) {
		s := readPolicies(t, `{"serviceName":"uc","policies":[{"id":1,"name":"p",`+shopTables+`,`+policies+`}]}`)
		def := *ranger.DefaultServiceDef()
		all := ranger.AccessTypeDef{Name: "everything"}
		if implied != "" {
			all.ImpliedGrants = []string{implied}
		}
		def.AccessTypes = append(slices.Clone(def.AccessTypes), all)
		s.ServiceDef = &def
		r = New(policytest.Rules(s, rules.NameMapping{}), Options{Directory: workplace()}).Compile(shop())
		for _, f := range r.Report.Findings {
			said += f.Message + "\n"
		}
		return said, r
	}
	const item = `"policyItems":[{"groups":["analysts"],"accesses":[{"type":"everything"}]}]`
	if said, r := find("", item); !strings.Contains(said, "no counterpart in Unity Catalog; it is left out\n") || r.Grants.Len() > 0 {
		t.Errorf("%d grants: %s", r.Grants.Len(), said)
	}
	if said, r := find("select", item); !strings.Contains(said, "no counterpart in Unity Catalog; it is left out, but for what it implies\n") || r.Grants.Len() == 0 {
		t.Errorf("%d grants: %s", r.Grants.Len(), said)
	}
	if said, _ := find("", `"policyType":2,"rowFilterPolicyItems":[{"groups":["analysts"],"accesses":[{"type":"select"}],"rowFilterInfo":{"filterExpr":"x = 1"}}]`); !strings.Contains(said, "it sets a row filter, which takes a warehouse (databricks.warehouse)") {
		t.Error(said)
	}
}

// A deny that binds nobody widens access where it may be meant for somebody who is there, and is a note where nobody is near.
func TestDeniedNobodyNearSomebody(t *testing.T) {
	for who, want := range map[string]policy.Effect{
		`"users":["ian"]`: policy.EffectWider, `"users":["ana.lopes@acme.example"]`: policy.EffectWider, `"users":["zoe@far.example"]`: policy.EffectNone,
		`"users":["analysts"]`: policy.EffectWider, `"groups":["ian@acme.example"]`: policy.EffectWider, `"users":["a*"]`: policy.EffectWider, `"groups":["x,y"]`: policy.EffectWider,
		`"users":["IAN@acme.example"]`: "",
	} {
		for list, restricts := range map[string]bool{"denyPolicyItems": true, "allowExceptions": true, "denyExceptions": false} {
			s := readPolicies(t, `{"serviceName":"uc","policies":[{"id":1,"name":"p",`+shopTables+`,"policyItems":[{"groups":["analysts"],"accesses":[{"type":"select"}]}],
				"`+list+`":[{`+who+`,"accesses":[{"type":"select"}]}]}]}`)
			got := policy.Effect("")
			for _, f := range New(policytest.Rules(s, rules.NameMapping{}), Options{Directory: workplace()}).Compile(shop()).Report.Findings {
				if strings.Contains(f.Message, "is named by policies") {
					got = f.Effect
				}
			}
			if got != want && (restricts || got != policy.EffectNone) {
				t.Errorf("%s in %s: effect %q, want %q", who, list, got, want)
			}
		}
	}
}
