package config

import (
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"ucwarden/endpoint"
)

// validate checks the combinations of values, and sets the fields that depend on others.
func (c *Config) validate(ps *problems) {
	c.validatePlainHTTP(ps)
	c.validateAuth(ps)
	c.validateAPI(ps)
	c.validateEventHub(ps)
	c.validatePolicies(ps)
	c.validateRefresh(ps)
	c.validateWebhook(ps)
	c.validateTracing(ps)
	if !c.Sync.GrantUpdates {
		if c.Sync.Mode != "observe" && c.source("sync.mode").Kind != FromDefault {
			c.warn("sync.grant_updates is false: nothing is changed, although sync.mode is %s", c.Sync.Mode)
		}
		c.Sync.Mode = "observe"
	}
	c.warnIdle()
	if c.Audit.Path == "" {
		c.Audit.Path = filepath.Join(c.Store.Path, "audit.jsonl")
	}
	switch strategies := c.Policies.DenyStrategy; {
	case len(strategies) == 0 && c.Databricks.Warehouse != "":
		c.Policies.DenyStrategy = []string{"filter", "withhold"}
	case len(strategies) == 0:
		c.Policies.DenyStrategy = []string{"withhold"}
	case slices.Contains(strategies, "filter") && c.Databricks.Warehouse == "":
		c.warn("policies.deny_strategy names filter, which takes a warehouse, and databricks.warehouse is not set: it is never taken")
	}
	if c.Policies.ColumnStrategy == "mask-null" && c.Databricks.Warehouse == "" {
		c.warn("policies.column_strategy mask-null takes a warehouse, and databricks.warehouse is not set: tables of which policies allow some columns are not granted for these")
	}
	maps.DeleteFunc(c.Scope.Privileges, func(_ string, f PrivilegeFilter) bool { return len(f.Include)+len(f.Add)+len(f.Exclude) == 0 })
	if len(c.Scope.Privileges) == 0 {
		c.Scope.Privileges = nil
	}
	for _, f := range []*PrincipalFilter{&c.Scope.Users, &c.Scope.Groups, &c.Scope.Roles} {
		if !f.Manage {
			f.Exclude = []string{"*"}
		}
	}
}

func (c *Config) warn(format string, args ...any) {
	c.warnings = append(c.warnings, endpoint.MaskURLs(fmt.Sprintf(format, args...)))
}

// source returns where the value of a key came from.
func (c *Config) source(key string) Source {
	for _, s := range c.settings {
		if s.Key == key {
			return s.Source
		}
	}
	return Source{}
}

// authMethods are the values of databricks.auth, with the keys that each requires.
var authMethods = []struct {
	name  string
	needs []string
}{
	{"token", []string{"databricks.token"}},
	{"oauth", []string{"databricks.client_id", "databricks.client_secret"}},
	{"azure_oauth", []string{"databricks.client_id", "databricks.client_secret", "databricks.azure_tenant_id"}},
}

// validateAuth requires exactly one complete set of credentials if there is a host, sets databricks.auth to its method,
// and clears the credentials of the others.

// validateRefresh refuses a refresh of nothing, and warns of one that can never follow.
func (c *Config) validateRefresh(ps *problems) {
	switch {
	case c.Refresh.On == "off":
	case c.Pipelines.Jobs == "":
		ps.add("refresh.on", c.source("refresh.on"), "no pipeline is refreshed without pipelines.jobs, the file of ucwarden pipeline import; set it, or refresh.on: off")
	case c.Refresh.On == "protection" && c.Databricks.Warehouse == "":
		c.warn("refresh.on is protection, and no row filter or mask is ever changed without databricks.warehouse")
	}
}

func (c *Config) validateAuth(ps *problems) {
	d := &c.Databricks
	if d.Host == "" {
		return
	}
	set := map[string]bool{
		"databricks.token":           d.Token.IsSet(),
		"databricks.client_id":       d.ClientID != "",
		"databricks.client_secret":   d.ClientSecret.IsSet(),
		"databricks.azure_tenant_id": d.AzureTenantID != "",
	}
	anyOAuth := set["databricks.client_id"] || set["databricks.client_secret"] || set["databricks.azure_tenant_id"]
	method := d.Auth
	if method == "auto" {
		switch {
		case set["databricks.token"] && anyOAuth:
			ps.add("databricks.token", c.source("databricks.token"),
				"both a token and OAuth credentials are set: keep one, or choose with databricks.auth: token, oauth or azure_oauth")
			return
		case set["databricks.azure_tenant_id"]:
			method = "azure_oauth"
		case anyOAuth:
			method = "oauth"
		case set["databricks.token"]:
			method = "token"
		default:
			ps.add("databricks.host", c.source("databricks.host"),
				"no credentials: set databricks.token, or databricks.client_id and databricks.client_secret")
			return
		}
	}
	for _, candidate := range authMethods {
		if candidate.name != method {
			continue
		}
		for _, need := range candidate.needs {
			if !set[need] {
				elsewhere := " or as " + Key{Name: need}.Env()
				if need == "databricks.token" || need == "databricks.client_secret" {
					elsewhere = ", as " + Key{Name: need}.Env() + ", or in a file that " + Key{Name: need}.Env() + fileSuffix + " names"
				}
				ps.add(need, Source{}, "missing: authentication by %s needs %s; set it in the file%s",
					method, strings.Join(candidate.needs, ", "), elsewhere)
			}
		}
	}
	d.Auth = method
	if method == "token" {
		d.ClientID, d.ClientSecret = "", Secret{}
	} else {
		d.Token = Secret{}
	}
	if method != "azure_oauth" {
		d.AzureTenantID = ""
	}
}

// validatePlainHTTP refuses URLs of plain http to other machines, unless that is allowed.
func (c *Config) validatePlainHTTP(ps *problems) {
	for _, s := range []struct {
		key, url string
		allowed  bool
	}{
		{"databricks.host", c.Databricks.Host, c.Databricks.AllowHTTP},
		{"policies.ranger.url", c.Policies.Ranger.URL, c.Policies.Ranger.AllowHTTP},
		{"apiserver.jwt.jwks", c.APIServer.JWT.JWKS, c.APIServer.JWT.AllowHTTP},
		{"webhook.url", c.Webhook.URL, c.Webhook.AllowHTTP},
		{"tracing.url", c.Tracing.URL, c.Tracing.AllowHTTP},
	} {
		u, err := url.Parse(s.url)
		switch {
		case err != nil || !endpoint.IsPlain(u):
		case s.allowed:
			c.warn("%s uses http: credentials and answers can be read and forged on the way", s.key)
		default:
			ps.add(s.key, c.source(s.key), "plain http to %s, which is not this machine, would send credentials in clear text: use https, or set %s to true to accept that",
				u.Host, s.key+allowHTTPSuffix)
		}
	}
}

func (c *Config) validateAPI(ps *problems) {
	a := &c.APIServer
	if (a.TLS.Cert == "") != (a.TLS.Key == "") {
		ps.add("apiserver.tls", Source{}, "apiserver.tls.cert and apiserver.tls.key go together: set both, or neither for plain HTTP")
	}
	if a.TLS.ClientCA != "" && a.TLS.Cert == "" {
		ps.add("apiserver.tls.client_ca", c.source("apiserver.tls.client_ca"), "needs apiserver.tls.cert and apiserver.tls.key: certificates of clients are asked for by TLS alone")
	}
	if a.AdminAddr != "" && a.AdminAddr == a.Addr && !strings.HasSuffix(a.Addr, ":0") {
		ps.add("apiserver.admin_addr", c.source("apiserver.admin_addr"), "is the same as apiserver.addr: leave it empty to serve both on one port")
	}
	if a.Enabled && !c.OnDemand.Enabled {
		c.warn("apiserver.enabled has no effect without ondemand.enabled")
	}
	if !c.ServesAPI() {
		if c.ReadsEvents() && a.AdminAddr == "" {
			c.warn("no health and no metrics are served, since the REST API is off: set apiserver.admin_addr to serve them alone")
		}
		return
	}
	for key, text := range map[string]string{"apiserver.jwt.issuer": a.JWT.Issuer, "apiserver.jwt.audience": a.JWT.Audience} {
		if text == "" {
			ps.add(key, c.source(key), "must not be empty: every token is checked for it")
		}
	}
}

// CheckServe returns an [*Error] with what only the daemon requires. Load does not check it, because the properties that
// policy managers write enable the REST API without token keys, and planning must work with them as they are.
func (c *Config) CheckServe() error {
	var ps problems
	if jwt := c.APIServer.JWT; c.ServesAPI() && jwt.JWKS == "" && len(jwt.PEMKeys) == 0 && !jwt.HS256Secret.IsSet() {
		ps.add("apiserver.enabled", c.source("apiserver.enabled"),
			"no key to check tokens with: set apiserver.jwt.jwks, .pem_keys or .hs256_secret (make keys with: ucwarden keys generate)")
	}
	return ps.err()
}

func (c *Config) validatePolicies(ps *problems) {
	p := &c.Policies
	r := &p.Ranger
	if p.Path != "" && r.URL != "" {
		ps.add("policies.path", c.source("policies.path"), "both policies.path and policies.ranger.url are set: policies come from one source")
	}
	if r.URL != "" && r.Service == "" {
		ps.add("policies.ranger.url", c.source("policies.ranger.url"), "needs policies.ranger.service, the name of the service in Ranger Admin")
	}
	if (r.CertFile == "") != (r.KeyFile == "") {
		ps.add("policies.ranger.cert_file", Source{}, "policies.ranger.cert_file and policies.ranger.key_file go together: set both or neither")
	}
	if r.Password.IsSet() && r.Username == "" {
		ps.add("policies.ranger.password", c.source("policies.ranger.password"), "needs policies.ranger.username")
	}
	if slices.Contains(c.Scope.Protected, "*") {
		ps.add("scope.protected", c.source("scope.protected"), "wants exact names, not patterns; to change nothing at all set sync.mode to observe")
	}
}
