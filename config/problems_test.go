package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucwarden/config"
)

const eventHubs = "Endpoint=sb://n.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=verysecretkey"

func TestProblems(t *testing.T) {
	for _, test := range []struct {
		name, file string
		environ    []string
		want       string // the whole text of the error
	}{
		{name: "misspelt key", file: "sync:\n  intervall: 1h\n",
			want: "ucwarden.yaml:2: sync.intervall: unknown key; did you mean sync.interval?"},
		{name: "misspelt section", file: "\ndatabrick:\n  host: https://x\n",
			want: "ucwarden.yaml:3: databrick.host: unknown key; did you mean databricks.host?"},
		{name: "key in the wrong section", file: "apiserver:\n  workers: 3\n",
			want: "ucwarden.yaml:2: apiserver.workers: unknown key; did you mean ondemand.workers?"},
		{name: "key in capitals", file: "Store: {path: x}\n",
			want: "ucwarden.yaml:1: Store.path: unknown key; did you mean store.path?"},
		{name: "environment name in a file", file: "UCWARDEN_STORE_PATH: x\n",
			want: "ucwarden.yaml:1: UCWARDEN_STORE_PATH: unknown key: this is its name in the environment, in a file it is store.path"},
		{name: "empty unknown section", file: "stor: {}\n",
			want: "ucwarden.yaml:1: stor: unknown key; did you mean store.path?"},
		{name: "section with a value", file: "sync: 1h\n",
			want: "ucwarden.yaml:1: sync: is a section: put its keys below it, indented"},
		{name: "key with a mapping", file: "store: {path: {x: 1}}\n",
			want: "ucwarden.yaml:1: store.path: wants a value, not a mapping"},
		{name: "value with a list", file: "store: {path: [a, b]}\n",
			want: "ucwarden.yaml:1: store.path: wants one value, not a list"},
		{name: "list of mappings", file: "scope:\n  protected:\n    - a: b\n",
			want: "ucwarden.yaml:3: scope.protected: wants a list of plain values"},
		{name: "twice in a mapping", file: "store: {path: a}\nlog:\n  level: info\n  level: info\n",
			want: "ucwarden.yaml:4: log.level: given twice, first on line 3"},
		{name: "two names, two values", file: "CONNECTOR_DATABRICKS_UNITY_CATALOG_ON_DEMAND_V2_ENABLED: 'true'\nCONNECTOR_ON_DEMAND_V2_ENABLED: 'false'\n",
			want: "ucwarden.yaml:2 CONNECTOR_ON_DEMAND_V2_ENABLED: ondemand.enabled: two values: CONNECTOR_DATABRICKS_UNITY_CATALOG_ON_DEMAND_V2_ENABLED" +
				" (line 1) and CONNECTOR_ON_DEMAND_V2_ENABLED (line 2) mean the same key; keep one"},
		{name: "key and property, two values", file: "sync.grant_updates: true\nCONNECTOR_DATABRICKS_UNITY_CATALOG_GRANT_UPDATES: 'no'\n",
			want: "ucwarden.yaml:2 CONNECTOR_DATABRICKS_UNITY_CATALOG_GRANT_UPDATES: sync.grant_updates: two values: sync.grant_updates" +
				" (line 1) and CONNECTOR_DATABRICKS_UNITY_CATALOG_GRANT_UPDATES (line 2) mean the same key; keep one"},
		{name: "two names in the environment", environ: []string{"UCWARDEN_SYNC_GRANT_UPDATES=1", "CONNECTOR_DATABRICKS_UNITY_CATALOG_GRANT_UPDATES=0"},
			want: "env UCWARDEN_SYNC_GRANT_UPDATES: sync.grant_updates: two values: CONNECTOR_DATABRICKS_UNITY_CATALOG_GRANT_UPDATES" +
				" and UCWARDEN_SYNC_GRANT_UPDATES mean the same key; keep one"},
		{name: "webhook without a secret", file: "webhook.url: https://h.example\n",
			want: "ucwarden.yaml:1: webhook.url: needs webhook.secret, by which the receiver tells who sends: set it, for example from: echo whsec_$(openssl rand -base64 32)"},
		{name: "webhook secret of another form", file: "webhook.secret: hunter2\n",
			want: "ucwarden.yaml:1: webhook.secret: want whsec_ and base64 of 24 to 64 bytes, for example from: echo whsec_$(openssl rand -base64 32)"},
		{name: "webhook event", file: "webhook.events: [task.began]\n",
			want: `ucwarden.yaml:1: webhook.events: there are no events of type "task.began": want one of task.ended, plan.refused, grants.drift, protection.drift, service.degraded, service.restored`},
		{name: "authorities of clients without TLS", file: "apiserver.tls.client_ca: ca.pem\n",
			want: "ucwarden.yaml:1: apiserver.tls.client_ca: needs apiserver.tls.cert and apiserver.tls.key: certificates of clients are asked for by TLS alone"},
		{name: "bool", file: "ondemand:\n  enabled: maybe\n",
			want: `ucwarden.yaml:2: ondemand.enabled: "maybe" is not a boolean: want true or false`},
		{name: "bool property", file: "CONNECTOR_DATABRICKS_UNITY_CATALOG_API_SERVER_ENABLED: ja\n",
			want: `ucwarden.yaml:1 CONNECTOR_DATABRICKS_UNITY_CATALOG_API_SERVER_ENABLED: apiserver.enabled: "ja" is not a boolean: want true or false`},
		{name: "duration without unit", environ: []string{"UCWARDEN_SYNC_INTERVAL=3600"},
			want: `env UCWARDEN_SYNC_INTERVAL: sync.interval: "3600" is not a duration: want a number and a unit, for example 90s, 5m, 1h30m or 30d`},
		{name: "interval zero", file: "sync.interval: 0s\n", want: "ucwarden.yaml:1: sync.interval: 0s is not allowed: want more than 0"},
		{name: "negative jitter", file: "sync.jitter: -1s\n", want: "ucwarden.yaml:1: sync.jitter: -1s is not allowed: want 0 or more"},
		{name: "ratio", file: "guard: {max_revoke_ratio: 20}\n", want: "ucwarden.yaml:1: guard.max_revoke_ratio: 20 is not allowed: want a share from 0 to 1"},
		{name: "ratio not a number", file: "guard: {max_revoke_ratio: .nan}\n",
			want: `ucwarden.yaml:1: guard.max_revoke_ratio: ".nan" is not a number, for example 0.2`},
		{name: "workers", file: "ondemand: {workers: 2.5}\n", want: `ucwarden.yaml:1: ondemand.workers: "2.5" is not a whole number`},
		{name: "bytes", file: "apiserver: {body_limit: 1 MX}\n",
			want: `ucwarden.yaml:1: apiserver.body_limit: "1 MX" is not a size: want bytes, or a number with KiB, MiB, GiB, kB, MB or GB`},
		{name: "resources", file: "apiserver: {max_resources: 1001}\n", want: "ucwarden.yaml:1: apiserver.max_resources: 1001 is not allowed: want 1 to 1000"},
		{name: "address", file: "apiserver: {addr: localhost}\n",
			want: `ucwarden.yaml:1: apiserver.addr: "localhost" is not an address: want host:port, for example 127.0.0.1:8282 or :8282`},
		{name: "conversion", file: "principals: {user_case: title}\n",
			want: `ucwarden.yaml:1: principals.user_case: "title" is not one of none, lower, upper`},
		{name: "url with password", file: "databricks: {host: 'https://user:hunter2@x.com'}\n",
			want: "ucwarden.yaml:1: databricks.host: want a URL without user, password, query or fragment"},
		{name: "url", file: "databricks: {host: 'ftp://x'}\n",
			want: "ucwarden.yaml:1: databricks.host: want a URL, for example https://dbc-1234abcd-56ef.cloud.databricks.com"},
		{name: "no credentials", file: "databricks: {host: x.com}\n",
			want: "ucwarden.yaml:1: databricks.host: no credentials: set databricks.token, or databricks.client_id and databricks.client_secret"},
		{name: "two credentials", file: "databricks: {host: x.com, client_id: a, client_secret: b}\n", environ: []string{"UCWARDEN_DATABRICKS_TOKEN=t"},
			want: "env UCWARDEN_DATABRICKS_TOKEN: databricks.token: both a token and OAuth credentials are set: keep one, or choose with databricks.auth: token, oauth or azure_oauth"},
		{name: "half the credentials", file: "databricks: {host: x.com, client_id: a, azure_tenant_id: t}\n",
			want: "databricks.client_secret: missing: authentication by azure_oauth needs databricks.client_id, databricks.client_secret, databricks.azure_tenant_id; set it in the file, as UCWARDEN_DATABRICKS_CLIENT_SECRET, or in a file that UCWARDEN_DATABRICKS_CLIENT_SECRET_FILE names"},
		{name: "chosen credentials are missing", file: "databricks: {host: x.com, auth: oauth, token: t, client_id: a}\n",
			want: "databricks.client_secret: missing: authentication by oauth needs databricks.client_id, databricks.client_secret; set it in the file, as UCWARDEN_DATABRICKS_CLIENT_SECRET, or in a file that UCWARDEN_DATABRICKS_CLIENT_SECRET_FILE names"},
		{name: "jdbc url without path", file: "CONNECTOR_DATABRICKS_UNITY_CATALOG_JDBC_URL: jdbc:databricks://x:443;PWD=hunter2\n",
			want: "ucwarden.yaml:1 CONNECTOR_DATABRICKS_UNITY_CATALOG_JDBC_URL: databricks.warehouse: the JDBC URL has no httpPath: " +
				"copy it from the warehouse's connection details, it ends in httpPath=/sql/1.0/warehouses/ID"},
		{name: "warehouse", file: "databricks: {warehouse: a/b}\n",
			want: "ucwarden.yaml:1: databricks.warehouse: not a SQL warehouse: want its id, its HTTP path /sql/1.0/warehouses/ID, or a JDBC URL with that httpPath"},
		{name: "connection string without endpoint", file: "ondemand.eventhub.connection_string: SharedAccessKeyName=k;SharedAccessKey=hunter2\n",
			want: "ucwarden.yaml:1: ondemand.eventhub.connection_string: not an Event Hubs connection string: Endpoint=sb://NAMESPACE.servicebus.windows.net/ is missing or malformed"},
		{name: "connection string without key", file: "ondemand.eventhub.connection_string: Endpoint=sb://n/;SharedAccessKeyName=k\n",
			want: "ucwarden.yaml:1: ondemand.eventhub.connection_string: not an Event Hubs connection string: SharedAccessKey is missing"},
		{name: "connection string in another form", file: "ondemand.eventhub.connection_string: sb://hunter2\n",
			want: "ucwarden.yaml:1: ondemand.eventhub.connection_string: not an Event Hubs connection string: its parts are NAME=VALUE, separated by semicolons"},
		{name: "two hubs", file: "ondemand.eventhub: {connection_string: '" + eventHubs + ";EntityPath=a', name: b}\n",
			want: "ucwarden.yaml:1: ondemand.eventhub.name: is not the EntityPath of ondemand.eventhub.connection_string: keep one"},
		{name: "two ways to a hub", file: "ondemand.eventhub: {connection_string: '" + eventHubs + ";EntityPath=a', namespace: n, enabled: on}\n",
			want: "ucwarden.yaml:1: ondemand.eventhub.namespace: is for Entra ID, but ondemand.eventhub.connection_string is set too: keep one"},
		{name: "a namespace without a hub", file: "ondemand.eventhub: {namespace: n, enabled: on}\n",
			want: "ucwarden.yaml:1: ondemand.eventhub.enabled: needs the hub: set ondemand.eventhub.name"},
		{name: "a namespace that is a URL", file: "ondemand.eventhub.namespace: sb://n\n",
			want: `ucwarden.yaml:1: ondemand.eventhub.namespace: "sb://n" is not the name of a namespace: want NAME.servicebus.windows.net`},
		{name: "pipelines are refreshed after changes of nothing", file: "refresh.on: all\n",
			want: "ucwarden.yaml:1: refresh.on: no pipeline is refreshed without pipelines.jobs, the file of ucwarden pipeline import; set it, or refresh.on: off"},
		{name: "a window that is too long", file: "refresh.window: 6m\n", want: "ucwarden.yaml:1: refresh.window: 6m0s is not allowed: want 0s to 5m"},
		{name: "events may ask for nothing", file: "ondemand.eventhub.task_types: []\n",
			want: "ucwarden.yaml:1: ondemand.eventhub.task_types: names no task type: to take no tasks from events, unset ondemand.eventhub.enabled"},
		{name: "events may ask for something unknown", file: "ondemand.eventhub.task_types: [VALIDITY_SYNC]\n",
			want: `ucwarden.yaml:1: ondemand.eventhub.task_types: "VALIDITY_SYNC" is not one of RESOURCE_SYNC, FULL_SYNC, PIPELINE_UPDATE`},
		{name: "events may name no catalog", file: "ondemand.eventhub.catalogs: []\n",
			want: "ucwarden.yaml:1: ondemand.eventhub.catalogs: names no catalog: leave it out for all of them"},
		{name: "events may name a schema", file: "ondemand.eventhub.catalogs: [sales.emea]\n",
			want: `ucwarden.yaml:1: ondemand.eventhub.catalogs: "sales.emea" is not the name of a catalog, nor a * pattern`},
		{name: "no hub", file: "ondemand.eventhub: {connection_string: '" + eventHubs + "', enabled: on}\n",
			want: "ucwarden.yaml:1: ondemand.eventhub.enabled: needs the hub: set ondemand.eventhub.name, or EntityPath in ondemand.eventhub.connection_string"},
		{name: "no connection string", file: "ondemand.eventhub.enabled: on\n",
			want: "ucwarden.yaml:1: ondemand.eventhub.enabled: needs ondemand.eventhub.connection_string, or ondemand.eventhub.namespace with Entra ID"},
		{name: "half a certificate", file: "apiserver: {tls: {cert: c}}\n",
			want: "apiserver.tls: apiserver.tls.cert and apiserver.tls.key go together: set both, or neither for plain HTTP"},
		{name: "short secret", environ: []string{"UCWARDEN_APISERVER_JWT_HS256_SECRET=hunter2"},
			want: "env UCWARDEN_APISERVER_JWT_HS256_SECRET: apiserver.jwt.hs256_secret: too short: HS256 needs at least 32 bytes, for example from: openssl rand -hex 32"},
		{name: "keys over plain http", file: "apiserver: {jwt: {jwks: 'http://keys.example.com'}}\n",
			want: "ucwarden.yaml:1: apiserver.jwt.jwks: plain http to keys.example.com, which is not this machine, would send credentials in clear text: use https, or set apiserver.jwt.jwks.allow_http to true to accept that"},
		{name: "two sources of policies", file: "policies: {path: p, ranger: {url: r.com, service: s}}\n",
			want: "ucwarden.yaml:1: policies.path: both policies.path and policies.ranger.url are set: policies come from one source"},
		{name: "ranger without service", file: "policies: {ranger: {url: r.com}}\n",
			want: "ucwarden.yaml:1: policies.ranger.url: needs policies.ranger.service, the name of the service in Ranger Admin"},
		{name: "not yaml", file: "a: b: c\n", want: "ucwarden.yaml: not valid YAML: mapping values are not allowed in this context"},
		{name: "secret that looks like an alias", file: "databricks:\n  token: *hunter2\n",
			want: "ucwarden.yaml: not valid YAML: a value that begins with * refers to nothing: put it in quotes"},
		{name: "not a mapping", file: "- a\n", want: "ucwarden.yaml:1: want a mapping of keys to values"},
		{name: "two documents", file: "store.path: a\n---\nstore.path: b\n", want: "ucwarden.yaml:2: a second YAML document: want only one"},
		{name: "merge", file: "log: &a {level: info}\nsync:\n  <<: *a\n",
			want: "ucwarden.yaml:3: want a plain key; YAML merges and complex keys are not supported"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := loadErr(t, test.file, test.environ...)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(got, "hunter2") || strings.Contains(got, "verysecretkey") {
				t.Errorf("a secret is in the error: %s", got)
			}
		})
	}
}

// Properties of policy managers enable the API without keys of ours: enough for every command but the daemon.
func TestServeNeedsKeys(t *testing.T) {
	const enabled = "CONNECTOR_DATABRICKS_UNITY_CATALOG_API_SERVER_ENABLED: true\nCONNECTOR_ON_DEMAND_V2_ENABLED: true\n"
	const want = ":1 CONNECTOR_DATABRICKS_UNITY_CATALOG_API_SERVER_ENABLED: apiserver.enabled: no key to check tokens with: " +
		"set apiserver.jwt.jwks, .pem_keys or .hs256_secret (make keys with: ucwarden keys generate)"
	err := load(t, enabled).CheckServe()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, sound := range []string{enabled + "apiserver.jwt.jwks: keys.json\n", "apiserver.enabled: true\n", "{}\n"} {
		if err := load(t, sound).CheckServe(); err != nil {
			t.Errorf("%s: %v", sound, err)
		}
	}
}

// Every problem is reported at once, in the order of the file.
func TestAllProblemsAtOnce(t *testing.T) {
	got := loadErr(t, "sync:\n  interval: x\n  mode: y\nlgo: {level: info}\n", "UCWARDEN_LOG_LEVEL=loud")
	want := `env UCWARDEN_LOG_LEVEL: log.level: "loud" is not one of debug, info, warn, error
ucwarden.yaml:2: sync.interval: "x" is not a duration: want a number and a unit, for example 90s, 5m, 1h30m or 30d
ucwarden.yaml:3: sync.mode: "y" is not one of enforce, grant-only, observe
ucwarden.yaml:4: lgo.level: unknown key; did you mean log.level?`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFlagProblems(t *testing.T) {
	for _, test := range []struct {
		flag config.Flag
		want string
	}{
		{config.Flag{Key: "sync.mod", Value: "observe", Name: "--set"}, "flag --set: sync.mod: unknown key; did you mean sync.mode?"},
		{config.Flag{Key: "log.level", Value: "loud", Name: "--log-level"}, `flag --log-level: log.level: "loud" is not one of debug, info, warn, error`},
		{config.Flag{Key: "databricks.token", Value: "hunter2", Name: "--set"}, "flag --set: databricks.token: a secret on the command line " +
			"can be read by every user of the machine: put it in the file or in UCWARDEN_DATABRICKS_TOKEN, or the path of a file in UCWARDEN_DATABRICKS_TOKEN_FILE"},
	} {
		_, err := config.Load(config.Options{Flags: []config.Flag{test.flag}})
		if err == nil || err.Error() != test.want {
			t.Errorf("%v: got %v, want %s", test.flag, err, test.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, test := range []struct {
		name, file string
		environ    []string
		want       []string
	}{
		{name: "an event hub in the clear", file: "ondemand: {enabled: on, eventhub: {enabled: on, connection_string: '" + eventHubs + ";EntityPath=a;UseDevelopmentEmulator=true'}}\napiserver.admin_addr: 127.0.0.1:1\n",
			want: []string{"ondemand.eventhub.connection_string has UseDevelopmentEmulator=true for a host that is not this machine: tokens and events cross the network in the clear"}},
		{name: "events alone", file: "ondemand: {enabled: on, eventhub: {enabled: on, connection_string: '" + eventHubs + ";EntityPath=a'}}\n",
			want: []string{"no health and no metrics are served, since the REST API is off: set apiserver.admin_addr to serve them alone"}},
		{name: "api without pipeline", file: "apiserver.enabled: true\n", want: []string{"apiserver.enabled has no effect without ondemand.enabled"}},
		{name: "mode against grant updates", file: "sync: {mode: enforce, grant_updates: false}\n",
			want: []string{"sync.grant_updates is false: nothing is changed, although sync.mode is enforce"}},
		{name: "near miss of a property", file: "CONNECTOR_DATABRICKS_UNITY_CATALOG_USER_EMAIL_CASE_CONVERSON: 'lower'\n",
			want: []string{"ucwarden.yaml:1: unknown property CONNECTOR_DATABRICKS_UNITY_CATALOG_USER_EMAIL_CASE_CONVERSON is not used; did you mean CONNECTOR_DATABRICKS_UNITY_CATALOG_USER_EMAIL_CASE_CONVERSION?"}},
		{name: "empty lists of a manager", file: "CONNECTOR_DATABRICKS_UNITY_CATALOG_MANAGE_CATALOG_LIST: ''\nCONNECTOR_DATABRICKS_UNITY_CATALOG_IGNORE_TABLE_LIST: []\n",
			want: []string{"ucwarden.yaml: lists that are there and empty bound nothing: CONNECTOR_DATABRICKS_UNITY_CATALOG_MANAGE_CATALOG_LIST (line 1), CONNECTOR_DATABRICKS_UNITY_CATALOG_IGNORE_TABLE_LIST (line 2)"}},
		{name: "limits of other products", file: "CONNECTOR_SNOWFLAKE_MANAGE_USER_LIST: 'a'\n",
			want: []string{"ucwarden.yaml: connector properties that are not used: CONNECTOR_SNOWFLAKE_MANAGE_USER_LIST (line 1)"}},
		{name: "property of another connector", file: "CONNECTOR_SNOWFLAKE_JDBC_URL: x\n",
			want: []string{"ucwarden.yaml: connector properties that are not used: CONNECTOR_SNOWFLAKE_JDBC_URL (line 1)"}},
		{name: "property that is far from ours", file: "CONNECTOR_DATABRICKS_UNITY_CATALOG_ENABLE_VIEW_BASED_MASKING: 'true'\n",
			want: []string{"ucwarden.yaml: connector properties that are not used: CONNECTOR_DATABRICKS_UNITY_CATALOG_ENABLE_VIEW_BASED_MASKING (line 1)"}},
		{name: "many that are not used", file: "CONNECTOR_A: 1\nCONNECTOR_B: 1\nCONNECTOR_C: 1\nCONNECTOR_D: 1\nCONNECTOR_E: 1\nCONNECTOR_F: [1]\nCONNECTOR_G: ''\n",
			want: []string{"ucwarden.yaml: connector properties that are not used: CONNECTOR_A (line 1), CONNECTOR_B (line 2), CONNECTOR_C (line 3), CONNECTOR_D (line 4), CONNECTOR_E (line 5) and 2 more"}},
		{name: "near miss in the environment", environ: []string{"UCWARDEN_STORE_PAHT=x"},
			want: []string{"env: unknown variable UCWARDEN_STORE_PAHT is not used; did you mean UCWARDEN_STORE_PATH?"}},
		{name: "properties in the environment", environ: []string{"CONNECTOR_DATABRICKS_UNITY_CATALOG_MANAGE_CATALOG_LIST=",
			"CONNECTOR_DATABRICKS_UNITY_CATALOG_ENABLE_ROW_FILTER=true", "CONNECTOR_DATABRICKS_UNITY_CATALOG_SOMETHING_ELSE=", "UCWARDEN_SCOPE_CATALOGS_INCLUDE="},
			want: []string{"env: lists that are there and empty bound nothing: CONNECTOR_DATABRICKS_UNITY_CATALOG_MANAGE_CATALOG_LIST, UCWARDEN_SCOPE_CATALOGS_INCLUDE",
				"env: connector properties that are not used: CONNECTOR_DATABRICKS_UNITY_CATALOG_ENABLE_ROW_FILTER"}},
		{name: "what Kubernetes sets for a service", environ: []string{"UCWARDEN_PORT=tcp://10.0.0.1:80", "UCWARDEN_SERVICE_HOST=10.0.0.1",
			"UCWARDEN_PORT_80_TCP_ADDR=10.0.0.1", "UCWARDEN_TOKEN=t", "UCWARDEN_CONFIG=c", "CONNECTOR_SNOWFLAKE_JDBC_URL=x"}},
		{name: "plain http that is allowed", file: "databricks: {host: 'http://uc.internal', token: t, host.allow_http: true}\n",
			want: []string{"databricks.host uses http: credentials and answers can be read and forged on the way"}},
		{name: "plain http on this machine", file: "databricks: {host: 'http://127.0.0.1:8080/', token: t}\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, w := range load(t, test.file, test.environ...).Warnings() {
				if i := strings.Index(w, "ucwarden.yaml"); i > 0 {
					w = w[i:]
				}
				got = append(got, w)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
