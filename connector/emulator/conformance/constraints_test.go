package conformance_test

import (
	"net/url"
	"strings"
	"testing"
)

func primaryKeyOf(name string, columns ...string) map[string]any {
	return map[string]any{"primary_key_constraint": map[string]any{"name": name, "child_columns": columns}}
}

func foreignKeyOf(name, parent string, child, of []string) map[string]any {
	return map[string]any{"foreign_key_constraint": map[string]any{"name": name, "child_columns": child, "parent_table": parent, "parent_columns": of}}
}

func constraint(table string, constraint map[string]any) map[string]any {
	return map[string]any{"full_name_arg": table, "constraint": constraint}
}

func dropConstraint(table, name string, cascade bool) string {
	path := "constraints/" + url.PathEscape(table) + "?constraint_name=" + url.QueryEscape(name)
	if cascade {
		path += "&cascade=true"
	}
	return path
}

func TestConstraintAuthorization(t *testing.T) {
	list := []endpoint{
		{name: "add a constraint", allowed: usesBoth + " & own:table", try: "MODIFY:table", call: func(f *fixture) request {
			return request{"POST", "constraints", constraint(f.name("table"), primaryKeyOf("pk", "id"))}
		}},
		{name: "drop a constraint", allowed: usesBoth + " & own:table", call: func(f *fixture) request {
			f.name("table")
			for _, kind := range []string{"catalog", "schema", "table"} {
				f.own(kind, metastoreAdmin)
			}
			f.w.must(metastoreAdmin, "POST", "constraints", constraint(f.name("table"), primaryKeyOf("pk", "id")))
			for _, kind := range []string{"catalog", "schema", "table"} {
				f.own(kind, bob)
			}
			return request{"DELETE", dropConstraint(f.name("table"), "pk", false), nil}
		}},
	}
	for i := range list {
		list[i].few = true
	}
	checkAuthorization(t, list)

	w := newWorld(t)
	f, other := w.fixture(), w.fixture()
	for _, kind := range []string{"catalog", "schema", "table"} {
		f.name(kind)
		f.own(kind, alice)
		other.name(kind)
	}
	refers := constraint(f.name("table"), foreignKeyOf("fk", other.name("table"), []string{"id"}, []string{"id"}))
	w.refused(alice, "POST", "constraints", refers, 403, forbidden)
	other.own("table", alice)
	w.refused(alice, "POST", "constraints", refers, 403, forbidden)
	other.grant("catalog", alice, "USE_CATALOG")
	other.grant("schema", alice, "USE_SCHEMA")
	w.must(alice, "POST", "constraints", constraint(other.name("table"), primaryKeyOf("pk", "id")))
	w.must(alice, "POST", "constraints", refers)
	f.own("table", bob)
	f.own("schema", bob)
	f.own("catalog", bob)
	w.refused(alice, "DELETE", dropConstraint(other.name("table"), "pk", true), nil, 403, forbidden)
	if got := w.must(metastoreAdmin, "GET", f.path("table"), nil); !strings.Contains(got.raw, `"fk"`) {
		t.Errorf("refused, and the foreign key is gone: %s", got.raw)
	}
}

func TestConstraints(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	for _, kind := range []string{"catalog", "schema", "table"} {
		f.name(kind)
		f.own(kind, metastoreAdmin)
	}
	parent := f.name("table")
	child := w.must(metastoreAdmin, "POST", "tables", f.tableBody()).str("full_name")
	add := func(table string, c map[string]any) reply {
		t.Helper()
		return w.must(metastoreAdmin, "POST", "constraints", constraint(table, c))
	}
	pk := primaryKeyOf("pk", "ID")
	if got := add(parent, pk); !same(got.json, pk) {
		t.Errorf("added %s, answered %s", jsonOf(pk), got.raw)
	}
	fk := foreignKeyOf("fk", parent, []string{"id"}, []string{"id"})
	if got := add(child, fk); !same(got.json, fk) {
		t.Errorf("added %s, answered %s", jsonOf(fk), got.raw)
	}
	named := map[string]any{"named_table_constraint": map[string]any{"name": "n"}}
	add(parent, named)
	if got := w.must(metastoreAdmin, "GET", "tables/"+url.PathEscape(parent), nil); !same(got.json["table_constraints"], []any{pk, named}) {
		t.Errorf("constraints of the table: %s", jsonOf(got.json["table_constraints"]))
	}
	for _, bad := range []map[string]any{{}, {"full_name_arg": parent}, constraint(parent, map[string]any{}), constraint("", pk), constraint(parent, primaryKeyOf("", "id")),
		constraint(child, primaryKeyOf("p")), constraint(parent, primaryKeyOf("second", "region")), constraint(child, foreignKeyOf("f", parent, []string{"id"}, []string{"id", "region"})),
		constraint(child, foreignKeyOf("f", parent, nil, nil)), constraint(child, map[string]any{"named_table_constraint": map[string]any{"name": "n"}, "primary_key_constraint": map[string]any{"name": "p", "child_columns": []any{"id"}}})} {
		w.refused(metastoreAdmin, "POST", "constraints", bad, 400, badValue, malformed)
	}
	w.refused(metastoreAdmin, "POST", "constraints", constraint(parent, map[string]any{"named_table_constraint": map[string]any{"name": "PK"}}), 409, "CONSTRAINT_ALREADY_EXISTS")
	w.refused(metastoreAdmin, "POST", "constraints", constraint(child, primaryKeyOf("p", "none")), 404, "COLUMN_DOES_NOT_EXIST")
	w.refused(metastoreAdmin, "POST", "constraints", constraint(child, foreignKeyOf("f", parent+"_none", []string{"id"}, []string{"id"})), 404, "TABLE_DOES_NOT_EXIST")
	w.refused(metastoreAdmin, "DELETE", dropConstraint(parent, "none", false), nil, 404, "CONSTRAINT_DOES_NOT_EXIST")
	w.refused(metastoreAdmin, "DELETE", dropConstraint(parent, "pk", false), nil, 400, badState)
	// A foreign key shows the present name of its parent.
	w.must(metastoreAdmin, "PATCH", f.path("schema"), map[string]any{"new_name": "moved"})
	old := f.name("schema")
	catalog, _, _ := strings.Cut(old, ".")
	parent, child = strings.Replace(parent, old, catalog+".moved", 1), strings.Replace(child, old, catalog+".moved", 1)
	if got := w.must(metastoreAdmin, "GET", "tables/"+url.PathEscape(child), nil); !strings.Contains(got.raw, `"parent_table":"`+parent+`"`) {
		t.Errorf("the parent was renamed: %s", got.raw)
	}
	w.must(metastoreAdmin, "DELETE", dropConstraint(parent, "PK", true), nil)
	w.must(metastoreAdmin, "DELETE", dropConstraint(parent, "n", false), nil)
	for _, table := range []string{parent, child} {
		if got := w.must(metastoreAdmin, "GET", "tables/"+url.PathEscape(table), nil); got.json["table_constraints"] != nil {
			t.Errorf("constraints left: %s", got.raw)
		}
	}
}
