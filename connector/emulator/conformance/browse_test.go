package conformance_test

import (
	"strings"
	"testing"
)

// TestBrowse: with include_browse, who holds BROWSE on the catalog sees what is in it, marked, and without what protects it.
func TestBrowse(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	for _, kind := range []string{"volume", "function", "model"} {
		f.name(kind)
	}
	body := f.tableBody()
	body["row_filter"] = map[string]any{"function_name": f.name("function"), "input_column_names": []any{"region"}}
	table := w.must(metastoreAdmin, "POST", "tables", body).str("full_name")
	catalog, schema, _ := strings.Cut(f.name("schema"), ".")
	in := "?catalog_name=" + catalog + "&schema_name=" + schema
	paths := map[string]string{ // what is got, and where it is listed
		"schemas/" + f.name("schema"): "schemas?catalog_name=" + catalog, "tables/" + table: "tables" + in, f.path("volume"): "volumes" + in,
		f.path("function"): "functions" + in, f.path("model"): "models" + in,
	}
	for path, list := range paths {
		w.refused(alice, "GET", path+"?include_browse=true", nil, 403, forbidden)
		w.refused(alice, "GET", list+"&include_browse=true", nil, 403, forbidden)
	}
	f.grant("catalog", alice, "BROWSE")
	for path, list := range paths {
		w.refused(alice, "GET", path, nil, 403, forbidden)
		got := w.must(alice, "GET", path+"?include_browse=true", nil)
		if got.json["browse_only"] != true || got.json["row_filter"] != nil || got.str("name") == "" {
			t.Errorf("%s: %s", path, got.raw)
		}
		if listed := w.must(alice, "GET", list+"&include_browse=true", nil); !strings.Contains(listed.raw, `"browse_only":true`) || strings.Contains(listed.raw, "row_filter") {
			t.Errorf("%s: %s", list, listed.raw)
		}
		if got := w.must(metastoreAdmin, "GET", path+"?include_browse=true", nil); got.json["browse_only"] != nil {
			t.Errorf("to who may read it: %s", got.raw)
		}
		w.refused(alice, "PATCH", path+"?include_browse=true", map[string]any{"comment": "x"}, 403, forbidden)
	}
	w.refused(alice, "GET", "tables/"+table+"?include_browse=perhaps", nil, 400, badValue)
	f.grant("catalog", alice, "USE_CATALOG")
	f.grant("schema", alice, "USE_SCHEMA")
	f.grant("schema", alice, "SELECT")
	if got := w.must(alice, "GET", "tables/"+table+"?include_browse=true", nil); got.json["browse_only"] != nil || got.json["row_filter"] == nil {
		t.Errorf("with SELECT: %s", got.raw)
	}
}
