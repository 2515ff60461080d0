package document

import (
	"fmt"
	"slices"
	"strings"
)

const schemaRef = "#/components/schemas/"

// kind says which values a schema allows.
func (d *Document) kind(s node) kind {
	if ref := s.get("$ref").text(); ref != "" {
		return kind{Ref: strings.TrimPrefix(ref, schemaRef)}
	}
	k := kind{Text: strings.Join(s.get("type").texts(), " or ")}
	switch {
	case s.get("const").exists():
		k.Text = quoted(s.get("const"))
	case s.get("enum").exists():
		k.Text = "one of " + strings.Join(quotedAll(s.get("enum")), ", ")
	case s.get("items").exists():
		k = d.of("array of", k, s.get("items"))
	case s.get("additionalProperties").get("type").exists():
		k = d.of("object of", k, s.get("additionalProperties"))
	}
	for _, key := range []string{"oneOf", "anyOf"} {
		if alternatives := s.get(key); alternatives.exists() && k.Text == "" {
			k.Text = d.alternatives(alternatives)
		}
	}
	for _, limit := range []struct{ key, format string }{
		{"minimum", "at least %s"}, {"maximum", "at most %s"}, {"minLength", "at least %s characters"}, {"maxLength", "at most %s characters"},
		{"minItems", "at least %s elements"}, {"maxItems", "at most %s elements"}, {"format", "%s"}, {"default", "default %s"},
	} {
		if value := s.get(limit.key).text(); value != "" {
			k.Limits = append(k.Limits, fmt.Sprintf(limit.format, value))
		}
	}
	if s.get("additionalProperties").text() == "false" {
		k.Limits = append(k.Limits, "no other fields")
	}
	return k
}

// of returns the kind of an array or an object of others.
func (d *Document) of(word string, whole kind, inner node) kind {
	k := d.kind(inner)
	if k.Text = strings.TrimSpace(word + " " + k.Text); strings.HasSuffix(whole.Text, " or null") {
		k.Text = "null or " + k.Text
	}
	k.Limits = slices.DeleteFunc(k.Limits, func(string) bool { return true })
	return k
}

func (d *Document) alternatives(of node) string {
	var words []string
	for s := range of.elements {
		k := d.kind(s)
		word := strings.TrimSpace(k.Text + " " + k.Ref)
		if word == "object" {
			for name := range s.get("properties").members {
				word = "object with " + name
			}
		}
		if word != "" && !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return strings.Join(words, " or ")
}

// fields returns the properties of a schema that is an object, or of an array of objects.
func (d *Document) fields(s node) []field {
	if items := s.get("items"); items.exists() && !items.get("$ref").exists() {
		return d.fields(items)
	}
	required := s.get("required").texts()
	var list []field
	for name, property := range s.get("properties").members {
		f := field{
			Name: name, Kind: d.kind(property), Required: slices.Contains(required, name), Description: property.get("description").text(),
			Fields: d.fields(property),
		}
		for e := range property.get("examples").elements {
			f.Kind.Limits = append(f.Kind.Limits, "such as "+quoted(e))
		}
		list = append(list, f)
	}
	return list
}

func quoted(value node) string {
	text, err := appendJSON(nil, value)
	if err != nil { // Parse has done the same with all of the document
		return ""
	}
	return string(text)
}

// quotedAll returns the values of an array, without the empty text.
func quotedAll(list node) []string {
	var words []string
	for value := range list.elements {
		if word := quoted(value); word != `""` {
			words = append(words, word)
		}
	}
	return words
}
