package statement

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind int

const (
	end        tokenKind = iota
	word                 // an identifier or keyword without quotes
	quoted               // an identifier in backticks
	text                 // a literal in quotes
	number               // digits
	parameter            // :name
	punctuator           // any other, one character, or <> != <= >= == <=> ||
)

type token struct {
	kind tokenKind
	text string // of literals and quoted identifiers what they stand for
	at   int    // byte offset in the statement
}

// Error is a mistake in a statement, with its place.
type Error struct {
	At      int // byte offset
	Message string
	// Unsupported says that the statement may be right, and is one that the emulator does not carry out.
	Unsupported bool
}

func (e *Error) Error() string { return fmt.Sprintf("%s (at character %d)", e.Message, e.At) }

func mistake(at int, format string, args ...any) error {
	return &Error{At: at, Message: fmt.Sprintf(format, args...)}
}

// lex splits a statement into tokens, without spaces and comments; the last is an end.
func lex(s string) ([]token, error) {
	if !utf8.ValidString(s) {
		return nil, mistake(0, "the statement is not UTF-8")
	}
	var tokens []token
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		start := i
		switch {
		case unicode.IsSpace(r):
			i += size
		case strings.HasPrefix(s[i:], "--"):
			if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(s)
			}
		case strings.HasPrefix(s[i:], "/*"):
			n := strings.Index(s[i+2:], "*/")
			if n < 0 {
				return nil, mistake(start, "a comment is not closed")
			}
			i += n + 4
		case r == '`' || r == '\'' || r == '"':
			value, length, err := unquote(s[i:], byte(r), start)
			if err != nil {
				return nil, err
			}
			kind := text
			if r == '`' {
				kind = quoted
			}
			tokens = append(tokens, token{kind, value, start})
			i += length
		case r == ':' && i+1 < len(s) && isWord(rune(s[i+1])):
			for i++; i < len(s) && isWord(rune(s[i])); i++ {
			}
			tokens = append(tokens, token{parameter, s[start+1 : i], start})
		case isWord(r):
			kind := number
			for i < len(s) && isWord(rune(s[i])) {
				if s[i] < '0' || s[i] > '9' {
					kind = word
				}
				i++
			}
			tokens = append(tokens, token{kind, s[start:i], start})
		default:
			i += size
			switch {
			case strings.HasPrefix(s[start:], "<=>"):
				i += 2
			case i < len(s) && (r == '<' || r == '>' || r == '!' || r == '=') && s[i] == '=', i < len(s) && r == '<' && s[i] == '>', strings.HasPrefix(s[start:], "||"):
				i++
			}
			tokens = append(tokens, token{punctuator, s[start:i], start})
		}
	}
	return append(tokens, token{end, "", len(s)}), nil
}

func isWord(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// unquote returns what a quoted text at the beginning of s stands for, and its length. A backtick is doubled inside backticks;
// in literals a backslash escapes.
func unquote(s string, quote byte, at int) (value string, length int, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote && quote == '`' && i+1 < len(s) && s[i+1] == quote:
			b.WriteByte(quote)
			i++
		case s[i] == quote:
			return b.String(), i + 1, nil
		case s[i] == '\\' && quote != '`' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 'r':
				b.WriteByte('\r')
			case 't':
				b.WriteByte('\t')
			case '0':
				b.WriteByte(0)
			case 'Z':
				b.WriteByte(0x1a)
			case '%', '_': // kept for LIKE
				b.WriteByte('\\')
				b.WriteByte(s[i])
			default:
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", 0, mistake(at, "a quote is not closed")
}
