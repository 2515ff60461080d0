package jsontext

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Scanner reads the tokens of a JSON text. It accepts what encoding/json accepts, and allocates nothing.
type Scanner struct {
	Data []byte
	At   int // the next byte
}

// Space skips white space.
func (s *Scanner) Space() {
	for s.At < len(s.Data) {
		switch s.Data[s.At] {
		case ' ', '\t', '\r', '\n':
			s.At++
		default:
			return
		}
	}
}

// Next consumes the byte c and the white space around it, and reports whether it was there.
func (s *Scanner) Next(c byte) bool {
	if s.At >= len(s.Data) || s.Data[s.At] != c {
		return false
	}
	s.At++
	s.Space()
	return true
}

// Literal consumes the text, and reports whether it was there.
func (s *Scanner) Literal(text string) bool {
	if len(s.Data)-s.At < len(text) || string(s.Data[s.At:s.At+len(text)]) != text {
		return false
	}
	s.At += len(text)
	return true
}

func (s *Scanner) digits() bool {
	from := s.At
	for s.At < len(s.Data) && s.Data[s.At]-'0' <= 9 {
		s.At++
	}
	return s.At > from
}

// Number reads a number, and reports whether there was one.
func (s *Scanner) Number() bool {
	if s.At < len(s.Data) && s.Data[s.At] == '-' {
		s.At++
	}
	if s.At < len(s.Data) && s.Data[s.At] == '0' {
		s.At++
	} else if !s.digits() {
		return false
	}
	if s.At < len(s.Data) && s.Data[s.At] == '.' {
		s.At++
		if !s.digits() {
			return false
		}
	}
	if s.At < len(s.Data) && s.Data[s.At]|0x20 == 'e' {
		s.At++
		if s.At < len(s.Data) && (s.Data[s.At] == '+' || s.Data[s.At] == '-') {
			s.At++
		}
		return s.digits()
	}
	return true
}

// Text reads a string and returns where its content stands. escaped reports that it holds escapes.
func (s *Scanner) Text() (from, to int, escaped, ok bool) {
	data, i := s.Data, s.At+1
	for i < len(data) {
		if !special[data[i]] {
			i++
			continue
		}
		if data[i] == '"' {
			from = s.At + 1
			s.At = i + 1
			return from, i, escaped, true
		}
		n := escapeLength(data[i:])
		if n == 0 {
			return 0, 0, escaped, false
		}
		escaped = true
		i += n
	}
	return 0, 0, escaped, false
}

// special are the bytes that end a string, begin an escape, or may not stand in a string.
var special = func() (table [256]bool) {
	for c := range ' ' {
		table[c] = true
	}
	table['"'], table['\\'] = true, true
	return table
}()

// escapeLength returns how long the escape is that text begins with, 0 when it is none.
func escapeLength(text []byte) int {
	if len(text) < 2 || text[0] != '\\' {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(text) < 6 {
			return 0
		}
		for _, c := range text[2:6] {
			if c-'0' > 9 && (c|0x20)-'a' > 5 {
				return 0
			}
		}
		return 6
	}
	return 0
}

// Unescape returns the text that a JSON string, with its quotes, stands for. It may share the string's memory.
func Unescape(quoted []byte) []byte {
	if len(quoted) > 1 && bytes.IndexByte(quoted, '\\') < 0 && utf8.Valid(quoted) {
		return quoted[1 : len(quoted)-1]
	}
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return quoted
	}
	return []byte(text)
}
