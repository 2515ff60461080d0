package main

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
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ucwarden/apiserver"
	"ucwarden/config"
	"ucwarden/ondemand"
)

// maxAnswer bounds what is read of one answer, in bytes.
const maxAnswer = 64 << 20

// clientFlags say which daemon to talk to and with which token.
type clientFlags struct {
	server, token, tokenFile, caFile string
}

func (f *clientFlags) register(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.server, "server", "", "URL of the REST API (or UCWARDEN_SERVER; default: from apiserver.addr)")
	flags.StringVar(&f.token, "token", "", "bearer token (or UCWARDEN_TOKEN; a file keeps it from other users' eyes)")
	flags.StringVar(&f.tokenFile, "token-file", "", "file that holds the token (or UCWARDEN_TOKEN_FILE)")
	flags.StringVar(&f.caFile, "ca-file", "", "PEM file of certificate authorities to trust instead of the system's")
}

// apiClient calls the REST API of a running daemon.
type apiClient struct {
	base  *url.URL
	token string
	http  *http.Client
}

// client makes a client from the flags, the environment and the configuration.
func (f *clientFlags) client(a *app) (*apiClient, error) {
	token, err := f.findToken(a)
	if err != nil {
		return nil, err
	}
	server := f.server
	if server == "" {
		server = a.getenv("UCWARDEN_SERVER")
	}
	if server == "" {
		c, err := a.loadPart()
		if err != nil {
			return nil, err
		}
		server = localURL(c.APIServer)
	}
	base, err := url.Parse(server)
	if err != nil || base.Hostname() == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil {
		return nil, usageErrorf("--server: want a URL such as http://127.0.0.1:8282, without user or password")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if f.caFile != "" {
		pem, err := os.ReadFile(f.caFile)
		if err != nil {
			return nil, fmt.Errorf("read certificate authorities: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read certificate authorities: no PEM certificate in %s", f.caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &apiClient{base: base, token: token, http: &http.Client{
		Transport: transport,
		// A redirect would take the token to a place that nobody named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (f *clientFlags) findToken(a *app) (string, error) {
	file := f.tokenFile
	switch {
	case f.token != "" && file != "":
		return "", usageErrorf("--token and --token-file exclude one another")
	case f.token != "":
		return f.token, nil
	case file == "" && a.getenv("UCWARDEN_TOKEN") != "":
		return a.getenv("UCWARDEN_TOKEN"), nil
	case file == "":
		file = a.getenv("UCWARDEN_TOKEN_FILE")
	}
	if file == "" {
		return "", withHint(errors.New("no token for the REST API"),
			"give --token-file or set UCWARDEN_TOKEN; make one with: ucwarden token issue")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// localURL is where a daemon with this configuration is reached from the same machine.
func localURL(c config.APIServer) string {
	scheme := "http"
	if c.TLS.Cert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil { // checked by config
		host, port = "", "8282"
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// refusal is an error answer of the REST API.
type refusal struct {
	status  int
	problem apiserver.Problem
}

func (r *refusal) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the server answers %d %s", r.status, http.StatusText(r.status))
	if r.problem.Detail != "" {
		fmt.Fprintf(&b, ": %s", r.problem.Detail)
	}
	for _, e := range r.problem.Errors {
		fmt.Fprintf(&b, "; %s: %s", e.Pointer, e.Detail)
	}
	return b.String()
}

// request is one call.
type request struct {
	method string
	path   []string // below /api/v1/tasks; escaped here
	query  url.Values
	header map[string]string
	body   []byte // JSON
}

// send makes the call and gives the answer's body to read; an answer of 400 or more is a *refusal.
func (c *apiClient) send(ctx context.Context, r request) (*http.Response, error) {
	u := c.base.JoinPath("api", "v1", "tasks")
	for _, part := range r.path {
		u = u.JoinPath(url.PathEscape(part))
	}
	u.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("User-Agent", "ucwarden/"+buildVersion())
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return nil, withHint(fmt.Errorf("no daemon answers at %s: %w", c.base, op.Err),
				"start one with: ucwarden serve, or name another with --server")
		}
		return nil, fmt.Errorf("call %s: %w", c.base, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }() // the status says it all
	refused := &refusal{status: resp.StatusCode}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && json.Unmarshal(body, &refused.problem) != nil {
		refused.problem = apiserver.Problem{} // not ours: a proxy's page
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return nil, withHint(refused, "the token is not accepted: make one with: ucwarden token issue")
	case http.StatusForbidden:
		return nil, withHint(refused, "the token lacks the scope or the catalog: see ucwarden token issue --help")
	}
	return nil, refused
}

// call makes the call and decodes the answer into out.
func (c *apiClient) call(ctx context.Context, r request, out any) error {
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

func (c *apiClient) get(ctx context.Context, id string) (ondemand.Task, error) {
	var t ondemand.Task
	err := c.call(ctx, request{method: http.MethodGet, path: []string{id}}, &t)
	return t, err
}

// patience is how long a watcher bears a daemon that does not answer, once it has answered.
const patience = 2 * time.Minute

// follow calls each for every transition of the task, past ones first, and gives the task when it has ended. It
// reads the event stream and, when that breaks, looks the task up and comes again.
func (c *apiClient) follow(ctx context.Context, id string, each func(ondemand.Transition)) (ondemand.Task, error) {
	type step struct {
		nanos    int64
		from, to ondemand.Status
	}
	seen := make(map[step]bool)
	once := func(t ondemand.Transition) {
		if s := (step{t.Time.UnixNano(), t.From, t.To}); !seen[s] {
			seen[s] = true
			each(t)
		}
	}
	heard := time.Time{} // when the daemon last answered
	wait := 100 * time.Millisecond
	for {
		streamErr := c.stream(ctx, id, once)
		task, err := c.get(ctx, id)
		var refused *refusal
		switch {
		case err == nil:
			heard = time.Now()
			for _, t := range task.Transitions {
				once(t)
			}
			if task.Status.Terminal() {
				return task, nil
			}
		case ctx.Err() != nil:
			return task, ctx.Err()
		case errors.As(err, &refused) && refused.status < 500 && refused.status != http.StatusTooManyRequests,
			heard.IsZero(), time.Since(heard) > patience:
			return task, err
		}
		if streamErr == nil {
			wait = 100 * time.Millisecond // it worked; the daemon ended it
		}
		select {
		case <-ctx.Done():
			return task, ctx.Err()
		case <-time.After(wait):
			wait = min(2*wait, 5*time.Second)
		}
	}
}
