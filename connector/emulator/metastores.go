package emulator

import (
	"regexp"
	"strings"
)

func metastores() *resource {
	return &resource{path: "metastores", label: "METASTORE", typ: typeMetastore,
		fields: fields{
			"name": "R/O", "new_name": "-/O", "owner": "I/O", "storage_root": "R/E", "region": "O/I",
			"storage_root_credential_id": "I/O", "default_data_access_config_id": "I/O", "delta_sharing_enabled": "I/O",
			"delta_sharing_scope": "I/O", "delta_sharing_recipient_token_lifetime_in_seconds": "I/O",
			"delta_sharing_organization_name": "I/O", "privilege_model_version": "I/O", "external_access_enabled": "O/O",
		},
		inUse:     metastoreInUse,
		newDetail: func() detail { return &metastoreDetail{} }}
}

type metastoreDetail struct {
	StorageRoot             string `json:"storage_root,omitempty"`
	StorageRootCredentialID string `json:"storage_root_credential_id,omitempty"`
	DefaultDataAccessConfig string `json:"default_data_access_config_id,omitempty"`
	DeltaSharingEnabled     bool   `json:"delta_sharing_enabled"`
	DeltaSharingScope       string `json:"delta_sharing_scope,omitempty"`
	DeltaSharingTokenLife   *int32 `json:"delta_sharing_recipient_token_lifetime_in_seconds,omitempty"` // seconds; 0 is for ever
	DeltaSharingOrg         string `json:"delta_sharing_organization_name,omitempty"`
	PrivilegeModelVersion   string `json:"privilege_model_version,omitempty"`
	Region                  string `json:"region,omitempty"`
	ExternalAccessEnabled   bool   `json:"external_access_enabled,omitempty"`
	id                      string
	cloud                   string
}

// clone gives the copy a token lifetime of its own, for a decoder writes into the number.
func (d *metastoreDetail) clone() detail {
	c := *d
	if d.DeltaSharingTokenLife != nil {
		life := *d.DeltaSharingTokenLife
		c.DeltaSharingTokenLife = &life
	}
	return &c
}

var majorMinor = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)

func (d *metastoreDetail) prepare(_ *call, o *object, old detail) error {
	if old == nil {
		if err := checkURL("storage_root", d.StorageRoot, true); err != nil {
			return err
		}
		d.id = uuid(0x3e7a, o.id)
		d.cloud = cloudOf(d.StorageRoot)
		d.StorageRoot = strings.TrimRight(d.StorageRoot, "/") + "/" + d.id
		d.PrivilegeModelVersion = "1.0"
	}
	if d.Region == "" {
		d.Region = "local"
	}
	if !majorMinor.MatchString(d.PrivilegeModelVersion) {
		return invalid("privilege_model_version '%s' must be major.minor, as in 1.0.", d.PrivilegeModelVersion)
	}
	if err := oneOf("delta_sharing_scope", &d.DeltaSharingScope, "INTERNAL", "INTERNAL", "INTERNAL_AND_EXTERNAL"); err != nil {
		return err
	}
	switch life := d.DeltaSharingTokenLife; {
	case life == nil && d.DeltaSharingScope == "INTERNAL_AND_EXTERNAL":
		return invalid("delta_sharing_recipient_token_lifetime_in_seconds is required with INTERNAL_AND_EXTERNAL.")
	case life != nil && *life < 0:
		return invalid("delta_sharing_recipient_token_lifetime_in_seconds must be at least 0.")
	}
	return nil
}

func cloudOf(url string) string {
	switch {
	case strings.HasPrefix(url, "abfss:"):
		return "azure"
	case strings.HasPrefix(url, "gs:"):
		return "gcp"
	}
	return "aws"
}

func (d *metastoreDetail) globalID() string { return d.cloud + ":" + d.Region + ":" + d.id }

func (d *metastoreDetail) render(h commonFields) any {
	h.SecurableType, h.FullName = "", ""
	return struct {
		commonFields
		metastoreDetail
		Cloud             string `json:"cloud"`
		GlobalMetastoreID string `json:"global_metastore_id"`
	}{h, *d, d.cloud, d.globalID()}
}

// metastoreInUse: a catalog, storage credential, share or recipient keeps a metastore, and nothing else does.
func metastoreInUse(_ *Server, m *object) string {
	for _, t := range []securableType{typeCatalog, typeStorageCredential, typeShare, typeRecipient} {
		if m.list(t).len() > 0 {
			return "a " + strings.ToLower(displayLabel(string(t))) + " is left in it"
		}
	}
	return ""
}

func (s *Server) registerMetastores() {
	s.route("GET "+prefix+"/metastore_summary", anyUser.String(), s.metastoreSummary)
	s.route("GET "+prefix+"/current-metastore-assignment", anyUser.String(), s.currentAssignment)
	workspace := prefix + "/workspaces/{workspace}/metastore"
	s.route("PUT "+workspace, assigns.String(), s.assign)
	s.route("PATCH "+workspace, "with metastore_id: "+assigns.String()+"; without: "+setsDefaultFor.String(), s.changeAssignment)
	s.route("DELETE "+workspace, assigns.String(), s.unassign)
}

func (s *Server) createMetastore(c *call) (any, error) {
	res := s.metastoreResource
	var in input
	name, d, err := c.readNew(res, &in)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	assigned, err := s.metastore()
	if err != nil {
		assigned = &object{res: res, detail: &metastoreDetail{}} // which nobody owns
	}
	if err := c.checkIn(toCreate, res, assigned); err != nil {
		return nil, err
	}
	o := s.newObject(res, nil, name, c.who.name)
	if s.nameTaken(o, name) {
		return nil, alreadyExists(res.label, name)
	}
	if err := d.prepare(c, o, nil); err != nil {
		return nil, err
	}
	o.detail = d
	s.metastores[o.uuid()] = o
	return s.render(o), nil
}

// listMetastores returns the metastore assigned to the workspace, if any.
func (s *Server) listMetastores(c *call) (any, error) {
	if _, err := c.pageSize(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := s.metastore()
	if err != nil {
		return pageOf[any]("metastores", nil, ""), nil
	}
	if err := c.check(toRead, m); err != nil {
		return nil, err
	}
	return pageOf("metastores", []any{s.render(m)}, ""), nil
}

// metastoreSummary may be called by everyone in the workspace: clients find their metastore with it.
func (s *Server) metastoreSummary(*call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := s.metastore()
	if err != nil {
		return nil, err
	}
	d := m.detail.(*metastoreDetail)
	summary := map[string]any{
		"metastore_id": d.id, "name": m.name, "storage_root_credential_id": d.StorageRootCredentialID, "storage_root": d.StorageRoot,
		"default_data_access_config_id": d.DefaultDataAccessConfig, "cloud": d.cloud, "region": d.Region,
		"global_metastore_id": d.globalID(), "owner": m.owner, "privilege_model_version": d.PrivilegeModelVersion,
		"delta_sharing_enabled": d.DeltaSharingEnabled, "delta_sharing_scope": d.DeltaSharingScope,
		"external_access_enabled": d.ExternalAccessEnabled,
		"created_at":              m.createdAt, "created_by": m.createdBy, "updated_at": m.updatedAt, "updated_by": m.updatedBy,
	}
	if d.DeltaSharingTokenLife != nil {
		summary["delta_sharing_recipient_token_lifetime_in_seconds"] = *d.DeltaSharingTokenLife
	}
	if d.DeltaSharingOrg != "" {
		summary["delta_sharing_organization_name"] = d.DeltaSharingOrg
	}
	return summary, nil
}
