package compile

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// A change that makes other grants of the same policies raises Reading: the first plan after the upgrade is then shown to a person
// before it is carried out. These policies have one of each kind that is compiled; their grants are those of the Reading beside them.
func TestReading(t *testing.T) {
	const reading, sum = 3, "cad8232cf2da240181b77afe4f2b51d9286bfe3a20bda4cb177beae864796fcd"
	s := readPolicies(t, `{"serviceName": "uc", "policies": [
		{"id": 1, "name": "all of a schema", "resources": {"catalog": {"values": ["shop"]}, "schema": {"values": ["a"]}, "table": {"values": ["*"]}},
			"policyItems": [{"groups": ["analysts"], "roles": ["owners"], "accesses": [{"type": "select"}]}]},
		{"id": 2, "name": "a pattern, with a deny and its exception", "resources": {"catalog": {"values": ["shop"]}, "schema": {"values": ["*"]}, "table": {"values": ["cust_*"]}},
			"policyItems": [{"groups": ["sales"], "users": ["ann@example.com"], "accesses": [{"type": "select"}, {"type": "modify"}]}],
			"denyPolicyItems": [{"groups": ["interns"], "accesses": [{"type": "select"}]}],
			"denyExceptions": [{"users": ["bob@example.com"], "accesses": [{"type": "select"}]}]},
		{"id": 3, "name": "an exception of an allow", "resources": {"catalog": {"values": ["shop"]}, "schema": {"values": ["b"]}, "table": {"values": ["orders"]}},
			"policyItems": [{"groups": ["sales"], "accesses": [{"type": "select"}]}],
			"allowExceptions": [{"users": ["ann@example.com"], "accesses": [{"type": "select"}]}]},
		{"id": 4, "name": "everybody", "resources": {"catalog": {"values": ["shop"]}}, "policyItems": [{"groups": ["public"], "accesses": [{"type": "browse"}]}]},
		{"id": 5, "name": "all privileges of a function", "resources": {"catalog": {"values": ["shop"]}, "schema": {"values": ["a"]}, "function": {"values": ["f"]}},
			"policyItems": [{"users": ["bob@example.com"], "accesses": [{"type": "all_privileges"}]}]},
		{"id": 6, "name": "a volume", "resources": {"catalog": {"values": ["shop"]}, "schema": {"values": ["a"]}, "volume": {"values": ["v"]}},
			"policyItems": [{"users": ["bob@example.com"], "accesses": [{"type": "read_volume"}]}]},
		{"id": 7, "name": "under a condition", "resources": {"catalog": {"values": ["shop"]}, "schema": {"values": ["b"]}, "table": {"values": ["*"]}},
			"policyItems": [{"groups": ["analysts"], "accesses": [{"type": "select"}], "conditions": [{"type": "expression", "values": ["1 == 1"]}]}]},
		{"id": 8, "name": "a row filter", "policyType": 2, "resources": {"catalog": {"values": ["shop"]}, "schema": {"values": ["a"]}, "table": {"values": ["orders"]}},
			"rowFilterPolicyItems": [{"groups": ["sales"], "accesses": [{"type": "select"}], "rowFilterInfo": {"filterExpr": "region = 1"}}]},
		{"id": 9, "name": "a mask", "policyType": 1, "resources": {"catalog": {"values": ["shop"]}, "schema": {"values": ["b"]}, "table": {"values": ["orders"]}, "column": {"values": ["name"]}},
			"dataMaskPolicyItems": [{"groups": ["interns"], "accesses": [{"type": "select"}], "dataMaskInfo": {"dataMaskType": "MASK_NULL"}}]},
		{"id": 10, "name": "a root object", "resources": {"external_location": {"values": ["land*"]}}, "policyItems": [{"groups": ["sales"], "accesses": [{"type": "read_files"}]}]},
		{"id": 11, "name": "a mask for another access", "policyType": 1, "resources": {"catalog": {"values": ["shop"]}, "schema": {"values": ["a"]}, "table": {"values": ["*"]}, "column": {"values": ["name"]}},
			"dataMaskPolicyItems": [{"groups": ["analysts"], "accesses": [{"type": "modify"}], "dataMaskInfo": {"dataMaskType": "MASK_NULL"}}]}
	]}`)
	s.Roles = []ranger.Role{{Name: "owners", Users: []ranger.RoleMember{{Name: "ann@example.com"}}}}
	s.Users = &ranger.UserStore{UserGroupMapping: map[string][]string{
		"ann@example.com": {"analysts", "sales"}, "bob@example.com": {"interns", "sales"}, "eve@example.com": {"interns", "sales"},
	}}
	var all []string
	for _, deny := range []DenyStrategy{DenyWithhold, DenyExpand} {
		all = append(all, grantLines(compileOf(s, shop(), Options{Deny: []DenyStrategy{deny}}, rules.NameMapping{}).Grants)...)
	}
	if len(all) < 20 {
		t.Fatalf("only %d grants:\n%s", len(all), strings.Join(all, "\n"))
	}
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(all, "\n")))); got != sum || Reading != reading {
		t.Errorf("the grants of these policies are others than those of Reading %d (sum %s): raise Reading, and put both here:\n%s", reading, got, strings.Join(all, "\n"))
	}
}
