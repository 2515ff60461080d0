package config

import "time"

// Config is the merged and checked configuration. The meaning of each field is the Help of its [Key].
type Config struct {
	Databricks Databricks `mapstructure:"databricks"`
	APIServer  APIServer  `mapstructure:"apiserver"`
	OnDemand   OnDemand   `mapstructure:"ondemand"`
	Pipelines  Pipelines  `mapstructure:"pipelines"`
	Refresh    Refresh    `mapstructure:"refresh"`
	Sync       Sync       `mapstructure:"sync"`
	Guard      Guard      `mapstructure:"guard"`
	Scope      Scope      `mapstructure:"scope"`
	Policies   Policies   `mapstructure:"policies"`
	Principals Principals `mapstructure:"principals"`
	Protection Protection `mapstructure:"protection"`
	Identity   Identity   `mapstructure:"identity"`
	Store      Store      `mapstructure:"store"`
	Audit      Audit      `mapstructure:"audit"`
	Webhook    Webhook    `mapstructure:"webhook"`
	Tracing    Tracing    `mapstructure:"tracing"`
	Log        Log        `mapstructure:"log"`

	settings    []Setting
	warnings    []string
	file        string       // of the configuration
	secretFiles []SecretFile // that secrets were read from
}

// Databricks is the workspace and our credentials. After a load only those of the chosen authentication method are set.
type Databricks struct {
	Host           string        `mapstructure:"host"`
	AllowHTTP      bool          `mapstructure:"host_allow_http"`
	Auth           string        `mapstructure:"auth"`
	Token          Secret        `mapstructure:"token"`
	ClientID       string        `mapstructure:"client_id"`
	ClientSecret   Secret        `mapstructure:"client_secret"`
	AzureTenantID  string        `mapstructure:"azure_tenant_id"`
	Warehouse      string        `mapstructure:"warehouse"` // after a load the id only
	CAFile         string        `mapstructure:"ca_file"`
	RequestTimeout time.Duration `mapstructure:"request_timeout"`
	MaxConcurrency int           `mapstructure:"max_concurrency"`
	MaxRate        float64       `mapstructure:"max_rate"`
	MaxAttempts    int           `mapstructure:"max_attempts"`
}

// APIServer is the REST API. It is served when both it and the on-demand pipeline are enabled, see [Config.ServesAPI].
type APIServer struct {
	Enabled        bool    `mapstructure:"enabled"`
	Addr           string  `mapstructure:"addr"`
	AdminAddr      string  `mapstructure:"admin_addr"`
	TLS            TLS     `mapstructure:"tls"`
	JWT            JWT     `mapstructure:"jwt"`
	BodyLimit      int64   `mapstructure:"body_limit"` // bytes
	MaxResources   int     `mapstructure:"max_resources"`
	RateLimit      float64 `mapstructure:"rate_limit"`
	RateBurst      int     `mapstructure:"rate_burst"`
	ExternalAccess bool    `mapstructure:"external_access"`
	NginxIngress   bool    `mapstructure:"nginx_ingress"`
}

// TLS names a server's certificate; both or neither are set.
type TLS struct {
	Cert     string `mapstructure:"cert"`
	Key      string `mapstructure:"key"`
	ClientCA string `mapstructure:"client_ca"` // that a client's certificate must be of; "" asks for none
}

// JWT says which tokens the REST API accepts.
type JWT struct {
	Issuer      string        `mapstructure:"issuer"`
	Audience    string        `mapstructure:"audience"`
	JWKS        string        `mapstructure:"jwks"`
	AllowHTTP   bool          `mapstructure:"jwks_allow_http"` // for JWKS
	KeepUnread  time.Duration `mapstructure:"keep_unread"`
	PEMKeys     []string      `mapstructure:"pem_keys"`
	HS256Secret Secret        `mapstructure:"hs256_secret"`
}

// OnDemand is the task pipeline.
type OnDemand struct {
	Enabled     bool          `mapstructure:"enabled"`
	Workers     int           `mapstructure:"workers"`
	MaxAttempts int           `mapstructure:"max_attempts"`
	MaxCrashes  int           `mapstructure:"max_crashes"`
	MaxQueued   int           `mapstructure:"max_queued"`
	Retention   time.Duration `mapstructure:"retention"`
	AdmitWindow time.Duration `mapstructure:"admit_window"`
	AdmitSize   int           `mapstructure:"admit_size"`
	EventHub    EventHub      `mapstructure:"eventhub"`
}

// EventHub is the Azure Event Hubs consumer.
type EventHub struct {
	Enabled          bool   `mapstructure:"enabled"`
	ConnectionString Secret `mapstructure:"connection_string"`
	Name             string `mapstructure:"name"` // after a load also set from EntityPath
	ConsumerGroup    string `mapstructure:"consumer_group"`
	Start            string `mapstructure:"start"`
	Namespace        string `mapstructure:"namespace"` // of Entra ID
	Entra            struct {
		TenantID     string `mapstructure:"tenant_id"`
		ClientID     string `mapstructure:"client_id"`
		ClientSecret Secret `mapstructure:"client_secret"`
	} `mapstructure:"entra"`
	TaskTypes []string `mapstructure:"task_types"` // that events may ask for
	Catalogs  []string `mapstructure:"catalogs"`   // that they may name; "*" is all
}

// Pipelines says how updates of pipelines are started and followed.
type Pipelines struct {
	Jobs         string        `mapstructure:"jobs"`          // file; "" is none
	ActiveUpdate string        `mapstructure:"active_update"` // wait, fail, join
	PollInterval time.Duration `mapstructure:"poll_interval"`
	PollMax      time.Duration `mapstructure:"poll_max"`
	GiveUpAfter  time.Duration `mapstructure:"give_up_after"`
}

// Refresh says after which changes pipelines are updated.
type Refresh struct {
	On      string        `mapstructure:"on"` // off, protection, all
	Window  time.Duration `mapstructure:"window"`
	Targets bool          `mapstructure:"targets"`
}

// Webhook is the receiver of events.
type Webhook struct {
	URL          string        `mapstructure:"url"`
	AllowHTTP    bool          `mapstructure:"url_allow_http"`
	Query        Secret        `mapstructure:"query"`  // of the URL, which is without it
	Secret       Secret        `mapstructure:"secret"` // one, or several with spaces between them
	Events       []string      `mapstructure:"events"` // types; empty is all
	AllowPrivate bool          `mapstructure:"allow_private"`
	GiveUpAfter  time.Duration `mapstructure:"give_up_after"`
}

// Tracing is the receiver of traces.
type Tracing struct {
	URL       string  `mapstructure:"url"`
	AllowHTTP bool    `mapstructure:"url_allow_http"`
	Headers   Secret  `mapstructure:"headers"` // name=value pairs with commas between them
	Ratio     float64 `mapstructure:"ratio"`
}

// Sync is the scheduled full sync.
type Sync struct {
	Interval     time.Duration `mapstructure:"interval"`
	Jitter       time.Duration `mapstructure:"jitter"`
	OnStart      bool          `mapstructure:"on_start"`
	Mode         string        `mapstructure:"mode"` // enforce, grant-only, observe; observe when GrantUpdates is false
	GrantUpdates bool          `mapstructure:"grant_updates"`
}

// Guard limits what a plan may do without an approval.
type Guard struct {
	MaxRevokes     int           `mapstructure:"max_revokes"`
	MaxRevokeRatio float64       `mapstructure:"max_revoke_ratio"`
	MaxShrinkRatio float64       `mapstructure:"max_shrink_ratio"`
	MaxPolicyAge   time.Duration `mapstructure:"max_policy_age"`
	ConfirmUpgrade bool          `mapstructure:"confirm_upgrade"`
}

// Identity says which principals are created.
type Identity struct {
	Manage struct {
		Users   bool `mapstructure:"users"`
		Groups  bool `mapstructure:"groups"`
		Roles   bool `mapstructure:"roles"`
		Members bool `mapstructure:"members"`
	} `mapstructure:"manage"`
}

// Filter selects names by patterns. An empty Include selects every name; Exclude overrides Include.
type Filter struct {
	Include []string `mapstructure:"include"`
	Exclude []string `mapstructure:"exclude"`
}

// PrincipalFilter selects principals. After a load with Manage false, Exclude matches every name.
type PrincipalFilter struct {
	Manage bool `mapstructure:"manage"`
	Filter `mapstructure:",squash"`
}

// PrivilegeFilter selects privileges on one type of securable.
type PrivilegeFilter struct {
	Include []string `mapstructure:"include"`
	Add     []string `mapstructure:"add"`
	Exclude []string `mapstructure:"exclude"`
}

// Scope selects the objects, privileges and principals that ucwarden manages.
type Scope struct {
	Catalogs           Filter `mapstructure:"catalogs"`
	Schemas            Filter `mapstructure:"schemas"`
	Tables             Filter `mapstructure:"tables"`
	Functions          Filter `mapstructure:"functions"`
	Volumes            Filter `mapstructure:"volumes"`
	ExternalLocations  Filter `mapstructure:"external_locations"`
	StorageCredentials Filter `mapstructure:"storage_credentials"`
	Credentials        Filter `mapstructure:"credentials"`
	Connections        Filter `mapstructure:"connections"`
	Shares             Filter `mapstructure:"shares"`
	Metastore          string `mapstructure:"metastore"` // true, false, or auto: as root objects without filters of their own
	// Privileges are filters by the type of securable, as in external_location; after a load, those that are set.
	Privileges map[string]PrivilegeFilter `mapstructure:"privileges"`
	Users      PrincipalFilter            `mapstructure:"users"`
	Groups     PrincipalFilter            `mapstructure:"groups"`
	Roles      PrincipalFilter            `mapstructure:"roles"`
	Protected  []string                   `mapstructure:"protected"`
}

// Policies says where policies come from and how they are compiled to grants.
type Policies struct {
	Path            string   `mapstructure:"path"`
	UsersPath       string   `mapstructure:"users_path"`
	Service         string   `mapstructure:"service"`
	AllowEmpty      bool     `mapstructure:"allow_empty"`
	Accept          string   `mapstructure:"accept"`
	DenyStrategy    []string `mapstructure:"deny_strategy"`
	ColumnStrategy  string   `mapstructure:"column_strategy"`
	ExpandLimit     int      `mapstructure:"expand_limit"`
	AddUse          bool     `mapstructure:"add_use"`
	RefreshOnDemand bool     `mapstructure:"refresh_on_demand"`
	MaxShrinkRatio  float64  `mapstructure:"max_shrink_ratio"`
	Ranger          Ranger   `mapstructure:"ranger"`
}

// Protection is how row filters and masks are enforced.
type Protection struct {
	Schema      string   `mapstructure:"schema"`
	Strategy    string   `mapstructure:"strategy"` // table; there is no other
	Exempt      []string `mapstructure:"exempt"`
	MaskOther   string   `mapstructure:"mask_other"`
	Else        string   `mapstructure:"else"`
	NameMembers int      `mapstructure:"name_members"`
}

// Ranger is the Ranger Admin to download from.
type Ranger struct {
	URL          string        `mapstructure:"url"`
	AllowHTTP    bool          `mapstructure:"url_allow_http"`
	Service      string        `mapstructure:"service"`
	Username     string        `mapstructure:"username"`
	Password     Secret        `mapstructure:"password"`
	CAFile       string        `mapstructure:"ca_file"`
	CertFile     string        `mapstructure:"cert_file"`
	KeyFile      string        `mapstructure:"key_file"`
	PollInterval time.Duration `mapstructure:"poll_interval"`
	Timeout      time.Duration `mapstructure:"timeout"`
	CacheDir     string        `mapstructure:"cache_dir"`
	PluginID     string        `mapstructure:"plugin_id"`
	ClusterName  string        `mapstructure:"cluster_name"`
}

// Principals says how names in policies are mapped to names in Unity Catalog.
type Principals struct {
	UserCase    string `mapstructure:"user_case"`
	RolePrefix  string `mapstructure:"role_prefix"`
	GroupPrefix string `mapstructure:"group_prefix"`
}

// Store is the task store.
type Store struct {
	Path     string `mapstructure:"path"`
	OnDamage string `mapstructure:"on_damage"`
}

// Audit is the trail of changes made to Unity Catalog. After a load Path is set.
type Audit struct {
	Path    string `mapstructure:"path"`
	MaxSize int64  `mapstructure:"max_size"` // bytes
	Keep    int    `mapstructure:"keep"`
	Stdout  bool   `mapstructure:"stdout"`
}

// Log is the log on standard error.
type Log struct {
	Level  string `mapstructure:"level"`
	Format string `mapstructure:"format"`
}

// ServesAPI reports whether the REST API is to be served: apiserver.enabled takes effect only together with
// ondemand.enabled.
func (c *Config) ServesAPI() bool { return c.APIServer.Enabled && c.OnDemand.Enabled }

// Settings returns every key with its value and source, in the order of [Keys].
func (c *Config) Settings() []Setting { return c.settings }

// Warnings returns likely mistakes in a valid configuration, one line each. They contain no secret.
func (c *Config) Warnings() []string { return c.warnings }

// WithoutEffect returns the names of the keys that were set, by whatever name, and that nothing reads yet: they are
// accepted so that the configuration of a manager, or of a later version, is not refused.
func (c *Config) WithoutEffect() []string {
	unread := make(map[string]bool)
	for _, k := range Keys() {
		unread[k.Name] = k.noEffect
	}
	var names []string
	for _, s := range c.settings {
		if unread[s.Key] && s.Source.Kind != FromDefault {
			names = append(names, s.Key)
		}
	}
	return names
}
