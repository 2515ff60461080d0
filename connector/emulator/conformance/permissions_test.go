package conformance_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// change is one change of a diff.
func change(principal string, add, remove []string) map[string]any {
	c := map[string]any{"principal": principal}
	if add != nil {
		c["add"] = add
	}
	if remove != nil {
		c["remove"] = remove
	}
	return c
}

func diffOf(changes ...any) map[string]any {
	return map[string]any{"changes": append([]any{}, changes...)}
}

// granted returns the privileges in an answer by principal, sorted and joined.
func granted(r reply) map[string]string {
	all := make(map[string]string)
	list, _ := r.json["privilege_assignments"].([]any)
	for _, item := range list {
		a, _ := item.(map[string]any)
		privileges, _ := a["privileges"].([]any)
		var names []string
		for _, p := range privileges {
			names = append(names, fmt.Sprint(p))
		}
		slices.Sort(names)
		all[text(a["principal"])] = strings.Join(names, " ")
	}
	return all
}

// TestPermissionDiffs: privileges are a set for each principal, and the answer of a change is the new state.
func TestPermissionDiffs(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	path := f.permissions("schema")
	users := []string{w.user(alice), w.user(bob)}
	for _, step := range []struct {
		diff       map[string]any
		alice, bob string
	}{
		{diffOf(), "", ""},
		{diffOf(change(users[0], []string{"SELECT", "USE_SCHEMA"}, nil)), "SELECT USE_SCHEMA", ""},
		{diffOf(change(users[0], []string{"USE SCHEMA", "SELECT"}, nil)), "SELECT USE_SCHEMA", ""},
		{diffOf(change(users[0], []string{"MODIFY", "MODIFY"}, []string{"USE SCHEMA"}), change(users[1], []string{"CREATE TABLE"}, nil)), "MODIFY SELECT", "CREATE_TABLE"},
		{diffOf(change(users[0], nil, []string{"EXECUTE"})), "MODIFY SELECT", "CREATE_TABLE"},
		{diffOf(change(users[0], nil, []string{"SELECT"}), change(users[1], nil, []string{"CREATE_TABLE"})), "MODIFY", ""},
		{diffOf(change(users[0], []string{}, []string{})), "MODIFY", ""},
	} {
		answer := granted(w.must(metastoreAdmin, "PATCH", path, step.diff))
		read := granted(w.must(metastoreAdmin, "GET", path, nil))
		for _, got := range []map[string]string{answer, read} {
			if got[users[0]] != step.alice || got[users[1]] != step.bob {
				w.Errorf("after %s: %v, want %q and %q", jsonOf(step.diff), got, step.alice, step.bob)
			}
		}
		for _, who := range users {
			one := granted(w.must(metastoreAdmin, "GET", path+"?principal="+url.QueryEscape(who), nil))
			if one[who] != read[who] || len(one) > 1 {
				w.Errorf("grants of %s alone: %v, of all: %v", who, one, read)
			}
		}
	}
	upper := "permissions/SCHEMA/" + url.PathEscape(strings.ToUpper(f.name("schema")))
	if got := granted(w.must(metastoreAdmin, "GET", upper, nil)); got[users[0]] != "MODIFY" {
		w.Errorf("in capitals: %v", got)
	}
}

// TestRefusedDiffs: one change that is refused, and nothing of the diff, or of the list, is done.
func TestRefusedDiffs(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.grant("schema", alice, "SELECT")
	path := f.permissions("schema")
	me := w.user(alice)
	good := change(w.user(bob), []string{"MODIFY"}, nil)
	before := w.must(metastoreAdmin, "GET", path, nil).raw
	for _, bad := range []struct {
		body   any
		status int
		codes  []string
	}{
		{diffOf(good, change(me, []string{"CREATE_CATALOG"}, nil)), 400, []string{badValue}}, // not on a schema
		{diffOf(good, change(me, []string{"USE_CATALOG"}, nil)), 400, []string{badValue}},
		{diffOf(good, change(me, []string{"OWN"}, nil)), 400, []string{badValue}}, // no privilege at all
		{diffOf(good, change(me, []string{"FLY"}, nil)), 400, []string{badValue}},
		{diffOf(good, change(me, nil, []string{"FLY"})), 400, []string{badValue}},
		{diffOf(good, change(me, []string{""}, nil)), 400, []string{badValue}},
		{diffOf(good, change("nobody@example.com", []string{"SELECT"}, nil)), 404, []string{"PRINCIPAL_DOES_NOT_EXIST"}},
		{diffOf(good, change("nobody@example.com", nil, []string{"SELECT"})), 404, []string{"PRINCIPAL_DOES_NOT_EXIST"}},
		{diffOf(good, change("admins", []string{"SELECT"}, nil)), 404, []string{"PRINCIPAL_DOES_NOT_EXIST"}}, // of the workspace
		{diffOf(good, map[string]any{"add": []string{"SELECT"}}), 400, []string{badValue}},
		{diffOf(good, change("", []string{"SELECT"}, nil)), 400, []string{badValue}},
		{diffOf(good, map[string]any{"principal": 7, "add": []string{"SELECT"}}), 400, []string{malformed, badValue}},
		{diffOf(good, map[string]any{"principal": me, "add": "SELECT"}), 400, []string{malformed, badValue}},
		{diffOf(good, map[string]any{"principal": me, "remove": []int{1}}), 400, []string{malformed, badValue}},
		{diffOf(good, "x"), 400, []string{malformed, badValue}},
		{map[string]any{"changes": map[string]any{}}, 400, []string{malformed, badValue}},
		{map[string]any{"privilege_assignments": []any{}}, 400, []string{badValue}},
		{"", 400, []string{malformed}}, {"null", 400, []string{malformed}}, {"[]", 400, []string{malformed}}, {`{"changes":`, 400, []string{malformed}},
	} {
		w.refused(metastoreAdmin, "PATCH", path, bad.body, bad.status, bad.codes...)
		if after := w.must(metastoreAdmin, "GET", path, nil).raw; after != before {
			w.Fatalf("%s was refused, and left %s", jsonOf(bad.body), after)
		}
	}
	assign := func(principal any, privileges any) map[string]any {
		return map[string]any{"principal": principal, "privileges": privileges}
	}
	listOf := func(items ...any) map[string]any { return map[string]any{"privilege_assignments": items} }
	other := assign(w.user(bob), []string{"MODIFY"})
	for _, bad := range []struct {
		body   any
		status int
		codes  []string
	}{
		{listOf(other, assign(me, []string{"CREATE_CATALOG"})), 400, []string{badValue}},
		{listOf(other, assign(me, []string{"FLY"})), 400, []string{badValue}},
		{listOf(other, assign("nobody@example.com", []string{"SELECT"})), 404, []string{"PRINCIPAL_DOES_NOT_EXIST"}},
		{listOf(other, assign("", []string{"SELECT"})), 400, []string{badValue}},
		{listOf(other, assign(7, []string{"SELECT"})), 400, []string{malformed, badValue}},
		{listOf(other, assign(me, "SELECT")), 400, []string{malformed, badValue}},
		{map[string]any{"privilege_assignments": json.RawMessage("null")}, 400, []string{badValue}},
		{diffOf(good), 400, []string{badValue}},
		{"", 400, []string{malformed}}, {"[]", 400, []string{malformed}},
	} {
		w.refused(metastoreAdmin, "PUT", path, bad.body, bad.status, bad.codes...)
		if after := w.must(metastoreAdmin, "GET", path, nil).raw; after != before {
			w.Fatalf("%s was refused, and left %s", jsonOf(bad.body), after)
		}
	}
	for _, query := range []string{"max_results=1", "max_results=149", "max_results=-1", "max_results=x", "page_token=x"} {
		w.refused(metastoreAdmin, "GET", path+"?"+query, nil, 400, badValue)
	}
	w.refused(metastoreAdmin, "GET", path+"?principal=nobody@example.com", nil, 404, "PRINCIPAL_DOES_NOT_EXIST")
	w.must(metastoreAdmin, "GET", path+"?max_results=0", nil)
	w.must(metastoreAdmin, "GET", path+"?max_results=150", nil)
}

// TestReplacedPermissions: what a list does not name is gone, and no object is answered.
func TestReplacedPermissions(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.grant("table", alice, "SELECT")
	f.grant("table", bob, "MODIFY")
	path := f.permissions("table")
	got := w.must(metastoreAdmin, "PUT", path, map[string]any{"privilege_assignments": []any{
		map[string]any{"principal": w.user(alice), "privileges": []string{"MODIFY", "APPLY TAG"}}}})
	if len(got.json) > 0 {
		w.Errorf("a replacement answers %s", got.raw)
	}
	if got := granted(w.must(metastoreAdmin, "GET", path, nil)); len(got) != 1 || got[w.user(alice)] != "APPLY_TAG MODIFY" {
		w.Errorf("replaced by %v", got)
	}
	w.must(metastoreAdmin, "PUT", path, map[string]any{"privilege_assignments": []any{}})
	if got := granted(w.must(metastoreAdmin, "GET", path, nil)); len(got) != 0 {
		w.Errorf("nothing is left of a replacement by nothing: %v", got)
	}
}

// TestPrivilegesOfTypes: each type takes its own privileges, and no others.
func TestPrivilegesOfTypes(t *testing.T) {
	w := newWorld(t)
	w.needs(accountAdmin)
	f := w.fixture()
	for kind, takes := range map[string]struct{ yes, no string }{
		"metastore":  {"CREATE_CATALOG CREATE_EXTERNAL_LOCATION CREATE_SHARE CREATE_RECIPIENT CREATE_PROVIDER", "SELECT USE_CATALOG CREATE_SCHEMA"},
		"catalog":    {"USE_CATALOG CREATE_SCHEMA USE_SCHEMA CREATE_TABLE CREATE_FUNCTION SELECT MODIFY EXECUTE BROWSE MANAGE ALL_PRIVILEGES", "CREATE_CATALOG READ_FILES"},
		"schema":     {"USE_SCHEMA CREATE_TABLE CREATE_FUNCTION SELECT MODIFY EXECUTE MANAGE ALL_PRIVILEGES", "USE_CATALOG CREATE_SCHEMA READ_FILES"},
		"table":      {"SELECT MODIFY MANAGE ALL_PRIVILEGES", "USE_SCHEMA CREATE_TABLE EXECUTE READ_FILES"},
		"credential": {"READ_FILES WRITE_FILES CREATE_EXTERNAL_TABLE CREATE_EXTERNAL_LOCATION MANAGE ALL_PRIVILEGES", "SELECT USE_CATALOG"},
		"location":   {"READ_FILES WRITE_FILES CREATE_EXTERNAL_TABLE MANAGE ALL_PRIVILEGES", "SELECT CREATE_EXTERNAL_LOCATION"},
	} {
		for _, p := range strings.Fields(takes.yes) {
			for _, spelled := range []string{p, strings.ReplaceAll(p, "_", " ")} {
				w.must(metastoreAdmin, "PATCH", f.permissions(kind), diffOf(change(w.user(alice), []string{spelled}, nil)))
				if got := granted(w.must(metastoreAdmin, "GET", f.permissions(kind)+"?principal="+url.QueryEscape(w.user(alice)), nil)); got[w.user(alice)] != p {
					w.Errorf("%s: granted %q, holds %q", kind, spelled, got[w.user(alice)])
				}
				w.must(metastoreAdmin, "PATCH", f.permissions(kind), diffOf(change(w.user(alice), nil, []string{spelled})))
			}
		}
		for _, p := range strings.Fields(takes.no) {
			w.refused(metastoreAdmin, "PATCH", f.permissions(kind), diffOf(change(w.user(alice), []string{p}, nil)), 400, badValue)
		}
	}
}

// TestInheritedPrivileges: effective permissions say where each privilege comes from; a grant covers what is made later.
func TestInheritedPrivileges(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.grant("catalog", alice, "USE_CATALOG")
	f.grant("catalog", alice, "SELECT")
	f.grant("schema", alice, "USE_SCHEMA")
	f.grant("table", alice, "MODIFY")
	w.must(alice, "GET", f.path("table"), nil) // which the grants on its containers were made before
	path := strings.Replace(f.permissions("table"), "permissions", "effective-permissions", 1) + "?principal=" + url.QueryEscape(w.user(alice))
	for _, who := range []role{metastoreAdmin, alice} {
		got := w.must(who, "GET", path, nil)
		list, _ := got.json["privilege_assignments"].([]any)
		if len(list) != 1 {
			w.Fatalf("effective permissions: %s", got.raw)
		}
		from := make(map[string]string)
		privileges, _ := list[0].(map[string]any)["privileges"].([]any)
		for _, item := range privileges {
			p, _ := item.(map[string]any)
			from[text(p["privilege"])] = strings.TrimSpace(text(p["inherited_from_type"]) + " " + text(p["inherited_from_name"]))
		}
		want := map[string]string{"USE_CATALOG": "CATALOG " + f.name("catalog"), "SELECT": "CATALOG " + f.name("catalog"),
			"USE_SCHEMA": "SCHEMA " + f.name("schema"), "MODIFY": ""}
		if !same(from, want) {
			w.Errorf("effective privileges come from %v, want %v", from, want)
		}
	}
	if got := granted(w.must(metastoreAdmin, "GET", f.permissions("table"), nil)); got[w.user(alice)] != "MODIFY" {
		w.Errorf("grants on the table itself: %v", got)
	}
}

// TestOwnPermissions: who manages no grants reads its own, and nobody else's, not those of its groups either.
func TestOwnPermissions(t *testing.T) {
	w := newWorld(t)
	f := w.fixture()
	f.grant("table", alice, "SELECT")
	f.own("catalog", metastoreAdmin)
	f.own("schema", metastoreAdmin)
	f.own("table", metastoreAdmin)
	w.must(metastoreAdmin, "PATCH", f.permissions("table"), diffOf(change("account users", []string{"MODIFY"}, nil)))
	for _, form := range []string{"permissions", "effective-permissions"} {
		path := strings.Replace(f.permissions("table"), "permissions", form, 1)
		own := w.must(alice, "GET", path+"?principal="+url.QueryEscape(w.user(alice)), nil)
		if !strings.Contains(own.raw, "SELECT") || strings.Contains(own.raw, "MODIFY") {
			w.Errorf("alice's own: %s", own.raw)
		}
		for _, query := range []string{"", "?principal=", "?principal=" + url.QueryEscape("account users"), "?principal=" + url.QueryEscape(w.user(bob)), "?principal=nobody@example.com"} {
			w.refused(alice, "GET", path+query, nil, 403, "UNAUTHORIZED")
		}
	}
	w.refused(alice, "PATCH", f.permissions("table"), diffOf(change(w.user(alice), nil, []string{"SELECT"})), 403, "UNAUTHORIZED")
	w.refused(alice, "PUT", f.permissions("table"), map[string]any{"privilege_assignments": []any{}}, 403, "UNAUTHORIZED")
	w.refused(metastoreAdmin, "GET", "permissions/table/"+url.PathEscape(f.name("schema")+".none"), nil, 404, "TABLE_DOES_NOT_EXIST")
}
