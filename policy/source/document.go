package source

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"ucwarden/policy"
)

// document is one JSON document of a file.
type document struct {
	file   file
	number int // from 1; a YAML file may hold several
	data   []byte
	kind   documentKind
}

// documentKind is what a document contains; see classify.
type documentKind string

// The kinds of document.
const (
	kindPolicies   documentKind = "policies"           // a policy download or export
	kindPolicy     documentKind = "a policy"           // one
	kindPolicyList documentKind = "a list of policies" // a bare array
	kindRoles      documentKind = "roles"
	kindUsers      documentKind = "a user store"
	kindTags       documentKind = "tags"
	kindServiceDef documentKind = "a service definition"
)

// documents returns the documents of a file with their kinds. A duplicate key in an object is an error, because only
// one of the two values would be used.
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
		bodies, err := yamlDocuments(data)
		if err != nil {
			return nil, policy.Errorf(policy.CodeInvalid, "%s: %w", f.path, err)
		}
		for i, body := range bodies {
			docs = append(docs, document{file: f, number: i + 1, data: body})
		}
	}
	if len(docs) == 0 {
		return nil, policy.Errorf(policy.CodeInvalid, "%s: the file is empty; remove it, or put policies into it", f.path)
	}
	for i := range docs {
		if err := docs[i].classify(); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

// classify sets the kind of a document from its keys, and checks that it is valid JSON without duplicate keys.
func (d *document) classify() error {
	first := bytes.TrimLeft(d.data, " \t\r\n")[0]
	if first == '[' {
		d.kind = kindPolicyList
		if err := json.Unmarshal(d.data, new([]json.RawMessage)); err != nil {
			return d.syntaxError(err)
		}
		return d.checkDuplicates()
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
		d.kind = kindPolicies
	case has("rangerRoles"):
		d.kind = kindRoles
	case has("userGroupMapping", "userAttrMapping", "groupAttrMapping"):
		d.kind = kindUsers
	case has("serviceResources", "resourceToTagIds", "tagDefinitions"):
		d.kind = kindTags
	case has("accessTypes") && has("resources"):
		d.kind = kindServiceDef
	case has("resources", "policyItems", "denyPolicyItems", "dataMaskPolicyItems", "rowFilterPolicyItems"):
		d.kind = kindPolicy
	default:
		return policy.Errorf(policy.CodeInvalid, "%s: not a known kind of document: want a policy (resources), policies, roles (rangerRoles), "+
			"a user store (userGroupMapping), tags (serviceResources) or a service definition (resources and accessTypes)", d.file.path)
	}
	return d.checkDuplicates()
}

func (d *document) syntaxError(err error) error {
	at := int64(0)
	if syntax, ok := err.(*json.SyntaxError); ok {
		at = syntax.Offset
	}
	return policy.Errorf(policy.CodeInvalid, "%s: line %d: not valid JSON: %w", d.file.path, lineOf(d.data, int(at)), err)
}

// checkDuplicates returns an error for a duplicate key in an object. encoding/json would use the last one.
func (d *document) checkDuplicates() error {
	if key, at := duplicateKey(d.data); at >= 0 {
		return policy.Errorf(policy.CodeInvalid, "%s: line %d: duplicate key %q", d.file.path, lineOf(d.data, at), key)
	}
	return nil
}

// duplicateKey returns the first key that an object in data, which must be valid JSON, has twice, and its offset; -1
// when there is none.
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
