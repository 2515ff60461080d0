package naming

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Canonical folds a name as the Unity Catalog server does with every name but column names: rune by rune to lower
// case. Whoever compares names without regard to case, compares what it returns.
func Canonical(name string) string { return strings.ToLower(name) }

// Loose folds a name further than [Canonical], by Unicode's simple case folding and by upper case, so that 'ſ' is
// 's', 'ς' is 'σ' and 'ı' is 'i', and to the composed form NFC (Unicode Standard Annex #15), so that an 'é' typed as one
// character is the 'é' of an 'e' and an accent. Two names with one canonical name have one loose name. Where somebody is
// denied something, names are compared loosely too: whether the other side takes two such names for one cannot be known,
// and a deny must not be lost by it.
func Loose(name string) string {
	loose, _ := LooseASCII(name)
	return loose
}

// LooseASCII returns [Loose] and [IsASCII] of a name, which most often is its own loose name, and is read once then.
func LooseASCII(name string) (loose string, ascii bool) {
	for i := range len(name) {
		if c := name[i]; c >= utf8.RuneSelf || c-'A' <= 'Z'-'A' {
			if !IsASCII(name[i:]) {
				return looseRunes(name), false
			}
			return strings.ToLower(name), true
		}
	}
	return name, true
}

// looseRunes decomposes, folds and composes, as the canonical caseless match of the Unicode Standard (3.13, D145) does.
func looseRunes(name string) string {
	var b strings.Builder
	var base rune
	for _, r := range norm.NFD.String(name) {
		const dotAbove = '\u0307'
		if r == dotAbove && base == 'i' {
			continue // 'İ' is 'i', so what it decomposes to is, too
		}
		r = looseRune(r)
		if !unicode.IsMark(r) {
			base = r
		}
		b.WriteRune(r)
	}
	return norm.NFC.String(b.String())
}

func looseRune(r rune) rune {
	r = unicode.ToLower(unicode.ToUpper(unicode.ToLower(r)))
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return unicode.ToLower(least)
}

// IsASCII reports whether a name has only ASCII characters. The loose name of such a name is its canonical name.
func IsASCII(name string) bool {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
