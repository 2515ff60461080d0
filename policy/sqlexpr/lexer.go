package sqlexpr

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Error is why an expression is refused.
type Error struct {
	Position int // of the character, from 1
	Reason   string
}

func (e *Error) Error() string { return fmt.Sprintf("at character %d: %s", e.Position, e.Reason) }

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenQuoted // `a name`
	tokenString
	tokenNumber
	tokenSymbol
	tokenMacro // ${{...}}
	tokenBrace // {col}
)

type token struct {
	kind   tokenKind
	text   string // of a string or name what it means; of a word as it is written
	upper  string // of a word
	offset int    // in bytes
}

// lexer reads the tokens of a text as Spark's lexer does, and refuses those that an expression may not hold.
type lexer struct {
	text string
	at   int
}

func (l *lexer) fail(offset int, format string, args ...any) *Error {
	return &Error{Position: utf8.RuneCountInString(l.text[:min(offset, len(l.text))]) + 1, Reason: fmt.Sprintf(format, args...)}
}

func isWordByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// symbols are the operators and brackets, longer ones first.
var symbols = []string{"<=>", "<>", "!=", "<=", ">=", "==", "||", "=", "<", ">", "(", ")", ",", "+", "-", "*", "/", "%"}

func (l *lexer) next() (token, *Error) {
	for l.at < len(l.text) && strings.IndexByte(" \t\r\n", l.text[l.at]) >= 0 {
		l.at++
	}
	start := l.at
	if start == len(l.text) {
		return token{kind: tokenEnd, offset: start}, nil
	}
	rest := l.text[start:]
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "--") || strings.HasPrefix(rest, "/*"):
		return token{}, l.fail(start, "comments are not allowed")
	case c == ';':
		return token{}, l.fail(start, "';' is not allowed")
	case c == '?' || c == ':' || c == '@':
		return token{}, l.fail(start, "parameters and paths (%q) are not allowed", c)
	case c == '\'' || c == '"':
		return l.str(start)
	case c == '`':
		return l.quoted(start)
	case strings.HasPrefix(rest, "${{"):
		end := strings.Index(rest, "}}")
		if end < 0 {
			return token{}, l.fail(start, "a macro that has no end")
		}
		l.at = start + end + 2
		return token{kind: tokenMacro, text: strings.TrimSpace(rest[3:end]), offset: start}, nil
	case c == '{':
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return token{}, l.fail(start, "'{' that has no end")
		}
		l.at = start + end + 1
		return token{kind: tokenBrace, text: rest[1:end], offset: start}, nil
	case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return l.number(start)
	case isWordByte(c):
		for l.at < len(l.text) && isWordByte(l.text[l.at]) {
			l.at++
		}
		word := l.text[start:l.at]
		if l.at < len(l.text) && (l.text[l.at] == '\'' || l.text[l.at] == '"') && (strings.EqualFold(word, "r") || strings.EqualFold(word, "x")) {
			return token{}, l.fail(start, "raw and binary literals are not allowed")
		}
		return token{kind: tokenWord, text: word, upper: strings.ToUpper(word), offset: start}, nil
	}
	for _, s := range symbols {
		if strings.HasPrefix(rest, s) {
			l.at += len(s)
			return token{kind: tokenSymbol, text: s, offset: start}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return token{}, l.fail(start, "the character %q is not allowed", r)
}

// str reads a string literal, in either sort of quotes.
func (l *lexer) str(start int) (token, *Error) {
	quote := l.text[start]
	var out strings.Builder
	for i := start + 1; i < len(l.text); {
		switch c := l.text[i]; c {
		case quote:
			l.at = i + 1
			if after := strings.TrimLeft(l.text[l.at:], " \t\r\n"); after != "" && (after[0] == '\'' || after[0] == '"') {
				return token{}, l.fail(l.at, "two literals side by side, which runtimes read in different ways; write a quote inside a literal as \\%c", quote)
			}
			return token{kind: tokenString, text: out.String(), offset: start}, nil
		case '\\':
			if i+1 == len(l.text) {
				return token{}, l.fail(start, "a literal that has no end")
			}
			text, n := unescape(l.text[i+1:])
			if !utf8.ValidString(text) {
				return token{}, l.fail(i, "an escape that is no character")
			}
			out.WriteString(text)
			i += 1 + n
		default:
			out.WriteByte(c)
			i++
		}
	}
	return token{}, l.fail(start, "a literal that has no end")
}

// unescape returns what stands for the characters after a backslash, and how many bytes these are.
func unescape(s string) (text string, n int) {
	switch c := s[0]; c {
	case '0':
		if len(s) >= 3 && isOctal(s[1]) && isOctal(s[2]) {
			break
		}
		return "\x00", 1
	case 'b':
		return "\b", 1
	case 'n':
		return "\n", 1
	case 'r':
		return "\r", 1
	case 't':
		return "\t", 1
	case 'Z':
		return "\x1a", 1
	case '%', '_':
		return `\` + string(c), 1 // a wildcard of LIKE that is none
	case 'u':
		if len(s) >= 5 {
			if v, err := strconv.ParseUint(s[1:5], 16, 16); err == nil {
				if 0xd800 <= v && v < 0xe000 {
					return "\xff", 5
				}
				return string(rune(v)), 5
			}
		}
	}
	if len(s) >= 3 && '0' <= s[0] && s[0] <= '1' && isOctal(s[1]) && isOctal(s[2]) {
		v, _ := strconv.ParseUint(s[:3], 8, 8)
		return string(rune(v)), 3
	}
	_, n = utf8.DecodeRuneInString(s)
	return s[:n], n
}

func isOctal(c byte) bool { return '0' <= c && c <= '7' }

func (l *lexer) quoted(start int) (token, *Error) {
	var out strings.Builder
	for i := start + 1; i < len(l.text); i++ {
		if l.text[i] != '`' {
			out.WriteByte(l.text[i])
			continue
		}
		if i+1 < len(l.text) && l.text[i+1] == '`' {
			out.WriteByte('`')
			i++
			continue
		}
		l.at = i + 1
		return token{kind: tokenQuoted, text: out.String(), offset: start}, nil
	}
	return token{}, l.fail(start, "a quoted name that has no end")
}

// number reads digits, with a point and an exponent. Suffixes such as 1L are refused, and so is a word that begins with
// digits, which may be a name.
func (l *lexer) number(start int) (token, *Error) {
	digits := func() {
		for l.at < len(l.text) && isDigit(l.text[l.at]) {
			l.at++
		}
	}
	digits()
	if l.at < len(l.text) && l.text[l.at] == '.' {
		l.at++
		digits()
	}
	if l.at < len(l.text) && (l.text[l.at] == 'e' || l.text[l.at] == 'E') {
		end := l.at + 1
		if end < len(l.text) && (l.text[end] == '+' || l.text[end] == '-') {
			end++
		}
		if end < len(l.text) && isDigit(l.text[end]) {
			l.at = end
			digits()
		}
	}
	if l.at < len(l.text) && (isWordByte(l.text[l.at]) || l.text[l.at] == '.' || l.text[l.at] >= utf8.RuneSelf) {
		return token{}, l.fail(start, "a number with a suffix, or a name that begins with digits")
	}
	text := l.text[start:l.at]
	if l.at-start > 40 {
		return token{}, l.fail(start, "a number of more than 40 characters")
	}
	if strings.ContainsAny(text, "eE") {
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return token{}, l.fail(start, "a number out of the range of DOUBLE")
		}
	} else if len(strings.TrimLeft(strings.Replace(text, ".", "", 1), "0")) > maxDigits || len(text)-1-strings.IndexByte(text+".", '.') > maxDigits {
		return token{}, l.fail(start, "a number of more than %d digits", maxDigits)
	}
	return token{kind: tokenNumber, text: text, offset: start}, nil
}
