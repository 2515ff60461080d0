package unitycatalog_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ucwarden/connector/unitycatalog"
	"ucwarden/policy"
)

// identity serves OAuth and the workspace on one host. token answers the token requests.
type identity struct {
	*httptest.Server
	tokens atomic.Int64
	calls  atomic.Int64
	last   atomic.Pointer[http.Header]
}

func newIdentity(t *testing.T, token func(http.ResponseWriter, *http.Request)) *identity {
	i := &identity{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /oidc/.well-known/oauth-authorization-server", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"authorization_endpoint":"%[1]s/oidc/v1/authorize","token_endpoint":"%[1]s/oidc/v1/token"}`, i.URL)
	})
	issue := func(w http.ResponseWriter, r *http.Request) {
		i.tokens.Add(1)
		w.Header().Set("Content-Type", "application/json")
		token(w, r)
	}
	mux.HandleFunc("POST /oidc/v1/token", issue)
	mux.HandleFunc("POST /tenant-1/oauth2/token", issue)
	mux.HandleFunc("GET "+uc+"metastore_summary", func(w http.ResponseWriter, r *http.Request) {
		i.calls.Add(1)
		i.last.Store(&r.Header)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"metastore_id":"m"}`)
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func good(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	name := "m2m"
	if resource := r.Form.Get("resource"); resource != "" {
		name = "for-" + resource
	}
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, name)
}

func TestMachineToMachine(t *testing.T) {
	i := newIdentity(t, good)
	c := newClient(t, unitycatalog.Options{Host: i.URL, ClientID: "id", ClientSecret: secret})
	for range 3 {
		if _, err := c.List(t.Context(), policy.Securable{}, policy.Metastore); err != nil {
			t.Fatal(err)
		}
	}
	if got := i.last.Load().Get("Authorization"); got != "Bearer m2m" {
		t.Errorf("credentials sent: %q", got)
	}
	if i.tokens.Load() != 1 {
		t.Errorf("%d token requests for 3 calls, want 1", i.tokens.Load())
	}
}

func TestEntraID(t *testing.T) {
	i := newIdentity(t, good)
	c := newClient(t, unitycatalog.Options{Host: i.URL, ClientID: "id", ClientSecret: secret, AzureTenantID: "tenant-1", AzureAuthority: i.URL})
	if _, err := c.List(t.Context(), policy.Securable{}, policy.Metastore); err != nil {
		t.Fatal(err)
	}
	head := *i.last.Load()
	// 2ff814a6-... is the application that stands for Azure Databricks in every tenant.
	if got := head.Get("Authorization"); got != "Bearer for-2ff814a6-3304-4ab8-85cb-cd0e6f879c1d" {
		t.Errorf("credentials sent: %q", got)
	}
	if got := head.Get("X-Databricks-Azure-SP-Management-Token"); !strings.Contains(got, "management.core.windows.net") {
		t.Errorf("management token sent: %q", got)
	}
}

func TestTokenFailures(t *testing.T) {
	refuse := func(status int) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, `{"error":"invalid_client","error_description":"Client authentication failed"}`)
		}
	}
	tests := []struct {
		name    string
		token   func(http.ResponseWriter, *http.Request)
		tenant  string
		want    policy.Code
		mention string
	}{
		{"wrong secret", refuse(401), "", policy.CodeUnauthenticated, "check databricks.client_id and databricks.client_secret"},
		{"bad request", refuse(400), "", policy.CodeUnauthenticated, "check databricks.client_id"},
		{"wrong secret in Entra ID", refuse(401), "tenant-1", policy.CodeUnauthenticated, "check databricks.azure_tenant_id"},
		{"unknown tenant", good, "tenant-2", policy.CodeUnauthenticated, "check databricks.azure_tenant_id"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			i := newIdentity(t, test.token)
			o := unitycatalog.Options{Host: i.URL, ClientID: "id", ClientSecret: secret, AzureTenantID: test.tenant}
			if test.tenant != "" {
				o.AzureAuthority = i.URL
			}
			_, err := newClient(t, o).List(t.Context(), policy.Securable{}, policy.Metastore)
			checkCode(t, err, test.want, test.mention, i.URL)
			if i.calls.Load() != 0 {
				t.Error("a call went out without credentials")
			}
		})
	}
}

func TestTokenServerHangs(t *testing.T) {
	release := make(chan struct{})
	i := newIdentity(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	o := unitycatalog.Options{Host: i.URL, ClientID: "id", ClientSecret: secret, ConnectTimeout: 10 * time.Second}
	t.Run("the caller gives up", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := newClient(t, o).List(ctx, policy.Securable{}, policy.Metastore)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 10*time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
	})
	t.Run("the client gives up", func(t *testing.T) {
		o.ConnectTimeout = 600 * time.Millisecond // also for New, on a busy machine
		_, err := newClient(t, o).List(t.Context(), policy.Securable{}, policy.Metastore)
		checkCode(t, err, policy.CodeUnavailable, "token server does not answer")
	})
}
