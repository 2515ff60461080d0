package emulator

func connections() *resource {
	return &resource{path: "connections", label: "CONNECTION", typ: typeConnection, parent: typeMetastore,
		fields: fields{"name": "R/O", "new_name": "-/O", "comment": "O/O", "owner": "I/O", "connection_type": "R/I", "options": "O/O",
			"properties": "O/O", "read_only": "O/O"},
		newDetail: func() detail { return &connectionDetail{} }}
}

// connectionDetail is a connection to a foreign system. Options that are secret are not stored.
type connectionDetail struct {
	ConnectionType string    `json:"connection_type,omitempty"`
	Options        stringMap `json:"options,omitempty"`
	Properties     stringMap `json:"properties,omitempty"`
	ReadOnly       bool      `json:"read_only,omitempty"`
}

func (d *connectionDetail) clone() detail { c := *d; return &c }

func (d *connectionDetail) prepare(*call, *object, detail) error {
	if err := oneOf("connection_type", &d.ConnectionType, "", "BIGQUERY", "DATABRICKS", "GLUE", "HIVE_METASTORE", "HTTP", "MYSQL",
		"ORACLE", "POSTGRESQL", "POWER_BI", "REDSHIFT", "SALESFORCE", "SALESFORCE_DATA_CLOUD", "SERVICENOW", "SNOWFLAKE",
		"SQLDW", "SQLSERVER", "TERADATA", "WORKDAY_RAAS"); err != nil {
		return err
	}
	kept := make(stringMap, len(d.Options))
	for key, value := range d.Options {
		if !isSecret(key) {
			kept[key] = value
		}
	}
	d.Options = kept
	return nil
}

func (d *connectionDetail) render(h commonFields) any {
	return struct {
		commonFields
		connectionDetail
		ConnectionID string `json:"connection_id"`
	}{h, *d, h.o.uuid()}
}
