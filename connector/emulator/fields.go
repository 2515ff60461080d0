package emulator

import (
	"encoding/json"
	"maps"
	"slices"
	"unicode/utf8"
)

// fields are what create and update of a type read, each with its marks in the specification, for create and update:
// R required, O optional, I ignored, E an error, - not part of that call. A field that is not listed is ignored, too.
type fields map[string]string

// pick returns the fields that the call reads as a JSON object. A field that is null is absent.
func (f fields) pick(body map[string]json.RawMessage, update bool) ([]byte, error) {
	picked := make(map[string]json.RawMessage, len(body))
	for _, name := range slices.Sorted(maps.Keys(f)) {
		mark := f[name][0]
		if update {
			mark = f[name][2]
		}
		raw, given := body[name]
		given = given && string(raw) != "null"
		switch {
		case mark == 'R' && !given:
			return nil, invalid("%s is required.", name)
		case mark == 'E' && given:
			return nil, invalid("%s cannot be changed.", name)
		case given && (mark == 'R' || mark == 'O'):
			picked[name] = raw
		}
	}
	return json.Marshal(picked)
}

// jsonObject returns the fields of a JSON object.
func jsonObject(body []byte) (map[string]json.RawMessage, error) {
	var object map[string]json.RawMessage
	if !utf8.Valid(body) {
		return nil, malformed("the request body is not UTF-8")
	}
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		return nil, malformed("the request body must be a JSON object")
	}
	return object, nil
}
