package parse

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

const (
	oneItem = `"policyItems":[{"accesses":[{"type":"select"}],"users":["ann"]}]`
	onCat   = `"resources":{"catalog":{"values":["sales"]}}`
)

func policyDoc(fields string) string {
	return `{"serviceName":"uc","policies":[{"id":6,"name":"other",` + onCat + `},{"id":7,"name":"orders",` + fields + `}]}`
}

func TestParsePoliciesShapes(t *testing.T) {
	one := `{"id":1,` + onCat + `}`
	for name, tc := range map[string]struct {
		doc  string
		want int
	}{
		"single": {one, 1}, "array": {"[" + one + "," + one + "]", 2}, "document": {`{"policies":[` + one + `]}`, 1}, "empty array": {"[]", 0},
	} {
		list, _, err := Policies([]byte(tc.doc), "f.json")
		if err != nil || len(list) != tc.want {
			t.Errorf("%s: %d policies, error %v; want %d", name, len(list), err, tc.want)
		}
		for _, p := range list {
			if p.Origin != "f.json" {
				t.Errorf("%s: origin %q", name, p.Origin)
			}
		}
	}
	for _, doc := range []string{`{"id":1}`, `"text"`, ``} {
		if _, _, err := Policies([]byte(doc), "f.json"); policy.CodeOf(err) != policy.CodeInvalid || !strings.HasPrefix(err.Error(), "f.json: ") {
			t.Errorf("%q: error %v, want one of class invalid that begins with the file", doc, err)
		}
	}
}

func TestCyclicRolesAreRefused(t *testing.T) {
	roles, err := Roles([]byte(`[{"name":"a","roles":[{"name":"b"}]},{"name":"b","roles":[{"name":"c"}]},
		{"name":"c","roles":[{"name":"b"},{"name":"gone"}]},{"name":"d","roles":[{"name":"d"}]}]`), "roles.json")
	if err != nil {
		t.Fatal(err)
	}
	_, err = ranger.NewSnapshot(ranger.SnapshotInput{Policies: &ranger.ServicePolicies{}, Roles: roles})
	if err == nil || !strings.Contains(err.Error(), `role "b" contains itself: b → c → b`) {
		t.Errorf("error %v, want the cycle of b", err)
	}
	roles.RangerRoles[2].Roles, roles.RangerRoles[3].Roles = nil, nil
	if _, err = ranger.NewSnapshot(ranger.SnapshotInput{Policies: &ranger.ServicePolicies{}, Roles: roles}); err != nil {
		t.Errorf("roles without a cycle: %v", err)
	}
}

// The built-in service definition is the one to deploy, and reads without a remark.
func TestDeployedServiceDefIsTheBuiltInOne(t *testing.T) {
	const name = "servicedef-databricks-unity-catalog.json"
	builtIn, err := os.ReadFile("../ranger/" + name)
	if err != nil {
		t.Fatal(err)
	}
	deployed, err := os.ReadFile("../../deploy/ranger/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(deployed, builtIn) {
		t.Errorf("policy/ranger/%s and the file in deploy/ranger differ; copy one over the other", name)
	}
	if def, err := ServiceDef(builtIn, name); err != nil || len(def.Unknown) > 0 {
		t.Errorf("unknown fields %v, error %v", def.Unknown, err)
	}
}

// A large document with a fault at its end is read in time that grows with its size only.
func TestLargeDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"policies":[`)
	for i := range 20_000 {
		fmt.Fprintf(&b, `{"id":%d,"name":"p%d",%s,%s},`, i, i, onCat, oneItem)
	}
	good := b.String() + `{"id":7,` + onCat + `}]}`
	if doc, err := ServicePolicies([]byte(good), "big.json"); err != nil || len(doc.Policies) != 20_001 {
		t.Fatalf("error %v", err)
	}
	doc, err := ServicePolicies([]byte(b.String()+`{"id":99999,"name":"last","policyItems":[{"users":"ann"}]}]}`), "big.json")
	if err != nil {
		t.Fatal(err)
	}
	last := doc.Policies[len(doc.Policies)-1]
	if len(last.Faults) != 1 || last.Faults[0] != (ranger.Fault{Field: "policyItems[0].users", Reason: "a JSON string does not fit here, want an array such as [\"a\", \"b\"]"}) || len(doc.Policies[0].Faults) > 0 {
		t.Errorf("faults %v", last.Faults)
	}
}
