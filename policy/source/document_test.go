package source

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"ucwarden/policy"
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
		got, err := yamlDocuments([]byte(text))
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
		_, err := yamlDocuments([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error is %v, want %s", text, err, want)
		}
	}
}

// Whatever stands in a file: an error with the name of the file, or documents of known shapes; no panic.
func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"policies":[{"id":1,"name":"a","resources":{"catalog":{"values":["x"]}}}]}`), true)
	f.Add([]byte("name: a\nresources: {table: {values: [x]}}\n---\nrangerRoles: []\n"), false)
	f.Add([]byte("a: &a [*a]\n"), false)
	f.Add([]byte("{\"a\":1,\"a\":2}"), true)
	f.Add([]byte("\xef\xbb\xbf[]"), true)
	f.Add([]byte("--- \n...\n%"), false)
	f.Add([]byte(`{"resources":{"":{}},"accessTypes":[null]}`), true)
	f.Add([]byte(`{"securityZones":{"z":null}}`), true)
	f.Fuzz(func(t *testing.T, data []byte, isJSON bool) {
		name := "dir/f.yaml"
		if isJSON {
			name = "dir/f.json"
		}
		in := file{path: name, name: "f", data: data}
		c, err := merge([]file{in}, "", nil)
		if err != nil {
			if policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), name) {
				t.Fatalf("class %q: %v", policy.CodeOf(err), err)
			}
			return
		}
		first, err := c.digest()
		if err != nil {
			t.Fatal(err)
		}
		again, err := merge([]file{in}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := again.digest(); err != nil || first != second {
			t.Fatalf("digests %s and %s %v", first, second, err)
		}
	})
}

// A duplicate key is found wherever it is; the same key in two objects is none.
func TestDuplicateKeys(t *testing.T) {
	for text, want := range map[string]bool{
		`{"resources":{"a":{},"b":{"a":1}},"a":[{"a":1},{"a":2}]}`:  false,
		`{"resources":{},"resources":{}}`:                           true,
		`{"resources":{"x":[[{"a":1,"\u0061":2}]]}}`:                true,
		`{"resources":{"x":"a"},"policyItems":["x","x",{"x":"x"}]}`: false,
		`{"resources":{` + keys(100) + `}}`:                         false,
		`{"resources":{` + keys(100) + `,"k3":0}}`:                  true,
		`{"resources":{` + keys(100) + `,"k99":0}}`:                 true,
		`[{"a\\\"":"}{,\"\\","a\\":"\\"}]`:                          false,
		`[{"a":{"b":1},"a":2}]`:                                     true,
	} {
		c, err := merge([]file{{path: "f.json", name: "f.json", data: []byte(text)}}, "", nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := strings.Contains(fmt.Sprint(c.faults()), "duplicate key"); got != want {
			t.Errorf("%s: faults %v", text, c.faults())
		}
	}
}

func keys(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("\"k%d\":{\"k\":[0]}", i))
	}
	return strings.Join(all, ",")
}

func manyPolicies(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"serviceName":"uc","policyVersion":7,"policies":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"name":"policy %d","isEnabled":true,"policyType":0,"resources":{"catalog":{"values":["c%d"],"isExcludes":false},"schema":{"values":["s%d"]},"table":{"values":["t*","u%d"]}},`+
			`"policyItems":[{"accesses":[{"type":"select","isAllowed":true},{"type":"modify","isAllowed":true}],"users":["u%d@example.com"],"groups":["g%d"],"roles":[],"conditions":[],"delegateAdmin":false}],"denyPolicyItems":[],"allowExceptions":[],"denyExceptions":[]}`,
			i+1, i+1, i%10, i%100, i, i%1000, i%100)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func BenchmarkMerge10kPolicies(b *testing.B) {
	data := manyPolicies(10_000)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		c, err := merge([]file{{path: "p.json", name: "p.json", data: data}}, "", nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.digest(); err != nil {
			b.Fatal(err)
		}
		if _, err := newSnapshot(c); err != nil {
			b.Fatal(err)
		}
	}
}
