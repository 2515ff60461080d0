package source

import (
	"bytes"
	"encoding/json"
	"regexp"
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
	type object struct {
		keys  map[string]struct{} // nil in an array
		isKey bool
	}
	var stack []object
	dec := json.NewDecoder(bytes.NewReader(d.data))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err != nil {
			if len(stack) == 0 && dec.InputOffset() > 0 {
				return nil // the end; what follows the first value is the parser's to refuse
			}
			return d.syntaxError(err)
		}
		top := len(stack) - 1
		if top >= 0 && stack[top].keys != nil && stack[top].isKey {
			if key, ok := token.(string); ok {
				if _, twice := stack[top].keys[key]; twice {
					return policy.Errorf(policy.CodeInvalid, "%s: line %d: key %q stands twice in one object",
						d.file.path, lineOf(d.data, int(dec.InputOffset())), key)
				}
				stack[top].keys[key] = struct{}{}
				stack[top].isKey = false
				continue
			}
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, object{keys: map[string]struct{}{}, isKey: true})
			continue
		case json.Delim('['):
			stack = append(stack, object{})
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:top]
			top--
		}
		if top >= 0 {
			stack[top].isKey = true
		}
	}
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
