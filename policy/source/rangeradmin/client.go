package rangeradmin

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"ucwarden/endpoint"
	"ucwarden/policy"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
)

// Options say which Ranger Admin to download from, and how.
type Options struct {
	URL     string // of Ranger Admin, as https://ranger.example.com:6182; required
	Service string // name of the service in Ranger; required

	// Username and Password are for basic authentication, CertFile and KeyFile (PEM) for mutual TLS. With either, the
	// secure download URLs are used. The certificate is read again for each connection, so it may be renewed.
	Username, Password string
	CertFile, KeyFile  string
	CAFile             string // PEM; "" uses the system's certificate authorities

	Timeout  time.Duration // for each of the four downloads; 0 means 60 s
	MaxBytes int64         // of each download, uncompressed; 0 means 64 MiB

	PluginID    string // shown in Ranger Admin's list of plugins; "" means ucwarden@<host>-<service>
	ClusterName string
	// DisableDeltas requests whole policy documents instead of deltas.
	DisableDeltas bool
	// AllowMissing accepts policies that need roles or tags which the server does not offer (404). Role items then
	// match nobody and tag policies no resource, so this may widen access where tag policies deny.
	AllowMissing bool

	// AllowHTTP permits plain http to a host that is not this machine.
	AllowHTTP bool

	Logger        *slog.Logger      // nil: none
	HTTPTransport http.RoundTripper // replaces the one built from the TLS files; for tests
}

func (o *Options) validate() (*url.URL, error) {
	invalid := func(format string, args ...any) (*url.URL, error) {
		return nil, policy.Errorf(policy.CodeInvalid, "ranger: "+format, args...)
	}
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return invalid("policies.ranger.url is not a URL such as https://ranger.example.com:6182")
	case u.User != nil:
		return invalid("policies.ranger.url must not hold a user or password; set policies.ranger.username and password")
	case u.RawQuery != "" || u.Fragment != "":
		return invalid("policies.ranger.url must not hold a query or fragment")
	case o.Service == "" || o.Service == "." || o.Service == "..":
		return invalid("policies.ranger.service is missing: the name of the service in Ranger Admin")
	case (o.Username == "") != (o.Password == ""):
		return invalid("policies.ranger.username and password must be set together")
	case (o.CertFile == "") != (o.KeyFile == ""):
		return invalid("policies.ranger.cert_file and key_file must be set together")
	case o.Timeout < 0 || o.MaxBytes < 0:
		return invalid("timeout and size limit must not be negative")
	}
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	o.MaxBytes = cmp.Or(o.MaxBytes, 64<<20) // tens of thousands of policies
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.PluginID == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		o.PluginID = "ucwarden@" + host + "-" + o.Service
	}
	o.PluginID = o.PluginID[:min(len(o.PluginID), 255)] // the width of Ranger Admin's database column
	return u, nil
}

// Documents are what Ranger Admin offers of a service.
type Documents struct {
	Policies *ranger.ServicePolicies
	Roles    *ranger.ServiceRoles
	Users    *ranger.UserStore
	Tags     *ranger.ServiceTags
}

// Client downloads the documents of one service. It is not safe for concurrent use.
type Client struct {
	options     Options
	base        *url.URL
	client      *http.Client
	activatedAt time.Time
	retryAfter  time.Time
	missing     map[string]bool // the downloads of which was logged that the server does not offer them
}

// New returns a client. It downloads nothing yet; its errors are about the options and the TLS files.
func New(o Options) (*Client, error) {
	base, err := o.validate()
	if err != nil {
		return nil, err
	}
	client, err := newHTTPClient(&o, base)
	if err != nil {
		return nil, err
	}
	if endpoint.IsPlain(base) {
		o.Logger.Warn("Ranger Admin is read over plain http: policies can be forged on the way, and a password is sent in clear text", "host", base.Host)
	}
	return &Client{options: o, base: base, client: client, missing: make(map[string]bool)}, nil
}

// SetActivated sets when the documents in force were put in force, which the next downloads tell the server.
func (r *Client) SetActivated(at time.Time) { r.activatedAt = at }

// RetryAfter returns the time before which the server asked not to be asked again; zero where it did not.
func (r *Client) RetryAfter() time.Time { return r.retryAfter }

// PoliciesURL returns the URL of the download of policies, without its parameters.
func (r *Client) PoliciesURL() string { return r.downloadURL(endpointPolicies).String() }

// Unknown ranges over the documents that hold fields which Ranger's model does not have, by their URLs.
func (r *Client) Unknown(d Documents) func(yield func(origin string, unknown []ranger.UnknownField) bool) {
	return func(yield func(string, []ranger.UnknownField) bool) {
		type part struct {
			from    download
			unknown []ranger.UnknownField
		}
		parts := []part{{endpointPolicies, d.Policies.Unknown}}
		if d.Roles != nil {
			parts = append(parts, part{endpointRoles, d.Roles.Unknown})
		}
		if d.Users != nil {
			parts = append(parts, part{endpointUsers, d.Users.Unknown})
		}
		if d.Tags != nil {
			parts = append(parts, part{endpointTags, d.Tags.Unknown})
		}
		for _, p := range parts {
			if len(p.unknown) > 0 && !yield(r.downloadURL(p.from).String(), p.unknown) {
				return
			}
		}
	}
}

func newHTTPClient(o *Options, base *url.URL) (*http.Client, error) {
	co := endpoint.ClientOptions{URL: base, Setting: "policies.ranger.url", AllowHTTP: o.AllowHTTP, Transport: o.HTTPTransport}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, policy.Errorf(policy.CodeInvalid, "ranger: read policies.ranger.ca_file: %w", err)
		}
		co.RootCAs = x509.NewCertPool()
		if !co.RootCAs.AppendCertsFromPEM(pem) {
			return nil, policy.Errorf(policy.CodeInvalid, "ranger: policies.ranger.ca_file %s holds no PEM certificate", o.CAFile)
		}
	}
	if o.CertFile != "" {
		certFile, keyFile := o.CertFile, o.KeyFile
		read := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(certFile, keyFile)
			return &cert, err
		}
		if _, err := read(nil); err != nil {
			return nil, policy.Errorf(policy.CodeInvalid, "ranger: policies.ranger.cert_file and key_file: %w", err)
		}
		co.GetClientCertificate = read
	}
	client, err := endpoint.NewClient(co)
	if err != nil {
		return nil, policy.Errorf(policy.CodeInvalid, "ranger: %w", err)
	}
	return client, nil
}

// Download downloads the four documents, and reports whether any changed. known are those in force that came from the server,
// nil where there is none; what did not change is copied from it. old are those in force, from the server or not. Policies
// are downloaded first, so that what they refer to is at least as new as they are. If one of the four fails, or the policies
// need one that the server does not offer, that is an error.
func (r *Client) Download(ctx context.Context, known, old Documents) (next Documents, changed bool, err error) {
	var differs [4]bool
	if next.Policies, differs[0], err = r.policies(ctx, known.Policies); err != nil {
		return next, false, err
	}
	if next.Roles, differs[1], err = downloadPart(ctx, r, endpointRoles, known.Roles, old.Roles, parse.Roles, func(p *ranger.ServiceRoles) int64 { return p.RoleVersion }); err != nil {
		return next, false, err
	}
	if next.Users, differs[2], err = downloadPart(ctx, r, endpointUsers, known.Users, old.Users, parse.UserStore, func(p *ranger.UserStore) int64 { return p.UserStoreVersion }); err != nil {
		return next, false, err
	}
	if next.Tags, differs[3], err = downloadPart(ctx, r, endpointTags, known.Tags, old.Tags, parse.Tags, func(p *ranger.ServiceTags) int64 { return p.TagVersion }); err != nil {
		return next, false, err
	}
	if changed = differs[0] || differs[1] || differs[2] || differs[3]; changed {
		err = r.checkRequired(&next)
	}
	return next, changed, err
}

// checkRequired returns an error when policies refer to roles or tags that the server does not offer.
func (r *Client) checkRequired(c *Documents) error {
	if r.options.AllowMissing {
		return nil
	}
	var role, tag string
	lists := ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: c.Policies}).PolicyLists()
	for list := range lists {
		for i := range list {
			if role == "" && list[i].Enabled() && list[i].UsesRoles() {
				role = list[i].Name
			}
		}
	}
	if t := c.Policies.TagPolicies; t != nil {
		for i := range t.Policies {
			if t.Policies[i].Enabled() {
				tag = t.Policies[i].Name
			}
		}
	}
	switch {
	case role != "" && c.Roles == nil:
		return policy.Errorf(policy.CodeNotFound, "ranger: policy %q names roles, but Ranger Admin does not offer the download of roles (404)", role)
	case tag != "" && c.Tags == nil:
		return policy.Errorf(policy.CodeNotFound, "ranger: there are tag policies such as %q, but Ranger Admin does not offer the download of tags (404)", tag)
	}
	return nil
}

// oneLine returns text from the server as one line of at most 200 characters.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200]) + "…"
	}
	return text
}
