package unitycatalog

import (
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
)

// Options says which workspace to connect to and with which credentials. Exactly one authentication method must be set:
// Token (a personal access token); or ClientID and ClientSecret (OAuth machine-to-machine); or these two with
// AzureTenantID (an Entra ID service principal). Only the proxy settings are read from the environment.
type Options struct {
	Host string // workspace URL; https:// is added where the scheme is missing

	Token         string
	ClientID      string
	ClientSecret  string
	AzureTenantID string
	// AzureAuthority is the Entra ID endpoint; default the one of the Azure cloud that Host belongs to.
	AzureAuthority string

	UserAgent  string // of our requests; default "ucwarden"
	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil

	// RequestTimeout bounds one call from its first attempt on, retries included; default 3 minutes. Time in the queue
	// before the first attempt does not count.
	RequestTimeout time.Duration
	// ConnectTimeout bounds opening a connection, and the request that New sends; default 5 s.
	ConnectTimeout time.Duration
	Pacing         Pacing

	AllowHTTP          bool           // plain http to a host that is not this machine
	RootCAs            *x509.CertPool // instead of the system's
	InsecureSkipVerify bool           // accept any certificate; for tests
	// Transport replaces the connections themselves; for tests.
	Transport http.RoundTripper
}

// Pacing limits the load on a workspace. Within the limits, concurrency and rate adapt to the workspace's 429 answers
// and latency. Zero fields take the default.
type Pacing struct {
	InitialConcurrency int           // requests in flight at first; default 8
	MaxConcurrency     int           // default 32
	MaxRate            float64       // requests started per second; default no limit, until the server answers 429
	MaxAttempts        int           // per call, the first included; default 6
	AttemptTimeout     time.Duration // for one attempt, until the whole answer is received; default 60 s
	BaseBackoff        time.Duration // before the second attempt, doubled for each further one; default 200 ms
	MaxBackoff         time.Duration // default 15 s; a longer Retry-After of the server is obeyed
}

func (p Pacing) withDefaults() Pacing {
	setDefault(&p.MaxConcurrency, 32)
	setDefault(&p.InitialConcurrency, min(8, p.MaxConcurrency))
	setDefault(&p.MaxAttempts, 6)
	setDefault(&p.AttemptTimeout, 60*time.Second)
	setDefault(&p.BaseBackoff, 200*time.Millisecond)
	setDefault(&p.MaxBackoff, 15*time.Second)
	return p
}

func (p Pacing) validate() error {
	switch {
	case p.MaxConcurrency < 1 || p.InitialConcurrency < 1 || p.InitialConcurrency > p.MaxConcurrency:
		return policy.Errorf(policy.CodeInvalid, "pacing: want 1 ≤ initial concurrency ≤ max concurrency, got %d and %d",
			p.InitialConcurrency, p.MaxConcurrency)
	case p.MaxRate < 0, p.MaxAttempts < 1, p.AttemptTimeout < 0, p.BaseBackoff < 0, p.MaxBackoff < p.BaseBackoff:
		return policy.Errorf(policy.CodeInvalid, "pacing: negative limit, or max backoff below base backoff: %+v", p)
	}
	return nil
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// authMethod is an authentication method.
type authMethod struct {
	settings     string // the configuration keys it needs, for messages
	fetchesToken bool   // tokens are fetched from a token server
}

// authMethod returns the method whose credentials are set, or an error if they are incomplete or of two methods.
func (o *Options) authMethod() (authMethod, error) {
	id, secret, tenant, token := o.ClientID != "", o.ClientSecret != "", o.AzureTenantID != "", o.Token != ""
	switch {
	case token && (id || secret || tenant):
		return authMethod{}, policy.Errorf(policy.CodeInvalid, "two authentication methods are configured: "+
			"set either databricks.token or databricks.client_id and databricks.client_secret, not both")
	case token:
		return authMethod{settings: "databricks.token"}, nil
	case id && secret && tenant:
		return authMethod{"databricks.azure_tenant_id, databricks.client_id and databricks.client_secret", true}, nil
	case id && secret:
		return authMethod{"databricks.client_id and databricks.client_secret", true}, nil
	case id:
		return authMethod{}, policy.Errorf(policy.CodeInvalid, "databricks.client_id is set without databricks.client_secret")
	case secret:
		return authMethod{}, policy.Errorf(policy.CodeInvalid, "databricks.client_secret is set without databricks.client_id")
	case tenant:
		return authMethod{}, policy.Errorf(policy.CodeInvalid,
			"databricks.azure_tenant_id is set without databricks.client_id and databricks.client_secret")
	}
	return authMethod{}, policy.Errorf(policy.CodeInvalid,
		"no credentials for Databricks: set databricks.token, or databricks.client_id and databricks.client_secret")
}

// validate sets defaults, checks the options, and returns the host as a URL.
func (o *Options) validate() (*url.URL, error) {
	setDefault(&o.UserAgent, "ucwarden")
	setDefault(&o.RequestTimeout, 3*time.Minute)
	setDefault(&o.ConnectTimeout, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Pacing = o.Pacing.withDefaults()
	if err := o.Pacing.validate(); err != nil {
		return nil, err
	}
	if o.RequestTimeout < 0 || o.ConnectTimeout < 0 {
		return nil, policy.Errorf(policy.CodeInvalid, "negative timeout: request %s, connect %s", o.RequestTimeout, o.ConnectTimeout)
	}
	return parseHost(o.Host)
}

func parseHost(host string) (*url.URL, error) {
	host = strings.TrimSpace(host)
	if host == "" {
		return nil, policy.Errorf(policy.CodeInvalid, "no workspace: set databricks.host to its URL, "+
			"for example https://dbc-1234abcd-56ef.cloud.databricks.com")
	}
	if !strings.Contains(host, "://") {
		host = "https://" + host
	}
	u, err := url.Parse(host)
	// The text of a parse error repeats the URL, which may hold a password.
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return nil, policy.Errorf(policy.CodeInvalid, hostSetting+" is not a workspace URL: "+
			"want https://NAME, without user or password")
	}
	return u, nil
}
