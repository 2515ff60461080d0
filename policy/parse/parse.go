package parse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"ucwarden/input"
	"ucwarden/jsontext"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// ServicePolicies reads the document of Ranger's policy download: an object with a list of policies. Fields that Ranger's model does not have are not read; the document's Unknown lists them. What is wrong
// within a policy is among its Faults. origin (a file name or URL) appears in every error, with line and column or the
// JSON path of the field, and is recorded in each policy. The policies are not yet compared with a service definition;
// package verify does that.
//
// The class of every error of this and the other Parse functions is CodeInvalid: no valid JSON, or, outside of policies, a
// value of the wrong type or a key that an object has twice.
func ServicePolicies(data []byte, origin string) (*ranger.ServicePolicies, error) {
	return readServicePolicies(data, origin, false)
}

// PolicyFile reads a file that holds such a document, or Ranger Admin's policy export. Each field of a policy that
// Ranger's model does not have is among the policy's Faults: no newer server wrote it.
func PolicyFile(data []byte, origin string) (*ranger.ServicePolicies, error) {
	return readServicePolicies(data, origin, true)
}

func readServicePolicies(data []byte, origin string, file bool) (*ranger.ServicePolicies, error) {
	if jsontext.Kind(data) != '{' {
		return nil, policy.Errorf(policy.CodeInvalid, "%s: want a JSON object with policies, as Ranger's policy download returns", origin)
	}
	doc := &ranger.ServicePolicies{}
	w, err := read(data, origin, doc, file)
	if err != nil {
		return nil, err
	}
	doc.Unknown = w.unknown
	each(doc, func(_ string, _ int, p *ranger.Policy) { p.Origin = origin })
	w.markFaults(func(visit func(string, int, *ranger.Policy)) { each(doc, visit) })
	return doc, nil
}

// Policies reads policies from a file: a JSON array of policies, a single policy, or a document as read by
// [PolicyFile], and the fields in it that Ranger's model does not have.
func Policies(data []byte, origin string) ([]ranger.Policy, []ranger.UnknownField, error) {
	switch jsontext.Kind(data) {
	case '[':
		return readPolicyList(data, origin)
	case '{':
		keys := topKeys(jsontext.TrimBOM(data))
		switch {
		case keys == nil || keys["policies"]: // nil: parsing says what is wrong
			doc, err := PolicyFile(data, origin)
			if err != nil {
				return nil, nil, err
			}
			return doc.Policies, doc.Unknown, nil
		case keys["resources"]:
			return readPolicy(data, origin)
		}
		hint := ""
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if near := input.Nearest(key, []string{"policies", "resources"}); near != "" {
				hint = fmt.Sprintf("; did you mean %s where it says %q?", near, key)
			}
		}
		return nil, nil, policy.Errorf(policy.CodeInvalid, "%s: neither a policy (no resources) nor a list of them (no policies)%s", origin, hint)
	}
	return nil, nil, policy.Errorf(policy.CodeInvalid, "%s: want a JSON policy, an array of policies or an object with policies", origin)
}

func readPolicyList(data []byte, origin string) ([]ranger.Policy, []ranger.UnknownField, error) {
	var list []ranger.Policy
	w, err := read(data, origin, &list, true)
	if err != nil {
		return nil, nil, err
	}
	each := func(visit func(string, int, *ranger.Policy)) { visitPolicies("", list, visit) }
	each(func(_ string, _ int, p *ranger.Policy) { p.Origin = origin })
	w.markFaults(each)
	return list, w.unknown, nil
}

func readPolicy(data []byte, origin string) ([]ranger.Policy, []ranger.UnknownField, error) {
	list := make([]ranger.Policy, 1)
	w, err := read(data, origin, &list[0], true)
	if err != nil {
		return nil, nil, err
	}
	list[0].Origin = origin
	w.markFaults(func(visit func(string, int, *ranger.Policy)) { visit("", -1, &list[0]) })
	return list, w.unknown, nil
}

// Roles reads the roles download, Ranger Admin's role export (an object with roles), or a bare JSON array of roles.
func Roles(data []byte, origin string) (*ranger.ServiceRoles, error) {
	if jsontext.Kind(data) == '[' {
		doc := &ranger.ServiceRoles{}
		w, err := read(data, origin, &doc.RangerRoles, false)
		if err != nil {
			return nil, err
		}
		doc.Unknown = w.unknown
		return doc, nil
	}
	var doc struct {
		ranger.ServiceRoles
		Roles []ranger.Role `json:"roles"`
	}
	w, err := read(data, origin, &doc, false)
	if err != nil {
		return nil, err
	}
	roles := &doc.ServiceRoles
	roles.RangerRoles = append(roles.RangerRoles, doc.Roles...)
	roles.Unknown = w.unknown
	return roles, nil
}

// UserStore reads the user store download.
func UserStore(data []byte, origin string) (*ranger.UserStore, error) {
	doc := &ranger.UserStore{}
	w, err := read(data, origin, doc, false)
	if err != nil {
		return nil, err
	}
	doc.Unknown = w.unknown
	return doc, nil
}

// Tags reads the tags download.
func Tags(data []byte, origin string) (*ranger.ServiceTags, error) {
	doc := &ranger.ServiceTags{}
	w, err := read(data, origin, doc, false)
	if err != nil {
		return nil, err
	}
	doc.Unknown = w.unknown
	return doc, nil
}

// ServiceDef reads a service definition and checks that its resources form trees.
func ServiceDef(data []byte, origin string) (*ranger.ServiceDef, error) {
	def := &ranger.ServiceDef{}
	w, err := read(data, origin, def, false)
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
func each(s *ranger.ServicePolicies, visit func(path string, index int, p *ranger.Policy)) {
	deltas := func(path string, list []ranger.PolicyDelta) {
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

func visitPolicies(path string, list []ranger.Policy, visit func(path string, index int, p *ranger.Policy)) {
	for i := range list {
		visit(path, i, &list[i])
	}
}

// Decode unmarshals strictly valid UTF-8. Its errors are of class CodeInvalid and say where: origin, the policy when
// there is one, and the JSON path of the value, or line and column when the text is no JSON at all.
func Decode(data []byte, origin string, into any) error {
	data = jsontext.TrimBOM(data)
	if at := jsontext.InvalidUTF8(data); at >= 0 {
		return policy.Errorf(policy.CodeInvalid, "%s: %s is not valid UTF-8", origin, describeOffset(data, int64(at)))
	}
	return unmarshal(data, origin, into)
}

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
		line, column := jsontext.LineColumn(data, syntax.Offset)
		return policy.Errorf(policy.CodeInvalid, "%s: line %d, column %d: not valid JSON: %w", origin, line, column, err)
	case errors.As(err, &typ):
		return policy.Errorf(policy.CodeInvalid, "%s: %s: a JSON %s does not fit here, want %s", origin, describeOffset(data, typ.Offset),
			typ.Value, wanted(typ))
	}
	return policy.Errorf(policy.CodeInvalid, "%s: read JSON: %w", origin, err)
}

// examples are what to write where a value is of the wrong kind, by the type that it should be of.
var examples = map[reflect.Type]string{
	reflect.TypeFor[ranger.RoleMember]():         `{"name": "ann@example.com"}`,
	reflect.TypeFor[ranger.ItemAccess]():         `{"type": "select"}`,
	reflect.TypeFor[ranger.PolicyItem]():         `{"users": ["ann@example.com"], "accesses": [{"type": "select"}]}`,
	reflect.TypeFor[ranger.PolicyResource]():     `{"values": ["sales"]}`,
	reflect.TypeFor[ranger.Condition]():          `{"type": "ip-range", "values": ["10.0.0.0/8"]}`,
	reflect.TypeFor[ranger.ValiditySchedule]():   `{"endTime": "2027/01/01 00:00:00"}`,
	reflect.TypeFor[ranger.DataMaskInfo]():       `{"dataMaskType": "MASK"}`,
	reflect.TypeFor[ranger.RowFilterInfo]():      `{"filterExpr": "region = 'EU'"}`,
	reflect.TypeFor[[]string]():                  `["a", "b"]`,
	reflect.TypeFor[[]ranger.RoleMember]():       `[{"name": "ann@example.com"}]`,
	reflect.TypeFor[[]ranger.ItemAccess]():       `[{"type": "select"}]`,
	reflect.TypeFor[[]ranger.ValiditySchedule](): `[{"endTime": "2027/01/01 00:00:00"}]`,
}

// wanted says what to write where a value is of the wrong kind.
func wanted(e *json.UnmarshalTypeError) string {
	such, quoted := "", ""
	if example := examples[e.Type]; example != "" {
		such = " such as " + example
	}
	if e.Value == "string" {
		quoted = ", without quotes"
	}
	switch e.Type.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object" + such
	case reflect.Slice:
		return "an array" + such
	case reflect.Bool:
		return "true or false" + quoted
	case reflect.String:
		return "a string, in quotes"
	}
	return "a whole number" + quoted
}

// describeOffset names the value at offset: the policy it belongs to, where one can be made out, and its JSON path.
func describeOffset(data []byte, offset int64) string {
	path := jsontext.PathAt(data, offset)
	where := path
	if id, name, rest, ok := policyAt(data, path); ok {
		where = fmt.Sprintf("policy %d %q: %s", id, name, rest)
	}
	if where == "" {
		line, column := jsontext.LineColumn(data, offset)
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
			_, hasResources := fields["resources"].(map[string]any) // a zone has a list of them
			_, hasItems := fields["policyItems"]
			_, hasName := fields["name"]
			_, hasID := fields["id"]
			if hasItems || hasResources && (hasName || hasID || fields["policies"] == nil) || fields["resources"] != nil && hasName {
				if n, isNumber := fields["id"].(float64); isNumber {
					id = int64(n)
				}
				name, _ = fields["name"].(string)
				return id, name, rest, true
			}
		}
		key, index, after := jsontext.CutPath(rest)
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
