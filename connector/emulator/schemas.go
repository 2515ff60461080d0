package emulator

func schemas() *resource {
	return &resource{path: "schemas", label: "SCHEMA", typ: typeSchema, parent: typeCatalog,
		fields: fields{
			"name": "R/O", "new_name": "-/O", "catalog_name": "R/I", "comment": "O/O", "owner": "I/O", "properties": "O/O",
			"storage_root": "O/I", "enable_predictive_optimization": "O/O", "custom_max_retention_hours": "O/O",
		},
		newDetail: func() detail { return &schemaDetail{} }}
}

type schemaDetail struct {
	Properties        stringMap `json:"properties,omitempty"`
	StorageRoot       string    `json:"storage_root,omitempty"`
	PredictiveOptim   string    `json:"enable_predictive_optimization,omitempty"`
	MaxRetentionHours int64     `json:"custom_max_retention_hours,omitempty"`
}

func (d *schemaDetail) clone() detail { c := *d; return &c }

func (d *schemaDetail) prepare(*call, *object, detail) error {
	if err := checkPredictiveOptimization(&d.PredictiveOptim); err != nil {
		return err
	}
	return checkURL("storage_root", d.StorageRoot, false)
}

func (d *schemaDetail) render(h commonFields) any {
	return struct {
		commonFields
		schemaDetail
		SchemaID string `json:"schema_id"`
	}{h, *d, h.o.uuid()}
}
