package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"ucwarden/endpoint"
	"ucwarden/ondemand"
)

// longestAnswer is how long a call waits for its whole answer; a server may hold one back for a minute. Event streams
// only wait that long to begin.
const longestAnswer = 2 * time.Minute

// maxAnswer and maxProblem bound what is read of one answer, in bytes.
const (
	maxAnswer  = 64 << 20
	maxProblem = 1 << 20
)

// Options say which server to call, and how.
type Options struct {
	BaseURL   string // required: http://127.0.0.1:8282, with a path where the API is served below one
	Token     string // bearer token
	UserAgent string // "" is "ucwarden-client"
	// AllowHTTP permits plain http to a host that is not this machine.
	AllowHTTP bool
	// RootCAs are trusted instead of the system's certificate authorities; nil trusts those. Not with Transport.
	RootCAs *x509.CertPool
	// GetClientCertificate returns our certificate, for a server that asks for one; nil has none. Not with Transport.
	GetClientCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	// Transport sends the requests; nil makes one.
	Transport http.RoundTripper
	// GiveUpAfter is how long Follow goes on with a server that has stopped answering. 0 means 2 minutes.
	GiveUpAfter time.Duration
}

// Client calls one server. It is safe for concurrent use.
type Client struct {
	base        *url.URL
	token       string
	userAgent   string
	giveUpAfter time.Duration
	http        *http.Client
}

// New returns a client. It calls nothing yet; the error says what is wrong with the options.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.BaseURL)
	// The text of a parse error repeats the URL, which may hold a password.
	if err != nil || base.Hostname() == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil {
		return nil, errors.New("want a URL such as http://127.0.0.1:8282, without user or password")
	}
	if o.GiveUpAfter < 0 || (o.RootCAs != nil || o.GetClientCertificate != nil) && o.Transport != nil {
		return nil, errors.New("a negative time to give up after, or certificates beside a transport")
	}
	if o.UserAgent == "" {
		o.UserAgent = "ucwarden-client"
	}
	if o.GiveUpAfter == 0 {
		o.GiveUpAfter = 2 * time.Minute
	}
	client, err := endpoint.NewClient(endpoint.ClientOptions{
		URL: base, Setting: "BaseURL", AllowHTTP: o.AllowHTTP, AllowedBy: "AllowHTTP", RootCAs: o.RootCAs, GetClientCertificate: o.GetClientCertificate, HeaderTimeout: longestAnswer, Transport: o.Transport,
	})
	if err != nil {
		return nil, err
	}
	return &Client{base: base, token: o.Token, userAgent: o.UserAgent, giveUpAfter: o.GiveUpAfter, http: client}, nil
}

// Submit submits a task and returns it as the server stored it. The same id and content again return the stored task.
func (c *Client) Submit(ctx context.Context, t ondemand.Task) (ondemand.Task, error) {
	document, err := json.Marshal(t)
	if err != nil {
		return ondemand.Task{}, fmt.Errorf("write task: %w", err)
	}
	return c.SubmitDocument(ctx, document)
}

// SubmitDocument submits a task document, JSON, as it is. The server checks it.
func (c *Client) SubmitDocument(ctx context.Context, document []byte) (ondemand.Task, error) {
	return c.task(ctx, request{method: http.MethodPost, body: document})
}

// SubmitWait submits a task, lets the server wait for its end, in whole seconds, and returns it as it stands then.
func (c *Client) SubmitWait(ctx context.Context, t ondemand.Task, wait time.Duration) (ondemand.Task, error) {
	document, err := json.Marshal(t)
	if err != nil {
		return ondemand.Task{}, fmt.Errorf("write task: %w", err)
	}
	header := map[string]string{"Prefer": fmt.Sprintf("wait=%d", int(wait.Seconds()))}
	return c.task(ctx, request{method: http.MethodPost, header: header, body: document})
}

// Get returns the task with the id.
func (c *Client) Get(ctx context.Context, id string) (ondemand.Task, error) {
	return c.task(ctx, request{method: http.MethodGet, path: []string{id}})
}

// Cancel ends a task that has not ended yet, as SKIPPED, and returns it.
func (c *Client) Cancel(ctx context.Context, id string) (ondemand.Task, error) {
	return c.task(ctx, request{method: http.MethodPost, path: []string{id, "cancel"}})
}

// Retry starts a task over that ended FAILED or SKIPPED, and returns it.
func (c *Client) Retry(ctx context.Context, id string) (ondemand.Task, error) {
	return c.task(ctx, request{method: http.MethodPost, path: []string{id, "retry"}})
}

// Paused says whether tasks of a server begin, and if not, since when.
type Paused struct {
	Paused bool `json:"paused"`
	*ondemand.Pause
}

// Pause keeps the tasks of the server from beginning.
func (c *Client) Pause(ctx context.Context) (Paused, error) { return c.pause(ctx, "pause") }

// Resume lets the tasks of the server begin again.
func (c *Client) Resume(ctx context.Context) (Paused, error) { return c.pause(ctx, "resume") }

func (c *Client) pause(ctx context.Context, verb string) (Paused, error) {
	var p Paused
	err := c.call(ctx, request{method: http.MethodPost, admin: true, path: []string{verb}}, &p)
	return p, err
}

// MaxPage is the largest page that a server returns.
const MaxPage = 500

// List returns one page of tasks, newest received first; Limit is at most [MaxPage]. Page.NextCursor, set as the
// filter's Cursor, asks for the next one.
func (c *Client) List(ctx context.Context, f ondemand.Filter) (ondemand.Page, error) {
	query := url.Values{}
	for name, value := range map[string]string{
		"status": string(f.Status), "type": string(f.Type), "source": f.Source, "parentId": f.ParentID, "cursor": f.Cursor,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.TopLevel {
		query.Set("topLevel", "true")
	}
	if !f.Since.IsZero() {
		query.Set("since", f.Since.Format(time.RFC3339Nano))
	}
	if f.Limit != 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	return c.ListQuery(ctx, query)
}

// ListQuery is List with the query parameters of the REST API, which the server checks: as a person wrote them, say.
func (c *Client) ListQuery(ctx context.Context, query url.Values) (ondemand.Page, error) {
	var page ondemand.Page
	err := c.call(ctx, request{method: http.MethodGet, query: query}, &page)
	return page, err
}

// request is one call.
type request struct {
	method string
	admin  bool     // below /api/v1/admin instead of /api/v1/tasks
	path   []string // escaped here
	query  url.Values
	header map[string]string
	body   []byte // JSON
}

func (c *Client) task(ctx context.Context, r request) (ondemand.Task, error) {
	var t ondemand.Task
	err := c.call(ctx, r, &t)
	return t, err
}

// call makes the call and decodes the answer into out.
func (c *Client) call(ctx context.Context, r request, out any) error {
	ctx, cancel := context.WithTimeout(ctx, longestAnswer)
	defer cancel()
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	return nil
}

// send makes the call and returns the answer, its body to be read and closed; one of 300 or more is an *Error.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	u := c.base.JoinPath("api", "v1", "tasks")
	if r.admin {
		u = c.base.JoinPath("api", "v1", "admin")
	}
	for _, part := range r.path {
		u = u.JoinPath(url.PathEscape(part))
	}
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("User-Agent", c.userAgent)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		if redirect, ok := errors.AsType[*endpoint.RedirectError](err); ok {
			return nil, redirect
		}
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			return nil, &UnreachableError{BaseURL: c.base.String(), Err: op.Err}
		}
		return nil, fmt.Errorf("call %s: %w", c.base, err)
	}
	if resp.StatusCode >= 300 {
		return nil, readError(resp)
	}
	return resp, nil
}
