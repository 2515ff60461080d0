package ondemand

import (
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/naming"
)

// resourceValues maps a resource type to the keys of Resource.Values that it needs, outermost first. Where several keys
// are listed for one value, any of them may be used.
var resourceValues = map[string][][]string{
	"catalog":            {{"catalog"}},
	"schema":             {{"catalog"}, {"schema"}},
	"table":              {{"catalog"}, {"schema"}, {"table"}},
	"view":               {{"catalog"}, {"schema"}, {"view", "table"}},
	"materialized_view":  {{"catalog"}, {"schema"}, {"materialized_view", "view", "table"}},
	"streaming_table":    {{"catalog"}, {"schema"}, {"streaming_table", "table"}},
	"function":           {{"catalog"}, {"schema"}, {"function"}},
	"volume":             {{"catalog"}, {"schema"}, {"volume"}},
	"model":              {{"catalog"}, {"schema"}, {"model"}},
	"registered_model":   {{"catalog"}, {"schema"}, {"registered_model", "model"}},
	"external_location":  {{"external_location"}},
	"storage_credential": {{"storage_credential"}},
	"credential":         {{"credential"}},
	"connection":         {{"connection"}},
	"share":              {{"share"}},
	"recipient":          {{"recipient"}},
	"provider":           {{"provider"}},
}

// valueNames are the keys of Resource.Values that any type needs, sorted.
var valueNames = func() []string {
	names := make(map[string]bool)
	for _, needs := range resourceValues {
		for _, words := range needs {
			for _, word := range words {
				names[word] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}()

func (r Resource) typeName() string { return strings.ToLower(strings.ReplaceAll(r.Type, "-", "_")) }

// IsMetastore reports whether r names the metastore itself with every root object that is not a catalog
// (external locations, credentials, connections, shares, recipients, providers). Such a resource needs no values.
func (r Resource) IsMetastore() bool { return r.typeName() == "metastore" }

// Securable returns the object that r names, in canonical spelling. For a metastore resource (see
// [Resource.IsMetastore]) it is METASTORE without a name: only the caller's connection knows the metastore's id. The
// error, of class policy.CodeInvalid, says which type is unknown, which value is missing or which name is invalid.
func (r Resource) Securable() (policy.Securable, error) {
	if r.IsMetastore() {
		if r.Values["metastore"] != "" {
			return policy.Securable{}, policy.Errorf(policy.CodeInvalid, "a workspace has one metastore, which is named by its type alone: leave out the value metastore")
		}
		if err := r.checkUnused(nil); err != nil {
			return policy.Securable{}, err
		}
		return policy.Securable{Type: policy.Metastore}, nil
	}
	needs, ok := resourceValues[r.typeName()]
	if !ok {
		return policy.Securable{}, policy.Errorf(policy.CodeInvalid, "unknown resource type %q", r.Type)
	}
	if err := r.checkUnused(needs); err != nil {
		return policy.Securable{}, err
	}
	names := make([]string, len(needs))
	for i, words := range needs {
		var from string
		for _, word := range words {
			value := r.Values[word]
			switch {
			case value == "":
			case from == "":
				names[i], from = value, word
			case naming.Canonical(value) != naming.Canonical(names[i]):
				return policy.Securable{}, policy.Errorf(policy.CodeInvalid, "%s and %s name two different objects", from, word)
			}
		}
		if from == "" {
			return policy.Securable{}, policy.Errorf(policy.CodeInvalid, "a %s needs the value %s", r.typeName(), words[len(words)-1])
		}
	}
	t, err := policy.ParseSecurableType(r.typeName())
	if err != nil {
		return policy.Securable{}, err
	}
	return policy.NewSecurable(t, names...)
}

// checkUnused refuses a value that names a part of other types: whoever wrote it meant less than what the type names.
func (r Resource) checkUnused(needs [][]string) error {
	unused := "" // the first of them, in the order of valueNames
	for name, value := range r.Values {
		if value == "" || unused != "" && name > unused || slices.ContainsFunc(needs, func(words []string) bool { return slices.Contains(words, name) }) {
			continue
		}
		if _, named := slices.BinarySearch(valueNames, name); named {
			unused = name
		}
	}
	if unused != "" {
		return policy.Errorf(policy.CodeInvalid, "a %s has no value %s: leave it out, or name the type that is meant", r.typeName(), unused)
	}
	return nil
}

// SecurablesOf returns what each resource names, in their order; the zero Securable where that is not valid.
func SecurablesOf(resources []Resource) []policy.Securable {
	if len(resources) == 0 {
		return nil
	}
	list := make([]policy.Securable, len(resources))
	for i, r := range resources {
		if s, err := r.Securable(); err == nil {
			list[i] = s
		}
	}
	return list
}

// ResourceOf returns the resource that names s; the inverse of [Resource.Securable].
func ResourceOf(s policy.Securable) Resource {
	r := Resource{Type: strings.ToLower(string(s.Type))}
	if s.Type == policy.Metastore {
		return r
	}
	needs := resourceValues[r.Type]
	r.Values = make(map[string]string, len(needs))
	for i, name := range s.Names() {
		if i < len(needs) {
			r.Values[needs[i][0]] = name
		}
	}
	return r
}

// Catalog returns the catalog that a resource is in; ok is false when it is in no catalog or of an unknown type.
func (r Resource) Catalog() (catalog string, ok bool) {
	t, err := policy.ParseSecurableType(r.Type)
	if err != nil {
		return "", false
	}
	switch t {
	case policy.Catalog, policy.Schema, policy.Table, policy.Function, policy.Volume:
	default:
		return "", false
	}
	// The object that the task will act on decides, not the spelling. A resource with an invalid name is only skipped.
	if sec, err := r.Securable(); err == nil {
		return sec.Names()[0], true
	}
	catalog = r.Values["catalog"]
	return catalog, catalog != ""
}
