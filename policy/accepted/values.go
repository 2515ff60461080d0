package accepted

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// ValueProblem returns why a value of a policy's resource can match no name of Unity Catalog, or is clearly a mistake of
// whatever wrote it; "" when there is nothing wrong with it. Wildcards and macros ({USER}, ${{USER.attr}}) are fine.
//
// Unity Catalog's names hold no control characters, and names in a policy are written as they are: without quotes around
// them, and one in each value.
func ValueProblem(value string) string {
	if isPlain(value) {
		return ""
	}
	bare := withoutExpressions(value)
	switch {
	case value == "":
		return "it is empty"
	case strings.TrimFunc(value, unicode.IsSpace) == "":
		return "it is nothing but blanks"
	case strings.ContainsFunc(bare, unicode.IsControl):
		return "it holds a control character"
	case holdsInvisible(bare):
		return "it holds an invisible character"
	case strings.TrimFunc(value, unicode.IsSpace) != value:
		return "it begins or ends with a blank"
	case strings.HasPrefix(bare, "[") && strings.HasSuffix(bare, "]"):
		return "it is a list written as one text; write each name as a value of its own"
	case strings.Trim(bare, doubleQuotes+"'") != bare || standsInQuotes(bare): // names may hold one within
		return "it holds quotes; write the name without them"
	case strings.ContainsAny(bare, ";,"):
		return "it holds several names; write each as a value of its own"
	}
	return ""
}

// noMatch says of a value with a problem that it can match nothing; or, where Unity Catalog takes such a name, that it is no name that
// somebody means.
func noMatch(what, value, problem string) string {
	if what == "object" && problem != casedProblem && policy.ValidateName(wildcards.Replace(value)) == nil {
		return fmt.Sprintf("%q is hardly the name of an object: %s", value, problem)
	}
	return fmt.Sprintf("%q can match no %s: %s", value, what, problem)
}

// ExcludesAll returns why the values that a policy names for a resource match nothing, since they exclude every name; "" where they do not.
func ExcludesAll(r ranger.PolicyResource) string {
	if r.IsExcludes && slices.ContainsFunc(r.Values, func(v string) bool { return v != "" && strings.Trim(v, "*") == "" }) {
		return "it excludes '*', every name, so the policy matches nothing; name what to exclude"
	}
	return ""
}

// isPlain reports that a value holds nothing but what most names and patterns hold, so that there is no need to look
// closer.
func isPlain(value string) bool {
	for i := range len(value) {
		switch c := value[i]; {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', c == '_', c == '-', c == '*', c == '?', c == '.', c == '{', c == '}':
		default:
			return false
		}
	}
	return value != ""
}

// holdsInvisible reports whether a text has characters that are not seen, or change how the others are: a name copied from a web
// page may. They are those of Unicode that are ignored in display, those that format (but for the Arabic ones that are seen), and
// the empty Braille pattern. Joiners between letters of scripts that need them and between emoji, and what chooses the form of an
// emoji or a Chinese character, are part of the spelling.
func holdsInvisible(text string) bool {
	if isASCII(text) {
		return false
	}
	runes := []rune(text)
	for i, r := range runes {
		before, after := ' ', ' '
		if i > 0 {
			before = runes[i-1]
		}
		if i+1 < len(runes) {
			after = runes[i+1]
		}
		switch {
		case r < '\u00ad':
		case r == '\u200c' || r == '\u200d':
			if before <= lastLatin || after <= lastLatin {
				return true
			}
		case unicode.Is(unicode.Variation_Selector, r):
			keycap := after == '\u20e3' && strings.ContainsRune("0123456789#*", before)
			if !keycap && !unicode.Is(unicode.So, before) && !unicode.Is(unicode.Sk, before) && !unicode.Is(unicode.Han, before) {
				return true
			}
		case r == '\u2800', unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
			return true
		case unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r):
			return true
		}
	}
	return false
}

// lastLatin is the last letter of Unicode's first blocks of Latin letters.
const lastLatin = '\u024f'

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// holdsQuotes reports whether a text holds what is a double quote in some script, or stands in quotes of any kind.
func holdsQuotes(text string) bool {
	return strings.ContainsAny(text, doubleQuotes) || standsInQuotes(text)
}

// doubleQuotes are the double quotes of all scripts, and the backtick.
const doubleQuotes = "\"`\u201c\u201d\u201e\u201f\uff02\u275d\u275e\u301d\u301e"

// standsInQuotes reports whether a text begins and ends with a quote.
func standsInQuotes(text string) bool {
	first, n := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	const quotes = "'\u00b4\u2018\u2019\u201a\u201b\u2039\u203a\u00ab\u00bb\uff07\u300c\u300d"
	return len(text) > n && strings.ContainsRune(quotes, first) && strings.ContainsRune(quotes, last)
}

// withoutExpressions returns the text without its ${{...}}, in which quotes and commas have their place.
func withoutExpressions(text string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${{")
		_, after, closed := strings.Cut(rest, "}}")
		if !found || !closed {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(before)
		text = after
	}
}
