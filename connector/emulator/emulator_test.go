package emulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"ucwarden/connector/emulator"
)

const (
	api   = "/api/2.1/unity-catalog"
	admin = "admin-token" // of admin@example.com, who owns the metastore
	alice = "alice-token" // of alice@example.com, member of analysts
	bob   = "bob-token"   // of bob@example.com, member of nothing
	wendy = "wendy-token" // of wendy@example.com, admin of the workspace
)

// seedText is the world of most tests.
const seedText = `
metastore: {name: main, id: 11111111-2222-4333-8444-555555555555, owner: metastore-admins}
users: [alice@example.com, bob@example.com, carol@example.com, wendy@example.com]
groups:
  - {name: metastore-admins, members: [admin@example.com]}
  - {name: admins, members: [wendy@example.com]}
  - {name: analysts, members: [alice@example.com]}
  - {name: staff, members: [analysts]}
catalogs:
  - name: sales
    schemas:
      - name: emea
        tables:
          - orders
          - {name: orders_v, type: VIEW}
          - {name: orders_mv, type: MATERIALIZED_VIEW}
          - {name: orders_st, type: STREAMING_TABLE}
          - {name: ext, type: EXTERNAL, location: "s3://bucket/ext"}
        functions: [mask]
        models: [churn]
        volumes: [landing]
      - name: apac
        tables: [orders]
  - name: hr
storage_credentials: [{name: cred}]
credentials: [{name: svc}]
external_locations: [{name: loc, url: "s3://bucket/loc", credential: cred}]
connections: [{name: pg}]
recipients: [{name: partner}]
providers: [{name: vendor}]
shares: [{name: outbound, tables: [sales.emea.orders]}]
`

// world is a running emulator with what a test needs to talk to it.
type world struct {
	t   *testing.T
	srv *emulator.Server
	url string
}

func newWorld(t *testing.T, change ...func(*emulator.Options)) *world {
	t.Helper()
	seed, err := emulator.ParseSeed([]byte(seedText))
	if err != nil {
		t.Fatal(err)
	}
	opts := emulator.Options{
		Seed: seed,
		Tokens: map[string]string{admin: "admin@example.com", alice: "alice@example.com", bob: "bob@example.com",
			"carol-token": "carol@example.com", wendy: "wendy@example.com"},
	}
	for _, f := range change {
		f(&opts)
	}
	srv, err := emulator.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	http := httptest.NewServer(srv)
	t.Cleanup(http.Close)
	return &world{t, srv, http.URL}
}

// reply is an answer: its status, its JSON, its error code.
type reply struct {
	status int
	header http.Header
	raw    string
	json   map[string]any
}

func (r reply) code() string { text, _ := r.json["error_code"].(string); return text }

// do sends a request; body may be "" for none.
func (w *world) do(token, method, path, body string) reply {
	w.t.Helper()
	r, err := w.try(token, method, path, body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (w *world) try(token, method, path, body string) (reply, error) {
	if !strings.HasPrefix(path, "/") {
		path = api + "/" + path
	}
	req, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	r := reply{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&r.json); err != nil && resp.StatusCode < 300 && len(raw) > 0 {
		return r, fmt.Errorf("decode %q: %w", raw, err)
	}
	return r, nil
}

// must sends a request that has to succeed.
func (w *world) must(token, method, path, body string) reply {
	w.t.Helper()
	r := w.do(token, method, path, body)
	if r.status >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, r.status, r.raw)
	}
	return r
}

// refused sends a request that has to be refused in the given way.
func (w *world) refused(token, method, path, body string, status int, code string) {
	w.t.Helper()
	r := w.do(token, method, path, body)
	if r.status != status || r.code() != code {
		w.t.Errorf("%s %s %s: got %d %s, want %d %s", method, path, body, r.status, r.raw, status, code)
	}
	if message, _ := r.json["message"].(string); message == "" {
		w.t.Errorf("%s %s: refused without a message", method, path)
	}
}

// grant adds privileges for one principal, as admin.
func (w *world) grant(typ, name, principal string, privileges ...string) {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"changes": []any{map[string]any{"principal": principal, "add": privileges}}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.must(admin, "PATCH", "permissions/"+typ+"/"+url.PathEscape(name), string(body))
}

// grants reads permissions as "principal PRIVILEGE" lines, sorted.
func (w *world) grants(typ, name string) []string {
	w.t.Helper()
	return lines(w.must(admin, "GET", "permissions/"+typ+"/"+url.PathEscape(name), ""))
}

func lines(r reply) []string {
	list := []string{}
	assignments, _ := r.json["privilege_assignments"].([]any)
	for _, a := range assignments {
		a := a.(map[string]any)
		for _, p := range a["privileges"].([]any) {
			list = append(list, fmt.Sprint(a["principal"], " ", p))
		}
	}
	slices.Sort(list)
	return list
}

// names reads every page of a list and returns the given field of each item, with the number of pages.
func (w *world) names(token, path, key, field string) (names []string, pages int) {
	w.t.Helper()
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	next := ""
	for {
		full := path
		if next != "" {
			full += separator + "page_token=" + url.QueryEscape(next)
		}
		r := w.must(token, "GET", full, "")
		pages++
		items, _ := r.json[key].([]any)
		for _, item := range items {
			names = append(names, fmt.Sprint(item.(map[string]any)[field]))
		}
		var more bool
		if next, more = r.json["next_page_token"].(string); !more {
			return names, pages
		}
		if pages > 2000 {
			w.t.Fatalf("%s: pages never end", path)
		}
	}
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
