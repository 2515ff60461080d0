package sqlexpr

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxIdentifier is the longest name that an identifier may have, in characters.
const maxIdentifier = 255

// substitution begins what Spark replaces in the text of a statement, before it is parsed, by the value of a variable.
const substitution = "${"

// Identifier returns a name quoted for SQL. It returns an error for one that no object or column can have, or that cannot be
// written: an empty one, one that is too long or not valid UTF-8, or that holds control characters or "${".
func Identifier(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("an empty name")
	case !utf8.ValidString(name):
		return "", fmt.Errorf("the name %q is not valid UTF-8", name)
	case utf8.RuneCountInString(name) > maxIdentifier:
		return "", fmt.Errorf("the name %.40q… is longer than %d characters", name, maxIdentifier)
	case strings.ContainsFunc(name, unicode.IsControl):
		return "", fmt.Errorf("the name %q holds a control character", name)
	case strings.Contains(name, substitution):
		return "", fmt.Errorf("the name %q holds %s, which SQL would take for a variable", name, substitution)
	}
	return "`" + strings.ReplaceAll(name, "`", "``") + "`", nil
}

// QualifiedName returns the parts of a name quoted and joined. The parts are never found by splitting on dots: names of
// columns may hold them.
func QualifiedName(parts ...string) (string, error) {
	quoted := make([]string, len(parts))
	for i, part := range parts {
		q, err := Identifier(part)
		if err != nil {
			return "", err
		}
		quoted[i] = q
	}
	return strings.Join(quoted, "."), nil
}

// literalEscapes are the characters that a string literal holds with a backslash. A quote is never doubled: older runtimes
// read two literals there, and join them. NUL is not written \0, which with digits after it is another character.
var literalEscapes = strings.NewReplacer(
	`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\x00", `\u0000`, "\x1a", `\Z`, substitution, `$\{`,
)

// Literal returns a text as a string literal of SQL. It returns an error for one that is not valid UTF-8, which would become
// another text on its way.
func Literal(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", fmt.Errorf("the text %q is not valid UTF-8", text)
	}
	return "'" + literalEscapes.Replace(text) + "'", nil
}

// quotedName returns the length of the name in backticks that a text begins with.
func quotedName(text string) (int, error) {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] != '`':
		case strings.HasPrefix(text[i+1:], "`"):
			i++
		default:
			_, err := Identifier(strings.ReplaceAll(text[1:i], "``", "`"))
			return i + 1, err
		}
	}
	return 0, errors.New("a name that has no end")
}

// typeCharacters are those of types whose text may stand in a statement as Unity Catalog wrote it.
const typeCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ <>(),:"

// ofWords are the types of more than one word.
var ofWords = regexp.MustCompile(`(?i)^(string collate [a-z0-9_]+|interval (year|month|day|hour|minute|second)( to (month|hour|minute|second))?)$`)

// TypeName returns a type as Unity Catalog writes it, for a statement. It returns an error for one that holds more than
// words, numbers, brackets and, within them, names in backticks: fields of structures have names that their author chose.
func TypeName(text string) (string, error) {
	var open []rune
	end := 0 // of the name that was read last
	for i, r := range text {
		switch {
		case i < end:
		case r == '`' && len(open) > 0 && open[len(open)-1] == '<' && strings.IndexByte("<, ", text[i-1]) >= 0:
			n, err := quotedName(text[i:])
			if err != nil {
				return "", fmt.Errorf("the type %q: %w", text, err)
			}
			if end = i + n; end == len(text) || text[end] != ':' && text[end] != ' ' {
				return "", fmt.Errorf("the type %q holds a name that no type follows", text)
			}
		case !strings.ContainsRune(typeCharacters, r):
			return "", fmt.Errorf("the type %q holds %q", text, r)
		case r == '<' || r == '(':
			open = append(open, r)
		case r == '>' || r == ')':
			if len(open) == 0 || (r == '>') != (open[len(open)-1] == '<') {
				return "", fmt.Errorf("the brackets of the type %q do not match", text)
			}
			open = open[:len(open)-1]
		case len(open) == 0 && (r == ',' || r == ':' || r == ' ' && !ofWords.MatchString(text)):
			return "", fmt.Errorf("the type %q is more than one", text)
		}
	}
	if text == "" || len(open) > 0 || strings.IndexByte("<>(),: 0123456789", text[0]) >= 0 {
		return "", fmt.Errorf("the type %q is not understood", text)
	}
	return text, nil
}
