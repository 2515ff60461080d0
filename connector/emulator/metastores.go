package emulator

import (
	"strconv"
	"strings"
)

// assignment ties the emulator's one workspace to a metastore.
type assignment struct {
	MetastoreID        string `json:"metastore_id"`
	WorkspaceID        int64  `json:"workspace_id"`
	DefaultCatalogName string `json:"default_catalog_name,omitempty"`
}

type metastoreDetail struct {
	StorageRoot             string `json:"storage_root,omitempty"`
	StorageRootCredentialID string `json:"storage_root_credential_id,omitempty"`
	DefaultDataAccessConfig string `json:"default_data_access_config_id,omitempty"`
	DeltaSharingScope       string `json:"delta_sharing_scope,omitempty"`
	DeltaSharingTokenLife   *int64 `json:"delta_sharing_recipient_token_lifetime_in_seconds,omitempty"`
	DeltaSharingOrg         string `json:"delta_sharing_organization_name,omitempty"`
	PrivilegeModelVersion   string `json:"privilege_model_version,omitempty"`
	Region                  string `json:"region,omitempty"`
	id                      string
	cloud                   string
}

func (d *metastoreDetail) clone() detail {
	c := *d
	c.DeltaSharingTokenLife, c.StorageRoot = nil, ""
	return &c
}

func (d *metastoreDetail) prepare(_ *call, o *object, old detail) error {
	if was, ok := old.(*metastoreDetail); ok {
		if d.StorageRoot != "" {
			return invalid("storage_root cannot be changed.")
		}
		if d.DeltaSharingTokenLife == nil {
			d.DeltaSharingTokenLife = was.DeltaSharingTokenLife
		}
		d.StorageRoot, d.Region = was.StorageRoot, was.Region
	} else {
		if err := checkURL("storage_root", d.StorageRoot, true); err != nil {
			return err
		}
		d.id = uuid(0x3e7a, o.id)
		d.cloud = cloudOf(d.StorageRoot)
		d.StorageRoot = strings.TrimRight(d.StorageRoot, "/") + "/" + d.id
		// The specification ignores these on create.
		*d = metastoreDetail{StorageRoot: d.StorageRoot, Region: d.Region, id: d.id, cloud: d.cloud, PrivilegeModelVersion: "1.0"}
	}
	if d.Region == "" {
		d.Region = "local"
	}
	if err := oneOf("delta_sharing_scope", &d.DeltaSharingScope, "INTERNAL", "INTERNAL", "INTERNAL_AND_EXTERNAL"); err != nil {
		return err
	}
	if d.DeltaSharingScope == "INTERNAL_AND_EXTERNAL" && d.DeltaSharingTokenLife == nil {
		return invalid("delta_sharing_recipient_token_lifetime_in_seconds is required with INTERNAL_AND_EXTERNAL.")
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

func (s *Server) registerMetastores() {
	base := prefix + "/metastores"
	s.route("POST "+base, s.createMetastore)
	s.route("GET "+base, s.listMetastores)
	s.route("GET "+base+"/{name}", s.get(s.metastoreResource))
	s.route("PATCH "+base+"/{name}", s.update(s.metastoreResource))
	s.route("DELETE "+base+"/{name}", s.deleteMetastore)
	s.route("GET "+prefix+"/metastore_summary", s.metastoreSummary)
	s.route("GET "+prefix+"/current-metastore-assignment", s.currentAssignment)
	workspace := prefix + "/workspaces/{workspace}/metastore"
	s.route("PUT "+workspace, s.assign)
	s.route("PATCH "+workspace, s.assign)
	s.route("DELETE "+workspace, s.unassign)
}

func (s *Server) createMetastore(c *call) (any, error) {
	body, err := c.object("")
	if err != nil {
		return nil, err
	}
	var in input
	d := &metastoreDetail{}
	if err := decode(body, &in, d); err != nil {
		return nil, err
	}
	if in.Name == nil {
		return nil, invalid("name is required.")
	}
	name, err := checkName(*in.Name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.isAccountAdmin() {
		return nil, denied("Only account admins may create metastores.")
	}
	for _, m := range s.metastores {
		if m.name == name {
			return nil, alreadyExists("METASTORE", name)
		}
	}
	o := s.newObject(s.metastoreResource, nil, name, c.who.name)
	if err := d.prepare(c, o, nil); err != nil {
		return nil, err
	}
	o.detail = d
	s.metastores[d.id] = o
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
	if !c.isAdmin(m) && !c.isAccountAdmin() {
		return nil, denied("Only metastore admins may list metastores.")
	}
	return pageOf("metastores", []any{s.render(m)}, ""), nil
}

func (s *Server) deleteMetastore(c *call) (any, error) {
	force, err := c.flag("force")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.find(s.metastoreResource, c.req.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if !c.isAdmin(m) {
		return nil, denied("Only metastore admins may delete Metastore '%s'.", m.name)
	}
	if !force && !m.empty() {
		return nil, invalidState("Cannot delete Metastore '%s': it is not empty.", m.name)
	}
	delete(s.metastores, m.uuid())
	if s.assignment.MetastoreID == m.uuid() {
		s.assignment.MetastoreID = ""
	}
	return nil, nil
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
	return map[string]any{
		"metastore_id": d.id, "name": m.name, "storage_root_credential_id": d.StorageRootCredentialID, "storage_root": d.StorageRoot,
		"cloud": d.cloud, "region": d.Region, "global_metastore_id": d.globalID(), "owner": m.owner,
		"privilege_model_version": d.PrivilegeModelVersion, "delta_sharing_scope": d.DeltaSharingScope,
	}, nil
}

func (s *Server) currentAssignment(*call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, err := s.metastore(); err != nil {
		return nil, err
	}
	return s.assignment, nil
}

// checkWorkspace returns an error unless the path names the emulator's one workspace.
func (s *Server) checkWorkspace(c *call) error {
	id, err := strconv.ParseInt(c.req.PathValue("workspace"), 10, 64)
	if err != nil {
		return invalid("the workspace id must be a number.")
	}
	if id != s.assignment.WorkspaceID {
		return notFound("WORKSPACE", c.req.PathValue("workspace"))
	}
	return nil
}

func (s *Server) assign(c *call) (any, error) {
	body, err := c.object("")
	if err != nil {
		return nil, err
	}
	var in struct {
		MetastoreID        *string `json:"metastore_id"`
		DefaultCatalogName *string `json:"default_catalog_name"`
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkWorkspace(c); err != nil {
		return nil, err
	}
	next := s.assignment
	if c.req.Method == "PUT" {
		if in.MetastoreID == nil {
			return nil, invalid("metastore_id is required.")
		}
		next.DefaultCatalogName = ""
	}
	if in.MetastoreID != nil {
		next.MetastoreID = strings.ToLower(*in.MetastoreID)
	}
	if in.DefaultCatalogName != nil {
		next.DefaultCatalogName = canonicalName(*in.DefaultCatalogName)
	}
	m, err := s.find(s.metastoreResource, next.MetastoreID)
	if err != nil {
		return nil, err
	}
	if next.MetastoreID != s.assignment.MetastoreID && !c.isAccountAdmin() {
		return nil, denied("Only account admins may assign a metastore.")
	}
	if !c.isAdmin(m) && !c.isAccountAdmin() {
		return nil, denied("Only admins may change the metastore assignment.")
	}
	s.assignment = next
	return nil, nil
}

func (s *Server) unassign(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkWorkspace(c); err != nil {
		return nil, err
	}
	if !c.isAccountAdmin() {
		return nil, denied("Only account admins may remove a metastore assignment.")
	}
	if id := strings.ToLower(c.req.URL.Query().Get("metastore_id")); id != s.assignment.MetastoreID {
		return nil, notFound("METASTORE_ASSIGNMENT", id)
	}
	s.assignment.MetastoreID = ""
	return nil, nil
}
