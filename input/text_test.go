package input_test

import (
	"encoding/json"
	"strings"
	"testing"

	"ucwarden/input"
)

// Half of a surrogate pair is refused wherever it stands; whole pairs, and what only looks like an escape, are not.
func TestCheckText(t *testing.T) {
	for _, text := range []string{`"\ud83d\ude00"`, `{"\uD83D\uDE00":"\\ud800"}`, `"\\\\ud800"`, `"é\u00e9\n\"\/"`, `[]`, `"\ud7ff\ue000"`, `"x\\"`} {
		if !json.Valid([]byte(text)) {
			t.Fatal(text)
		}
		if err := input.CheckText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{`"\ud800"`, `"\udc00"`, `{"a\uDFFF":1}`, `"\ud800\ud800"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ud83d\u0041"`, `"\ude00\ud83d"`, `"\\\\\ud800"`, "\"\xff\"", `["x","\ud800"]`} {
		if err := input.CheckText([]byte(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

// Go reads half of a pair as U+FFFD: what passes holds that character only where it is written.
func FuzzCheckText(f *testing.F) {
	for _, text := range []string{`"\ud83d\ude00"`, `"\ud800"`, `"\\ud800"`, `"\udc00\ud800"`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got string
		if json.Unmarshal([]byte(text), &got) != nil || strings.ContainsRune(text, '\ufffd') || strings.Contains(strings.ToLower(text), `\ufffd`) {
			return
		}
		if err := input.CheckText([]byte(text)); (err == nil) == strings.ContainsRune(got, '\ufffd') {
			t.Errorf("%q is read as %q: %v", text, got, err)
		}
	})
}
