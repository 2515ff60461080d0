package policy

import (
	"strings"
	"unicode"
)

// CanonicalName folds a name as the Unity Catalog server does with every name but column names: rune by rune to lower
// case. Whoever compares names without regard to case, compares what it returns.
func CanonicalName(name string) string { return strings.ToLower(name) }

// LooseName folds a name further than [CanonicalName], by Unicode's simple case folding and by upper case, so that 'ſ' is
// 's', 'ς' is 'σ' and 'ı' is 'i'. Two names with one canonical name have one loose name. Where somebody is denied
// something, names are compared loosely too: whether the other side takes two such names for one cannot be known, and a
// deny must not be lost by it.
func LooseName(name string) string {
	folded := true
	for i := range len(name) {
		if name[i] >= 0x80 {
			return looseRunes(name)
		}
		folded = folded && (name[i] < 'A' || name[i] > 'Z')
	}
	if folded {
		return name
	}
	return strings.ToLower(name)
}

func looseRunes(name string) string {
	return strings.Map(func(r rune) rune {
		r = unicode.ToLower(unicode.ToUpper(unicode.ToLower(r)))
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return unicode.ToLower(least)
	}, name)
}

// IsASCII reports whether a name has only ASCII characters. The loose name of such a name is its canonical name.
func IsASCII(name string) bool {
	for i := range len(name) {
		if name[i] >= 0x80 {
			return false
		}
	}
	return true
}
