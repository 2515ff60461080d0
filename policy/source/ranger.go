package source

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/endpoint"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// RangerOptions says which Ranger Admin to download from, and how.
type RangerOptions struct {
	URL     string // of Ranger Admin, as https://ranger.example.com:6182; required
	Service string // name of the service in Ranger; required

	// Username and Password are for basic authentication, CertFile and KeyFile (PEM) for mutual TLS. With either, the
	// secure download URLs are used. The certificate is read again for each connection, so it may be renewed.
	Username, Password string
	CertFile, KeyFile  string
	CAFile             string // PEM; "" uses the system's certificate authorities

	PollInterval time.Duration // between downloads; 0 means 30 s
	Timeout      time.Duration // for each of the four downloads; 0 means 60 s
	MaxBytes     int64         // of each download, uncompressed; 0 means 256 MiB

	PluginID    string // shown in Ranger Admin's list of plugins; "" means ucwarden@<host>-<service>
	ClusterName string
	// DisableDeltas requests whole policy documents instead of deltas.
	DisableDeltas bool
	// AllowMissing accepts policies that need roles or tags which the server does not offer (404). Role items then
	// match nobody and tag policies no resource, so this may widen access where tag policies deny.
	AllowMissing bool

	// AllowHTTP permits plain http to a host that is not this machine.
	AllowHTTP bool

	Guard GuardOptions
	// CacheDir is a folder for the last verified snapshot; "" disables the cache.
	CacheDir string

	Logger        *slog.Logger          // nil: none
	Registerer    prometheus.Registerer // nil: none
	HTTPTransport http.RoundTripper     // replaces the one built from the TLS files; for tests
}

func (o *RangerOptions) validate() (*url.URL, error) {
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
	case o.PollInterval < 0 || o.Timeout < 0 || o.MaxBytes < 0:
		return invalid("poll interval, timeout and size limit must not be negative")
	}
	o.PollInterval = cmp.Or(o.PollInterval, 30*time.Second)
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	o.MaxBytes = cmp.Or(o.MaxBytes, defaultMaxBytes)
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

// Ranger is a source of policies in Ranger Admin. Safe for concurrent use.
type Ranger struct {
	*snapshotStore
	options RangerOptions
	base    *url.URL
	client  *http.Client

	// The rest is guarded by snapshotStore.refreshing.
	fromServer  bool      // content came from the server, not from the cache
	activatedAt time.Time // when the content was put in force
	retryAfter  time.Time // no download before this: the server's Retry-After
}

// NewRanger returns a source that downloads from Ranger Admin. It downloads nothing yet; its errors are about the
// options and the TLS files.
func NewRanger(o RangerOptions) (*Ranger, error) {
	base, err := o.validate()
	if err != nil {
		return nil, err
	}
	client, err := newClient(&o, base)
	if err != nil {
		return nil, err
	}
	h, err := newSnapshotStore(snapshotStoreOptions{
		kind: "ranger", identity: o.Service, cacheDir: o.CacheDir, guard: o.Guard, serverVersions: true, logger: o.Logger, registerer: o.Registerer,
	})
	if err != nil {
		return nil, err
	}
	if endpoint.IsPlain(base) {
		h.log.Warn("Ranger Admin is read over plain http: policies can be forged on the way, and a password is sent in clear text", "host", base.Host)
	}
	return &Ranger{snapshotStore: h, options: o, base: base, client: client}, nil
}

func newClient(o *RangerOptions, base *url.URL) (*http.Client, error) {
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

// Load downloads once and returns the snapshot in force. When the download fails or is rejected it returns the last
// verified snapshot (of this process, or from the cache), and Problem returns why. Without one it returns an error.
func (r *Ranger) Load(ctx context.Context) (*ranger.Snapshot, error) {
	return r.load(ctx, r.refresh)
}

// Watch downloads every PollInterval until ctx ends, and calls onChange, from one goroutine, with each snapshot whose
// content is new. After failures it backs off exponentially from one second, up to four times PollInterval but no more
// than the greater of PollInterval and one minute. Watch returns the error of ctx. Call Load first to get the first
// error.
func (r *Ranger) Watch(ctx context.Context, onChange func(*ranger.Snapshot)) error {
	wait := func(ctx context.Context, failures int) error {
		return sleep(ctx, r.delay(failures))
	}
	return r.watchLoop(ctx, r.refresh, wait, onChange)
}

// delay returns the time until the next download: the poll interval, less up to a tenth so that plugins started
// together spread out; or, after failures, from half to the whole of 1 s, 2 s, 4 s and so on, and at least the server's
// Retry-After.
func (r *Ranger) delay(failures int) time.Duration {
	if failures == 0 {
		return r.options.PollInterval - rand.N(r.options.PollInterval/10+1)
	}
	wait := backoff(failures, max(r.options.PollInterval, min(4*r.options.PollInterval, time.Minute)))
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	const longest = 10 * time.Minute
	return max(wait, min(time.Until(r.retryAfter), longest))
}

// refresh downloads policies, roles, user store and tags, and publishes them as one version. Policies are downloaded
// first, so that what they refer to is at least as new as they are. If one of the four fails, nothing is published.
func (r *Ranger) refresh(ctx context.Context) error {
	var known content // what the server need not send again
	if r.fromServer {
		known = *r.content
	}
	next, changed, err := r.download(ctx, &known)
	if err != nil {
		return err
	}
	if !changed {
		r.touch()
		return nil
	}
	if err := r.checkRequiredParts(next); err != nil {
		return err
	}
	next.sortPolicies()
	if next.Problems, err = r.problems(next); err != nil {
		return err
	}
	before := r.Current()
	if err := r.publish(next, func(int64) int64 { return next.Policies.PolicyVersion }); err != nil {
		return err
	}
	if !r.Current().Same(before) || r.activatedAt.IsZero() {
		r.activatedAt = time.Now()
	}
	r.fromServer = true
	return nil
}

// download downloads the four parts, and reports whether any changed. known has the parts in force that came from the
// server, nil where there is none; parts that did not change are copied from it.
func (r *Ranger) download(ctx context.Context, known *content) (next *content, changed bool, err error) {
	next = &content{}
	var new [4]bool
	if next.Policies, new[0], err = r.policies(ctx, known.Policies); err != nil {
		return nil, false, err
	}
	old := r.content
	if old == nil {
		old = &content{}
	}
	if next.Roles, new[1], err = downloadPart(ctx, r, endpointRoles, known.Roles, old.Roles, ranger.ParseRoles, func(p *ranger.ServiceRoles) int64 { return p.RoleVersion }); err != nil {
		return nil, false, err
	}
	if next.Users, new[2], err = downloadPart(ctx, r, endpointUsers, known.Users, old.Users, ranger.ParseUserStore, func(p *ranger.UserStore) int64 { return p.UserStoreVersion }); err != nil {
		return nil, false, err
	}
	if next.Tags, new[3], err = downloadPart(ctx, r, endpointTags, known.Tags, old.Tags, ranger.ParseTags, func(p *ranger.ServiceTags) int64 { return p.TagVersion }); err != nil {
		return nil, false, err
	}
	return next, new[0] || new[1] || new[2] || new[3], nil
}

// problems returns what has no meaning here in the downloads, which newer servers may have more of. It returns an error
// where something is misspelt that cannot be made good by closing a policy.
func (r *Ranger) problems(c *content) ([]ranger.Problem, error) {
	var list []ranger.Problem
	var err error
	effect := c.roleEffect()
	add := func(e download, unknown []ranger.UnknownField) {
		origin := r.downloadURL(e).String()
		list = append(list, ranger.ProblemsOf(unknown, origin, effect)...)
		if err == nil {
			err = ranger.CheckFields(unknown, origin)
		}
	}
	others := make(map[string]*foreign)
	withoutForeign(c.Policies, r.downloadURL(endpointPolicies).String(), others)
	for _, key := range slices.Sorted(maps.Keys(others)) {
		list = append(list, others[key].problem(c.Policies.ServiceName))
	}
	add(endpointPolicies, c.Policies.Unknown)
	if c.Roles != nil {
		add(endpointRoles, c.Roles.Unknown)
	}
	if c.Users != nil {
		add(endpointUsers, c.Users.Unknown)
	}
	if c.Tags != nil {
		add(endpointTags, c.Tags.Unknown)
	}
	return list, err
}

// checkRequiredParts returns an error when policies refer to roles or tags that the server does not offer.
func (r *Ranger) checkRequiredParts(c *content) error {
	if r.options.AllowMissing {
		return nil
	}
	var role, tag string
	c.each(func(list []ranger.Policy) {
		for i := range list {
			if role == "" && list[i].Enabled() && usesRoles(&list[i]) {
				role = list[i].Name
			}
		}
	})
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

func usesRoles(p *ranger.Policy) bool {
	for item := range p.AllItems() {
		if len(item.Roles) > 0 {
			return true
		}
	}
	return false
}

// oneLine returns text from the server as one line of at most 200 characters.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200]) + "…"
	}
	return text
}
