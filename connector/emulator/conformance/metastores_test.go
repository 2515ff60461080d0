package conformance_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestMetastoreSummary(t *testing.T) {
	w := newWorld(t)
	summary := w.must(bob, "GET", "metastore_summary", nil)
	for _, field := range []string{"metastore_id", "name", "storage_root_credential_id", "default_data_access_config_id", "cloud", "region", "global_metastore_id",
		"owner", "storage_root", "delta_sharing_scope", "delta_sharing_enabled", "privilege_model_version"} {
		if summary.json[field] == nil {
			w.Errorf("the summary has no %s: %s", field, summary.raw)
		}
	}
	info := w.must(metastoreAdmin, "GET", "metastores/"+summary.str("metastore_id"), nil)
	for field, value := range info.json {
		if other := summary.json[field]; other != nil && !same(other, value) {
			w.Errorf("%s is %v in the summary, %v in the metastore", field, other, value)
		}
	}
	global := regexp.MustCompile(`^` + summary.str("cloud") + ":" + summary.str("region") + ":" + summary.str("metastore_id") + "$")
	if !global.MatchString(summary.str("global_metastore_id")) {
		w.Errorf("global_metastore_id is %q", summary.str("global_metastore_id"))
	}
	if !strings.HasSuffix(info.str("storage_root"), "/"+info.str("metastore_id")) {
		w.Errorf("storage_root %q does not end with the id", info.str("storage_root"))
	}
	w.must(metastoreAdmin, "GET", "metastores/"+strings.ToUpper(summary.str("metastore_id")), nil)
}

// TestSharingScope: the token's lifetime must be there when the scope becomes external.
func TestSharingScope(t *testing.T) {
	w := newWorld(t)
	w.changesMetastores()
	f := w.fixture()
	path := f.path("other_metastore")
	f.own("other_metastore", alice)
	const lifetime = "delta_sharing_recipient_token_lifetime_in_seconds"
	external := map[string]any{"delta_sharing_scope": "INTERNAL_AND_EXTERNAL"}
	if scope := w.must(alice, "GET", path, nil).str("delta_sharing_scope"); scope != "INTERNAL" {
		w.Errorf("the scope is %q by default", scope)
	}
	w.refused(alice, "PATCH", path, external, 400, badValue)
	w.refused(alice, "PATCH", path, map[string]any{lifetime: 1 << 31}, 400, badValue, malformed)
	w.refused(alice, "PATCH", path, map[string]any{lifetime: -1}, 400, badValue)
	w.must(alice, "PATCH", path, map[string]any{"delta_sharing_scope": "INTERNAL_AND_EXTERNAL", lifetime: 60})
	w.must(alice, "PATCH", path, map[string]any{"delta_sharing_scope": "INTERNAL"})
	if got := w.must(alice, "PATCH", path, external); got.json[lifetime] != 60.0 { // which is there already
		w.Errorf("the lifetime is %v", got.json[lifetime])
	}
	w.refused(alice, "PATCH", path, map[string]any{"delta_sharing_scope": "EXTERNAL"}, 400, badValue)
	for _, version := range []string{"1", "1.", "a.b", "1.0.0", " 1.0"} {
		w.refused(alice, "PATCH", path, map[string]any{"privilege_model_version": version}, 400, badValue)
	}
}

// TestMetastoreHeld: a catalog, storage credential, share or recipient keeps a metastore from being deleted, nothing else.
func TestMetastoreHeld(t *testing.T) {
	w := newWorld(t)
	w.changesMetastores()
	here := w.must(metastoreAdmin, "GET", "metastore_summary", nil).str("metastore_id")
	assign := func(id string) {
		w.must(accountAdmin, "PUT", "workspaces/"+w.workspace+"/metastore", map[string]any{"metastore_id": id, "default_catalog_name": ""})
	}
	t.Cleanup(func() { assign(here) })
	for _, kind := range []string{"catalog", "credential", "share", "recipient", "provider", ""} {
		f := w.fixture()
		path := f.path("other_metastore")
		f.own("other_metastore", metastoreAdmin)
		assign(f.name("other_metastore"))
		if kind != "" {
			f.name(kind)
			f.own(kind, metastoreAdmin)
		}
		assign(here)
		switch kind {
		case "provider", "":
			w.must(metastoreAdmin, "DELETE", path, nil)
		default:
			w.refused(metastoreAdmin, "DELETE", path, nil, 400, badState, badValue)
			w.must(metastoreAdmin, "GET", path, nil)
			w.must(metastoreAdmin, "DELETE", path+"?force=true", nil)
		}
		w.refused(metastoreAdmin, "GET", path, nil, 404, "METASTORE_DOES_NOT_EXIST")
	}
}

func TestAssignments(t *testing.T) {
	w := newWorld(t)
	w.changesMetastores()
	w.needs(workspaceAdmin)
	f := w.fixture()
	here, there := f.name("metastore"), f.name("other_metastore")
	path := "workspaces/" + w.workspace + "/metastore"
	current := func() map[string]any { return w.must(bob, "GET", "current-metastore-assignment", nil).json }
	put := func(id, catalog string) {
		w.must(accountAdmin, "PUT", path, map[string]any{"metastore_id": id, "default_catalog_name": catalog})
	}
	t.Cleanup(func() { put(here, "") })
	expect := func(id string, catalog any) {
		t.Helper()
		if got := current(); got["metastore_id"] != id || got["default_catalog_name"] != catalog {
			t.Errorf("the assignment is %v, want %s with %v", got, id, catalog)
		}
	}
	put(strings.ToUpper(here), "MAIN")
	expect(here, "main")
	// Both fields must be there, one may be empty.
	w.refused(accountAdmin, "PUT", path, map[string]any{"metastore_id": here}, 400, badValue)
	w.refused(accountAdmin, "PUT", path, map[string]any{"default_catalog_name": "x"}, 400, badValue)
	w.refused(accountAdmin, "PUT", path, map[string]any{"metastore_id": 7, "default_catalog_name": "x"}, 400, malformed, badValue)
	w.refused(accountAdmin, "PUT", path, map[string]any{"metastore_id": "none", "default_catalog_name": "x"}, 404, "METASTORE_DOES_NOT_EXIST")
	w.refused(accountAdmin, "PUT", "workspaces/here/metastore", map[string]any{"metastore_id": here, "default_catalog_name": ""}, 400, badValue)
	expect(here, "main")
	if got := w.must(accountAdmin, "PUT", path, map[string]any{"metastore_id": there, "default_catalog_name": ""}); len(got.json) > 0 {
		w.Errorf("an assignment answers %s", got.raw)
	}
	expect(there, nil)
	w.must(accountAdmin, "PATCH", path, map[string]any{"metastore_id": here})
	w.must(workspaceAdmin, "PATCH", path, map[string]any{"default_catalog_name": "Other"})
	expect(here, "other")
	w.must(workspaceAdmin, "PATCH", path, map[string]any{})
	w.must(workspaceAdmin, "PATCH", path, map[string]any{"default_catalog_name": ""})
	expect(here, nil)
	w.refused(accountAdmin, "PATCH", path, map[string]any{"metastore_id": "none"}, 404, "METASTORE_DOES_NOT_EXIST")

	w.refused(accountAdmin, "DELETE", path, nil, 400, badValue)
	if got := w.do(accountAdmin, "DELETE", path+"?metastore_id="+there, nil); got.status < 400 || got.status > 404 {
		w.Errorf("another metastore than the assigned one is removed: %d", got.status)
	}
	expect(here, nil)
	w.must(accountAdmin, "DELETE", path, map[string]any{"metastore_id": here})
	for _, r := range []role{bob, accountAdmin} {
		w.refused(r, "GET", "metastore_summary", nil, 404)
		w.refused(r, "GET", "current-metastore-assignment", nil, 404)
		w.refused(r, "GET", "catalogs", nil, 404)
	}
	// Only what exists can be updated.
	if got := w.do(workspaceAdmin, "PATCH", path, map[string]any{"default_catalog_name": "x"}); got.status < 400 {
		w.Errorf("an assignment that is not there was updated: %s", got.raw)
	}
	if got := w.do(accountAdmin, "PATCH", path, map[string]any{"metastore_id": here}); got.status < 400 {
		w.Errorf("an assignment that is not there was updated: %s", got.raw)
	}
	if got := w.must(accountAdmin, "GET", "metastores", nil); got.json["metastores"] != nil {
		w.Errorf("metastores without an assignment: %s", got.raw)
	}
	if got := w.must(metastoreAdmin, "GET", "userinfo/me", nil); got.json["is_metastore_admin"] != false {
		w.Errorf("an admin of no metastore: %s", got.raw)
	}
	put(here, "")
	expect(here, nil)
}

func TestMetastoreAdminByGroup(t *testing.T) {
	w := newWorld(t)
	for r, want := range map[role]bool{metastoreAdmin: true, alice: false, bob: false, accountAdmin: false, workspaceAdmin: false} {
		if w.tokens[r] == "" {
			continue
		}
		for _, query := range []string{"", "?for_account_level=true", "?for_account_level=false"} {
			if got := w.must(r, "GET", "userinfo/me"+query, nil); got.json["is_metastore_admin"] != want {
				w.Errorf("%s: %s, want %v", r, got.raw, want)
			}
		}
	}
	w.refused(alice, "GET", "userinfo/me?for_account_level=perhaps", nil, 400, badValue)
	w.refused(alice, "GET", "userinfo/my-groups?for_account_level=perhaps", nil, 400, badValue)
}

// TestMyGroups: the workspace's own group is no group of the account, groups of groups are.
func TestMyGroups(t *testing.T) {
	w := newWorld(t)
	groups := func(r role, query string) []any {
		w.Helper()
		list, _ := w.must(r, "GET", "userinfo/my-groups"+query, nil).json["group_name"].([]any)
		return list
	}
	if w.tokens[workspaceAdmin] != "" {
		for query, want := range map[string]bool{"": true, "?for_account_level=false": true, "?for_account_level=true": false} {
			if got := groups(workspaceAdmin, query); slices.Contains(got, any("admins")) != want {
				w.Errorf("my-groups%s of the workspace admin: %v", query, got)
			}
		}
	}
	if w.emulator == nil {
		return
	}
	for _, query := range []string{"", "?for_account_level=true"} {
		if got := groups(alice, query); !same(got, []any{"account users", "analysts", "staff"}) {
			w.Errorf("my-groups%s of alice: %v", query, got)
		}
	}
}
