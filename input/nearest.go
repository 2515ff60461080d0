package input

import (
	"strings"
	"unicode"
)

// Nearest returns the known name that was probably meant by an unknown one, "" when none is near: one that differs in
// case only; else the one at the smallest edit distance, at most a third of the name's length; else the shortest that
// holds the name, or all its words, or is held by it: "enabled" is near "isEnabled", "denyItems" near "denyPolicyItems".
func Nearest(name string, known []string) string {
	const longest = 64 // a name beyond is no misspelling, and comparing it takes long
	if name == "" || len(name) > longest {
		return ""
	}
	lower := strings.ToLower(name)
	best, bestDistance := "", max(len(name)/3, 1)+1
	for _, k := range known {
		if strings.EqualFold(k, name) {
			return k
		}
		if max(len(k)-len(name), len(name)-len(k)) >= bestDistance {
			continue
		}
		if d := Distance(lower, strings.ToLower(k)); d < bestDistance && d < len(name) {
			best, bestDistance = k, d
		}
	}
	if best != "" {
		return best
	}
	for _, k := range known {
		if !namesPart(k, name) && !namesPart(name, k) {
			continue
		}
		if best == "" || len(k) < len(best) {
			best = k
		}
	}
	return best
}

// namesPart reports whether name stands in long, or each of its words does.
func namesPart(long, name string) bool {
	const shortest = 3 // letters of a word that means something
	lower := strings.ToLower(long)
	words := wordsOf(name)
	for _, word := range words {
		if len(word) < shortest || !strings.Contains(lower, word) {
			return len(name) >= shortest && strings.Contains(lower, strings.ToLower(name))
		}
	}
	return len(words) > 0
}

// wordsOf splits a name in camel case, or with '_' or '-', into its words, in lower case.
func wordsOf(name string) []string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.FieldsFunc(b.String(), func(r rune) bool { return r == ' ' || r == '_' || r == '-' })
}
