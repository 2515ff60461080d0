package conformance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A formula says who may do something: `MA | USE_CATALOG:catalog & (own:table | SELECT:table)`. Its words are the roles MA,
// AA and WA, own:KIND for the owner of an object of the test, and PRIVILEGE:KIND for a privilege granted on it.
type formula struct {
	or, and []formula
	word    string
}

// parseFormula parses a formula; '&' binds closer than '|'.
func parseFormula(t *testing.T, text string) formula {
	t.Helper()
	tokens := strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ", "|", " | ", "&", " & ").Replace(text))
	var either func() formula
	one := func() formula {
		if len(tokens) == 0 {
			t.Fatalf("formula %q ends too early", text)
		}
		word := tokens[0]
		tokens = tokens[1:]
		if word != "(" {
			return formula{word: word}
		}
		inner := either()
		if len(tokens) == 0 || tokens[0] != ")" {
			t.Fatalf("formula %q: a parenthesis is not closed", text)
		}
		tokens = tokens[1:]
		return inner
	}
	both := func() formula {
		all := formula{and: []formula{one()}}
		for len(tokens) > 0 && tokens[0] == "&" {
			tokens = tokens[1:]
			all.and = append(all.and, one())
		}
		return all
	}
	either = func() formula {
		f := formula{or: []formula{both()}}
		for len(tokens) > 0 && tokens[0] == "|" {
			tokens = tokens[1:]
			f.or = append(f.or, both())
		}
		return f
	}
	f := either()
	if len(tokens) > 0 {
		t.Fatalf("formula %q: unexpected %q", text, tokens[0])
	}
	return f
}

// holds reports whether the formula is true for who has the words.
func (f formula) holds(words []string) bool {
	switch {
	case f.word == "anybody":
		return true
	case f.word != "":
		return slices.Contains(words, f.word)
	case f.or != nil:
		return slices.ContainsFunc(f.or, func(g formula) bool { return g.holds(words) })
	}
	return !slices.ContainsFunc(f.and, func(g formula) bool { return !g.holds(words) })
}

// grounds returns the words but for roles.
func (f formula) grounds() []string {
	var list []string
	if strings.Contains(f.word, ":") {
		list = append(list, f.word)
	}
	for _, g := range slices.Concat(f.or, f.and) {
		list = append(list, g.grounds()...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func TestFormula(t *testing.T) {
	f := parseFormula(t, "MA | a:x & (b:x | c:x)")
	if got := f.grounds(); !slices.Equal(got, []string{"a:x", "b:x", "c:x"}) {
		t.Errorf("grounds %q", got)
	}
	for words, want := range map[string]bool{"": false, "MA": true, "a:x": false, "b:x c:x": false, "a:x c:x": true, "AA a:x b:x": true} {
		if got := f.holds(strings.Fields(words)); got != want {
			t.Errorf("%q: %v, want %v", words, got, want)
		}
	}
	f = parseFormula(t, "MA & a:x | AA | b:x")
	for role, want := range map[string]bool{"MA": true, "AA": false, "WA": false} {
		if got := f.combines(role, f.grounds()); got != want {
			t.Errorf("%s combines with grounds: %v, want %v", role, got, want)
		}
	}
	f = parseFormula(t, "a:x | b:x & c:x")
	if got, want := fmt.Sprint(f.boundary("", f.grounds())), "[[a:x] [b:x] [c:x] [b:x c:x] [a:x b:x c:x]]"; got != want {
		t.Errorf("boundary %s, want %s", got, want)
	}
}

// combines reports whether a role counts together with grounds: whether it is neither enough by itself nor without effect.
func (f formula) combines(role string, grounds []string) bool {
	var suffices, helps = true, false
	for _, set := range subsets(grounds) {
		with := f.holds(append([]string{role}, set...))
		suffices = suffices && with
		helps = helps || with != f.holds(set)
	}
	return helps && !suffices
}

// subsets returns every subset of a list, or, of a long list, those of at most three, and all but one, and all.
func subsets(list []string) [][]string {
	var all [][]string
	for bits := range 1 << len(list) {
		var chosen []string
		for i, word := range list {
			if bits&(1<<i) != 0 {
				chosen = append(chosen, word)
			}
		}
		if n := len(chosen); len(list) <= 6 || n <= 3 || n >= len(list)-1 {
			all = append(all, chosen)
		}
	}
	return all
}

// boundary returns those of the sets that decide about a formula in which nothing is negated: the smallest for which it
// holds, the largest for which it does not, and the whole.
func (f formula) boundary(role string, grounds []string) [][]string {
	holds := func(set []string) bool { return f.holds(append([]string{role}, set...)) }
	var chosen [][]string
	for _, set := range subsets(grounds) {
		held, decides := holds(set), true
		for _, g := range grounds {
			next := slices.DeleteFunc(slices.Clone(set), func(word string) bool { return word == g })
			if had := len(next) < len(set); had != held {
				continue // a smaller one of a set for which it does not hold, or a larger one of another
			} else if !had {
				next = append(next, g)
			}
			decides = decides && holds(next) != held
		}
		if decides || len(set) == len(grounds) {
			chosen = append(chosen, set)
		}
	}
	return chosen
}
