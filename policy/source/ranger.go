package source

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
)

// RangerOptions says which Ranger Admin to ask, and how.
type RangerOptions struct {
	URL     string // of Ranger Admin, as https://ranger.example.com:6182; required
	Service string // name of the service in Ranger; required

	// Username and Password are for basic authentication, CertFile and KeyFile (PEM) for mutual TLS. With either, the
	// downloads that want a login are used. The certificate is read anew for each connection, so it may be renewed.
	Username, Password string
	CertFile, KeyFile  string
	CAFile             string // PEM; "" trusts the system's authorities

	PollInterval time.Duration // between downloads; 0 means 30 s
	Timeout      time.Duration // for each of the four downloads; 0 means 60 s
	MaxBytes     int64         // of each download, unpacked; 0 means DefaultMaxBytes

	PluginID    string // told to Ranger Admin, which lists plugins; "" means ucwarden@<host>-<service>
	ClusterName string
	// DisableDeltas asks for whole policy documents only.
	DisableDeltas bool
	// AllowMissing goes on although the server does not offer (404) roles or tags that policies need. Role items then
	// match nobody and tag policies no resource, so it may widen access where tags deny.
	AllowMissing bool

	Guard GuardOptions
	// CacheDir is a folder for the last verified snapshot; "" keeps none.
	CacheDir string

	Logger        *slog.Logger          // nil: none
	Registerer    prometheus.Registerer // nil: none
	HTTPTransport http.RoundTripper     // in place of one made from the TLS files; for tests
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
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
	if o.PluginID == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		o.PluginID = "ucwarden@" + host + "-" + o.Service
	}
	o.PluginID = o.PluginID[:min(len(o.PluginID), 255)] // Ranger Admin's column is no wider
	return u, nil
}

// Ranger is a source of policies in Ranger Admin. Safe for concurrent use.
type Ranger struct {
	*holder
	options RangerOptions
	base    *url.URL
	client  *http.Client

	// The rest is guarded by holder.refreshing.
	synced     bool      // content came from the server, not from the cache
	activated  time.Time // when content was put in force
	retryAfter time.Time // the server asked to be left alone until then
}

// NewRanger makes a source; it downloads nothing yet.
func NewRanger(o RangerOptions) (*Ranger, error) {
	base, err := o.validate()
	if err != nil {
		return nil, err
	}
	transport := o.HTTPTransport
	if transport == nil {
		if transport, err = newTransport(&o); err != nil {
			return nil, err
		}
	}
	h, err := newHolder(holderOptions{
		kind: "ranger", identity: o.Service, cacheDir: o.CacheDir, guard: o.Guard, numbers: true, logger: o.Logger, registerer: o.Registerer,
	})
	if err != nil {
		return nil, err
	}
	if o.Password != "" && base.Scheme == "http" && !isLoopback(base.Hostname()) {
		h.log.Warn("the password for Ranger Admin is sent in clear text; use an https URL", "host", base.Host)
	}
	// A redirect leads to a login page or to another server, and neither has the policies.
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &Ranger{holder: h, options: o, base: base, client: client}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func newTransport(o *RangerOptions) (http.RoundTripper, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, policy.Errorf(policy.CodeInvalid, "ranger: read policies.ranger.ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
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
		config.GetClientCertificate = read
	}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2,
		IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
	}, nil
}

// Load downloads once and gives the snapshot in force. When the download fails or is refused it gives the last
// verified snapshot (of this process, or from the cache) and Problem says why; without one it is an error.
func (r *Ranger) Load(ctx context.Context) (*policy.Snapshot, error) {
	return r.load(ctx, r.refresh)
}

// Watch downloads every PollInterval until ctx ends and calls tell, from one goroutine, with each snapshot whose
// content is new. After a failure it tries again sooner, then ever later, up to four times PollInterval, or to the
// greater of PollInterval and one minute where that is less. Watch returns the error of ctx. Call Load first, to know how the beginning went.
func (r *Ranger) Watch(ctx context.Context, tell func(*policy.Snapshot)) error {
	next := func(ctx context.Context, failures int) error {
		return pause(ctx, r.delay(failures))
	}
	return r.follow(ctx, r.refresh, next, tell)
}

// delay is the time to the next download: the poll interval, less up to a tenth so that plugins started together
// spread out; or, after failures, from half to the whole of 1 s, 2 s, 4 s and so on, and what Retry-After asks for.
func (r *Ranger) delay(failures int) time.Duration {
	if failures == 0 {
		return r.options.PollInterval - rand.N(r.options.PollInterval/10+1)
	}
	most := max(r.options.PollInterval, min(4*r.options.PollInterval, time.Minute))
	wait := most
	if failures < 16 {
		wait = min(most, time.Second<<(failures-1))
	}
	wait -= rand.N(wait/2 + 1)
	r.refreshing.Lock()
	defer r.refreshing.Unlock()
	const longest = 10 * time.Minute
	return max(wait, min(time.Until(r.retryAfter), longest))
}

// refresh downloads policies, roles, user store and tags, and offers them as one version. Policies come first: what
// they refer to is then at least as new as they are. If one of the four fails, nothing is taken.
func (r *Ranger) refresh(ctx context.Context) error {
	var known content // what the server need not send again
	if r.synced {
		known = *r.content
	}
	next, changed, err := r.download(ctx, &known)
	if err != nil {
		return err
	}
	if !changed {
		r.confirm()
		return nil
	}
	if err := r.checkNeeds(next); err != nil {
		return err
	}
	next.sortPolicies()
	if err := r.offer(next, func(int64) int64 { return next.Policies.PolicyVersion }); err != nil {
		return err
	}
	if r.content == next || r.activated.IsZero() {
		r.activated = time.Now()
	}
	r.synced = true
	return nil
}

// download asks for the four parts; known has those in force, nil where there is none. Parts that did not change are
// taken over from it.
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
	if next.Roles, new[1], err = part(ctx, r, endpointRoles, known.Roles, old.Roles, policy.ParseRoles, func(p *policy.ServiceRoles) int64 { return p.RoleVersion }); err != nil {
		return nil, false, err
	}
	if next.Users, new[2], err = part(ctx, r, endpointUsers, known.Users, old.Users, policy.ParseUserStore, func(p *policy.UserStore) int64 { return p.UserStoreVersion }); err != nil {
		return nil, false, err
	}
	if next.Tags, new[3], err = part(ctx, r, endpointTags, known.Tags, old.Tags, policy.ParseTags, func(p *policy.ServiceTags) int64 { return p.TagVersion }); err != nil {
		return nil, false, err
	}
	return next, new[0] || new[1] || new[2] || new[3], nil
}

// checkNeeds refuses policies that refer to roles or tags when the server does not offer them.
func (r *Ranger) checkNeeds(c *content) error {
	if r.options.AllowMissing {
		return nil
	}
	var role, tag string
	c.each(func(list []policy.Policy) {
		for i := range list {
			if role == "" && list[i].Enabled() && namesRole(&list[i]) {
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

func namesRole(p *policy.Policy) bool {
	for _, items := range [][]policy.PolicyItem{p.PolicyItems, p.DenyPolicyItems, p.AllowExceptions, p.DenyExceptions} {
		for i := range items {
			if len(items[i].Roles) > 0 {
				return true
			}
		}
	}
	for i := range p.DataMaskPolicyItems {
		if len(p.DataMaskPolicyItems[i].Roles) > 0 {
			return true
		}
	}
	for i := range p.RowFilterPolicyItems {
		if len(p.RowFilterPolicyItems[i].Roles) > 0 {
			return true
		}
	}
	return false
}

// short cuts text from the server down to one line that fits into a message.
func short(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200]) + "…"
	}
	return text
}
