package conformance_test

import (
	"fmt"
	"net/url"
	"strconv"
	"testing"
)

// bindable are the types of objects that are bound to workspaces, by the kind of the fixture.
var bindable = map[string]string{"catalog": "catalog", "credential": "storage_credential", "service": "credential", "location": "external_location"}

func (f *fixture) bindings(kind string) string {
	f.w.Helper()
	return "bindings/" + bindable[kind] + "/" + url.PathEscape(f.name(kind))
}

func bind(workspace any, typ string) map[string]any {
	b := map[string]any{"workspace_id": workspace}
	if typ != "" {
		b["binding_type"] = typ
	}
	return b
}

// TestBindingAuthorization: the bindings of an object are for its owner and metastore admins, to read them, too.
func TestBindingAuthorization(t *testing.T) {
	for kind, try := range map[string]string{"catalog": "USE_CATALOG:catalog", "credential": "READ_FILES:credential", "location": "READ_FILES:location", "service": "ACCESS:service"} {
		allowed := fmt.Sprintf("MA | own:%s | MANAGE:%s", kind, kind)
		calls := []endpoint{
			{name: "list bindings of " + kind, allowed: allowed, try: try, call: func(f *fixture) request { return request{"GET", f.bindings(kind), nil} }},
			{name: "change bindings of " + kind, allowed: allowed, try: try, call: func(f *fixture) request {
				return request{"PATCH", f.bindings(kind), map[string]any{"add": []any{bind(7, "")}}}
			}},
		}
		if kind == "catalog" {
			calls = append(calls,
				endpoint{name: "list workspaces of catalog", allowed: allowed, try: try, call: func(f *fixture) request {
					return request{"GET", "workspace-bindings/catalogs/" + f.name("catalog"), nil}
				}},
				endpoint{name: "change workspaces of catalog", allowed: allowed, try: try, call: func(f *fixture) request {
					return request{"PATCH", "workspace-bindings/catalogs/" + f.name("catalog"), map[string]any{"assign_workspaces": []any{7}}}
				}})
		}
		checkAuthorization(t, calls)
	}
}

// TestBindings changes the bindings of each type.
func TestBindings(t *testing.T) {
	for kind, typ := range bindable {
		w := newWorld(t)
		f := w.fixture()
		path := f.bindings(kind)
		own, err := strconv.Atoi(w.workspace)
		if err != nil {
			t.Skip("skipped: WORKSPACE= names none")
		}
		got := w.must(metastoreAdmin, "PATCH", path, map[string]any{"add": []any{bind(12, ""), bind(5, "BINDING_TYPE_READ_ONLY")}})
		want := []any{bind(5, "BINDING_TYPE_READ_ONLY"), bind(12, "BINDING_TYPE_READ_WRITE"), bind(own, "BINDING_TYPE_READ_WRITE")}
		if !same(got.json["bindings"], want) {
			t.Errorf("%s: bindings %s, want %s", typ, got.raw, jsonOf(want))
		}
		got = w.must(metastoreAdmin, "PATCH", path, map[string]any{"add": []any{bind(5, "BINDING_TYPE_READ_WRITE")}, "remove": []any{bind(12, ""), bind(99, "")}})
		want = []any{bind(5, "BINDING_TYPE_READ_WRITE"), bind(own, "BINDING_TYPE_READ_WRITE")}
		if !same(got.json["bindings"], want) {
			t.Errorf("%s: bindings %s, want %s", typ, got.raw, jsonOf(want))
		}
		first := w.must(metastoreAdmin, "GET", path+"?max_results=1", nil)
		second := w.must(metastoreAdmin, "GET", path+"?max_results=1&page_token="+url.QueryEscape(first.str("next_page_token")), nil)
		if !same(first.json["bindings"], want[:1]) || !same(second.json["bindings"], want[1:]) || second.json["next_page_token"] != nil {
			t.Errorf("%s: pages %s %s", typ, first.raw, second.raw)
		}
		for _, bad := range []map[string]any{
			{"add": []any{bind(0, "")}}, {"remove": []any{bind(0, "")}}, {"add": []any{bind("x", "")}}, {"add": []any{bind(6, "BINDING_TYPE_NONE")}},
			{"add": []any{bind(6, "")}, "remove": []any{bind(6, "")}},
		} {
			w.refused(metastoreAdmin, "PATCH", path, bad, 400, badValue, malformed)
		}
		if got := w.must(metastoreAdmin, "GET", path, nil); !same(got.json["bindings"], want) {
			t.Errorf("%s: refused, and changed to %s", typ, got.raw)
		}
	}
	w := newWorld(t)
	w.refused(metastoreAdmin, "GET", "bindings/schema/a", nil, 400, badValue)
	w.refused(metastoreAdmin, "GET", "bindings/catalog/nothing", nil, 404, "CATALOG_DOES_NOT_EXIST")
	f := w.fixture()
	path := "workspace-bindings/catalogs/" + f.name("catalog")
	got := w.must(metastoreAdmin, "PATCH", path, map[string]any{"assign_workspaces": []any{1, 2}, "unassign_workspaces": []any{4711}})
	if again := w.must(metastoreAdmin, "GET", path, nil); !same(got.json["workspaces"], []any{1, 2}) || !same(got.json, again.json) {
		t.Errorf("workspaces %s, then %s", got.raw, again.raw)
	}
}

// TestIsolation: an isolated object that is not bound to the workspace cannot be used from it, nor what is in it; one that is
// bound for reading cannot be changed in.
func TestIsolation(t *testing.T) {
	w := newWorld(t)
	own, err := strconv.Atoi(w.workspace)
	if err != nil {
		t.Skip("skipped: WORKSPACE= names none")
	}
	f := w.fixture()
	f.name("table")
	f.own("catalog", metastoreAdmin)
	f.grant("catalog", alice, "ALL_PRIVILEGES")
	table := f.tableBody()
	open := func(step string, read, write bool) {
		t.Helper()
		for _, call := range []request{{"GET", f.path("catalog"), nil}, {"GET", f.path("schema"), nil}, {"GET", f.path("table"), nil},
			{"GET", "schemas?catalog_name=" + f.name("catalog"), nil}, {"GET", tagPath("tables", f.name("table")), nil}} {
			if got := w.do(alice, call.method, call.path, nil); got.status != map[bool]int{true: 200, false: 403}[read] {
				t.Errorf("%s: %s %s: %d %s", step, call.method, call.path, got.status, got.raw)
			}
		}
		if names, _ := w.pages("catalogs", "catalogs", "name", 1000); contains(names, f.name("catalog")) != read {
			t.Errorf("%s: listed catalogs %q", step, names)
		}
		got := w.do(alice, "POST", "tables", table)
		if got.status != map[bool]int{true: 200, false: 403}[write] {
			t.Errorf("%s: create a table: %d %s", step, got.status, got.raw)
		}
		if write {
			w.must(metastoreAdmin, "DELETE", "tables/"+url.PathEscape(got.str("full_name")), nil)
		}
	}
	unbound := func() map[string]any { return map[string]any{"remove": []any{bind(own, "")}} }
	open("open", true, true)
	w.must(metastoreAdmin, "PATCH", f.bindings("catalog"), unbound())
	open("open, and not bound", true, true)
	w.must(metastoreAdmin, "PATCH", f.path("catalog"), map[string]any{"isolation_mode": "ISOLATED"})
	open("isolated, and not bound", false, false)
	if names, _ := w.pages("catalogs?include_unbound=true", "catalogs", "name", 1000); !contains(names, f.name("catalog")) {
		t.Errorf("not among those that are not bound: %q", names)
	}
	w.must(metastoreAdmin, "PATCH", f.bindings("catalog"), map[string]any{"add": []any{bind(own, "BINDING_TYPE_READ_ONLY")}})
	open("bound for reading", true, false)
	w.must(metastoreAdmin, "PATCH", f.bindings("catalog"), map[string]any{"add": []any{bind(own, "BINDING_TYPE_READ_WRITE")}})
	open("bound", true, true)
	w.must(metastoreAdmin, "PATCH", f.bindings("catalog"), unbound())
	w.must(metastoreAdmin, "PATCH", f.path("catalog"), map[string]any{"isolation_mode": "OPEN"})
	open("open again", true, true)

	// Who isolates an object does not lose it by that alone.
	g := w.fixture()
	for _, kind := range []string{"location", "credential", "service"} {
		w.must(bob, "PATCH", g.path(kind), map[string]any{"isolation_mode": "ISOLATION_MODE_ISOLATED"})
		w.must(bob, "GET", g.path(kind), nil)
		w.must(bob, "PATCH", g.bindings(kind), unbound())
		w.refused(bob, "GET", g.path(kind), nil, 403, forbidden)
	}
}
