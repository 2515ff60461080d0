package input

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
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
	c := &uniqueChecker{dec: json.NewDecoder(bytes.NewReader(data)), maxDepth: maxDepth}
	c.dec.UseNumber() // numbers are not looked at
	if err := c.value(0); err != nil {
		return err
	}
	if _, err := c.dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

type uniqueChecker struct {
	dec      *json.Decoder
	maxDepth int
	path     []string
}

func (c *uniqueChecker) value(depth int) error {
	if depth > c.maxDepth {
		return fmt.Errorf("nested deeper than %d levels", c.maxDepth)
	}
	t, err := c.dec.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		err = c.object(depth)
	case json.Delim('['):
		err = c.array(depth)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	_, err = c.dec.Token() // the closing delimiter
	return err
}

func (c *uniqueChecker) object(depth int) error {
	seen := make(map[string]bool)
	for c.dec.More() {
		t, err := c.dec.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string)
		c.path = append(c.path, name)
		if seen[name] {
			return &DuplicateError{Pointer: c.pointer(), Name: name}
		}
		seen[name] = true
		if err := c.value(depth + 1); err != nil {
			return err
		}
		c.path = c.path[:len(c.path)-1]
	}
	return nil
}

func (c *uniqueChecker) array(depth int) error {
	for i := 0; c.dec.More(); i++ {
		c.path = append(c.path, strconv.Itoa(i))
		if err := c.value(depth + 1); err != nil {
			return err
		}
		c.path = c.path[:len(c.path)-1]
	}
	return nil
}

func (c *uniqueChecker) pointer() string {
	var b strings.Builder
	for _, step := range c.path {
		b.WriteByte('/')
		b.WriteString(EscapePointer(step))
	}
	return b.String()
}

// EscapePointer returns a field name as a token of a JSON pointer (RFC 6901, section 3).
func EscapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
