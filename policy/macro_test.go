package policy

import (
	"strings"
	"testing"
)

// scriptContext is the context of a request with everything that macros and scripts can ask for.
func scriptContext(t testing.TB) *evalContext {
	t.Helper()
	e, err := NewEvaluator(&Snapshot{
		ServiceDef: hiveLike(""),
		Roles:      []Role{{Name: "reader", Groups: []RoleMember{{Name: "staff"}}}, {Name: "boss", Roles: []RoleMember{{Name: "reader"}}}},
		Users: &UserStore{
			UserAttrMapping:  map[string]map[string]string{"bob": {"dept": "hr", "level": "7"}},
			GroupAttrMapping: map[string]map[string]string{"staff": {"site": "B"}, "all": {"site": "A", "floor": "2"}},
			UserGroupMapping: map[string][]string{"bob": {"staff", "all"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := e.newContext(Request{
		User: "bob", Owner: "ann", AccessType: "select", Resource: asked("database=Sales table=t1"), Action: "QUERY", ClientIP: "10.0.0.1",
		Context: map[string]any{"country": "CH", "token:REGION": "emea"},
		Time:    utc("2026-03-01 12:00"),
	}, PolicyTypeAccess)
	pii := newTagForEval("PII", map[string]string{"level": "high", "score": "0.8", "expiry": "2026/06/01"}, nil, MatchSelf)
	ctx.tags, ctx.tag = []*tagForEval{pii, newTagForEval("OPEN", nil, nil, MatchAncestor)}, pii
	t.Cleanup(ctx.release)
	return ctx
}

func TestMacros(t *testing.T) {
	ctx := scriptContext(t)
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
		o := newMacroOptions(OptionMap{tc.options: "false"})
		m := newMacroText(tc.text, true, o)
		if got := m.expand(ctx); got != tc.want {
			t.Errorf("%q (without %q): %q, want %q", tc.text, tc.options, got, tc.want)
		}
	}
	custom := newMacroOptions(OptionMap{"tokenDelimiterStart": "<", "tokenDelimiterEnd": ">", "tokenDelimiterPrefix": "$"})
	if got := newMacroText("<$USER><USER>", true, custom).expand(ctx); got != "bob<USER>" {
		t.Errorf("with delimiters of its own: %q", got)
	}
}

// A macro's value is a name, not a pattern, wherever the policy's own text says which characters are wildcards.
func TestMacroValueIsNoPattern(t *testing.T) {
	ctx := scriptContext(t)
	ctx.own.User = "*"
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"home_{USER}", "home_ann", false}, {"home_{USER}", "home_*", true}, {"home_{USER}*", "home_ann", false},
		{"*_{USER}", "home_ann", false}, {"*_{USER}", "home_*", true},
	} {
		v := newValueMatcher(tc.pattern, newMatcherOptions(&ResourceDef{}, false))
		if got := v.match(tc.name, ElementSelf, ctx); got != tc.want {
			t.Errorf("%s matches %s: %v, want %v", tc.pattern, tc.name, got, tc.want)
		}
	}
}

func FuzzMacro(f *testing.F) {
	for _, s := range []string{"{USER}", `\{a}{OWNER`, "${{USER.dept}}", "${{{{}}}}", "}{\\", "${{'}}'}}", "${{!!!!!!!!1}}", "\xff{\xfe}"} {
		f.Add(s, "bob")
	}
	f.Fuzz(func(t *testing.T, text, user string) {
		ctx := scriptContext(t)
		ctx.own.User = user
		m := newMacroText(text, true, newMacroOptions(nil))
		got := m.expand(ctx)
		if !strings.ContainsAny(text, "{}\\$") && got != m.text {
			t.Errorf("%q has no macro, but becomes %q", text, got)
		}
		m.match(user, ctx, &matcherOptions{wildcard: true, fold: true, recursive: true, separator: '/'})
	})
}
