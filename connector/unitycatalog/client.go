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
)

// Client reads and changes the Unity Catalog of one workspace. It is safe for concurrent use; all of its requests share
// one pace.
type Client struct {
	host string
	auth authMethod
	log  *slog.Logger

	api         *client.DatabricksClient
	workspaceID string // sent along where the host serves several workspaces
	base        http.RoundTripper
	parallel    int // listings under way at once inside one List

	noSummaries atomic.Bool // the server does not serve table-summaries
}

var _ connector.Workspace = (*Client)(nil)

// New makes a Client. It asks the workspace once who it is, so that a wrong host is found out here: an error of
// policy.CodeUnavailable names the host and what to check. Credentials are used, and may be refused, only with the
// first call; see [Client.Whoami].
func New(ctx context.Context, o Options) (*Client, error) {
	host, err := o.validate()
	if err != nil {
		return nil, err
	}
	auth, err := o.authMethod()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	if host.Scheme == "http" && !isLoopback(host.Hostname()) {
		o.Logger.Warn("databricks.host is not https: credentials cross the network in clear text", "host", host.Host)
	}
	base := o.transport()
	meta, err := probe(ctx, base, host, o.ConnectTimeout)
	if err != nil {
		return nil, err
	}
	cfg := o.libraryConfig(host, base, meta)
	if err := cfg.EnsureResolved(); err != nil {
		return nil, fmt.Errorf("configure Databricks client: %w", withoutDebug(err))
	}
	cc, err := config.HTTPClientConfigFromConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("configure Databricks client: %w", withoutDebug(err))
	}
	cc.Transport = newPacer(base, o.Pacing, o.RequestTimeout, m, o.Logger)
	cc.AuthVisitor = authVisitor(cfg.Authenticate, auth, o.tokenTimeout())
	// The pacer alone limits and retries. The library cannot be told not to, only made unable: no error is worth a
	// retry, the time for retries is over at once, and the limit and the timeout are out of reach.
	cc.ErrorRetriable = func(context.Context, error) bool { return false }
	cc.TransientErrors = nil
	cc.RetryTimeout = time.Nanosecond
	cc.RateLimitPerSecond = 1 << 30
	cc.HTTPTimeout = 365 * 24 * time.Hour
	api, err := client.NewWithClient(cfg, httpclient.NewApiClient(cc))
	if err != nil {
		return nil, fmt.Errorf("configure Databricks client: %w", withoutDebug(err))
	}
	return &Client{host: cfg.Host, auth: auth, log: o.Logger, api: api, workspaceID: cfg.WorkspaceID, base: base,
		parallel: o.Pacing.MaxConcurrency}, nil
}

// Close drops idle connections.
func (c *Client) Close() {
	if t, ok := c.base.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Host is the URL of the workspace.
func (c *Client) Host() string { return c.host }

// prefix of every Unity Catalog path.
const prefix = "/api/2.1/unity-catalog/"

// get reads path, which must be escaped, with query into response.
func (c *Client) get(ctx context.Context, route, path string, query url.Values, response any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, call{route: "GET " + route, repeatable: true}, http.MethodGet, path, nil, response)
}

// do sends one request. Errors are classified.
func (c *Client) do(ctx context.Context, info call, method, path string, request, response any) error {
	headers := map[string]string{"Accept": "application/json"}
	if c.workspaceID != "" {
		headers["X-Databricks-Workspace-Id"] = c.workspaceID
	}
	if request != nil {
		headers["Content-Type"] = "application/json"
	}
	var body []byte
	err := c.api.Do(withCall(quiet(ctx, c.log), info), method, path, headers, nil, request, &body)
	if err != nil {
		return c.classify(ctx, err)
	}
	if !isObject(body) {
		return garbled(c.host, body)
	}
	if err := json.Unmarshal(body, response); err != nil {
		return garbledField(info.route, err)
	}
	return nil
}
