package emulator_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ucwarden/connector/emulator"
)

func TestAuthentication(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"catalogs", "permissions/catalog/sales", "metastore_summary", "/api/2.0/preview/scim/v2/Me"} {
		w.refused("", "GET", path, "", 401, "UNAUTHENTICATED")
		w.refused("admin-toke", "GET", path, "", 401, "UNAUTHENTICATED")
	}
	req, err := http.NewRequest("GET", w.url+api+"/catalogs", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Basic "+admin)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 401 {
		t.Errorf("a token sent as basic auth: %d", resp.StatusCode)
	}
	w.refused("", "GET", "nowhere", "", 404, "ENDPOINT_NOT_FOUND")
	w.refused(admin, "PUT", "catalogs", "", 404, "ENDPOINT_NOT_FOUND")
	for _, path := range []string{"/catalogs", "permissions/table/../catalog/sales", "permissions/./catalog/sales", "permissions/catalog/.."} {
		w.refused(admin, "GET", api+"/"+path, "", 404, "ENDPOINT_NOT_FOUND")
	}
	if n := w.srv.Stats().Count("/"); n != 6 {
		t.Errorf("the trace counts %d requests that are no route, want 6", n)
	}
}

func TestWhoAmI(t *testing.T) {
	w := newWorld(t)
	for token, want := range map[string]bool{admin: true, alice: false} {
		if got := w.must(token, "GET", "userinfo/me", "").json["is_metastore_admin"]; got != want {
			t.Errorf("%s is metastore admin: %v, want %v", token, got, want)
		}
	}
	r := w.must(alice, "GET", "userinfo/my-groups", "")
	if want := `{"group_name":["account users","analysts","staff"]}` + "\n"; r.raw != want {
		t.Errorf("alice's groups: %s, want %s", r.raw, want)
	}
	me := w.must(alice, "GET", "/api/2.0/preview/scim/v2/Me", "")
	if me.json["userName"] != "alice@example.com" || !strings.Contains(me.raw, `"display":"analysts"`) {
		t.Errorf("me: %s", me.raw)
	}
}

func TestSCIM(t *testing.T) {
	w := newWorld(t, func(o *emulator.Options) { o.PageSize = 2 })
	const base = "/api/2.0/preview/scim/v2/"
	r := w.must(admin, "GET", base+"Groups?count=1&startIndex=2", "")
	if r.json["totalResults"] != 4.0 || r.json["itemsPerPage"] != 1.0 || !strings.Contains(r.raw, `"displayName":"analysts"`) {
		t.Errorf("the second group: %s", r.raw)
	}
	if past := w.must(admin, "GET", base+"Groups?startIndex=9", ""); past.json["itemsPerPage"] != 0.0 {
		t.Errorf("past the end: %s", past.raw)
	}
	r = w.must(admin, "GET", base+"Groups?filter="+url.QueryEscape(`displayName eq "staff"`), "")
	group := r.json["Resources"].([]any)[0].(map[string]any)
	if member := group["members"].([]any)[0].(map[string]any); r.json["totalResults"] != 1.0 || member["display"] != "analysts" {
		t.Errorf("staff: %s", r.raw)
	}
	if one := w.must(admin, "GET", "/api/2.0/accounts/a1/scim/v2/Groups/"+group["id"].(string), ""); one.json["displayName"] != "staff" {
		t.Errorf("by id: %s", one.raw)
	}
	w.refused(admin, "GET", base+"Users/"+group["id"].(string), "", 404, "RESOURCE_DOES_NOT_EXIST")
	w.refused(admin, "GET", base+"Users?filter=userName", "", 400, "INVALID_PARAMETER_VALUE")
	w.refused(admin, "GET", base+"Users?count=x", "", 400, "INVALID_PARAMETER_VALUE")
}

func TestPrincipalsOverHTTP(t *testing.T) {
	w := newWorld(t)
	w.refused(admin, "PATCH", orders, `{"changes":[{"principal":"temps","add":["SELECT"]}]}`, 404, "PRINCIPAL_DOES_NOT_EXIST")
	w.must("", "POST", "/_emulator/principals", `{"name":"temps","members":["bob@example.com"]}`)
	w.grant("table", "sales.emea.orders", "temps", "MANAGE")
	w.must(bob, "GET", orders, "")
	w.must("", "DELETE", "/_emulator/principals?name=temps", "")
	w.refused(bob, "GET", orders, "", 403, "UNAUTHORIZED")
	w.refused("", "DELETE", "/_emulator/principals?name=temps", "", 404, "PRINCIPAL_DOES_NOT_EXIST")
	w.refused("", "DELETE", "/_emulator/principals?name=account%20users", "", 404, "PRINCIPAL_DOES_NOT_EXIST")
	w.refused("", "POST", "/_emulator/principals", `{"name":"x","kind":"robot"}`, 400, "INVALID_PARAMETER_VALUE")
}

func TestOAuthMachineToMachine(t *testing.T) {
	const id = "0a1b2c3d-0000-4000-8000-123456789abc"
	w := newWorld(t, func(o *emulator.Options) { o.Clients = map[string]string{id: "s3cret"} })
	host := w.must("", "GET", "/.well-known/databricks-config", "")
	if host.json["oidc_endpoint"] != w.url+"/oidc" || host.json["workspace_id"] != "1" {
		t.Errorf("host metadata: %s", host.raw)
	}
	meta := w.must("", "GET", "/oidc/.well-known/oauth-authorization-server", "")
	endpoint := strings.TrimPrefix(meta.json["token_endpoint"].(string), w.url)
	form := func(secret string) string {
		return url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}.Encode()
	}
	if r := w.do("", "POST", endpoint, form("guess")); r.status != 401 || r.json["error"] != "invalid_client" {
		t.Errorf("a wrong secret: %d %s", r.status, r.raw)
	}
	if r := w.do("", "POST", endpoint, "grant_type=password"); r.status != 400 || r.json["error"] != "unsupported_grant_type" {
		t.Errorf("a wrong grant type: %d %s", r.status, r.raw)
	}
	token := w.must("", "POST", endpoint, form("s3cret")).json["access_token"].(string)
	if me := w.must(token, "GET", "/api/2.0/preview/scim/v2/Me", ""); me.json["userName"] != id {
		t.Errorf("the client is %s", me.raw)
	}
	w.grant("catalog", "sales", id, "MANAGE") // a client is a principal
	w.must(token, "GET", "permissions/catalog/sales", "")
}

func TestOptionsAreChecked(t *testing.T) {
	tokens := map[string]string{"t": "a@example.com"}
	for name, opts := range map[string]emulator.Options{
		"nobody may call":    {},
		"negative page size": {Tokens: tokens, PageSize: -1},
		"empty token":        {Tokens: map[string]string{"": "a"}},
		"idle fault":         {Tokens: tokens, Faults: []emulator.Fault{{Method: "PATCH"}}},
		"empty secret":       {Clients: map[string]string{"id": ""}},
		"illegal seed":       {Tokens: tokens, Seed: &emulator.Seed{Catalogs: []emulator.SeedCatalog{{SeedObject: emulator.SeedObject{Name: "a b"}}}}},
	} {
		if _, err := emulator.New(opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestStartAndShutdown(t *testing.T) {
	srv, err := emulator.New(emulator.Options{Tokens: map[string]string{"t": "a@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	running, err := srv.Start("")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t, srv, running.URL}
	w.must("t", "GET", "metastore_summary", "")
	if _, err := srv.Start(strings.TrimPrefix(running.URL, "http://")); err == nil || !strings.Contains(err.Error(), running.URL[len("http://"):]) {
		t.Errorf("a taken address: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := running.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if _, err := w.try("t", "GET", "metastore_summary", ""); err == nil {
		t.Error("still answers after the shutdown")
	}
}
