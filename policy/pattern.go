package policy

import "strings"

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
		text = strings.ToLower(text)
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

// Exact gives the only name that matches; ok is false for a pattern with wildcards.
func (p Pattern) Exact() (name string, ok bool) { return p.text, p.kind == patternExact }

// Prefix gives the literal text that every matching name begins with.
func (p Pattern) Prefix() string {
	switch p.kind {
	case patternAny:
		return ""
	case patternGlob:
		return p.text[:strings.IndexAny(p.text, "*?")]
	}
	return p.text
}

// gramLength is the length of a gram: long enough to be rare, short enough for most patterns to have one.
const gramLength = 3

// grams lists the runs of gramLength bytes that every matching name holds.
func (p Pattern) grams() []string {
	var list []string
	for _, literal := range strings.FieldsFunc(p.String(), func(r rune) bool { return p.kind != patternExact && (r == '*' || r == '?') }) {
		for i := range len(literal) - gramLength + 1 {
			list = append(list, literal[i:i+gramLength])
		}
	}
	return list
}

// Match reports whether name matches.
func (p Pattern) Match(name string) bool {
	if p.fold {
		name = strings.ToLower(name)
	}
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
