package config

import (
	"slices"
	"strings"
)

const (
	envPrefix      = "UCWARDEN_"
	propertyPrefix = "CONNECTOR_"
	// unityPrefix begins the properties of a Unity Catalog connector.
	unityPrefix = "CONNECTOR_DATABRICKS_UNITY_CATALOG_"
)

// Type is the type of a key's value.
type Type string

// The types of values. A list is a YAML sequence, or one string with commas.
const (
	TypeString   Type = "string"
	TypeSecret   Type = "secret"
	TypeBool     Type = "bool"
	TypeInt      Type = "int"
	TypeFloat    Type = "float"
	TypeDuration Type = "duration"
	TypeBytes    Type = "bytes"
	TypeEnum     Type = "enum"
	TypeURL      Type = "url"
	TypeList     Type = "list"
)

// Key describes one value of the configuration.
type Key struct {
	Name       string   // structured: databricks.host
	Properties []string // connector properties with the same meaning
	Type       Type
	Default    string   // as written in a file; empty when unset
	Enum       []string // the allowed words of a TypeEnum
	Help       string   // one line

	check func(value any) string                    // returns what is wrong with a parsed value, "" when it is valid
	parse func(text string) (value, problem string) // normalises the text before it is parsed by its type; may be nil
	// noEffect says that the daemon does not read the value; see [Config.WithoutEffect].
	noEffect bool
	// listUnder is the property for a list of names, where one may be written here by mistake.
	listUnder string
	// verbatim keeps leading and trailing spaces.
	verbatim bool
	// exactPath keeps the slashes at the end of a URL: it is requested as it is, and no path is added to it.
	exactPath bool
	// query takes a URL with a query, which becomes a secret; see takeQuery.
	query bool
}

// Env returns the key's name in the environment: UCWARDEN_DATABRICKS_HOST.
func (k Key) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.Name, ".", "_"))
}

// NoEffect reports whether the daemon does not read the value of the key yet. The Helm chart may.
func (k Key) NoEffect() bool { return k.noEffect }

// FileEnv returns the name in the environment of a file that holds the value; "" for a key that is not a secret.
func (k Key) FileEnv() string {
	if k.Type != TypeSecret {
		return ""
	}
	return k.Env() + fileSuffix
}

// Keys returns every key, in the order of the printed reference.
func Keys() []Key {
	return slices.Concat(connectionKeys(), taskKeys(), scopeKeys(), privilegeKeys(), identityKeys(), policyKeys(), protectionKeys(), processKeys())
}

// allowHTTP returns the key that permits plain http for the URL of another key.
func allowHTTP(url string) Key {
	return Key{Name: url + allowHTTPSuffix, Type: TypeBool, Default: "false",
		Help: "accept plain http to a host that is not this machine, although credentials and answers can be read and forged on the way"}
}

const allowHTTPSuffix = ".allow_http"

// field returns the path of the key's field in Config: its name, except where that lies below another key's.
func (k Key) field() string {
	if url, ok := strings.CutSuffix(k.Name, allowHTTPSuffix); ok {
		return url + "_" + allowHTTPSuffix[1:]
	}
	return k.Name
}

// property returns the full name of a Unity Catalog connector property.
func property(name string) string { return unityPrefix + name }

func connectionKeys() []Key {
	return []Key{
		{Name: "databricks.host", Properties: []string{property("DATABRICKS_BASE_URL")}, Type: TypeURL,
			Help: "workspace URL; https:// is added where it is missing"},
		allowHTTP("databricks.host"),
		{Name: "databricks.auth", Properties: []string{property("JDBC_AUTH_MECHANISM")}, Type: TypeEnum, Default: "auto",
			Enum: []string{"auto", "token", "oauth", "azure_oauth"},
			Help: "which credentials to use; auto uses the one complete set and fails if there are two"},
		{Name: "databricks.token", Properties: []string{property("API_ACCESS_TOKEN")}, Type: TypeSecret,
			Help: "personal access token"},
		{Name: "databricks.client_id", Properties: []string{property("OAUTH_CLIENT_ID")}, Type: TypeString,
			Help: "service principal for OAuth machine-to-machine, or Entra ID application"},
		{Name: "databricks.client_secret", Properties: []string{property("OAUTH_CLIENT_SECRET")}, Type: TypeSecret,
			Help: "secret that goes with databricks.client_id"},
		{Name: "databricks.azure_tenant_id", Properties: []string{property("AZURE_OAUTH_TENANT_ID")}, Type: TypeString,
			Help: "Entra ID tenant; makes client_id and client_secret an Entra ID service principal"},
		{Name: "databricks.warehouse", Properties: []string{property("JDBC_URL")}, Type: TypeString, parse: parseWarehouse,
			Help: "SQL warehouse that sets row filters and masks, without which they close tables: its id, HTTP path, or JDBC URL with httpPath"},
		{Name: "databricks.ca_file", Type: TypeString,
			Help: "PEM file of certificate authorities to trust instead of the system's"},
		{Name: "databricks.request_timeout", Type: TypeDuration, Default: "3m", check: checkPositive,
			Help: "longest time one call may take, retries included"},
		{Name: "databricks.max_concurrency", Type: TypeInt, Default: "32", check: checkPositive,
			Help: "most requests in flight; below it the number adapts to the workspace"},
		{Name: "databricks.max_rate", Type: TypeFloat, Default: "0", check: checkNotNegative,
			Help: "most requests started per second; 0 means no limit of our own"},
		{Name: "databricks.max_attempts", Type: TypeInt, Default: "6", check: checkPositive,
			Help: "attempts per request, the first included; one refused with 429 while others are accepted does not count"},
	}
}

func taskKeys() []Key {
	return []Key{
		{Name: "apiserver.enabled", Properties: []string{property("API_SERVER_ENABLED")}, Type: TypeBool, Default: "false",
			Help: "serve the REST API; takes effect only together with ondemand.enabled"},
		{Name: "apiserver.addr", Type: TypeString, Default: "127.0.0.1:8282", check: checkAddress,
			Help: "host:port of the REST API"},
		{Name: "apiserver.admin_addr", Type: TypeString, check: checkAddress,
			Help: "separate host:port of health, readiness and metrics; empty serves them with the API"},
		{Name: "apiserver.tls.cert", Type: TypeString, Help: "PEM certificate chain of the REST API; empty serves plain HTTP"},
		{Name: "apiserver.tls.key", Type: TypeString, Help: "PEM private key of apiserver.tls.cert"},
		{Name: "apiserver.tls.client_ca", Type: TypeString,
			Help: "PEM file of certificate authorities; every client of the REST API must then show a certificate of one of them, beside its token"},
		{Name: "apiserver.jwt.issuer", Type: TypeString, Default: "ucwarden", Help: "required iss claim of tokens"},
		{Name: "apiserver.jwt.audience", Type: TypeString, Default: "ucwarden", Help: "required aud claim of tokens"},
		{Name: "apiserver.jwt.jwks", Type: TypeString, Help: "file or https URL of the public keys of tokens (JWKS); a set without keys revokes every token"},
		allowHTTP("apiserver.jwt.jwks"),
		{Name: "apiserver.jwt.keep_unread", Type: TypeDuration, Default: "1h", check: checkPositive,
			Help: "how long token keys stay in force that cannot be read again"},
		{Name: "apiserver.jwt.pem_keys", Type: TypeList, Help: "PEM files of public keys of tokens"},
		{Name: "apiserver.jwt.hs256_secret", Type: TypeSecret, check: checkHS256Secret,
			Help: "shared secret for HS256 tokens, at least 32 bytes; unset: HS256 is not accepted"},
		{Name: "apiserver.body_limit", Type: TypeBytes, Default: "1MiB", check: checkPositive, Help: "largest request body"},
		{Name: "apiserver.max_resources", Type: TypeInt, Default: "1000", check: checkUpTo(1000), Help: "most resources in one task, up to 1000"},
		{Name: "apiserver.rate_burst", Type: TypeInt, Default: "0", check: checkNotNegative,
			Help: "calls that a subject may make at once after a quiet time; 0 is what apiserver.rate_limit allows in 5 seconds"},
		{Name: "apiserver.rate_limit", Type: TypeFloat, Default: "200", check: checkNotNegative,
			Help: "requests per second and subject, of which a batch is one; 0 means no limit"},
		{Name: "apiserver.external_access", noEffect: true, Properties: []string{property("EXTERNAL_ACCESS_ENABLED")}, Type: TypeBool, Default: "false",
			Help: "the Helm chart exposes the API outside the cluster; the daemon does nothing about it"},
		{Name: "apiserver.nginx_ingress", noEffect: true, Properties: []string{property("K8S_NGINX_INGRESS_ENABLE")}, Type: TypeBool, Default: "false",
			Help: "the Helm chart makes an NGINX ingress for it; the daemon does nothing about it"},
		{Name: "ondemand.enabled", Properties: []string{property("ON_DEMAND_V2_ENABLED"), "CONNECTOR_ON_DEMAND_V2_ENABLED"},
			Type: TypeBool, Default: "false", Help: "on-demand pipeline"},
		{Name: "ondemand.workers", Type: TypeInt, Default: "4", check: checkPositive, Help: "tasks that run at the same time"},
		{Name: "ondemand.max_attempts", Type: TypeInt, Default: "8", check: checkPositive,
			Help: "attempts of a task before a transient error makes it FAILED"},
		{Name: "ondemand.max_crashes", Type: TypeInt, Default: "8", check: checkPositive,
			Help: "crashes during a task before it becomes FAILED, if no other task ran beside it in the last one"},
		{Name: "ondemand.max_queued", Type: TypeInt, Default: "100000", check: checkPositive,
			Help: "waiting tasks before new ones are rejected"},
		{Name: "ondemand.retention", Type: TypeDuration, Default: "720h", check: checkPositive, Help: "how long ended tasks are kept"},
		{Name: "ondemand.admit_window", Type: TypeDuration, Default: "0s", check: checkNotNegative,
			Help: "how long a new task waits for others to be admitted with it, so that one run does the work of more of them"},
		{Name: "ondemand.admit_size", Type: TypeInt, Default: "500", check: checkPositive,
			Help: "new tasks that are admitted at once, without waiting longer, when so many are there"},
		{Name: "ondemand.eventhub.enabled", Properties: []string{"CONNECTOR_ON_DEMAND_V2_AZURE_EVENT_HUB_ENABLED"},
			Type: TypeBool, Default: "false", Help: "receive tasks from Azure Event Hubs"},
		{Name: "ondemand.eventhub.connection_string", Properties: []string{"CONNECTOR_ON_DEMAND_V2_AZURE_CONNECTION_STRING"},
			Type: TypeSecret, check: checkConnectionString, Help: "Event Hubs connection string, with or without EntityPath"},
		{Name: "ondemand.eventhub.namespace", Type: TypeString, check: checkNamespace,
			Help: "Event Hubs namespace, NAME.servicebus.windows.net: authenticate by Entra ID instead of a connection string"},
		{Name: "ondemand.eventhub.entra.tenant_id", Type: TypeString, Help: "Entra ID tenant; unset: AZURE_TENANT_ID"},
		{Name: "ondemand.eventhub.entra.client_id", Type: TypeString, Help: "application id of the service principal; unset: AZURE_CLIENT_ID"},
		{Name: "ondemand.eventhub.entra.client_secret", Type: TypeSecret, Help: "its secret; unset: workload identity"},
		{Name: "ondemand.eventhub.name", Type: TypeString, Help: "event hub, where the connection string has no EntityPath"},
		{Name: "ondemand.eventhub.consumer_group", Type: TypeString, Default: "$Default", check: checkNotEmpty, Help: "consumer group"},
		{Name: "ondemand.eventhub.start", Type: TypeEnum, Default: "earliest", Enum: []string{"earliest", "latest"},
			Help: "first position when no checkpoint is stored"},
		{Name: "ondemand.eventhub.task_types", Type: TypeList, Default: "RESOURCE_SYNC", check: checkTaskTypes,
			Help: "task types that events, which carry no token, may ask for: RESOURCE_SYNC, FULL_SYNC, PIPELINE_UPDATE"},
		{Name: "ondemand.eventhub.catalogs", Type: TypeList, Default: "*", check: checkPatterns,
			Help: "catalogs that events may name, as exact names or * patterns; all but * leaves RESOURCE_SYNC of what is in them only"},
		{Name: "pipelines.jobs", Type: TypeString, Help: "file of job definitions that ucwarden pipeline import writes, for the pipeline commands"},
		{Name: "pipelines.active_update", Type: TypeEnum, Default: "wait", Enum: []string{"wait", "fail", "join"},
			Help: "for a PIPELINE_UPDATE whose pipeline has an active update: wait for its end, fail, or join (follow that one)"},
		{Name: "pipelines.poll_interval", Type: TypeDuration, Default: "2s", check: checkPositive,
			Help: "until an update of a pipeline is looked at for the first time; it rises by half each time"},
		{Name: "pipelines.poll_max", Type: TypeDuration, Default: "30s", check: checkPositive, Help: "longest time between two looks at an update"},
		{Name: "pipelines.give_up_after", Type: TypeDuration, Default: "1h", check: checkPositive,
			Help: "how long an active update is waited for, or a service that does not say the state of an update, before the task ends FAILED"},
		{Name: "refresh.on", Type: TypeEnum, Default: "off", Enum: []string{"off", "protection", "all"},
			Help: "update pipelines of pipelines.jobs after a sync changed row filters and masks in what their refreshOn names (all: grants too)"},
		{Name: "refresh.window", Type: TypeDuration, Default: "1m", check: checkRefreshWindow,
			Help: "changes within such a time are followed by one update of a pipeline, at its end; at most 5m"},
		{Name: "refresh.targets", Type: TypeBool, Default: "false", Help: "as if refreshOn named the schema that a pipeline writes to, too"},
		{Name: "sync.interval", Type: TypeDuration, Default: "1h", check: checkPositive, Help: "time from one full sync to the next"},
		{Name: "sync.jitter", Type: TypeDuration, Default: "5m", check: checkNotNegative, Help: "upper bound of a random time added to the interval"},
		{Name: "sync.on_start", Type: TypeBool, Default: "true", Help: "run a full sync at start"},
		{Name: "sync.mode", Type: TypeEnum, Default: "enforce", Enum: []string{"enforce", "grant-only", "observe"},
			Help: "enforce, grant-only (never revoke), observe (plan and report, change nothing)"},
		{Name: "sync.grant_updates", Properties: []string{property("GRANT_UPDATES")}, Type: TypeBool, Default: "true",
			Help: "false is the same as sync.mode observe"},
		{Name: "guard.max_revokes", Type: TypeInt, Default: "500", check: checkNotNegative,
			Help: "a sync with more revokes than this is refused until approved"},
		{Name: "guard.max_revoke_ratio", Type: TypeFloat, Default: "0.2", check: checkRatio,
			Help: "share of the managed grants, 0 to 1; a sync that revokes more than 10 and a larger share is refused until approved"},
		{Name: "guard.max_shrink_ratio", Type: TypeFloat, Default: "0.5", check: checkRatio,
			Help: "a listing that lost more than this share of its objects since the last sync is rejected"},
		{Name: "guard.max_policy_age", Type: TypeDuration, Default: "24h", check: checkNotNegative,
			Help: "policies that were not confirmed for longer than this revoke nothing; 0 means no limit"},
		{Name: "guard.confirm_upgrade", Type: TypeBool, Default: "true",
			Help: "after an upgrade that changed how policies are read, the first plan is refused until approved"},
	}
}
