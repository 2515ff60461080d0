package conformance_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

const rfaPath = "/api/3.0/rfa/"

func (f *fixture) destinations(kind string) string {
	f.w.Helper()
	return rfaPath + "destinations/" + typeOf(kind) + "/" + url.PathEscape(f.name(kind))
}

// typeOf returns the type of a kind of object as requests for access name it.
func typeOf(kind string) string { return strings.ReplaceAll(permissionTypes[kind], "-", "_") }

func to(typ, id string) map[string]any {
	return map[string]any{"destination_type": typ, "destination_id": id}
}

func (f *fixture) sendTo(kind string, list ...any) map[string]any {
	f.w.Helper()
	return map[string]any{"securable": map[string]any{"type": typeOf(kind), "full_name": f.name(kind)}, "destinations": list}
}

func TestDestinationAuthorization(t *testing.T) {
	for kind, allowed := range map[string]string{"catalog": "MA | own:catalog | MANAGE:catalog", "table": "MA | own:table | MANAGE:schema", "location": "MA | own:location"} {
		checkAuthorization(t, []endpoint{{name: "change destinations of " + kind, allowed: allowed, few: true, call: func(f *fixture) request {
			return request{"PATCH", rfaPath + "destinations?update_mask=destinations", f.sendTo(kind, to("EMAIL", "a@example.com"))}
		}}})
	}
}

// TestDestinations: where requests for access go, as is set on an object or on what it is in, to who may browse it.
func TestDestinations(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.name("table")
	set := func(kind string, list ...any) reply {
		t.Helper()
		return w.must(metastoreAdmin, "PATCH", rfaPath+"destinations?update_mask=destinations", f.sendTo(kind, list...))
	}
	type place struct {
		list   []any
		source any
		hidden bool
	}
	check := func(r role, kind string, want place) {
		t.Helper()
		got := w.must(r, "GET", f.destinations(kind), nil)
		list, _ := got.json["destinations"].([]any)
		source, _ := got.json["destination_source_securable"].(map[string]any)
		if !same(list, want.list) || !same(source["full_name"], want.source) || got.json["are_any_destinations_hidden"] != want.hidden || got.str("full_name") != f.name(kind) {
			t.Errorf("%s of %s: %s", r, kind, got.raw)
		}
	}
	check(alice, "table", place{})
	mails := []any{to("EMAIL", "a@example.com"), to("SLACK", "s1")}
	set("catalog", mails...)
	check(metastoreAdmin, "table", place{mails, f.name("catalog"), false})
	check(bob, "table", place{mails, f.name("catalog"), false})
	check(alice, "table", place{nil, f.name("catalog"), true})
	f.grant("catalog", alice, "BROWSE")
	check(alice, "table", place{mails, f.name("catalog"), false})
	page := []any{to("URL", "https://ask.example.com")}
	set("schema", page...)
	check(workspaceAdmin, "table", place{page, f.name("schema"), false})
	set("schema")
	check(alice, "table", place{mails, f.name("catalog"), false})
	for _, bad := range [][]any{{to("EMAIL", "")}, {to("FAX", "1")}, {to("URL", "https://a.example.com"), to("EMAIL", "a@example.com")}, slices.Repeat([]any{to("EMAIL", "a@example.com")}, 6),
		slices.Repeat([]any{to("SLACK", "a")}, 6)} {
		w.refused(metastoreAdmin, "PATCH", rfaPath+"destinations?update_mask=destinations", f.sendTo("catalog", bad...), 400, badValue)
	}
	w.refused(metastoreAdmin, "PATCH", rfaPath+"destinations", f.sendTo("catalog"), 400, badValue)
	w.refused(alice, "GET", rfaPath+"destinations/share/x", nil, 400, badValue)
	w.refused(alice, "GET", rfaPath+"destinations/catalog/nothing", nil, 404, "CATALOG_DOES_NOT_EXIST")
}

func TestAccessRequests(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	who := func(id string) map[string]any { return map[string]any{"id": id, "principal_type": "USER_PRINCIPAL"} }
	ask := func(behalf any, permissions ...string) map[string]any {
		return map[string]any{"behalf_of": behalf, "comment": "please", "securable_permissions": []any{
			map[string]any{"securable": map[string]any{"type": "table", "full_name": f.name("table")}, "permissions": permissions}}}
	}
	w.must(metastoreAdmin, "PATCH", rfaPath+"destinations?update_mask=destinations", f.sendTo("table", to("URL", "https://ask.example.com")))
	got := w.must(alice, "POST", rfaPath+"requests", map[string]any{"requests": []any{ask(who("7"), "SELECT"), ask(nil, "MODIFY")}})
	responses, _ := got.json["responses"].([]any)
	if len(responses) != 2 {
		t.Fatalf("answered %s", got.raw)
	}
	first, _ := responses[0].(map[string]any)
	list, _ := first["request_destinations"].([]any)
	if !same(first["behalf_of"], who("7")) || len(list) != 1 || !same(list[0].(map[string]any)["destinations"], []any{to("URL", "https://ask.example.com")}) {
		t.Errorf("answered %s", got.raw)
	}
	if second, _ := responses[1].(map[string]any); second["behalf_of"] == nil {
		t.Errorf("for the caller: %s", got.raw)
	}
	for _, bad := range []map[string]any{{}, {"requests": []any{}}, {"requests": []any{ask(who("7"), "SELECT"), ask(who("7"), "SELECT")}}, {"requests": []any{ask(who(""), "SELECT")}},
		{"requests": []any{ask(who("7"), "USE_CATALOG")}}, {"requests": []any{ask(map[string]any{"id": "7", "principal_type": "ROBOT"}, "SELECT")}}} {
		w.refused(alice, "POST", rfaPath+"requests", bad, 400, badValue)
	}
}
