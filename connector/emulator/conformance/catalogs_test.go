package conformance_test

import (
	"strings"
	"testing"
)

// TestProviderCatalogs: a catalog of Delta Sharing has a provider and a share, both or none.
func TestProviderCatalogs(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.own("provider", metastoreAdmin)
	create := func(more map[string]any) map[string]any {
		more["name"] = w.unique("catalog")
		return more
	}
	w.refused(metastoreAdmin, "POST", "catalogs", create(map[string]any{"provider_name": f.name("provider")}), 400, badValue)
	w.refused(metastoreAdmin, "POST", "catalogs", create(map[string]any{"share_name": "s"}), 400, badValue)
	w.refused(metastoreAdmin, "POST", "catalogs", create(map[string]any{"provider_name": f.name("provider"), "share_name": ""}), 400, badValue)
	w.refused(metastoreAdmin, "POST", "catalogs", create(map[string]any{"provider_name": "no_such_provider", "share_name": "s"}), 404, "PROVIDER_DOES_NOT_EXIST")
	made := w.must(metastoreAdmin, "POST", "catalogs", create(map[string]any{"provider_name": strings.ToUpper(f.name("provider")), "share_name": "TheShare"}))
	path := "catalogs/" + made.str("name")
	w.Cleanup(func() { w.send(metastoreAdmin, "DELETE", path+"?force=true", nil) })
	if made.str("provider_name") != f.name("provider") || made.str("share_name") != "theshare" {
		w.Errorf("created %s", made.raw)
	}
	same := w.must(metastoreAdmin, "PATCH", path, map[string]any{"provider_name": "other", "share_name": "other"})
	if same.str("provider_name") != f.name("provider") || same.str("share_name") != "theshare" {
		w.Errorf("the provider was changed: %s", same.raw)
	}
	renamed := w.unique("renamed")
	w.must(metastoreAdmin, "PATCH", f.path("provider"), map[string]any{"name": renamed})
	f.names["provider"] = renamed
	if got := w.must(metastoreAdmin, "GET", path, nil).str("provider_name"); got != renamed {
		w.Errorf("the provider is now %q, the catalog shows %q", renamed, got)
	}
}

// TestRenamedContainers: children keep their places, and their grants, under a new name.
func TestRenamedContainers(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.grant("table", alice, "SELECT")
	f.grant("schema", alice, "USE_SCHEMA")
	f.own("catalog", metastoreAdmin)
	table := f.name("table")
	_, function, _ := strings.Cut(f.name("function"), ".")
	w.must(metastoreAdmin, "PATCH", f.permissions("catalog"), diffOf(change("account users", []string{"USE_SCHEMA", "EXECUTE"}, nil)))
	w.must(metastoreAdmin, "POST", "policies", f.policy("catalog", "p"))
	_, inCatalog, _ := strings.Cut(table, ".")
	catalog := w.unique("renamed")
	w.must(metastoreAdmin, "PATCH", f.path("catalog"), map[string]any{"new_name": strings.ToUpper(catalog)})
	f.names["catalog"], f.names["schema"] = catalog, catalog+f.names["schema"][strings.Index(f.names["schema"], "."):]
	w.refused(metastoreAdmin, "GET", "tables/"+table, nil, 404, "CATALOG_DOES_NOT_EXIST")
	f.names["table"] = catalog + "." + inCatalog
	got := w.must(metastoreAdmin, "GET", f.path("table"), nil)
	if got.str("full_name") != f.names["table"] || got.str("catalog_name") != catalog {
		w.Errorf("the table is %s", got.raw)
	}
	policy := w.must(metastoreAdmin, "GET", f.policies("catalog")+"/p", nil)
	if filter, _ := policy.json["row_filter"].(map[string]any); filter["function_name"] != catalog+"."+function || policy.str("on_securable_fullname") != catalog {
		w.Errorf("the policy is %s", policy.raw)
	}
	grants := w.must(metastoreAdmin, "GET", f.permissions("table"), nil)
	if !strings.Contains(grants.raw, "SELECT") {
		w.Errorf("its grants: %s", grants.raw)
	}
	f.own("schema", metastoreAdmin)
	schema := w.unique("renamed")
	w.must(metastoreAdmin, "PATCH", f.path("schema"), map[string]any{"name": schema})
	f.names["schema"] = catalog + "." + schema
	f.names["table"] = f.names["schema"] + "." + got.str("name")
	got = w.must(metastoreAdmin, "GET", f.path("table"), nil)
	if got.str("schema_name") != schema {
		w.Errorf("the table is %s", got.raw)
	}
	list := w.must(metastoreAdmin, "POST", "table-summaries", map[string]any{"catalog_name": catalog})
	if !listHolds(list, "tables", f.names["table"]) {
		w.Errorf("summaries: %s", list.raw)
	}
	other := w.must(metastoreAdmin, "POST", "schemas", map[string]any{"name": w.unique("schema"), "catalog_name": catalog})
	w.refused(metastoreAdmin, "PATCH", f.path("schema"), map[string]any{"name": strings.ToUpper(other.str("name"))}, 409, "SCHEMA_ALREADY_EXISTS")
	if again := w.must(metastoreAdmin, "GET", f.path("schema"), nil); again.str("name") != schema {
		w.Errorf("a refused rename led to %s", again.raw)
	}
}

// TestOneName: a name is free for another type, another container, and once its object is gone.
func TestOneName(t *testing.T) {
	w := newWorld(t)
	name := w.unique("one")
	body := map[string]any{"name": name, "authentication_type": "TOKEN"}
	paths := []string{"catalogs", "shares", "recipients", "providers"}
	for range 2 {
		for _, path := range paths {
			w.must(metastoreAdmin, "POST", path, body)
			w.refused(metastoreAdmin, "POST", path, map[string]any{"name": strings.ToUpper(name), "authentication_type": "TOKEN"}, 409)
		}
		for _, path := range paths {
			w.must(metastoreAdmin, "DELETE", path+"/"+name, nil)
		}
	}
}
