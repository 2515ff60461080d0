package emulator

import "strings"

// likePattern is a compiled SQL LIKE pattern: '%' matches any characters, '_' matches one, and '\' escapes the character
// after it. Names are in lower case, so the pattern is too.
type likePattern struct {
	tokens []likeToken
	all    bool // matches every name
}

type likeToken struct {
	kind likeKind
	char rune
}

type likeKind uint8

const (
	likeChar likeKind = iota
	likeOne
	likeRun
)

// newLikePattern compiles text; the empty pattern matches everything, as the API defines for absent ones.
func newLikePattern(text string) likePattern { return compileLike(strings.ToLower(text)) }

// compileLike compiles a pattern whose case counts.
func compileLike(text string) likePattern {
	if strings.Trim(text, "%") == "" {
		return likePattern{all: true}
	}
	var p likePattern
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			p.tokens = append(p.tokens, likeToken{likeChar, r})
			escaped = false
		case r == '\\':
			escaped = true
		case r == '%':
			if n := len(p.tokens); n == 0 || p.tokens[n-1].kind != likeRun {
				p.tokens = append(p.tokens, likeToken{kind: likeRun})
			}
		case r == '_':
			p.tokens = append(p.tokens, likeToken{kind: likeOne})
		default:
			p.tokens = append(p.tokens, likeToken{likeChar, r})
		}
	}
	if escaped { // a single '\' at the end matches itself
		p.tokens = append(p.tokens, likeToken{likeChar, '\\'})
	}
	return p
}

// match reports whether the whole name matches, in time O(len(pattern) × len(name)) at worst: only the last '%' seen
// is backtracked to.
func (p likePattern) match(name string) bool {
	if p.all {
		return true
	}
	runes := []rune(name)
	ti, ni := 0, 0
	runToken, runName := -1, 0
	for ni < len(runes) {
		switch {
		case ti < len(p.tokens) && p.tokens[ti].kind == likeRun:
			runToken, runName = ti, ni
			ti++
		case ti < len(p.tokens) && (p.tokens[ti].kind == likeOne || p.tokens[ti].char == runes[ni]):
			ti++
			ni++
		case runToken >= 0:
			runName++
			ti, ni = runToken+1, runName
		default:
			return false
		}
	}
	for ti < len(p.tokens) && p.tokens[ti].kind == likeRun {
		ti++
	}
	return ti == len(p.tokens)
}

// prefix returns the literal text that every matching name begins with.
func (p likePattern) prefix() string {
	var b strings.Builder
	for _, t := range p.tokens {
		if t.kind != likeChar {
			break
		}
		b.WriteRune(t.char)
	}
	return b.String()
}
