package ranger

import (
	"bytes"
	"encoding/json"
	"slices"

	"ucwarden/jsontext"
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
)

// Classify returns what a JSON document holds, told by the keys of its object that are not null; DocumentUnknown when
// it is no object with known keys, or no valid JSON. An array counts as a list of policies, unless all in it are roles.
func Classify(data []byte) DocumentKind {
	data = jsontext.TrimBOM(data)
	w := &walker{Scanner: jsontext.Scanner{Data: data}}
	w.Space()
	switch {
	case w.At == len(data):
		return DocumentUnknown
	case data[w.At] == '[':
		switch {
		case !w.document(anything):
			return DocumentUnknown
		case isRoleList(data):
			return DocumentRoles
		}
		return DocumentPolicyList
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
	case has("resources", "policyItems", "denyPolicyItems", "dataMaskPolicyItems", "rowFilterPolicyItems"):
		return DocumentPolicy
	}
	return DocumentUnknown
}

// isRoleList reports whether a JSON array holds roles: objects with a name and members, and nothing that policies have.
func isRoleList(data []byte) bool {
	if bytes.Contains(data, []byte(`"resources"`)) || bytes.Contains(data, []byte("olicyItem")) {
		return false // as nearly all lists of policies, of which some are large
	}
	var list []map[string]json.RawMessage
	if json.Unmarshal(data, &list) != nil {
		return false
	}
	return len(list) > 0 && !slices.ContainsFunc(list, func(of map[string]json.RawMessage) bool { return !IsRole(of) })
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
