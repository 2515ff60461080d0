package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"ucwarden/input"
	"ucwarden/jsontext"
)

// Fault says what of a value the document does not allow.
type Fault struct {
	Pointer string // JSON pointer (RFC 6901)
	Detail  string
}

// maxFaults bounds how many are looked for in one value.
const maxFaults = 100

// Check returns what the schema does not allow in a JSON text, none where it allows it. Text that is no JSON has one fault, and so has
// a text that is nested too deep to be looked at.
func (s *Schema) Check(text []byte) []Fault {
	if !json.Valid(text) {
		return []Fault{{Detail: "not JSON"}}
	}
	text = bytes.TrimSpace(text)
	c := checker{quiet: 1}
	if c.allows(s, text, nil) {
		return nil
	}
	c.quiet = 0
	c.allows(s, text, nil)
	return c.faults
}

// checker looks for faults.
type checker struct {
	faults []Fault
	quiet  int // more than 0: they are not noted, and the first ends it
}

// place is where a value stands: in which object or array, and under which name or index.
type place struct {
	in    *place
	name  string
	index int // of an array; -1 in an object
}

// inside returns the place of a value within one; nil where no fault is noted.
func (c *checker) inside(at *place, name string, index int) *place {
	if c.quiet > 0 {
		return nil
	}
	return &place{at, name, index}
}

func (p *place) pointer() string {
	if p == nil {
		return ""
	}
	if p.index >= 0 {
		return p.in.pointer() + "/" + strconv.Itoa(p.index)
	}
	return p.in.pointer() + "/" + input.EscapePointer(p.name)
}

// bad notes a fault, and returns false.
func (c *checker) bad(at *place, detail string) bool {
	if c.quiet == 0 && len(c.faults) < maxFaults {
		c.faults = append(c.faults, Fault{at.pointer(), detail})
	}
	return false
}

// is reports whether the schema allows the value, and notes no fault.
func (c *checker) is(s *Schema, value []byte) bool {
	c.quiet++
	defer func() { c.quiet-- }()
	return c.allows(s, value, nil)
}

// allows reports whether the schema allows the value, which is valid JSON without space around it.
func (c *checker) allows(s *Schema, value []byte, at *place) bool {
	if s.never {
		return c.bad(at, "not allowed")
	}
	kind := kindOfValue(value)
	if s.kinds != 0 && s.kinds&kind == 0 {
		return c.bad(at, "want "+s.words)
	}
	ok := s.enum == nil || slices.ContainsFunc(s.enum, func(one []byte) bool { return equal(one, value, kind) }) || c.bad(at, s.allowed)
	switch {
	case !ok:
	case kind == isObject:
		ok = c.object(s, value, at)
	case kind == isArray:
		ok = c.array(s, value, at)
	case kind == isString:
		ok = c.text(s, value, at)
	case kind&(isInteger|isNumber) != 0:
		ok = c.number(s, value, at)
	}
	if !ok && c.quiet > 0 {
		return false
	}
	return c.combined(s, value, at) && ok
}

// combined checks a value by the schemas that a schema is made of.
func (c *checker) combined(s *Schema, value []byte, at *place) bool {
	ok := true
	for _, part := range s.allOf {
		ok = c.allows(part, value, at) && ok
	}
	if s.then != nil && c.is(s.when, value) {
		ok = c.allows(s.then, value, at) && ok
	}
	if s.not != nil && c.is(s.not, value) {
		ok = c.bad(at, "want "+s.not.want)
	}
	for _, list := range []struct {
		of    []*Schema
		exact bool
	}{{s.anyOf, false}, {s.oneOf, true}} {
		if list.of == nil {
			continue
		}
		fit := 0
		for _, alternative := range list.of {
			if c.is(alternative, value) {
				fit++
				if !list.exact {
					break
				}
			}
		}
		if fit == 0 || list.exact && fit > 1 {
			ok = c.bad(at, "want "+s.wantOf(list.of))
		}
	}
	return ok
}

// wantOf returns the words for what one of several schemas allows.
func (s *Schema) wantOf(alternatives []*Schema) string {
	if s.want != "" {
		return s.want
	}
	words := ""
	for _, a := range alternatives {
		word := a.words
		if word == "" {
			continue
		}
		if a.minimum != nil && a.maximum != nil {
			word += fmt.Sprintf(" from %v to %v", *a.minimum, *a.maximum)
		}
		if words != "" {
			words += " or "
		}
		words += word
	}
	if words == "" {
		return "what the document at /openapi.json describes"
	}
	return words
}

func kindOfValue(value []byte) kinds {
	switch value[0] {
	case '{':
		return isObject
	case '[':
		return isArray
	case '"':
		return isString
	case 't', 'f':
		return isBoolean
	case 'n':
		return isNull
	}
	for _, c := range value {
		if c == '.' || c == 'e' || c == 'E' {
			if f, err := strconv.ParseFloat(string(value), 64); err != nil || f != math.Trunc(f) {
				return isNumber
			}
			return isInteger
		}
	}
	return isInteger
}

// equal reports whether two values are the same; objects and arrays are as they are written.
func equal(one, value []byte, kind kinds) bool {
	switch {
	case bytes.Equal(one, value):
		return true
	case kind == isString && one[0] == '"':
		return bytes.Equal(jsontext.Unescape(one), jsontext.Unescape(value))
	case kind&(isInteger|isNumber) != 0 && kindOfValue(one)&(isInteger|isNumber) != 0:
		a, errA := strconv.ParseFloat(string(one), 64)
		b, errB := strconv.ParseFloat(string(value), 64)
		return errA == nil && errB == nil && a == b
	}
	return false
}

func (c *checker) object(s *Schema, value []byte, at *place) bool {
	if s.properties == nil && s.additional == nil && s.required == nil {
		return true
	}
	ok := true
	seen, known := 0, 0 // of the required, and of the properties
	for name, member := range jsontext.Members(value) {
		if slices.ContainsFunc(s.required, func(one string) bool { return one == string(name) }) {
			seen++
		}
		property := s.properties[string(name)]
		if property != nil {
			known++
		} else if property = s.additional; property == nil {
			continue
		}
		var inside *place
		if c.quiet == 0 { // else the name is not wanted, and no memory for it
			inside = c.inside(at, string(name), -1)
		}
		if ok = c.allows(property, member, inside) && ok; !ok && c.quiet > 0 {
			return false
		}
		if s.additional == nil && known >= len(s.properties) && seen >= len(s.required) {
			break // of the rest, which may be long, nothing is asked
		}
	}
	if seen >= len(s.required) { // a name that is there twice is refused elsewhere
		return ok
	}
	for _, name := range s.required {
		found := false
		for member := range jsontext.Members(value) {
			found = found || string(member) == name
		}
		if !found {
			ok = c.bad(c.inside(at, name, -1), "missing")
		}
	}
	return ok
}

func (c *checker) array(s *Schema, value []byte, at *place) bool {
	ok, n := true, 0
	for element := range jsontext.Elements(value) {
		if s.items != nil {
			if ok = c.allows(s.items, element, c.inside(at, "", n)) && ok; !ok && c.quiet > 0 {
				return false
			}
		}
		n++
	}
	switch {
	case n < s.minItems:
		return c.bad(at, fmt.Sprintf("want at least %d elements", s.minItems))
	case s.maxItems >= 0 && n > s.maxItems:
		return c.bad(at, fmt.Sprintf("want at most %d elements", s.maxItems))
	}
	return ok
}

func (c *checker) text(s *Schema, value []byte, at *place) bool {
	if s.minLength == 0 && s.maxLength < 0 && s.pattern == nil {
		return true
	}
	text := jsontext.Unescape(value)
	n := utf8.RuneCount(text)
	switch {
	case n < s.minLength && s.minLength == 1:
		return c.bad(at, "must not be empty")
	case n < s.minLength:
		return c.bad(at, fmt.Sprintf("want at least %d characters", s.minLength))
	case s.maxLength >= 0 && n > s.maxLength:
		return c.bad(at, fmt.Sprintf("longer than %d characters", s.maxLength))
	case s.pattern != nil && !s.pattern.Match(text):
		return c.bad(at, "want "+s.wantOf([]*Schema{s}))
	}
	return true
}

func (c *checker) number(s *Schema, value []byte, at *place) bool {
	if s.minimum == nil && s.maximum == nil {
		return true
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || s.minimum != nil && f < *s.minimum || s.maximum != nil && f > *s.maximum {
		return c.bad(at, "want "+s.wantOf([]*Schema{s}))
	}
	return true
}
