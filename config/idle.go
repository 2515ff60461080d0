package config

import (
	"fmt"
	"slices"
	"strings"
)

// idleRule says of keys when nothing goes by them, although each of them alone is in order: because of another key.
type idleRule struct {
	keys []string
	idle func(c *Config) bool
	why  string
	// section is the switch of what the keys are about. Where it was set, to off, they are kept for another day.
	section string
}

// idleRules are the rules, in the order of the reference. Keys that commands go by although the daemon does not are none of them.
var idleRules = []idleRule{
	{
		keys:    []string{"apiserver.addr", "apiserver.tls.cert", "apiserver.tls.key", "apiserver.tls.client_ca", "apiserver.body_limit", "apiserver.max_resources", "apiserver.rate_limit", "apiserver.rate_burst"},
		idle:    func(c *Config) bool { return !c.APIServer.Enabled },
		why:     "the REST API is off: set apiserver.enabled",
		section: "apiserver.enabled",
	},
	{
		keys: []string{"apiserver.admin_addr"},
		idle: func(c *Config) bool { return !c.ServesAPI() && !c.ReadsEvents() },
		why:  "health and metrics are served beside on-demand tasks alone: set ondemand.enabled with apiserver.enabled or ondemand.eventhub.enabled",
	},
	{
		keys: []string{"apiserver.rate_burst"},
		idle: func(c *Config) bool { return c.APIServer.RateLimit == 0 && c.APIServer.RateBurst > 0 },
		why:  "apiserver.rate_limit is 0, so that there is no limit",
	},
	{
		keys: []string{"apiserver.jwt.keep_unread"},
		idle: func(c *Config) bool {
			return c.ServesAPI() && c.APIServer.JWT.JWKS == "" && len(c.APIServer.JWT.PEMKeys) == 0
		},
		why: "neither apiserver.jwt.jwks nor apiserver.jwt.pem_keys is set, and a shared secret is not read again",
	},
	{
		keys: []string{"ondemand.admit_size"},
		idle: func(c *Config) bool { return c.OnDemand.AdmitWindow == 0 },
		why:  "ondemand.admit_window is 0, so that no task waits for others",
	},
	{
		keys:    []string{"ondemand.eventhub.consumer_group", "ondemand.eventhub.start", "ondemand.eventhub.task_types", "ondemand.eventhub.catalogs"},
		idle:    func(c *Config) bool { return !c.OnDemand.EventHub.Enabled },
		why:     "no events are read: set ondemand.eventhub.enabled",
		section: "ondemand.eventhub.enabled",
	},
	{
		keys: []string{"ondemand.eventhub.entra.tenant_id", "ondemand.eventhub.entra.client_id", "ondemand.eventhub.entra.client_secret"},
		idle: func(c *Config) bool {
			return c.OnDemand.EventHub.ConnectionString.IsSet() && c.OnDemand.EventHub.Namespace == ""
		},
		why: "ondemand.eventhub.connection_string says how to authenticate; with Entra ID leave it out, and set ondemand.eventhub.namespace",
	},
	{
		keys: []string{"ondemand.eventhub.task_types"},
		idle: func(c *Config) bool {
			e := &c.OnDemand.EventHub
			return c.ReadsEvents() && !slices.Contains(e.Catalogs, "*") && slices.ContainsFunc(e.TaskTypes, func(t string) bool { return t != "RESOURCE_SYNC" })
		},
		why: "ondemand.eventhub.catalogs limits events to catalogs, so that of the types only RESOURCE_SYNC is taken",
	},
	{
		keys:    []string{"refresh.window", "refresh.targets"},
		idle:    func(c *Config) bool { return c.Refresh.On == "off" },
		why:     "no pipeline is refreshed: set refresh.on",
		section: "refresh.on",
	},
	{
		keys: []string{"scope.users.include", "scope.users.exclude"},
		idle: func(c *Config) bool { return !c.Scope.Users.Manage },
		why:  "scope.users.manage is false: no grant of a user is changed",
	},
	{
		keys: []string{"scope.groups.include", "scope.groups.exclude"},
		idle: func(c *Config) bool { return !c.Scope.Groups.Manage },
		why:  "scope.groups.manage is false: no grant of a group is changed",
	},
	{
		keys: []string{"scope.roles.include", "scope.roles.exclude"},
		idle: func(c *Config) bool { return !c.Scope.Roles.Manage },
		why:  "scope.roles.manage is false: no grant of a role is changed",
	},
	{
		keys: []string{"policies.users_path", "policies.service"},
		idle: func(c *Config) bool { return c.Policies.Ranger.URL != "" },
		why:  "it is for policies from files, and these come from policies.ranger.url",
	},
	{
		keys: []string{"policies.expand_limit"},
		idle: func(c *Config) bool { return !slices.Contains(c.Policies.DenyStrategy, "expand") },
		why:  "policies.deny_strategy does not name expand",
	},
	{
		keys: []string{
			"policies.ranger.service", "policies.ranger.username", "policies.ranger.password", "policies.ranger.ca_file", "policies.ranger.cert_file", "policies.ranger.key_file",
			"policies.ranger.poll_interval", "policies.ranger.timeout", "policies.ranger.cache_dir", "policies.ranger.plugin_id", "policies.ranger.cluster_name",
		},
		idle: func(c *Config) bool { return c.Policies.Ranger.URL == "" },
		why:  "no policies are downloaded: set policies.ranger.url",
	},
	{
		keys: []string{"protection.schema", "protection.exempt", "protection.else", "protection.name_members", "protection.mask_other"},
		idle: func(c *Config) bool { return c.Databricks.Warehouse == "" },
		why:  "a sync sets no row filter and no mask without databricks.warehouse",
	},
	{
		keys: []string{"webhook.secret", "webhook.query", "webhook.events", "webhook.allow_private", "webhook.give_up_after"},
		idle: func(c *Config) bool { return c.Webhook.URL == "" },
		why:  "no events are sent: set webhook.url",
	},
	{
		keys: []string{"tracing.headers", "tracing.ratio"},
		idle: func(c *Config) bool { return c.Tracing.URL == "" },
		why:  "no traces are recorded: set tracing.url",
	},
}

// warnIdle warns of keys that were set and that nothing goes by, and of tasks that nothing brings.
func (c *Config) warnIdle() {
	if c.OnDemand.Enabled && !c.ServesAPI() && !c.ReadsEvents() {
		c.warn("ondemand.enabled is set, and nothing brings tasks: set apiserver.enabled for the REST API, or ondemand.eventhub.enabled for an event hub; full syncs go on")
	}
	set := make(map[string]bool)
	for _, s := range c.settings {
		set[s.Key] = s.Source.Kind != FromDefault
	}
	for _, rule := range idleRules {
		if set[rule.section] || !rule.idle(c) {
			continue
		}
		var names []string
		for _, key := range rule.keys {
			if set[key] {
				names = append(names, key)
			}
		}
		if len(names) > 0 {
			c.warn("%s", fmt.Sprintf("%s without effect: %s", isOrAre(names), rule.why))
		}
	}
}

func isOrAre(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}
