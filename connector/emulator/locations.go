package emulator

import (
	"encoding/json"
	"iter"
)

func externalLocations() *resource {
	return &resource{path: "external-locations", listKey: "external_locations", label: "EXTERNAL_LOCATION",
		typ: typeExternalLocation, parent: typeMetastore,
		fields: fields{
			"name": "R/O", "new_name": "-/O", "comment": "O/O", "owner": "I/O", "url": "R/O", "credential_name": "R/O",
			"read_only": "O/O", "force": "-/O", "skip_validation": "O/O", "isolation_mode": "O/O", "fallback": "O/O",
			"enable_file_events": "O/O", "file_event_queue": "O/O", "encryption_details": "O/O",
		},
		inUse:     locationInUse,
		newDetail: func() detail { return &locationDetail{} }}
}

// locationDetail is an external location.
type locationDetail struct {
	URL               string          `json:"url,omitempty"`
	CredentialName    string          `json:"credential_name,omitempty"` // input; rendered from credential
	ReadOnly          bool            `json:"read_only"`
	Force             bool            `json:"force,omitempty"`           // input
	SkipValidation    bool            `json:"skip_validation,omitempty"` // input
	IsolationMode     string          `json:"isolation_mode,omitempty"`
	Fallback          bool            `json:"fallback,omitempty"`
	EnableFileEvents  bool            `json:"enable_file_events,omitempty"`
	FileEventQueue    json.RawMessage `json:"file_event_queue,omitempty"`
	EncryptionDetails json.RawMessage `json:"encryption_details,omitempty"`
	credential        *object
}

// clone leaves out what a decoder would write into.
func (d *locationDetail) clone() detail {
	c := *d
	c.FileEventQueue, c.EncryptionDetails = nil, nil
	return &c
}

// prepare implements detail. A location's URL must not overlap another location's, and must not be an external table's
// or be inside one.
func (d *locationDetail) prepare(c *call, o *object, old detail) error {
	was, isUpdate := old.(*locationDetail)
	force, name := d.Force, d.CredentialName
	d.Force, d.SkipValidation, d.CredentialName = false, false, ""
	if isUpdate && d.FileEventQueue == nil {
		d.FileEventQueue = was.FileEventQueue
	}
	if isUpdate && d.EncryptionDetails == nil {
		d.EncryptionDetails = was.EncryptionDetails
	}
	if err := checkURL("url", d.URL, true); err != nil {
		return err
	}
	switch {
	case name != "":
		d.credential = o.parent.list(typeStorageCredential).get(canonicalName(name))
		if d.credential == nil {
			return notFound("STORAGE_CREDENTIAL", name)
		}
	case !isUpdate:
		return invalid("credential_name is required.")
	}
	if err := oneOf("isolation_mode", &d.IsolationMode, "ISOLATION_MODE_OPEN", "ISOLATION_MODE_OPEN", "ISOLATION_MODE_ISOLATED"); err != nil {
		return err
	}
	if isUpdate && was.URL == d.URL {
		return nil
	}
	for other := range o.parent.list(typeExternalLocation).after("") {
		if other.id != o.id && urlsOverlap(d.URL, other.detail.(*locationDetail).URL) {
			return invalid("url '%s' overlaps external location '%s'.", d.URL, other.name)
		}
	}
	for table, t := range externalTables(o.parent) {
		switch {
		case urlWithin(d.URL, t.StorageLocation):
			return invalid("url '%s' is inside external table '%s'.", d.URL, table.fullName())
		case isUpdate && !force && urlWithin(t.StorageLocation, was.URL) && !urlWithin(t.StorageLocation, d.URL):
			return invalidState("External table '%s' would no longer be inside External location '%s'; force the update to leave it there.",
				table.fullName(), o.name)
		}
	}
	return nil
}

func (d *locationDetail) render(h commonFields) any {
	out := *d
	out.CredentialName = d.credential.name
	return struct {
		commonFields
		locationDetail
		CredentialID string `json:"credential_id,omitempty"`
	}{h, out, d.credential.uuid()}
}

// externalTables ranges over the external tables of a metastore.
func externalTables(metastore *object) iter.Seq2[*object, *tableDetail] {
	return func(yield func(*object, *tableDetail) bool) {
		for catalog := range metastore.list(typeCatalog).after("") {
			for schema := range catalog.list(typeSchema).after("") {
				for table := range schema.list(typeTable).after("") {
					if d := table.detail.(*tableDetail); d.TableType == tableExternal && !yield(table, d) {
						return
					}
				}
			}
		}
	}
}

// locationInUse: the external tables that are stored inside a location keep it.
func locationInUse(_ *Server, location *object) string {
	for table, d := range externalTables(location.parent) {
		if urlWithin(d.StorageLocation, location.detail.(*locationDetail).URL) {
			return "external table '" + table.fullName() + "' is stored in it"
		}
	}
	return ""
}
