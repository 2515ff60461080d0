package emulator

import (
	"encoding/json"
)

// allResources returns the collections of the API. Their createPrivileges and readPrivileges are those that the
// specification names besides admins and owners.
func allResources() []*resource {
	return []*resource{
		{path: "metastores", label: "METASTORE", typ: typeMetastore, newDetail: func() detail { return &metastoreDetail{} }},
		{path: "catalogs", label: "CATALOG", typ: typeCatalog, parent: typeMetastore, renameNeedsAdmin: true,
			createPrivileges: []privilege{"CREATE_CATALOG"}, readPrivileges: []privilege{useCatalog, browse},
			newDetail: func() detail { return &catalogDetail{} }},
		{path: "schemas", label: "SCHEMA", typ: typeSchema, parent: typeCatalog,
			createPrivileges: []privilege{createSchema}, readPrivileges: []privilege{useSchema},
			newDetail: func() detail { return &schemaDetail{} }},
		{path: "tables", label: "TABLE", typ: typeTable, parent: typeSchema,
			createPrivileges: []privilege{createTable}, readPrivileges: []privilege{selectRows},
			newDetail: func() detail { return &tableDetail{} }},
		{path: "functions", label: "FUNCTION", typ: typeFunction, byKind: true, parent: typeSchema, wrapper: "function_info",
			createPrivileges: []privilege{"CREATE_FUNCTION"}, readPrivileges: []privilege{execute},
			newDetail: func() detail { return &functionDetail{} }},
		{path: "models", listKey: "registered_models", label: "REGISTERED_MODEL", typ: typeFunction, kind: kindModel,
			byKind: true, customList: true, parent: typeSchema, createPrivileges: []privilege{"CREATE_MODEL"},
			readPrivileges: []privilege{execute}, newDetail: func() detail { return &modelDetail{} }},
		{path: "volumes", label: "VOLUME", typ: typeVolume, parent: typeSchema,
			createPrivileges: []privilege{"CREATE_VOLUME"}, readPrivileges: []privilege{readVolume},
			newDetail: func() detail { return &volumeDetail{} }},
		{path: "external-locations", listKey: "external_locations", label: "EXTERNAL_LOCATION", typ: typeExternalLocation,
			parent: typeMetastore, createPrivileges: []privilege{"CREATE_EXTERNAL_LOCATION"},
			newDetail: func() detail { return &locationDetail{} }},
		{path: "storage-credentials", listKey: "storage_credentials", label: "STORAGE_CREDENTIAL", typ: typeStorageCredential,
			parent: typeMetastore, accountAdminsCreate: true,
			newDetail: func() detail { return &credentialDetail{} }},
		{path: "credentials", label: "CREDENTIAL", typ: typeCredential, parent: typeMetastore, customList: true,
			createPrivileges: []privilege{"CREATE_SERVICE_CREDENTIAL"}, newDetail: func() detail { return &credentialDetail{} }},
		{path: "connections", label: "CONNECTION", typ: typeConnection, parent: typeMetastore,
			createPrivileges: []privilege{"CREATE_CONNECTION"}, newDetail: func() detail { return &connectionDetail{} }},
		{path: "shares", label: "SHARE", typ: typeShare, parent: typeMetastore, onlyOwnersRead: true, renameNeedsAdmin: true,
			createPrivileges: []privilege{"CREATE_SHARE"}, newDetail: func() detail { return &shareDetail{} }},
		{path: "recipients", label: "RECIPIENT", typ: typeRecipient, parent: typeMetastore, onlyOwnersRead: true,
			renameNeedsAdmin: true, createPrivileges: []privilege{"CREATE_RECIPIENT"}, newDetail: func() detail { return &recipientDetail{} }},
		{path: "providers", label: "PROVIDER", typ: typeProvider, parent: typeMetastore, onlyOwnersRead: true,
			createPrivileges: []privilege{"CREATE_PROVIDER"}, newDetail: func() detail { return &providerDetail{} }},
	}
}

// anyFunction returns a resource of both functions and registered models: the permissions API calls both "function".
func anyFunction() *resource {
	return &resource{path: "functions", label: "FUNCTION", typ: typeFunction}
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
		if o.parent.list(typeConnection).get(canonicalName(d.ConnectionName)) == nil {
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
