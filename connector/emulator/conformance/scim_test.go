package conformance_test

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const (
	scimWorkspace = "/api/2.0/preview/scim/v2/"
	scimAccount   = "/api/2.0/accounts/acme/scim/v2/"
)

// newPrincipals needs an emulator: a test must not leave principals in an account.
func newPrincipals(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	if w.emulator == nil {
		t.Skip("skipped: the principals of an account are not for tests")
	}
	return w
}

func members(ids ...string) []any {
	list := []any{}
	for _, id := range ids {
		list = append(list, map[string]any{"value": id})
	}
	return list
}

func scimPatch(operations ...any) map[string]any {
	return map[string]any{"schemas": []any{"urn:ietf:params:scim:api:messages:2.0:PatchOp"}, "Operations": operations}
}

func scimOp(op, path string, value any) map[string]any {
	o := map[string]any{"op": op}
	if path != "" {
		o["path"] = path
	}
	if value != nil {
		o["value"] = value
	}
	return o
}

// memberNames returns the members of a group as its GET shows them.
func (w *world) memberNames(path string) []string {
	w.Helper()
	names := []string{}
	list, _ := w.must(alice, "GET", path, nil).json["members"].([]any)
	for _, m := range list {
		names = append(names, fmt.Sprint(m.(map[string]any)["display"]))
	}
	slices.Sort(names)
	return names
}

// TestPrincipalAuthorization: principals of the workspace are for its admins to change, those of the account for the account's;
// everybody may read them.
func TestPrincipalAuthorization(t *testing.T) {
	for base, admin := range map[string]role{scimWorkspace: workspaceAdmin, scimAccount: accountAdmin} {
		for path, body := range map[string]map[string]any{"Users": {"userName": "new@example.com"}, "Groups": {"displayName": "new"}, "ServicePrincipals": {"displayName": "new"}} {
			w := newPrincipals(t)
			one := base + path + "/" + w.must(admin, "POST", base+path, body).str("id")
			before := w.must(alice, "GET", one, nil).raw
			for _, r := range []role{alice, metastoreAdmin, accountAdmin, workspaceAdmin} {
				if r == admin {
					continue
				}
				for _, call := range []request{{"POST", base + path, map[string]any{"userName": "b@example.com", "displayName": "b"}}, {"PUT", one, body},
					{"PATCH", one, scimPatch(scimOp("replace", "externalId", "x"))}, {"DELETE", one, nil}} {
					w.refused(r, call.method, call.path, call.body, 403, forbidden)
				}
			}
			if after := w.must(alice, "GET", one, nil).raw; after != before {
				t.Errorf("refused, and changed from %s to %s", before, after)
			}
			w.must(alice, "GET", base+path, nil)
			w.must(admin, "PUT", one, body)
			w.must(admin, "PATCH", one, scimPatch(scimOp("replace", "externalId", "x")))
			w.must(admin, "DELETE", one, nil)
			w.refused(admin, "GET", one, nil, 404)
			w.must(alice, "GET", scimWorkspace+"Me", nil)
		}
	}
}

func TestUsersAndServicePrincipals(t *testing.T) {
	w := newPrincipals(t)
	user := w.must(accountAdmin, "POST", scimAccount+"Users", map[string]any{"userName": "Carol@Example.com", "displayName": "Carol", "externalId": "e1"})
	for field, want := range map[string]any{"userName": "Carol@Example.com", "displayName": "Carol", "externalId": "e1", "active": true} {
		if !same(user.json[field], want) {
			t.Errorf("%s is %v, want %v", field, user.json[field], want)
		}
	}
	path := scimAccount + "Users/" + user.str("id")
	w.refused(accountAdmin, "POST", scimAccount+"Users", map[string]any{"userName": "carol@example.com"}, 409)
	for _, bad := range []map[string]any{{}, {"userName": "carol"}, {"userName": 7}} {
		w.refused(accountAdmin, "POST", scimAccount+"Users", bad, 400)
	}
	got := w.must(accountAdmin, "PATCH", path, scimPatch(scimOp("replace", "displayName", "C."), scimOp("replace", "", map[string]any{"active": false}), scimOp("add", "entitlements", []any{})))
	if got.str("displayName") != "C." || got.json["active"] != false || got.str("externalId") != "e1" {
		t.Errorf("patched to %s", got.raw)
	}
	if got := w.must(accountAdmin, "PUT", path, map[string]any{"userName": "carol@example.com", "displayName": "Carol"}); got.json["active"] != true || got.json["externalId"] != nil {
		t.Errorf("replaced with %s", got.raw)
	}
	w.refused(accountAdmin, "PUT", path, map[string]any{"userName": "dora@example.com"}, 400, badValue)
	for _, bad := range []map[string]any{{}, scimPatch(scimOp("swap", "active", true)), scimPatch(scimOp("replace", "userName", "x@y")), scimPatch(scimOp("replace", "active", "no")), scimPatch(scimOp("remove", "", nil)),
		scimPatch(scimOp("replace", "displayName", "changed"), scimOp("replace", "shoe", 1))} {
		w.refused(accountAdmin, "PATCH", path, bad, 400, badValue)
	}
	if got := w.must(accountAdmin, "GET", path, nil); got.str("displayName") != "Carol" {
		t.Errorf("refused, and changed to %s", got.raw)
	}
	sp := w.must(accountAdmin, "POST", scimAccount+"ServicePrincipals", map[string]any{"displayName": "robot"})
	if id := sp.str("applicationId"); len(id) != 36 || sp.str("displayName") != "robot" {
		t.Errorf("service principal %s", sp.raw)
	}

	// Who is not active gets no answer.
	list := w.must(accountAdmin, "GET", scimWorkspace+"Users?filter="+url.QueryEscape(`userName eq "ALICE@example.com"`), nil)
	id := list.json["Resources"].([]any)[0].(map[string]any)["id"]
	w.must(accountAdmin, "PATCH", fmt.Sprint(scimAccount, "Users/", id), scimPatch(scimOp("replace", "active", false)))
	w.refused(alice, "GET", "catalogs", nil, 403)
	w.must(accountAdmin, "PATCH", fmt.Sprint(scimAccount, "Users/", id), scimPatch(scimOp("replace", "active", true)))
	w.must(alice, "GET", "catalogs", nil)
}

// TestGroups changes the members of groups, which changes what they may do at once.
func TestGroups(t *testing.T) {
	w := newPrincipals(t)
	f := w.fixture()
	idOf := func(path, name string) string {
		t.Helper()
		field := map[string]string{"Users": "userName", "Groups": "displayName"}[path]
		list, _ := w.must(alice, "GET", scimWorkspace+path+"?filter="+url.QueryEscape(fmt.Sprintf("%s eq %q", field, name)), nil).json["Resources"].([]any)
		if len(list) != 1 {
			t.Fatalf("%d of %s", len(list), name)
		}
		return list[0].(map[string]any)["id"].(string)
	}
	aliceID, bobID := idOf("Users", w.user(alice)), idOf("Users", w.user(bob))
	inner := w.must(accountAdmin, "POST", scimAccount+"Groups", map[string]any{"displayName": "Inner", "members": members(aliceID)})
	outer := w.must(accountAdmin, "POST", scimAccount+"Groups", map[string]any{"displayName": "outer", "members": members(inner.str("id"), bobID)})
	innerPath, outerPath := scimAccount+"Groups/"+inner.str("id"), scimAccount+"Groups/"+outer.str("id")
	if meta, _ := inner.json["meta"].(map[string]any); meta["resourceType"] != "Group" {
		t.Errorf("a group of the account: %s", inner.raw)
	}
	if meta, _ := w.must(alice, "GET", scimWorkspace+"Groups/"+idOf("Groups", "admins"), nil).json["meta"].(map[string]any); meta["resourceType"] != "WorkspaceGroup" {
		t.Errorf("a group of the workspace: %v", meta)
	}
	w.must(metastoreAdmin, "PATCH", f.permissions("catalog"), diffOf(change("outer", []string{"USE_CATALOG"}, nil)))
	sees := func(step string, want bool) {
		t.Helper()
		if got := w.do(alice, "GET", f.path("catalog"), nil).status == 200; got != want {
			t.Errorf("%s: alice sees the catalog: %v", step, got)
		}
	}
	sees("a member of a member", true)
	w.must(accountAdmin, "PATCH", innerPath, scimPatch(scimOp("remove", `members[value eq "`+aliceID+`"]`, nil)))
	sees("removed", false)
	w.must(accountAdmin, "PATCH", innerPath, scimPatch(scimOp("add", "members", members(aliceID, bobID)), scimOp("add", "", map[string]any{"members": members(bobID)})))
	sees("added again", true)
	if got := w.memberNames(innerPath); !same(got, []string{w.user(alice), w.user(bob)}) {
		t.Errorf("members %q", got)
	}
	w.must(accountAdmin, "PATCH", innerPath, scimPatch(scimOp("replace", "members", members(bobID))))
	sees("replaced", false)
	// Known of the service: the value does not limit what is removed.
	w.must(accountAdmin, "PATCH", innerPath, scimPatch(scimOp("add", "members", members(aliceID))))
	w.must(accountAdmin, "PATCH", innerPath, scimPatch(scimOp("remove", "members", members(bobID))))
	if got := w.memberNames(innerPath); len(got) != 0 {
		t.Errorf("members after a remove with a value: %q", got)
	}
	w.must(accountAdmin, "PUT", innerPath, map[string]any{"displayName": "Inner", "members": members(aliceID)})
	sees("put", true)

	// A group keeps under a new name what it holds and owns, and its place in others.
	f.own("catalog", metastoreAdmin)
	w.must(metastoreAdmin, "PATCH", f.path("catalog"), map[string]any{"owner": "Inner"})
	w.must(metastoreAdmin, "PATCH", f.permissions("catalog"), diffOf(change("Inner", []string{"BROWSE"}, nil)))
	w.must(accountAdmin, "PATCH", innerPath, scimPatch(scimOp("replace", "displayName", "Inmost")))
	if got := w.must(metastoreAdmin, "GET", f.path("catalog"), nil).str("owner"); got != "Inmost" {
		t.Errorf("the owner is %q", got)
	}
	if got := w.must(metastoreAdmin, "GET", f.permissions("catalog"), nil); !strings.Contains(got.raw, `"Inmost"`) || strings.Contains(got.raw, `"Inner"`) {
		t.Errorf("grants %s", got.raw)
	}
	if got := w.memberNames(outerPath); !same(got, []string{"Inmost", w.user(bob)}) {
		t.Errorf("members of the outer group %q", got)
	}
	sees("renamed", true)
	w.must(alice, "PATCH", f.path("catalog"), map[string]any{"comment": "by a member of its owner"})
	w.refused(metastoreAdmin, "PATCH", f.permissions("schema"), diffOf(change("Inner", []string{"SELECT"}, nil)), 404, "PRINCIPAL_DOES_NOT_EXIST")

	for _, bad := range []any{scimPatch(scimOp("add", "members", members("99999"))), scimPatch(scimOp("add", "members", members("x")))} {
		w.refused(accountAdmin, "PATCH", innerPath, bad, 404)
	}
	for _, bad := range []any{scimPatch(scimOp("add", "members", "x")), scimPatch(scimOp("remove", `members[display eq "x"]`, nil)), scimPatch(scimOp("replace", "displayName", " "))} {
		w.refused(accountAdmin, "PATCH", innerPath, bad, 400, badValue)
	}
	w.refused(accountAdmin, "PATCH", innerPath, scimPatch(scimOp("replace", "displayName", "outer")), 409)
	w.refused(accountAdmin, "POST", scimAccount+"Groups", map[string]any{"displayName": "outer"}, 409)
	w.refused(accountAdmin, "POST", scimAccount+"Groups", map[string]any{"displayName": "x", "members": members("99999")}, 404)
	w.must(accountAdmin, "DELETE", innerPath, nil)
	if got := w.memberNames(outerPath); !same(got, []string{w.user(bob)}) {
		t.Errorf("members of the outer group, after the inner was deleted: %q", got)
	}
	if got := w.must(metastoreAdmin, "GET", f.permissions("catalog"), nil); !strings.Contains(got.raw, `"principal_id":`) {
		t.Errorf("the grants of a deleted group stay, with its id: %s", got.raw)
	}
}

func TestFilters(t *testing.T) {
	w := newPrincipals(t)
	for filter, want := range map[string][]string{
		`displayName eq "STAFF"`: {"staff"}, `displayName sw "st"`: {"staff"}, `displayName co "ta"`: {"metastore-admins", "staff"}, `displayName ne "staff"`: {"admins", "analysts", "metastore-admins"},
		`displayName eq "staff" or displayName eq "admins"`: {"admins", "staff"}, `displayName co "a" and (displayName sw "s" or displayName sw "an")`: {"analysts", "staff"},
		`displayName co "a" and displayName sw "s" or displayName eq "admins"`: {"admins", "staff"}, `displayName eq "a\"b"`: {}, `externalId eq ""`: {"admins", "analysts", "metastore-admins", "staff"},
	} {
		names := []string{}
		list, _ := w.must(alice, "GET", scimWorkspace+"Groups?filter="+url.QueryEscape(filter), nil).json["Resources"].([]any)
		for _, group := range list {
			names = append(names, group.(map[string]any)["displayName"].(string))
		}
		slices.Sort(names)
		if !same(names, want) {
			t.Errorf("%s: %q, want %q", filter, names, want)
		}
	}
	for _, bad := range []string{`displayName`, `displayName eq`, `displayName is "x"`, `shoe eq "x"`, `displayName eq "x" and`, `(displayName eq "x"`, `displayName eq "x")`, `displayName eq "x" displayName eq "y"`, `displayName eq "x`} {
		w.refused(alice, "GET", scimWorkspace+"Groups?filter="+url.QueryEscape(bad), nil, 400, badValue)
	}
}

// TestSCIMLists: lists show the attributes that are asked for, in the order that is asked for, and those of the account no
// members of groups and no groups of a workspace.
func TestSCIMLists(t *testing.T) {
	w := newPrincipals(t)
	list := func(path string) []any {
		t.Helper()
		resources, _ := w.must(alice, "GET", path, nil).json["Resources"].([]any)
		if len(resources) == 0 {
			t.Fatalf("%s lists nothing", path)
		}
		return resources
	}
	keys := func(resource any) string {
		return strings.Join(slices.Sorted(maps.Keys(resource.(map[string]any))), " ")
	}
	if got := keys(list(scimWorkspace + "Users?attributes=userName,groups.display")[0]); strings.Trim(strings.Replace(got, "groups ", "", 1), " ") != "id schemas userName" {
		t.Errorf("with attributes: %s", got)
	}
	if got := keys(list(scimWorkspace + "Users?excludedAttributes=emails,ID,active")[0]); strings.Contains(got, "emails") || strings.Contains(got, "active") ||
		!strings.Contains(got, "id ") || !strings.Contains(got, "userName") {
		t.Errorf("without attributes: %s", got)
	}
	names := func(path string) (names []string) {
		for _, r := range list(path) {
			names = append(names, fmt.Sprint(r.(map[string]any)["displayName"]))
		}
		return names
	}
	up, down := names(scimWorkspace+"Groups?sortBy=displayName"), names(scimWorkspace+"Groups?sortBy=displayName&sortOrder=descending")
	slices.Reverse(down)
	if !slices.IsSorted(up) || !slices.Equal(up, down) {
		t.Errorf("sorted %v, descending from the end %v", up, down)
	}
	w.refused(alice, "GET", scimWorkspace+"Groups?sortBy=age", nil, 400)
	w.refused(alice, "GET", scimWorkspace+"Groups?sortOrder=up", nil, 400)

	local := ""
	for _, r := range list(scimWorkspace + "Groups") {
		group := r.(map[string]any)
		id := fmt.Sprint(group["id"])
		if group["meta"].(map[string]any)["resourceType"] == "WorkspaceGroup" {
			local = id
			continue
		}
		one := w.must(alice, "GET", scimAccount+"Groups/"+id, nil)
		if !same(one.json["members"], w.must(alice, "GET", scimWorkspace+"Groups/"+id, nil).json["members"]) {
			t.Errorf("the members of group %s differ: %s", id, one.raw)
		}
	}
	if local == "" {
		t.Fatal("the workspace has no group of its own")
	}
	w.refused(alice, "GET", scimAccount+"Groups/"+local, nil, 404)
	for _, r := range list(scimAccount + "Groups") {
		if group := r.(map[string]any); group["id"] == local || group["members"] != nil {
			t.Errorf("the account lists %v", group)
		}
	}
}
