package emulator_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"ucwarden/connector/emulator"
)

// Its rules must not come from the code that they are there to test.
func TestImportsNothingOfTheProduct(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Deps "\n"}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(dep, "ucwarden/") && !strings.HasPrefix(dep, "ucwarden/connector/emulator") {
			t.Errorf("imports %s", dep)
		}
	}
}

func TestRevokingAllPrivileges(t *testing.T) {
	for _, test := range []struct {
		name, typ, object string
		held              []string
		change            string
		want              []string
	}{
		{"clears the others", "table", "sales.emea.orders", []string{"ALL_PRIVILEGES", "SELECT", "MODIFY"}, `"remove":["ALL_PRIVILEGES"]`, nil},
		{"clears them without being held", "table", "sales.emea.orders", []string{"SELECT", "MODIFY"}, `"remove":["ALL PRIVILEGES"]`, nil},
		{"leaves what it does not confer", "catalog", "sales", []string{"ALL_PRIVILEGES", "USE_CATALOG", "MANAGE", "READ_METADATA", "EXTERNAL_USE_SCHEMA"},
			`"remove":["ALL_PRIVILEGES"]`, []string{"EXTERNAL_USE_SCHEMA", "MANAGE", "READ_METADATA"}},
		{"leaves EXTERNAL_USE_LOCATION", "external_location", "loc", []string{"ALL_PRIVILEGES", "READ_FILES", "EXTERNAL_USE_LOCATION"},
			`"remove":["ALL_PRIVILEGES"]`, []string{"EXTERNAL_USE_LOCATION"}},
		{"clears before it adds", "table", "sales.emea.orders", []string{"ALL_PRIVILEGES", "SELECT", "MODIFY"},
			`"add":["SELECT"],"remove":["ALL_PRIVILEGES"]`, []string{"SELECT"}},
		{"takes by name what it leaves", "catalog", "sales", []string{"ALL_PRIVILEGES", "MANAGE"}, `"remove":["ALL_PRIVILEGES","MANAGE"]`, nil},
		{"is not done by revoking another", "table", "sales.emea.orders", []string{"ALL_PRIVILEGES", "SELECT"}, `"remove":["SELECT"]`, []string{"ALL_PRIVILEGES"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.grant(test.typ, test.object, "analysts", test.held...)
			w.grant(test.typ, test.object, "staff", "ALL_PRIVILEGES")
			path := "permissions/" + test.typ + "/" + test.object
			answer := w.must(admin, "PATCH", path, `{"changes":[{"principal":"analysts",`+test.change+`}]}`)
			want := []string{"staff ALL_PRIVILEGES"}
			for _, p := range test.want {
				want = append(want, "analysts "+p)
			}
			slices.Sort(want)
			equal(t, "answer", lines(answer), want)
			equal(t, "stored", w.grants(test.typ, test.object), want)
		})
	}
}

// Every privilege of the client library and every newer one of the service is known, and accepted where the service does.
func TestPrivilegesNewAndOld(t *testing.T) {
	w := newWorld(t)
	for object, privileges := range map[string][]string{
		"metastore/11111111-2222-4333-8444-555555555555": {"READ_METADATA", "CREATE_CLEAN_ROOM", "CREATE_EXTERNAL_METADATA", "USE_MARKETPLACE_ASSETS"},
		"catalog/sales":             {"READ_METADATA", "USAGE", "CREATE", "CREATE_VIEW", "READ_PRIVATE_FILES", "WRITE_PRIVATE_FILES", "READ_SECRET", "CREATE_FEATURE"},
		"schema/sales.emea":         {"READ_METADATA", "CREATE_VIEW", "CREATE_MODEL_VERSION", "INSERT", "CREATE_SECRET", "READ_FEATURE", "CREATE_SERVICE"},
		"table/sales.emea.orders":   {"READ_METADATA", "INSERT", "UPDATE", "DELETE", "READ_PRIVATE_FILES"},
		"volume/sales.emea.landing": {"READ_METADATA"},
		"function/sales.emea.churn": {"CREATE_MODEL_VERSION"},
		"external_location/loc":     {"EXTERNAL_USE_LOCATION", "BROWSE"},
		"credential/svc":            {"CREATE_CONNECTION"},
		"storage_credential/cred":   {"WRITE_FILES"},
		"connection/pg":             {"CREATE_FOREIGN_CATALOG"},
	} {
		typ, name, _ := strings.Cut(object, "/")
		for _, p := range privileges {
			w.grant(typ, name, "analysts", p)
		}
		slices.Sort(privileges)
		var want []string
		for _, p := range privileges {
			want = append(want, "analysts "+p)
		}
		equal(t, object, w.grants(typ, name), want)
	}
	for path, p := range map[string]string{
		"table/sales.emea.orders": "EXTERNAL_USE_LOCATION", "schema/sales.emea": "EXECUTE_CLEAN_ROOM_TASK", "catalog/sales": "MODIFY_CLEAN_ROOM",
		"external_location/loc": "EXTERNAL_USE_SCHEMA", "table/sales.emea.orders_v": "INSERT",
	} {
		r := w.do(admin, "PATCH", "permissions/"+path, `{"changes":[{"principal":"analysts","add":["`+p+`"]}]}`)
		if message := fmt.Sprint(r.json["message"]); r.status != 400 || !strings.Contains(message, "not applicable") {
			t.Errorf("%s on %s: %d %s", p, path, r.status, r.raw)
		}
	}
}

func TestForeignTablesTakeNoModify(t *testing.T) {
	w := newWorld(t)
	w.must(admin, "POST", "tables", `{"catalog_name":"sales","schema_name":"emea","name":"ext_pg","table_type":"FOREIGN","columns":[]}`)
	w.grant("table", "sales.emea.ext_pg", "analysts", "SELECT")
	w.refused(admin, "PATCH", "permissions/table/sales.emea.ext_pg", `{"changes":[{"principal":"analysts","add":["MODIFY"]}]}`, 400, "INVALID_PARAMETER_VALUE")
}

// Users and service principals are known in any case of their names, and answered as the directory spells them.
func TestUsersAreAnsweredAsTheDirectorySpellsThem(t *testing.T) {
	w := newWorld(t)
	const service = "3f9d2c1e-0000-4000-8000-1A2B3C4D5E6F"
	for name, kind := range map[string]emulator.PrincipalKind{"Ana.Lopez@Example.com": emulator.User, service: emulator.ServicePrincipal} {
		if err := w.srv.AddPrincipal(kind, name); err != nil {
			t.Fatal(err)
		}
	}
	const path = "permissions/table/sales.emea.orders"
	answer := w.must(admin, "PATCH", path, `{"changes":[{"principal":"ana.lopez@example.COM","add":["SELECT"]},{"principal":"`+strings.ToLower(service)+`","add":["MODIFY"]}]}`)
	want := []string{service + " MODIFY", "Ana.Lopez@Example.com SELECT"}
	equal(t, "answer", lines(answer), want)
	equal(t, "of one", lines(w.must(admin, "GET", path+"?principal=ANA.LOPEZ@example.com", "")), want[1:])
	w.must(admin, "PATCH", path, `{"changes":[{"principal":"ANA.LOPEZ@EXAMPLE.COM","remove":["SELECT"]}]}`)
	equal(t, "revoked", w.grants("table", "sales.emea.orders"), want[:1])
	if err := w.srv.AddPrincipal(emulator.User, "ana.lopez@example.com"); err != nil {
		t.Fatal(err)
	}
	if users, _ := w.names(admin, "/api/2.0/preview/scim/v2/Users", "Resources", "userName"); len(users) != 6 {
		t.Errorf("one user was added twice: %q", users)
	}
	if owner := w.must(admin, "PATCH", "tables/sales.emea.orders", `{"owner":"ana.lopez@example.com"}`).json["owner"]; owner != "Ana.Lopez@Example.com" {
		t.Errorf("owner %v", owner)
	}
}

// A seed that declares nobody has those who hold something in it; others do not exist, unless everybody does.
func TestSeedWithoutDirectory(t *testing.T) {
	for auto, want := range map[bool]int{false: 404, true: 200} {
		seed, err := emulator.ParseSeed([]byte("catalogs: [{name: a, grants: {readers: [USE_CATALOG]}}]"))
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, func(o *emulator.Options) { o.Seed, o.AutoPrincipals = seed, auto })
		w.must(admin, "PATCH", "permissions/catalog/a", `{"changes":[{"principal":"readers","add":["BROWSE"]},{"principal":"bob@example.com","add":["BROWSE"]}]}`)
		if r := w.do(admin, "PATCH", "permissions/catalog/a", `{"changes":[{"principal":"writers","add":["BROWSE"]}]}`); r.status != want {
			t.Errorf("auto %v: %d %s", auto, r.status, r.raw)
		}
	}
}

func TestAllPrivilegesReportedExpanded(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.ExpandAllPrivileges = true })
	answer := w.must(admin, "PATCH", "permissions/table/sales.emea.orders", `{"changes":[{"principal":"analysts","add":["ALL_PRIVILEGES","MANAGE"]},{"principal":"staff","add":["SELECT"]}]}`)
	want := []string{"analysts MANAGE", "analysts MODIFY", "analysts SELECT", "staff SELECT"}
	equal(t, "answer", lines(answer), want)
	equal(t, "read", w.grants("table", "sales.emea.orders"), want)
	w.grant("table", "sales.emea.orders_v", "analysts", "ALL_PRIVILEGES")
	equal(t, "a view", w.grants("table", "sales.emea.orders_v"), []string{"analysts SELECT"})
	if !slices.Contains(w.srv.Grants(), emulator.Grant{Type: "TABLE", Name: "sales.emea.orders", Principal: "analysts", Privilege: "ALL_PRIVILEGES"}) {
		t.Error("the grant itself was written out")
	}
	w.must(admin, "PATCH", "permissions/table/sales.emea.orders", `{"changes":[{"principal":"analysts","remove":["ALL_PRIVILEGES"]}]}`)
	equal(t, "revoked", w.grants("table", "sales.emea.orders"), []string{"analysts MANAGE", "staff SELECT"})
}

// MANAGE on a catalog lets its holder manage the catalog and what is inside, and look at nothing else.
func TestManageAlone(t *testing.T) {
	w := newWorld(t)
	w.grant("catalog", "sales", "bob@example.com", "MANAGE")
	for _, path := range []string{"permissions/catalog/sales", "permissions/schema/sales.emea", "permissions/table/sales.emea.orders",
		"schemas?catalog_name=sales", "table-summaries?catalog_name=sales", "metastore_summary"} {
		w.must(bob, "GET", path, "")
	}
	w.must(bob, "PATCH", "permissions/table/sales.emea.orders", `{"changes":[{"principal":"analysts","add":["SELECT"]}]}`)
	for _, path := range []string{"metastore/11111111-2222-4333-8444-555555555555", "catalog/hr", "external_location/loc", "storage_credential/cred", "connection/pg"} {
		w.refused(bob, "GET", "permissions/"+path, "", 403, "UNAUTHORIZED")
		w.refused(bob, "PATCH", "permissions/"+path, `{"changes":[]}`, 403, "UNAUTHORIZED")
	}
	w.refused(bob, "GET", "schemas?catalog_name=hr", "", 403, "PERMISSION_DENIED")
	for list, key := range map[string]string{"external-locations": "external_locations", "storage-credentials": "storage_credentials", "connections": "connections"} {
		if found, _ := w.names(bob, list, key, "name"); len(found) > 0 {
			t.Errorf("%s shows %q", list, found)
		}
	}
}

func TestConflictFault(t *testing.T) {
	w := newWorld(t)
	if _, err := w.srv.AddFaults(emulator.Fault{Method: "PATCH", Securable: "table:sales.*", Status: 409, Count: 1},
		emulator.Fault{Method: "PATCH", Securable: "table:sales.*", Status: 409, Skip: 1, Count: 1, After: true}); err != nil {
		t.Fatal(err)
	}
	const path, change = "permissions/table/sales.emea.orders", `{"changes":[{"principal":"analysts","add":["SELECT"]}]}`
	w.refused(admin, "PATCH", path, change, 409, "RESOURCE_CONFLICT")
	equal(t, "refused", w.grants("table", "sales.emea.orders"), []string{})
	w.refused(admin, "PATCH", path, change, 409, "RESOURCE_CONFLICT")
	equal(t, "refused after the effect", w.grants("table", "sales.emea.orders"), []string{"analysts SELECT"})
	w.must(admin, "PATCH", path, change)
}

// HEAD answers as GET without a body, and parameters that a call does not have are ignored, as the API ignores them.
func TestHeadAndUnknownParameters(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/catalogs", "/permissions/table/sales.emea.orders", "/metastore_summary"} {
		req, err := http.NewRequest(http.MethodHead, w.url+api+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+admin)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("HEAD %s: %s", path, resp.Status)
		}
	}
	if got, want := w.must(admin, "GET", "catalogs?include_browse=true&no_such=1", "").raw, w.must(admin, "GET", "catalogs", "").raw; got != want {
		t.Errorf("with unknown parameters: %s, want %s", got, want)
	}
}
