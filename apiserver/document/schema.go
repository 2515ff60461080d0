package document

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Schema is a schema of the document, compiled: which values of JSON it allows (JSON Schema 2020-12). Only the keywords that the
// document uses are known; another one is an error of [Document.Schema], so that none is passed over. It is safe for concurrent use.
type Schema struct {
	kinds    kinds // 0: any
	enum     [][]byte
	allowed  string // for enum, of an error
	words    string // for kinds, of an error
	want     string // for what else, of an error; from x-want
	never    bool   // false as a schema
	required []string

	properties map[string]*Schema
	additional *Schema // nil: anything
	items      *Schema

	minItems, minLength int
	maxItems, maxLength int // -1: any
	minimum, maximum    *float64
	pattern             *regexp.Regexp

	oneOf, anyOf, allOf []*Schema
	not, when, then     *Schema
}

// kinds are those of values of JSON.
type kinds uint8

const (
	isNull kinds = 1 << iota
	isBoolean
	isInteger
	isNumber
	isString
	isArray
	isObject
)

var kindOf = map[string]kinds{
	"null": isNull, "boolean": isBoolean, "integer": isInteger, "number": isInteger | isNumber, "string": isString, "array": isArray, "object": isObject,
}

var kindWords = map[string]string{
	"null": "null", "boolean": "true or false", "integer": "a whole number", "number": "a number", "string": "text", "array": "an array", "object": "an object",
}

// annotations say something to readers, and forbid nothing.
var annotations = []string{"title", "description", "default", "examples", "format", "contentMediaType", "contentSchema"}

// compiler compiles the schemas of a document.
type compiler struct {
	doc   *Document
	named map[string]*Schema // those in components, also while they are compiled: they may refer to themselves
}

func (c *compiler) compile(n node) (*Schema, error) {
	s := &Schema{maxItems: -1, maxLength: -1}
	return s, c.into(s, n)
}

// into compiles a schema into s.
func (c *compiler) into(s *Schema, n node) error {
	if text := n.text(); text == "true" || text == "false" {
		s.never = text == "false"
		return nil
	}
	for keyword, value := range n.members {
		if err := c.keyword(s, n, keyword, value); err != nil {
			return err
		}
	}
	if (s.when == nil) != (s.then == nil) {
		return fmt.Errorf("line %d: if and then belong together", n.Line)
	}
	return nil
}

func (c *compiler) keyword(s *Schema, n node, keyword string, value node) (err error) {
	switch keyword {
	case "$ref":
		var target *Schema
		if target, err = c.ref(value); err == nil {
			s.allOf = append(s.allOf, target)
		}
	case "type":
		for _, word := range value.texts() {
			if kindOf[word] == 0 {
				return fmt.Errorf("line %d: no type %q", n.Line, word)
			}
			s.kinds |= kindOf[word]
		}
		s.words = kindsInWords(value.texts())
	case "const", "enum":
		values := []node{value}
		if keyword == "enum" {
			values = slices.Collect(value.elements)
		}
		return s.setEnum(values)
	case "properties":
		s.properties = make(map[string]*Schema)
		for name, property := range value.members {
			if s.properties[name], err = c.compile(property); err != nil {
				return err
			}
		}
	case "required":
		s.required = value.texts()
	case "additionalProperties":
		s.additional, err = c.compile(value)
	case "items":
		s.items, err = c.compile(value)
	case "oneOf":
		s.oneOf, err = c.list(value)
	case "anyOf":
		s.anyOf, err = c.list(value)
	case "allOf":
		var all []*Schema
		all, err = c.list(value)
		s.allOf = append(s.allOf, all...)
	case "not":
		if s.not, err = c.compile(value); err == nil && s.not.want == "" {
			err = errors.New("it needs x-want: what is wanted instead")
		}
	case "if":
		s.when, err = c.compile(value)
	case "then":
		s.then, err = c.compile(value)
	case "minItems":
		s.minItems, err = strconv.Atoi(value.text())
	case "maxItems":
		s.maxItems, err = strconv.Atoi(value.text())
	case "minLength":
		s.minLength, err = strconv.Atoi(value.text())
	case "maxLength":
		s.maxLength, err = strconv.Atoi(value.text())
	case "minimum":
		s.minimum, err = number(value)
	case "maximum":
		s.maximum, err = number(value)
	case "pattern":
		s.pattern, err = regexp.Compile(value.text())
	case "x-want":
		s.want = value.text()
	default:
		if !slices.Contains(annotations, keyword) && !strings.HasPrefix(keyword, "x-") {
			return fmt.Errorf("line %d: the keyword %q is not known here", value.Line, keyword)
		}
	}
	if err != nil {
		return fmt.Errorf("line %d: %s: %w", value.Line, keyword, err)
	}
	return nil
}

func (c *compiler) list(of node) ([]*Schema, error) {
	var list []*Schema
	for n := range of.elements {
		s, err := c.compile(n)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// ref returns the schema that a reference names.
func (c *compiler) ref(to node) (*Schema, error) {
	name, found := strings.CutPrefix(to.text(), schemaRef)
	if !found {
		return nil, fmt.Errorf("%q is not in %s", to.text(), schemaRef)
	}
	if s := c.named[name]; s != nil {
		return s, nil
	}
	n := c.doc.root.get("components").get("schemas").get(name)
	if !n.exists() {
		return nil, fmt.Errorf("there is no schema %s", name)
	}
	s := &Schema{maxItems: -1, maxLength: -1}
	c.named[name] = s
	return s, c.into(s, n)
}

func number(value node) (*float64, error) {
	f, err := strconv.ParseFloat(value.text(), 64)
	return &f, err
}

func (s *Schema) setEnum(values []node) error {
	var words []string
	for _, value := range values {
		text, err := appendJSON(nil, value)
		if err != nil {
			return err
		}
		s.enum = append(s.enum, text)
		if word := string(bytes.Trim(text, `"`)); word != "" {
			words = append(words, word)
		}
	}
	if s.allowed = "want one of " + strings.Join(words, ", "); len(words) == 1 {
		s.allowed = "want " + words[0]
	}
	return nil
}

func kindsInWords(names []string) string {
	var words []string
	for _, name := range names {
		words = append(words, kindWords[name])
	}
	return strings.Join(words, " or ")
}
