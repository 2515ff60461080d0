package jsontext_test

import (
	"encoding/json"
	"strings"
	"testing"

	"ucwarden/jsontext"
)

func TestPlaces(t *testing.T) {
	text := "{\"a\": [1,\n {\"b.c\": \"x\\\"y\", \"d\": true}]}"
	for part, want := range map[string]string{"1,": "a[0]", "x": "a[1].b.c", "true": "a[1].d"} {
		if got := jsontext.PathAt([]byte(text), int64(strings.Index(text, part)+1)); got != want {
			t.Errorf("path of %q is %q, want %q", part, got, want)
		}
	}
	if line, column := jsontext.LineColumn([]byte(text), int64(strings.Index(text, "true"))); line != 2 || column != 22 {
		t.Errorf("line %d, column %d", line, column)
	}
	if at := jsontext.InvalidUTF8([]byte("ab\xffc")); at != 2 {
		t.Errorf("invalid at %d", at)
	}
	if key, index, rest := jsontext.CutPath("[3].a.b"); key != "" || index != 3 || rest != "a.b" {
		t.Errorf("cut %q %d %q", key, index, rest)
	}
}

// A token is one where encoding/json says so.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{`"a\u00e9\n"`, `"\x"`, `-0.5e+10`, `01`, `1.`, `true`, `nul`, "\"a\tb\"", `"\ud800"`, `"`, `-`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := jsontext.Scanner{Data: []byte(text)}
		s.Space()
		ok := false
		switch from := s.At; {
		case from == len(text):
		case text[from] == '"':
			var to int
			if _, to, _, ok = s.Text(); ok && text[to] != '"' {
				t.Errorf("%q ends at %d", text, to)
			}
		case text[from] == '-' || text[from] >= '0' && text[from] <= '9':
			ok = s.Number()
		case text[from] == 't' || text[from] == 'f' || text[from] == 'n':
			ok = s.Literal("true") || s.Literal("false") || s.Literal("null")
		default:
			return // no token of these
		}
		s.Space()
		if got := ok && s.At == len(text); got != json.Valid([]byte(text)) {
			t.Errorf("%q: %v, want %v", text, got, !got)
		}
	})
}
