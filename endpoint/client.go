package endpoint

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ClientOptions describe the one server that a client talks to.
type ClientOptions struct {
	// URL is the server. Requests to any other origin (scheme, host and port) are refused, so that what a server
	// answers cannot take a credential elsewhere.
	URL *url.URL
	// Setting is the name of the setting that holds URL, for errors: databricks.host.
	Setting string
	// AllowHTTP permits plain http to a host that is not this machine. A proxy of the environment then sees everything
	// too.
	AllowHTTP bool
	AllowedBy string // the setting that AllowHTTP comes from, for errors; "" means Setting.allow_http

	// PublicOnly refuses to connect to an address that is not public, whatever name leads to it. Proxies of the environment
	// are not used then: they would connect for us, to anywhere.
	PublicOnly bool

	RootCAs              *x509.CertPool // instead of the system's
	GetClientCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	InsecureSkipVerify   bool // accept any certificate; for tests

	ConnectTimeout time.Duration // of the connection, and of the TLS handshake; 0 means 10 s
	HeaderTimeout  time.Duration // from the request to the answer's header; 0 means as long as the request's context
	MaxIdle        int           // idle connections that are kept; 0 means 2
	MaxBody        int64         // bytes of an answer, uncompressed; reading more is an error. 0 sets no limit

	// Transport replaces the connections themselves; for tests.
	Transport http.RoundTripper
}

// NewClient returns a client for one server, the only kind there is in this module; a test holds that. It follows no
// redirect, speaks to no other origin, and sends nothing in plain text beyond this machine unless that is allowed. An
// error says which setting is wrong.
func NewClient(o ClientOptions) (*http.Client, error) {
	t, err := NewTransport(o)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: t}, nil
}

// NewTransport is [NewClient] for libraries that make the client themselves: its rules hold below theirs.
func NewTransport(o ClientOptions) (http.RoundTripper, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	t := &transport{base: o.Transport, origin: originOf(o.URL), setting: o.Setting, maxBody: o.MaxBody}
	if t.base == nil {
		t.base = newBase(&o)
	}
	return t, nil
}

func (o *ClientOptions) validate() error {
	switch {
	case o.URL == nil || o.URL.Hostname() == "" || o.URL.Scheme != "https" && o.URL.Scheme != "http":
		return fmt.Errorf("%s is not an http or https URL", o.Setting)
	case !o.AllowHTTP && IsPlain(o.URL):
		return &PlainTextError{Setting: o.Setting, AllowedBy: cmp.Or(o.AllowedBy, o.Setting+".allow_http"), Host: o.URL.Host}
	}
	return nil
}

// IsPlain reports whether requests to u cross a network in plain text.
func IsPlain(u *url.URL) bool { return u.Scheme == "http" && !IsLoopback(u.Hostname()) }

// PlainTextError refuses to send a request over a network in plain text.
type PlainTextError struct{ Setting, AllowedBy, Host string }

func (e *PlainTextError) Error() string {
	return fmt.Sprintf("%s: plain http to %s, which is not this machine, would send credentials in clear text: use https, or accept that with %s",
		e.Setting, e.Host, e.AllowedBy)
}

// RedirectError is a redirect that was not followed.
type RedirectError struct {
	Setting  string
	Status   int
	From, To string // To is scheme, host and path; "" where the answer names no target
}

func (e *RedirectError) Error() string {
	to := e.To
	if to == "" {
		to = "an unnamed target"
	}
	return fmt.Sprintf("%s answers %d and redirects to %s, which is not followed, because credentials belong to one server: check %s, and that no login page or proxy answers for it",
		e.From, e.Status, to, e.Setting)
}

// OriginError refuses a request to another server than the one that the credentials are for.
type OriginError struct{ Setting, Origin, Other string }

func (e *OriginError) Error() string {
	return fmt.Sprintf("refused to send credentials for %s to %s: %s names the only server they belong to", e.Origin, e.Other, e.Setting)
}

// originOf returns scheme, host in lower case, and port.
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// transport holds the rules of NewClient.
type transport struct {
	base    http.RoundTripper
	origin  string
	setting string
	maxBody int64
}

var redirects = []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if other := originOf(req.URL); other != t.origin {
		if req.Body != nil {
			_ = req.Body.Close() // never read
		}
		return nil, &OriginError{Setting: t.setting, Origin: t.origin, Other: other}
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if slices.Contains(redirects, resp.StatusCode) {
		_ = resp.Body.Close() // not of interest
		return nil, &RedirectError{Setting: t.setting, Status: resp.StatusCode, From: t.origin, To: target(req, resp.Header.Get("Location"))}
	}
	if err := maskEcho(req, resp); err != nil {
		return nil, err
	}
	if t.maxBody > 0 {
		resp.Body = &limitedBody{ReadCloser: resp.Body, left: t.maxBody, limit: t.maxBody}
	}
	return resp, nil
}

// CloseIdleConnections closes connections that are not in use.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// target returns where a redirect leads, without what may be secret in it, and safe for a log.
func target(req *http.Request, location string) string {
	if location == "" {
		return ""
	}
	to, err := req.URL.Parse(location)
	if err != nil {
		return "an unreadable URL"
	}
	const most = 200
	text := (&url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path}).String()
	text = HideQuery(req.URL, masked(text, credentialsOf(req))) // which it may repeat
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// TooLargeError is an answer of which more was read than is allowed.
type TooLargeError struct{ Limit int64 } // bytes

func (e *TooLargeError) Error() string {
	if e.Limit%(1<<20) == 0 {
		return fmt.Sprintf("the answer is larger than %d MiB", e.Limit>>20)
	}
	return fmt.Sprintf("the answer is larger than %d bytes", e.Limit)
}

// limitedBody is a body of which no more than limit bytes may be read: a small compressed answer may hold gigabytes.
type limitedBody struct {
	io.ReadCloser
	left, limit int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more shows that there is more
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		n, b.left = int(b.left), 0
		return n, &TooLargeError{b.limit}
	}
	b.left -= int64(n)
	return n, err
}

// pingTimeout is how long a connection of HTTP/2 may be silent before it is asked whether it lives, and how long it may take
// to answer.
const pingTimeout = 15 * time.Second

func newBase(o *ClientOptions) *http.Transport {
	connect := cmp.Or(o.ConnectTimeout, 10*time.Second)
	idle := cmp.Or(o.MaxIdle, 2)
	proxy, connectTo := proxyFor, dial(connect)
	if o.PublicOnly {
		proxy, connectTo = nil, dialPublic(connect, o.Setting)
	}
	return &http.Transport{
		Proxy: proxy, DialContext: connectTo, ForceAttemptHTTP2: true,
		MaxIdleConns: idle + 2, MaxIdleConnsPerHost: idle, IdleConnTimeout: 90 * time.Second,
		TLSHandshakeTimeout: connect, ExpectContinueTimeout: time.Second, ResponseHeaderTimeout: o.HeaderTimeout,
		MaxResponseHeaderBytes: 256 << 10,
		// All requests share one connection of HTTP/2. Without pings, one that died without a word would take every request
		// with it until the system's TCP gives up, a quarter of an hour later.
		HTTP2: &http.HTTP2Config{SendPingTimeout: pingTimeout, PingTimeout: pingTimeout},
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs, GetClientCertificate: o.GetClientCertificate,
			InsecureSkipVerify: o.InsecureSkipVerify}, //nolint:gosec // off unless a test asks for it
	}
}

// proxyFor returns the proxy that the environment names for a request. What is meant for this machine never leaves it.
func proxyFor(req *http.Request) (*url.URL, error) {
	if IsLoopback(req.URL.Hostname()) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(req)
}

// dial returns a function that connects; a name of this machine must lead to this machine, whatever a name server says.
func dial(timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	anywhere := &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}
	here := &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second, Control: func(_, addr string, _ syscall.RawConn) error {
		if host, _, err := net.SplitHostPort(addr); err != nil || !IsLoopback(host) {
			return fmt.Errorf("%s is not an address of this machine", addr)
		}
		return nil
	}}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if host, _, err := net.SplitHostPort(addr); err == nil && IsLoopback(host) {
			return here.DialContext(ctx, network, addr)
		}
		return anywhere.DialContext(ctx, network, addr)
	}
}
