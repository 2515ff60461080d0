package apiserver_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"ucwarden/apiserver"
	"ucwarden/ondemand"
)

func TestOpenAPIDocumentIsValid(t *testing.T) {
	e := newEnv(t, nil)
	data := e.do("GET", "/openapi.json", "", "Authorization", "").want(200).body
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %q", doc.OpenAPI)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			open := op.Security != nil && len(*op.Security) == 0
			if open == strings.HasPrefix(path, "/api/") {
				t.Errorf("%s %s: documented as open: %v", method, path, open)
			}
			if op.Responses.Default() == nil || op.OperationID == "" || op.Summary == "" {
				t.Errorf("%s %s: no default response, id or summary", method, path)
			}
		}
	}
}

// The page of the document is for browsers, which it lets load and run nothing.
func TestDocumentAsPage(t *testing.T) {
	r := newEnv(t, nil).do("GET", "/docs", "", "Authorization", "").want(200)
	policy := r.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src 'sha256-", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s: %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") || r.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", r.header)
	}
	if media := r.header.Get("Content-Type"); !strings.HasPrefix(media, "text/html") || !strings.Contains(string(r.body), "Submit a task") {
		t.Errorf("%s: %.300s", media, r.body)
	}
}

func TestEveryRouteIsDocumentedAndTheReverse(t *testing.T) {
	for _, admin := range []string{"", "127.0.0.1:0"} {
		e := newEnv(t, func(s *setup) { s.AdminAddr = admin })
		doc, err := openapi3.NewLoader().LoadFromData(apiserver.OpenAPI())
		if err != nil {
			t.Fatal(err)
		}
		var documented, served []string
		for path, item := range doc.Paths.Map() {
			for method := range item.Operations() {
				documented = append(documented, method+" "+path)
			}
		}
		heads := make(map[string]bool)
		for _, r := range e.server.Routes() {
			if r.Method == "HEAD" { // wherever GET is
				heads[r.Path] = true
				continue
			}
			served = append(served, r.Method+" "+strings.NewReplacer(":id", "{id}", `\:`, ":").Replace(r.Path))
		}
		for _, r := range e.server.Routes() {
			if r.Method == "GET" && !heads[r.Path] {
				t.Errorf("%s has GET and not HEAD", r.Path)
			}
		}
		slices.Sort(documented)
		slices.Sort(served)
		if d := cmp.Diff(documented, served); d != "" {
			t.Errorf("documented (-) and served (+):\n%s", d)
		}
	}
}

// TestDocumentedTypesAreTaken posts one resource of each type that the document names.
func TestDocumentedTypesAreTaken(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(apiserver.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	e := newEnv(t, func(s *setup) { s.stopped = true })
	kinds := doc.Components.Schemas["Resource"].Value.Properties["type"].Value.Description
	for kind := range strings.SplitSeq(kinds, ", ") {
		values := map[string]string{kind: "x"}
		if slices.Contains([]string{"schema", "table", "view", "function", "volume", "model"}, kind) {
			values = map[string]string{"catalog": "c", "schema": "s", kind: "x"}
		}
		body, err := json.Marshal(map[string]any{"type": "RESOURCE_SYNC", "requestInfo": map[string]any{"resources": []any{
			map[string]any{"type": kind, "values": values},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		task := e.do("POST", tasksPath, string(body)).want(202).task()
		if r := task.RequestInfo.Resources[0]; !r.IsMetastore() {
			if _, err := r.Securable(); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}

// TestEveryFieldIsDocumented holds the schemas against the types that are encoded.
func TestEveryFieldIsDocumented(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(apiserver.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	for name, typ := range map[string]reflect.Type{
		"PipelineRun":    reflect.TypeFor[ondemand.Run](),
		"Task":           reflect.TypeFor[ondemand.Task](),
		"RequestInfo":    reflect.TypeFor[ondemand.RequestInfo](),
		"Resource":       reflect.TypeFor[ondemand.Resource](),
		"ResourceResult": reflect.TypeFor[ondemand.ResourceResult](),
		"Change":         reflect.TypeFor[ondemand.Change](),
		"Transition":     reflect.TypeFor[ondemand.Transition](),
		"TaskPage":       reflect.TypeFor[ondemand.Page](),
		"Problem":        reflect.TypeFor[apiserver.Problem](),
		"FieldError":     reflect.TypeFor[apiserver.FieldError](),
	} {
		var documented, encoded []string
		for field := range doc.Components.Schemas[name].Value.Properties {
			documented = append(documented, field)
		}
		for i := range typ.NumField() {
			if field, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); field != "-" {
				encoded = append(encoded, field)
			}
		}
		slices.Sort(documented)
		slices.Sort(encoded)
		if d := cmp.Diff(documented, encoded); d != "" {
			t.Errorf("%s: documented (-) and encoded (+):\n%s", name, d)
		}
	}
}
