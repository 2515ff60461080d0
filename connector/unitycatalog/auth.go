package unitycatalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/databricks/databricks-sdk-go/common/environment"
	"github.com/databricks/databricks-sdk-go/config"
	"github.com/databricks/databricks-sdk-go/config/credentials"
	"github.com/databricks/databricks-sdk-go/logger"
	"github.com/databricks/databricks-sdk-go/version"

	"ucwarden/endpoint"
	"ucwarden/group"
	"ucwarden/policy"
)

// hostSetting names the setting of the workspace URL.
const hostSetting = "databricks.host"

// maxTokenSize bounds the answers of a server that issues tokens, in bytes.
const maxTokenSize = 1 << 20

// transport returns a transport that reaches one server: the workspace, or the server that issues tokens for it. maxBody
// bounds its answers.
func (o *Options) transport(server *url.URL, maxBody int64) (http.RoundTripper, error) {
	base, err := endpoint.NewTransport(endpoint.ClientOptions{
		URL: server, Setting: hostSetting, AllowHTTP: o.AllowHTTP, RootCAs: o.RootCAs, InsecureSkipVerify: o.InsecureSkipVerify,
		ConnectTimeout: o.ConnectTimeout, MaxIdle: o.Pacing.MaxConcurrency, MaxBody: maxBody, Transport: o.Transport,
	})
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "%w", err)
	}
	return &userAgentTransport{base: base, userAgent: o.UserAgent + " databricks-sdk-go/" + version.Version}, nil
}

// tokenServer returns the server that issues tokens: the workspace, unless Entra ID does.
func (o *Options) tokenServer(host *url.URL) (*url.URL, error) {
	if o.AzureTenantID == "" {
		return host, nil
	}
	u, err := url.Parse(azureEnvironment(host.Host, o.AzureAuthority).AzureActiveDirectoryEndpoint())
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "the Entra ID endpoint is not a URL")
	}
	return u, nil
}

// userAgentTransport sets our User-Agent, instead of the library's, which describes the machine.
type userAgentTransport struct {
	base      http.RoundTripper
	userAgent string
}

func (s *userAgentTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	signed := req.Clone(req.Context())
	signed.Header.Set("User-Agent", s.userAgent)
	return s.base.RoundTrip(signed)
}

func (s *userAgentTransport) CloseIdleConnections() {
	if t, ok := s.base.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// fetchHostMetadata returns the host's metadata (account, workspace, cloud, OAuth endpoint), or nil when it serves none,
// and how its clock and ours differ. The library would fetch them too, but retry for minutes when the host does not answer.
func fetchHostMetadata(ctx context.Context, base http.RoundTripper, host *url.URL, timeout time.Duration) (*config.HostMetadata, skew, error) {
	pctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	u := url.URL{Scheme: host.Scheme, Host: host.Host, Path: "/.well-known/databricks-config"}
	req, err := http.NewRequestWithContext(pctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, skew{}, policy.Errorf(policy.CodeInvalid, "databricks.host is not a workspace URL: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	asked := time.Now()
	resp, err := base.RoundTrip(req)
	if err != nil {
		if pctx.Err() != nil && ctx.Err() == nil {
			err = &attemptTimeout{timeout}
		}
		return nil, skew{}, unreachableError(host.Scheme+"://"+host.Host, err)
	}
	defer resp.Body.Close()
	clock := skewOf(asked, time.Now(), resp.Header)
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, clock, nil // the host answers; the first API call shows whether it is a workspace
	}
	var meta config.HostMetadata
	if json.Unmarshal(body, &meta) != nil || meta.OIDCEndpoint == "" {
		return nil, clock, nil // the library would print an error
	}
	return &meta, clock, nil
}

// unreachableError returns the error for a host that does not answer, with what to check.
func unreachableError(host string, err error) error {
	check := "check databricks.host, DNS, firewall and proxy"
	large, tooLarge := errors.AsType[*endpoint.TooLargeError](err)
	switch {
	case tooLarge: // nor will it be smaller the next time
		return policy.Errorf(policy.CodeTooLarge, "workspace %s sent what no answer of the API is: check that no proxy answers for it: %w", host, large)
	case isRefused(err):
		return &policy.Error{Code: policy.CodeUnavailable, Err: fmt.Errorf("workspace %s: %w", host, err)}
	case errors.As(err, new(*brokenOffError)) && !errors.As(err, new(*attemptTimeout)):
		return policy.Errorf(policy.CodeUnavailable, "workspace %s answers, but not to the end: check proxy and network: %w", host, err)
	case isExpired(err):
		check = "check the clock of this machine, and the workspace's certificate"
	case isUntrusted(err):
		check = "check databricks.host, and that this machine trusts the certificate"
	}
	return policy.Errorf(policy.CodeUnavailable, "workspace %s does not answer: %s: %w", host, check, err)
}

// libraryConfig returns the library's configuration with our credentials and nothing from the environment or files.
func (o *Options) libraryConfig(host *url.URL, base http.RoundTripper, meta *config.HostMetadata) *config.Config {
	cfg := &config.Config{
		Host:          host.String(),
		HTTPTransport: base,
		Loaders:       []config.Loader{noConfigLoader{}},
		// These two are for token requests; the pacer handles API calls.
		HTTPTimeoutSeconds:  max(1, int(o.tokenTimeout().Seconds())),
		RetryTimeoutSeconds: 1,
		HostMetadataResolver: func(context.Context, string) (*config.HostMetadata, error) {
			return meta, nil
		},
	}
	var strategy config.CredentialsStrategy
	switch {
	case o.Token != "":
		cfg.Token = o.Token
		strategy = config.PatCredentials{}
	case o.AzureTenantID != "":
		cfg.AzureTenantID, cfg.AzureClientID, cfg.AzureClientSecret = o.AzureTenantID, o.ClientID, o.ClientSecret
		cfg.Cloud = environment.CloudAzure
		cfg.DatabricksEnvironment = azureEnvironment(host.Host, o.AzureAuthority)
		strategy = config.AzureClientSecretCredentials{}
	default:
		cfg.ClientID, cfg.ClientSecret = o.ClientID, o.ClientSecret
		strategy = config.M2mCredentials{}
	}
	cfg.Credentials = loggingStrategy{strategy, o.Logger}
	return cfg
}

// azureEnvironment returns the Azure cloud of host; the public one where the name does not show it (a private endpoint).
func azureEnvironment(host, authority string) *environment.DatabricksEnvironment {
	env := environment.GetEnvironmentForHostname(host)
	if env.Cloud != environment.CloudAzure {
		env = environment.GetEnvironmentForHostname("adb.azuredatabricks.net")
	}
	if authority != "" {
		azure := *env.AzureEnvironment
		azure.ActiveDirectoryEndpoint = strings.TrimRight(authority, "/") + "/"
		env.AzureEnvironment = &azure
	}
	return &env
}

type noConfigLoader struct{}

func (noConfigLoader) Name() string                   { return "none" }
func (noConfigLoader) Configure(*config.Config) error { return nil }

// tokenTimeout returns how long a call waits for a token.
func (o *Options) tokenTimeout() time.Duration { return 3 * o.ConnectTimeout }

// authError marks a failure to get or to use credentials before a request was sent.
type authError struct{ err error }

func (e *authError) Error() string { return e.err.Error() }
func (e *authError) Unwrap() error { return e.err }

// authVisitor returns a function that adds credentials to requests. The library fetches tokens without the request's
// context, so a hanging token server would block a request whose context has ended; hence the goroutine, which ends with
// the library's own timeouts. It works on a copy of the request, because its caller may have returned.
func authVisitor(authenticate func(*http.Request) error, method authMethod, timeout time.Duration) func(*http.Request) error {
	if !method.fetchesToken {
		return func(r *http.Request) error { return asAuthError(authenticate(r)) }
	}
	return func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		copied := &http.Request{Method: r.Method, URL: r.URL, Header: make(http.Header)}
		done := make(chan error, 1)
		go func() { done <- group.Call(func() error { return authenticate(copied) }) }()
		select {
		case err := <-done:
			for name, values := range copied.Header {
				r.Header[name] = values
			}
			return asAuthError(err)
		case <-ctx.Done():
		}
		if err := r.Context().Err(); err != nil {
			return err
		}
		return &authError{&attemptTimeout{timeout}}
	}
}

func asAuthError(err error) error {
	if err == nil {
		return nil
	}
	return &authError{trimDebug(err)}
}

// trimDebug removes the dump of the configuration that the library appends to its errors.
func trimDebug(err error) error {
	text, _, found := strings.Cut(err.Error(), ". Config: ")
	if !found {
		return err
	}
	return &shortError{text, err}
}

type shortError struct {
	text string
	err  error
}

func (e *shortError) Error() string { return e.text }
func (e *shortError) Unwrap() error { return e.err }

// loggingStrategy makes the library use our logger instead of standard error.
type loggingStrategy struct {
	config.CredentialsStrategy
	log *slog.Logger
}

func (s loggingStrategy) Configure(ctx context.Context, cfg *config.Config) (credentials.CredentialsProvider, error) {
	provider, err := s.CredentialsStrategy.Configure(withLibraryLogger(ctx, s.log), cfg)
	if err == nil && provider == nil {
		return nil, errors.New("the credentials are incomplete")
	}
	return provider, err
}

// withLibraryLogger makes the library log warnings and errors to our logger. Lower levels would log request bodies.
func withLibraryLogger(ctx context.Context, log *slog.Logger) context.Context {
	return logger.NewContext(ctx, &libraryLogger{log})
}

type libraryLogger struct{ log *slog.Logger }

func (l *libraryLogger) Enabled(_ context.Context, level logger.Level) bool {
	return level >= logger.LevelWarn
}
func (l *libraryLogger) Tracef(context.Context, string, ...any) {}
func (l *libraryLogger) Debugf(context.Context, string, ...any) {}
func (l *libraryLogger) Infof(context.Context, string, ...any)  {}
func (l *libraryLogger) Warnf(ctx context.Context, format string, v ...any) {
	l.log.WarnContext(ctx, "Databricks client library: "+fmt.Sprintf(format, v...))
}
func (l *libraryLogger) Errorf(ctx context.Context, format string, v ...any) {
	l.log.ErrorContext(ctx, "Databricks client library: "+fmt.Sprintf(format, v...))
}
