package match

import (
	"errors"
	"strings"
	"testing"

	"ucwarden/policy/ranger"
)

// stubScript stands for a script that reads one attribute of the user.
type stubScript string

func (s stubScript) Met(*Values) (Outcome, error) { return Outcome{}, nil }

func (s stubScript) Text(v *Values) (string, error) {
	name, ok := strings.CutPrefix(string(s), "USER.")
	if !ok {
		return "", errors.New("not understood")
	}
	return v.Users.UserAttrMapping[v.User][name], nil
}

func stubScripts(source string) (Script, error) { return stubScript(source), nil }

// macroValues are the values of a request with everything that macros ask for.
func macroValues() *Values {
	return &Values{
		User: "bob", Owner: "ann", Context: map[string]any{"token:REGION": "emea"},
		Users: &ranger.UserStore{UserAttrMapping: map[string]map[string]string{"bob": {"dept": "hr", "level": "7"}}},
	}
}

func TestMacros(t *testing.T) {
	v := macroValues()
	for _, tc := range []struct{ text, want, options string }{
		{"{USER}", "bob", ""},
		{"home_{USER}_x", "home_bob_x", ""},
		{"{OWNER}{USER}", "annbob", ""},
		{"{REGION}", "emea", ""}, // a token of the request's context
		{"{NOBODY}", "{NOBODY}", ""},
		{`\{USER}`, "{USER}", ""},
		{`a\b`, `a\b`, ""},
		{`a\\b`, `a\b`, ""},
		{`{US\}ER}`, "{US}ER}", ""},
		{"{USER", "{USER", ""},
		{"USER}", "USER}", ""},
		{"", "", ""},
		{"{}", "{}", ""},
		{"dept_${{USER.dept}}", "dept_hr", ""},
		{"${{USER.none}}x", "x", ""},
		{"${{ nonsense( }}x", "x", ""},
		{"${{USER.dept", "${{USER.dept", ""},
		{"${{USER.dept}}/${{USER.level}}/{USER}", "hr/7/bob", ""},
		{"{USER}", "{USER}", "replaceTokens"},
		{"${{USER.dept}}", "${{USER.dept}}", "replaceReqExpressions"},
	} {
		o := newMacroOptions(ranger.OptionMap{tc.options: "false"})
		m := newMacroText(tc.text, matcherOptions{wildcard: true, macros: o, scripts: stubScripts})
		if got := m.expand(v); got != tc.want {
			t.Errorf("%q (without %q): %q, want %q", tc.text, tc.options, got, tc.want)
		}
	}
	custom := newMacroOptions(ranger.OptionMap{"tokenDelimiterStart": "<", "tokenDelimiterEnd": ">", "tokenDelimiterPrefix": "$"})
	if got := newMacroText("<$USER><USER>", matcherOptions{wildcard: true, macros: custom}).expand(v); got != "bob<USER>" {
		t.Errorf("with delimiters of its own: %q", got)
	}
}

// A macro's value is a name, not a pattern, wherever the policy's own text says which characters are wildcards.
func TestMacroValueIsNoPattern(t *testing.T) {
	v := macroValues()
	v.User = "*"
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"home_{USER}", "home_ann", false}, {"home_{USER}", "home_*", true}, {"home_{USER}*", "home_ann", false},
		{"*_{USER}", "home_ann", false}, {"*_{USER}", "home_*", true},
	} {
		m := newValueMatcher(tc.pattern, newMatcherOptions(&ranger.ResourceDef{}, false))
		if got := m.match(tc.name, ElementSelf, v); got != tc.want {
			t.Errorf("%s matches %s: %v, want %v", tc.pattern, tc.name, got, tc.want)
		}
	}
}

func FuzzMacro(f *testing.F) {
	for _, s := range []string{"{USER}", `\{a}{OWNER`, "${{USER.dept}}", "${{{{}}}}", "}{\\", "${{'}}'}}", "${{!!!!!!!!1}}", "\xff{\xfe}"} {
		f.Add(s, "bob")
	}
	f.Fuzz(func(t *testing.T, text, user string) {
		v := macroValues()
		v.User = user
		m := newMacroText(text, matcherOptions{wildcard: true, macros: newMacroOptions(nil), scripts: stubScripts})
		got := m.expand(v)
		if !strings.ContainsAny(text, "{}\\$") && got != m.text {
			t.Errorf("%q has no macro, but becomes %q", text, got)
		}
		m.match(user, v, &matcherOptions{wildcard: true, fold: true, recursive: true, separator: '/'})
	})
}
