package input

import (
	"bytes"
	"encoding/json"
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
	if !json.Valid(data) {
		var v json.RawMessage // for the reason
		return json.Unmarshal(data, &v)
	}
	c := &uniqueChecker{
		Scanner: jsontext.Scanner{Data: data}, maxDepth: maxDepth,
		path: make([]step, 0, 8), names: make([][]byte, 0, manyNames), // enough for most tasks and tokens
	}
	c.Space()
	return c.value(0)
}

// uniqueChecker walks a document that is known to be valid.
type uniqueChecker struct {
	jsontext.Scanner
	maxDepth int
	path     []step
	names    [][]byte // of the objects that the value stands in, the outermost first
}

// step is a key of an object, or an index of an array.
type step struct {
	name  []byte // nil: of an array
	index int
}

func (c *uniqueChecker) value(depth int) error {
	if depth > c.maxDepth {
		return fmt.Errorf("nested deeper than %d levels", c.maxDepth)
	}
	var err error
	switch c.Data[c.At] {
	case '{':
		err = c.object(depth)
	case '[':
		err = c.array(depth)
	case '"':
		c.Text()
	case 't', 'n':
		c.At += len("true")
	case 'f':
		c.At += len("false")
	default:
		c.Number()
	}
	c.Space()
	return err
}

// manyNames is from how many names on an object is searched by a map.
const manyNames = 16

func (c *uniqueChecker) object(depth int) error {
	c.Next('{')
	c.path = append(c.path, step{})
	first := len(c.names)
	var many map[string]bool
	for !c.Next('}') {
		c.Next(',')
		name := c.name()
		c.path[len(c.path)-1].name = name
		mine, twice := c.names[first:], false
		switch {
		case len(mine) < manyNames:
			twice = slices.ContainsFunc(mine, func(other []byte) bool { return bytes.Equal(name, other) })
		case many == nil:
			many = make(map[string]bool, 2*manyNames)
			for _, other := range mine {
				many[string(other)] = true
			}
			fallthrough
		default:
			twice = many[string(name)]
			many[string(name)] = true
		}
		if twice {
			return &DuplicateError{Pointer: c.pointer(), Name: string(name)}
		}
		c.names = append(c.names, name)
		if err := c.value(depth + 1); err != nil {
			return err
		}
	}
	c.names = c.names[:first]
	c.path = c.path[:len(c.path)-1]
	return nil
}

// name reads a key and the colon after it, and returns it as it reads.
func (c *uniqueChecker) name() []byte {
	from := c.At
	begin, end, escaped, _ := c.Text()
	name := c.Data[begin:end:end]
	if escaped || !utf8.Valid(name) {
		name = jsontext.Unescape(c.Data[from:c.At])
	}
	c.Space()
	c.Next(':')
	return name
}

func (c *uniqueChecker) array(depth int) error {
	c.Next('[')
	c.path = append(c.path, step{})
	for !c.Next(']') {
		if c.Next(',') {
			c.path[len(c.path)-1].index++
		}
		if err := c.value(depth + 1); err != nil {
			return err
		}
	}
	c.path = c.path[:len(c.path)-1]
	return nil
}

func (c *uniqueChecker) pointer() string {
	var b strings.Builder
	for _, s := range c.path {
		b.WriteByte('/')
		if s.name == nil {
			b.WriteString(strconv.Itoa(s.index))
			continue
		}
		b.WriteString(EscapePointer(string(s.name)))
	}
	return b.String()
}

// EscapePointer returns a field name as a token of a JSON pointer (RFC 6901, section 3).
func EscapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
