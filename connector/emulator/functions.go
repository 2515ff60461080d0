package emulator

import (
	"slices"
	"strings"

	"ucwarden/connector/emulator/statement"
)

func functions() *resource {
	return &resource{path: "functions", label: "FUNCTION", typ: typeFunction, byKind: true, parent: typeSchema, wrapper: "function_info",
		// Only the owner of a function can be updated (client library, UpdateFunction).
		fields: fields{
			"name": "R/I", "catalog_name": "R/I", "schema_name": "R/I", "comment": "O/I", "owner": "I/O", "input_params": "O/I",
			"return_params": "O/I", "data_type": "O/I", "full_data_type": "O/I", "routine_body": "O/I", "routine_definition": "O/I",
			"parameter_style": "O/I", "is_deterministic": "O/I", "is_null_call": "O/I", "security_type": "O/I",
			"specific_name": "O/I", "sql_data_access": "O/I", "sql_path": "O/I", "external_language": "O/I",
			"external_name": "O/I", "properties": "O/I",
		},
		newDetail: func() detail { return &functionDetail{} }}
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

	body *statement.Expression // of a function that a statement made
}

// sqlFunction returns the detail of a function of SQL without parameters.
func sqlFunction(name, returns, source string, body *statement.Expression) *functionDetail {
	return &functionDetail{DataType: typeNameOf(returns), FullDataType: strings.ToUpper(returns), RoutineBody: "SQL", RoutineDefinition: source,
		ParameterStyle: "S", SecurityType: "DEFINER", SQLDataAccess: "CONTAINS_SQL", SpecificName: name, body: body}
}

// with returns the parameters with another one, the n-th from 0.
func (p *functionParameters) with(n int, name, typ string) *functionParameters {
	if p == nil {
		p = &functionParameters{}
	}
	return &functionParameters{append(slices.Clone(p.Parameters), functionParameter{Name: name, TypeText: typ, TypeName: typeNameOf(typ), TypeJSON: typeJSON(name, typ), Position: n})}
}

func (p *functionParameters) list() []functionParameter {
	if p == nil {
		return nil
	}
	return p.Parameters
}

// clone may share everything: an update decodes no field of it.
func (d *functionDetail) clone() detail { c := *d; return &c }

func (d *functionDetail) prepare(*call, *object, detail) error {
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
	}{h, *d, h.o.uuid()}
}
