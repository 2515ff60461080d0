package unitycatalog_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ucwarden/connector/unitycatalog"
	"ucwarden/policy"
)

const secret = "dapi-s3cr3t"

// workspace is an HTTP server that answers by method and escaped path with query, as sent: "GET /api/...?a=b". A
// value "404 BODY" is an answer of that status; without a number it is a 200. Several answers are given in turn, the
// last one again and again.
type workspace struct {
	*httptest.Server
	answers map[string][]string

	mu    sync.Mutex
	seen  []string // requests but the first of each client, for its metadata
	heads []http.Header
	body  []string
}

const uc = "/api/2.1/unity-catalog/"

func newWorkspace(t *testing.T, answers map[string][]string) *workspace {
	w := &workspace{answers: answers}
	w.Server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.Close)
	return w
}

func (w *workspace) serve(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.URL.Path == "/.well-known/databricks-config" {
		http.NotFound(rw, r)
		return
	}
	key := r.Method + " " + r.RequestURI
	w.seen = append(w.seen, key)
	w.heads = append(w.heads, r.Header)
	w.body = append(w.body, string(body))
	list := w.answers[key]
	if len(list) == 0 {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(404)
		fmt.Fprintf(rw, `{"error_code":"ENDPOINT_NOT_FOUND","message":"No API found for '%s'"}`, key)
		return
	}
	text := list[0]
	if len(list) > 1 {
		w.answers[key] = list[1:]
	}
	status := 200
	if n, err := fmt.Sscanf(text, "%3d ", &status); n == 1 && err == nil {
		text = strings.TrimSpace(text[3:])
	} else {
		status = 200
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(status)
	io.WriteString(rw, text)
}

// sent returns the requests since the last call.
func (w *workspace) sent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

// quick keeps retries short.
var quick = unitycatalog.Pacing{MaxAttempts: 3, BaseBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond}

func (w *workspace) client(t *testing.T) *unitycatalog.Client {
	t.Helper()
	return newClient(t, unitycatalog.Options{Host: w.URL, Token: secret, Pacing: quick})
}

func newClient(t *testing.T, o unitycatalog.Options) *unitycatalog.Client {
	t.Helper()
	c, err := unitycatalog.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func securable(t *testing.T, s string) policy.Securable {
	t.Helper()
	parsed, err := policy.ParseSecurable(s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func checkCode(t *testing.T, err error, want policy.Code, mention ...string) {
	t.Helper()
	if got := policy.CodeOf(err); got != want {
		t.Errorf("class %q, want %q, of error: %v", got, want, err)
		return
	}
	if err == nil {
		return
	}
	for _, text := range mention {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error does not mention %q: %v", text, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of several lines: %q", err)
	}
	if strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("error contains a secret: %v", err)
	}
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name    string
		o       unitycatalog.Options
		mention string
	}{
		{"no host", unitycatalog.Options{Token: "x"}, "databricks.host"},
		{"host with a password", unitycatalog.Options{Host: "https://me:s3cr3t@host", Token: "x"}, "without user or password"},
		{"not http", unitycatalog.Options{Host: "ftp://host", Token: "x"}, "https://"},
		{"not a URL", unitycatalog.Options{Host: "https://ho%zzst", Token: "x"}, "databricks.host"},
		{"no credentials", unitycatalog.Options{Host: "host"}, "databricks.token"},
		{"two authentication methods", unitycatalog.Options{Host: "host", Token: "x", ClientID: "i", ClientSecret: "s3cr3t"}, "two authentication methods"},
		{"id without secret", unitycatalog.Options{Host: "host", ClientID: "i"}, "without databricks.client_secret"},
		{"secret without id", unitycatalog.Options{Host: "host", ClientSecret: "s3cr3t"}, "without databricks.client_id"},
		{"tenant alone", unitycatalog.Options{Host: "host", AzureTenantID: "t"}, "databricks.azure_tenant_id"},
		{"tenant and token", unitycatalog.Options{Host: "host", AzureTenantID: "t", Token: "x"}, "two authentication methods"},
		{"pacing", unitycatalog.Options{Host: "host", Token: "x", Pacing: unitycatalog.Pacing{InitialConcurrency: 9, MaxConcurrency: 3}}, "concurrency"},
		{"timeout", unitycatalog.Options{Host: "host", Token: "x", RequestTimeout: -1}, "timeout"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := unitycatalog.New(t.Context(), test.o)
			checkCode(t, err, policy.CodeInvalid, test.mention)
		})
	}
}

func TestUnreachableWorkspace(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mute := "http://" + listener.Addr().String() // takes connections and never answers
	t.Cleanup(func() { listener.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	t.Cleanup(secure.Close)

	ended, roots := expiredServer(t)
	for name, test := range map[string]struct {
		host, mention string
		wait          time.Duration
	}{
		"expired":      {ended, "check the clock of this machine, and the workspace's certificate", 0},
		"nobody there": {"http://" + closed.Addr().String(), "check databricks.host, DNS, firewall and proxy", 0},
		"no answer":    {mute, "no answer within", 100 * time.Millisecond},
		"not trusted":  {secure.URL, "trusts the certificate", 0},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := unitycatalog.New(t.Context(), unitycatalog.Options{Host: test.host, Token: secret, ConnectTimeout: test.wait, RootCAs: roots})
			checkCode(t, err, policy.CodeUnavailable, test.host, test.mention)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
	t.Run("goes away later", func(t *testing.T) {
		w := newWorkspace(t, nil)
		c := w.client(t)
		w.Close()
		_, err := c.List(t.Context(), policy.Securable{}, policy.Catalog)
		checkCode(t, err, policy.CodeUnavailable, w.URL, "connection refused")
	})
	t.Run("insecure and own roots", func(t *testing.T) {
		newClient(t, unitycatalog.Options{Host: secure.URL, Token: secret, InsecureSkipVerify: true})
	})
}

// Settings of the library's own, which it would take from the environment, do not meddle.
func TestEnvironmentIsNotRead(t *testing.T) {
	t.Setenv("DATABRICKS_TOKEN", "another")
	t.Setenv("DATABRICKS_HOST", "https://another.example")
	t.Setenv("DATABRICKS_CLIENT_ID", "another")
	t.Setenv("DATABRICKS_CLIENT_SECRET", "another")
	t.Setenv("DATABRICKS_RATE_LIMIT", "1")
	t.Setenv("DATABRICKS_SDK_UPSTREAM", "other")
	t.Setenv("DATABRICKS_SDK_UPSTREAM_VERSION", "1.0.0")
	t.Setenv("GITHUB_ACTIONS", "true")
	w := newWorkspace(t, map[string][]string{"GET " + uc + "metastore_summary": {`{"metastore_id":"m"}`}})
	c := newClient(t, unitycatalog.Options{Host: w.URL, Token: secret, UserAgent: "ucwarden/1.2.3"})
	if _, err := c.List(t.Context(), policy.Securable{}, policy.Metastore); err != nil {
		t.Fatal(err)
	}
	if got := w.heads[0].Get("Authorization"); got != "Bearer "+secret {
		t.Errorf("credentials sent: %q", got)
	}
	if got := w.heads[0].Get("User-Agent"); !strings.HasPrefix(got, "ucwarden/1.2.3 databricks-sdk-go/") || strings.Contains(got, "cicd") {
		t.Errorf("user agent %q", got)
	}
}

func TestErrorsAreClassified(t *testing.T) {
	tests := []struct {
		answer  string
		want    policy.Code
		mention string
	}{
		{`401 {"error_code":"UNAUTHENTICATED","message":"bad"}`, policy.CodeUnauthenticated, "check databricks.token"},
		{`403 {"error_code":"403","message":"Invalid access token."}`, policy.CodeUnauthenticated, "check databricks.token"},
		{`403 {"error_code":"PERMISSION_DENIED","message":"no USE CATALOG"}`, policy.CodeForbidden, "no USE CATALOG"},
		{`404 {"error_code":"TABLE_DOES_NOT_EXIST","message":"gone"}`, policy.CodeNotFound, "404 TABLE_DOES_NOT_EXIST: gone"},
		{`404 {"error_code":"RESOURCE_DOES_NOT_EXIST","message":"gone"}`, policy.CodeNotFound, "gone"},
		{`400 {"error_code":"SCHEMA_DOES_NOT_EXIST","message":"gone"}`, policy.CodeNotFound, "gone"},
		{`404 {"error_code":"ENDPOINT_NOT_FOUND","message":"no such call"}`, policy.CodeInvalid, "no such call"},
		{`404 <html>nginx</html>`, policy.CodeInvalid, "404"},
		{`409 {"error_code":"RESOURCE_CONFLICT","message":"busy"}`, policy.CodeConflict, "busy"},
		{`413 {}`, policy.CodeTooLarge, "413"},
		{`400 {"error_code":"INVALID_PARAMETER_VALUE","message":"bad\nthing"}`, policy.CodeInvalid, "bad thing"},
		{`429 {"error_code":"REQUEST_LIMIT_EXCEEDED","message":"slower"}`, policy.CodeRateLimited, "slower"},
		{`500 {"error_code":"INTERNAL_ERROR","message":"oops"}`, policy.CodeUnavailable, "oops"},
		{`503 {}`, policy.CodeUnavailable, "503"},
		{`502 <html>bad gateway</html>`, policy.CodeUnavailable, "502"},
		{`200 <html>log in</html>`, policy.CodeUnavailable, "web page"},
		{`200 {"name":`, policy.CodeUnavailable, "JSON"},
		{`200 {"name":7}`, policy.CodeUnavailable, "as the API defines"},
		{`200 {"name":"t","full_name":"a.b.other"}`, policy.CodeInternal, "a.b.other"},
		{`200 {"owner":"nameless"}`, policy.CodeUnavailable, "name"},
	}
	for _, test := range tests {
		t.Run(test.answer, func(t *testing.T) {
			w := newWorkspace(t, map[string][]string{"GET " + uc + "tables/a.b.t": {test.answer}})
			_, err := w.client(t).Get(t.Context(), securable(t, "table:a.b.t"))
			checkCode(t, err, test.want, test.mention, "look up TABLE:a.b.t")
		})
	}
}

// An answer that came, and cannot be used, is no silence: what to check is another thing.
func TestUnusableAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		length  int // that the answer says
		sent    int
		want    policy.Code
		mention string
	}{
		"broken off": {100, 10, policy.CodeUnavailable, "answers, but not to the end"},
		"oversize":   {33 << 20, 33 << 20, policy.CodeTooLarge, "larger than 32 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.URL.Path, uc) {
					http.NotFound(w, r)
					return
				}
				w.Header().Set("Content-Length", strconv.Itoa(test.length))
				_, _ = w.Write(make([]byte, test.sent)) // the client may have hung up
			}))
			defer server.Close()
			_, err := newClient(t, unitycatalog.Options{Host: server.URL, Token: secret}).Get(t.Context(), securable(t, "table:a.b.t"))
			checkCode(t, err, test.want, test.mention, "look up TABLE:a.b.t")
			if strings.Contains(err.Error(), "does not answer") {
				t.Error(err)
			}
		})
	}
}

func TestCancelledCallsEndAtOnce(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, uc) {
			<-release
		}
		http.NotFound(w, r)
	}))
	defer server.Close()
	defer close(release)
	c := newClient(t, unitycatalog.Options{Host: server.URL, Token: secret})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err := c.List(ctx, policy.Securable{}, policy.Catalog)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	checkCode(t, err, policy.CodeUnavailable)
}

func TestRequestTimeout(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, uc) {
			<-r.Context().Done()
		}
	}))
	defer server.Close()
	c := newClient(t, unitycatalog.Options{Host: server.URL, Token: secret, RequestTimeout: 50 * time.Millisecond})
	_, err := c.List(t.Context(), policy.Securable{}, policy.Catalog)
	checkCode(t, err, policy.CodeUnavailable, "no answer within 50ms")
}

// Nothing of what is logged at any level, by us or by the library, contains a secret.
func TestLogsTellNoSecret(t *testing.T) {
	var logged bytes.Buffer
	var mu sync.Mutex
	log := slog.New(slog.NewJSONHandler(&locked{&mu, &logged}, &slog.HandlerOptions{Level: slog.Level(-100)}))
	w := newWorkspace(t, map[string][]string{"GET " + uc + "catalogs?max_results=10000": {"503 {}", `429 {"message":"slow"}`, "{}"}})
	c := newClient(t, unitycatalog.Options{Host: w.URL, Token: secret, Logger: log, Pacing: quick})
	if _, err := c.List(t.Context(), policy.Securable{}, policy.Catalog); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if logged.Len() == 0 {
		t.Error("retries were not logged")
	}
	if strings.Contains(logged.String(), "s3cr3t") || strings.Contains(logged.String(), "Bearer") {
		t.Errorf("log contains a secret: %s", logged.String())
	}
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func TestWhoami(t *testing.T) {
	w := newWorkspace(t, map[string][]string{"GET /api/2.0/preview/scim/v2/Me": {
		`{"id":"7","userName":"sync@example.com","groups":[{"display":"admins","value":"1"},{"display":"users"}]}`, `{"id":"7"}`}})
	c := w.client(t)
	id, err := c.Whoami(t.Context())
	if err != nil || id.Principal.Name != "sync@example.com" || len(id.Groups) != 2 || id.Groups[0].Name != "admins" {
		t.Errorf("got %+v, %v", id, err)
	}
	_, err = c.Whoami(t.Context())
	checkCode(t, err, policy.CodeUnavailable, "user name")
}

// expiredServer returns the URL of a server whose certificate is of another time, and the authorities that would vouch for it.
func expiredServer(t *testing.T) (string, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return server.URL, roots
}
