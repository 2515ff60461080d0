package emulator

import (
	"encoding/json"
	"slices"
	"strings"
)

type columnMask struct {
	FunctionName     string          `json:"function_name,omitempty"`
	UsingColumnNames []string        `json:"using_column_names,omitempty"`
	UsingArguments   []inputArgument `json:"using_arguments,omitempty"`
}

// column is the API's ColumnInfo. Column names keep their case.
type column struct {
	Name             string      `json:"name"`
	TypeName         string      `json:"type_name"`
	TypeText         string      `json:"type_text"`
	TypeJSON         string      `json:"type_json"`
	TypePrecision    int         `json:"type_precision,omitempty"`
	TypeScale        int         `json:"type_scale,omitempty"`
	TypeIntervalType string      `json:"type_interval_type,omitempty"`
	Position         int         `json:"position"`
	Comment          string      `json:"comment,omitempty"`
	Nullable         bool        `json:"nullable"`
	PartitionIndex   *int        `json:"partition_index,omitempty"`
	Mask             *columnMask `json:"mask,omitempty"`
}

// columnFields are the fields of a column. A position that is absent is 0: the client library leaves a zero out.
var columnFields = fields{
	"name": "R/O", "type_name": "R/O", "type_text": "R/O", "type_json": "R/O", "position": "O/O", "type_precision": "O/O",
	"type_scale": "O/O", "type_interval_type": "O/O", "comment": "O/O", "nullable": "O/O", "partition_index": "O/O", "mask": "O/O",
}

// UnmarshalJSON decodes a column of a new table.
func (c *column) UnmarshalJSON(b []byte) error {
	body, err := jsonObject(b)
	if err != nil {
		return err
	}
	picked, err := columnFields.pick(body, false)
	if err != nil {
		return err
	}
	type plain column
	next := plain{Nullable: true}
	if err := json.Unmarshal(picked, &next); err != nil {
		return err
	}
	*c = column(next)
	return nil
}

// columnTypes is the specification's list; the client library adds a few.
var columnTypes = []string{"BOOLEAN", "BYTE", "SHORT", "INT", "LONG", "FLOAT", "DOUBLE", "DATE", "TIMESTAMP", "TIMESTAMP_NTZ",
	"STRING", "BINARY", "DECIMAL", "INTERVAL", "ARRAY", "STRUCT", "MAP", "CHAR", "NULL", "USER_DEFINED_TYPE", "TABLE_TYPE",
	"VARIANT", "GEOGRAPHY", "GEOMETRY"}

func checkColumns(columns []column) error {
	seen := make(map[string]bool, len(columns))
	for _, c := range columns {
		folded := strings.ToLower(c.Name)
		for field, value := range map[string]string{"name": c.Name, "type_text": c.TypeText, "type_json": c.TypeJSON} {
			if value == "" {
				return invalid("every column needs a %s; '%s' has none.", field, c.Name)
			}
		}
		switch {
		case seen[folded]:
			return invalid("column '%s' appears twice.", c.Name)
		case !slices.Contains(columnTypes, c.TypeName):
			return invalid("type_name '%s' of column '%s' is not a column type.", c.TypeName, c.Name)
		case c.Position < 0, c.PartitionIndex != nil && *c.PartitionIndex < 0:
			return invalid("position and partition_index of column '%s' must be at least 0.", c.Name)
		}
		seen[folded] = true
	}
	return nil
}

// typeJSON returns the type_json of a column of a simple type.
func typeJSON(name, typeName string) string {
	text, err := json.Marshal(struct {
		Name     string   `json:"name"`
		Type     string   `json:"type"`
		Nullable bool     `json:"nullable"`
		Metadata struct{} `json:"metadata"`
	}{Name: name, Type: strings.ToLower(typeName), Nullable: true})
	if err != nil {
		return "{}" // two strings always have a JSON form
	}
	return string(text)
}
