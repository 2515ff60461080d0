package emulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// jsonProblem says, for people, why a document cannot be decoded: the field, what it holds, and what it wants.
func jsonProblem(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	var path []string
	for part := range strings.SplitSeq(wrong.Field, ".") {
		if part != "" && strings.ToLower(part[:1]) == part[:1] { // the others are types of ours
			path = append(path, part)
		}
	}
	field := strings.Join(path, ".")
	if field == "" {
		field = "the document"
	}
	value, _, _ := strings.Cut(wrong.Value, " ")
	if value == "bool" {
		value = "boolean"
	}
	return fmt.Sprintf("%s: %s does not fit here, want %s", field, withArticle(value), wantedKind(wrong.Type))
}

func withArticle(word string) string {
	if strings.ContainsAny(word[:1], "aeiou") {
		return "an " + word
	}
	return "a " + word
}

func wantedKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return "a mapping of names to values"
	}
	return "a number"
}
