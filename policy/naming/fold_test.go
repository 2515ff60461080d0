package naming_test

import (
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"ucwarden/policy/naming"
)

// TestLoose holds that names which differ in case alone, by any of Unicode's rules, or in how characters are composed,
// have one loose name, and that folding twice is folding once.
func TestLoose(t *testing.T) {
	name := rapid.StringOf(rapid.OneOf(rapid.SampledFrom([]rune("aZéſςıİßK\u0301\u0345ᾳά한ﬁ_.")), rapid.Rune()))
	rapid.Check(t, func(t *rapid.T) {
		s := name.Draw(t, "name")
		loose := naming.Loose(s)
		if again := naming.Loose(loose); again != loose {
			t.Errorf("%+q has the loose name %+q, and that %+q", s, loose, again)
		}
		for what, other := range map[string]string{"canonical": naming.Canonical(s), "composed": norm.NFC.String(s), "decomposed": norm.NFD.String(s)} {
			if got := naming.Loose(other); got != loose {
				t.Errorf("%+q has the loose name %+q, the %s %+q has %+q", s, loose, what, other, got)
			}
		}
		for _, r := range s {
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				if a, b := naming.Loose(string(r)), naming.Loose(string(f)); a != b {
					t.Errorf("%q has the loose name %+q, and %q of another case %+q", r, a, f, b)
				}
			}
		}
	})
}
