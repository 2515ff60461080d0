package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Document is a parsed OpenAPI document. It is safe for concurrent use.
type Document struct {
	root node
	json []byte
}

// Parse returns the document in the YAML text. The error says what is wrong in it, with its line.
func Parse(text []byte) (*Document, error) {
	var parsed yaml.Node
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if parsed.Kind != yaml.DocumentNode {
		return nil, fmt.Errorf("read the OpenAPI document: it is empty")
	}
	d := &Document{root: node{parsed.Content[0]}}
	compact, err := appendJSON(nil, d.root)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, compact, "", "  "); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	d.json = append(indented.Bytes(), '\n')
	return d, nil
}

// JSON returns the document as JSON, in the order in which it is written. It must not be changed.
func (d *Document) JSON() []byte { return d.json }

// node is a value of the document; the zero node is one that is not there.
type node struct{ *yaml.Node }

func (n node) exists() bool { return n.Node != nil }

// get returns the value under a key.
func (n node) get(key string) node {
	for name, value := range n.members {
		if name == key {
			return value
		}
	}
	return node{}
}

// members yields the keys and values of an object in their order; none of anything else.
func (n node) members(yield func(string, node) bool) {
	if n.Node == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !yield(n.Content[i].Value, node{n.Content[i+1]}) {
			return
		}
	}
}

// elements yields the elements of an array; none of anything else.
func (n node) elements(yield func(node) bool) {
	if n.Node == nil || n.Kind != yaml.SequenceNode {
		return
	}
	for _, element := range n.Content {
		if !yield(node{element}) {
			return
		}
	}
}

// text returns a text or a number as it is written, "" of anything else.
func (n node) text() string {
	if n.Node == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// texts returns a text, or the texts of an array.
func (n node) texts() []string {
	if text := n.text(); text != "" {
		return []string{text}
	}
	var list []string
	for element := range n.elements {
		list = append(list, element.text())
	}
	return list
}

// appendJSON appends the value as JSON. A kind of value that JSON does not have is an error.
func appendJSON(to []byte, n node) ([]byte, error) {
	var err error
	switch n.Kind {
	case yaml.MappingNode:
		to = append(to, '{')
		seen := make(map[string]bool)
		for name, value := range n.members {
			if seen[name] {
				return nil, fmt.Errorf("line %d: duplicate key %q", value.Line, name)
			}
			if len(seen) > 0 {
				to = append(to, ',')
			}
			seen[name] = true
			if to, err = appendText(to, name); err != nil {
				return nil, err
			}
			if to, err = appendJSON(append(to, ':'), value); err != nil {
				return nil, err
			}
		}
		return append(to, '}'), nil
	case yaml.SequenceNode:
		to = append(to, '[')
		first := true
		for element := range n.elements {
			if !first {
				to = append(to, ',')
			}
			first = false
			if to, err = appendJSON(to, element); err != nil {
				return nil, err
			}
		}
		return append(to, ']'), nil
	case yaml.ScalarNode:
		switch n.Tag {
		case "!!str":
			return appendText(to, n.Value)
		case "!!null":
			return append(to, "null"...), nil
		case "!!bool":
			return strconv.AppendBool(to, n.Value == "true"), nil
		case "!!int", "!!float":
			if json.Valid([]byte(n.Value)) {
				return append(to, n.Value...), nil
			}
		}
	}
	return nil, fmt.Errorf("line %d: %q is no value of JSON: quote it where text is meant", n.Line, n.Value)
}

func appendText(to []byte, text string) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return nil, err
	}
	return append(to, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...), nil
}

// Schema returns the schema of that name in the document's components, compiled. The error says what of it is not known here.
func (d *Document) Schema(name string) (*Schema, error) {
	c := compiler{doc: d, named: make(map[string]*Schema)}
	return c.ref(node{&yaml.Node{Kind: yaml.ScalarNode, Value: schemaRef + name}})
}
