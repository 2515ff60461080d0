package emulator

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// isolated reports whether an object is for bound workspaces only.
type isolated interface{ isIsolated() bool }

func (d *catalogDetail) isIsolated() bool    { return d.IsolationMode == "ISOLATED" }
func (d *locationDetail) isIsolated() bool   { return d.IsolationMode == "ISOLATION_MODE_ISOLATED" }
func (d *credentialDetail) isIsolated() bool { return d.IsolationMode == "ISOLATION_MODE_ISOLATED" }

// Types of bindings.
const (
	bindingReadWrite = "BINDING_TYPE_READ_WRITE"
	bindingReadOnly  = "BINDING_TYPE_READ_ONLY"
)

// bindingTypes maps the types of objects that are bound to workspaces, as paths name them.
var bindingTypes = map[string]securableType{
	"catalog": typeCatalog, "storage_credential": typeStorageCredential, "credential": typeCredential, "external_location": typeExternalLocation,
}

type binding struct {
	WorkspaceID int64  `json:"workspace_id"`
	BindingType string `json:"binding_type"`
}

func (s *Server) registerBindings() {
	who := managesBindings.String()
	s.route("GET "+prefix+"/bindings/{type}/{name}", who, s.listBindings)
	s.route("PATCH "+prefix+"/bindings/{type}/{name}", who, s.updateBindings)
	s.route("GET "+prefix+"/workspace-bindings/catalogs/{name}", who, s.listWorkspaces)
	s.route("PATCH "+prefix+"/workspace-bindings/catalogs/{name}", who, s.updateWorkspaces)
}

// bindingsOf returns the bindings of an object by workspace. The server's workspace is bound until somebody changes them.
func (s *Server) bindingsOf(o *object) map[int64]string {
	if o.bindings != nil {
		return o.bindings
	}
	return map[int64]string{s.assignment.WorkspaceID: bindingReadWrite}
}

// bindingOf returns how what o is, or is in, may be used from the workspace: "" for not at all.
func (s *Server) bindingOf(o *object) string {
	for o.parent != nil && o.parent.parent != nil {
		o = o.parent
	}
	if d, ok := o.detail.(isolated); !ok || !d.isIsolated() || o.bindings == nil {
		return bindingReadWrite
	}
	return o.bindings[s.assignment.WorkspaceID]
}

// checkBinding returns an error unless what o is, or is in, may be used that way from the workspace. An object that is not
// bound can be changed and deleted by those who could bind it.
func (c *call) checkBinding(a act, o *object) error {
	bound := c.srv.bindingOf(o)
	if bound == bindingReadWrite {
		return nil
	}
	changesSelf := slices.Contains([]act{toUpdate, toChangeOwner, toRename, toDelete}, a) && o.container() == nil
	reads := slices.Contains([]act{toList, toSee, toRead, toShare, toGrantTo}, a)
	switch {
	case changesSelf, bound == bindingReadOnly && reads:
		return nil
	case bound == bindingReadOnly:
		return denied("%s '%s' may only be read in workspace %d.", displayLabel(o.res.label), o.fullName(), c.srv.assignment.WorkspaceID)
	case a == toSee && o.container() == nil && c.unbound && managesBindings.is(c, o):
		return nil
	}
	return denied("%s '%s' is not accessible in workspace %d.", displayLabel(o.res.label), o.fullName(), c.srv.assignment.WorkspaceID)
}

// findBound returns the object of the path, if the caller may read and change its bindings.
func (s *Server) findBound(c *call) (*object, error) {
	text := cmp.Or(strings.ToLower(c.req.PathValue("type")), "catalog")
	t, ok := bindingTypes[text]
	if !ok {
		return nil, invalid("'%s' is not a type of object that is bound to workspaces: %s.", text, strings.Join(slices.Sorted(maps.Keys(bindingTypes)), ", "))
	}
	o, err := s.find(s.types[t], c.req.PathValue("name"))
	if err != nil {
		return nil, err
	}
	if !managesBindings.is(c, o) {
		return nil, denied("User may not manage the workspaces of %s '%s': this takes %s.", displayLabel(o.res.label), o.fullName(), managesBindings)
	}
	return o, nil
}

// sortedBindings returns the bindings of an object by workspace, in order.
func (s *Server) sortedBindings(o *object) []binding {
	list := []binding{}
	all := s.bindingsOf(o)
	for _, id := range slices.Sorted(maps.Keys(all)) {
		list = append(list, binding{id, all[id]})
	}
	return list
}

func (s *Server) listBindings(c *call) (any, error) {
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, err := s.findBound(c)
	if err != nil {
		return nil, err
	}
	page, next, err := takePage(c, size, func(after string) iter.Seq2[string, binding] {
		return func(yield func(string, binding) bool) {
			from, err := strconv.ParseInt(cmp.Or(after, "0"), 10, 64)
			for _, b := range s.sortedBindings(o) {
				if err == nil && b.WorkspaceID > from && !yield(jsonNumber(b.WorkspaceID), b) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return pageOf("bindings", page, next), nil
}

// bindingsChange is the body of a PATCH; the last two fields are those of the call for catalogs alone.
type bindingsChange struct {
	Add      []binding `json:"add"`
	Remove   []binding `json:"remove"`
	Assign   []int64   `json:"assign_workspaces"`
	Unassign []int64   `json:"unassign_workspaces"`
}

// changeBindings applies a change, or returns an error and changes nothing.
func (s *Server) changeBindings(o *object, add, remove []binding) error {
	next := maps.Clone(s.bindingsOf(o))
	for _, b := range remove {
		if b.WorkspaceID <= 0 {
			return invalid("workspace_id is required.")
		}
		if slices.ContainsFunc(add, func(a binding) bool { return a.WorkspaceID == b.WorkspaceID }) {
			return invalid("Workspace %d is both added and removed.", b.WorkspaceID)
		}
		delete(next, b.WorkspaceID)
	}
	for _, b := range add {
		if b.WorkspaceID <= 0 {
			return invalid("workspace_id is required.")
		}
		if err := oneOf("binding_type", &b.BindingType, bindingReadWrite, bindingReadWrite, bindingReadOnly); err != nil {
			return err
		}
		next[b.WorkspaceID] = b.BindingType
	}
	o.bindings = next
	return nil
}

func (s *Server) updateBindings(c *call) (any, error) {
	var body bindingsChange
	if err := c.decodeBody(&body); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.findBound(c)
	if err == nil {
		err = s.changeBindings(o, body.Add, body.Remove)
	}
	if err != nil {
		return nil, err
	}
	return pageOf("bindings", s.sortedBindings(o), ""), nil
}

// listWorkspaces and updateWorkspaces are the calls of old, for catalogs alone and without types of binding.
func (s *Server) listWorkspaces(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, err := s.findBound(c)
	if err != nil {
		return nil, err
	}
	return s.workspaces(o), nil
}

func (s *Server) workspaces(o *object) any {
	return pageOf("workspaces", slices.Sorted(maps.Keys(s.bindingsOf(o))), "")
}

func (s *Server) updateWorkspaces(c *call) (any, error) {
	var body bindingsChange
	if err := c.decodeBody(&body); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.findBound(c)
	if err != nil {
		return nil, err
	}
	bindings := func(ids []int64) (list []binding) {
		for _, id := range ids {
			list = append(list, binding{WorkspaceID: id})
		}
		return list
	}
	if err := s.changeBindings(o, bindings(body.Assign), bindings(body.Unassign)); err != nil {
		return nil, err
	}
	return s.workspaces(o), nil
}
