package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// scopeObjectTypes are the sections of object filters. The singular in upper case is part of the connector properties.
var scopeObjectTypes = []string{
	"catalogs", "schemas", "tables", "functions", "volumes", "external_locations", "storage_credentials",
	"credentials", "connections", "shares",
}

// scopeKeys returns the keys of the filters. Patterns of schemas and of objects in them match full names: sales.emea*,
// *.*.tmp_*.
func scopeKeys() []Key {
	var keys []Key
	for _, plural := range scopeObjectTypes {
		word := strings.ToUpper(strings.TrimSuffix(plural, "s"))
		what := strings.ReplaceAll(plural, "_", " ")
		keys = append(keys,
			Key{Name: "scope." + plural + ".include", Properties: []string{property("MANAGE_" + word + "_LIST")}, Type: TypeList,
				Help: what + " to manage, as full names or * patterns; empty manages all"},
			Key{Name: "scope." + plural + ".exclude", Properties: []string{property("IGNORE_" + word + "_LIST")}, Type: TypeList,
				Help: what + " not to manage; overrides include"})
	}
	keys = append(keys, Key{Name: "scope.metastore", Type: TypeEnum, Default: "auto", Enum: []string{"auto", "true", "false"},
		Help: "whether grants on the metastore itself are managed; auto: unless catalogs or schemas are included or excluded"})
	for _, plural := range []string{"users", "groups", "roles"} {
		word := strings.ToUpper(plural)
		keys = append(keys,
			Key{Name: "scope." + plural + ".manage", Type: TypeBool, Default: "true",
				Help: "false: grants of " + plural + " are not changed"},
			Key{Name: "scope." + plural + ".include", Properties: []string{property("MANAGE_" + word[:len(word)-1] + "_LIST")},
				Type: TypeList, Help: plural + " to manage, as exact names or * patterns; empty manages all"},
			Key{Name: "scope." + plural + ".exclude", Properties: []string{property("IGNORE_" + word), property("IGNORE_" + word[:len(word)-1] + "_LIST")},
				Type: TypeList, Help: plural + " never to change; overrides include"})
	}
	return append(keys, Key{Name: "scope.protected", Type: TypeList,
		Help: "principals that are never changed, by exact name; our own identity always is"})
}

// identityKeys returns the keys of which principals are created. Policy managers write them as booleans; an earlier version of
// this connector read lists from the same properties.
func identityKeys() []Key {
	var keys []Key
	for _, k := range []struct{ plural, help string }{
		{"users", "users and service principals are never created; accepted because policy managers write it"},
		{"groups", "create groups that policies name; not built yet: none is created"},
		{"roles", "create groups for the roles that policies name; not built yet: none is created"},
	} {
		word := strings.ToUpper(k.plural)
		keys = append(keys, Key{Name: "identity.manage." + k.plural, Properties: []string{property("MANAGE_" + word)}, Type: TypeBool, Default: "false",
			listUnder: property("MANAGE_" + word[:len(word)-1] + "_LIST"), noEffect: true, Help: k.help})
	}
	return append(keys, Key{Name: "identity.manage.members", Properties: []string{property("MANAGE_GROUP_MEMBERS")}, Type: TypeBool, Default: "false",
		noEffect: true, Help: "keep the members of groups that were created; not built yet: no membership is changed"})
}

// protectionKeys returns the keys of how row filters and masks are enforced, where databricks.warehouse is set.
func protectionKeys() []Key {
	return []Key{
		{Name: "protection.schema", Type: TypeString, Default: "ucwarden_protection", check: checkObjectName,
			Help: "schema in each catalog for the functions of row filters and masks; made where it is needed, and nobody else needs privileges there"},
		{Name: "protection.strategy", Type: TypeString, Default: "table", check: checkProtectionStrategy,
			Help: "by what row filters and masks are enforced: table, those of each table"},
		{Name: "protection.exempt", Type: TypeList,
			Help: "users, groups and application ids that no row filter and no mask binds: the identities that pipelines run as, break-glass accounts"},
		{Name: "protection.else", Type: TypeEnum, Enum: []string{"open", "closed"}, Default: "open",
			Help: "what others than items name see of a protected table: open, what they are granted; closed, nothing unless policies allow them to read it"},
		{Name: "protection.name_members", Type: TypeInt, Default: "100", check: checkNotNegative,
			Help: "up to how many known members of a group are named beside it, so that a filter or mask binds them also once it has another name; or 0"},
		{Name: "protection.mask_other", Type: TypeString, check: checkOneCharacter,
			Help: "shown by mask types for characters that are no digits nor letters with a case, such as Chinese ones; unset shows these"},
	}
}

// denyStrategies are the values of policies.deny_strategy.
var denyStrategies = []string{"filter", "expand", "withhold", "ignore"}

func checkDenyStrategies(value any) string {
	list := value.([]string)
	for i, s := range list {
		switch {
		case !slices.Contains(denyStrategies, s):
			return fmt.Sprintf("%s is not one of %s", quote(s), strings.Join(denyStrategies, ", "))
		case slices.Contains(list[:i], s):
			return s + " is there twice"
		case i > 0 && (list[i-1] == "withhold" || list[i-1] == "ignore"):
			return s + " is never taken after " + list[i-1] + ", which always can be"
		}
	}
	return ""
}

// checkObjectName returns what is wrong with the name of an object in Unity Catalog.
func checkObjectName(value any) string {
	if text, _ := value.(string); text == "" || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || len(text) > 255 {
		return "want lower-case letters, digits and '_'"
	}
	return ""
}

func checkProtectionStrategy(value any) string {
	switch value {
	case "table":
		return ""
	case "abac":
		return "abac is not built: row filters and masks are set on each table, and attribute-based policies of others are read and reported; use table"
	}
	return "want table"
}

func checkOneCharacter(value any) string {
	if text, _ := value.(string); utf8.RuneCountInString(text) > 1 {
		return "want one character"
	}
	return ""
}

func policyKeys() []Key {
	return []Key{
		{Name: "policies.path", Type: TypeString, Help: "file or folder of Ranger policies, JSON or YAML"},
		{Name: "policies.users_path", Type: TypeString, Help: "file of users and their groups (Ranger user store), for policies from files"},
		{Name: "policies.service", Type: TypeString, Help: "service whose policies to use, where the files hold several"},
		{Name: "policies.allow_empty", Type: TypeBool, Default: "false", Help: "accept policies that are all gone or disabled, which revokes every managed grant"},
		{Name: "policies.accept", Type: TypeString, Help: "digest of one refused version to accept; the error names it"},
		{Name: "policies.deny_strategy", Type: TypeList, check: checkDenyStrategies,
			Help: "for a deny inside an allowed group, the first of filter, expand, withhold, ignore that fits; empty: filter (with a warehouse), withhold"},
		{Name: "policies.column_strategy", Type: TypeEnum, Enum: []string{"withhold", "mask-null"}, Default: "withhold",
			Help: "for an allow on some columns: withhold the table, or grant it and let masks show NULL of the others (takes a warehouse)"},
		{Name: "policies.expand_limit", Type: TypeInt, Default: "500", check: checkPositive,
			Help: "largest group that expand grants member by member"},
		{Name: "policies.add_use", Type: TypeBool, Default: "true",
			Help: "add USE_CATALOG and USE_SCHEMA for whoever needs them below"},
		{Name: "policies.refresh_on_demand", Type: TypeBool, Default: "true",
			Help: "a daemon asks the policy source for news before each on-demand task, for at most 5s; bursts share one request"},
		{Name: "policies.max_shrink_ratio", Type: TypeFloat, Default: "0.5", check: checkPositiveRatio,
			Help: "a new version that lost more than this share of the policies is refused; 1 allows any loss but that of all"},
		{Name: "policies.ranger.url", Type: TypeURL, Help: "Ranger Admin to download from, instead of policies.path"},
		allowHTTP("policies.ranger.url"),
		{Name: "policies.ranger.service", Type: TypeString, Help: "name of the service in Ranger Admin"},
		{Name: "policies.ranger.username", Type: TypeString, Help: "user of the secure download calls"},
		{Name: "policies.ranger.password", Type: TypeSecret, Help: "password of policies.ranger.username"},
		{Name: "policies.ranger.ca_file", Type: TypeString, Help: "PEM file of certificate authorities to trust"},
		{Name: "policies.ranger.cert_file", Type: TypeString, Help: "PEM client certificate, for mutual TLS"},
		{Name: "policies.ranger.key_file", Type: TypeString, Help: "PEM private key of policies.ranger.cert_file"},
		{Name: "policies.ranger.poll_interval", Type: TypeDuration, Default: "30s", check: checkPositive, Help: "time between downloads"},
		{Name: "policies.ranger.timeout", Type: TypeDuration, Default: "30s", check: checkPositive, Help: "longest time of one download"},
		{Name: "policies.ranger.cache_dir", Type: TypeString,
			Help: "folder of the last verified download; empty is a folder under store.path"},
		{Name: "policies.ranger.plugin_id", Type: TypeString, Help: "plugin name shown in Ranger Admin; empty is ucwarden@HOST-SERVICE"},
		{Name: "policies.ranger.cluster_name", Type: TypeString, Help: "cluster name shown in Ranger Admin"},
		{Name: "principals.user_case", Properties: []string{property("USER_EMAIL_CASE_CONVERSION")}, Type: TypeEnum, Default: "none",
			Enum: []string{"none", "lower", "upper"}, Help: "conversion of user names from policies"},
		{Name: "principals.role_prefix", Type: TypeString, verbatim: true, Help: "prefix of a role's name that makes its group name in Unity Catalog"},
		{Name: "principals.group_prefix", Type: TypeString, verbatim: true, Help: "prefix of a policy's group name that makes the group name in Unity Catalog"},
	}
}

func processKeys() []Key {
	return []Key{
		{Name: "store.path", Type: TypeString, Default: "./data", check: checkNotEmpty, Help: "folder of the task store"},
		{Name: "store.on_damage", Type: TypeEnum, Default: "refuse", Enum: []string{"refuse", "quarantine"},
			Help: "what to do with a damaged task store: refuse to start, or move it aside, start with an empty one and run a full sync"},
		{Name: "audit.path", Type: TypeString, Help: "file of the audit trail: every change made to Unity Catalog; empty is audit.jsonl in store.path"},
		{Name: "audit.max_size", Type: TypeBytes, Default: "100MB", check: checkPositive, Help: "size at which the audit trail goes on in a new file"},
		{Name: "audit.keep", Type: TypeInt, Default: "10", check: checkPositive, Help: "full files of the audit trail that are kept"},
		{Name: "audit.stdout", Type: TypeBool, Default: "false", Help: "copy the audit trail of the daemon to standard output, without the promise that nothing is missing"},
		{Name: "webhook.url", Type: TypeURL, exactPath: true, query: true, Help: "where events are sent, as Standard Webhooks has them; unset: nowhere"},
		allowHTTP("webhook.url"),
		{Name: "webhook.secret", Type: TypeSecret, check: checkWebhookSecret,
			Help: "key that signs events: whsec_ and base64 of 24 to 64 bytes; several, with spaces between them, while a receiver changes over"},
		{Name: "webhook.query", Type: TypeSecret, check: checkWebhookQuery,
			Help: "query of webhook.url, without the ?, where it is to come from a file since it holds a key: that of Azure Logic Apps or Functions"},
		{Name: "webhook.events", Type: TypeList, check: checkWebhookEvents,
			Help: "types of events that are sent: task.ended, plan.refused, grants.drift, protection.drift, service.degraded, service.restored; empty sends all"},
		{Name: "webhook.allow_private", Type: TypeBool, Default: "false",
			Help: "send events to addresses that are not public, too, and through a proxy of the environment"},
		{Name: "webhook.give_up_after", Type: TypeDuration, Default: "72h", check: checkPositive,
			Help: "age at which an event that the receiver did not take is dropped"},
		{Name: "tracing.url", Type: TypeURL,
			Help: "receiver of OpenTelemetry traces over HTTP, such as a collector at http://localhost:4318; unset: none are recorded"},
		allowHTTP("tracing.url"),
		{Name: "tracing.headers", Type: TypeSecret, check: checkTracingHeaders, Help: "headers sent to it, often a key: name=value pairs with commas between them, values URL-encoded"},
		{Name: "tracing.ratio", Type: TypeFloat, Default: "1", check: checkRatio,
			Help: "share of traces that are recorded, 0 to 1; a request that names a trace of its caller is recorded as that is"},
		{Name: "log.level", Type: TypeEnum, Default: "info", Enum: []string{"debug", "info", "warn", "error"}, Help: "lowest level to log"},
		{Name: "log.format", Type: TypeEnum, Default: "text", Enum: []string{"text", "json"}, Help: "format of log lines on standard error"},
	}
}
