package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// hiveLike is a small service: database over table over column, database over udf, and paths.
func hiveLike(options string) *ServiceDef {
	def, err := ParseServiceDef(fmt.Appendf(nil, `{"name":"hive","resources":[
		{"name":"database","matcherOptions":{%s}},{"name":"table","parent":"database","matcherOptions":{%s}},
		{"name":"column","parent":"table","matcherOptions":{%s}},{"name":"udf","parent":"database"},
		{"name":"path","matcher":"x.RangerPathResourceMatcher","recursiveSupported":true}],
		"accessTypes":[{"name":"select"},{"name":"update"},{"name":"all","impliedGrants":["select","update"]}]}`, options, options, options), "test")
	if err != nil {
		panic(err)
	}
	return def
}

// resources writes "database=a,b table=!x*" as the resources of a policy: '!' excludes, '+' is recursive.
func resources(text string) map[string]PolicyResource {
	r := make(map[string]PolicyResource)
	for field := range strings.FieldsSeq(text) {
		name, values, _ := strings.Cut(field, "=")
		var p PolicyResource
		values, p.IsExcludes = strings.CutPrefix(values, "!")
		values, p.IsRecursive = strings.CutPrefix(values, "+")
		p.Values = strings.Split(values, ",")
		r[name] = p
	}
	return r
}

// asked writes "database=a table=b" as the resource of a request.
func asked(text string) Resource {
	var r Resource
	for field := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(field, "=")
		e := Element{Name: name, Value: value}
		switch {
		case strings.HasSuffix(value, "^"):
			e.Value, e.Scope = strings.TrimSuffix(value, "^"), ElementSelfOrPrefix
		case strings.HasSuffix(value, "/~"):
			e.Value, e.Scope = strings.TrimSuffix(value, "/~"), ElementSelfOrChild
		case strings.Contains(value, "|"):
			values := strings.Split(value, "|")
			e.Value, e.Also = values[0], values[1:]
		}
		r = append(r, e)
	}
	return r
}

func TestMatchType(t *testing.T) {
	for _, tc := range []struct {
		policy, request string
		want            MatchType
		options         string
	}{
		{"database=a table=b", "database=a table=b", MatchSelf, ""},
		{"database=a table=b", "table=b database=a", MatchSelf, ""},
		{"database=a table=b", "database=A table=B", MatchSelf, ""},
		{"database=a table=b", "database=A table=b", MatchNone, `"ignoreCase":false`},
		{"database=a table=b", "database=a table=c", MatchNone, ""},
		{"database=a table=b", "database=a", MatchDescendant, ""},
		{"database=a table=*", "database=a", MatchSelfAndAllDescendants, ""},
		{"database=a table=* column=*", "database=a", MatchSelfAndAllDescendants, ""},
		{"database=a table=* column=c", "database=a", MatchDescendant, ""},
		{"database=a", "database=a table=b column=c", MatchAncestor, ""},
		{"database=a", "database=b table=b", MatchNone, ""},
		{"database=a table=b", "database=a udf=b", MatchNone, ""},
		{"database=a", "database=a udf=b", MatchAncestor, ""},
		{"database=*", "path=/x", MatchNone, ""},
		{"database=*", "", MatchSelfAndAllDescendants, ""},
		{"database=a", "", MatchDescendant, ""},
		{"database=a", "table=b", MatchNone, ""},             // a gap
		{"database=a", "database=a column=c", MatchNone, ""}, // a gap
		{"database=a", "database=a nothing=c", MatchNone, ""},
		{"database=sales_*", "database=sales_emea", MatchSelf, ""},
		{"database=sales_*", "database=sales_", MatchSelf, ""},
		{"database=sales_?", "database=sales_", MatchNone, ""},
		{"database=sales_?", "database=sales_ü", MatchSelf, ""},
		{"database=*_emea", "database=sales_emea", MatchSelf, ""},
		{"database=s*s_e*a", "database=sales_emea", MatchSelf, ""},
		{"database=*", "database=b", MatchSelf, ""},
		{"database=*", "database=b", MatchNone, `"wildCard":false`},
		{"database=sales_*", "database=sales_*", MatchSelf, `"wildCard":false`},
		{"database=!a", "database=a", MatchNone, ""},
		{"database=!a", "database=b", MatchSelf, ""},
		{"database=!a", "database=*", MatchNone, ""}, // asks for all: excluding one does not help
		{"database=!*", "database=b", MatchNone, ""},
		{"database=a,b", "database=b", MatchSelf, ""},
		{"database=a", "database=*", MatchNone, ""},
		{"database=*", "database=*", MatchSelf, ""},
		{"database=a", "database=x|a", MatchSelf, ""},
		{"database=sales", "database=sal^", MatchSelf, ""},
		{"database=sales", "database=sales_x^", MatchNone, ""},
		{"database=s*_emea", "database=sales_e^", MatchSelf, ""},
		{"database=s?l*x", "database=sül_^", MatchNone, `"wildCard":false`},
		{"database=sales", "database=^", MatchSelf, ""},
		{`database="Quoted"`, `database="quoted"`, MatchNone, `"quotedCaseSensitive":true`},
		{`database=plain`, `database=PLAIN`, MatchSelf, `"quotedCaseSensitive":true`},
		{"path=+/public", "path=/public/finance", MatchSelf, ""},
		{"path=+/public", "path=/publicity", MatchNone, ""},
		{"path=/public", "path=/public/finance", MatchNone, ""},
		{"path=+/pub*c", "path=/public/finance/x", MatchSelf, ""},
		{"path=+/public/", "path=/public/finance", MatchSelf, ""},
		{"path=/tmp/ab", "path=/tmp/~", MatchSelf, ""},
		{"path=/tmp/a/b", "path=/tmp/~", MatchNone, ""},
		{"database=+a", "database=a/b", MatchNone, ""}, // only paths are recursive
	} {
		m := newServiceModel(hiveLike(tc.options))
		matcher := newResourceMatcher(m.forests[0], resources(tc.policy))
		if matcher == nil {
			t.Errorf("%s: no matcher", tc.policy)
			continue
		}
		got := MatchNone
		var buf [maxDepth]*Element
		path, ok := m.forests[0].path(asked(tc.request), &buf)
		if ok {
			got = matcher.match(path, nil)
		}
		if got != tc.want {
			t.Errorf("policy %q, request %q, options {%s}: %s, want %s", tc.policy, tc.request, tc.options, got, tc.want)
		}
		// The index must find what the matcher matches.
		var root indexNode
		root.add(matcher, 7)
		below := tc.want == MatchDescendant
		if ok && got != MatchNone && !slices.Contains(root.collect(path, below, nil), 7) {
			t.Errorf("policy %q, request %q: %s, but not in the index", tc.policy, tc.request, got)
		}
	}
}

func TestNoMatcherOffTheTrees(t *testing.T) {
	f := newServiceModel(hiveLike("")).forests[0]
	for _, text := range []string{"", "table=a", "database=a column=b", "database=a path=b", "nothing=a", "table=a column=c", "database=a table=b udf=c"} {
		if newResourceMatcher(f, resources(text)) != nil {
			t.Errorf("%s: has a matcher", text)
		}
	}
}

// namePart and patternPart draw from few letters, so that names and patterns meet.
var (
	namePart    = rapid.StringMatching(`[abA_ü]{1,4}`)
	patternPart = rapid.OneOf(rapid.StringMatching(`[abA_*?]{1,4}`), rapid.Just("*"), namePart)
)

// TestIndexFindsWhatMatches: for any policies and request the index gives every policy that matches.
func TestIndexFindsWhatMatches(t *testing.T) {
	model := newServiceModel(hiveLike(""))
	levels := []string{"database", "table", "column"}
	rapid.Check(t, func(t *rapid.T) {
		var root indexNode
		var matchers []*resourceMatcher
		for range rapid.IntRange(1, 8).Draw(t, "policies") {
			r := make(map[string]PolicyResource)
			for _, name := range levels[:rapid.IntRange(1, 3).Draw(t, "depth")] {
				r[name] = PolicyResource{Values: rapid.SliceOfN(patternPart, 1, 3).Draw(t, name), IsExcludes: rapid.IntRange(0, 5).Draw(t, "excludes") == 0}
			}
			m := newResourceMatcher(model.forests[0], r)
			root.add(m, int32(len(matchers)))
			matchers = append(matchers, m)
		}
		var request Resource
		for _, name := range levels[:rapid.IntRange(0, 3).Draw(t, "asked")] {
			e := Element{Name: name, Value: rapid.OneOf(namePart, rapid.Just("*"), rapid.Just("")).Draw(t, "value")}
			e.Scope = ElementScope(rapid.SampledFrom([]int{0, 0, 0, 2}).Draw(t, "scope"))
			request = append(request, e)
		}
		var buf [maxDepth]*Element
		path, ok := model.forests[0].path(request, &buf)
		if !ok {
			t.Fatal("the request is no path")
		}
		all, self := root.collect(path, true, nil), root.collect(path, false, nil)
		for i, m := range matchers {
			match := m.match(path, nil)
			if match != MatchNone && !slices.Contains(all, int32(i)) {
				t.Fatalf("policy %d matches as %s, but is not found", i, match)
			}
			if match != MatchNone && match != MatchDescendant && !slices.Contains(self, int32(i)) {
				t.Fatalf("policy %d matches as %s, but is not found without descendants", i, match)
			}
		}
	})
}

// TestPatternBeginning compares matchesBeginning with trying every continuation.
func TestPatternBeginning(t *testing.T) {
	letters := []string{"", "a", "b", "aa", "ab", "ba", "bb", "aab", "abab", "bbaa"}
	rapid.Check(t, func(t *rapid.T) {
		p := NewPattern(rapid.StringMatching(`[ab*?]{1,5}`).Draw(t, "pattern"), true, false)
		text := rapid.StringMatching(`[ab]{0,4}`).Draw(t, "text")
		want := slices.ContainsFunc(letters, func(rest string) bool { return p.Match(text + rest) })
		if got := p.matchesBeginning(text); want && !got {
			t.Fatalf("%s: a name that begins with %q matches, but matchesBeginning denies it", p, text)
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("sales*", "emea", false, true, "sales_1", "EMEA", uint8(0))
	f.Add("{USER}", "${{USER.dept}}*", true, false, "bob", "hr_x", uint8(2))
	f.Add(strings.Repeat("*a", 300), "?", false, true, strings.Repeat("a", 600), "ü", uint8(1))
	f.Add("\xff*", "a\\{b", false, false, "\xff\xfe", "", uint8(0))
	model := newServiceModel(hiveLike(""))
	f.Fuzz(func(t *testing.T, database, table string, excludes, fold bool, a, b string, scope uint8) {
		def := hiveLike(fmt.Sprintf(`"ignoreCase":%v`, fold))
		model = newServiceModel(def)
		m := newResourceMatcher(model.forests[0], map[string]PolicyResource{
			"database": {Values: []string{database}, IsExcludes: excludes}, "table": {Values: []string{table, database}},
		})
		e, err := NewEvaluator(&Snapshot{ServiceDef: def})
		if err != nil {
			t.Fatal(err)
		}
		r := Request{User: b, Resource: Resource{{Name: "database", Value: a, Scope: ElementScope(scope % 3)}, {Name: "table", Value: b}}}
		ctx := e.newContext(r, PolicyTypeAccess)
		defer ctx.release()
		path := &ctx.paths[PolicyTypeAccess]
		match := m.match(path.elements, ctx)
		var root indexNode
		root.add(m, 1)
		if match != MatchNone && !slices.Contains(root.collect(path.elements, true, nil), 1) {
			t.Errorf("matches as %s, but the index does not find it", match)
		}
	})
}
