package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"ucwarden/connector/emulator"
	"ucwarden/ondemand"
)

// What a daemon answers is what the document that it serves says, also where a field has one of few values.
func TestAnswersOfADaemonAreAsDocumented(t *testing.T) {
	t.Parallel()
	seed := oneSchema("t1", "t2")
	const robot = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
	seed.Users, seed.ServicePrincipals = []string{"ana@example.com"}, []string{robot}
	seed.Catalogs[0].Schemas[0].Tables[0].Grants = emulator.SeedGrants{"analysts": {"MODIFY"}}
	w := newWorld(t, seed, `[`+policyOf(1, "t1", `"users": ["ana@example.com"]`)+`,`+policyOf(2, "t1", `"users": ["`+robot+`"]`)+`,`+policyOf(3, "t1", `"groups": ["analysts"]`)+`]`)
	daemon := w.serveAt()
	api, url := daemon.Client, daemon.url
	full, err := api.Submit(t.Context(), ondemand.Task{ID: "full", Type: ondemand.FullSync})
	if err != nil {
		t.Fatal(err)
	}
	w.done(api, full.ID, ondemand.Success)
	token, err := os.ReadFile(w.tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(bodyOf(t, url+"/openapi.json", ""))
	if err != nil {
		t.Fatal(err)
	}
	kinds := make(map[string]bool)
	for path, route := range map[string]string{
		"/api/v1/tasks": "", "/api/v1/tasks/full": "/api/v1/tasks/{id}", "/api/v1/tasks/full/plan": "/api/v1/tasks/{id}/plan", "/api/v1/plan": "",
		"/api/v1/audit": "", "/healthz": "", "/readyz": "",
	} {
		if route == "" {
			route = path
		}
		var value any
		body := bodyOf(t, url+path, "Bearer "+strings.TrimSpace(string(token)))
		if err := json.Unmarshal(body, &value); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		schema := doc.Paths.Find(route).Get.Responses.Status(http.StatusOK).Value.Content.Get("application/json").Schema.Value
		if err := schema.VisitJSON(value, openapi3.EnableJSONSchema2020(), openapi3.MultiErrors()); err != nil {
			t.Errorf("%s: %v\n%s", path, err, body)
		}
		if path != "/api/v1/audit" {
			continue
		}
		items, _ := value.(map[string]any)["items"].([]any)
		for _, item := range items {
			kind, _ := item.(map[string]any)["principalKind"].(string)
			kinds[kind] = true
		}
	}
	for _, kind := range []string{"user", "group", "service_principal"} {
		if !kinds[kind] {
			t.Errorf("the trail has no change for a %s, but for %v", kind, kinds)
		}
	}
}

// bodyOf returns the body of an answer of status 200.
func bodyOf(t *testing.T, address, authorization string) []byte {
	t.Helper()
	resp, body := getAnswer(t, address, authorization)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", address, resp.Status, body)
	}
	return body
}

// policyOf returns a policy by which those named may read a table of c.s.
func policyOf(id int, table, who string) string {
	return strings.NewReplacer("ID", string(rune('0'+id)), "TABLE", table, "WHO", who).Replace(
		`{"id": ID, "name": "policy ID", "resources": {"catalog": {"values": ["c"]}, "schema": {"values": ["s"]}, "table": {"values": ["TABLE"]}},
"policyItems": [{WHO, "accesses": [{"type": "select"}]}]}`)
}
