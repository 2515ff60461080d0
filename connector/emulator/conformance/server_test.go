package conformance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/databricks/databricks-sdk-go/client"
	"github.com/databricks/databricks-sdk-go/config"

	"ucwarden/connector/emulator"
)

const api = "/api/2.1/unity-catalog"

// role is who makes a call.
type role string

const (
	metastoreAdmin role = "metastore_admin"
	accountAdmin   role = "account_admin"
	workspaceAdmin role = "workspace_admin"
	alice          role = "alice"
	bob            role = "bob"
)

// seed is the workspace of the emulator. Nobody has two roles; the metastore admin is one by a group.
const seed = `
metastore: {name: conformance, owner: metastore-admins}
workspace_id: 4711
account_admins: [account_admin@example.com]
users: [metastore_admin@example.com, account_admin@example.com, workspace_admin@example.com, alice@example.com, bob@example.com]
groups:
  - {name: metastore-admins, members: [metastore_admin@example.com]}
  - {name: admins, members: [workspace_admin@example.com]}
  - {name: analysts, members: [alice@example.com]}
  - {name: staff, members: [analysts]}
catalogs:
  - name: seeded
    owner: metastore-admins
    schemas: [{name: models, models: [{name: m, versions: [{source: "s3://a/1", run_id: r1}, {comment: second}, {status: FAILED_REGISTRATION}], aliases: {champion: 2}}]}]
`

// server is what the tests run against.
type server struct {
	url       string
	transport http.RoundTripper
	tokens    map[role]string
	emulator  *emulator.Server // nil for another server
	workspace string           // that may lose its metastore; "" for none
	user      func(role) string
}

// another returns the server that the environment names, or nil.
var another = sync.OnceValue(func() *server {
	url := strings.TrimSuffix(os.Getenv("CONFORMANCE_URL"), "/")
	if url == "" {
		return nil
	}
	s := &server{url: url, transport: http.DefaultTransport, tokens: make(map[role]string), workspace: os.Getenv("CONFORMANCE_WORKSPACE")}
	for pair := range strings.FieldsSeq(os.Getenv("CONFORMANCE_TOKENS")) {
		name, token, _ := strings.Cut(pair, "=")
		s.tokens[role(name)] = token
	}
	names := make(map[role]func() string)
	for r := range s.tokens {
		names[r] = sync.OnceValue(func() string {
			_, me, _ := s.send(r, "GET", "/api/2.0/preview/scim/v2/Me", nil)
			name, _ := me["userName"].(string)
			return name
		})
	}
	s.user = func(r role) string { return names[r]() }
	return s
})

// newEmulator returns an emulator of its own for a test.
func newEmulator(t *testing.T, change ...func(*emulator.Options)) *server {
	t.Helper()
	parsed, err := emulator.ParseSeed([]byte(seed))
	if err != nil {
		t.Fatal(err)
	}
	opts := emulator.Options{Seed: parsed, Tokens: make(map[string]string)}
	s := &server{url: "http://emulator.invalid", tokens: make(map[role]string), workspace: "4711"}
	s.user = func(r role) string { return string(r) + "@example.com" }
	for _, r := range []role{metastoreAdmin, accountAdmin, workspaceAdmin, alice, bob} {
		s.tokens[r] = string(r) + "-token"
		opts.Tokens[s.tokens[r]] = s.user(r)
	}
	for _, f := range change {
		f(&opts)
	}
	if s.emulator, err = emulator.New(opts); err != nil {
		t.Fatal(err)
	}
	s.transport = inProcess{s.emulator}
	t.Cleanup(func() { reached.add(s.emulator.Stats()) })
	return s
}

// inProcess serves requests by calling the handler.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	p.handler.ServeHTTP(recorder, r)
	resp := recorder.Result()
	resp.Request = r
	return resp, nil
}

// send makes a call with the token of the role, or without one for "". body may be nil, a text, or what JSON is made of.
func (s *server) send(r role, method, path string, body any) (status int, answer map[string]any, raw string) {
	if !strings.HasPrefix(path, "/") {
		path = api + "/" + path
	}
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(jsonOf(body)))
	if err != nil {
		return 0, nil, err.Error()
	}
	if r != "" {
		req.Header.Set("Authorization", "Bearer "+s.tokens[r])
	}
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err.Error()
	}
	if json.Unmarshal(data, &answer) != nil {
		answer = nil
	}
	return resp.StatusCode, answer, string(data)
}

func jsonOf(body any) []byte {
	switch body := body.(type) {
	case nil:
		return nil
	case string:
		return []byte(body)
	}
	data, err := json.Marshal(body)
	if err != nil {
		panic(err) // a test's own literal
	}
	return data
}

// world is the server as one test sees it.
type world struct {
	*testing.T
	*server
	run  string
	made *int // names so far
}

func newWorld(t *testing.T, change ...func(*emulator.Options)) *world {
	t.Helper()
	if s := another(); s != nil {
		if len(change) > 0 {
			t.Skip("skipped: the test sets options of the emulator")
		}
		w := &world{T: t, server: s, run: fmt.Sprintf("conf_%d_%s", os.Getpid(), strings.ToLower(strings.NewReplacer("/", "_", " ", "_").Replace(t.Name()))), made: new(int)}
		w.needs(metastoreAdmin, alice, bob)
		return w
	}
	return &world{T: t, server: newEmulator(t, change...), run: "conf", made: new(int)}
}

// needs skips the test unless there is a token for each of the roles.
func (w *world) needs(roles ...role) {
	w.Helper()
	for _, r := range roles {
		if w.tokens[r] == "" {
			w.Skipf("skipped: TOKENS= has none for %s", r)
		}
	}
}

// changesMetastores skips the test unless the metastore of the workspace may be changed.
func (w *world) changesMetastores() {
	w.Helper()
	w.needs(accountAdmin)
	if w.workspace == "" {
		w.Skip("skipped: WORKSPACE= names none whose metastore may be changed")
	}
}

// unique returns a name that nothing has.
func (w *world) unique(kind string) string {
	*w.made++
	return fmt.Sprintf("%s_%s%d", w.run, kind, *w.made)
}

// reply is an answer.
type reply struct {
	status int
	json   map[string]any
	raw    string
}

func (r reply) code() string          { text, _ := r.json["error_code"].(string); return text }
func (r reply) str(key string) string { text, _ := r.json[key].(string); return text }

// do makes a call. A route that another server does not have skips the test.
func (w *world) do(r role, method, path string, body any) reply {
	w.Helper()
	status, answer, raw := w.send(r, method, path, body)
	got := reply{status, answer, raw}
	if status == 0 {
		w.Fatalf("%s %s: %s", method, path, raw)
	}
	if got.code() == "ENDPOINT_NOT_FOUND" || status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented {
		if w.emulator != nil {
			w.Fatalf("%s %s: %d %s", method, path, status, raw)
		}
		w.Skipf("skipped: the server does not serve %s %s", method, path)
	}
	return got
}

// must makes a call that has to succeed.
func (w *world) must(r role, method, path string, body any) reply {
	w.Helper()
	got := w.do(r, method, path, body)
	if got.status >= 300 {
		w.Fatalf("%s: %s %s %s: %d %s", r, method, path, jsonOf(body), got.status, got.raw)
	}
	return got
}

// refused makes a call that has to be refused with one of the codes, "" standing for any.
func (w *world) refused(r role, method, path string, body any, status int, codes ...string) {
	w.Helper()
	got := w.do(r, method, path, body)
	if got.status != status || len(codes) > 0 && !slices.Contains(codes, got.code()) {
		w.Errorf("%s: %s %s %s: got %d %s, want %d %s", r, method, path, jsonOf(body), got.status, got.raw, status, strings.Join(codes, " or "))
	}
	if got.status >= 400 && got.str("message") == "" {
		w.Errorf("%s %s: refused without a message: %s", method, path, got.raw)
	}
}

const (
	badValue  = "INVALID_PARAMETER_VALUE"
	malformed = "MALFORMED_REQUEST"
	badState  = "INVALID_STATE"
	forbidden = "PERMISSION_DENIED"
)

// client returns a client of the client library for a role.
func (w *world) client(r role) *client.DatabricksClient {
	w.Helper()
	c, err := client.New(&config.Config{
		Host: w.url, Token: w.tokens[r], AuthType: "pat", AccountID: "acme", HTTPTransport: w.transport, RateLimitPerSecond: 1 << 20,
		Loaders: []config.Loader{config.ConfigAttributes},
	})
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// reachedRoutes collects the routes that answered well, of all emulators of the run.
type reachedRoutes struct {
	mu     sync.Mutex
	routes map[string]bool
}

var reached = reachedRoutes{routes: make(map[string]bool)}

func (r *reachedRoutes) add(stats emulator.Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for route, statuses := range stats.Routes {
		if statuses["200"] > 0 {
			r.routes[route] = true
		}
	}
}
