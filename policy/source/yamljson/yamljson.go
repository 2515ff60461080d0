// Package yamljson turns YAML into JSON, strictly. A stream comes in, its documents go out; what YAML has and JSON has not is an
// error with its line. Package source calls it.
package yamljson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Documents returns the documents of a YAML stream as JSON; those without content are left out. Keys that an
// object has twice and aliases that multiply are errors of the library, with their line in the stream.
func Documents(data []byte) ([][]byte, error) {
	var docs [][]byte
	for decoder := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, yamlError(err)
		}
		if isBlank(&node) {
			continue
		}
		doc, err := toJSON(&node)
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
}

// isBlank reports whether a document holds nothing, not even a written null.
func isBlank(doc *yaml.Node) bool {
	return len(doc.Content) == 0 || doc.Content[0].Kind == yaml.ScalarNode && doc.Content[0].Tag == "!!null" && doc.Content[0].Value == ""
}

func toJSON(doc *yaml.Node) ([]byte, error) {
	plain(doc)
	var value any
	if err := doc.Decode(&value); err != nil {
		err = yamlError(err)
		if !strings.Contains(err.Error(), "line ") {
			err = fmt.Errorf("document at line %d: %w", doc.Line, err)
		}
		return nil, err
	}
	value, err := stringKeys(value)
	if err != nil {
		return nil, fmt.Errorf("document at line %d: %w", doc.Line, err)
	}
	data, err := json.Marshal(value)
	if err != nil { // a number that JSON does not have
		return nil, fmt.Errorf("document at line %d: %w", doc.Line, err)
	}
	return data, nil
}

// booleans are the words that YAML 1.1 takes for booleans and the library for text. To a reader of YAML 1.1, which most
// tools are, a user called no is false: such a value is better refused than taken one way or the other.
var booleans = map[string]string{
	"y": "true", "Y": "true", "yes": "true", "Yes": "true", "YES": "true", "on": "true", "On": "true", "ON": "true",
	"n": "false", "N": "false", "no": "false", "No": "false", "NO": "false", "off": "false", "Off": "false", "OFF": "false",
}

// plain lets the values of a document be what YAML 1.1 and JSON have in common: booleans are those of YAML 1.1, and
// what looks like a time stays text. Each node is seen once: aliases are not followed.
func plain(n *yaml.Node) {
	for _, inner := range n.Content {
		plain(inner)
	}
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) != 0 {
		return
	}
	switch word, isBoolean := booleans[n.Value]; {
	case n.Tag == "!!timestamp":
		n.Tag = "!!str"
	case n.Tag == "!!str" && isBoolean:
		n.Tag, n.Value = "!!bool", word
	}
}

// stringKeys returns the value with text for the keys of its objects, as JSON wants them.
func stringKeys(value any) (any, error) {
	switch v := value.(type) {
	case []any:
		for i := range v {
			inner, err := stringKeys(v[i])
			if err != nil {
				return nil, err
			}
			v[i] = inner
		}
	case map[string]any:
		for key := range v {
			inner, err := stringKeys(v[key])
			if err != nil {
				return nil, err
			}
			v[key] = inner
		}
	case map[any]any:
		object := make(map[string]any, len(v))
		for k, inner := range v {
			key, err := keyText(k)
			if err != nil {
				return nil, err
			}
			if _, twice := object[key]; twice {
				return nil, fmt.Errorf("key %q is there twice in one object", key)
			}
			if object[key], err = stringKeys(inner); err != nil {
				return nil, err
			}
		}
		return object, nil
	}
	return value, nil
}

func keyText(key any) (string, error) {
	switch k := key.(type) {
	case string:
		return k, nil
	case bool:
		return strconv.FormatBool(k), nil
	case int, int64, uint64, float64:
		return fmt.Sprint(k), nil
	}
	return "", fmt.Errorf("a key of an object is %v; want text", key)
}

// yamlError puts an error of the YAML library on one line.
func yamlError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n")
	return errors.New(strings.ReplaceAll(strings.TrimSpace(text), "\n  ", "; "))
}
