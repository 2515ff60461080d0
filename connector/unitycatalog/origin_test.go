package unitycatalog_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ucwarden/connector/unitycatalog"
	"ucwarden/endpoint"
	"ucwarden/policy"
)

// thief counts the requests that reach it, and answers like a workspace and a token server.
func newThief(t *testing.T) (*httptest.Server, *atomic.Int64) {
	var reached atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"metastore_id":"theirs","access_token":"x","token_type":"Bearer","expires_in":3600}`)
	}))
	t.Cleanup(server.Close)
	return server, &reached
}

// The token goes to the workspace alone, whatever the workspace answers, and nothing that another host says is believed.
func TestWorkspaceCannotRedirectTheToken(t *testing.T) {
	thief, reached := newThief(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		var calls atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, uc) {
				http.NotFound(w, r)
				return
			}
			calls.Add(1)
			http.Redirect(w, r, thief.URL+r.URL.Path, status)
		}))
		defer server.Close()
		c := newClient(t, unitycatalog.Options{Host: server.URL, Token: secret, Pacing: quick})
		_, err := c.List(t.Context(), policy.Securable{}, policy.Metastore)
		checkCode(t, err, policy.CodeUnavailable, thief.URL, "databricks.host")
		if calls.Load() != 1 {
			t.Errorf("%d: asked %d times, although no retry changes a redirect", status, calls.Load())
		}
	}
	if reached.Load() > 0 {
		t.Errorf("%d requests followed a redirect", reached.Load())
	}
}

func TestHostMetadataCannotRedirect(t *testing.T) {
	thief, reached := newThief(t)
	server := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusFound))
	defer server.Close()
	_, err := unitycatalog.New(t.Context(), unitycatalog.Options{Host: server.URL, Token: secret})
	checkCode(t, err, policy.CodeUnavailable, thief.URL, server.URL)
	if reached.Load() > 0 {
		t.Error("the redirect was followed")
	}
}

// The client secret goes to the workspace, or to Entra ID, alone: not where a redirect of the token server, its metadata
// or the workspace's metadata point.
func TestSecretIsSentToOneTokenServer(t *testing.T) {
	thief, reached := newThief(t)
	json := func(format string, args ...any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, format, args...)
		}
	}
	redirect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL+"/token", status) }
	}
	const config, metadata, token, azure = "/.well-known/databricks-config", "/oidc/.well-known/oauth-authorization-server", "/oidc/v1/token", "/tenant-1/oauth2/token"
	for name, test := range map[string]struct {
		paths  map[string]http.HandlerFunc
		tenant string
	}{
		"the workspace names another token server":    {map[string]http.HandlerFunc{config: json(`{"oidc_endpoint":"%s/oidc","workspace_id":"1"}`, thief.URL)}, ""},
		"the metadata names another token server":     {map[string]http.HandlerFunc{metadata: json(`{"authorization_endpoint":"%[1]s/a","token_endpoint":"%[1]s/token"}`, thief.URL)}, ""},
		"the metadata is redirected":                  {map[string]http.HandlerFunc{metadata: redirect(302)}, ""},
		"the token request is redirected":             {map[string]http.HandlerFunc{token: redirect(302)}, ""},
		"the token request is redirected with a body": {map[string]http.HandlerFunc{token: redirect(307)}, ""},
		"Entra ID redirects":                          {map[string]http.HandlerFunc{azure: redirect(308)}, "tenant-1"},
	} {
		t.Run(name, func(t *testing.T) {
			var server *httptest.Server
			server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch handler := test.paths[r.URL.Path]; {
				case handler != nil:
					handler(w, r)
				case r.URL.Path == metadata:
					json(`{"authorization_endpoint":"%[1]s/oidc/v1/authorize","token_endpoint":"%[1]s/oidc/v1/token"}`, server.URL)(w, r)
				default:
					http.NotFound(w, r)
				}
			}))
			defer server.Close()
			o := unitycatalog.Options{Host: server.URL, ClientID: "id", ClientSecret: secret, AzureTenantID: test.tenant, Pacing: quick}
			if test.tenant != "" {
				o.AzureAuthority = server.URL
			}
			c, err := unitycatalog.New(t.Context(), o)
			if err == nil {
				defer c.Close()
				_, err = c.List(t.Context(), policy.Securable{}, policy.Metastore)
			}
			if err == nil {
				t.Fatal("no error")
			}
			checkCode(t, err, policy.CodeOf(err), thief.URL)
			if code := policy.CodeOf(err); code != policy.CodeUnavailable && code != policy.CodeUnauthenticated {
				t.Errorf("class %s: %v", code, err)
			}
		})
	}
	if reached.Load() > 0 {
		t.Errorf("%d requests reached another server", reached.Load())
	}
}

func TestPlainHTTPToAWorkspaceIsRefused(t *testing.T) {
	none := roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("asked") })
	_, err := unitycatalog.New(t.Context(), unitycatalog.Options{Host: "http://workspace.example", Token: secret, Transport: none})
	checkCode(t, err, policy.CodeInvalid, "databricks.host.allow_http", "workspace.example")
	if !errors.As(err, new(*endpoint.PlainTextError)) {
		t.Errorf("%v", err)
	}
	_, err = unitycatalog.New(t.Context(), unitycatalog.Options{Host: "http://workspace.example", Token: secret, AllowHTTP: true, Transport: none})
	checkCode(t, err, policy.CodeUnavailable, "asked")
	_, err = unitycatalog.New(t.Context(), unitycatalog.Options{Host: "https://workspace.example", ClientID: "i", ClientSecret: secret, AzureTenantID: "t",
		AzureAuthority: "http://login.example", Transport: none})
	checkCode(t, err, policy.CodeInvalid, "login.example")
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Slow, huge and compressed answers cost bounded time and memory, those of the token server too.
func TestHostileAnswersAreBounded(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"slow body": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			for r.Context().Err() == nil {
				fmt.Fprint(w, " ")
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		},
		"compressed bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.CopyN(z, spaces{}, 300<<20)
			_ = z.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIdentity(t, answer)
			o := unitycatalog.Options{Host: i.URL, ClientID: "id", ClientSecret: secret, ConnectTimeout: 500 * time.Millisecond, Pacing: quick}
			start := time.Now()
			_, err := newClient(t, o).List(t.Context(), policy.Securable{}, policy.Metastore)
			checkCode(t, err, policy.CodeOf(err))
			if err == nil || i.calls.Load() > 0 || time.Since(start) > 20*time.Second {
				t.Errorf("error %v after %s, %d calls", err, time.Since(start), i.calls.Load())
			}
		})
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
