package emulator

func catalogs() *resource {
	return &resource{path: "catalogs", label: "CATALOG", typ: typeCatalog, parent: typeMetastore,
		fields: fields{
			"name": "R/O", "new_name": "-/O", "comment": "O/O", "properties": "O/O", "owner": "I/O",
			"provider_name": "O/I", "share_name": "O/I", "connection_name": "O/I", "options": "O/O", "storage_root": "O/I",
			"isolation_mode": "O/O", "enable_predictive_optimization": "O/O", "custom_max_retention_hours": "O/O",
		},
		newDetail: func() detail { return &catalogDetail{} }}
}

// catalogDetail is a catalog: managed, of a Delta Sharing provider, or foreign.
type catalogDetail struct {
	CatalogType         string    `json:"catalog_type,omitempty"`
	Properties          stringMap `json:"properties,omitempty"`
	Options             stringMap `json:"options,omitempty"`
	ProviderName        string    `json:"provider_name,omitempty"` // input; rendered from provider
	ShareName           string    `json:"share_name,omitempty"`
	ConnectionName      string    `json:"connection_name,omitempty"` // input; rendered from connection
	StorageRoot         string    `json:"storage_root,omitempty"`
	IsolationMode       string    `json:"isolation_mode,omitempty"`
	PredictiveOptim     string    `json:"enable_predictive_optimization,omitempty"`
	MaxRetentionHours   int64     `json:"custom_max_retention_hours,omitempty"`
	provider, connected *object
}

func (d *catalogDetail) clone() detail { c := *d; return &c }

func (d *catalogDetail) prepare(c *call, o *object, old detail) error {
	if err := oneOf("isolation_mode", &d.IsolationMode, "OPEN", "OPEN", "ISOLATED"); err != nil {
		return err
	}
	if err := checkPredictiveOptimization(&d.PredictiveOptim); err != nil || old != nil {
		return err
	}
	switch {
	case (d.ProviderName == "") != (d.ShareName == ""):
		return invalid("A Delta Sharing catalog needs both provider_name and share_name.")
	case d.ProviderName != "":
		d.CatalogType = "DELTASHARING_CATALOG"
		d.provider = o.parent.list(typeProvider).get(canonicalName(d.ProviderName))
		if d.provider == nil {
			return notFound("PROVIDER", d.ProviderName)
		}
		if err := c.check(toMount, d.provider); err != nil {
			return err
		}
		d.ProviderName, d.ShareName = "", canonicalName(d.ShareName)
	case d.ConnectionName != "":
		d.CatalogType = "FOREIGN_CATALOG"
		d.connected = o.parent.list(typeConnection).get(canonicalName(d.ConnectionName))
		if d.connected == nil {
			return notFound("CONNECTION", d.ConnectionName)
		}
		if err := c.check(toMount, d.connected); err != nil {
			return err
		}
		d.ConnectionName = ""
	default:
		d.CatalogType = "MANAGED_CATALOG"
	}
	return checkURL("storage_root", d.StorageRoot, false)
}

func (d *catalogDetail) render(h commonFields) any {
	out := *d
	if d.provider != nil {
		out.ProviderName = d.provider.name
	}
	if d.connected != nil {
		out.ConnectionName = d.connected.name
	}
	return struct {
		commonFields
		catalogDetail
	}{h, out}
}

func checkPredictiveOptimization(value *string) error {
	if *value == "" {
		return nil
	}
	return oneOf("enable_predictive_optimization", value, "", "DISABLE", "ENABLE", "INHERIT")
}
