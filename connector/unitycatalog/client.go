package unitycatalog

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/databricks/databricks-sdk-go/client"
	"github.com/databricks/databricks-sdk-go/config"
	"github.com/databricks/databricks-sdk-go/httpclient"

	"ucwarden/connector"
	"ucwarden/endpoint"
)

// Client reads and changes the Unity Catalog of one workspace. It is safe for concurrent use; all of its requests share
// one pace.
type Client struct {
	host string
	auth authMethod
	log  *slog.Logger

	api         *client.DatabricksClient
	workspaceID string            // sent in a header where the host serves several workspaces
	base        http.RoundTripper // to the workspace
	tokens      http.RoundTripper // to the server that issues tokens
	maxParallel int               // concurrent listings inside one List
	clock       skew              // when the workspace first answered

	noSummaries atomic.Bool // the server does not support table-summaries
}

var _ connector.Workspace = (*Client)(nil)

// New returns a Client. It sends one request to the workspace, so that a wrong host is found here: an error of class
// policy.CodeUnavailable names the host and what to check, and New may be called again with the same options. Credentials
// are first used, and may be rejected, by the first call; see [Client.Whoami]. Clocks that differ are logged.
func New(ctx context.Context, o Options) (*Client, error) {
	host, err := o.validate()
	if err != nil {
		return nil, err
	}
	auth, err := o.authMethod()
	if err != nil {
		return nil, err
	}
	base, err := o.transport(host, maxResponseSize)
	if err != nil {
		return nil, err
	}
	issuer, err := o.tokenServer(host)
	if err != nil {
		return nil, err
	}
	tokens, err := o.transport(issuer, maxTokenSize)
	if err != nil {
		return nil, err
	}
	meta, clock, err := fetchHostMetadata(ctx, base, host, o.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	if endpoint.IsPlain(host) {
		o.Logger.Warn("databricks.host does not use https: credentials are sent in clear text, to a proxy of the environment too", "host", host.Host)
	}
	clock.log(o.Logger)
	cfg := o.libraryConfig(host, tokens, meta)
	if err := cfg.EnsureResolved(); err != nil {
		return nil, fmt.Errorf("configure Databricks client: %w", trimDebug(err))
	}
	cc, err := config.HTTPClientConfigFromConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("configure Databricks client: %w", trimDebug(err))
	}
	cc.Transport = newPacer(base, o.Pacing, o.RequestTimeout, m, o.Logger)
	cc.AuthVisitor = authVisitor(cfg.Authenticate, auth, o.tokenTimeout())
	// Only the pacer limits and retries. The library has no switch for its own limiter and retries, so its settings
	// make them ineffective: no error is retriable, and rate limit and timeout are too high to be reached.
	cc.ErrorRetriable = func(context.Context, error) bool { return false }
	cc.TransientErrors = nil
	cc.RetryTimeout = time.Nanosecond
	cc.RateLimitPerSecond = 1 << 30
	cc.HTTPTimeout = 365 * 24 * time.Hour
	api, err := client.NewWithClient(cfg, httpclient.NewApiClient(cc))
	if err != nil {
		return nil, fmt.Errorf("configure Databricks client: %w", trimDebug(err))
	}
	return &Client{host: cfg.Host, auth: auth, log: o.Logger, api: api, workspaceID: cfg.WorkspaceID, base: base, tokens: tokens,
		maxParallel: o.Pacing.MaxConcurrency, clock: clock}, nil
}

// Close closes idle connections.
func (c *Client) Close() {
	for _, t := range []http.RoundTripper{c.base, c.tokens} {
		if t, ok := t.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}

// Host returns the URL of the workspace.
func (c *Client) Host() string { return c.host }

// prefix of every Unity Catalog path.
const prefix = "/api/2.1/unity-catalog/"

// get sends a GET request for path, which must be escaped, and decodes the answer into response.
func (c *Client) get(ctx context.Context, route, path string, query url.Values, response any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, requestInfo{route: "GET " + route, idempotent: true}, http.MethodGet, path, nil, response)
}

// do sends one request and decodes the answer into response. Errors are classified.
func (c *Client) do(ctx context.Context, info requestInfo, method, path string, request, response any) error {
	headers := map[string]string{"Accept": "application/json"}
	if c.workspaceID != "" {
		headers["X-Databricks-Workspace-Id"] = c.workspaceID
	}
	if request != nil {
		headers["Content-Type"] = "application/json"
	}
	var body []byte
	err := c.api.Do(withRequestInfo(withLibraryLogger(ctx, c.log), info), method, path, headers, nil, request, &body)
	if err != nil {
		return c.classify(ctx, err)
	}
	if !isObject(body) {
		return notJSONError(c.host, body)
	}
	if err := json.Unmarshal(body, response); err != nil {
		return schemaError(info.route, err)
	}
	return nil
}
