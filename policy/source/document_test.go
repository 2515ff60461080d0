package source

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"ucwarden/policy"
)

func TestSplitYAML(t *testing.T) {
	tests := map[string][]string{
		"":                            nil,
		"# only\n\n":                  nil,
		"a: 1":                        {"0 a: 1"},
		"a: 1\n---\nb: 2\n":           {"0 a: 1", "1 b: 2"},
		"---\n---\na: 1\n...\n":       {"1 a: 1"},
		"--- # c\na: 1\n--- {b: 2}":   {"0 a: 1", "2 {b: 2}"},
		"%YAML 1.1\n---\na: 1\n":      {"1 a: 1"},
		"a: |\n  ---\n  x\nb: ---x":   {"0 a: |\n  ---\n  x\nb: ---x"},
		"a: 1\r\n---\r\nb: 2\r\n":     {"0 a: 1", "1 b: 2"},
		"a: 1\n...\n# c\n---\nb: 2":   {"0 a: 1", "3 b: 2"},
		"----\n":                      {"0 ----"},
		"a: 1\n---\n---\n\n---\nb: 2": {"0 a: 1", "4 b: 2"},
	}
	for text, want := range tests {
		var got []string
		for _, p := range splitYAML([]byte(text)) {
			body := strings.TrimSpace(strings.ReplaceAll(string(p.text), "\r", ""))
			if _, rest, found := strings.Cut(body, "# c\n"); found {
				body = rest
			}
			got = append(got, fmt.Sprintf("%d %s", p.line, body))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
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
		c, _, err := merge([]file{in}, "")
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
		again, _, err := merge([]file{in}, "")
		if err != nil {
			t.Fatal(err)
		}
		if second, err := again.digest(); err != nil || first != second {
			t.Fatalf("digests %s and %s %v", first, second, err)
		}
	})
}

// A key that stands twice is found wherever it is; the same key in two objects is none.
func TestDuplicateKeys(t *testing.T) {
	for text, want := range map[string]bool{
		`{"resources":{"a":1,"b":{"a":1}},"a":[{"a":1},{"a":2}]}`:   false,
		`{"resources":{},"resources":{}}`:                           true,
		`{"resources":{"x":[[{"a":1,"\u0061":2}]]}}`:                true,
		`{"resources":{"x":"a"},"policyItems":["x","x",{"x":"x"}]}`: false,
		`{"resources":{` + keys(100) + `}}`:                         false,
		`{"resources":{` + keys(100) + `,"k3":0}}`:                  true,
		`{"resources":{` + keys(100) + `,"k99":0}}`:                 true,
		`[{"a\\\"":"}{,\"\\","a\\":"\\"}]`:                          false,
		`[{"a":{"b":1},"a":2}]`:                                     true,
	} {
		d := document{file: file{path: "f.json"}, data: []byte(text)}
		err := d.classify()
		if got := err != nil && strings.Contains(err.Error(), "duplicate key"); got != want {
			t.Errorf("%s: %v", text, err)
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
		c, _, err := merge([]file{{path: "p.json", name: "p.json", data: data}}, "")
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

func TestYAMLMessageCountsFromTheTop(t *testing.T) {
	_, err := yaml.YAMLToJSONStrict([]byte("a: 1\na: 2\nb: 1\nb: 2\n"))
	if got, want := yamlMessage(err, 10), `line 12: key "a" already set in map; line 14: key "b" already set in map`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
