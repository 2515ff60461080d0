package jsontext_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"ucwarden/jsontext"
)

// Members and elements are those that encoding/json finds.
func FuzzMembers(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, ` { "a" : 1 , "b\u00e9" : [ {"c":"}"} , "]" ] } `, `[1,-2.5e3,true , null,"x\"y",[[]],{"a":{}}]`, `{"a":1,"a":2}`, `"x"`, `1`,
		`{"a":[true]}`, "{\"\xff\":1}", `[{"a":[1,2,{"b":"\\"}]},3]`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		data := []byte(text)
		if !json.Valid(data) {
			return
		}
		members := map[string]json.RawMessage{}
		for name, value := range jsontext.Members(data) {
			members[string(name)] = value
		}
		var want map[string]json.RawMessage
		if strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") {
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
		}
		if !maps.EqualFunc(members, want, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			t.Errorf("members of %s: %s, want %s", text, members, want)
		}
		var list []json.RawMessage
		if strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "[") {
			if err := json.Unmarshal(data, &list); err != nil {
				t.Fatal(err)
			}
		}
		got := slices.Collect(jsontext.Elements(data))
		if !slices.EqualFunc(got, list, func(a []byte, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			t.Errorf("elements of %s: %s, want %s", text, got, list)
		}
	})
}
