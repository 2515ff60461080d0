package conformance_test

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// tagPath returns the path of the tags of an entity.
func tagPath(entityType, name string) string {
	return "entity-tag-assignments/" + entityType + "/" + url.PathEscape(name) + "/tags"
}

func tag(entityType, name, key, value string) map[string]any {
	return map[string]any{"entity_type": entityType, "entity_name": name, "tag_key": key, "tag_value": value}
}

// tagEndpoints returns the rules of the calls about tags of a kind: what it takes to reach it, and to read it.
func tagEndpoints(kind, entityType, reach, read string) []endpoint {
	change := "own:" + kind + " | APPLY_TAG:" + kind + " | MANAGE:" + kind
	if reach != "" {
		change = reach + " & (" + change + ")"
	}
	at := func(method, suffix, query string, body map[string]any, put bool) func(f *fixture) request {
		return func(f *fixture) request {
			name := f.name(kind)
			if put {
				f.w.must(bob, "POST", "entity-tag-assignments", tag(entityType, name, "pii", "high"))
			}
			return request{method, tagPath(entityType, name) + suffix + query, body}
		}
	}
	return []endpoint{
		{name: "tag " + kind, allowed: change, try: "SELECT:" + kind, call: func(f *fixture) request {
			return request{"POST", "entity-tag-assignments", tag(entityType, f.name(kind), "pii", "high")}
		}},
		{name: "change tag of " + kind, few: true, allowed: change, call: at("PATCH", "/pii", "?update_mask=tag_value", map[string]any{"tag_value": "low"}, true)},
		{name: "remove tag of " + kind, few: true, allowed: change, call: at("DELETE", "/pii", "", nil, true)},
		{name: "get tag of " + kind, allowed: read, try: "APPLY_TAG:" + kind, call: at("GET", "/pii", "", nil, true)},
		{name: "list tags of " + kind, few: true, allowed: read, try: "APPLY_TAG:" + kind, call: at("GET", "", "", nil, true)},
	}
}

// TestTagAuthorization: to tag takes APPLY_TAG, to read tags what reading the object takes.
func TestTagAuthorization(t *testing.T) {
	checkAuthorization(t, tagEndpoints("catalog", "catalogs", "", "MA | own:catalog | USE_CATALOG:catalog | MANAGE:catalog"))
	checkAuthorization(t, tagEndpoints("table", "tables", usesBoth, "MA | "+usesBoth+" & (own:table | SELECT:table)"))
}

// TestTags: one value for a key, both in their own case; columns have tags of their own.
func TestTags(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	for _, kind := range []string{"catalog", "schema", "table"} {
		f.own(kind, metastoreAdmin)
	}
	table := f.name("table")
	volume := w.must(metastoreAdmin, "POST", "volumes", map[string]any{"name": w.unique("volume"), "volume_type": "MANAGED",
		"catalog_name": strings.Split(table, ".")[0], "schema_name": strings.Split(table, ".")[1]}).str("full_name")
	for entityType, name := range map[string]string{"catalogs": f.name("catalog"), "schemas": f.name("schema"), "tables": table, "columns": table + ".Id", "volumes": volume} {
		path := tagPath(entityType, strings.ToUpper(name))
		if got := w.must(metastoreAdmin, "GET", path, nil); got.json["tag_assignments"] != nil {
			w.Errorf("%s has tags from the start: %s", name, got.raw)
		}
		want := tag(entityType, name, "PII level", "High")
		made := w.must(metastoreAdmin, "POST", "entity-tag-assignments", tag(entityType, strings.ToUpper(name), "PII level", "High"))
		for field, value := range want {
			if made.json[field] != value {
				w.Errorf("%s: tagged with %s %v, answered %v", entityType, field, value, made.json[field])
			}
		}
		if _, err := time.Parse(time.RFC3339, made.str("update_time")); err != nil || made.str("updated_by") != w.user(metastoreAdmin) {
			w.Errorf("%s: %s", entityType, made.raw)
		}
		one := path + "/PII%20level"
		if got := w.must(metastoreAdmin, "GET", one, nil); !same(got.json, made.json) {
			w.Errorf("get answers %s, create %s", got.raw, made.raw)
		}
		w.refused(metastoreAdmin, "GET", path+"/pii%20level", nil, 404, "TAG_ASSIGNMENT_DOES_NOT_EXIST")
		w.refused(metastoreAdmin, "POST", "entity-tag-assignments", want, 409, "TAG_ASSIGNMENT_ALREADY_EXISTS")
		w.must(metastoreAdmin, "POST", "entity-tag-assignments", map[string]any{"entity_type": entityType, "entity_name": name, "tag_key": "pii level"}) // another one, without a value
		for _, mask := range []string{"", "?update_mask=", "?update_mask=tag_key"} {
			w.refused(metastoreAdmin, "PATCH", one+mask, map[string]any{"tag_value": "low"}, 400, badValue)
		}
		if got := w.must(metastoreAdmin, "PATCH", one+"?update_mask=tag_value", map[string]any{"tag_value": "low"}); got.str("tag_value") != "low" || got.str("tag_key") != "PII level" {
			w.Errorf("changed: %s", got.raw)
		}
		if got, pages := w.pages(path, "tag_assignments", "tag_key", 1); !same(got, []string{"PII level", "pii level"}) || pages < 2 {
			w.Errorf("%s: %d pages of tags %q", entityType, pages, got)
		}
		w.must(metastoreAdmin, "DELETE", one, nil)
		for _, method := range []string{"GET", "DELETE"} {
			w.refused(metastoreAdmin, method, one, nil, 404, "TAG_ASSIGNMENT_DOES_NOT_EXIST")
		}
		w.refused(metastoreAdmin, "PATCH", one+"?update_mask=tag_value", map[string]any{"tag_value": "low"}, 404, "TAG_ASSIGNMENT_DOES_NOT_EXIST")
		// What is tagged above or beside is not tagged here.
		if got, _ := w.pages(path, "tag_assignments", "tag_key", 1000); !same(got, []string{"pii level"}) {
			w.Errorf("%s: tags %q", entityType, got)
		}
	}
	// Tags stay with their object under a new name.
	w.must(metastoreAdmin, "PATCH", f.path("schema"), map[string]any{"new_name": "renamed"})
	moved := f.name("catalog") + ".renamed." + table[strings.LastIndexByte(table, '.')+1:]
	for _, path := range []string{tagPath("tables", moved), tagPath("columns", moved+".id"), tagPath("schemas", f.name("catalog")+".renamed")} {
		if got := w.must(metastoreAdmin, "GET", path, nil); !strings.Contains(got.raw, "pii level") {
			w.Errorf("%s after a rename: %s", path, got.raw)
		}
	}
}

func TestTagsAreChecked(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.own("catalog", metastoreAdmin)
	f.own("schema", metastoreAdmin)
	f.own("table", metastoreAdmin)
	name := f.name("table")
	for _, bad := range []map[string]any{
		tag("", name, "k", "v"), tag("table", name, "k", "v"), tag("shares", name, "k", "v"), tag("tables", "", "k", "v"), tag("tables", "a.b", "k", "v"),
		tag("columns", name, "k", "v"), tag("columns", name+".", "k", "v"),
		tag("tables", name, "", "v"), tag("tables", name, " k", "v"), tag("tables", name, "a.b", "v"), tag("tables", name, "a,b", "v"), tag("tables", name, "a-b", "v"),
		tag("tables", name, "a=b", "v"), tag("tables", name, "a/b", "v"), tag("tables", name, "a:b", "v"), tag("tables", name, strings.Repeat("k", 256), "v"),
		tag("tables", name, "k", strings.Repeat("v", 1001)),
		{"entity_type": "tables", "entity_name": name, "tag_key": 7},
	} {
		w.refused(metastoreAdmin, "POST", "entity-tag-assignments", bad, 400, badValue, malformed)
	}
	w.refused(metastoreAdmin, "POST", "entity-tag-assignments", tag("tables", name+"_none", "k", "v"), 404, "TABLE_DOES_NOT_EXIST")
	w.refused(metastoreAdmin, "POST", "entity-tag-assignments", tag("columns", name+".none", "k", "v"), 404, "COLUMN_DOES_NOT_EXIST")
	w.must(metastoreAdmin, "POST", "entity-tag-assignments", tag("tables", name, strings.Repeat("k", 255), strings.Repeat("v", 1000)))
	w.refused(metastoreAdmin, "GET", tagPath("table", name), nil, 400, badValue)
	if got := w.must(metastoreAdmin, "GET", tagPath("tables", name), nil); strings.Count(got.raw, "tag_key") != 1 {
		w.Errorf("refused tags are there: %s", got.raw)
	}
	for i := range 49 {
		w.must(metastoreAdmin, "POST", "entity-tag-assignments", tag("tables", name, "k"+strings.Repeat("x", i), "v"))
	}
	w.refused(metastoreAdmin, "POST", "entity-tag-assignments", tag("tables", name, "one too many", "v"), 400, badValue)
}
