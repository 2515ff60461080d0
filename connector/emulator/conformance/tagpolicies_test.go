package conformance_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

const tagPoliciesPath = "/api/2.1/tag-policies"

func tagPolicy(key string, values ...string) map[string]any {
	list := []any{}
	for _, v := range values {
		list = append(list, map[string]any{"name": v})
	}
	return map[string]any{"tag_key": key, "values": list}
}

// TestTagPolicyAuthorization: everybody may read them; admins of account and workspace change them, and who created one.
func TestTagPolicyAuthorization(t *testing.T) {
	w := newWorld(t)
	w.needs(accountAdmin, workspaceAdmin)
	for _, r := range []role{alice, metastoreAdmin} {
		w.refused(r, "POST", tagPoliciesPath, tagPolicy(w.unique("key")), 403, forbidden)
	}
	for _, r := range []role{accountAdmin, workspaceAdmin} {
		key := w.unique("key")
		path := tagPoliciesPath + "/" + key
		w.must(r, "POST", tagPoliciesPath, tagPolicy(key, "a"))
		w.must(alice, "GET", path, nil)
		for _, other := range []role{alice, metastoreAdmin} {
			w.refused(other, "PATCH", path+"?update_mask=values", tagPolicy(key, "b"), 403, forbidden)
			w.refused(other, "DELETE", path, nil, 403, forbidden)
		}
		w.must(accountAdmin, "PATCH", path+"?update_mask=values", tagPolicy(key, "b"))
		w.must(workspaceAdmin, "DELETE", path, nil)
		w.refused(alice, "GET", path, nil, 404, "TAG_POLICY_DOES_NOT_EXIST")
	}
}

func TestTagPolicies(t *testing.T) {
	w := newWorld(t)
	w.needs(accountAdmin)
	key := w.unique("team/Key")
	path := tagPoliciesPath + "/" + url.PathEscape(key)
	body := tagPolicy(key, "Low", "high")
	body["description"] = "how bad it is"
	made := w.must(accountAdmin, "POST", tagPoliciesPath, body)
	w.Cleanup(func() { w.send(accountAdmin, "DELETE", path, nil) })
	for field, want := range body {
		if !same(made.json[field], want) {
			t.Errorf("created with %s %v, answered %v", field, want, made.json[field])
		}
	}
	if got := w.must(accountAdmin, "GET", path, nil); !same(got.json, made.json) || got.str("id") == "" || got.str("create_time") == "" {
		t.Errorf("get answers %s, create %s", got.raw, made.raw)
	}
	w.refused(accountAdmin, "POST", tagPoliciesPath, body, 409, "TAG_POLICY_ALREADY_EXISTS")
	for _, bad := range []map[string]any{tagPolicy(""), tagPolicy("a.b"), tagPolicy("a*"), tagPolicy(" a"), tagPolicy(strings.Repeat("k", 257)), tagPolicy(w.unique("key"), ""),
		tagPolicy(w.unique("key"), "a", "a"), tagPolicy(w.unique("key"), strings.Repeat("v", 1001)), {"tag_key": w.unique("key"), "values": []any{"a"}}, {"values": []any{}}} {
		w.refused(accountAdmin, "POST", tagPoliciesPath, bad, 400, badValue, malformed)
	}
	if got := w.must(accountAdmin, "PATCH", path+"?update_mask=values", tagPolicy(key, "low", "high")); got.str("description") != "how bad it is" || !same(got.json["values"], tagPolicy(key, "low", "high")["values"]) {
		t.Errorf("the values alone: %s", got.raw)
	}
	if got := w.must(accountAdmin, "PATCH", path+"?update_mask=description", map[string]any{"tag_key": key}); got.json["description"] != nil {
		t.Errorf("without a description: %s", got.raw)
	}
	for _, bad := range []string{"tag_key", "id", "nothing"} {
		w.refused(accountAdmin, "PATCH", path+"?update_mask="+bad, map[string]any{}, 400, badValue)
	}

	// What the policy says of the tag holds for its assignments, which stay when the policy goes.
	f := w.fixture()
	f.own("catalog", metastoreAdmin)
	catalog := f.name("catalog")
	w.refused(metastoreAdmin, "POST", "entity-tag-assignments", tag("catalogs", catalog, key, "medium"), 400, badValue)
	w.refused(metastoreAdmin, "POST", "entity-tag-assignments", tag("catalogs", catalog, key, ""), 400, badValue)
	w.must(metastoreAdmin, "POST", "entity-tag-assignments", tag("catalogs", catalog, key, "low"))
	one := tagPath("catalogs", catalog) + "/" + url.PathEscape(key)
	w.must(metastoreAdmin, "PATCH", one+"?update_mask=tag_value", map[string]any{"tag_value": "high"})
	w.refused(metastoreAdmin, "PATCH", one+"?update_mask=tag_value", map[string]any{"tag_value": "Low"}, 400, badValue)
	w.must(accountAdmin, "PATCH", path+"?update_mask=values", tagPolicy(key))
	w.refused(metastoreAdmin, "PATCH", one+"?update_mask=tag_value", map[string]any{"tag_value": "high"}, 400, badValue)
	w.must(metastoreAdmin, "PATCH", one+"?update_mask=tag_value", map[string]any{"tag_value": ""})
	w.must(accountAdmin, "DELETE", path, nil)
	w.must(metastoreAdmin, "GET", one, nil)
	w.refused(metastoreAdmin, "POST", "entity-tag-assignments", tag("catalogs", catalog, key+"2", "low"), 400, badValue) // a plain key has no '/'

	for i := range 3 {
		w.must(accountAdmin, "POST", tagPoliciesPath, tagPolicy(key+strings.Repeat("x", i)))
		w.Cleanup(func() { w.send(accountAdmin, "DELETE", path+strings.Repeat("x", i), nil) })
	}
	var keys []string
	for token := ""; ; {
		got := w.must(alice, "GET", tagPoliciesPath+"?page_size=2&page_token="+url.QueryEscape(token), nil)
		items, _ := got.json["tag_policies"].([]any)
		for _, item := range items {
			keys = append(keys, item.(map[string]any)["tag_key"].(string))
		}
		if token = got.str("next_page_token"); token == "" || len(items) > 2 {
			break
		}
	}
	if !slices.IsSorted(keys) || !contains(keys, key) || !contains(keys, key+"xx") {
		t.Errorf("listed %q", keys)
	}
}
