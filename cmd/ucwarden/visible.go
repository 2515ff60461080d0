package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// What is printed holds texts of others: whoever may post a task chooses its source, and whoever may create a table its name. In them
// control characters could clear the screen of an operator, write over what it shows or set the title of its window, and those that
// turn text round could show another name. So no command prints them: a line break in a text is shown as \n by show, which knows
// where a text ends, and all others by the streams, in JSON too, where an escape is the same text.

// hidden reports whether a character does something to a terminal other than to show itself. It is so for those that control or format
// text (Cc and Cf), bidirectional marks among them, and those that separate lines and paragraphs.
func hidden(r rune) bool {
	return r < ' ' || r >= 0x7f && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// appendVisible appends what shows a hidden character, in the form of JSON.
func appendVisible(b []byte, r rune) []byte {
	switch r {
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
		return fmt.Appendf(b, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// visibleText returns a text of others as one line that shows every character of it. Bytes that are no text are shown as \xNN.
func visibleText(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, hidden) {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			b = fmt.Appendf(b, `\x%02x`, s[0])
		case hidden(r):
			b = appendVisible(b, r)
		default:
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return string(b)
}

// visible returns v with each text in it as visibleText returns it: v itself where that changes nothing. Fields that are not exported,
// bytes and times stay as they are.
func visible[T any](v T) T {
	value := reflect.ValueOf(&v).Elem()
	if hides(value) {
		value.Set(shown(value))
	}
	return v
}

var (
	typeTime  = reflect.TypeFor[time.Time]()
	typeError = reflect.TypeFor[error]()
)

// hides reports whether a text in v is not shown as it is.
func hides(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return visibleText(v.String()) != v.String()
	case reflect.Interface:
		if err, ok := errorIn(v); ok {
			return visibleText(err.Error()) != err.Error()
		}
		return !v.IsNil() && hides(v.Elem())
	case reflect.Pointer:
		return !v.IsNil() && hides(v.Elem())
	case reflect.Struct:
		if v.Type() == typeTime {
			return false
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); (f.IsExported() || f.Anonymous) && hides(v.Field(i)) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return false
		}
		for i := range v.Len() {
			if hides(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if hides(key) || hides(v.MapIndex(key)) {
				return true
			}
		}
	}
	return false
}

func errorIn(v reflect.Value) (error, bool) {
	if v.IsNil() || !v.CanInterface() || !v.Type().Implements(typeError) {
		return nil, false
	}
	err, ok := v.Interface().(error)
	return err, ok
}

// shownError is an error whose text is visible.
type shownError struct {
	text string
	error
}

func (e shownError) Error() string { return e.text }
func (e shownError) Unwrap() error { return e.error }

// shown returns a copy of v in which hides finds nothing. What needs no change is shared with v.
func shown(v reflect.Value) reflect.Value {
	if !hides(v) {
		return v
	}
	c := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.String:
		c.SetString(visibleText(v.String()))
	case reflect.Interface:
		if err, ok := errorIn(v); ok {
			c.Set(reflect.ValueOf(shownError{visibleText(err.Error()), err}))
		} else {
			c.Set(shown(v.Elem()))
		}
	case reflect.Pointer:
		c.Set(reflect.New(v.Type().Elem()))
		c.Elem().Set(shown(v.Elem()))
	case reflect.Struct:
		c.Set(v)
		for i := range v.NumField() {
			switch f := c.Field(i); {
			case f.CanSet():
				f.Set(shown(v.Field(i)))
			case v.Type().Field(i).Anonymous && f.Kind() == reflect.Struct: // of a type that is not exported; its fields may be
				for j := range f.NumField() {
					if f.Field(j).CanSet() {
						f.Field(j).Set(shown(v.Field(i).Field(j)))
					}
				}
			}
		}
	case reflect.Slice:
		c.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			c.Index(i).Set(shown(v.Index(i)))
		}
	case reflect.Map:
		c.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for _, key := range v.MapKeys() {
			c.SetMapIndex(shown(key), shown(v.MapIndex(key)))
		}
	}
	return c
}

// stream is a standard stream of the process that shows hidden characters instead of sending them, but for line breaks and tabs, and,
// on a terminal, the colours of paint.
type stream struct {
	to      io.Writer
	colours bool

	mu      sync.Mutex
	pending []byte // the begin of a character or a colour, of which the rest comes with the next write
}

// newStream returns w as a stream.
func newStream(w io.Writer) *stream { return &stream{to: w, colours: isTerminal(w)} }

// Write writes p, in one call. An error says nothing about how much of p was written.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := p
	if len(s.pending) > 0 || !plain(p) {
		out = s.show(append(s.pending, p...))
	}
	if len(out) > 0 {
		if _, err := s.to.Write(out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// plain reports whether all of p is ASCII that is shown as it is.
func plain(p []byte) bool {
	for _, c := range p {
		if c < ' ' && c != '\n' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}

// show returns p as it is sent, and keeps the end of it that is not whole.
func (s *stream) show(p []byte) []byte {
	out := make([]byte, 0, len(p)+16)
	s.pending = nil
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		switch {
		case r == utf8.RuneError && n == 1 && !utf8.FullRune(p):
			s.pending = append(s.pending, p...)
			return out
		case r == utf8.RuneError && n == 1:
			out = fmt.Appendf(out, `\x%02x`, p[0])
		case r == '\x1b' && s.colours:
			length, whole := colour(p)
			if length == len(p) && !whole {
				s.pending = append(s.pending, p...)
				return out
			}
			if whole {
				n = length
				out = append(out, p[:n]...)
			} else {
				out = appendVisible(out, r)
			}
		case hidden(r) && r != '\n' && r != '\t':
			out = appendVisible(out, r)
		default:
			out = append(out, p[:n]...)
		}
		p = p[n:]
	}
	return out
}

// maxColour is the length of the longest sequence that is taken for a colour.
const maxColour = 32

// colour returns the length of the sequence at the begin of p that sets how text looks (ECMA-48, SGR), and whether it ends there.
func colour(p []byte) (length int, whole bool) {
	for i, c := range p[:min(len(p), maxColour)] {
		switch {
		case i == 0 && c == '\x1b', i == 1 && c == '[', i > 1 && (c >= '0' && c <= '9' || c == ';'):
		case i > 1 && c == 'm':
			return i + 1, true
		default:
			return i, false
		}
	}
	return min(len(p), maxColour), false
}
