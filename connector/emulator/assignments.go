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

// assignmentFields are those of create and update. That the name is required means that it is there; it may be empty.
var assignmentFields = fields{"metastore_id": "R/O", "default_catalog_name": "R/O"}

type assignmentInput struct {
	MetastoreID        *string `json:"metastore_id"`
	DefaultCatalogName *string `json:"default_catalog_name"`
}

func (c *call) readAssignment(update bool) (in assignmentInput, err error) {
	body, err := c.object("")
	if err != nil {
		return in, err
	}
	picked, err := assignmentFields.pick(body, update)
	if err != nil {
		return in, err
	}
	return in, decode(picked, &in)
}

func (s *Server) currentAssignment(*call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, err := s.metastore(); err != nil {
		return nil, err
	}
	return s.assignment, nil
}

// checkWorkspace returns an error unless the caller meets the ground and the path names the emulator's one workspace.
func (s *Server) checkWorkspace(c *call, g ground) error {
	id, err := strconv.ParseInt(c.req.PathValue("workspace"), 10, 64)
	if err != nil {
		return invalid("the workspace id must be a number.")
	}
	if !g.met(c, nil) {
		return denied("User may not change the metastore assignment of Workspace %d: this takes %s.", id, g)
	}
	if id != s.assignment.WorkspaceID {
		return notFound("WORKSPACE", c.req.PathValue("workspace"))
	}
	return nil
}

// assign overwrites the assignment of the workspace, if it has one.
func (s *Server) assign(c *call) (any, error) {
	in, readErr := c.readAssignment(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkWorkspace(c, assigns); err != nil {
		return nil, err
	}
	if readErr != nil {
		return nil, readErr
	}
	return nil, s.setAssignment(in)
}

// changeAssignment changes what the workspace has: its metastore like a new assignment, its default catalog by a
// workspace admin.
func (s *Server) changeAssignment(c *call) (any, error) {
	in, err := c.readAssignment(true)
	if err != nil {
		return nil, err
	}
	needed := setsDefaultFor
	if in.MetastoreID != nil {
		needed = assigns
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkWorkspace(c, needed); err != nil {
		return nil, err
	}
	if _, err := s.metastore(); err != nil {
		return nil, err
	}
	return nil, s.setAssignment(in)
}

// setAssignment stores the fields that are given.
func (s *Server) setAssignment(in assignmentInput) error {
	next := s.assignment
	if in.MetastoreID != nil {
		m, err := s.find(s.metastoreResource, *in.MetastoreID)
		if err != nil {
			return err
		}
		next.MetastoreID = m.uuid()
	}
	if in.DefaultCatalogName != nil {
		next.DefaultCatalogName = ""
		if *in.DefaultCatalogName != "" {
			name, err := checkName(*in.DefaultCatalogName)
			if err != nil {
				return err
			}
			next.DefaultCatalogName = name
		}
	}
	s.assignment = next
	return nil
}

// unassign removes the assignment; metastore_id, in the query or the body, must be the assigned one.
func (s *Server) unassign(c *call) (any, error) {
	var body struct {
		MetastoreID string `json:"metastore_id"`
	}
	readErr := c.deleteOptions(&body)
	if query := c.req.URL.Query(); query.Has("metastore_id") {
		body.MetastoreID = query.Get("metastore_id")
	}
	id := strings.ToLower(body.MetastoreID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkWorkspace(c, assigns); err != nil {
		return nil, err
	}
	switch {
	case readErr != nil:
		return nil, readErr
	case id == "":
		return nil, invalid("metastore_id is required.")
	case id != s.assignment.MetastoreID:
		return nil, notFound("METASTORE_ASSIGNMENT", id)
	}
	s.assignment.MetastoreID, s.assignment.DefaultCatalogName = "", ""
	return nil, nil
}
