package conformance_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func contains(list []string, name string) bool { return slices.Contains(list, name) }

func (f *fixture) systemSchemas() string {
	return "metastores/" + f.name("metastore") + "/systemschemas"
}

// TestMetastoreSettingsAuthorization: what is kept for a whole metastore.
func TestMetastoreSettingsAuthorization(t *testing.T) {
	at := func(method, path string, body any) func(f *fixture) request {
		return func(f *fixture) request {
			return request{method, strings.NewReplacer("SYSTEM", f.systemSchemas(), "METASTORE", f.name("metastore")).Replace(path), body}
		}
	}
	allowlist := map[string]any{"artifact_matchers": []any{map[string]any{"artifact": "/Volumes/x", "match_type": "PREFIX_MATCH"}}}
	checkAuthorization(t, []endpoint{
		{name: "list system schemas", allowed: "MA | AA", try: "CREATE_CATALOG:metastore", call: at("GET", "SYSTEM", nil)},
		{name: "enable a system schema", allowed: "MA | AA", try: "CREATE_CATALOG:metastore", call: at("PUT", "SYSTEM/access", nil), after: func(f *fixture) {
			f.w.must(metastoreAdmin, "DELETE", f.systemSchemas()+"/access", nil)
		}},
		{name: "disable a system schema", allowed: "MA | AA", call: func(f *fixture) request {
			f.w.do(metastoreAdmin, "PUT", f.systemSchemas()+"/access", nil)
			return at("DELETE", "SYSTEM/access", nil)(f)
		}},
		{name: "get an allow-list", allowed: "MA | MANAGE_ALLOWLIST:metastore", try: "CREATE_CATALOG:metastore", call: at("GET", "artifact-allowlists/LIBRARY_JAR", nil)},
		{name: "set an allow-list", allowed: "MA | MANAGE_ALLOWLIST:metastore", call: at("PUT", "artifact-allowlists/LIBRARY_JAR", allowlist)},
		{name: "list quotas", allowed: "MA | AA", try: "CREATE_CATALOG:metastore", call: at("GET", "resource-quotas/all-resource-quotas", nil)},
		{name: "get a quota of the metastore", allowed: "MA | AA", call: at("GET", "resource-quotas/metastore/METASTORE/catalog-quota", nil)},
		{name: "get a quota of a catalog", allowed: "MA | AA | own:catalog | USE_CATALOG:catalog | BROWSE:catalog", try: "SELECT:catalog", call: func(f *fixture) request {
			return request{"GET", "resource-quotas/catalog/" + f.name("catalog") + "/schema-quota", nil}
		}},
	})
}

func TestSystemSchemas(t *testing.T) {
	w := newWorld(t)
	if w.emulator == nil {
		t.Skip("skipped: whether a schema is enabled is for the account to decide")
	}
	f := w.fixture()
	base := f.systemSchemas()
	state := func(name string) string {
		for _, s := range w.must(metastoreAdmin, "GET", base, nil).json["schemas"].([]any) {
			if schema := s.(map[string]any); schema["schema"] == name {
				return fmt.Sprint(schema["state"])
			}
		}
		return "absent"
	}
	if got := []string{state("access"), state("information_schema"), state("no_such")}; !same(got, []string{"AVAILABLE", "MANAGED", "absent"}) {
		t.Errorf("states %q", got)
	}
	w.must(accountAdmin, "PUT", base+"/ACCESS", map[string]any{"catalog_name": "system"})
	if got := state("access"); got != "ENABLE_COMPLETED" {
		t.Errorf("enabled, and %s", got)
	}
	if got := w.must(metastoreAdmin, "GET", "schemas/system.access", nil); got.str("full_name") != "system.access" {
		t.Errorf("the schema %s", got.raw)
	}
	w.refused(metastoreAdmin, "PUT", base+"/access", nil, 409, "SCHEMA_ALREADY_EXISTS")
	w.must(metastoreAdmin, "PUT", base+"/billing", map[string]any{})
	w.must(metastoreAdmin, "DELETE", base+"/access", nil)
	if got := state("access"); got != "AVAILABLE" {
		t.Errorf("disabled, and %s", got)
	}
	w.refused(metastoreAdmin, "DELETE", base+"/access", nil, 404, "SCHEMA_DOES_NOT_EXIST")
	for _, method := range []string{"PUT", "DELETE"} {
		w.refused(metastoreAdmin, method, base+"/no_such", nil, 404, "SCHEMA_DOES_NOT_EXIST")
		w.refused(metastoreAdmin, method, base+"/information_schema", nil, 400, badValue)
	}
	w.refused(metastoreAdmin, "PUT", base+"/query", map[string]any{"catalog_name": "main"}, 400, badValue)
	w.refused(metastoreAdmin, "PUT", base+"/query", "[]", 400, malformed)
	if names, pages := w.pages(base, "schemas", "schema", 3); len(names) < 5 || pages < 2 || !slices.IsSorted(names) {
		t.Errorf("%d pages of %q", pages, names)
	}
	w.refused(metastoreAdmin, "GET", "metastores/no-such/systemschemas", nil, 404, "METASTORE_DOES_NOT_EXIST")
}

func TestAllowlists(t *testing.T) {
	w := newWorld(t)
	path := "artifact-allowlists/INIT_SCRIPT"
	matcher := func(artifact, match string) map[string]any {
		return map[string]any{"artifact": artifact, "match_type": match}
	}
	body := map[string]any{"artifact_matchers": []any{matcher("/Volumes/a", "PREFIX_MATCH"), matcher("s3://b", "PREFIX_MATCH")}}
	made := w.must(metastoreAdmin, "PUT", path, body)
	got := w.must(metastoreAdmin, "GET", path, nil)
	if !same(made.json["artifact_matchers"], body["artifact_matchers"]) || !same(made.json, got.json) || got.str("created_by") != w.user(metastoreAdmin) || got.str("metastore_id") == "" {
		t.Errorf("set %s, got %s", made.raw, got.raw)
	}
	for _, bad := range []map[string]any{{}, {"artifact_matchers": "x"}, {"artifact_matchers": []any{matcher("", "PREFIX_MATCH")}},
		{"artifact_matchers": []any{matcher("/a", "")}}, {"artifact_matchers": []any{matcher("/a", "GLOB")}}} {
		w.refused(metastoreAdmin, "PUT", path, bad, 400, badValue, malformed)
	}
	if again := w.must(metastoreAdmin, "GET", path, nil); !same(again.json, got.json) {
		t.Errorf("refused, and changed to %s", again.raw)
	}
	if other := w.must(metastoreAdmin, "GET", "artifact-allowlists/LIBRARY_MAVEN", nil); w.emulator != nil && other.json["artifact_matchers"] != nil {
		t.Errorf("the list of another type has %s", other.raw)
	}
	w.must(metastoreAdmin, "PUT", path, map[string]any{"artifact_matchers": []any{}})
	if got := w.must(metastoreAdmin, "GET", path, nil); got.json["artifact_matchers"] != nil {
		t.Errorf("emptied, and has %s", got.raw)
	}
	w.refused(metastoreAdmin, "GET", "artifact-allowlists/SCRIPTS", nil, 400, badValue)
}

func TestQuotas(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	get := func(typ, name, quota string) map[string]any {
		t.Helper()
		info, _ := w.must(metastoreAdmin, "GET", "resource-quotas/"+typ+"/"+url.PathEscape(name)+"/"+quota, nil).json["quota_info"].(map[string]any)
		return info
	}
	f.name("table")
	w.must(metastoreAdmin, "POST", "tables", f.tableBody())
	info := get("SCHEMA", f.name("schema"), "table-quota")
	if info["quota_count"] != 2.0 || info["quota_limit"] == nil || info["parent_securable_type"] != "SCHEMA" || info["parent_full_name"] != f.name("schema") || info["quota_name"] != "table-quota" {
		t.Errorf("quota of tables: %v", info)
	}
	if got := get("catalog", f.name("catalog"), "schema-quota")["quota_count"]; got != 1.0 {
		t.Errorf("%v schemas", got)
	}
	w.refused(metastoreAdmin, "GET", "resource-quotas/catalog/"+f.name("catalog")+"/table-quota", nil, 400, badValue)
	w.refused(metastoreAdmin, "GET", "resource-quotas/catalog/nothing/schema-quota", nil, 404, "CATALOG_DOES_NOT_EXIST")
	if w.emulator == nil {
		return // whose catalogs are not only those of the test
	}
	// Names that sort otherwise than the full names of what is in them.
	for _, name := range []string{"a", "a-b", "a.b"} {
		if catalog, schema, in := strings.Cut(name, "."); in {
			w.must(metastoreAdmin, "POST", "schemas", map[string]any{"name": schema, "catalog_name": catalog})
		} else {
			w.must(metastoreAdmin, "POST", "catalogs", map[string]any{"name": name})
		}
	}
	all, _ := w.pages("resource-quotas/all-resource-quotas", "quotas", "parent_full_name", 1000)
	one, _ := w.pages("resource-quotas/all-resource-quotas", "quotas", "parent_full_name", 1)
	if !same(all, one) || !contains(one, "a-b") || !contains(one, "a.b") {
		t.Errorf("by single pages %q\nat once %q", one, all)
	}
}

// TestModelVersionAuthorization: versions and aliases are for who may read the model, and for its owner to change.
func TestModelVersionAuthorization(t *testing.T) {
	uses := "MA | USE_CATALOG:seeded_catalog & USE_SCHEMA:seeded_schema & "
	read, change := uses+"(EXECUTE:seeded_model | MANAGE:seeded_model)", uses+"MANAGE:seeded_model"
	at := func(method, suffix string, body any) func(f *fixture) request {
		return func(f *fixture) request { return request{method, f.path("seeded_model") + suffix, body} }
	}
	one := map[string]any{"version_num": 1}
	checkAuthorization(t, []endpoint{
		{name: "list versions", allowed: read, call: at("GET", "/versions", nil)},
		{name: "get a version", allowed: read, call: at("GET", "/versions/1", nil)},
		{name: "get a version by alias", allowed: read, call: at("GET", "/aliases/champion", nil)},
		{name: "update a version", allowed: change, try: "EXECUTE:seeded_model", call: at("PATCH", "/versions/1", map[string]any{"comment": "x"})},
		{name: "set an alias", allowed: change, try: "EXECUTE:seeded_model", call: at("PUT", "/aliases/champion", one)},
		{name: "delete an alias", allowed: change, try: "EXECUTE:seeded_model", call: func(f *fixture) request {
			f.w.must(metastoreAdmin, "PUT", f.path("seeded_model")+"/aliases/gone", one)
			return at("DELETE", "/aliases/gone", nil)(f)
		}},
	})
}

// TestModelVersions goes by the seed, because versions are made by MLflow.
func TestModelVersions(t *testing.T) {
	w := newWorld(t)
	if w.emulator == nil {
		t.Skip("skipped: only the emulator has a seed")
	}
	base := "models/" + seededModel
	version := w.must(metastoreAdmin, "GET", base+"/versions/2", nil)
	for field, want := range map[string]any{"catalog_name": "seeded", "schema_name": "models", "model_name": "m", "version": 2, "status": "READY", "comment": "second", "aliases": nil} {
		if got := version.json[field]; !same(got, want) {
			t.Errorf("%s is %v, want %v", field, got, want)
		}
	}
	if a, b := w.must(metastoreAdmin, "GET", base+"/versions/1", nil).str("id"), version.str("id"); a == b || a == "" {
		t.Errorf("ids %q and %q", a, b)
	}
	numbers := func() (list []any) {
		t.Helper()
		path := base + "/versions?max_results=2"
		for token := ""; ; {
			got := w.must(metastoreAdmin, "GET", path+token, nil)
			items, _ := got.json["model_versions"].([]any)
			for _, item := range items {
				list = append(list, item.(map[string]any)["version"])
			}
			if got.json["next_page_token"] == nil {
				return list
			}
			token = "&page_token=" + url.QueryEscape(got.str("next_page_token"))
		}
	}
	if got := numbers(); !same(got, []any{1, 2, 3}) {
		t.Errorf("versions %v", got)
	}
	aliases := func(path string) any {
		return w.must(metastoreAdmin, "GET", path+"?include_aliases=true", nil).json["aliases"]
	}
	w.must(metastoreAdmin, "PUT", base+"/aliases/Newest", map[string]any{"version_num": 3})
	w.must(metastoreAdmin, "PUT", base+"/aliases/champion", map[string]any{"version_num": 3})
	both := []any{map[string]any{"alias_name": "champion", "version_num": 3, "catalog_name": "seeded", "schema_name": "models", "model_name": "m"},
		map[string]any{"alias_name": "newest", "version_num": 3, "catalog_name": "seeded", "schema_name": "models", "model_name": "m"}}
	if got := aliases(base + "/versions/3"); !same(got, both) {
		t.Errorf("aliases of the version %s", jsonOf(got))
	}
	if got := aliases(base); !same(got, both) {
		t.Errorf("aliases of the model %s", jsonOf(got))
	}
	if got := w.must(metastoreAdmin, "GET", base, nil).json["aliases"]; got != nil {
		t.Errorf("aliases without being asked for: %v", got)
	}
	if got := w.must(metastoreAdmin, "GET", base+"/aliases/NEWEST", nil); !same(got.json["version"], 3) {
		t.Errorf("by alias: %s", got.raw)
	}
	for _, bad := range []any{map[string]any{}, map[string]any{"version_num": "1"}, "[]"} {
		w.refused(metastoreAdmin, "PUT", base+"/aliases/a", bad, 400, badValue, malformed)
	}
	w.refused(metastoreAdmin, "PUT", base+"/aliases/a", map[string]any{"version_num": 9}, 404, "MODEL_VERSION_DOES_NOT_EXIST")
	w.refused(metastoreAdmin, "PUT", base+"/aliases/a%20b", map[string]any{"version_num": 1}, 400, badValue)
	if got := w.must(metastoreAdmin, "PATCH", base+"/versions/3", map[string]any{"comment": "x", "source": "y"}); got.str("comment") != "x" || got.json["source"] != nil {
		t.Errorf("updated to %s", got.raw)
	}
	w.must(metastoreAdmin, "DELETE", base+"/versions/3", nil)
	if got := aliases(base); got != nil {
		t.Errorf("aliases of a deleted version: %s", jsonOf(got))
	}
	for _, method := range []string{"GET", "DELETE"} {
		w.refused(metastoreAdmin, method, base+"/versions/3", nil, 404, "MODEL_VERSION_DOES_NOT_EXIST")
		w.refused(metastoreAdmin, method, base+"/versions/x", nil, 400, badValue)
		w.refused(metastoreAdmin, method, base+"/aliases/newest", nil, 404, "REGISTERED_MODEL_ALIAS_DOES_NOT_EXIST")
	}
	if got := numbers(); !same(got, []any{1, 2}) {
		t.Errorf("versions %v", got)
	}
	for _, entry := range w.emulator.State().Catalogs[0].Schemas[0].Models {
		if len(entry.Versions) != 2 || entry.Versions[1].Comment != "second" || len(entry.Aliases) != 0 {
			t.Errorf("the state has %+v", entry)
		}
	}
}
