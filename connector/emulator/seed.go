package emulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

// Seed is the initial state of a server. It is read from YAML or JSON; Server.State returns the same form. Owners default
// to the metastore's owner.
//
// A principal must exist to be granted anything, as in the real service. Principals that occur in the seed as owner,
// member or in a grant, or that a token belongs to, exist without being declared: an e-mail is a user, a UUID a service
// principal, anything else a group. So a seed without users and groups has those who hold something in it, and nobody
// else; Options.AutoPrincipals makes everybody exist who is named in a change.
type Seed struct {
	Metastore          SeedMetastore    `json:"metastore"`
	WorkspaceID        int64            `json:"workspace_id,omitempty"`
	AccountAdmins      []string         `json:"account_admins,omitempty"` // default: the metastore's owner
	Users              []string         `json:"users,omitempty"`
	ServicePrincipals  []string         `json:"service_principals,omitempty"`
	Groups             []SeedGroup      `json:"groups,omitempty"`
	Catalogs           []SeedCatalog    `json:"catalogs,omitempty"`
	StorageCredentials []SeedCredential `json:"storage_credentials,omitempty"`
	Credentials        []SeedCredential `json:"credentials,omitempty"`
	ExternalLocations  []SeedLocation   `json:"external_locations,omitempty"`
	Connections        []SeedConnection `json:"connections,omitempty"`
	Recipients         []SeedRecipient  `json:"recipients,omitempty"`
	Providers          []SeedProvider   `json:"providers,omitempty"`
	Shares             []SeedShare      `json:"shares,omitempty"`
	Warehouses         []SeedWarehouse  `json:"warehouses,omitempty"`
	Pipelines          []SeedPipeline   `json:"pipelines,omitempty"`
}

// SeedGrants maps principals to the privileges granted to them directly. A name that begins with "deleted:" is a
// principal that was deleted.
type SeedGrants map[string][]string

const deletedPrefix = "deleted:"

// SeedObject holds the fields that every object has.
type SeedObject struct {
	Name    string     `json:"name"`
	Owner   string     `json:"owner,omitempty"`
	Comment string     `json:"comment,omitempty"`
	Grants  SeedGrants `json:"grants,omitempty"`
}

// SeedMetastore is the metastore. Defaults: name "emulator", owner "admin@example.com", an AWS bucket, a fixed id.
type SeedMetastore struct {
	SeedObject
	ID          string `json:"id,omitempty"`
	Region      string `json:"region,omitempty"`
	StorageRoot string `json:"storage_root,omitempty"`
}

// SeedGroup is a group with the names of its members: users, service principals, groups.
type SeedGroup struct {
	Name    string   `json:"name"`
	Members []string `json:"members,omitempty"`
}

// SeedCatalog is a catalog with its schemas.
type SeedCatalog struct {
	SeedObject
	Properties map[string]string `json:"properties,omitempty"`
	Schemas    []SeedSchema      `json:"schemas,omitempty"`
}

// SeedSchema is a schema with its objects.
type SeedSchema struct {
	SeedObject
	Properties map[string]string `json:"properties,omitempty"`
	Tables     []SeedTable       `json:"tables,omitempty"`
	Functions  []SeedItem        `json:"functions,omitempty"`
	Models     []SeedModel       `json:"models,omitempty"`
	Volumes    []SeedVolume      `json:"volumes,omitempty"`
}

// SeedTable is a table or view; in a file a bare name is a managed table.
type SeedTable struct {
	SeedObject
	Type       string            `json:"type,omitempty"`   // table_type, default MANAGED
	Format     string            `json:"format,omitempty"` // default DELTA
	Location   string            `json:"location,omitempty"`
	Definition string            `json:"definition,omitempty"` // of a view
	Columns    []SeedColumn      `json:"columns,omitempty"`
	Properties map[string]string `json:"properties,omitempty"`
	// Rows are what SELECT reads, each a value for every column; null is NULL. Without any, a few are generated.
	Rows      [][]any         `json:"rows,omitempty"`
	RowFilter *SeedProtection `json:"row_filter,omitempty"`
}

// SeedColumn is a column; in a file a bare name is a STRING.
type SeedColumn struct {
	Name string          `json:"name"`
	Type string          `json:"type,omitempty"` // type_name
	Mask *SeedProtection `json:"mask,omitempty"`
}

// SeedProtection is a row filter, or a mask with the arguments after the column.
type SeedProtection struct {
	Function  string         `json:"function"`
	Arguments []SeedArgument `json:"arguments,omitempty"`
}

// SeedArgument is a column, or a constant.
type SeedArgument struct {
	Column   string  `json:"column,omitempty"`
	Constant *string `json:"constant,omitempty"`
}

// SeedParameter is a parameter of a function, with its type.
type SeedParameter struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// SeedModel is a registered model; in a file it may be a bare name. Aliases map names to versions.
type SeedModel struct {
	SeedObject
	Versions []SeedVersion  `json:"versions,omitempty"`
	Aliases  map[string]int `json:"aliases,omitempty"`
}

// SeedVersion is a version of a model, by default the one after the last, and READY.
type SeedVersion struct {
	Version int    `json:"version,omitempty"`
	Status  string `json:"status,omitempty"`
	Source  string `json:"source,omitempty"`
	RunID   string `json:"run_id,omitempty"`
	Comment string `json:"comment,omitempty"`
}

// SeedItem is a function; in a file it may be a bare name. By default it returns a STRING that is NULL.
type SeedItem struct {
	SeedObject
	Parameters []SeedParameter `json:"parameters,omitempty"`
	Returns    string          `json:"returns,omitempty"` // a type
	Body       string          `json:"body,omitempty"`    // an expression
}

// SeedVolume is a volume; in a file a bare name is a managed one.
type SeedVolume struct {
	SeedObject
	Location string `json:"location,omitempty"` // of an external volume
}

// SeedCredential is a storage or service credential: an AWS role.
type SeedCredential struct {
	SeedObject
	RoleARN string `json:"role_arn,omitempty"`
}

// SeedLocation is an external location.
type SeedLocation struct {
	SeedObject
	URL        string `json:"url"`
	Credential string `json:"credential"`
	ReadOnly   bool   `json:"read_only,omitempty"`
}

// SeedConnection is a connection; its type is POSTGRESQL by default.
type SeedConnection struct {
	SeedObject
	Type string `json:"type,omitempty"`
}

// SeedRecipient is a recipient: of tokens, or with the global id of a metastore of Databricks.
type SeedRecipient struct {
	SeedObject
	GlobalMetastoreID string `json:"global_metastore_id,omitempty"`
}

// SeedProvider is a provider of Databricks, with the global id of its metastore and the names of its shares.
type SeedProvider struct {
	SeedObject
	GlobalMetastoreID string   `json:"global_metastore_id,omitempty"`
	Shares            []string `json:"shares,omitempty"`
}

// SeedShare is a share with the full names of its tables. Its grants are to recipients.
type SeedShare struct {
	SeedObject
	Tables []string `json:"tables,omitempty"`
}

// SeedWarehouse is a SQL warehouse, which all users of the workspace may use; in a file it may be a bare name. The id is chosen
// by default, the state RUNNING. A seed without warehouses has one, which is stopped.
type SeedWarehouse struct {
	ID    string `json:"id,omitempty"`
	Name  string `json:"name"`
	State string `json:"state,omitempty"` // RUNNING or STOPPED
}

// SeedPipeline is a pipeline of its owner, by default the metastore's, as whom it runs by default; in a file it may be a bare name.
// The id is chosen by default. Runs are the scripts of its updates, one after the other, the last for all later ones; without
// any, an update is COMPLETED after half a second.
type SeedPipeline struct {
	ID          string            `json:"id,omitempty"`
	Name        string            `json:"name"`
	Owner       string            `json:"owner,omitempty"`
	RunAs       string            `json:"run_as,omitempty"`
	Spec        map[string]any    `json:"spec,omitempty"`        // catalog, schema, configuration, continuous, ...
	Permissions map[string]string `json:"permissions,omitempty"` // CAN_VIEW, CAN_RUN or CAN_MANAGE, by principal
	Runs        []SeedPipelineRun `json:"runs,omitempty"`
}

// SeedPipelineRun is the script of an update: its states, each for a while, and its end. An update of a continuous pipeline
// remains in its last state until it is stopped.
type SeedPipelineRun struct {
	Steps      []SeedPipelineStep `json:"steps,omitempty"`
	End        string             `json:"end,omitempty"`         // COMPLETED, the default, FAILED, CANCELED, or never
	Errors     []string           `json:"errors,omitempty"`      // messages of the exceptions of an update that is FAILED
	Stopping   string             `json:"stopping,omitempty"`    // how long it is STOPPING, by default 100ms, or never
	EventsLate string             `json:"events_late,omitempty"` // after which time events are shown
	Retried    bool               `json:"retried,omitempty"`     // the service starts another update once this is FAILED
}

// SeedPipelineStep is a state of an update, any name at all, and how long it lasts; without a name answers have no state.
type SeedPipelineStep struct {
	State string `json:"state,omitempty"`
	For   string `json:"for,omitempty"`
}

// UnmarshalJSON accepts a bare name too.
func (p *SeedPipeline) UnmarshalJSON(b []byte) error {
	type plain SeedPipeline
	return unmarshalNameOr(b, &p.Name, (*plain)(p))
}

// UnmarshalJSON accepts a bare name too.
func (w *SeedWarehouse) UnmarshalJSON(b []byte) error {
	type plain SeedWarehouse
	return unmarshalNameOr(b, &w.Name, (*plain)(w))
}

// unmarshalNameOr reads a JSON string into name, and anything else, without unknown fields, into target.
func unmarshalNameOr(b []byte, name *string, target any) error {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte(`"`)) {
		return json.Unmarshal(b, name)
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	return decoder.Decode(target)
}

// UnmarshalJSON accepts a bare name too.
func (t *SeedTable) UnmarshalJSON(b []byte) error {
	type plain SeedTable
	return unmarshalNameOr(b, &t.Name, (*plain)(t))
}

// UnmarshalJSON accepts a bare name too.
func (c *SeedColumn) UnmarshalJSON(b []byte) error {
	type plain SeedColumn
	return unmarshalNameOr(b, &c.Name, (*plain)(c))
}

// UnmarshalJSON accepts a bare name too.
func (i *SeedItem) UnmarshalJSON(b []byte) error {
	type plain SeedItem
	return unmarshalNameOr(b, &i.Name, (*plain)(i))
}

// UnmarshalJSON accepts a bare name too.
func (m *SeedModel) UnmarshalJSON(b []byte) error {
	type plain SeedModel
	return unmarshalNameOr(b, &m.Name, (*plain)(m))
}

// UnmarshalJSON accepts a bare name too.
func (v *SeedVolume) UnmarshalJSON(b []byte) error {
	type plain SeedVolume
	return unmarshalNameOr(b, &v.Name, (*plain)(v))
}

// ParseSeed parses a seed in YAML or JSON. Unknown fields are an error.
func ParseSeed(data []byte) (*Seed, error) {
	text, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("parse the seed: %w", err)
	}
	seed := &Seed{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(seed); err != nil {
		return nil, fmt.Errorf("parse the seed: %s", jsonProblem(err))
	}
	return seed, nil
}

// LoadSeed reads and parses a seed file; see [ParseSeed]. The error names the file.
func LoadSeed(path string) (*Seed, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the seed: %w", err)
	}
	seed, err := ParseSeed(data)
	if err != nil {
		return nil, fmt.Errorf("seed %s: %w", path, err)
	}
	return seed, nil
}
