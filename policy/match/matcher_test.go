package match_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy/match"
	"ucwarden/policy/naming"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

func TestMatchType(t *testing.T) {
	for _, tc := range []struct {
		policy, request string
		want            match.Type
		options         string
	}{
		{"database=a table=b", "database=a table=b", match.Self, ""},
		{"database=a table=b", "table=b database=a", match.Self, ""},
		{"database=a table=b", "database=A table=B", match.Self, ""},
		{"database=a table=b", "database=A table=b", match.None, `"ignoreCase":false`},
		{"database=a table=b", "database=a table=c", match.None, ""},
		{"database=a table=b", "database=a", match.Descendant, ""},
		{"database=a table=*", "database=a", match.SelfAndAllDescendants, ""},
		{"database=a table=* column=*", "database=a", match.SelfAndAllDescendants, ""},
		{"database=a table=* column=c", "database=a", match.Descendant, ""},
		{"database=a", "database=a table=b column=c", match.Ancestor, ""},
		{"database=a", "database=b table=b", match.None, ""},
		{"database=a table=b", "database=a udf=b", match.None, ""},
		{"database=a", "database=a udf=b", match.Ancestor, ""},
		{"database=*", "path=/x", match.None, ""},
		{"database=*", "", match.SelfAndAllDescendants, ""},
		{"database=a", "", match.Descendant, ""},
		{"database=a", "table=b", match.None, ""},             // a gap
		{"database=a", "database=a column=c", match.None, ""}, // a gap
		{"database=a", "database=a nothing=c", match.None, ""},
		{"database=sales_*", "database=sales_emea", match.Self, ""},
		{"database=sales_*", "database=sales_", match.Self, ""},
		{"database=sales_?", "database=sales_", match.None, ""},
		{"database=sales_?", "database=sales_ü", match.Self, ""},
		{"database=*_emea", "database=sales_emea", match.Self, ""},
		{"database=s*s_e*a", "database=sales_emea", match.Self, ""},
		{"database=*", "database=b", match.Self, ""},
		{"database=*", "database=b", match.None, `"wildCard":false`},
		{"database=sales_*", "database=sales_*", match.Self, `"wildCard":false`},
		{"database=!a", "database=a", match.None, ""},
		{"database=!a", "database=b", match.Self, ""},
		{"database=!a", "database=*", match.None, ""}, // asks for all: excluding one does not help
		{"database=!*", "database=b", match.None, ""},
		{"database=a,b", "database=b", match.Self, ""},
		{"database=a", "database=*", match.None, ""},
		{"database=*", "database=*", match.Self, ""},
		{"database=a", "database=x|a", match.Self, ""},
		{"database=sales", "database=sal^", match.Self, ""},
		{"database=sales", "database=sales_x^", match.None, ""},
		{"database=s*_emea", "database=sales_e^", match.Self, ""},
		{"database=s?l*x", "database=sül_^", match.None, `"wildCard":false`},
		{"database=sales", "database=^", match.Self, ""},
		{`database="Quoted"`, `database="quoted"`, match.None, `"quotedCaseSensitive":true`},
		{`database=plain`, `database=PLAIN`, match.Self, `"quotedCaseSensitive":true`},
		{"path=+/public", "path=/public/finance", match.Self, ""},
		{"path=+/public", "path=/publicity", match.None, ""},
		{"path=/public", "path=/public/finance", match.None, ""},
		{"path=+/pub*c", "path=/public/finance/x", match.Self, ""},
		{"path=+/public/", "path=/public/finance", match.Self, ""},
		{"path=/tmp/ab", "path=/tmp/~", match.Self, ""},
		{"path=/tmp/a/b", "path=/tmp/~", match.None, ""},
		{"database=+a", "database=a/b", match.None, ""}, // only paths are recursive
	} {
		m := rules.NewModel(policytest.HiveLike(tc.options))
		matcher, ok := match.New(m.Forest(ranger.PolicyTypeAccess), policytest.Resources(tc.policy), nil)
		if !ok {
			t.Errorf("%s: no matcher", tc.policy)
			continue
		}
		got := match.None
		var path match.Path
		ok = path.Set(m.Forest(ranger.PolicyTypeAccess), policytest.Asked(tc.request)).OK
		if ok {
			got = matcher.Match(path.Elements, nil, false)
		}
		if got != tc.want {
			t.Errorf("policy %q, request %q, options {%s}: %s, want %s", tc.policy, tc.request, tc.options, got, tc.want)
		}
		// The index must find what the matcher matches.
		var root match.Index
		root.Add(&matcher, 7)
		below := tc.want == match.Descendant
		if ok && got != match.None && !slices.Contains(root.Collect(&path, below, nil), 7) {
			t.Errorf("policy %q, request %q: %s, but not in the index", tc.policy, tc.request, got)
		}
	}
}

func TestNoMatcherOffTheTrees(t *testing.T) {
	f := rules.NewModel(policytest.HiveLike("")).Forest(ranger.PolicyTypeAccess)
	for _, text := range []string{"", "table=a", "database=a column=b", "database=a path=b", "nothing=a", "table=a column=c", "database=a table=b udf=c"} {
		if _, ok := match.New(f, policytest.Resources(text), nil); ok {
			t.Errorf("%s: has a matcher", text)
		}
	}
}

// namePart and patternPart draw from few letters, so that names and patterns meet.
var (
	namePart    = rapid.StringMatching(`[abA_ü]{1,4}`)
	patternPart = rapid.OneOf(rapid.StringMatching(`[abA_*?]{1,4}`), rapid.Just("*"), namePart)
)

// TestIndexFindsWhatMatches: for any policies and request the index returns every policy that matches.
func TestIndexFindsWhatMatches(t *testing.T) {
	model := rules.NewModel(policytest.HiveLike(""))
	levels := []string{"database", "table", "column"}
	rapid.Check(t, func(t *rapid.T) {
		var root match.Index
		var matchers []*match.Matcher
		for range rapid.IntRange(1, 8).Draw(t, "policies") {
			r := make(map[string]ranger.PolicyResource)
			for _, name := range levels[:rapid.IntRange(1, 3).Draw(t, "depth")] {
				r[name] = ranger.PolicyResource{Values: rapid.SliceOfN(patternPart, 1, 3).Draw(t, name), IsExcludes: rapid.IntRange(0, 5).Draw(t, "excludes") == 0}
			}
			m, _ := match.New(model.Forest(ranger.PolicyTypeAccess), r, nil)
			root.Add(&m, int32(len(matchers)))
			matchers = append(matchers, &m)
		}
		var request match.Resource
		for _, name := range levels[:rapid.IntRange(0, 3).Draw(t, "asked")] {
			e := match.Element{Name: name, Value: rapid.OneOf(namePart, rapid.Just("*"), rapid.Just("")).Draw(t, "value")}
			e.Scope = match.ElementScope(rapid.SampledFrom([]int{0, 0, 0, 2}).Draw(t, "scope"))
			request = append(request, e)
		}
		var path match.Path
		if !path.Set(model.Forest(ranger.PolicyTypeAccess), request).OK {
			t.Fatal("the request is no path")
		}
		all, self := root.Collect(&path, true, nil), root.Collect(&path, false, nil)
		for i, m := range matchers {
			found := m.Match(path.Elements, nil, false)
			if found != match.None && !slices.Contains(all, int32(i)) {
				t.Fatalf("policy %d matches as %s, but is not found", i, found)
			}
			if found != match.None && found != match.Descendant && !slices.Contains(self, int32(i)) {
				t.Fatalf("policy %d matches as %s, but is not found without descendants", i, found)
			}
		}
	})
}

// TestPatternBeginning compares MatchesBeginning with trying every continuation.
func TestPatternBeginning(t *testing.T) {
	letters := []string{"", "a", "b", "aa", "ab", "ba", "bb", "aab", "abab", "bbaa"}
	rapid.Check(t, func(t *rapid.T) {
		p := naming.NewPattern(rapid.StringMatching(`[ab*?]{1,5}`).Draw(t, "pattern"), true, false)
		text := rapid.StringMatching(`[ab]{0,4}`).Draw(t, "text")
		want := slices.ContainsFunc(letters, func(rest string) bool { return p.Match(text + rest) })
		if got := p.MatchesBeginning(text); want && !got {
			t.Fatalf("%s: a name that begins with %q matches, but MatchesBeginning denies it", p, text)
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("sales*", "emea", false, true, "sales_1", "EMEA", uint8(0))
	f.Add("{USER}", "${{USER.dept}}*", true, false, "bob", "hr_x", uint8(2))
	f.Add(strings.Repeat("*a", 300), "?", false, true, strings.Repeat("a", 600), "ü", uint8(1))
	f.Add("\xff*", "a\\{b", false, false, "\xff\xfe", "", uint8(0))
	model := rules.NewModel(policytest.HiveLike(""))
	f.Fuzz(func(t *testing.T, database, table string, excludes, fold bool, a, b string, scope uint8) {
		def := policytest.HiveLike(fmt.Sprintf(`"ignoreCase":%v`, fold))
		model = rules.NewModel(def)
		m, ok := match.New(model.Forest(ranger.PolicyTypeAccess), map[string]ranger.PolicyResource{
			"database": {Values: []string{database}, IsExcludes: excludes}, "table": {Values: []string{table, database}},
		}, nil)
		var path match.Path
		path.Set(model.Forest(ranger.PolicyTypeAccess), match.Resource{{Name: "database", Value: a, Scope: match.ElementScope(scope % 3)}, {Name: "table", Value: b}})
		found := m.Match(path.Elements, &match.Values{User: b}, false)
		if found != match.None && m.Match(path.Elements, &match.Values{User: b}, true) != found {
			t.Errorf("matches as %s, but not so when names are compared loosely", found)
		}
		var root match.Index
		if !ok {
			t.Fatal("no matcher")
		}
		root.Add(&m, 1)
		if found != match.None && !slices.Contains(root.Collect(&path, true, nil), 1) {
			t.Errorf("matches as %s, but the index does not find it", found)
		}
	})
}
