package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"ucwarden/apiserver/client"
	"ucwarden/apiserver/keys"
	"ucwarden/connector/emulator"
	"ucwarden/ondemand"
)

// world is a workspace, emulated in this process, and the folder of an ucwarden that works on it.
type world struct {
	testing.TB
	dir       string
	emulator  *emulator.Server
	workspace string // its URL
	tokenFile string
	config    string // file

	mu   sync.Mutex
	hook func(r *http.Request, serve func()) // serves a request to the workspace; nil just serves
}

const (
	ourToken = "our-workspace-token"
	ourName  = "6a1f3c9e-2b74-4d0a-8e55-90c1d2e3f4a5"
)

// newWorld makes a workspace of seed and the files of an ucwarden with these policies.
func newWorld(t testing.TB, seed *emulator.Seed, policies string) *world {
	t.Helper()
	seed.Metastore.Owner = ourName
	w := &world{TB: t, dir: t.TempDir()}
	var err error
	if w.emulator, err = emulator.New(emulator.Options{Seed: seed, Tokens: map[string]string{ourToken: ourName, "admin": ourName}}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		hook := w.hook
		w.mu.Unlock()
		serve := func() { w.emulator.ServeHTTP(rw, r) }
		if hook == nil {
			serve()
			return
		}
		hook(r, serve)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	w.workspace = server.URL
	made, err := keys.Generate(keys.GenerateOptions{Dir: w.dir, Instance: "test"})
	if err != nil {
		t.Fatal(err)
	}
	w.tokenFile, w.config = made.Token, filepath.Join(w.dir, "ucwarden.yaml")
	w.write("policies.yaml", policies)
	settings := map[string]any{
		"databricks": map[string]any{"host": w.workspace, "token": ourToken},
		"policies":   map[string]any{"path": filepath.Join(w.dir, "policies.yaml")},
		"store":      map[string]any{"path": filepath.Join(w.dir, "data")},
		"ondemand":   map[string]any{"enabled": true},
		"apiserver":  map[string]any{"enabled": true, "addr": "127.0.0.1:0", "rate_limit": 0, "jwt": map[string]any{"jwks": made.JWKS}},
		"sync":       map[string]any{"on_start": false, "interval": "24h"},
	}
	body, err := json.Marshal(settings) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	w.write("ucwarden.yaml", string(body))
	return w
}

func (w *world) write(name, text string) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
}

// onRequest sets what serves the workspace's requests from now on.
func (w *world) onRequest(hook func(r *http.Request, serve func())) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hook = hook
}

// serve runs the daemon and returns a client of it.
func (w *world) serve(args ...string) (*process, *client.Client) {
	w.Helper()
	s := w.serveAt(args...)
	return s.process, s.Client
}

func (w *world) api(url string) *client.Client {
	w.Helper()
	c, err := (&clientFlags{server: url, tokenFile: w.tokenFile}).client(&app{})
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// done follows a task to its end and checks the status.
func (w *world) done(c *client.Client, id string, want ondemand.Status) ondemand.Task {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), processTimeout)
	defer cancel()
	t, err := c.Follow(ctx, id, func(ondemand.Transition) {})
	if err != nil {
		w.Fatalf("task %s: %v", id, err)
	}
	if t.Status != want {
		w.Fatalf("task %s ended %s, want %s: %s %v", id, t.Status, want, t.StatusMessage, t.Resources)
	}
	return t
}

// tableSync is a task for one table.
func tableSync(id, catalog, schema, table string) ondemand.Task {
	return ondemand.Task{ID: id, Type: ondemand.ResourceSync, RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{
		{Type: "table", Values: map[string]string{"catalog": catalog, "schema": schema, "table": table}},
	}}}
}

// grants lists everything that is granted in the workspace, one grant a line.
func (w *world) grants() []string {
	var list []string
	for _, g := range w.emulator.Grants() {
		list = append(list, g.Type+":"+g.Name+" "+g.Principal+" "+g.Privilege)
	}
	slices.Sort(list)
	return list
}

// onlyIn returns what is in a and not in b.
func onlyIn(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// oneSchema is a metastore of one schema, c.s, with these tables, where analysts may use catalog and schema.
func oneSchema(tables ...string) *emulator.Seed {
	schema := emulator.SeedSchema{SeedObject: emulator.SeedObject{
		Name: "s", Grants: emulator.SeedGrants{"analysts": {"USE_SCHEMA"}},
	}}
	for _, name := range tables {
		schema.Tables = append(schema.Tables, emulator.SeedTable{SeedObject: emulator.SeedObject{Name: name}})
	}
	return &emulator.Seed{Catalogs: []emulator.SeedCatalog{{
		SeedObject: emulator.SeedObject{Name: "c", Grants: emulator.SeedGrants{"analysts": {"USE_CATALOG"}}},
		Schemas:    []emulator.SeedSchema{schema},
	}}}
}

// readTables lets analysts read every table of c.s whose name begins with t: grants on each table, since tables of
// other names may come.
const readTables = `
id: 1
name: analysts read t
resources: {catalog: {values: [c]}, schema: {values: [s]}, table: {values: ["t*"]}}
policyItems: [{groups: [analysts], accesses: [{type: select}]}]
`
