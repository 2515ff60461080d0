package ranger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"ucwarden/policy"
	"unicode/utf8"
)

// ParseServicePolicies reads the document of Ranger's policy download or of its policy export: an object with a list
// of policies. Fields that Ranger's model does not have are not read; the document's Unknown lists them. What is wrong
// within a policy is among its Faults. origin (a file name or URL) appears in every error, with line and column or the
// JSON path of the field, and is recorded in each policy. The policies are not yet compared with a service definition;
// package verify does that.
//
// The class of every error of this and the other Parse functions is CodeInvalid: no valid JSON, or, outside of policies, a
// value of the wrong type or a key that an object has twice.
func ParseServicePolicies(data []byte, origin string) (*ServicePolicies, error) {
	if jsonKind(data) != '{' {
		return nil, policy.Errorf(policy.CodeInvalid, "%s: want a JSON object with policies, as Ranger's policy download returns", origin)
	}
	doc := &ServicePolicies{}
	w, err := read(data, origin, doc)
	if err != nil {
		return nil, err
	}
	doc.Unknown = w.unknown
	doc.each(func(_ string, _ int, p *Policy) { p.Origin = origin })
	w.markFaults(doc.each)
	return doc, nil
}

// ParsePolicies reads policies from a JSON array of policies, a single policy, or a document as read by
// [ParseServicePolicies], and the fields in it that Ranger's model does not have. It is meant for folders of policy
// files.
func ParsePolicies(data []byte, origin string) ([]Policy, []UnknownField, error) {
	switch jsonKind(data) {
	case '[':
		return parsePolicyList(data, origin)
	case '{':
		keys := topKeys(trimBOM(data))
		switch {
		case keys == nil || keys["policies"]: // nil: parsing says what is wrong
			doc, err := ParseServicePolicies(data, origin)
			if err != nil {
				return nil, nil, err
			}
			return doc.Policies, doc.Unknown, nil
		case keys["resources"]:
			return parsePolicy(data, origin)
		}
		hint := ""
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if near := nearest(key, []string{"policies", "resources"}); near != "" {
				hint = fmt.Sprintf("; did you mean %s where it says %q?", near, key)
			}
		}
		return nil, nil, policy.Errorf(policy.CodeInvalid, "%s: neither a policy (no resources) nor a list of them (no policies)%s", origin, hint)
	}
	return nil, nil, policy.Errorf(policy.CodeInvalid, "%s: want a JSON policy, an array of policies or an object with policies", origin)
}

func parsePolicyList(data []byte, origin string) ([]Policy, []UnknownField, error) {
	var list []Policy
	w, err := read(data, origin, &list)
	if err != nil {
		return nil, nil, err
	}
	each := func(visit func(string, int, *Policy)) { visitPolicies("", list, visit) }
	each(func(_ string, _ int, p *Policy) { p.Origin = origin })
	w.markFaults(each)
	return list, w.unknown, nil
}

func parsePolicy(data []byte, origin string) ([]Policy, []UnknownField, error) {
	list := make([]Policy, 1)
	w, err := read(data, origin, &list[0])
	if err != nil {
		return nil, nil, err
	}
	list[0].Origin = origin
	w.markFaults(func(visit func(string, int, *Policy)) { visit("", -1, &list[0]) })
	return list, w.unknown, nil
}

// ParseRoles reads the roles download, Ranger Admin's role export (an object with roles), or a bare JSON array of roles.
func ParseRoles(data []byte, origin string) (*ServiceRoles, error) {
	if jsonKind(data) == '[' {
		doc := &ServiceRoles{}
		w, err := read(data, origin, &doc.RangerRoles)
		if err != nil {
			return nil, err
		}
		doc.Unknown = w.unknown
		return doc, nil
	}
	var doc struct {
		ServiceRoles
		Roles []Role `json:"roles"`
	}
	w, err := read(data, origin, &doc)
	if err != nil {
		return nil, err
	}
	roles := &doc.ServiceRoles
	roles.RangerRoles = append(roles.RangerRoles, doc.Roles...)
	roles.Unknown = w.unknown
	return roles, nil
}

// ParseUserStore reads the user store download.
func ParseUserStore(data []byte, origin string) (*UserStore, error) {
	doc := &UserStore{}
	w, err := read(data, origin, doc)
	if err != nil {
		return nil, err
	}
	doc.Unknown = w.unknown
	return doc, nil
}

// ParseTags reads the tags download.
func ParseTags(data []byte, origin string) (*ServiceTags, error) {
	doc := &ServiceTags{}
	w, err := read(data, origin, doc)
	if err != nil {
		return nil, err
	}
	doc.Unknown = w.unknown
	return doc, nil
}

// ParseServiceDef reads a service definition and checks that its resources form trees.
func ParseServiceDef(data []byte, origin string) (*ServiceDef, error) {
	def := &ServiceDef{}
	w, err := read(data, origin, def)
	if err != nil {
		return nil, err
	}
	def.Unknown = w.unknown
	if err := def.Verify(); err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "%s: %w", origin, err)
	}
	return def, nil
}

// each calls visit for every policy of the document with the JSON path of its list and its index there, or with the
// policy's own path and a negative index.
func (s *ServicePolicies) each(visit func(path string, index int, p *Policy)) {
	deltas := func(path string, list []PolicyDelta) {
		for i, d := range list {
			if d.Policy != nil {
				visit(fmt.Sprintf("%s[%d].policy", path, i), -1, d.Policy)
			}
		}
	}
	visitPolicies("policies", s.Policies, visit)
	deltas("policyDeltas", s.PolicyDeltas)
	if s.TagPolicies != nil {
		visitPolicies("tagPolicies.policies", s.TagPolicies.Policies, visit)
	}
	for name, zone := range s.SecurityZones {
		if zone != nil {
			visitPolicies("securityZones."+name+".policies", zone.Policies, visit)
			deltas("securityZones."+name+".policyDeltas", zone.PolicyDeltas)
		}
	}
}

func visitPolicies(path string, list []Policy, visit func(path string, index int, p *Policy)) {
	for i := range list {
		visit(path, i, &list[i])
	}
}

// jsonKind returns the first character of the document that is not white space, 0 when there is none.
func jsonKind(data []byte) byte {
	trimmed := bytes.TrimLeft(data, " \t\r\n\ufeff")
	if len(trimmed) == 0 {
		return 0
	}
	return trimmed[0]
}

// Decode unmarshals strictly valid UTF-8. Its errors are of class CodeInvalid and say where: origin, the policy when
// there is one, and the JSON path of the value, or line and column when the text is no JSON at all.
func Decode(data []byte, origin string, into any) error {
	data = trimBOM(data)
	if at := invalidUTF8(data); at >= 0 {
		return policy.Errorf(policy.CodeInvalid, "%s: %s is not valid UTF-8", origin, describeOffset(data, int64(at)))
	}
	return unmarshal(data, origin, into)
}

// trimBOM returns the document without a byte order mark before it.
func trimBOM(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\ufeff")) }

// unmarshal is decode for text that is known to be valid UTF-8 without a byte order mark.
func unmarshal(data []byte, origin string, into any) error {
	err := json.Unmarshal(data, into)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax) && len(bytes.TrimSpace(data)) == 0:
		return policy.Errorf(policy.CodeInvalid, "%s: the document is empty", origin)
	case errors.As(err, &syntax):
		line, column := lineColumn(data, syntax.Offset)
		return policy.Errorf(policy.CodeInvalid, "%s: line %d, column %d: not valid JSON: %w", origin, line, column, err)
	case errors.As(err, &typ):
		return policy.Errorf(policy.CodeInvalid, "%s: %s: a JSON %s does not fit here, want %s", origin, describeOffset(data, typ.Offset),
			typ.Value, wanted(typ))
	}
	return policy.Errorf(policy.CodeInvalid, "%s: read JSON: %w", origin, err)
}

func wanted(e *json.UnmarshalTypeError) string {
	switch kind := e.Type.Kind().String(); kind {
	case "struct", "map":
		return "an object"
	case "slice":
		return "an array"
	case "bool":
		return "true or false"
	case "string":
		return "a string"
	default:
		return "a whole number (" + kind + ")"
	}
}

func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

func lineColumn(data []byte, offset int64) (line, column int) {
	before := data[:min(offset, int64(len(data)))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n') - 1
}

// describeOffset names the value at offset: the policy it belongs to, where one can be made out, and its JSON path.
func describeOffset(data []byte, offset int64) string {
	path := pathAt(data, offset)
	where := path
	if id, name, rest, ok := policyAt(data, path); ok {
		where = fmt.Sprintf("policy %d %q: %s", id, name, rest)
	}
	if where == "" {
		line, column := lineColumn(data, offset)
		return fmt.Sprintf("line %d, column %d", line, column)
	}
	return where
}

// policyAt looks up the policy that holds path in a document that need not be well-typed.
func policyAt(data []byte, path string) (id int64, name, rest string, ok bool) {
	var at any
	if json.Unmarshal(data, &at) != nil {
		return 0, "", "", false
	}
	rest = path
	for {
		if fields, isMap := at.(map[string]any); isMap {
			_, hasResources := fields["resources"]
			_, hasItems := fields["policyItems"]
			if hasResources || hasItems {
				if n, isNumber := fields["id"].(float64); isNumber {
					id = int64(n)
				}
				name, _ = fields["name"].(string)
				return id, name, rest, true
			}
		}
		key, index, after := cutPath(rest)
		switch v := at.(type) {
		case map[string]any:
			at = v[key]
		case []any:
			if index < 0 || index >= len(v) {
				return 0, "", "", false
			}
			at = v[index]
		default:
			return 0, "", "", false
		}
		rest = after
	}
}

// cutPath splits the first step off a path made by pathAt: a key, or an index when it is in brackets.
func cutPath(path string) (key string, index int, rest string) {
	if strings.HasPrefix(path, "[") {
		index = -1
		if end := strings.IndexByte(path, ']'); end > 0 {
			if _, err := fmt.Sscanf(path[1:end], "%d", &index); err != nil {
				index = -1
			}
			rest = path[end+1:]
		}
		return "", index, strings.TrimPrefix(rest, ".")
	}
	end := strings.IndexAny(path, ".[")
	if end < 0 {
		return path, -1, ""
	}
	return path[:end], -1, strings.TrimPrefix(path[end:], ".")
}

// pathAt returns the JSON path of the innermost value that reaches offset, as "policies[3].policyItems[0].users".
func pathAt(data []byte, offset int64) string {
	type level struct {
		array bool
		index int
		key   string
		isKey bool // the next token of an object is a key
	}
	var stack []level
	render := func(stack []level) string {
		var b strings.Builder
		for _, l := range stack {
			switch {
			case l.array:
				fmt.Fprintf(&b, "[%d]", l.index)
			case b.Len() > 0:
				b.WriteString("." + l.key)
			default:
				b.WriteString(l.key)
			}
		}
		return b.String()
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		reached := dec.InputOffset() >= offset
		if err != nil {
			return render(stack)
		}
		if delim, isDelim := token.(json.Delim); isDelim && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
		} else if top := len(stack) - 1; top >= 0 && !stack[top].array && stack[top].isKey {
			stack[top].key, stack[top].isKey = token.(string), false
			if reached && dec.InputOffset() > offset {
				return render(stack)
			}
			continue
		}
		if reached {
			return render(stack)
		}
		if delim, isDelim := token.(json.Delim); isDelim && (delim == '{' || delim == '[') {
			stack = append(stack, level{array: delim == '[', isKey: delim == '{'})
			continue
		}
		if top := len(stack) - 1; top >= 0 {
			stack[top].index++
			stack[top].isKey = !stack[top].array
		}
	}
}
