package content

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/input"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
)

// hint names the key of a document of no known kind that is near one that tells a kind, or is one and has no value, after a separator; ""
// where none is.
func (d *document) hint() string {
	fields := d.fields()
	if fields != nil && parse.IsRole(fields) {
		return " (a role stands in a list, as the value of rangerRoles)"
	}
	for _, key := range documentKeys {
		if value, ok := fields[key]; ok && string(value) == "null" && !isKubernetes(fields) {
			return fmt.Sprintf(" (%s is null)", key)
		}
	}
	if key, known := nearKey(fields); key != "" {
		return fmt.Sprintf(" (%s: did you mean %s?)", key, known)
	}
	return ""
}

// isMisspelt reports whether a key of the document is one edit from one that tells a kind, and holds what that may hold.
func (d *document) isMisspelt() bool {
	key, known := nearKey(d.fields())
	return key != "" && input.Misspelt(key, []string{known}) != ""
}

// fields returns the document's object; nil where it is none.
func (d *document) fields() map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(d.data, &fields) != nil {
		return nil
	}
	return fields
}

// nearKey returns the first key of an object, of those that are nearest, that is near one that tells a kind of document, and that
// one. A key whose value cannot be what the known one holds is no misspelling of it, as the rules of a role of Kubernetes, or
// the data of a ConfigMap: documents of other programs have such keys, too.
func nearKey(fields map[string]json.RawMessage) (key, known string) {
	kubernetes := isKubernetes(fields)
	mayBeOurs := !kubernetes && !holdsOther(fields)
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		near := input.Nearest(k, documentKeys)
		if near == "" || near == k {
			continue
		}
		if nothing := mayBeOurs && isEmpty(fields[k]); !nothing && !mayHold(near, fields[k], kubernetes) { // what holds nothing may be ours
			continue
		}
		if input.Misspelt(k, []string{near}) != "" {
			return k, near
		}
		if key == "" {
			key, known = k, near
		}
	}
	return key, known
}

// holdsOther reports whether an object has none of headKeys, and something in a list or object whose key is not even near one of ours.
func holdsOther(fields map[string]json.RawMessage) bool {
	if hasHead(fields) {
		return false
	}
	for key, value := range fields {
		if !isEmpty(value) && (value[0] == '{' || value[0] == '[') && input.Nearest(key, documentKeys) == "" && !isOwnKey(key) {
			return true
		}
	}
	return false
}

// isKubernetes reports whether an object says by apiVersion and kind that it is one of Kubernetes, or of a tool that writes its
// documents in the same way.
func isKubernetes(fields map[string]json.RawMessage) bool {
	for _, name := range []string{"apiVersion", "kind"} {
		var text string
		if json.Unmarshal(fields[name], &text) != nil || text == "" {
			return false
		}
	}
	return true
}

// isEmpty reports whether a value is null, or has nothing in it.
func isEmpty(value json.RawMessage) bool {
	return slices.Contains([]string{"{}", "[]", "null", `""`}, strings.TrimSpace(string(value)))
}

// mayHold reports whether a value with something in it may be what a key of documentKeys holds.
func mayHold(known string, value json.RawMessage, kubernetes bool) bool {
	var object map[string]json.RawMessage
	var list []json.RawMessage
	switch {
	case json.Unmarshal(value, &object) == nil && len(object) > 0:
	case json.Unmarshal(value, &list) == nil && len(list) > 0:
	default:
		return false
	}
	members := slices.Concat(list, slices.Collect(maps.Values(object)))
	switch known {
	case "rangerRoles", "roles":
		return slices.ContainsFunc(members, func(of json.RawMessage) bool { return holdsRole(of, kubernetes, 0) })
	case "tagDefinitions":
		return slices.ContainsFunc(members, func(of json.RawMessage) bool {
			var definition map[string]json.RawMessage
			return json.Unmarshal(of, &definition) == nil && definition["name"] != nil
		})
	case "userGroupMapping", "userAttrMapping", "groupAttrMapping", "resourceToTagIds":
		return object != nil && slices.ContainsFunc(members, func(of json.RawMessage) bool {
			return strings.HasPrefix(string(of), "[") || strings.HasPrefix(string(of), "{")
		})
	}
	return speaksOfPolicies(value, 0)
}

// holdsRole reports whether a value is what looks like a role, or a list or object of such, or of lists or objects of them.
func holdsRole(value json.RawMessage, kubernetes bool, depth int) bool {
	const deepest = 2
	var object map[string]json.RawMessage
	var list []json.RawMessage
	switch {
	case json.Unmarshal(value, &object) == nil:
		if looksLikeRole(value, kubernetes) {
			return true
		}
		list = slices.Collect(maps.Values(object))
	case json.Unmarshal(value, &list) != nil:
		return false
	}
	return depth < deepest && slices.ContainsFunc(list, func(of json.RawMessage) bool { return holdsRole(of, kubernetes, depth+1) })
}

// looksLikeRole reports whether an object has members, or a name and nothing but what a role has. In a document of Kubernetes members
// are not enough.
func looksLikeRole(value json.RawMessage, kubernetes bool) bool {
	var role map[string]json.RawMessage
	if json.Unmarshal(value, &role) != nil || kubernetes && role["name"] == nil {
		return false
	}
	only := role["name"] != nil
	for key := range role {
		if input.Nearest(key, []string{"users", "groups", "roles", "members"}) != "" {
			return true
		}
		only = only && input.Nearest(key, []string{"name", "id", "guid", "description", "options", "isEnabled", "version", "createdByUser"}) != ""
	}
	return only
}

// speaksOfPolicies reports whether an object in a value, at any depth, has what a policy, an item of one, or a tagged resource
// has. It does not look into documents of Kubernetes. What is nested deeper than policies are may have anything.
func speaksOfPolicies(value json.RawMessage, depth int) bool {
	const deepest = 16
	if depth > deepest {
		return true
	}
	inner := func(value json.RawMessage) bool { return speaksOfPolicies(value, depth+1) }
	var object map[string]json.RawMessage
	var list []json.RawMessage
	if json.Unmarshal(value, &object) != nil {
		return json.Unmarshal(value, &list) == nil && slices.ContainsFunc(list, inner)
	}
	if isKubernetes(object) {
		return false
	}
	for key := range object {
		if isOwnKey(key) || input.Nearest(key, []string{"accesses"}) != "" {
			return true
		}
	}
	return namesValues(object) || slices.ContainsFunc(slices.Collect(maps.Values(object)), inner)
}

// ownKeys are keys that documents of other programs hardly have.
var ownKeys = append([]string{"isDenyAllElse", "resourceElements", "zoneName", "validitySchedules", "additionalResources"}, parse.ItemLists...)

// headKeys are keys of documents of policies, besides what they hold, and of policies.
var headKeys = []string{"serviceName", "serviceId", "policyVersion", "serviceDef", "metaDataInfo", "tagPolicies", "securityZones", "serviceConfig",
	"policyType", "policyPriority", "isAuditEnabled", "serviceType", "policyLabels", "resourceSignature", "rangerRoles"}

// isOthers reports whether a document that has one of our keys is another program's all the same: a bundle of Databricks, the values of a
// chart, roles of hosts. Nothing in it is what policies or roles have.
func (d *document) isOthers() bool {
	if bytes.Contains(d.data, []byte("olicyItem")) {
		return false // as nearly all documents of policies, of which some are large
	}
	if d.kind == parse.DocumentPolicyList {
		var list []map[string]json.RawMessage
		return json.Unmarshal(d.data, &list) == nil && len(list) > 0 && !speaksOfPolicies(d.data, 0) && !slices.ContainsFunc(list, hasHead)
	}
	fields := d.fields()
	if fields == nil || hasHead(fields) || slices.ContainsFunc(slices.Collect(maps.Keys(fields)), isOwnKey) {
		return false
	}
	if key, _ := nearKey(fields); key != "" {
		return false
	}
	return !slices.ContainsFunc([]string{"policies", "roles", "resources"}, func(key string) bool {
		return fields[key] != nil && (key != "resources" && isNothing(fields[key]) || mayHold(key, fields[key], isKubernetes(fields)))
	})
}

// isNothing reports whether a value holds neither text nor an object with anything in it, as where a program that writes documents had
// nothing to put there.
func isNothing(value json.RawMessage) bool {
	var object map[string]json.RawMessage
	var list []json.RawMessage
	switch {
	case json.Unmarshal(value, &object) == nil:
		return len(object) == 0
	case json.Unmarshal(value, &list) == nil:
		return !slices.ContainsFunc(list, func(of json.RawMessage) bool { return !isNothing(of) })
	}
	return !strings.HasPrefix(string(value), `"`) || string(value) == `""`
}

// hasHead reports whether an object has one of headKeys.
func hasHead(fields map[string]json.RawMessage) bool {
	return slices.ContainsFunc(headKeys, func(key string) bool { return fields[key] != nil })
}

func isOwnKey(key string) bool {
	return slices.Contains(ownKeys, key) || input.Misspelt(key, ownKeys) != ""
}

// namesValues reports whether an object has the name of a resource of Unity Catalog with a list of names, or an object that has
// values. A list of nothing tells nothing where the name is only nearly one, as the tables of a source of dbt.
func namesValues(object map[string]json.RawMessage) bool {
	for name, value := range object {
		if !parse.IsResource(name) {
			continue
		}
		var list []string
		var values map[string]json.RawMessage
		exact := slices.ContainsFunc(ranger.DefaultServiceDef().Resources, func(r ranger.ResourceDef) bool { return r.Name == name })
		if json.Unmarshal(value, &list) == nil && (len(list) > 0 || list != nil && exact) {
			return true
		}
		if json.Unmarshal(value, &values) == nil && slices.ContainsFunc(slices.Collect(maps.Keys(values)), func(key string) bool {
			return input.Nearest(key, []string{"values"}) != ""
		}) {
			return true
		}
	}
	return false
}
