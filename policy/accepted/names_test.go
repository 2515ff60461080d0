package accepted_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"ucwarden/policy/accepted"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

func TestName(t *testing.T) {
	const user, group, role = rules.SubjectUser, rules.SubjectGroup, rules.SubjectRole
	for _, c := range []struct {
		kinds []rules.SubjectKind
		doubt accepted.Doubt
		names []string
	}{
		{[]rules.SubjectKind{user, group, role}, accepted.DoubtNobody, []string{
			"", " ", "\t", `["hr"]`, `[hr]`, `[]`, `["hr","fin"]`, `"hr"`, `hr"`, "`hr`", "'hr'", "“hr”", "„hr", "hr;x", "hr;", ";", "R&amp;D", "h\x00r", "h\u200br", "h\nr", "\ufeffhr", "h\ufffdr", `{"name":"hr"}`,
			"hr\u202e", "\u2066hr", "h\u034fr", "\u3164", "h\u2800r", "hr\U000e0041", "hr\ufe0f", "hr\U000e0100", "\u275dhr\u275e", "h\u200cr", "\u200d\u62a5", "\u2018hr\u2019", "\u00abhr\u00bb", "\uff02hr\uff02", "\u00b4hr\u00b4", "\u2039hr\u203a"}},
		{[]rules.SubjectKind{group, role}, accepted.DoubtNobody, []string{" hr", "hr ", "hr\u00a0"}},
		{[]rules.SubjectKind{user}, accepted.DoubtNobody, []string{"ann@x.com,bob@x.com", "ann@x.com bob@x.com", "ann@x.com|bob@x.com", "Ann <ann@x.com>, Bob <bob@x.com>", ` "ann" `}},
		{[]rules.SubjectKind{user}, accepted.DoubtRespelt, []string{" ann@x.com", "ann@x.com\n", "ann "}},
		{[]rules.SubjectKind{user, group, role}, accepted.DoubtOneName, []string{
			"hr,fin", "hr, fin", "hr|fin", "hr，fin", "bob*", "b?b", "[", "hr]", "[hr", "{USR}", "{user}", "${{USER.dept}}", "a{b", "'hr", "hr'", "-", "@", "...", "null", "None", "undefined", "NaN", "nil", "group:hr", "User:ann", "cn=hr,fin"}},
		{[]rules.SubjectKind{group, role}, accepted.DoubtOneName, []string{"ann@x.com, bob@x.com", "ann@x.com bob@x.com", "{USER}", "{OWNER}"}},
		{[]rules.SubjectKind{user}, accepted.DoubtOneName, []string{" {USER}", "{OWNER} "}},
		{[]rules.SubjectKind{user, role}, accepted.DoubtEveryone, []string{"public", "Public"}},
		{[]rules.SubjectKind{user, group, role}, accepted.DoubtEveryone, []string{"*", "**"}},
		{[]rules.SubjectKind{user}, accepted.DoubtNone, []string{"{USER}", "{OWNER}", "o'brien@x.com", "ann+test@x.com", "2b5f7d1e-9a07-4c55-8d4e-0f2f4b9a9b1a"}},
		{[]rules.SubjectKind{group}, accepted.DoubtNone, []string{"public"}},
		{[]rules.SubjectKind{user, group, role}, accepted.DoubtNone, []string{
			"hr", "R&D", "data (emea)", "a/b", "a.b", "account users", "[App] Users", "it's", "Ärzte", "データ", "team #1", "cn=hr,ou=groups", "\u0601hr", "l\u2019h\u00f4tel", "\u2018hr", "hr\u2764\ufe0f", "devs \U0001f469\u200d\U0001f4bb", "\u062f\u0627\u0646\u0634\u200c\u0622\u0645\u0648\u0632", "\u845b\U000e0100", "team 1\ufe0f\u20e3", "CN=A B, OU=C, DC=x", `CORP\hr`, "100%", "a=b", "a:b", "nully", "None of us", "x@y", "a_b-c", "42"}},
	} {
		for _, kind := range c.kinds {
			for _, name := range c.names {
				doubt, why := accepted.Name(kind, name)
				if doubt != c.doubt || (why == "") != (doubt == accepted.DoubtNone) {
					t.Errorf("%s %q: doubt %d (%s), want %d", kind, name, doubt, why, c.doubt)
				}
			}
		}
	}
}

// Whatever letters, blanks and signs a directory allows in a name, it is not said to be nobody's; and no name is somebody's any more
// once it is written as a program would write a list of names.
func TestNameProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.RuneFrom([]rune("aZ09äÜ世é &()/.,_-+#%=:!$~^\\'[]{}*?|<>@"), unicode.Letter, unicode.Digit)
		kind := rapid.SampledFrom([]rules.SubjectKind{rules.SubjectUser, rules.SubjectGroup, rules.SubjectRole}).Draw(t, "kind")
		name := strings.TrimSpace(rapid.StringOfN(letters, 1, 20, -1).Draw(t, "name"))
		name = strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) { // some letters are not seen
				return -1
			}
			return r
		}, name)
		quoted := strings.HasPrefix(name, "'") && strings.HasSuffix(name, "'") && len(name) > 1
		listed := strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]")
		several := kind == rules.SubjectUser && strings.Count(name, "@") > 1
		if doubt, why := accepted.Name(kind, name); doubt == accepted.DoubtNobody && name != "" && !quoted && !listed && !several {
			t.Fatalf("%s %q can be nobody's name: %s", kind, name, why)
		}
		for _, written := range []string{`"` + name + `"`, "'" + name + "'", "[" + name + "]", `["` + name + `"]`, name + ";x", name + "\u200b", "\x00" + name, "“" + name + "”"} {
			if doubt, why := accepted.Name(kind, written); doubt != accepted.DoubtNobody || why == "" {
				t.Fatalf("%s %q: doubt %d (%s)", kind, written, doubt, why)
			}
		}
	})
}

// Each name outside policies that can be nobody's is found, by its path; one in the user store is said once.
func TestSnapshotNames(t *testing.T) {
	s := &ranger.Snapshot{
		Roles: []ranger.Role{
			{Name: "ok", Users: []ranger.RoleMember{{Name: "ann"}, {Name: ""}}, Groups: []ranger.RoleMember{{Name: "hr;x"}}, Roles: []ranger.RoleMember{{Name: "a,b"}}},
			{Name: `"q"`}, {},
		},
		Users: &ranger.UserStore{
			UserGroupMapping: map[string][]string{"ann": {"hr", "", `["hr"]`}, "bob": {`["hr"]`, "hr"}, "'al'": {"hr"}},
			UserAttrMapping:  map[string]map[string]string{"'al'": {}, "[x]": {}}, GroupAttrMapping: map[string]map[string]string{"g*": {}},
			UserCloudIDMapping: map[string]string{"ann": "", "bob": `"bob@x.com"`}, GroupCloudIDMapping: map[string]string{"hr": "h;r"},
		},
		ServiceConfig: map[string]string{rules.SuperUsersKey: "root, 'adm',", rules.SuperGroupsKey: "[g]"},
	}
	var got []string
	for _, p := range accepted.SnapshotNames(s) {
		got = append(got, strings.Repeat("!", int(p.Doubt))+" "+p.Field+": "+p.String())
	}
	for i, want := range []string{
		`!!! rangerRoles[0].users[1]: it is empty`, `!!! rangerRoles[0].groups[0]: "hr;x" can be the name of nobody: it holds several`, `!! rangerRoles[0].roles[0]: "a,b" is read as one name: `,
		`!!! rangerRoles[1].name: "\"q\"" can be`, `!! groupAttrMapping["g*"]: "g*" is read as one name: `, `!!! groupCloudIdMapping["hr"]: its id: "h;r" can be`,
		`!!! userAttrMapping["'al'"]: "'al'" can be`, `!!! userAttrMapping["[x]"]: "[x]" can be`, `!!! userCloudIdMapping["bob"]: its id: "\"bob@x.com\"" can be`,
		`!!! userGroupMapping["ann"][1]: it is empty`, `!!! userGroupMapping["ann"][2]: "[\"hr\"]" can be the name of nobody: it is a list written as one text; write each name for itself (and at 1 more places)`,
		`!!! serviceConfig["ranger.plugin.super.users"][1]: "'adm'" can be`, `!!! serviceConfig["ranger.plugin.super.groups"][0]: "[g]" can be`,
	} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Fatalf("%d: want %s in\n%s", i, want, strings.Join(got, "\n"))
		}
	}
	if len(got) != 13 {
		t.Errorf("%d problems, want 13:\n%s", len(got), strings.Join(got, "\n"))
	}
}

// What readers take for everyone, and is nobody's, is said to widen where it restricts; a user whom the user store has is that one.
func TestNamesTakenForEveryone(t *testing.T) {
	deny := func(who string) string {
		return `"policies":[{"id":7,"resources":{"catalog":{"values":["a"]}},"denyPolicyItems":[{` + who + `,"accesses":[{"type":"select"}]}]}]`
	}
	const words = `is not everyone, and nobody is known by this name: `
	for _, c := range []struct{ policies, want string }{
		{deny(`"users":["public"]`), `7 wider denyPolicyItems[0].users[0]: "public" ` + words + "it stands for everyone among groups only; write public there"},
		{deny(`"users":["*"]`), `7 wider denyPolicyItems[0].users[0]: "*" ` + words + "wildcards have no meaning"},
		{deny(`"groups":["*"]`), `7 wider denyPolicyItems[0].groups[0]: "*" ` + words},
		{deny(`"roles":["public"]`), `7 wider denyPolicyItems[0].roles[0]: "public" ` + words},
		{strings.Replace(deny(`"users":["public"]`), "denyPolicyItems", "policyItems", 1), `7 narrower policyItems[0].users[0]: "public" `},
		{deny(`"roles":["staff"]`), `0 wider rangerRoles[0].users[0]: "public" ` + words},
		{deny(`"users":["{USER}"],"groups":["public"]`), ""},
	} {
		s, err := parse.ServicePolicies([]byte("{"+c.policies+"}"), "x")
		if err != nil {
			t.Fatal(err)
		}
		in := ranger.SnapshotInput{Policies: s}
		if strings.Contains(c.policies, "staff") {
			in.Roles = &ranger.ServiceRoles{RangerRoles: []ranger.Role{{Name: "staff", Users: []ranger.RoleMember{{Name: "public"}}}}}
		}
		list := findingsIn(t, in)
		if got := strings.Join(list, "; "); !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %s, want %s", c.policies, got, c.want)
		}
		in.Users = &ranger.UserStore{UserGroupMapping: map[string][]string{"public": {"*"}, "*": nil}}
		in.Roles = &ranger.ServiceRoles{RangerRoles: append([]ranger.Role{{Name: "public"}}, snapshotRoles(in)...)}
		for _, f := range findingsIn(t, in) {
			if !strings.Contains(f, " none ") {
				t.Errorf("%s, with somebody of this name: %s", c.policies, f)
			}
		}
	}
}

func findingsIn(t *testing.T, in ranger.SnapshotInput) (list []string) {
	t.Helper()
	rs, err := rules.New(ranger.UnverifiedSnapshot(in), rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range accepted.Findings(rs, nil) {
		list = append(list, fmt.Sprintf("%d %s %s", f.PolicyID, f.Effect, f.Message))
	}
	return list
}

func snapshotRoles(in ranger.SnapshotInput) []ranger.Role {
	if in.Roles == nil {
		return nil
	}
	return in.Roles.RangerRoles
}
