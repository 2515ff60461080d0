package input

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ucwarden/jsontext"
)

// DuplicateError says that an object has a key twice. Parsers differ in which of the two values they take (RFC 8259,
// section 4).
type DuplicateError struct {
	Pointer string // JSON pointer (RFC 6901) to the key
	Name    string
}

func (e *DuplicateError) Error() string {
	const most = 100
	return fmt.Sprintf("duplicate key %q: keep one", e.Name[:min(len(e.Name), most)])
}

// CheckUnique returns a *DuplicateError if an object in the JSON document, at any depth, has a key twice, and another error
// if data is not one JSON value, or is nested deeper than maxDepth. Keys are compared as they read, not as they are
// escaped.
func CheckUnique(data []byte, maxDepth int) error {
	c := &uniqueChecker{Scanner: jsontext.Scanner{Data: data}, maxDepth: maxDepth}
	c.Space()
	err := c.value(nil, 0)
	if err == nil && c.At < len(data) {
		err = errSyntax
	}
	if err != nil { // that it is no JSON comes first, with the reason that encoding/json has
		var v json.RawMessage
		err = cmp.Or(json.Unmarshal(data, &v), err)
	}
	return err
}

// errSyntax says that a document is no JSON, until the reason is asked for.
var errSyntax = errors.New("invalid syntax")

// uniqueChecker walks a document. Names and path are kept on the stack, so that nothing is allocated for most documents.
type uniqueChecker struct {
	jsontext.Scanner
	maxDepth int
}

// step is a key of an object, or an index of an array, in what the step before leads to.
type step struct {
	before *step  // nil: the first
	name   []byte // nil: of an array
	index  int
}

// value consumes a value and the white space after it.
func (c *uniqueChecker) value(path *step, depth int) error {
	if depth > c.maxDepth {
		return fmt.Errorf("nested deeper than %d levels", c.maxDepth)
	}
	if c.At >= len(c.Data) {
		return errSyntax
	}
	ok := true
	switch c.Data[c.At] {
	case '{':
		return c.object(path, depth)
	case '[':
		return c.array(path, depth)
	case '"':
		_, _, _, ok = c.Text()
	case 't':
		ok = c.Literal("true")
	case 'f':
		ok = c.Literal("false")
	case 'n':
		ok = c.Literal("null")
	default:
		ok = c.Number()
	}
	if !ok {
		return errSyntax
	}
	c.Space()
	return nil
}

// manyNames is from how many names on an object is searched by a map.
const manyNames = 16

func (c *uniqueChecker) object(path *step, depth int) error {
	c.Next('{')
	here := step{before: path}
	var few [manyNames][]byte
	names := few[:0]
	var many map[string]bool
	for first := true; !c.Next('}'); first = false {
		if !first && !c.Next(',') {
			return errSyntax
		}
		name, ok := c.name()
		if !ok {
			return errSyntax
		}
		twice := false
		switch {
		case len(names) < manyNames:
			twice = slices.ContainsFunc(names, func(other []byte) bool { return bytes.Equal(name, other) })
			names = append(names, name)
		case many == nil:
			many = make(map[string]bool, 2*manyNames)
			for _, other := range names {
				many[string(other)] = true
			}
			fallthrough
		default:
			twice = many[string(name)]
			many[string(name)] = true
		}
		here.name = name
		if twice {
			return &DuplicateError{Pointer: string(here.appendPointer(nil)), Name: string(name)}
		}
		if err := c.value(&here, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// name consumes a key and the colon after it, and returns it as it reads; ok is false where there is none.
func (c *uniqueChecker) name() (name []byte, ok bool) {
	from := c.At
	if from >= len(c.Data) || c.Data[from] != '"' {
		return nil, false
	}
	begin, end, escaped, ok := c.Text()
	if !ok {
		return nil, false
	}
	name = c.Data[begin:end:end]
	if escaped || !utf8.Valid(name) {
		name = jsontext.Unescape(c.Data[from:c.At])
	}
	c.Space()
	return name, c.Next(':')
}

func (c *uniqueChecker) array(path *step, depth int) error {
	c.Next('[')
	here := step{before: path}
	for first := true; !c.Next(']'); first = false {
		if !first {
			if !c.Next(',') {
				return errSyntax
			}
			here.index++
		}
		if err := c.value(&here, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// appendPointer appends the JSON pointer (RFC 6901) of what the path leads to.
func (s *step) appendPointer(b []byte) []byte {
	if s.before != nil {
		b = s.before.appendPointer(b)
	}
	if s.name == nil {
		return strconv.AppendInt(append(b, '/'), int64(s.index), 10)
	}
	return append(append(b, '/'), EscapePointer(string(s.name))...)
}

// EscapePointer returns a field name as a token of a JSON pointer (RFC 6901, section 3).
func EscapePointer(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
