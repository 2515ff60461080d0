package emulator

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// registerAccounts registers the calls by which account admins manage the metastores of the account. The account's id is any.
func (s *Server) registerAccounts() {
	const base = "/api/2.0/accounts/{account}"
	for pattern, h := range map[string]handlerFunc{
		"GET " + base + "/metastores":           s.accountMetastores,
		"POST " + base + "/metastores":          nested("metastore_info", s.createMetastore),
		"GET " + base + "/metastores/{name}":    nested("metastore_info", s.get(s.metastoreResource)),
		"PUT " + base + "/metastores/{name}":    nested("metastore_info", s.update(s.metastoreResource)),
		"DELETE " + base + "/metastores/{name}": s.remove(s.metastoreResource),

		"GET " + base + "/metastores/{name}/storage-credentials":                 s.inMetastore(s.accountCredentials),
		"POST " + base + "/metastores/{name}/storage-credentials":                nested("credential_info", s.createAccountCredential),
		"GET " + base + "/metastores/{name}/storage-credentials/{credential}":    nested("credential_info", s.inMetastore(s.accountCredential)),
		"PUT " + base + "/metastores/{name}/storage-credentials/{credential}":    nested("credential_info", s.inMetastore(s.accountCredential)),
		"DELETE " + base + "/metastores/{name}/storage-credentials/{credential}": s.inMetastore(s.deleteAccountCredential),

		"GET " + base + "/metastores/{name}/workspaces":                s.inMetastore(s.workspacesOf),
		"GET " + base + "/workspaces/{workspace}/metastore":            s.accountAssignment,
		"POST " + base + "/workspaces/{workspace}/metastores/{name}":   s.accountAssign,
		"PUT " + base + "/workspaces/{workspace}/metastores/{name}":    s.accountAssign,
		"DELETE " + base + "/workspaces/{workspace}/metastores/{name}": s.accountUnassign,
	} {
		s.route(pattern, accountAdmin.String(), s.ofAccount(h))
	}
}

// ofAccount returns a handler for account admins, who may do at routes of the account what metastore admins and owners may.
func (s *Server) ofAccount(h handlerFunc) handlerFunc {
	return func(c *call) (any, error) {
		s.mu.RLock()
		admin := accountAdmin.met(c, nil)
		s.mu.RUnlock()
		if !admin {
			return nil, denied("User may not manage the metastores of the account: this takes %s.", accountAdmin)
		}
		inner := *c
		inner.account = true
		return h(&inner)
	}
}

// nested returns a handler of which body and answer are nested under a key.
func nested(key string, h handlerFunc) handlerFunc {
	return func(c *call) (any, error) {
		inner := *c
		if len(c.body) > 0 {
			body, err := c.object(key)
			if err != nil {
				return nil, err
			}
			if inner.body, err = json.Marshal(body); err != nil {
				return nil, err
			}
		}
		answer, err := h(&inner)
		if err != nil || answer == nil {
			return nil, err
		}
		return map[string]any{key: answer}, nil
	}
}

// inMetastore returns a handler that is given the metastore that the path names, with s.mu held.
func (s *Server) inMetastore(h func(c *call, m *object) (any, error)) handlerFunc {
	return func(c *call) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		m, err := s.find(s.metastoreResource, c.req.PathValue("name"))
		if err != nil {
			return nil, err
		}
		return h(c, m)
	}
}

func (s *Server) accountMetastores(*call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.metastores)) {
		list = append(list, s.render(s.metastores[id]))
	}
	return pageOf("metastores", list, ""), nil
}

func (s *Server) accountCredentials(_ *call, m *object) (any, error) {
	list := []any{}
	for o := range m.list(typeStorageCredential).after("") {
		list = append(list, s.render(o))
	}
	return pageOf("storage_credentials", list, ""), nil
}

func (s *Server) createAccountCredential(c *call) (any, error) {
	res := s.resources["storage-credentials"]
	var in input
	name, d, err := c.readNew(res, &in)
	if err != nil {
		return nil, err
	}
	return s.inMetastore(func(c *call, m *object) (any, error) { return s.createIn(c, res, m, name, d, in.Comment) })(c)
}

func findAccountCredential(c *call, m *object) (*object, error) {
	name := c.req.PathValue("credential")
	if o := m.list(typeStorageCredential).get(canonicalName(name)); o != nil {
		return o, nil
	}
	return nil, notFound("STORAGE_CREDENTIAL", name)
}

// accountCredential gets a credential, or, as a PUT, changes it.
func (s *Server) accountCredential(c *call, m *object) (any, error) {
	o, err := findAccountCredential(c, m)
	if err != nil || c.req.Method == "GET" {
		if err != nil {
			return nil, err
		}
		return s.render(o), nil
	}
	body, err := c.object("")
	if err != nil {
		return nil, err
	}
	return s.updateObject(c, o, body)
}

func (s *Server) deleteAccountCredential(c *call, m *object) (any, error) {
	force, err := c.flag("force")
	if err != nil {
		return nil, err
	}
	o, err := findAccountCredential(c, m)
	if err != nil {
		return nil, err
	}
	if reason := s.inUse(o); reason != "" && !force {
		return nil, invalidState("Cannot delete %s '%s': %s.", displayLabel(o.res.label), o.name, reason)
	}
	s.delete(o)
	return nil, nil
}

func (s *Server) workspacesOf(_ *call, m *object) (any, error) {
	if s.assignment.MetastoreID != m.uuid() {
		return pageOf[int64]("workspace_ids", nil, ""), nil
	}
	return pageOf("workspace_ids", []int64{s.assignment.WorkspaceID}, ""), nil
}

func (s *Server) accountAssignment(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.checkWorkspace(c, assigns); err != nil {
		return nil, err
	}
	if _, err := s.metastore(); err != nil {
		return nil, err
	}
	return map[string]any{"metastore_assignment": s.assignment}, nil
}

// accountAssign gives the workspace of the path the metastore of the path, whatever the body says.
func (s *Server) accountAssign(c *call) (any, error) {
	var body struct {
		Assignment assignmentInput `json:"metastore_assignment"`
	}
	if len(c.body) > 0 {
		if err := c.decodeBody(&body); err != nil {
			return nil, err
		}
	}
	in, id := body.Assignment, c.req.PathValue("name")
	in.MetastoreID = &id
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkWorkspace(c, assigns); err != nil {
		return nil, err
	}
	return nil, s.setAssignment(in)
}

func (s *Server) accountUnassign(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkWorkspace(c, assigns); err != nil {
		return nil, err
	}
	if id := strings.ToLower(c.req.PathValue("name")); id != s.assignment.MetastoreID {
		return nil, notFound("METASTORE_ASSIGNMENT", id)
	}
	s.assignment.MetastoreID, s.assignment.DefaultCatalogName = "", ""
	return nil, nil
}
