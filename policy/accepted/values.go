package accepted

import (
	"strings"
	"unicode"

	"ucwarden/policy/ranger"
)

// ValueProblem returns why a value of a policy's resource can match no name of Unity Catalog, or is clearly a mistake of
// whatever wrote it; "" when there is nothing wrong with it. Wildcards and macros ({USER}, ${{USER.attr}}) are fine.
//
// Unity Catalog's names hold no control characters, and names in a policy are written as they are: without quotes, and
// one in each value.
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
	case strings.ContainsFunc(bare, isInvisible):
		return "it holds an invisible character"
	case strings.TrimFunc(value, unicode.IsSpace) != value:
		return "it begins or ends with a blank"
	case strings.HasPrefix(bare, "[") && strings.HasSuffix(bare, "]"):
		return "it is a list written as one text; write each name as a value of its own"
	case strings.ContainsAny(bare, "\"`\u201c\u201d\u201e") || strings.HasPrefix(bare, "'") || strings.HasSuffix(bare, "'"):
		return "it holds quotes; write the name without them"
	case strings.ContainsAny(bare, ";,"):
		return "it holds several names; write each as a value of its own"
	}
	return ""
}

// TagProblem returns why a value of a tag policy's resource is no tag's name, as [ValueProblem]; "" where some tag of the snapshot has
// the name, since names of tags may hold nearly anything.
func TagProblem(s *ranger.Snapshot, value string) string {
	why := ValueProblem(value)
	if why == "" || s.Tags == nil {
		return why
	}
	for _, tag := range s.Tags.Tags {
		if strings.EqualFold(tag.Type, value) {
			return ""
		}
	}
	return why
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

// isInvisible reports characters that take no room: a name copied from a web page may hold one.
func isInvisible(r rune) bool {
	switch r {
	case '\u200b', '\u200c', '\u200d', '\u2060', '\ufeff', '\u00ad':
		return true
	}
	return false
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
