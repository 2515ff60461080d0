package config

import "strings"

// scopeTypes are the filters of objects, with the word that the connector properties use for the type.
var scopeTypes = []string{
	"catalogs", "schemas", "tables", "functions", "volumes", "external_locations", "storage_credentials",
	"credentials", "connections", "shares",
}

// scopeKeys lists the filters. Patterns of schemas and of what is in them are full names: sales.emea*, *.*.tmp_*.
func scopeKeys() []Key {
	var keys []Key
	for _, plural := range scopeTypes {
		word := strings.ToUpper(strings.TrimSuffix(plural, "s"))
		what := strings.ReplaceAll(plural, "_", " ")
		keys = append(keys,
			Key{Name: "scope." + plural + ".include", Properties: []string{u("MANAGE_" + word + "_LIST")}, Type: TypeList,
				Help: what + " to manage, as full names or * patterns; empty manages all"},
			Key{Name: "scope." + plural + ".exclude", Properties: []string{u("IGNORE_" + word + "_LIST")}, Type: TypeList,
				Help: what + " to leave alone; wins over include"})
	}
	for _, plural := range []string{"users", "groups", "roles"} {
		word := strings.ToUpper(plural)
		keys = append(keys,
			// Managers know the property both as a switch and as a list; see route.
			Key{Name: "scope." + plural + ".manage", Properties: []string{u("MANAGE_" + word)}, Type: TypeBool, Default: "true",
				Help: "false leaves the grants of all " + plural + " alone"},
			Key{Name: "scope." + plural + ".include", Properties: []string{u("MANAGE_" + word), u("MANAGE_" + word[:len(word)-1] + "_LIST")},
				Type: TypeList, Help: plural + " to manage, as exact names or * patterns; empty manages all"},
			Key{Name: "scope." + plural + ".exclude", Properties: []string{u("IGNORE_" + word), u("IGNORE_" + word[:len(word)-1] + "_LIST")},
				Type: TypeList, Help: plural + " never to touch; wins over include"})
	}
	return append(keys, Key{Name: "scope.protected", Type: TypeList,
		Help: "principals that are never changed, by exact name; our own identity always is"})
}

func policyKeys() []Key {
	return []Key{
		{Name: "policies.path", Type: TypeString, Help: "file or folder of Ranger policies, JSON or YAML"},
		{Name: "policies.users_path", Type: TypeString, Help: "file of users and their groups (Ranger user store), for policies from files"},
		{Name: "policies.service", Type: TypeString, Help: "service whose policies to take, where the files hold several"},
		{Name: "policies.allow_empty", Type: TypeBool, Default: "false", Help: "believe a source without any policy, which revokes every managed grant"},
		{Name: "policies.accept", Type: TypeString, Help: "digest of one refused version to believe all the same, as the refusal names it"},
		{Name: "policies.deny_strategy", Type: TypeEnum, Default: "withhold", Enum: []string{"expand", "withhold", "ignore"},
			Help: "when a deny hits members of an allowed group: grant the other members one by one, withhold the grant, or ignore the deny"},
		{Name: "policies.expand_limit", Type: TypeInt, Default: "500", check: positive,
			Help: "largest group that expand grants member by member"},
		{Name: "policies.add_use", Type: TypeBool, Default: "true",
			Help: "add USE_CATALOG and USE_SCHEMA for whoever needs them below"},
		{Name: "policies.max_shrink_ratio", Type: TypeFloat, Default: "0.5", check: positiveRatio,
			Help: "a new version that lost more than this share of the policies is not believed; 1 believes any but none"},
		{Name: "policies.ranger.url", Type: TypeURL, Help: "Ranger Admin to download from, instead of policies.path"},
		{Name: "policies.ranger.service", Type: TypeString, Help: "name of the service in Ranger Admin"},
		{Name: "policies.ranger.username", Type: TypeString, Help: "user of the secure download calls"},
		{Name: "policies.ranger.password", Type: TypeSecret, Help: "password of policies.ranger.username"},
		{Name: "policies.ranger.ca_file", Type: TypeString, Help: "PEM file of certificate authorities to trust"},
		{Name: "policies.ranger.cert_file", Type: TypeString, Help: "PEM client certificate, for mutual TLS"},
		{Name: "policies.ranger.key_file", Type: TypeString, Help: "PEM private key of policies.ranger.cert_file"},
		{Name: "policies.ranger.poll_interval", Type: TypeDuration, Default: "30s", check: positive, Help: "time between downloads"},
		{Name: "policies.ranger.timeout", Type: TypeDuration, Default: "30s", check: positive, Help: "longest time of one download"},
		{Name: "policies.ranger.cache_dir", Type: TypeString,
			Help: "folder of the last verified download; empty is a folder under store.path"},
		{Name: "policies.ranger.plugin_id", Type: TypeString, Help: "name by which Ranger Admin lists us; empty is ucwarden@HOST-SERVICE"},
		{Name: "policies.ranger.cluster_name", Type: TypeString, Help: "cluster by which Ranger Admin lists us"},
		{Name: "principals.user_case", Properties: []string{u("USER_EMAIL_CASE_CONVERSION")}, Type: TypeEnum, Default: "none",
			Enum: []string{"none", "lower", "upper"}, Help: "conversion of user names from policies"},
		{Name: "principals.role_prefix", Type: TypeString, verbatim: true, Help: "put before a role's name to give its group in Unity Catalog"},
		{Name: "principals.group_prefix", Type: TypeString, verbatim: true, Help: "put before a policy's group name to give the one in Unity Catalog"},
	}
}

func processKeys() []Key {
	return []Key{
		{Name: "store.path", Type: TypeString, Default: "./data", check: notEmpty, Help: "folder of the task store"},
		{Name: "log.level", Type: TypeEnum, Default: "info", Enum: []string{"debug", "info", "warn", "error"}, Help: "least severe line to log"},
		{Name: "log.format", Type: TypeEnum, Default: "text", Enum: []string{"text", "json"}, Help: "form of log lines on standard error"},
	}
}
