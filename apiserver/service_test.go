package apiserver_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/apiserver"
	"ucwarden/apiserver/keys"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

func TestOpenRoutesNeedNoToken(t *testing.T) {
	registry := prometheus.NewRegistry()
	e := newEnv(t, func(s *setup) { s.Registerer, s.Gatherer = registry, registry })
	e.do("GET", tasksPath, "").want(200)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"} {
		e.do("GET", path, "", "Authorization", "").want(200)
	}
	metrics := string(e.do("GET", "/metrics", "", "Authorization", "").want(200).body)
	for _, want := range []string{
		`ucwarden_http_requests_total{method="GET",route="/api/v1/tasks",status="200"} 1`,
		`ucwarden_http_request_duration_seconds_count{method="GET",route="/readyz"} 1`,
		`ucwarden_http_requests_held 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
}

func TestMetricLabelsAreBounded(t *testing.T) {
	registry := prometheus.NewRegistry()
	e := newEnv(t, func(s *setup) { s.Registerer, s.Gatherer = registry, registry })
	for _, path := range []string{"/a", "/b", "/c", tasksPath + "/x", tasksPath + "/y"} {
		e.do("GET", path, "")
		e.do("BREW", path, "")
	}
	metrics := string(e.do("GET", "/metrics", "").body)
	for _, bad := range []string{"BREW", `"/a"`, `/x"`} {
		if strings.Contains(metrics, bad) {
			t.Errorf("a label comes from the caller: %s", bad)
		}
	}
}

func TestReadinessGivesReasons(t *testing.T) {
	var store, workspace error
	e := newEnv(t, func(s *setup) {
		s.Checks = []apiserver.Check{
			{Name: "store", Run: func(context.Context) error {
				if errors.Is(store, panics{}) {
					panic("in a check")
				}
				return store
			}},
			{Name: "workspace", Run: func(context.Context) error { return workspace }},
		}
	})
	e.do("GET", "/readyz", "").want(200)
	store = policy.Errorf(policy.CodeUnavailable, "the store takes no writes")
	workspace = errors.New("dial tcp 10.0.0.7:443: refused")
	r := e.do("GET", "/readyz", "").want(503)
	p := r.problem()
	if len(p.Errors) != 2 || p.Errors[0].Pointer != "/checks/store" || p.Errors[0].Detail != "the store takes no writes" || p.Errors[1].Pointer != "/checks/workspace" {
		t.Errorf("errors %+v", p.Errors)
	}
	if strings.Contains(string(r.body), "10.0.0.7") || !strings.Contains(e.log.String(), "10.0.0.7") {
		t.Errorf("the cause belongs in the log, not in the answer: %s", r.body)
	}
	e.do("GET", "/healthz", "").want(200)
	workspace = nil
	store = panics{}
	e.do("GET", "/readyz", "").want(503)
	store = nil
	e.do("GET", "/readyz", "").want(200)
}

// What does not keep tasks from being taken leaves the server ready, and is said.
func TestReadyButDegraded(t *testing.T) {
	problem := policy.Errorf(policy.CodeUnavailable, "the workspace cannot be reached")
	var store error
	e := newEnv(t, func(s *setup) {
		s.Checks = []apiserver.Check{
			{Name: "store", Run: func(context.Context) error { return store }},
			{Name: "workspace", Run: func(context.Context) error { return problem }, Degrades: true},
		}
	})
	const want = `{"status":"degraded","checks":["keys","store"],"degraded":[{"pointer":"/checks/workspace","detail":"the workspace cannot be reached"}]}`
	if body := strings.TrimSpace(string(e.do("GET", "/readyz", "").want(200).body)); body != want {
		t.Errorf("got %s, want %s", body, want)
	}
	store = policy.Errorf(policy.CodeUnavailable, "the disk is full")
	if p := e.do("GET", "/readyz", "").want(503).problem(); len(p.Errors) != 2 {
		t.Errorf("errors %+v", p.Errors)
	}
	store, problem = nil, nil
	if body := string(e.do("GET", "/readyz", "").want(200).body); !strings.Contains(body, `{"status":"ready","checks":["keys","store","workspace"]}`) {
		t.Errorf("got %s", body)
	}
}

type panics struct{ error }

// run starts the server of an env on its own listeners, and stops it at the end.
func (e *env) run(t *testing.T) (stop func() error) {
	t.Helper()
	if err := e.server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.server.Run(ctx) }()
	stopped := false
	stop = func() error {
		stopped = true
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(20 * time.Second):
			return errors.New("the server does not stop")
		}
	}
	t.Cleanup(func() {
		if !stopped {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
	return stop
}

func fetch(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestAdminRoutesOnAPortOfTheirOwn(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.Addr, s.AdminAddr = "127.0.0.1:0", "127.0.0.1:0" })
	stop := e.run(t)
	api, admin := "http://"+e.server.Addr().String(), "http://"+e.server.AdminAddr().String()
	if api == admin {
		t.Fatal("one port for both")
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"} {
		if status, _ := fetch(t, http.DefaultClient, admin+path); status != 200 {
			t.Errorf("admin %s: %d", path, status)
		}
		if status, _ := fetch(t, http.DefaultClient, api+path); status != 404 {
			t.Errorf("api %s: %d", path, status)
		}
	}
	if status, _ := fetch(t, http.DefaultClient, admin+tasksPath); status != 404 {
		t.Errorf("the admin port serves tasks: %d", status)
	}
	if status, _ := fetch(t, http.DefaultClient, api+tasksPath); status != 401 {
		t.Errorf("the api port: %d", status)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestShutdownAnswersHeldRequests(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.Addr, s.stopped, s.Grace = "127.0.0.1:0", true, 30*time.Second })
	stop := e.run(t)
	e.http.URL = "http://" + e.server.Addr().String()
	e.do("POST", tasksPath, table("t", "sales")).want(202)
	events, _ := e.stream(t.Context(), "t", "")

	waited := make(chan reply, 1)
	go func() { waited <- e.do("POST", tasksPath, table("u", "sales"), "Prefer", "wait=60") }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for ctx.Err() == nil { // until it was taken in
		if _, err := e.queue.Get(ctx, "u"); err == nil {
			break
		}
	}
	start := time.Now()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("the shutdown took %v", took)
	}
	if r := <-waited; r.status != 200 || r.task().Status != ondemand.New {
		t.Errorf("the held request got %d: %s", r.status, r.body)
	}
	collect(t, events)
}

// Every answer has headers that let a browser do nothing with it; what is sent in clear text does not promise TLS.
func TestSecurityHeaders(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	for _, call := range [][2]string{{"GET", "/healthz"}, {"GET", "/none"}, {"GET", tasksPath}, {"GET", tasksPath + "/none"}, {"POST", tasksPath}, {"BREW", "/healthz"}} {
		r := e.do(call[0], call[1], "")
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Strict-Transport-Security": "", "Server": "",
		} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%s %s: %s is %q, want %q", call[0], call[1], name, got, want)
			}
		}
	}
}

// Each call has one line in the log, that says who asked for what and how it ended, whatever is written in names.
func TestLogLineOfACall(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	const subject = "eve\n{\"msg\":\"http request\",\"subject\":\"admin\"}\x1b[31m\u202e"
	e.do("POST", tasksPath, table("mine", "sales"), bearer(e.issue(subject, nil, keys.ScopeWrite))...).want(202)
	e.do("GET", tasksPath+"/x%0Ay", "", bearer(e.issue(subject, nil, keys.ScopeRead))...).want(404)
	e.do("GET", tasksPath+"/"+url.PathEscape("{forged}")+"?token=secret", "").want(400)
	e.do("GET", tasksPath, "", "Authorization", "").want(401)
	e.do("GET", auditPath, "", bearer(e.issue("reader", nil, keys.ScopeRead))...).want(403)
	type line struct {
		Msg, Method, Route, Subject, Task, Remote, Request string
		Status                                             int
	}
	var got []line
	for text := range strings.Lines(e.log.String()) {
		for _, r := range strings.TrimSuffix(text, "\n") {
			if r < ' ' || r == 0x7f {
				t.Errorf("a control character in %q", text)
			}
		}
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if l.Msg != "http request" {
			continue
		}
		if l.Remote == "" || l.Request == "" {
			t.Errorf("%s", text)
		}
		l.Remote, l.Request = "", ""
		got = append(got, l)
	}
	want := []line{
		{Msg: "http request", Method: "POST", Route: tasksPath, Subject: subject, Task: "mine", Status: 202},
		{Msg: "http request", Method: "GET", Route: tasksPath + "/:id", Subject: subject, Task: "x\ny", Status: 404},
		{Msg: "http request", Method: "GET", Route: tasksPath + "/:id", Subject: "tester", Status: 400},
		{Msg: "http request", Method: "GET", Route: tasksPath, Status: 401},
		{Msg: "http request", Method: "GET", Route: auditPath, Subject: "reader", Status: 403},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(e.log.String(), "token=secret") {
		t.Error("the log shows a query")
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(writeCert(t, certFile, keyFile))
	e := newEnv(t, func(s *setup) { s.Addr, s.TLSCert, s.TLSKey = "127.0.0.1:0", certFile, keyFile })
	e.run(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	if status, _ := fetch(t, client, "https://"+e.server.Addr().String()+"/healthz"); status != 200 {
		t.Errorf("status %d", status)
	}
	resp, err := client.Get("https://" + e.server.Addr().String() + tasksPath) // also where it is refused
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != 401 || resp.Header.Get("Strict-Transport-Security") != "max-age=31536000" {
		t.Errorf("%d, headers %v", resp.StatusCode, resp.Header)
	}
	old := &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11} // to see it refused
	if conn, err := tls.Dial("tcp", e.server.Addr().String(), old); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 was accepted")
	}
}

// writeCert makes a certificate for 127.0.0.1 and returns it in PEM.
func writeCert(t *testing.T, certFile, keyFile string) []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, data := range map[string][]byte{certFile: cert, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert
}

func TestOptionsRefused(t *testing.T) {
	good := newEnv(t, nil)
	for name, o := range map[string]apiserver.Options{
		"nothing":        {},
		"no verifier":    {Tasks: good.queue},
		"no tasks":       {Verifier: good.verifier},
		"no certificate": {Tasks: good.queue, Verifier: good.verifier, TLSCert: "none.pem", TLSKey: "none.pem"},
		"half of TLS":    {Tasks: good.queue, Verifier: good.verifier, TLSCert: "cert.pem"},
		"address":        {Tasks: good.queue, Verifier: good.verifier, Addr: "8282"},
		"admin addr":     {Tasks: good.queue, Verifier: good.verifier, AdminAddr: "localhost"},
		"resources":      {Tasks: good.queue, Verifier: good.verifier, MaxResources: 1001},
		"unnamed check":  {Tasks: good.queue, Verifier: good.verifier, Checks: []apiserver.Check{{Run: func(context.Context) error { return nil }}}},
	} {
		if _, err := apiserver.New(o); policy.CodeOf(err) != policy.CodeInvalid || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: error %v", name, err)
		}
	}
	// What only shows when it starts.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, o := range map[string]apiserver.Options{
		"address in use":       {Addr: taken.Addr().String()},
		"admin address in use": {Addr: "127.0.0.1:0", AdminAddr: taken.Addr().String()},
	} {
		o.Tasks, o.Verifier = good.queue, good.verifier
		s, err := apiserver.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		} else if want := taken.Addr().String(); strings.Contains(name, "in use") && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v does not name %s", name, err, want)
		}
	}
}

func TestTruncatedBody(t *testing.T) {
	e := newEnv(t, func(s *setup) { s.stopped = true })
	conn, err := net.Dial("tcp", strings.TrimPrefix(e.http.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A body that ends before its length.
	var req bytes.Buffer
	req.WriteString("POST " + tasksPath + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + e.token + "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"type\":")
	if _, err := conn.Write(req.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.Contains(answer, []byte("400 Bad Request")) || !bytes.Contains(answer, []byte("problem+json")) {
		t.Errorf("%v: %s", err, answer)
	}
}
