package config_test

import (
	"strings"
	"testing"
)

// A key that nothing goes by because of another key is warned of, with what to do; with that other key, or where a section was switched
// off on purpose, it is not.
func TestKeysWithoutEffect(t *testing.T) {
	hub := "ondemand: {enabled: true, eventhub: {enabled: true, connection_string: '" + eventHubs + ";EntityPath=a'}}\napiserver.admin_addr: 127.0.0.1:1\n"
	const api = "ondemand.enabled: true\napiserver.enabled: true\n"
	for _, tt := range []struct{ idle, warned, used string }{
		{"ondemand.enabled: true\n", "ondemand.enabled is set, and nothing brings tasks: set apiserver.enabled for the REST API, or ondemand.eventhub.enabled", api},
		{"ondemand.enabled: true\n", "nothing brings tasks", hub},
		{"apiserver.addr: 127.0.0.1:1\n", "apiserver.addr is without effect: the REST API is off: set apiserver.enabled", api + "apiserver.addr: 127.0.0.1:1\n"},
		{"apiserver: {addr: '127.0.0.1:1', tls: {cert: a, key: b, client_ca: c}, body_limit: 2MiB, max_resources: 5, rate_limit: 5, rate_burst: 6}\n", "apiserver.addr, apiserver.tls.cert, apiserver.tls.key, apiserver.tls.client_ca, apiserver.body_limit, apiserver.max_resources, apiserver.rate_limit, apiserver.rate_burst are without effect", "apiserver: {enabled: false, body_limit: 2MiB, rate_limit: 5}\n"},
		{"apiserver.admin_addr: 127.0.0.1:1\n", "apiserver.admin_addr is without effect", hub},
		{api + "apiserver: {rate_limit: 0, rate_burst: 5}\n", "apiserver.rate_burst is without effect: apiserver.rate_limit is 0", api + "apiserver: {rate_limit: 1, rate_burst: 5}\n"},
		{api + "apiserver.jwt: {hs256_secret: 0123456789abcdef0123456789abcdef, keep_unread: 2h}\n", "apiserver.jwt.keep_unread is without effect", api + "apiserver.jwt: {jwks: keys.json, keep_unread: 2h}\n"},
		{"ondemand.admit_size: 5\n", "ondemand.admit_size is without effect: ondemand.admit_window is 0", "ondemand: {admit_size: 5, admit_window: 1s}\n"},
		{"ondemand.eventhub: {consumer_group: a, start: latest, task_types: [FULL_SYNC], catalogs: [a]}\n", "ondemand.eventhub.consumer_group, ondemand.eventhub.start, ondemand.eventhub.task_types, ondemand.eventhub.catalogs are without effect: no events are read", hub + "ondemand.eventhub.start: latest\n"},
		{hub + "ondemand.eventhub.entra: {tenant_id: x, client_id: x, client_secret: x}\n", "ondemand.eventhub.entra.tenant_id, ondemand.eventhub.entra.client_id, ondemand.eventhub.entra.client_secret are without effect", hub},
		{hub + "ondemand.eventhub: {task_types: [RESOURCE_SYNC, FULL_SYNC], catalogs: [sales]}\n", "ondemand.eventhub.task_types is without effect", hub + "ondemand.eventhub: {task_types: [RESOURCE_SYNC, FULL_SYNC]}\n"},
		{"refresh: {window: 2m, targets: true}\n", "refresh.window, refresh.targets are without effect: no pipeline is refreshed", "refresh: {on: off, window: 2m}\n"},
		{"scope.users: {manage: false, include: [ann@example.com]}\n", "scope.users.include is without effect: scope.users.manage is false", "scope.users: {include: [ann@example.com]}\n"},
		{"scope.groups: {manage: false, exclude: [a]}\n", "scope.groups.exclude is without effect", "scope.groups: {exclude: [a]}\n"},
		{"scope.roles: {manage: false, include: [a]}\n", "scope.roles.include is without effect", "scope.roles: {include: [a]}\n"},
		{"policies: {users_path: users.json, service: uc, ranger: {url: 'https://ranger.example', service: uc}}\n", "policies.users_path, policies.service are without effect", "policies: {path: p, users_path: users.json}\n"},
		{"policies.expand_limit: 5\n", "policies.expand_limit is without effect", "policies: {expand_limit: 5, deny_strategy: [expand]}\n"},
		{"policies: {path: p, ranger: {service: uc, username: u, password: p, ca_file: a, cert_file: b, key_file: c, poll_interval: 5s, timeout: 5s, cache_dir: d, plugin_id: e, cluster_name: f}}\n", "policies.ranger.service, policies.ranger.username, policies.ranger.password, policies.ranger.ca_file, policies.ranger.cert_file, policies.ranger.key_file, policies.ranger.poll_interval, policies.ranger.timeout, policies.ranger.cache_dir, policies.ranger.plugin_id, policies.ranger.cluster_name are without effect", "policies.ranger: {url: 'https://ranger.example', service: uc, timeout: 5s}\n"},
		{"protection: {schema: s, exempt: [etl@example.com], else: closed, name_members: 5, mask_other: x}\n", "protection.schema, protection.exempt, protection.else, protection.name_members, protection.mask_other are without effect: a sync sets no row filter", "databricks.warehouse: abc\nprotection.exempt: [etl@example.com]\n"},
		{"webhook: {secret: whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=, events: [task.ended], allow_private: true, give_up_after: 1h}\n", "webhook.secret, webhook.events, webhook.allow_private, webhook.give_up_after are without effect: no events are sent", "webhook: {url: 'https://hook.example', secret: whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=, events: [task.ended]}\n"},
		{"tracing: {headers: a=b, ratio: 0.5}\n", "tracing.headers, tracing.ratio are without effect: no traces are recorded", "tracing: {url: 'http://localhost:4318', ratio: 0.5}\n"},
	} {
		if got := strings.Join(load(t, tt.idle).Warnings(), "\n"); !strings.Contains(got, tt.warned) {
			t.Errorf("%swarns %q, want %q", tt.idle, got, tt.warned)
		}
		if got := strings.Join(load(t, tt.used).Warnings(), "\n"); strings.Contains(got, "without effect") || strings.Contains(got, "nothing brings") {
			t.Errorf("%swarns %q", tt.used, got)
		}
	}
}
