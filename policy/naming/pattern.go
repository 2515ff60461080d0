package naming

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Pattern is a compiled name pattern: '*' stands for any run of characters, '?' for one character. Matching takes
// time in O(len(pattern) × len(name)) at worst, whatever the pattern. The zero Pattern matches the empty name only.
type Pattern struct {
	text     string // folded when fold is set
	kind     patternKind
	fold     bool
	wildcard bool
}

type patternKind uint8

const (
	patternExact  patternKind = iota // no wildcard
	patternAny                       // one or more '*'
	patternPrefix                    // literal, then '*'
	patternGlob                      // anything else
)

// NewPattern compiles text. With wildcard unset '*' and '?' stand for themselves; with fold set case is ignored.
func NewPattern(text string, wildcard, fold bool) Pattern {
	if fold {
		text = Canonical(text)
	}
	p := Pattern{text: text, fold: fold, wildcard: wildcard}
	if !wildcard {
		return p
	}
	first := strings.IndexAny(text, "*?")
	switch {
	case first < 0:
	case strings.Trim(text, "*") == "":
		p.kind = patternAny
	case text[first] == '*' && strings.Trim(text[first:], "*") == "":
		p.kind, p.text = patternPrefix, text[:first]
	default:
		p.kind = patternGlob
	}
	return p
}

// MatchesAll reports whether every name matches, present and future.
func (p Pattern) MatchesAll() bool { return p.kind == patternAny }

// Exact returns the only name that matches; ok is false for a pattern with wildcards.
func (p Pattern) Exact() (name string, ok bool) { return p.text, p.kind == patternExact }

// Prefix returns the literal text that every matching name begins with.
func (p Pattern) Prefix() string {
	switch p.kind {
	case patternAny:
		return ""
	case patternGlob:
		return p.text[:strings.IndexAny(p.text, "*?")]
	}
	return p.text
}

// BeginsWith returns the text that a name must begin with to match, and is enough for it.
func (p Pattern) BeginsWith() (text string, ok bool) { return p.text, p.kind == patternPrefix }

// GramLength is the length of a gram, in bytes: long enough to be rare, short enough for most patterns to have one.
const GramLength = 3

// Grams lists the runs of GramLength bytes that every matching name holds.
func (p Pattern) Grams() []string {
	var list []string
	for _, literal := range strings.FieldsFunc(p.String(), func(r rune) bool { return p.kind != patternExact && (r == '*' || r == '?') }) {
		for i := range len(literal) - GramLength + 1 {
			list = append(list, literal[i:i+GramLength])
		}
	}
	return list
}

// Match reports whether name matches.
func (p Pattern) Match(name string) bool {
	switch {
	case !p.fold:
		return p.MatchCanonical(name)
	case p.kind != patternGlob && p.MatchCanonical(name): // as most names are written; the text is folded
		return true
	}
	return p.MatchCanonical(Canonical(name))
}

// MatchCanonical is Match for a name that is folded where the pattern is.
func (p *Pattern) MatchCanonical(name string) bool {
	switch p.kind {
	case patternAny:
		return true
	case patternPrefix:
		return strings.HasPrefix(name, p.text)
	case patternExact:
		return name == p.text
	}
	return matchGlob(p.text, name)
}

// matchGlob matches with one point of return: the last '*' seen, which takes one character more at each failure.
func matchGlob(pattern, name string) bool {
	pi, ni := 0, 0
	starPattern, starName := -1, 0
	for ni < len(name) {
		switch {
		case pi < len(pattern) && pattern[pi] == '*':
			starPattern, starName = pi, ni
			pi++
		case pi < len(pattern) && pattern[pi] == '?':
			pi++
			ni += runeLen(name[ni:])
		case pi < len(pattern) && pattern[pi] == name[ni]:
			pi++
			ni++
		case starPattern >= 0:
			starName += runeLen(name[starName:])
			pi, ni = starPattern+1, starName
		default:
			return false
		}
	}
	return strings.Trim(pattern[pi:], "*") == ""
}

func runeLen(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	for i := range s {
		if i > 0 {
			return i
		}
	}
	return len(s)
}

func (p Pattern) String() string {
	if p.kind == patternPrefix {
		return p.text + "*"
	}
	return p.text
}

// Loose is the pattern for names folded by [Loose].
func (p Pattern) Loose() Pattern {
	p.text, p.fold = Loose(p.text), false
	return p
}

// Covers reports whether p matches every name that o matches. It may miss that it does where '?' and '*' stand side by
// side.
func (p Pattern) Covers(o Pattern) bool {
	if p.kind == patternAny {
		return true
	}
	if name, ok := o.Exact(); ok {
		return p.Match(name)
	}
	if o.kind == patternAny {
		return false
	}
	// A wildcard of o is a character of its own, which stands for names that only a wildcard at least as wide takes.
	wide := []rune(p.String())
	reach := make([]bool, len(wide)+1)
	reach[0] = true
	stars := func(at []bool) {
		for i, c := range wide {
			if at[i] && p.wildcard && c == '*' {
				at[i+1] = true
			}
		}
	}
	stars(reach)
	for _, n := range o.String() {
		next := make([]bool, len(wide)+1)
		for i, c := range wide {
			switch {
			case !reach[i]:
			case p.wildcard && c == '*':
				next[i] = true
			case p.wildcard && c == '?' && n != '*' || c == n && n != '*':
				next[i+1] = true
			}
		}
		stars(next)
		reach = next
	}
	return reach[len(wide)]
}

// MatchesBeginning reports whether some name that begins with the given text matches. It follows every position in the pattern that the text may lead to.
func (p Pattern) MatchesBeginning(text string) bool {
	if p.fold {
		text = Canonical(text)
	}
	switch p.kind {
	case patternAny:
		return true
	case patternExact:
		return strings.HasPrefix(p.text, text)
	case patternPrefix:
		return strings.HasPrefix(p.text, text) || strings.HasPrefix(text, p.text)
	}
	at := make([]bool, len(p.text)+1)
	skipStars := func() {
		for i := range len(p.text) {
			if at[i] && p.text[i] == '*' {
				at[i+1] = true
			}
		}
	}
	at[0] = true
	skipStars()
	for _, c := range []byte(text) {
		next := make([]bool, len(p.text)+1)
		for i := range len(p.text) {
			switch {
			case !at[i]:
			case p.text[i] == '*':
				next[i] = true
			case p.text[i] == '?' || p.text[i] == c:
				next[i+1] = true
			}
		}
		at = next
		skipStars()
	}
	return slices.Contains(at, true)
}

// IgnoresCase reports whether case does not matter.
func (p Pattern) IgnoresCase() bool { return p.fold }

// Canonical returns the pattern of the names that it matches, to be asked for canonical names only: it does not fold them
// again.
func (p Pattern) Canonical() Pattern {
	p.fold = false
	return p
}

// IsLiteralWildcard reports whether the pattern is a name with '*' or '?' that stand for themselves.
func (p Pattern) IsLiteralWildcard() bool { return !p.wildcard && strings.ContainsAny(p.text, "*?") }
