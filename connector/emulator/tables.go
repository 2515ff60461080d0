package emulator

import (
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strings"
)

// Table types, as in table_type.
const (
	tableManaged  = "MANAGED"
	tableExternal = "EXTERNAL"
	tableView     = "VIEW"
)

type columnMask struct {
	FunctionName     string   `json:"function_name,omitempty"`
	UsingColumnNames []string `json:"using_column_names,omitempty"`
}

// column is the API's ColumnInfo. Column names keep their case.
type column struct {
	Name             string      `json:"name"`
	TypeName         string      `json:"type_name,omitempty"`
	TypeText         string      `json:"type_text,omitempty"`
	TypeJSON         string      `json:"type_json,omitempty"`
	TypePrecision    int         `json:"type_precision,omitempty"`
	TypeScale        int         `json:"type_scale,omitempty"`
	TypeIntervalType string      `json:"type_interval_type,omitempty"`
	Position         int         `json:"position"`
	Comment          string      `json:"comment,omitempty"`
	Nullable         *bool       `json:"nullable,omitempty"` // absent means true
	PartitionIndex   *int        `json:"partition_index,omitempty"`
	Mask             *columnMask `json:"mask,omitempty"`
}

type rowFilter struct {
	FunctionName     string   `json:"function_name,omitempty"`
	InputColumnNames []string `json:"input_column_names,omitempty"`
}

type tableDetail struct {
	TableType             string     `json:"table_type,omitempty"`
	DataSourceFormat      string     `json:"data_source_format,omitempty"`
	Columns               []column   `json:"columns,omitempty"`
	StorageLocation       string     `json:"storage_location,omitempty"`
	StorageCredentialName string     `json:"storage_credential_name,omitempty"`
	ViewDefinition        string     `json:"view_definition,omitempty"`
	SQLPath               string     `json:"sql_path,omitempty"`
	Properties            stringMap  `json:"properties,omitempty"`
	PipelineID            string     `json:"pipeline_id,omitempty"`
	RowFilter             *rowFilter `json:"row_filter,omitempty"`
}

// clone shares nothing that a decoder writes into.
func (d *tableDetail) clone() detail { c := *d; c.Columns, c.RowFilter = nil, nil; return &c }

// prepare implements detail. An update changes only owner and comment of a table (client library, UpdateTableRequest).
func (d *tableDetail) prepare(c *call, o *object, old detail) error {
	if was, ok := old.(*tableDetail); ok {
		*d = *was
		return nil
	}
	if err := oneOf("table_type", &d.TableType, "", tableManaged, tableExternal, tableView, "MATERIALIZED_VIEW",
		"STREAMING_TABLE", "FOREIGN", "MANAGED_SHALLOW_CLONE", "EXTERNAL_SHALLOW_CLONE", "METRIC_VIEW"); err != nil {
		return err
	}
	o.kind = kindOfTable(d.TableType)
	switch d.TableType {
	case tableManaged, tableExternal:
		if err := oneOf("data_source_format", &d.DataSourceFormat, "", "DELTA", "ICEBERG", "CSV", "JSON", "AVRO", "PARQUET",
			"ORC", "TEXT", "UNITY_CATALOG", "DELTASHARING"); err != nil {
			return err
		}
		if err := checkURL("storage_location", d.StorageLocation, true); err != nil {
			return err
		}
	case tableView:
		if d.ViewDefinition == "" {
			return invalid("view_definition is required for a view.")
		}
	}
	return checkColumns(d.Columns)
}

func (d *tableDetail) render(h commonFields) any {
	return struct {
		commonFields
		tableDetail
		TableID string `json:"table_id"`
	}{h, *d, h.uuid}
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

// columnTypes is the specification's list; the client library adds a few.
var columnTypes = []string{"BOOLEAN", "BYTE", "SHORT", "INT", "LONG", "FLOAT", "DOUBLE", "DATE", "TIMESTAMP", "TIMESTAMP_NTZ",
	"STRING", "BINARY", "DECIMAL", "INTERVAL", "ARRAY", "STRUCT", "MAP", "CHAR", "NULL", "USER_DEFINED_TYPE", "TABLE_TYPE",
	"VARIANT", "GEOGRAPHY", "GEOMETRY"}

func checkColumns(columns []column) error {
	seen := make(map[string]bool, len(columns))
	for _, column := range columns {
		folded := strings.ToLower(column.Name)
		switch {
		case column.Name == "":
			return invalid("every column needs a name.")
		case seen[folded]:
			return invalid("column '%s' appears twice.", column.Name)
		case column.TypeName != "" && !slices.Contains(columnTypes, column.TypeName):
			return invalid("type_name '%s' of column '%s' is not a column type.", column.TypeName, column.Name)
		}
		seen[folded] = true
	}
	return nil
}

// registerTables registers the calls that only tables have.
func (s *Server) registerTables() {
	s.route("GET "+prefix+"/table-summaries", s.tableSummaries)
	s.route("POST "+prefix+"/table-summaries", s.tableSummaries)
	s.route("GET "+prefix+"/tables/{name}/exists", s.tableExists)
}

type tableSummary struct {
	FullName  string `json:"full_name"`
	TableType string `json:"table_type"`
}

// tableSummaries lists the tables of a catalog whose schema and name match LIKE patterns, in order of schema and name.
func (s *Server) tableSummaries(c *call) (any, error) {
	if c.req.Method == http.MethodPost { // the specification's form: the same parameters as a JSON object
		if err := c.mergeBodyIntoQuery(); err != nil {
			return nil, err
		}
	}
	query := c.req.URL.Query()
	if query.Get("catalog_name") == "" {
		return nil, invalid("catalog_name is required.")
	}
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	schemas, tables := newLikePattern(query.Get("schema_name_pattern")), newLikePattern(query.Get("table_name_pattern"))
	s.mu.RLock()
	defer s.mu.RUnlock()
	catalog, err := s.find(s.catalogResource, query.Get("catalog_name"))
	if err != nil {
		return nil, err
	}
	if !c.mayUseContainer(catalog) {
		return nil, denied("User does not have access to Catalog '%s'.", catalog.name)
	}
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, tableSummary] {
		return func(yield func(string, tableSummary) bool) {
			for table := range s.visibleInSchemas(c, catalog, s.resources["tables"], after, schemas, tables) {
				key := table.parent.name + "." + table.name
				if !yield(key, tableSummary{table.fullName(), table.detail.(*tableDetail).TableType}) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("tables", page, next), nil
}

// visibleInSchemas ranges over the visible objects of one type in all schemas of a catalog, in order of schema and name,
// starting above "schema.name".
func (s *Server) visibleInSchemas(c *call, catalog *object, res *resource, after string, schemas, names likePattern) iter.Seq[*object] {
	afterSchema, afterName, resumed := strings.Cut(after, ".")
	return func(yield func(*object) bool) {
		inSchema := func(schema *object, after string) bool {
			prefix := names.prefix()
			for o := range s.children(c, schema, res.typ, after) {
				if prefix != "" && o.name > prefix && !strings.HasPrefix(o.name, prefix) {
					return true // names are in order: nothing further matches
				}
				if res.includes(o) && names.match(o.name) && c.mayRead(o) && !yield(o) {
					return false
				}
			}
			return true
		}
		if resumed {
			if schema := catalog.list(typeSchema).get(afterSchema); schema != nil && !inSchema(schema, afterName) {
				return
			}
		}
		for schema := range s.children(c, catalog, typeSchema, afterSchema) {
			if schemas.match(schema.name) && c.mayUseContainer(schema) && !inSchema(schema, "") {
				return
			}
		}
	}
}

// mergeBodyIntoQuery makes the fields of the JSON body, when there is one, parameters of the query.
func (c *call) mergeBodyIntoQuery() error {
	if len(c.body) == 0 {
		return nil
	}
	var in struct {
		CatalogName       string      `json:"catalog_name"`
		SchemaNamePattern string      `json:"schema_name_pattern"`
		TableNamePattern  string      `json:"table_name_pattern"`
		MaxResults        json.Number `json:"max_results"`
		PageToken         string      `json:"page_token"`
	}
	if err := c.decodeStrict(&in); err != nil {
		return err
	}
	query := c.req.URL.Query()
	for name, value := range map[string]string{"catalog_name": in.CatalogName, "schema_name_pattern": in.SchemaNamePattern,
		"table_name_pattern": in.TableNamePattern, "max_results": in.MaxResults.String(), "page_token": in.PageToken} {
		if value != "" {
			query.Set(name, value)
		}
	}
	c.req.URL.RawQuery = query.Encode()
	return nil
}

func (s *Server) tableExists(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, err := s.find(s.resources["tables"], c.req.PathValue("name"))
	var api *apiError
	if errors.As(err, &api) && api.code == "TABLE_DOES_NOT_EXIST" {
		return map[string]bool{"table_exists": false}, nil
	}
	if err != nil {
		return nil, err
	}
	if !c.mayRead(o) {
		return nil, denied("User does not have access to Table '%s'.", o.fullName())
	}
	return map[string]bool{"table_exists": true}, nil
}
