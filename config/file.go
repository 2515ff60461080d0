package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxFileSize = 1 << 20
	maxNodes    = 10_000 // counts what YAML aliases expand to
	maxDepth    = 20
)

// fileEntry is one value of the file.
type fileEntry struct {
	name string // as written
	raw  rawValue
	from Source
}

// yamlReader collects the values of a YAML file.
type yamlReader struct {
	path     string
	problems *problems
	entries  []fileEntry
	nodes    int
	keyNames map[string]bool // the names of all keys
	limits   map[string]bool // the names of those that bound what is changed
	sections map[string]bool // the sections that contain keys
}

func newReader(path string, ps *problems) *yamlReader {
	r := &yamlReader{path: path, problems: ps, keyNames: make(map[string]bool), limits: make(map[string]bool), sections: make(map[string]bool)}
	for _, k := range Keys() {
		r.keyNames[k.Name], r.limits[k.Name] = true, k.limits()
		for i, c := range k.Name {
			if c == '.' {
				r.sections[k.Name[:i]] = true
			}
		}
	}
	for name := range r.keyNames {
		delete(r.sections, name) // databricks.host is a value, although databricks.host.allow_http lies below it
	}
	return r
}

// isValueName reports whether name is that of a key or a property, not of a section.
func (r *yamlReader) isValueName(name string) bool {
	return strings.HasPrefix(name, propertyPrefix) || r.keyNames[name]
}

// readFile returns the values of the file in order, with names that may be unknown: keys of nested mappings joined by
// dots, and properties as written. Null values are left out.
func readFile(path string, ps *problems) []fileEntry {
	data, err := readAll(path)
	if err != nil {
		ps.add("", Source{}, "read configuration file: %s", err)
		return nil
	}
	return readYAML(path, data, ps)
}

func readAll(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("%s is larger than 1 MiB: is this a configuration file?", path)
	}
	return data, nil
}

func readYAML(path string, data []byte, ps *problems) []fileEntry {
	r := newReader(path, ps)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if !errors.Is(err, io.EOF) { // an empty file is allowed
			ps.add("", Source{}, "%s: not valid YAML: %s", path, yamlError(err))
		}
		return nil
	}
	if err := decoder.Decode(&second); err == nil {
		ps.add("", r.at(&second, ""), "a second YAML document: want only one")
		return nil
	} else if !errors.Is(err, io.EOF) {
		ps.add("", Source{}, "%s: not valid YAML: %s", path, yamlError(err))
		return nil
	}
	root := document.Content[0]
	switch {
	case root.Kind == yaml.MappingNode:
		r.mapping(root, "")
	case root.Tag == "!!null":
	default:
		ps.add("", r.at(root, ""), "want a mapping of keys to values")
	}
	return r.entries
}

// unknownAnchor matches the one YAML error that repeats text of the file: an unquoted value that begins with *.
var unknownAnchor = regexp.MustCompile(`(?s)unknown anchor '.*' referenced`)

func yamlError(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	return unknownAnchor.ReplaceAllString(text, "a value that begins with * refers to nothing: put it in quotes")
}

func (r *yamlReader) at(n *yaml.Node, name string) Source {
	return Source{Kind: FromFile, Name: name, File: r.path, Line: n.Line}
}

// mapping adds every value of n; it returns false when the file is too large to go on.
func (r *yamlReader) mapping(n *yaml.Node, prefix string) bool {
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		keyNode, value := n.Content[i], n.Content[i+1]
		if keyNode.Kind != yaml.ScalarNode || keyNode.Tag == "!!merge" {
			r.problems.add("", r.at(keyNode, ""), "want a plain key; YAML merges and complex keys are not supported")
			continue
		}
		name := keyNode.Value
		if prefix != "" {
			name = prefix + "." + name
		}
		if line, dup := seen[name]; dup {
			r.problems.add(name, r.at(keyNode, name), "given twice, first on line %d", line)
			continue
		}
		seen[name] = keyNode.Line
		if !r.value(name, keyNode, value) {
			return false
		}
	}
	return true
}

// value adds one value; it returns false when the file is too large to go on.
func (r *yamlReader) value(name string, keyNode, n *yaml.Node) bool {
	if r.nodes++; r.nodes > maxNodes || strings.Count(name, ".") > maxDepth {
		r.problems.add("", r.at(keyNode, ""), "too large or too deeply nested for a configuration")
		return false
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	from := r.at(keyNode, name)
	switch {
	case n.Kind == yaml.MappingNode && r.isValueName(name):
		r.problems.add(name, from, "wants a value, not a mapping")
	case n.Kind == yaml.MappingNode && len(n.Content) > 0:
		return r.mapping(n, name)
	case n.Kind == yaml.SequenceNode && r.sections[name], n.Kind == yaml.ScalarNode && r.sections[name] && n.Tag != "!!null":
		r.problems.add(name, from, "is a section: put its keys below it, indented")
	case n.Kind == yaml.SequenceNode:
		r.sequence(name, from, n)
	case n.Tag == "!!null" && r.limits[name]:
		// its values may be commented out, and then it bounds nothing
		r.problems.add(name, from, "is there and has no value, so it would bound nothing; give it one, or remove it")
	case n.Tag == "!!null" && (r.isValueName(name) || r.sections[name]):
		// "sync:" with everything below it commented out
	default:
		r.entries = append(r.entries, fileEntry{name, rawValue{text: n.Value}, from})
	}
	return true
}

func (r *yamlReader) sequence(name string, from Source, n *yaml.Node) {
	list := rawValue{isList: true}
	for _, item := range n.Content {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		if item.Kind != yaml.ScalarNode {
			r.problems.add(name, r.at(item, name), "wants a list of plain values")
			return
		}
		if item.Tag == "!!null" {
			r.problems.add(name, r.at(item, name), "an item of the list has no value; give it one, or remove it")
			return
		}
		list.list = append(list.list, item.Value)
	}
	r.entries = append(r.entries, fileEntry{name, list, from})
}
