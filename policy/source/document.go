package source

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"ucwarden/policy"
)

// document is one JSON document of a file.
type document struct {
	file   file
	number int // from 1; a YAML file may hold several
	data   []byte
	shape  shape
}

// shape is what a document holds, told by its keys.
type shape string

// The shapes of documents.
const (
	shapePolicies   shape = "policies"           // a policy download or export
	shapePolicy     shape = "a policy"           // one
	shapeList       shape = "a list of policies" // a bare array
	shapeRoles      shape = "roles"
	shapeUsers      shape = "a user store"
	shapeTags       shape = "tags"
	shapeServiceDef shape = "a service definition"
)

// documents splits a file into its documents and tells their shapes. Keys that stand twice in one object are an
// error, because only one of the two would count.
func documents(f file) ([]document, error) {
	data := bytes.TrimPrefix(f.data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		return nil, policy.Errorf(policy.CodeInvalid, "%s: line %d is not valid UTF-8", f.path, lineOf(data, invalidAt(data)))
	}
	var docs []document
	if strings.EqualFold(f.path[strings.LastIndexByte(f.path, '.')+1:], "json") {
		if len(bytes.TrimSpace(data)) > 0 {
			docs = []document{{file: f, number: 1, data: data}}
		}
	} else {
		for i, part := range splitYAML(data) {
			body, err := yaml.YAMLToJSONStrict(part.text)
			if err != nil {
				return nil, policy.Errorf(policy.CodeInvalid, "%s: %s", f.path, yamlMessage(err, part.line))
			}
			docs = append(docs, document{file: f, number: i + 1, data: body})
		}
	}
	if len(docs) == 0 {
		return nil, policy.Errorf(policy.CodeInvalid, "%s: the file is empty; remove it, or let it hold policies", f.path)
	}
	for i := range docs {
		if err := docs[i].classify(); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

// classify tells the shape of a document by its keys.
func (d *document) classify() error {
	first := bytes.TrimLeft(d.data, " \t\r\n")[0]
	if first == '[' {
		d.shape = shapeList
		if err := json.Unmarshal(d.data, new([]json.RawMessage)); err != nil {
			return d.syntaxError(err)
		}
		return d.refuseDuplicates()
	}
	var keys map[string]json.RawMessage
	if first == '{' {
		if err := json.Unmarshal(d.data, &keys); err != nil {
			return d.syntaxError(err)
		}
	}
	has := func(names ...string) bool {
		for _, name := range names {
			if value, ok := keys[name]; ok && string(value) != "null" {
				return true
			}
		}
		return false
	}
	switch {
	case has("tests", "testCases"):
		return policy.Errorf(policy.CodeInvalid, "%s: this is a test suite, not policies; keep it out of the policy folder", d.file.path)
	case has("policyDeltas"):
		return policy.Errorf(policy.CodeInvalid, "%s: policyDeltas: a file must hold whole policies, not changes of them", d.file.path)
	case has("policies", "tagPolicies", "securityZones"):
		d.shape = shapePolicies
	case has("rangerRoles"):
		d.shape = shapeRoles
	case has("userGroupMapping", "userAttrMapping", "groupAttrMapping"):
		d.shape = shapeUsers
	case has("serviceResources", "resourceToTagIds", "tagDefinitions"):
		d.shape = shapeTags
	case has("accessTypes") && has("resources"):
		d.shape = shapeServiceDef
	case has("resources", "policyItems", "denyPolicyItems", "dataMaskPolicyItems", "rowFilterPolicyItems"):
		d.shape = shapePolicy
	default:
		return policy.Errorf(policy.CodeInvalid, "%s: nothing known in it: want a policy (resources), policies, roles (rangerRoles), "+
			"a user store (userGroupMapping), tags (serviceResources) or a service definition (resources and accessTypes)", d.file.path)
	}
	return d.refuseDuplicates()
}

func (d *document) syntaxError(err error) error {
	at := int64(0)
	if syntax, ok := err.(*json.SyntaxError); ok {
		at = syntax.Offset
	}
	return policy.Errorf(policy.CodeInvalid, "%s: line %d: not valid JSON: %w", d.file.path, lineOf(d.data, int(at)), err)
}

// refuseDuplicates finds a key that stands twice in one object. encoding/json would take the last of them.
func (d *document) refuseDuplicates() error {
	if key, at := duplicateKey(d.data); at >= 0 {
		return policy.Errorf(policy.CodeInvalid, "%s: line %d: key %q stands twice in one object", d.file.path, lineOf(d.data, at), key)
	}
	return nil
}

// duplicateKey gives the first key of data, which must be valid JSON, that an object has twice, and where; -1 when
// there is none.
func duplicateKey(data []byte) (key string, at int) {
	type level struct {
		object bool
		first  int                 // index in keys
		many   map[string]struct{} // instead of keys, once there are more than a few
	}
	const few = 24
	var stack []level
	var keys []string // of all open objects
	isKey := false
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			isKey = data[i] == '{'
			stack = append(stack, level{object: isKey, first: len(keys)})
		case '}', ']':
			keys = keys[:stack[len(stack)-1].first]
			stack = stack[:len(stack)-1]
			isKey = false
		case ',':
			isKey = stack[len(stack)-1].object
		case '"':
			start, escaped := i+1, false
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					escaped = true
					i++
				}
			}
			if !isKey {
				continue
			}
			isKey = false
			key := string(data[start:i])
			if escaped {
				if err := json.Unmarshal(data[start-1:i+1], &key); err != nil {
					continue // cannot happen: the text is valid
				}
			}
			top := &stack[len(stack)-1]
			if _, twice := top.many[key]; twice || slices.Contains(keys[top.first:], key) {
				return key, start
			}
			switch {
			case top.many != nil:
				top.many[key] = struct{}{}
			case len(keys)-top.first < few:
				keys = append(keys, key)
			default:
				top.many = map[string]struct{}{key: {}}
			}
		}
	}
	return "", -1
}

// yamlPart is one document of a YAML file and the line before its first.
type yamlPart struct {
	text []byte
	line int
}

// splitYAML cuts a YAML stream at its "---" and "..." lines. The YAML library reads the first document of a stream
// only, and would leave out the rest without a word. Documents without content are left out.
func splitYAML(data []byte) []yamlPart {
	var parts []yamlPart
	var part yamlPart
	content := false
	flush := func(line int) {
		if content {
			parts = append(parts, part)
		}
		part, content = yamlPart{line: line}, false
	}
	for number := 0; len(data) > 0; number++ {
		end := bytes.IndexByte(data, '\n') + 1
		if end == 0 {
			end = len(data)
		}
		line := data[:end]
		data = data[end:]
		marker := bytes.TrimRight(line, "\r\n")
		if bytes.HasPrefix(marker, []byte("---")) || bytes.HasPrefix(marker, []byte("...")) {
			if rest := marker[3:]; len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' {
				flush(number)
				line = append([]byte("   "), line[3:]...)
			}
		}
		if text := bytes.TrimSpace(line); len(text) > 0 && text[0] != '#' && !bytes.HasPrefix(line, []byte("%")) {
			content = true
		}
		part.text = append(part.text, line...)
	}
	flush(0)
	return parts
}

var yamlLine = regexp.MustCompile(`line (\d+)`)

// yamlMessage puts an error of the YAML library on one line, with lines counted from the start of the file.
func yamlMessage(err error, before int) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n")
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n  ", "; ")
	return yamlLine.ReplaceAllStringFunc(text, func(s string) string {
		n, _ := strconv.Atoi(strings.TrimPrefix(s, "line "))
		return "line " + strconv.Itoa(n+before)
	})
}

func lineOf(data []byte, offset int) int {
	return bytes.Count(data[:min(max(offset, 0), len(data))], []byte("\n")) + 1
}

func invalidAt(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(data)
}
