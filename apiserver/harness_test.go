package apiserver_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"ucwarden/apiserver"
	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/ondemand/queue"
	"ucwarden/ondemand/store"
)

// env is a server over a real queue and store, answered over real HTTP.
type env struct {
	t        testing.TB
	server   *apiserver.Server
	queue    *queue.Queue
	http     *httptest.Server
	signer   *ecdsa.PrivateKey
	verifier *keys.Verifier
	router   routers.Router
	log      *logBuffer

	token string // sent unless a request sets Authorization
}

// handler carries out tasks: at once, or when gate is closed.
type handler struct {
	gate   chan struct{}
	shards bool // a full sync has one, of the catalog sales
}

func (h handler) Handle(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	if h.shards && job.Task.Type == ondemand.FullSync {
		return ondemand.Outcome{Children: []ondemand.Task{{Type: ondemand.ResourceSync, RequestInfo: ondemand.RequestInfo{
			Resources: []ondemand.Resource{{Type: "catalog", Values: map[string]string{"catalog": "sales"}}},
		}}}}, nil
	}
	if h.gate != nil {
		select {
		case <-h.gate:
		case <-ctx.Done():
			return ondemand.Outcome{}, ctx.Err()
		}
	}
	var out ondemand.Outcome
	for _, r := range job.Resources {
		out.Results = append(out.Results, ondemand.ResourceResult{
			Type: r.Type, Values: r.Values, Status: ondemand.Success,
			Changes: []ondemand.Change{{Securable: "TABLE:sales.emea.orders", Principal: "analysts", Add: []string{"SELECT"}}},
		})
	}
	return out, nil
}

// setup is what a test changes before the server is made.
type setup struct {
	apiserver.Options
	queue   queue.Options
	gate    chan struct{}                         // holds back the handler
	shards  bool                                  // a full sync has one
	stopped bool                                  // the queue takes tasks but does not run them
	wrap    func(apiserver.Tasks) apiserver.Tasks // puts faults in front of the queue
	commit  func(commit func() error) error       // in place of each commit of the store
}

func newEnv(t testing.TB, change func(*setup)) *env {
	t.Helper()
	e := &env{t: t, log: &logBuffer{}}
	s := setup{}
	if change != nil {
		change(&s)
	}
	h := handler{s.gate, s.shards}
	s.queue.Handlers = map[ondemand.Type]ondemand.Handler{ondemand.ResourceSync: h, ondemand.FullSync: h}

	store, err := store.Open(filepath.Join(t.TempDir(), "tasks.db"), store.Options{Commit: s.commit})
	if err != nil {
		t.Fatal(err)
	}
	if e.queue, err = queue.New(store, s.queue); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	if !s.stopped {
		running.Go(func() { _ = e.queue.Run(ctx) })
	}
	if e.signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if s.Verifier == nil {
		if s.Verifier, err = keys.NewVerifier(t.Context(), keys.VerifierOptions{JWKS: e.keySet()}); err != nil {
			t.Fatal(err)
		}
	}
	e.verifier, s.Tasks, s.Store = s.Verifier, e.queue, store
	if s.wrap != nil {
		s.Tasks = s.wrap(e.queue)
	}
	s.Logger = slog.New(slog.NewJSONHandler(e.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if e.server, err = apiserver.New(s.Options); err != nil {
		t.Fatal(err)
	}
	e.http = httptest.NewServer(e.server.Handler())
	e.token = e.issue("tester", nil, keys.ScopeAdmin)
	e.router = router(t)
	t.Cleanup(func() {
		e.http.CloseClientConnections()
		e.http.Close()
		cancel()
		running.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func router(t testing.TB) routers.Router {
	doc, err := openapi3.NewLoader().LoadFromData(apiserver.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = nil // any host will do
	r, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// keySet publishes the signer's key under the kid k.
func (e *env) keySet() string {
	key, err := jwk.Import(e.signer.Public())
	set := jwk.NewSet()
	if err == nil {
		err = key.Set(jwk.KeyIDKey, "k")
	}
	if err == nil {
		err = set.AddKey(key)
	}
	data, err2 := json.Marshal(set)
	if err != nil || err2 != nil {
		e.t.Fatal(err, err2)
	}
	path := filepath.Join(e.t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		e.t.Fatal(err)
	}
	return path
}

func (e *env) issue(subject string, catalogs []string, scopes ...keys.Scope) string {
	token, err := keys.Issue(keys.IssueOptions{Key: e.signer, KeyID: "k", Subject: subject, Scopes: scopes, Catalogs: catalogs})
	if err != nil {
		e.t.Fatal(err)
	}
	return token
}

// reply is an answer, read whole.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// do sends a request and holds the answer against the OpenAPI document. headers are pairs of name and value; an
// empty value takes the header out.
func (e *env) do(method, path, body string, headers ...string) reply {
	e.t.Helper()
	req, err := http.NewRequest(method, e.http.URL+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+e.token)
	if plain, _, _ := strings.Cut(path, "?"); method == http.MethodPost && strings.HasPrefix(plain, tasksPath) && !strings.HasPrefix(plain, tasksPath+"/") {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Del(headers[i])
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := e.http.Client().Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	r := reply{e.t, resp.StatusCode, resp.Header, data}
	e.conforms(req, r)
	return r
}

// conforms checks an answer against the document, and every error against RFC 9457.
func (e *env) conforms(req *http.Request, r reply) {
	e.t.Helper()
	if req.Method == http.MethodHead { // as GET, without a body
		if len(r.body) > 0 {
			e.t.Errorf("HEAD %s: a body of %d bytes", req.URL.Path, len(r.body))
		}
		return
	}
	if r.status >= 400 {
		r.problem()
	}
	route, params, err := e.router.FindRoute(req)
	if err != nil {
		// The test's router does not match a path with an escaped slash.
		if r.status != http.StatusNotFound && r.status != http.StatusMethodNotAllowed && req.URL.RawPath == "" {
			e.t.Errorf("%s %s is not documented and answered %d", req.Method, req.URL.Path, r.status)
		}
		return
	}
	media, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	err = openapi3filter.ValidateResponse(e.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 r.status,
		Header:                 r.header,
		Body:                   io.NopCloser(bytes.NewReader(r.body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: media == "text/event-stream" || media == "text/html"},
	})
	if err != nil {
		e.t.Errorf("%s %s: the answer %d is not as documented: %v\n%s", req.Method, req.URL.Path, r.status, err, r.body)
	}
}

func (r reply) want(status int) reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

func (r reply) problem() apiserver.Problem {
	r.t.Helper()
	if ct := r.header.Get("Content-Type"); ct != "application/problem+json" {
		r.t.Errorf("status %d with content type %q: %s", r.status, ct, r.body)
	}
	var p apiserver.Problem
	if err := json.Unmarshal(r.body, &p); err != nil {
		r.t.Fatalf("%v: %s", err, r.body)
	}
	if p.Status != r.status || p.Title == "" || !strings.HasPrefix(p.Type, "urn:ucwarden:problem:") || p.Instance == "" || p.RequestID == "" || p.Detail == "" {
		r.t.Errorf("incomplete problem: %s", r.body)
	}
	return p
}

func (r reply) task() ondemand.Task {
	r.t.Helper()
	return decode[ondemand.Task](r)
}

func decode[T any](r reply) (v T) {
	r.t.Helper()
	if err := json.Unmarshal(r.body, &v); err != nil {
		r.t.Fatalf("%v: %s", err, r.body)
	}
	return v
}

// ended waits until the task is terminal.
func (e *env) ended(id string) ondemand.Task {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 10*time.Second)
	defer cancel()
	task, err := e.queue.Wait(ctx, id)
	if err != nil {
		e.t.Fatalf("task %s is %s: %v", id, task.Status, err)
	}
	return task
}

// logBuffer collects log lines of several goroutines.
type logBuffer struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	discard bool
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.discard {
		return len(p), nil
	}
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// table is a task for one table.
func table(id, catalog string) string {
	doc := map[string]any{
		"type": "RESOURCE_SYNC", "source": "airflow",
		"requestInfo": map[string]any{"resources": []any{
			map[string]any{"type": "table", "values": map[string]string{"catalog": catalog, "schema": "emea", "table": "orders"}},
		}},
	}
	if id != "" {
		doc["id"] = id
	}
	data, _ := json.Marshal(doc)
	return string(data)
}
