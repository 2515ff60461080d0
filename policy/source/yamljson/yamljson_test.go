package yamljson

import (
	"fmt"
	"strings"
	"testing"
)

// Each document of a YAML stream counts, those without content aside; what it means does not depend on the reader's
// version of YAML.
func TestYAMLDocuments(t *testing.T) {
	for text, want := range map[string][]string{
		"":                            nil,
		"# only\n\n":                  nil,
		"---\n...\n---\n# c\n":        nil,
		"a: 1":                        {`{"a":1}`},
		"a: 1\n---\nb: 2\n":           {`{"a":1}`, `{"b":2}`},
		"---\n---\na: 1\n...\n":       {`{"a":1}`},
		"--- # c\na: 1\n--- {b: 2}":   {`{"a":1}`, `{"b":2}`},
		"%YAML 1.1\n---\na: 1\n":      {`{"a":1}`},
		"a: |\n  ---\n  x\nb: ---x":   {`{"a":"---\nx\n","b":"---x"}`},
		"a: 1\r\n---\r\nb: 2\r\n":     {`{"a":1}`, `{"b":2}`},
		"a: 1\n...\n# c\n---\nb: 2":   {`{"a":1}`, `{"b":2}`},
		"----\n":                      {`"----"`},
		"a: 1\n---\n---\n\n---\nb: 2": {`{"a":1}`, `{"b":2}`},
		"~\n--- null":                 {`null`, `null`},
		"[yes, No, on, OFF, true]":    {`[true,false,true,false,true]`},
		`["yes", 'no', !!str on]`:     {`["yes","no","on"]`},
		"[y, N, nobody, nO]":          {`[true,false,"nobody","nO"]`},
		"[2024-01-15, 2024-01-15 10:00:00, 12:30]":      {`["2024-01-15","2024-01-15 10:00:00","12:30"]`},
		"{1: a, true: b, 1.5: c, x: {2: d}}":            {`{"1":"a","1.5":"c","true":"b","x":{"2":"d"}}`},
		"[123456789012345678, 0x10, 1e3, -.5, null, ~]": {`[123456789012345678,16,1000,-0.5,null,null]`},
		"a: &a [x]\nb: *a\nc: {<<: {d: 1}, e: 2}":       {`{"a":["x"],"b":["x"],"c":{"d":1,"e":2}}`},
	} {
		got, err := Documents([]byte(text))
		if err != nil || fmt.Sprintf("%s", got) != fmt.Sprintf("%s", want) {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
}

// What cannot be read is named with its line in the file, on one line.
func TestYAMLErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\n---\nb: 1\nc: 2\nb: 2\nc: 3": `line 5: mapping key "b" already defined at line 3; line 6: mapping key "c" already defined at line 4`,
		"a: 1\n---\nb: [\n":                 "line 3: ",
		"---\n# c\n\tx":                     "line 3: ",
		"a: 1\n---\nb: *none":               "unknown anchor 'none'",
		"{1: a, 1.0: b}":                    `document at line 1: key "1" is there twice in one object`,
		"{[x]: a}":                          "document at line 1: invalid map key",
		"{~: a}":                            "document at line 1: a key of an object is",
		"a: .nan":                           "document at line 1: json: unsupported value: NaN",
		"a: &a [*a]":                        "anchor 'a' value contains itself",
	} {
		_, err := Documents([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error is %v, want %s", text, err, want)
		}
	}
}
