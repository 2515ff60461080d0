package accepted

import (
	"strings"
	"unicode"
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

// NameProblem returns why a user, group or role of that name can hardly exist: it is quoted, a list in one text, or holds
// what no name holds; "" when there is nothing wrong with it. Commas are fine in names of groups of a directory.
func NameProblem(name string) string {
	if isPlain(name) {
		return ""
	}
	several := strings.FieldsFunc(name, func(r rune) bool { return r == ';' || r == ',' })
	mails := 0
	for _, part := range several {
		if strings.Contains(part, "@") {
			mails++
		}
	}
	switch {
	case strings.TrimFunc(name, unicode.IsSpace) != name:
		return "it begins or ends with a blank"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "it holds a control character"
	case strings.ContainsFunc(name, isInvisible):
		return "it holds an invisible character"
	case strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]"):
		return "it is a list written as one text; write each name for itself"
	case strings.ContainsAny(name, "\"`\u201c\u201d\u201e") || strings.HasPrefix(name, "'") || strings.HasSuffix(name, "'"):
		return "it holds quotes; write the name without them"
	case len(several) > 1 && (strings.Contains(name, ";") || mails > 1):
		return "it holds several names; write each for itself"
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
