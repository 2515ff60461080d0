package config_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucwarden/config"
)

// A file as policy managers write it, with everything quoted, empty values and properties of others, passes as it is.
const vars = `
CONNECTOR_DATABRICKS_UNITY_CATALOG_DATABRICKS_BASE_URL: "adb-1.azuredatabricks.net/"
CONNECTOR_DATABRICKS_UNITY_CATALOG_API_ACCESS_TOKEN: ""
CONNECTOR_DATABRICKS_UNITY_CATALOG_OAUTH_CLIENT_ID: "app"
CONNECTOR_DATABRICKS_UNITY_CATALOG_OAUTH_CLIENT_SECRET: "hunter2"
CONNECTOR_DATABRICKS_UNITY_CATALOG_AZURE_OAUTH_TENANT_ID: "tenant"
CONNECTOR_DATABRICKS_UNITY_CATALOG_JDBC_URL: "jdbc:databricks://adb-1.azuredatabricks.net:443/default;transportMode=http;ssl=1;AuthMech=3;httpPath=/sql/1.0/warehouses/abc123def;PWD=hunter2"
CONNECTOR_DATABRICKS_UNITY_CATALOG_API_SERVER_ENABLED: "true"
CONNECTOR_DATABRICKS_UNITY_CATALOG_ON_DEMAND_V2_ENABLED: "true"
CONNECTOR_ON_DEMAND_V2_ENABLED: True
CONNECTOR_ON_DEMAND_V2_AZURE_EVENT_HUB_ENABLED: "true"
CONNECTOR_ON_DEMAND_V2_AZURE_CONNECTION_STRING: "` + eventHubs + `;EntityPath=tasks"
CONNECTOR_DATABRICKS_UNITY_CATALOG_GRANT_UPDATES: "false"
CONNECTOR_DATABRICKS_UNITY_CATALOG_MANAGE_CATALOG_LIST: "sales, hr*,"
CONNECTOR_DATABRICKS_UNITY_CATALOG_IGNORE_TABLE_LIST: "sales.*.tmp_*"
CONNECTOR_DATABRICKS_UNITY_CATALOG_TABLE_CUSTOM_INCLUDE_PERMISSIONS_LIST: "READ_METADATA, APPLY TAG"
CONNECTOR_DATABRICKS_UNITY_CATALOG_TABLE_CUSTOM_EXCLUDE_PERMISSIONS_LIST: MODIFY
CONNECTOR_DATABRICKS_UNITY_CATALOG_EXTERNAL_LOCATION_CUSTOM_EXCLUDE_PERMISSIONS_LIST: "BROWSE"
CONNECTOR_DATABRICKS_UNITY_CATALOG_MANAGE_USERS: "true"
CONNECTOR_DATABRICKS_UNITY_CATALOG_MANAGE_GROUPS: "false"
CONNECTOR_DATABRICKS_UNITY_CATALOG_MANAGE_ROLES: "true"
CONNECTOR_DATABRICKS_UNITY_CATALOG_MANAGE_ROLE_LIST: "uc_*"
CONNECTOR_DATABRICKS_UNITY_CATALOG_IGNORE_USERS: "admin@x.com"
CONNECTOR_DATABRICKS_UNITY_CATALOG_USER_EMAIL_CASE_CONVERSION: LOWER
CONNECTOR_DATABRICKS_UNITY_CATALOG_ENABLE_ROW_FILTER: "true"
apiserver: {jwt: {jwks: keys.json}}
`

func TestVarsFile(t *testing.T) {
	c := load(t, vars)
	d := c.Databricks
	if d.Host != "https://adb-1.azuredatabricks.net" || d.Auth != "azure_oauth" || d.ClientID != "app" ||
		d.ClientSecret.Reveal() != "hunter2" || d.AzureTenantID != "tenant" || d.Token.IsSet() || d.Warehouse != "abc123def" {
		t.Errorf("databricks: %+v", d)
	}
	if !c.ServesAPI() || !c.OnDemand.EventHub.Enabled || c.OnDemand.EventHub.Name != "tasks" {
		t.Errorf("ondemand: %+v", c.OnDemand)
	}
	if c.Sync.Mode != "observe" {
		t.Errorf("sync.mode is %s, although grant updates are off", c.Sync.Mode)
	}
	want := config.Scope{
		Metastore: "auto",
		Catalogs:  config.Filter{Include: []string{"sales", "hr*"}},
		Tables:    config.Filter{Exclude: []string{"sales.*.tmp_*"}},
		Privileges: map[string]config.PrivilegeFilter{
			"table":             {Add: []string{"READ_METADATA", "APPLY TAG"}, Exclude: []string{"MODIFY"}},
			"external_location": {Exclude: []string{"BROWSE"}},
		},
		Users:  config.PrincipalFilter{Manage: true, Filter: config.Filter{Exclude: []string{"admin@x.com"}}},
		Groups: config.PrincipalFilter{Manage: true},
		Roles:  config.PrincipalFilter{Manage: true, Filter: config.Filter{Include: []string{"uc_*"}}},
	}
	if diff := cmp.Diff(want, c.Scope); diff != "" {
		t.Error(diff)
	}
	if c.Principals.UserCase != "lower" || len(c.Warnings()) != 1 {
		t.Errorf("user case %s, warnings %q", c.Principals.UserCase, c.Warnings())
	}
}

func TestChosenCredentials(t *testing.T) {
	all := "databricks: {host: x.com, token: t, client_id: a, client_secret: b, azure_tenant_id: c, auth: "
	for auth, want := range map[string]config.Databricks{
		"token":       {Token: config.NewSecret("t")},
		"oauth":       {ClientID: "a", ClientSecret: config.NewSecret("b")},
		"azure_oauth": {ClientID: "a", ClientSecret: config.NewSecret("b"), AzureTenantID: "c"},
		"AZURE_OAUTH": {ClientID: "a", ClientSecret: config.NewSecret("b"), AzureTenantID: "c"},
	} {
		got := load(t, all+auth+"}\n").Databricks
		got = config.Databricks{Token: got.Token, ClientID: got.ClientID, ClientSecret: got.ClientSecret, AzureTenantID: got.AzureTenantID}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", auth, diff)
		}
	}
}

func TestSpellings(t *testing.T) {
	c := load(t, `
sync.interval: 2d
sync:
  jitter: 90s
  on_start: Off
apiserver:
  body_limit: 2 MiB
  tls:
    # nothing set
scope:
  protected:
    - root@x.com
    - "ops, eu"
  catalogs: {include: "a, b"}
policies:
principals:
  role_prefix: "role "
databricks:
  warehouse: /sql/1.0/warehouses/w1
  token: "  t \n"
`)
	if c.Sync.Interval != 48*time.Hour || c.Sync.Jitter != 90*time.Second || c.Sync.OnStart {
		t.Errorf("sync: %+v", c.Sync)
	}
	if c.APIServer.BodyLimit != 2<<20 || c.Principals.RolePrefix != "role " || c.Databricks.Warehouse != "w1" || c.Databricks.Token.Reveal() != "t" {
		t.Errorf("body limit %d, role prefix %q, warehouse %q", c.APIServer.BodyLimit, c.Principals.RolePrefix, c.Databricks.Warehouse)
	}
	if !slices.Equal(c.Scope.Protected, []string{"root@x.com", "ops, eu"}) || !slices.Equal(c.Scope.Catalogs.Include, []string{"a", "b"}) {
		t.Errorf("scope: %+v", c.Scope)
	}
}

// The table of keys is one that documentation and code can trust.
func TestKeys(t *testing.T) {
	names := make(map[string]string)
	for _, k := range config.Keys() {
		for _, name := range append([]string{k.Name, k.Env()}, k.Properties...) {
			if other, dup := names[name]; dup {
				t.Errorf("%s names both %s and %s", name, other, k.Name)
			}
			names[name] = k.Name
		}
		if k.Help == "" || len(k.Help) > 140 || (k.Type == config.TypeEnum) != (len(k.Enum) > 0) {
			t.Errorf("%s: help %q, words %v", k.Name, k.Help, k.Enum)
		}
		if k.Type == config.TypeSecret && k.Default != "" {
			t.Errorf("%s: a secret with a default", k.Name)
		}
	}
}
