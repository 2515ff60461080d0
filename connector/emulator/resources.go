package emulator

import (
	"encoding/json"

	"ucwarden/policy"
)

// allResources returns the collections of the API. Their createPrivileges and readPrivileges are those that the
// specification names besides admins and owners.
func allResources() []*resource {
	return []*resource{
		{path: "metastores", label: "METASTORE", typ: policy.Metastore, newDetail: func() detail { return &metastoreDetail{} }},
		{path: "catalogs", label: "CATALOG", typ: policy.Catalog, parent: policy.Metastore, renameNeedsAdmin: true,
			createPrivileges: []policy.Privilege{"CREATE_CATALOG"}, readPrivileges: []policy.Privilege{policy.UseCatalog, policy.Browse},
			newDetail: func() detail { return &catalogDetail{} }},
		{path: "schemas", label: "SCHEMA", typ: policy.Schema, parent: policy.Catalog,
			createPrivileges: []policy.Privilege{policy.CreateSchema}, readPrivileges: []policy.Privilege{policy.UseSchema},
			newDetail: func() detail { return &schemaDetail{} }},
		{path: "tables", label: "TABLE", typ: policy.Table, parent: policy.Schema,
			createPrivileges: []policy.Privilege{policy.CreateTable}, readPrivileges: []policy.Privilege{policy.Select},
			newDetail: func() detail { return &tableDetail{} }},
		{path: "functions", label: "FUNCTION", typ: policy.Function, byKind: true, parent: policy.Schema, wrapper: "function_info",
			createPrivileges: []policy.Privilege{"CREATE_FUNCTION"}, readPrivileges: []policy.Privilege{policy.Execute},
			newDetail: func() detail { return &functionDetail{} }},
		{path: "models", listKey: "registered_models", label: "REGISTERED_MODEL", typ: policy.Function, kind: policy.KindModel,
			byKind: true, customList: true, parent: policy.Schema, createPrivileges: []policy.Privilege{"CREATE_MODEL"},
			readPrivileges: []policy.Privilege{policy.Execute}, newDetail: func() detail { return &modelDetail{} }},
		{path: "volumes", label: "VOLUME", typ: policy.Volume, parent: policy.Schema,
			createPrivileges: []policy.Privilege{"CREATE_VOLUME"}, readPrivileges: []policy.Privilege{policy.ReadVolume},
			newDetail: func() detail { return &volumeDetail{} }},
		{path: "external-locations", listKey: "external_locations", label: "EXTERNAL_LOCATION", typ: policy.ExternalLocation,
			parent: policy.Metastore, createPrivileges: []policy.Privilege{"CREATE_EXTERNAL_LOCATION"},
			newDetail: func() detail { return &locationDetail{} }},
		{path: "storage-credentials", listKey: "storage_credentials", label: "STORAGE_CREDENTIAL", typ: policy.StorageCredential,
			parent: policy.Metastore, accountAdminsCreate: true,
			newDetail: func() detail { return &credentialDetail{} }},
		{path: "credentials", label: "CREDENTIAL", typ: policy.Credential, parent: policy.Metastore, customList: true,
			createPrivileges: []policy.Privilege{"CREATE_SERVICE_CREDENTIAL"}, newDetail: func() detail { return &credentialDetail{} }},
		{path: "connections", label: "CONNECTION", typ: policy.Connection, parent: policy.Metastore,
			createPrivileges: []policy.Privilege{"CREATE_CONNECTION"}, newDetail: func() detail { return &connectionDetail{} }},
		{path: "shares", label: "SHARE", typ: policy.Share, parent: policy.Metastore, onlyOwnersRead: true, renameNeedsAdmin: true,
			createPrivileges: []policy.Privilege{"CREATE_SHARE"}, newDetail: func() detail { return &shareDetail{} }},
		{path: "recipients", label: "RECIPIENT", typ: policy.Recipient, parent: policy.Metastore, onlyOwnersRead: true,
			renameNeedsAdmin: true, createPrivileges: []policy.Privilege{"CREATE_RECIPIENT"}, newDetail: func() detail { return &recipientDetail{} }},
		{path: "providers", label: "PROVIDER", typ: policy.Provider, parent: policy.Metastore, onlyOwnersRead: true,
			createPrivileges: []policy.Privilege{"CREATE_PROVIDER"}, newDetail: func() detail { return &providerDetail{} }},
	}
}

// anyFunction returns a resource of both functions and registered models: the permissions API calls both "function".
func anyFunction() *resource {
	return &resource{path: "functions", label: "FUNCTION", typ: policy.Function}
}

// stringMap is a JSON object of strings. Decoding replaces the map rather than adding to it, so a detail may share it.
type stringMap map[string]string

func (m *stringMap) UnmarshalJSON(b []byte) error {
	var next map[string]string
	if err := json.Unmarshal(b, &next); err != nil {
		return err
	}
	*m = next
	return nil
}

// catalogDetail is a catalog: managed, of a Delta Sharing provider, or foreign.
type catalogDetail struct {
	CatalogType    string    `json:"catalog_type,omitempty"`
	Properties     stringMap `json:"properties,omitempty"`
	Options        stringMap `json:"options,omitempty"`
	ProviderName   string    `json:"provider_name,omitempty"`
	ShareName      string    `json:"share_name,omitempty"`
	ConnectionName string    `json:"connection_name,omitempty"`
	StorageRoot    string    `json:"storage_root,omitempty"`
	IsolationMode  string    `json:"isolation_mode,omitempty"`
}

func (d *catalogDetail) clone() detail { c := *d; return &c }

func (d *catalogDetail) prepare(c *call, o *object, old detail) error {
	if was, ok := old.(*catalogDetail); ok {
		d.CatalogType, d.ProviderName, d.ShareName = was.CatalogType, was.ProviderName, was.ShareName
		d.ConnectionName, d.StorageRoot = was.ConnectionName, was.StorageRoot
	}
	if err := oneOf("isolation_mode", &d.IsolationMode, "OPEN", "OPEN", "ISOLATED"); err != nil {
		return err
	}
	if old != nil {
		return nil
	}
	switch {
	case (d.ProviderName == "") != (d.ShareName == ""):
		return invalid("A Delta Sharing catalog needs both provider_name and share_name.")
	case d.ProviderName != "":
		d.CatalogType = "DELTASHARING_CATALOG"
	case d.ConnectionName != "":
		if o.parent.list(policy.Connection).get(policy.CanonicalName(d.ConnectionName)) == nil {
			return notFound("CONNECTION", d.ConnectionName)
		}
		d.CatalogType = "FOREIGN_CATALOG"
	default:
		d.CatalogType = "MANAGED_CATALOG"
	}
	return checkURL("storage_root", d.StorageRoot, false)
}

func (d *catalogDetail) render(h commonFields) any {
	return struct {
		commonFields
		catalogDetail
	}{h, *d}
}

type schemaDetail struct {
	Properties  stringMap `json:"properties,omitempty"`
	StorageRoot string    `json:"storage_root,omitempty"`
}

func (d *schemaDetail) clone() detail { c := *d; return &c }

func (d *schemaDetail) prepare(_ *call, _ *object, old detail) error {
	if was, ok := old.(*schemaDetail); ok {
		d.StorageRoot = was.StorageRoot
	}
	return checkURL("storage_root", d.StorageRoot, false)
}

func (d *schemaDetail) render(h commonFields) any {
	return struct {
		commonFields
		schemaDetail
		SchemaID string `json:"schema_id"`
	}{h, *d, h.uuid}
}

type functionParameter struct {
	Name     string `json:"name"`
	TypeText string `json:"type_text,omitempty"`
	TypeName string `json:"type_name,omitempty"`
	TypeJSON string `json:"type_json,omitempty"`
	Position int    `json:"position"`
	Comment  string `json:"comment,omitempty"`
}

type functionParameters struct {
	Parameters []functionParameter `json:"parameters,omitempty"`
}

type functionDetail struct {
	InputParams       *functionParameters `json:"input_params,omitempty"`
	ReturnParams      *functionParameters `json:"return_params,omitempty"`
	DataType          string              `json:"data_type,omitempty"`
	FullDataType      string              `json:"full_data_type,omitempty"`
	RoutineBody       string              `json:"routine_body,omitempty"`
	RoutineDefinition string              `json:"routine_definition,omitempty"`
	ParameterStyle    string              `json:"parameter_style,omitempty"`
	IsDeterministic   bool                `json:"is_deterministic,omitempty"`
	IsNullCall        bool                `json:"is_null_call,omitempty"`
	SecurityType      string              `json:"security_type,omitempty"`
	SpecificName      string              `json:"specific_name,omitempty"`
	SQLDataAccess     string              `json:"sql_data_access,omitempty"`
	SQLPath           string              `json:"sql_path,omitempty"`
	ExternalLanguage  string              `json:"external_language,omitempty"`
	ExternalName      string              `json:"external_name,omitempty"`
	Properties        string              `json:"properties,omitempty"`
}

// clone may share the parameters: an update restores them from the old detail.
func (d *functionDetail) clone() detail { c := *d; c.InputParams, c.ReturnParams = nil, nil; return &c }

// prepare implements detail. Only the owner of a function can be updated (client library, UpdateFunction).
func (d *functionDetail) prepare(_ *call, _ *object, old detail) error {
	if was, ok := old.(*functionDetail); ok {
		*d = *was
		return nil
	}
	if err := oneOf("routine_body", &d.RoutineBody, "SQL", "SQL", "EXTERNAL"); err != nil {
		return err
	}
	if d.RoutineBody == "EXTERNAL" && d.ExternalLanguage == "" {
		return invalid("external_language is required for an EXTERNAL function.")
	}
	return nil
}

func (d *functionDetail) render(h commonFields) any {
	return struct {
		commonFields
		functionDetail
		FunctionID string `json:"function_id"`
	}{h, *d, h.uuid}
}

type modelDetail struct {
	StorageLocation string `json:"storage_location,omitempty"`
}

func (d *modelDetail) clone() detail { c := *d; return &c }

func (d *modelDetail) prepare(_ *call, _ *object, old detail) error {
	if was, ok := old.(*modelDetail); ok {
		d.StorageLocation = was.StorageLocation
	}
	return checkURL("storage_location", d.StorageLocation, false)
}

func (d *modelDetail) render(h commonFields) any {
	return struct {
		commonFields
		modelDetail
		ID string `json:"id"`
	}{h, *d, h.uuid}
}

type volumeDetail struct {
	VolumeType      string `json:"volume_type,omitempty"`
	StorageLocation string `json:"storage_location,omitempty"`
}

func (d *volumeDetail) clone() detail { c := *d; return &c }

func (d *volumeDetail) prepare(_ *call, _ *object, old detail) error {
	if was, ok := old.(*volumeDetail); ok {
		*d = *was
		return nil
	}
	if err := oneOf("volume_type", &d.VolumeType, "MANAGED", "MANAGED", "EXTERNAL"); err != nil {
		return err
	}
	return checkURL("storage_location", d.StorageLocation, d.VolumeType == "EXTERNAL")
}

func (d *volumeDetail) render(h commonFields) any {
	return struct {
		commonFields
		volumeDetail
		VolumeID string `json:"volume_id"`
	}{h, *d, h.uuid}
}
