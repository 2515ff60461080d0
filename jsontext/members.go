package jsontext

import (
	"iter"
	"unicode/utf8"
)

// Members returns the members of a JSON object in their order: the names as they read, the values as they are written;
// both may share data's memory. The data must be valid JSON; what is not an object has no members.
func Members(data []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		s := Scanner{Data: data}
		s.Space()
		if !s.Next('{') {
			return
		}
		for s.At < len(data) && !s.Next('}') {
			s.Next(',')
			from := s.At
			begin, end, escaped, _ := s.Text()
			name := data[begin:end:end]
			if escaped || !utf8.Valid(name) {
				name = Unescape(data[from:s.At])
			}
			s.Space()
			s.Next(':')
			if !yield(name, s.value()) {
				return
			}
		}
	}
}

// Elements returns the elements of a JSON array in their order, as they are written; they share data's memory. The data
// must be valid JSON; what is not an array has no elements.
func Elements(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s := Scanner{Data: data}
		s.Space()
		if !s.Next('[') {
			return
		}
		for s.At < len(data) && !s.Next(']') {
			s.Next(',')
			if !yield(s.value()) {
				return
			}
		}
	}
}

// value consumes a valid value and the white space after it, and returns the value.
func (s *Scanner) value() []byte {
	from := s.At
	for depth, done := 0, false; !done && s.At < len(s.Data); done = depth == 0 {
		switch s.Data[s.At] {
		case '"':
			s.Text()
		case '{', '[':
			depth++
			s.At++
		case '}', ']':
			depth--
			s.At++
		case ' ', '\t', '\r', '\n', ',', ':': // inside an object or array
			s.At++
		default:
			s.scalar()
		}
	}
	value := s.Data[from:s.At:s.At]
	s.Space()
	return value
}

// scalar consumes a valid number or word.
func (s *Scanner) scalar() {
	for s.At++; s.At < len(s.Data); s.At++ {
		switch s.Data[s.At] {
		case ' ', '\t', '\r', '\n', ',', ':', '}', ']':
			return
		}
	}
}
