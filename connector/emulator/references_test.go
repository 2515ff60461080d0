package emulator_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// Row filters, masks, policies and the default catalog name what was renamed by its present name, and still protect.
func TestReferencesFollowRenames(t *testing.T) {
	p := newProtecting(t)
	p.must("admin",
		"CREATE FUNCTION main.sales.only_eu(r STRING) RETURNS BOOLEAN RETURN r = 'eu'",
		"CREATE FUNCTION main.sales.hide(e STRING) RETURNS STRING RETURN 'x'",
		"ALTER TABLE main.sales.orders SET ROW FILTER main.sales.only_eu ON (region)",
		"ALTER TABLE main.sales.orders ALTER COLUMN email SET MASK main.sales.hide")
	const base = "/api/2.1/unity-catalog/"
	made := p.call("admin", "POST", base+"policies", map[string]any{"name": "p", "policy_type": "POLICY_TYPE_ROW_FILTER", "on_securable_type": "CATALOG",
		"on_securable_fullname": "main", "for_securable_type": "TABLE", "to_principals": []string{"eu"}, "except_principals": []string{"analysts"},
		"when_condition": "has_tag('none')", "row_filter": map[string]any{"function_name": "main.sales.other"}})
	if made["id"] == nil {
		t.Fatalf("policy: %v", made)
	}
	p.call("admin", "PUT", base+"workspaces/1/metastore", map[string]any{"metastore_id": metastoreOf(p), "default_catalog_name": "main"})
	_, before, err := p.Rows("ana@example.com", "main.sales.orders")
	if err != nil {
		t.Fatal(err)
	}
	p.call("admin", "PATCH", base+"catalogs/main", map[string]any{"new_name": "prod"})
	p.call("admin", "PATCH", base+"schemas/prod.sales", map[string]any{"new_name": "sold"})
	groups := p.call("admin", "GET", "/api/2.0/preview/scim/v2/Groups?filter=displayName%20eq%20%22analysts%22", nil)["Resources"].([]any)
	renamed := p.call("admin", "PATCH", "/api/2.0/accounts/a/scim/v2/Groups/"+groups[0].(map[string]any)["id"].(string), map[string]any{
		"Operations": []any{map[string]any{"op": "replace", "path": "displayName", "value": "readers"}}})
	if renamed["displayName"] != "readers" {
		t.Fatalf("the group is %v", renamed)
	}

	shown := func(path string) string {
		encoded, err := json.Marshal(p.call("admin", http.MethodGet, base+path, nil))
		if err != nil {
			t.Fatal(err)
		}
		return string(encoded)
	}
	for path, want := range map[string][]string{
		"tables/prod.sold.orders":      {`"function_name":"prod.sold.only_eu"`, `"function_name":"prod.sold.hide"`},
		"policies/CATALOG/prod/p":      {`"function_name":"prod.sold.other"`, `"to_principals":["eu"]`, `"except_principals":["readers"]`},
		"current-metastore-assignment": {`"default_catalog_name":"prod"`},
	} {
		got := shown(path)
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%s lacks %s: %s", path, part, got)
			}
		}
	}
	_, after, err := p.Rows("ana@example.com", "prod.sold.orders")
	if err != nil || len(after) != len(before) || len(after) == 0 {
		t.Errorf("rows before %v, after %v, %v", before, after, err)
	}
}

func metastoreOf(p *protecting) any {
	return p.call("admin", "GET", "/api/2.1/unity-catalog/current-metastore-assignment", nil)["metastore_id"]
}
