package parse

import (
	"bytes"
	"encoding/json"
	"slices"

	"ucwarden/input"
	"ucwarden/jsontext"
	"ucwarden/policy/ranger"
)

// DocumentKind is what a document holds.
type DocumentKind string

// The kinds of documents.
const (
	DocumentUnknown    DocumentKind = ""
	DocumentPolicies   DocumentKind = "policies"           // a policy download or export
	DocumentPolicy     DocumentKind = "a policy"           // one
	DocumentPolicyList DocumentKind = "a list of policies" // a bare array
	DocumentDeltas     DocumentKind = "changes of policies"
	DocumentRoles      DocumentKind = "roles" // the roles download, or Ranger Admin's role export
	DocumentUsers      DocumentKind = "a user store"
	DocumentTags       DocumentKind = "tags"
	DocumentServiceDef DocumentKind = "a service definition"
	DocumentSuite      DocumentKind = "a test suite"
	DocumentZone       DocumentKind = "security zones" // as Ranger Admin keeps and exports them
)

// Classify returns what a JSON document holds, told by the keys of its object that are not null; DocumentUnknown when
// it is no object with known keys, or no valid JSON. An array counts as a list of policies, unless it holds objects of which none
// looks like one.
func Classify(data []byte) DocumentKind {
	data = jsontext.TrimBOM(data)
	w := &walker{Scanner: jsontext.Scanner{Data: data}}
	w.Space()
	switch {
	case w.At == len(data):
		return DocumentUnknown
	case data[w.At] == '[':
		if !w.document(anything) {
			return DocumentUnknown
		}
		return classifyList(data)
	}
	keys := topKeys(data)
	has := func(names ...string) bool {
		for _, name := range names {
			if keys[name] {
				return true
			}
		}
		return false
	}
	switch {
	case has("tests", "testCases"):
		return DocumentSuite
	case isZone(data), has("securityZones") && holdsZones(data):
		return DocumentZone
	case has("policyDeltas"):
		return DocumentDeltas
	case has("policies", "tagPolicies", "securityZones"):
		return DocumentPolicies
	case has("rangerRoles"), has("roles") && !has("name", "resources", "accesses"):
		return DocumentRoles
	case has("userGroupMapping", "userAttrMapping", "groupAttrMapping"):
		return DocumentUsers
	case has("serviceResources", "resourceToTagIds", "tagDefinitions"):
		return DocumentTags
	case has("accessTypes") && has("resources"):
		return DocumentServiceDef
	case has(ItemLists...), has("resources") && looksLikePolicy(data):
		return DocumentPolicy
	}
	return DocumentUnknown
}

// ItemLists are the fields of a policy that say who may do what.
var ItemLists = []string{"policyItems", "denyPolicyItems", "allowExceptions", "denyExceptions", "dataMaskPolicyItems", "rowFilterPolicyItems"}

// policyFields are fields of a policy that documents of other programs hardly have.
var policyFields = append([]string{"policyType", "policyPriority", "isDenyAllElse", "isAuditEnabled", "serviceType", "zoneName", "validitySchedules",
	"additionalResources", "policyLabels", "resourceSignature", "isEnabled"}, ItemLists...)

// classifyList tells a list of policies from one of roles, and from one of neither. Lists in which anything is no object are of
// policies: what they hold is a fault.
func classifyList(data []byte) DocumentKind {
	if bytes.Contains(data, []byte("olicyItem")) {
		return DocumentPolicyList // as nearly all lists of policies, of which some are large
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(data, &list) != nil || len(list) == 0 || slices.ContainsFunc(list, isPolicy) {
		return DocumentPolicyList
	}
	if slices.ContainsFunc(list, isZoneObject) {
		return DocumentZone
	}
	if !slices.ContainsFunc(list, func(of map[string]json.RawMessage) bool { return !IsRole(of) || !hasMembers(of) }) {
		return DocumentRoles
	}
	return DocumentUnknown
}

// isZone reports whether a document is a security zone of Ranger Admin (RangerSecurityZone): what of which service lies in it.
func isZone(data []byte) bool {
	var fields map[string]json.RawMessage
	return bytes.Contains(data, []byte(`"services"`)) && json.Unmarshal(data, &fields) == nil && isZoneObject(fields)
}

func isZoneObject(fields map[string]json.RawMessage) bool {
	var services map[string]struct {
		Resources []map[string]json.RawMessage `json:"resources"`
	}
	if fields["name"] == nil || json.Unmarshal(fields["services"], &services) != nil {
		return false
	}
	for _, name := range []string{"adminUsers", "adminUserGroups", "adminRoles", "auditUsers", "auditUserGroups", "tagServices"} {
		if fields[name] != nil {
			return true
		}
	}
	for _, of := range services {
		if len(of.Resources) > 0 {
			return true
		}
	}
	return false
}

// holdsZones reports whether the securityZones of a document are a list, as Ranger Admin answers.
func holdsZones(data []byte) bool {
	var doc struct {
		SecurityZones json.RawMessage `json:"securityZones"`
	}
	return json.Unmarshal(data, &doc) == nil && bytes.HasPrefix(doc.SecurityZones, []byte("["))
}

// looksLikePolicy reports whether an object with resources is a policy, and not a document of another program that has resources too.
func looksLikePolicy(data []byte) bool {
	var fields map[string]json.RawMessage
	return json.Unmarshal(data, &fields) != nil || isPolicy(fields)
}

// isPolicy reports whether an object has a field that only policies have, or nearly one, or names resources of Unity Catalog.
func isPolicy(fields map[string]json.RawMessage) bool {
	for key := range fields {
		if slices.Contains(policyFields, key) || input.Misspelt(key, policyFields) != "" || input.Nearest(key, ItemLists) != "" {
			return true
		}
	}
	var resources map[string]json.RawMessage
	if json.Unmarshal(fields["resources"], &resources) != nil {
		return false
	}
	for name := range resources {
		if IsResource(name) {
			return true
		}
	}
	return false
}

// IsResource reports whether a name is that of a resource of Unity Catalog, by our own service definition, or one misspelt.
func IsResource(name string) bool {
	var names []string
	for _, r := range ranger.DefaultServiceDef().Resources {
		names = append(names, r.Name)
	}
	return slices.Contains(names, name) || input.Misspelt(name, names) != ""
}

// hasMembers reports whether the members of a role are objects, as Ranger writes them.
func hasMembers(role map[string]json.RawMessage) bool {
	for _, field := range []string{"users", "groups", "roles"} {
		var members []map[string]json.RawMessage
		if role[field] != nil && json.Unmarshal(role[field], &members) != nil {
			return false
		}
	}
	return true
}

// IsRole reports whether an object has the fields of a role, and not those of a policy.
func IsRole(fields map[string]json.RawMessage) bool {
	return fields["name"] != nil && (fields["users"] != nil || fields["groups"] != nil || fields["roles"] != nil) &&
		fields["resources"] == nil && fields["accesses"] == nil
}

// topKeys returns the keys of the document's object whose values are not null; none when the JSON is not valid.
func topKeys(data []byte) map[string]bool {
	keys := map[string]bool{}
	w := &walker{Scanner: jsontext.Scanner{Data: data}}
	w.visit = func(key []byte) {
		if !bytes.HasPrefix(w.Data[w.At:], []byte("null")) {
			keys[string(key)] = true
		}
	}
	if !w.document(anything) {
		return nil
	}
	return keys
}
