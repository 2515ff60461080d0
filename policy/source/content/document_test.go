package content

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"ucwarden/policy"
)

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
		in := File{path: name, name: "f", data: data}
		c, err := Merge([]File{in}, "", nil)
		if err != nil {
			if policy.CodeOf(err) != policy.CodeInvalid || !strings.Contains(err.Error(), name) {
				t.Fatalf("class %q: %v", policy.CodeOf(err), err)
			}
			return
		}
		first, err := c.Digest()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Merge([]File{in}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := again.Digest(); err != nil || first != second {
			t.Fatalf("digests %s and %s %v", first, second, err)
		}
	})
}

// A duplicate key is found wherever it is; the same key in two objects is none.
func TestDuplicateKeys(t *testing.T) {
	for text, want := range map[string]bool{
		`{"policyType":0,"resources":{"a":{},"b":{"a":1}},"a":[{"a":1},{"a":2}]}`:  false,
		`{"policyType":0,"resources":{},"resources":{}}`:                           true,
		`{"policyType":0,"resources":{"x":[[{"a":1,"\u0061":2}]]}}`:                true,
		`{"policyType":0,"resources":{"x":"a"},"policyItems":["x","x",{"x":"x"}]}`: false,
		`{"policyType":0,"resources":{` + keys(100) + `}}`:                         false,
		`{"policyType":0,"resources":{` + keys(100) + `,"k3":0}}`:                  true,
		`{"policyType":0,"resources":{` + keys(100) + `,"k99":0}}`:                 true,
		`[{"policyType":0,"a\\\"":"}{,\"\\","a\\":"\\"}]`:                          false,
		`[{"policyType":0,"a":{"b":1},"a":2}]`:                                     true,
	} {
		c, err := Merge([]File{{path: "f.json", name: "f.json", data: []byte(text)}}, "", nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := strings.Contains(fmt.Sprint(c.Faults()), "duplicate key"); got != want {
			t.Errorf("%s: faults %v", text, c.Faults())
		}
	}
}

func keys(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("\"k%d\":{\"values\":[\"0\"]}", i))
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
		c, err := Merge([]File{{path: "p.json", name: "p.json", data: data}}, "", nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Digest(); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Snapshot(); err != nil {
			b.Fatal(err)
		}
	}
}
