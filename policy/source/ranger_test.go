package source_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source"
	"ucwarden/policy/source/rangeradmin"
	"ucwarden/policy/source/rangertest"
)

// pol is a policy that allows select on a table.
func pol(id int64, table string) ranger.Policy {
	one := func(v string) ranger.PolicyResource { return ranger.PolicyResource{Values: []string{v}} }
	return ranger.Policy{
		ID: id, Name: fmt.Sprintf("p%d", id), Service: "uc",
		Resources:   map[string]ranger.PolicyResource{"catalog": one("sales"), "schema": one("emea"), "table": one(table)},
		PolicyItems: []ranger.PolicyItem{{Accesses: []ranger.ItemAccess{{Type: "select"}}, Groups: []string{"analysts"}}},
	}
}

func pols(n int) []ranger.Policy {
	var list []ranger.Policy
	for i := range n {
		list = append(list, pol(int64(i+1), fmt.Sprintf("t%d", i+1)))
	}
	return list
}

// memory serves requests without a network, so that a test's clock stands still while they are answered.
type memory struct{ handler http.Handler }

func (m memory) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	rec := httptest.NewRecorder()
	aborted := func() (aborted bool) {
		defer func() { aborted = recover() != nil }()
		m.handler.ServeHTTP(rec, req)
		return false
	}()
	resp = rec.Result()
	resp.Request = req
	if aborted && rec.Body.Len() == 0 {
		return nil, errors.New("connection reset by peer")
	}
	if aborted {
		resp.Body = io.NopCloser(io.MultiReader(resp.Body, broken{}))
	}
	return resp, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// fataler is what the two kinds of test, plain and by rapid, have in common, as far as it is needed here.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func newRanger(t fataler, o source.RangerOptions) *source.Ranger {
	t.Helper()
	if o.Service == "" {
		o.Service = "uc"
	}
	r, err := source.NewRanger(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// start serves s over HTTP.
func start(t *testing.T, s *rangertest.Server) string {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL
}

func mustLoad(t *testing.T, r *source.Ranger, policies int) *ranger.Snapshot {
	t.Helper()
	s, err := r.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Policies) != policies || r.Problem() != nil {
		t.Fatalf("%d policies, want %d; problem %v", len(s.Policies), policies, r.Problem())
	}
	return s
}

func TestRangerDownloadsFourParts(t *testing.T) {
	server := rangertest.New("uc")
	server.User, server.Password = "keyadmin", "s3cret"
	server.SetPolicies(pols(3)...)
	server.SetRoles(ranger.Role{Name: "stewards"})
	server.SetUsers(map[string][]string{"ann@example.com": {"analysts"}})
	r := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: start(t, server) + "/", Username: "keyadmin", Password: "s3cret", PluginID: "p", ClusterName: "c"}})
	first := mustLoad(t, r, 3)
	if first.Version != 2 || first.Service != "uc" || len(first.Roles) != 1 || first.Users == nil || first.Tags == nil {
		t.Errorf("got %+v", first)
	}
	if !strings.HasSuffix(first.Origins[1], "/service/plugins/secure/policies/download/uc") {
		t.Errorf("origin %q", first.Origins[1])
	}
	requests := server.Requests()
	if len(requests) != 4 {
		t.Fatalf("%d requests, want 4", len(requests))
	}
	for _, q := range requests {
		if !q.Secure || q.Query["pluginId"] != "p" || q.Query["clusterName"] != "c" || q.Query["lastActivationTime"] != "0" {
			t.Errorf("request %+v", q)
		}
	}
	if q := requests[0].Query; q["lastKnownVersion"] != "-1" || q["supportsPolicyDeltas"] != "false" {
		t.Errorf("first policies request %v", q)
	}
	second := mustLoad(t, r, 3)
	if second.Digest != first.Digest || !second.FetchedAt.After(first.FetchedAt) {
		t.Errorf("not confirmed: %v then %v", first.FetchedAt, second.FetchedAt)
	}
	requests = server.Requests()
	for _, q := range requests {
		if q.Status != http.StatusNotModified || q.Query["lastActivationTime"] == "0" {
			t.Errorf("second time: %+v", q)
		}
	}
	if q := requests[0].Query; q["lastKnownVersion"] != "2" || q["supportsPolicyDeltas"] != "true" {
		t.Errorf("second policies request %v", q)
	}
	if q := requests[3].Query; q["supportsTagDeltas"] != "false" {
		t.Errorf("tags request %v", q)
	}
	server.SetRoles(ranger.Role{Name: "stewards"}, ranger.Role{Name: "owners"})
	if third := mustLoad(t, r, 3); len(third.Roles) != 2 || third.Digest == second.Digest || third.Version != second.Version {
		t.Errorf("roles alone: %+v", third)
	}
}

func TestRangerAppliesDeltas(t *testing.T) {
	server := rangertest.New("uc")
	server.SetPolicies(pols(5)...)
	url := start(t, server)
	r := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: url}})
	mustLoad(t, r, 5)
	changed := pols(6)[1:]
	changed[2].Description = "changed"
	server.SetPolicies(changed...)
	server.Requests()
	got := mustLoad(t, r, 5)
	if n := len(server.Requests()); n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
	whole := mustLoad(t, newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: url, DisableDeltas: true}}), 5)
	if got.Digest != whole.Digest {
		t.Errorf("deltas gave another content than the whole download:\n%+v\n%+v", got.Policies, whole.Policies)
	}
	lies := map[string]func(*ranger.ServicePolicies){
		"an update of a policy that is not there": func(d *ranger.ServicePolicies) { d.PolicyDeltas[0].Policy.ID = 999; d.PolicyDeltas[0].ChangeType = 1 },
		"a creation of one that is": func(d *ranger.ServicePolicies) {
			p := pol(3, "x")
			d.PolicyDeltas[0].Policy = &p
			d.PolicyDeltas[0].ChangeType = 0
		},
		"an unknown change": func(d *ranger.ServicePolicies) { d.PolicyDeltas[0].ChangeType = 7 },
		"no policy":         func(d *ranger.ServicePolicies) { d.PolicyDeltas[0].Policy = nil },
	}
	n := 6
	for name, lie := range lies {
		n++
		server.SetPolicies(pols(n)[1:]...)
		server.AlterDeltas(func(d *ranger.ServicePolicies) {
			d.PolicyDeltas = slices.Clone(d.PolicyDeltas)
			for i, c := range d.PolicyDeltas {
				if c.Policy != nil {
					p := *c.Policy
					d.PolicyDeltas[i].Policy = &p
				}
			}
			lie(d)
		})
		server.Requests()
		if s := mustLoad(t, r, n-1); s.Version != r.Current().Version {
			t.Errorf("%s: version %d", name, s.Version)
		}
		if q := server.Requests(); len(q) != 5 || q[1].Query["lastKnownVersion"] != "-1" {
			t.Errorf("%s: not downloaded whole: %+v", name, q)
		}
	}
}

func TestRangerKeepsTheSnapshot(t *testing.T) {
	fault := func(part rangertest.Part, f rangertest.Fault) func(*rangertest.Server) {
		return func(s *rangertest.Server) { s.SetPolicies(pols(11)...); s.SetFault(part, f) }
	}
	tests := map[string]struct {
		spoil func(*rangertest.Server)
		want  string
		code  policy.Code
	}{
		"404":                  {fault(rangertest.Policies, rangertest.Fault{Status: 404}), "no service", policy.CodeNotFound},
		"400":                  {func(s *rangertest.Server) { s.Disable(true) }, "disabled", policy.CodeInvalid},
		"401":                  {fault(rangertest.Policies, rangertest.Fault{Status: 401}), "username", policy.CodeUnauthenticated},
		"403":                  {fault(rangertest.Policies, rangertest.Fault{Status: 403}), "policy.download.auth.users", policy.CodeForbidden},
		"429":                  {fault(rangertest.Policies, rangertest.Fault{Status: 429}), "429", policy.CodeRateLimited},
		"500":                  {fault(rangertest.Policies, rangertest.Fault{Status: 500}), "500", policy.CodeUnavailable},
		"503 roles":            {fault(rangertest.Roles, rangertest.Fault{Status: 503}), "roles", policy.CodeUnavailable},
		"404 roles":            {fault(rangertest.Roles, rangertest.Fault{Status: 404}), "no longer available", policy.CodeUnavailable},
		"500 user store":       {fault(rangertest.Users, rangertest.Fault{Status: 500}), "user store", policy.CodeUnavailable},
		"404 tags":             {fault(rangertest.Tags, rangertest.Fault{Status: 404}), "no longer available", policy.CodeUnavailable},
		"login page":           {fault(rangertest.Policies, rangertest.Fault{LoginPage: true}), "login page", policy.CodeInvalid},
		"login page for users": {fault(rangertest.Users, rangertest.Fault{LoginPage: true}), "login page", policy.CodeInvalid},
		"redirect":             {fault(rangertest.Policies, rangertest.Fault{Redirect: "/login.jsp?x=secret"}), "/login.jsp, which is not followed", policy.CodeUnauthenticated},
		"empty body":           {fault(rangertest.Policies, rangertest.Fault{Empty: true}), "empty", policy.CodeInvalid},
		"empty roles":          {fault(rangertest.Roles, rangertest.Fault{Empty: true}), "empty", policy.CodeInvalid},
		"empty object":         {fault(rangertest.Policies, rangertest.Fault{Body: "{}"}), "service", policy.CodeInvalid},
		"no policies key":      {fault(rangertest.Policies, rangertest.Fault{Body: `{"serviceName":"uc","policyVersion":99}`}), "neither", policy.CodeInvalid},
		"a message":            {fault(rangertest.Roles, rangertest.Fault{Body: `{"statusCode":1,"msgDesc":"x"}`}), "rangerRoles", policy.CodeInvalid},
		"both":                 {fault(rangertest.Policies, rangertest.Fault{Body: `{"serviceName":"uc","policyVersion":99,"policies":[{"id":1}],"policyDeltas":[{"changeType":0}]}`}), "both", policy.CodeInvalid},
		"deltas from nowhere":  {fault(rangertest.Policies, rangertest.Fault{Body: `{"serviceName":"uc","policyVersion":99,"policyDeltas":[{"changeType":2,"policy":{"id":777}}]}`}), "policy deltas", policy.CodeInvalid},
		"array":                {fault(rangertest.Policies, rangertest.Fault{Body: `[]`}), "answers with a JSON array, want an object", policy.CodeInvalid},
		"null":                 {fault(rangertest.Policies, rangertest.Fault{Body: `null`}), "answers with JSON null, want an object", policy.CodeInvalid},
		"bad UTF-8":            {fault(rangertest.Policies, rangertest.Fault{Body: "{\"serviceName\":\"uc\xff\"}"}), "UTF-8", policy.CodeInvalid},
		"no policies":          {func(s *rangertest.Server) { s.SetPolicies() }, "policies.accept", policy.CodeRefused},
		"shrunken":             {func(s *rangertest.Server) { s.SetPolicies(pols(4)...) }, "6 of 10 policies", policy.CodeRefused},
		"all disabled":         {func(s *rangertest.Server) { s.SetPolicies(disabled(pols(10))...) }, "no enabled policy", policy.CodeRefused},
		"roles gone":           {func(s *rangertest.Server) { s.SetRoles() }, "all 2 roles are gone", policy.CodeRefused},
		"members gone":         {func(s *rangertest.Server) { s.SetUsers(map[string][]string{"ann@example.com": {"a"}}) }, "group memberships", policy.CodeRefused},
		"version going back": {func(s *rangertest.Server) {
			s.Edit(func(p *ranger.ServicePolicies) { p.PolicyVersion = 1; p.Policies = pols(12) })
		}, "older than 2", policy.CodeRefused},
		"another service": {fault(rangertest.Policies, rangertest.Fault{Body: `{"serviceName":"hive","policyVersion":99,"policies":[]}`}), `"hive"`, policy.CodeInvalid},
		"truncated":       {fault(rangertest.Policies, rangertest.Fault{Truncate: true}), "broke off", policy.CodeUnavailable},
		"truncated tags": {func(s *rangertest.Server) {
			s.SetPolicies(pols(11)...)
			s.SetFault(rangertest.Tags, rangertest.Fault{Body: `{"serviceResources":[`})
		}, "not valid JSON", policy.CodeInvalid},
		"dropped": {fault(rangertest.Users, rangertest.Fault{Drop: true}), "user store", policy.CodeUnavailable},
		"unknown access types": {func(s *rangertest.Server) {
			p := pols(11)
			for i := range p {
				p[i].PolicyItems[0].Accesses[0].Type = "sellect"
			}
			s.SetPolicies(p...)
		}, "no policy can be understood", policy.CodeInvalid},
		"unknown access types in most": {func(s *rangertest.Server) {
			p := pols(11)
			for i := range p[:7] {
				p[i].PolicyItems[0].Accesses[0].Type = "sellect"
			}
			s.SetPolicies(p...)
		}, "6 of 10 policies are gone", policy.CodeRefused},
		"a misspelt part": {func(s *rangertest.Server) {
			s.SetFault(rangertest.Policies, rangertest.Fault{Body: `{"serviceName":"uc","policyVersion":99,"policies":[],"securityZone":{}}`})
		}, "did you mean securityZones?", policy.CodeInvalid},
		"another service's tag": {fault(rangertest.Tags, rangertest.Fault{Body: `{"serviceName":"hive","tagVersion":9,"serviceResources":[]}`}), `"hive"`, policy.CodeInvalid},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := rangertest.New("uc")
			server.SetPolicies(pols(10)...)
			server.SetRoles(ranger.Role{Name: "a"}, ranger.Role{Name: "b"})
			server.SetUsers(map[string][]string{"ann@example.com": {"a", "b", "c"}})
			r := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: start(t, server)}})
			before := mustLoad(t, r, 10)
			test.spoil(server)
			after, err := r.Load(t.Context())
			if err != nil || after != before {
				t.Fatalf("the snapshot changed: %v %v", after, err)
			}
			problem := r.Problem()
			if problem == nil {
				t.Fatal("Problem returns nil")
			}
			if !strings.Contains(problem.Error(), test.want) || policy.CodeOf(problem) != test.code {
				t.Errorf("problem of class %q: %v; want %q: …%s…", policy.CodeOf(problem), problem, test.code, test.want)
			}
			if strings.Contains(problem.Error(), "secret") || strings.Contains(problem.Error(), "\n") {
				t.Errorf("problem %q", problem)
			}
			fresh := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: start(t, server), Service: "uc"}})
			if s, err := fresh.Load(t.Context()); err == nil && len(s.Policies) < 4 {
				t.Errorf("a first load took %d policies", len(s.Policies))
			}
		})
	}
}

func disabled(list []ranger.Policy) []ranger.Policy {
	no := false
	for i := range list {
		list[i].IsEnabled = &no
	}
	return list
}

func TestRangerAcceptsOnPurpose(t *testing.T) {
	server := rangertest.New("uc")
	server.SetPolicies(pols(10)...)
	r := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: start(t, server)}})
	mustLoad(t, r, 10)
	server.SetPolicies(pols(1)...)
	if _, err := r.Load(t.Context()); err != nil || r.Problem() == nil {
		t.Fatal("not refused")
	}
	problem := r.Problem().Error()
	r.Accept(problem[strings.LastIndex(problem, " ")+1:])
	mustLoad(t, r, 1)
}

func TestRangerMissingParts(t *testing.T) {
	server := rangertest.New("uc")
	server.SetPolicies(pols(2)...)
	for _, part := range []rangertest.Part{rangertest.Roles, rangertest.Users, rangertest.Tags} {
		server.SetFault(part, rangertest.Fault{Status: 404})
	}
	url := start(t, server)
	var log logged
	r := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: url, Logger: log.logger()}})
	if s := mustLoad(t, r, 2); s.Users != nil {
		t.Error("membership is not unknown")
	}
	mustLoad(t, r, 2)
	if n := log.count("level=WARN"); n != 3 {
		t.Errorf("%d warnings, want 3:\n%s", n, log.String())
	}
	list := pols(2)
	list[0].PolicyItems[0].Roles = []string{"stewards"}
	server.SetPolicies(list...)
	if _, err := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: url}}).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "names roles") {
		t.Errorf("got %v", err)
	}
	mustLoad(t, newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: url, AllowMissing: true}}), 2)
}

func TestRangerPackedAndBounded(t *testing.T) {
	server := rangertest.New("uc")
	server.SetPolicies(pols(50)...)
	server.SetFault(rangertest.Policies, rangertest.Fault{Gzip: true})
	url := start(t, server)
	mustLoad(t, newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: url}}), 50)
	_, err := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: url, MaxBytes: 4096}}).Load(t.Context())
	if policy.CodeOf(err) != policy.CodeTooLarge {
		t.Errorf("got %v", err)
	}
}

func TestRangerCacheOutlivesTheProcess(t *testing.T) {
	server := rangertest.New("uc")
	server.SetPolicies(pols(10)...)
	var log logged
	options := source.RangerOptions{Options: rangeradmin.Options{URL: start(t, server), Logger: log.logger()}, CacheDir: t.TempDir()}
	first := mustLoad(t, newRanger(t, options), 10)

	server.SetFault(rangertest.Policies, rangertest.Fault{Drop: true})
	r := newRanger(t, options)
	s, err := r.Load(t.Context())
	if err != nil || s.Digest != first.Digest || s.Version != first.Version || r.Problem() == nil {
		t.Fatalf("got %v %v", s, err)
	}
	if !s.FetchedAt.Equal(first.FetchedAt) {
		t.Errorf("a cached snapshot looks confirmed: %v, want %v", s.FetchedAt, first.FetchedAt)
	}
	if log.count("confirmed_ago") != 1 {
		t.Errorf("no warning with the age:\n%s", log.String())
	}
	server.SetFault(rangertest.Policies, rangertest.Fault{})
	server.Restore(1)
	r = newRanger(t, options)
	if s, err := r.Load(t.Context()); err != nil || s.Version != first.Version || r.Problem() == nil {
		t.Errorf("a restart let an older version in: %v %v", s, err)
	}
	server.Restore(2)
	mustLoad(t, newRanger(t, options), 10)
	server.SetPolicies(pols(12)...)
	mustLoad(t, r, 12)
	options.Service = "another"
	if _, err := newRanger(t, options).Load(t.Context()); err == nil {
		t.Error("the cache of another service was used")
	}
}

func TestRangerMutualTLS(t *testing.T) {
	server := rangertest.New("uc")
	server.SetPolicies(pols(2)...)
	web := httptest.NewUnstartedServer(server)
	web.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	web.StartTLS()
	t.Cleanup(web.Close)
	dir := t.TempDir()
	cert := web.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{
		"cert.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})),
		"key.pem":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	})
	options := source.RangerOptions{Options: rangeradmin.Options{URL: web.URL, CAFile: filepath.Join(dir, "cert.pem"), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}}
	mustLoad(t, newRanger(t, options), 2)
	if q := server.Requests(); !q[0].Secure {
		t.Error("the secure download was not used")
	}
	without := source.RangerOptions{Options: rangeradmin.Options{URL: web.URL, CAFile: options.CAFile}}
	if _, err := newRanger(t, without).Load(t.Context()); policy.CodeOf(err) != policy.CodeUnavailable {
		t.Errorf("without a certificate: %v", err)
	}
	untrusted := options
	untrusted.CAFile = ""
	if _, err := newRanger(t, untrusted).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the authority: %v", err)
	}
}

func TestRangerOptionsAreChecked(t *testing.T) {
	bad := []rangeradmin.Options{
		{URL: "", Service: "uc"}, {URL: "ranger:6080", Service: "uc"}, {URL: "ftp://x", Service: "uc"}, {URL: "http://x"},
		{URL: "http://user:hunter2@x", Service: "uc"}, {URL: "http://x?password=hunter2", Service: "uc"}, {URL: "http://x", Service: ".."},
		{URL: "http://x", Service: "uc", Username: "u"}, {URL: "http://x", Service: "uc", Password: "hunter2"},
		{URL: "http://x", Service: "uc", CertFile: "c"}, {URL: "http://x", Service: "uc", Timeout: -1},
		{URL: "http://x", Service: "uc", CertFile: "/nowhere", KeyFile: "/nowhere"}, {URL: "http://x", Service: "uc", CAFile: "/nowhere"},
	}
	for _, o := range bad {
		_, err := source.NewRanger(source.RangerOptions{Options: o})
		if policy.CodeOf(err) != policy.CodeInvalid || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: got %v", o, err)
		}
	}
}

func TestRangerServiceNameIsEscaped(t *testing.T) {
	const name = "uc prod/eu?x#y%2e"
	server := rangertest.New("never")
	var path string
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.EscapedPath()
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	_, err := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: web.URL, Service: name}}).Load(t.Context())
	if want := "/service/plugins/policies/download/uc%20prod%2Feu%3Fx%23y%252e"; path != want || policy.CodeOf(err) != policy.CodeNotFound {
		t.Errorf("path %q, want %q; %v", path, want, err)
	}
}

func TestRangerSecretsStayOut(t *testing.T) {
	var log logged
	r := newRanger(t, source.RangerOptions{Options: rangeradmin.Options{URL: "http://127.0.0.1:1", Username: "u", Password: "hunter2", Logger: log.logger()}})
	_, err := r.Load(t.Context())
	if policy.CodeOf(err) != policy.CodeUnavailable || strings.Contains(err.Error()+log.String(), "hunter2") {
		t.Errorf("got %v\n%s", err, log.String())
	}
}
