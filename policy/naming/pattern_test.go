package naming_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy/naming"
)

// A pattern matches what the regular expression of the same meaning matches.
func TestPattern(t *testing.T) {
	if naming.NewPattern("*??cd", true, false).Match("テcd") {
		t.Error("'*' ended inside a character, whose rest passed for two")
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("aAüテ*?.")), 0, 6, -1).Draw(t, "pattern")
		name := rapid.StringOfN(rapid.RuneFrom([]rune("aAüÜテ*?.")), 0, 6, -1).Draw(t, "name")
		wildcard, fold := rapid.Bool().Draw(t, "wildcard"), rapid.Bool().Draw(t, "fold")
		expression := regexp.QuoteMeta(text)
		if wildcard {
			expression = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(expression)
		}
		if fold {
			expression = "(?i)" + expression
		}
		p := naming.NewPattern(text, wildcard, fold)
		if got, want := p.Match(name), regexp.MustCompile(`^(?s:`+expression+`)$`).MatchString(name); got != want {
			t.Fatalf("%q matches %q: %t, want %t", text, name, got, want)
		}
		lower := name
		if fold {
			lower = strings.ToLower(name)
		}
		if p.Match(name) && !strings.HasPrefix(lower, p.Prefix()) {
			t.Fatalf("%q matches %q without its prefix %q", text, name, p.Prefix())
		}
		if p.MatchesAll() && !p.Match(name) {
			t.Fatalf("%q matches all but %q", text, name)
		}
		if exact, ok := p.Exact(); ok && p.Match(name) && lower != exact {
			t.Fatalf("%q is said to match %q only, and matches %q", text, exact, name)
		}
	})
}
