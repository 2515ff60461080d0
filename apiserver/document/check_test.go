package document_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"ucwarden/apiserver/document"
)

// Each schema is checked with each of its values, and what is allowed is what another implementation allows.
func TestCheckAgreesWithAnother(t *testing.T) {
	for schema, values := range map[string][]string{
		`{type: integer, minimum: 1, maximum: 5}`: {`1`, `5`, `0`, `6`, `2.0`, `2.5`, `1e0`, `1e400`, `"1"`, `null`, `true`},
		`{type: number}`:                                    {`1`, `1.5`, `"1.5"`},
		`{type: [string, "null"], maxLength: 2}`:            {`"ab"`, `"abc"`, `"üü"`, `"\u00e9\u00e9"`, `"\"\""`, `null`, `1`},
		`{type: string, minLength: 1, pattern: "^[a-z]*$"}`: {`""`, `"a"`, `"A"`, `"\u0061"`},
		`{enum: [a, 1, null]}`:                              {`"a"`, `"\u0061"`, `1`, `1.0`, `null`, `"b"`, `"1"`},
		`{const: ""}`:                                       {`""`, `"a"`, `0`},
		`{type: boolean}`:                                   {`true`, `false`, `"true"`},
		`{type: array, minItems: 1, maxItems: 2, items: {type: string}}`:                                        {`[]`, `["a"]`, `["a","b"]`, `["a","b","c"]`, `[1]`, `{}`, ` [ "a" , "b" ] `},
		`{type: object, required: [a], properties: {a: {type: string}}, additionalProperties: {type: integer}}`: {`{}`, `{"a":"x"}`, `{"a":1}`, `{"a":"x","b":1}`, `{"a":"x","b":"y"}`, `{"\u0061":"x"}`, ` { "a" : "x" } `},
		`{type: object, properties: {a: {}}, additionalProperties: false}`:                                      {`{}`, `{"a":1}`, `{"b":1}`},
		`{oneOf: [{type: integer}, {type: number}]}`:                                                            {`1`, `1.5`, `"x"`},
		`{anyOf: [{type: integer}, {}]}`:                                                                        {`1`, `"x"`},
		`{allOf: [{minimum: 1}, {maximum: 2}]}`:                                                                 {`0`, `1`, `3`, `"x"`},
		`{not: {enum: [., ..], x-want: another}}`:                                                               {`"."`, `"a"`},
		`{if: {properties: {t: {const: a}}}, then: {required: [x]}}`:                                            {`{"t":"a"}`, `{"t":"a","x":1}`, `{"t":"b"}`, `{}`, `1`},
		`{$ref: '#/components/schemas/Tree', type: object}`:                                                     {`{}`, `{"in":{"in":{"in":{}}}}`, `{"in":{"in":{"in":1}}}`, `1`},
	} {
		text := `
openapi: 3.1.0
info: {title: t, version: "1"}
paths: {}
components:
  schemas:
    Tree: {type: object, properties: {in: {$ref: '#/components/schemas/Tree'}}}
    S: ` + schema
		d, err := document.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		s, err := d.Schema("S")
		if err != nil {
			t.Errorf("%s: %v", schema, err)
			continue
		}
		other, err := openapi3.NewLoader().LoadFromData(d.JSON())
		if err != nil {
			t.Fatal(err)
		}
		allowed, refused := 0, 0
		for _, value := range values {
			var plain any
			if err := json.Unmarshal([]byte(value), &plain); err != nil && !strings.Contains(value, "e400") {
				t.Fatal(err)
			}
			want := false // 1e400 is beyond what the other one reads
			if plain != nil || value == "null" {
				want = other.Components.Schemas["S"].Value.VisitJSON(plain, openapi3.EnableJSONSchema2020()) == nil
			}
			faults := s.Check([]byte(value))
			if (len(faults) == 0) != want {
				t.Errorf("%s: %s has the faults %v, allowed by another: %v", schema, value, faults, want)
			}
			if want {
				allowed++
			} else {
				refused++
			}
		}
		if allowed == 0 || refused == 0 && schema != `{anyOf: [{type: integer}, {}]}` {
			t.Errorf("%s: %d values allowed, %d refused", schema, allowed, refused)
		}
	}
}

// What is wrong is said with where it is, all of it.
func TestFaults(t *testing.T) {
	d := parse(t)
	s, err := d.Schema("TaskInput")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]document.Fault{
		`{"type":"FULL_SYNC"}`: nil,
		`{"type":`:             {{Detail: "not JSON"}},
		`[]`:                   {{Detail: "want an object"}},
		`{"type":"RESOURCE_SYNC","id":7,"requestInfo":{"resources":[{"type":"table"},{"type":1,"values":{"a/b":2}}]}}`: {
			{"/id", "want text or null"},
			{"/requestInfo/resources/1/type", "want text or null"},
			{"/requestInfo/resources/1/values/a~1b", "want text or null"},
		},
		`{"type":"","createTime":"today"}`:                      {{"/type", "must not be empty"}, {"/createTime", "want RFC 3339, or epoch milliseconds, of the years 2000 to 2199"}},
		`{"type":"RESOURCE_SYNC"}`:                              {{"/requestInfo", "missing"}},
		`{"type":"FULL_SYNC","requestInfo":{"resources":[{}]}}`: {{"/requestInfo/resources", "want at most 0 elements"}},
		`{"id":".","type":"FULL_SYNC"}`:                         {{"/id", "want another than . and .., which name folders in a path"}},
	} {
		if diff := cmp.Diff(want, s.Check([]byte(text))); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	many := `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[` + strings.Repeat("1,", 5000) + `1]}}`
	if n := len(s.Check([]byte(many))); n != 100 {
		t.Errorf("%d faults are listed", n)
	}
	if faults := s.Check([]byte(strings.Repeat(`[`, 9000) + strings.Repeat(`]`, 9000))); len(faults) != 1 {
		t.Errorf("faults of deep text: %v", faults)
	}
}

// A keyword that is not known would forbid nothing: it is an error, as is a reference that leads nowhere.
func TestSchemasThatAreNotUnderstood(t *testing.T) {
	for schema, want := range map[string]string{
		`{type: string, multipleOf: 3}`:        `line 3: the keyword "multipleOf" is not known here`,
		`{type: text}`:                         `no type "text"`,
		`{not: {enum: [a]}}`:                   `it needs x-want`,
		`{$ref: '#/components/schemas/None'}`:  "there is no schema None",
		`{$ref: 'other.yaml#/S'}`:              "other.yaml",
		`{pattern: "("}`:                       "pattern",
		`{if: {type: string}}`:                 "if and then",
		`{properties: {a: {maxLength: many}}}`: "maxLength",
	} {
		d, err := document.Parse([]byte("components:\n  schemas:\n    S: " + schema))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Schema("S"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %s", schema, err, want)
		}
	}
}

func TestOperations(t *testing.T) {
	d := parse(t)
	list, err := d.Operations()
	if err != nil {
		t.Fatal(err)
	}
	by := make(map[string]document.Operation)
	for _, o := range list {
		by[o.ID] = o
	}
	o := by["listTasks"]
	if o.Method != "GET" || o.Path != "/api/v1/tasks" || !cmp.Equal(o.Scopes, []string{"tasks:read"}) || o.Body != nil || by["submitTask"].Body == nil {
		t.Errorf("%+v", o)
	}
	if o = by["health"]; o.Scopes != nil {
		t.Errorf("%+v", o)
	}
	watch, list1 := by["watchTask"], by["listTasks"]
	if !cmp.Equal(watch.Names("path"), []string{"id"}) || !cmp.Equal(watch.Names("header"), []string{"Last-Event-ID"}) {
		t.Errorf("%+v", watch)
	}
	id := func(value string) func(string) string { return func(string) string { return value } }
	if faults := watch.CheckParameters(id("a"), nil, nil); faults != nil {
		t.Errorf("%v", faults)
	}
	if diff := cmp.Diff([]document.ParameterFault{{In: "path", Name: "id", Detail: "longer than 255 characters"}}, watch.CheckParameters(id(strings.Repeat("ü", 256)), nil, nil)); diff != "" {
		t.Error(diff)
	}
	for _, test := range []struct{ name, value, want string }{
		{"limit", "500", ""}, {"limit", "", ""}, {"limit", "501", "want a whole number from 1 to 500"}, {"limit", "1e2", "want a whole number from 1 to 500"},
		{"limit", "007", "want a whole number from 1 to 500"}, {"limit", "-", "want a whole number from 1 to 500"},
		{"status", "FAILED", ""}, {"status", "failed", "want one of NEW, WAITING, INPROGRESS, SUCCESS, FAILED, SKIPPED"},
		{"topLevel", "true", ""}, {"topLevel", "1", "want one of false, true"}, {"since", "0", ""},
		{"since", "now", "want RFC 3339 text such as 2026-01-31T10:00:00Z, or epoch milliseconds"}, {"cursor", "x", "want nextCursor of the previous page"},
	} {
		got := ""
		if faults := list1.CheckParameters(nil, map[string][]string{test.name: {test.value}}, nil); len(faults) > 0 {
			got = faults[0].Detail
		}
		if got != test.want {
			t.Errorf("%s=%s: %q, want %q", test.name, test.value, got, test.want)
		}
	}
}
