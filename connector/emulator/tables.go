package emulator

import (
	"errors"
	"strings"

	"ucwarden/connector/emulator/statement"
)

// Table types, as in table_type.
const (
	tableManaged  = "MANAGED"
	tableExternal = "EXTERNAL"
	tableView     = "VIEW"
)

func tables() *resource {
	return &resource{path: "tables", label: "TABLE", typ: typeTable, parent: typeSchema,
		// The specification has no update; the client library's changes the owner, and the comment.
		fields: fields{
			"name": "R/I", "catalog_name": "R/I", "schema_name": "R/I", "columns": "R/I", "table_type": "R/I",
			"data_source_format": "O/I", "storage_location": "O/I", "storage_credential_name": "O/I", "view_definition": "O/I",
			"sql_path": "O/I", "comment": "O/O", "properties": "O/I", "owner": "I/O", "pipeline_id": "O/I", "row_filter": "O/I",
		},
		view:      tableParts,
		newDetail: func() detail { return &tableDetail{} }}
}

type rowFilter struct {
	FunctionName     string          `json:"function_name,omitempty"`
	InputColumnNames []string        `json:"input_column_names,omitempty"`
	InputArguments   []inputArgument `json:"input_arguments,omitempty"`
}

// inputArgument is an argument of the function of a row filter or mask.
type inputArgument struct {
	Column   string  `json:"column,omitempty"`
	Constant *string `json:"constant,omitempty"`
}

type tableDetail struct {
	TableType             string     `json:"table_type,omitempty"`
	DataSourceFormat      string     `json:"data_source_format,omitempty"`
	Columns               []column   `json:"columns,omitempty"`
	StorageLocation       string     `json:"storage_location,omitempty"`        // of a managed table: rendered
	StorageCredentialName string     `json:"storage_credential_name,omitempty"` // input; rendered from credential
	ViewDefinition        string     `json:"view_definition,omitempty"`
	SQLPath               string     `json:"sql_path,omitempty"`
	Properties            stringMap  `json:"properties,omitempty"`
	PipelineID            string     `json:"pipeline_id,omitempty"`
	RowFilter             *rowFilter `json:"row_filter,omitempty"`

	rows        [][]statement.Value // of the seed; nil for generated ones
	Constraints []tableConstraint   `json:"table_constraints,omitempty"` // of the API of constraints
	credential  *object
}

// clone may share everything: an update decodes no field of it.
func (d *tableDetail) clone() detail { c := *d; return &c }

func (d *tableDetail) prepare(_ *call, o *object, old detail) error {
	if old != nil {
		return nil
	}
	if err := oneOf("table_type", &d.TableType, "", tableManaged, tableExternal, tableView, "MATERIALIZED_VIEW",
		"STREAMING_TABLE", "FOREIGN", "MANAGED_SHALLOW_CLONE", "EXTERNAL_SHALLOW_CLONE", "METRIC_VIEW"); err != nil {
		return err
	}
	o.kind = kindOfTable(d.TableType)
	if d.DataSourceFormat != "" || d.TableType == tableManaged || d.TableType == tableExternal {
		if err := oneOf("data_source_format", &d.DataSourceFormat, "", "DELTA", "ICEBERG", "CSV", "JSON", "AVRO", "PARQUET",
			"ORC", "TEXT", "UNITY_CATALOG", "DELTASHARING"); err != nil {
			return err
		}
	}
	if d.TableType == tableView && d.ViewDefinition == "" {
		return invalid("view_definition is required for a view.")
	}
	if err := d.prepareStorage(o); err != nil {
		return err
	}
	return checkColumns(d.Columns)
}

// prepareStorage checks where the table is stored. A location that is given for a managed table would have to come from
// the API of staging tables, which the emulator does not have.
func (d *tableDetail) prepareStorage(o *object) error {
	switch {
	case d.TableType == tableManaged && d.StorageLocation != "":
		return invalid("storage_location of a managed table is chosen by the server.")
	case d.TableType != tableExternal && d.StorageCredentialName != "":
		return invalid("storage_credential_name is only for external tables.")
	case d.TableType != tableExternal:
		return checkURL("storage_location", d.StorageLocation, false)
	}
	if err := checkURL("storage_location", d.StorageLocation, true); err != nil {
		return err
	}
	for location := range o.top().list(typeExternalLocation).after("") {
		if urlWithin(location.detail.(*locationDetail).URL, d.StorageLocation) {
			return invalid("storage_location '%s' contains External location '%s'.", d.StorageLocation, location.name)
		}
	}
	if name := d.StorageCredentialName; name != "" {
		d.StorageCredentialName = ""
		if d.credential = o.top().list(typeStorageCredential).get(canonicalName(name)); d.credential == nil {
			return notFound("STORAGE_CREDENTIAL", name)
		}
	}
	return nil
}

// location returns where the table is stored, "" for a view. The path of a managed table is not stored, for there may be
// a million of them.
func (d *tableDetail) location(o *object) string {
	if d.StorageLocation == "" && d.TableType == tableManaged {
		return o.top().detail.(*metastoreDetail).StorageRoot + "/tables/" + o.uuid()
	}
	return d.StorageLocation
}

func (d *tableDetail) render(h commonFields) any {
	out := *d
	out.StorageLocation = d.location(h.o)
	out.Constraints = make([]tableConstraint, len(d.Constraints))
	for i, constraint := range d.Constraints {
		out.Constraints[i] = constraint.shown()
	}
	if d.credential != nil {
		out.StorageCredentialName = d.credential.name
	}
	return struct {
		commonFields
		tableDetail
		DataAccessConfigurationID string `json:"data_access_configuration_id,omitempty"`
		TableID                   string `json:"table_id"`
	}{h, out, h.o.top().detail.(*metastoreDetail).DefaultDataAccessConfig, h.o.uuid()}
}

// tableParts renders tables without the parts that the query leaves out.
func tableParts(c *call) (func(o *object) any, error) {
	var omit [3]bool
	for i, name := range []string{"omit_columns", "omit_properties", "omit_username"} {
		var err error
		if omit[i], err = c.flag(name); err != nil {
			return nil, err
		}
	}
	if omit == [3]bool{} {
		return c.srv.render, nil
	}
	return func(o *object) any {
		h, d := c.srv.commonFields(o), *o.detail.(*tableDetail)
		if omit[0] {
			d.Columns = nil
		}
		if omit[1] {
			d.Properties = nil
		}
		if omit[2] {
			h.Owner, h.CreatedBy, h.UpdatedBy = "", "", ""
		}
		return d.render(h)
	}, nil
}

// kindOfTable returns the kind of a table type, which decides the applicable privileges.
func kindOfTable(tableType string) objectKind {
	switch tableType {
	case tableView, "METRIC_VIEW":
		return kindView
	case "MATERIALIZED_VIEW":
		return kindMaterializedView
	case "STREAMING_TABLE":
		return kindStreamingTable
	case "FOREIGN":
		return kindForeignTable
	}
	return ""
}

// registerTables registers the calls that only tables have.
func (s *Server) registerTables() {
	who := s.schemaResource.groundFor(toList).in("the catalog") + "; shows what the caller may get"
	s.route("GET "+prefix+"/table-summaries", who, s.tableSummaries)
	s.route("POST "+prefix+"/table-summaries", who, s.tableSummaries)
	s.route("GET "+prefix+"/tables/{name}/exists", s.types[typeTable].groundFor(toRead).String(), s.tableExists)
}

// tableExists answers whether there is a table, to who may look into where it would be.
func (s *Server) tableExists(c *call) (any, error) {
	res := s.resources["tables"]
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, err := s.find(res, c.req.PathValue("name"))
	var api *apiError
	if errors.As(err, &api) && api.code == "TABLE_DOES_NOT_EXIST" {
		name := c.req.PathValue("name")
		schema, err := s.find(s.schemaResource, name[:strings.LastIndexByte(name, '.')])
		if err == nil {
			err = c.checkIn(toList, res, schema)
		}
		return map[string]bool{"table_exists": false}, err
	}
	if err == nil {
		err = c.check(toRead, o)
	}
	return map[string]bool{"table_exists": true}, err
}
