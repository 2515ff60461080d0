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
	"time"

	"ucwarden/endpoint"
	"ucwarden/ondemand"
	"ucwarden/ondemand/store"
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
	giveUpAfter time.Duration
	api         *API
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
	api, err := NewClient(base.String(), WithHTTPClient(&sender{base: base, token: o.Token, userAgent: o.UserAgent, http: client}))
	if err != nil {
		return nil, err
	}
	return &Client{giveUpAfter: o.GiveUpAfter, api: api}, nil
}

// API returns the calls as the API's document has them, for those that Client has no method for. They send the token, and return an
// [*Error] for an answer of 300 or more, and an [*UnreachableError].
func (c *Client) API() *API { return c.api }

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
	return c.submit(ctx, document, SubmitTaskParams{})
}

// SubmitWait submits a task, lets the server wait for its end, in whole seconds, and returns it as it stands then.
func (c *Client) SubmitWait(ctx context.Context, t ondemand.Task, wait time.Duration) (ondemand.Task, error) {
	document, err := json.Marshal(t)
	if err != nil {
		return ondemand.Task{}, fmt.Errorf("write task: %w", err)
	}
	return c.submit(ctx, document, SubmitTaskParams{Prefer: new(fmt.Sprintf("wait=%d", int(wait.Seconds())))})
}

func (c *Client) submit(ctx context.Context, document []byte, params SubmitTaskParams) (ondemand.Task, error) {
	return answer[ondemand.Task](ctx, func(ctx context.Context) (*http.Response, error) {
		return c.api.SubmitTaskWithBody(ctx, &params, "application/json", bytes.NewReader(document))
	})
}

// SubmitAll submits up to 1,000 tasks, which the server stores in one commit, and returns what became of each. One with a problem of
// status 429 or 503 may be submitted again after its RetryAfter, in seconds. After an error nothing was stored, or nothing is known.
func (c *Client) SubmitAll(ctx context.Context, tasks []ondemand.Task) ([]BatchItem, error) {
	document, err := json.Marshal(tasks)
	if err != nil {
		return nil, fmt.Errorf("write tasks: %w", err)
	}
	all, err := answer[BatchAnswer](ctx, func(ctx context.Context) (*http.Response, error) { return c.api.SubmitTasks(ctx, document) })
	return all.Items, err
}

// Get returns the task with the id.
func (c *Client) Get(ctx context.Context, id string) (ondemand.Task, error) {
	return answer[ondemand.Task](ctx, func(ctx context.Context) (*http.Response, error) { return c.api.GetTask(ctx, id) })
}

// Cancel ends a task that has not ended yet, as SKIPPED, and returns it.
func (c *Client) Cancel(ctx context.Context, id string) (ondemand.Task, error) {
	return answer[ondemand.Task](ctx, func(ctx context.Context) (*http.Response, error) { return c.api.CancelTask(ctx, id) })
}

// Retry starts a task over that ended FAILED or SKIPPED, and returns it.
func (c *Client) Retry(ctx context.Context, id string) (ondemand.Task, error) {
	return answer[ondemand.Task](ctx, func(ctx context.Context) (*http.Response, error) { return c.api.RetryTask(ctx, id) })
}

// Pause keeps the tasks of the server from beginning.
func (c *Client) Pause(ctx context.Context) (PauseState, error) {
	return answer[PauseState](ctx, func(ctx context.Context) (*http.Response, error) { return c.api.Pause(ctx) })
}

// Resume lets the tasks of the server begin again.
func (c *Client) Resume(ctx context.Context) (PauseState, error) {
	return answer[PauseState](ctx, func(ctx context.Context) (*http.Response, error) { return c.api.Resume(ctx) })
}

// MaxPage is the largest page that a server returns.
const MaxPage = 500

// List returns one page of tasks, newest received first; Limit is at most [MaxPage]. Page.NextCursor, set as the
// filter's Cursor, asks for the next one.
func (c *Client) List(ctx context.Context, f ondemand.Filter) (ondemand.Page, error) {
	params := ListTasksParams{
		Status: given(f.Status), Type: given(string(f.Type)), Source: given(f.Source), ParentID: given(f.ParentID), ExternalID: given(f.ExternalID),
		TopLevel: given(f.TopLevel), Limit: given(f.Limit), Cursor: given(f.Cursor),
	}
	if !f.Since.IsZero() {
		params.Since = new(f.Since.Format(time.RFC3339Nano))
	}
	return answer[ondemand.Page](ctx, func(ctx context.Context) (*http.Response, error) { return c.api.ListTasks(ctx, &params) })
}

// given returns a parameter that is sent only where it is not zero.
func given[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// ListQuery is List with the query parameters of the REST API, which the server checks: as a person wrote them, say.
func (c *Client) ListQuery(ctx context.Context, query url.Values) (ondemand.Page, error) {
	asWritten := func(_ context.Context, req *http.Request) error {
		req.URL.RawQuery = query.Encode()
		return nil
	}
	return answer[ondemand.Page](ctx, func(ctx context.Context) (*http.Response, error) { return c.api.ListTasks(ctx, nil, asWritten) })
}

// Plan returns what a full sync plans to change, or planned, with up to limit changes, or 1,000 where limit is 0: the sync with the id,
// or with "" the last one.
func (c *Client) Plan(ctx context.Context, id string, limit int) (Plan, error) {
	return answer[Plan](ctx, func(ctx context.Context) (*http.Response, error) {
		if id == "" {
			return c.api.GetPlan(ctx, &GetPlanParams{Limit: given(limit)})
		}
		return c.api.GetTaskPlan(ctx, id, &GetTaskPlanParams{Limit: given(limit)})
	})
}

// Audit returns one page of the audit trail, oldest change first. AuditPage.NextCursor, set as the Cursor, asks for the next one.
func (c *Client) Audit(ctx context.Context, params ListAuditParams) (AuditPage, error) {
	return answer[AuditPage](ctx, func(ctx context.Context) (*http.Response, error) { return c.api.ListAudit(ctx, &params) })
}

// CheckStore lets the server read its store whole, and returns what is in it.
func (c *Client) CheckStore(ctx context.Context) (store.Report, error) {
	resp, err := c.api.CheckStore(ctx) //nolint:bodyclose // read closes it; for as long as the check takes
	return read[store.Report](resp, err)
}

// BackupStore writes a copy of the server's store to w. One that is cut off is an error.
func (c *Client) BackupStore(ctx context.Context, w io.Writer) error {
	resp, err := c.api.BackupStore(ctx)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, resp.Body)
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("receive the backup: %w", err)
	}
	return nil
}

// answer makes a call within the time that a call may take, and returns its answer.
func answer[T any](ctx context.Context, call func(context.Context) (*http.Response, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, longestAnswer)
	defer cancel()
	resp, err := call(ctx) //nolint:bodyclose // read closes it
	return read[T](resp, err)
}

// read returns what the body of an answer holds.
func read[T any](resp *http.Response, err error) (T, error) {
	var out T
	if err != nil {
		return out, err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end below
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&out); err != nil {
		return out, fmt.Errorf("read the server's answer: %w", err)
	}
	return out, nil
}

// sender sends the requests of [API].
type sender struct {
	base      *url.URL
	token     string
	userAgent string
	http      *http.Client
}

// Do sends a request and returns the answer, its body to be read and closed; one of 300 or more is an *Error.
func (s *sender) Do(req *http.Request) (*http.Response, error) {
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("User-Agent", s.userAgent)
	resp, err := s.http.Do(req)
	if err != nil {
		if ctx := req.Context(); errors.Is(ctx.Err(), context.Canceled) {
			return nil, ctx.Err()
		}
		if redirect, ok := errors.AsType[*endpoint.RedirectError](err); ok {
			return nil, redirect
		}
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			return nil, &UnreachableError{BaseURL: s.base.String(), Err: op.Err}
		}
		return nil, fmt.Errorf("call %s: %w", s.base, err)
	}
	if resp.StatusCode >= 300 {
		return nil, readError(resp)
	}
	return resp, nil
}
