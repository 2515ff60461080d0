package emulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// registerSCIM registers the calls that change principals: those of the workspace for its admins, those of the account for the
// account's.
func (s *Server) registerSCIM() {
	for base, who := range map[string]ground{"/api/2.0/preview/scim/v2/": workspaceAdmin, "/api/2.0/accounts/{account}/scim/v2/": accountAdmin} {
		for path, kind := range map[string]PrincipalKind{"Users": User, "Groups": Group, "ServicePrincipals": ServicePrincipal} {
			s.route("POST "+base+path, who.String(), s.scimChange(who, func(c *call) (any, error) { return s.scimCreate(c, kind) }))
			for method, change := range map[string]func(*call, *principal) (any, error){"PUT": s.scimReplace, "PATCH": s.scimPatch, "DELETE": s.scimDelete} {
				s.route(method+" "+base+path+"/{id}", who.String(), s.scimChange(who, func(c *call) (any, error) {
					p, err := s.scimFind(c, kind)
					if err != nil {
						return nil, err
					}
					return change(c, p)
				}))
			}
		}
	}
}

// scimChange returns a handler that changes principals, for who meets the ground.
func (s *Server) scimChange(who ground, change handlerFunc) handlerFunc {
	return func(c *call) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !who.met(c, nil) {
			return nil, denied("User may not change principals: this takes %s.", who)
		}
		return change(c)
	}
}

// scimFind returns the principal of the kind that the path names.
func (s *Server) scimFind(c *call, kind PrincipalKind) (*principal, error) {
	id, err := strconv.ParseInt(c.req.PathValue("id"), 10, 64)
	p := s.directory.byID[id]
	if err != nil || p == nil || p.deleted || p.kind != kind {
		return nil, &apiError{status: http.StatusNotFound, code: "RESOURCE_DOES_NOT_EXIST", message: "No such principal."}
	}
	return p, nil
}

// scimInput is what creations and replacements read.
type scimInput struct {
	UserName      string      `json:"userName"`
	DisplayName   string      `json:"displayName"`
	ApplicationID string      `json:"applicationId"`
	ExternalID    string      `json:"externalId"`
	Active        *bool       `json:"active"`
	Members       []scimValue `json:"members"`
}

func (s *Server) scimCreate(c *call, kind PrincipalKind) (any, error) {
	var in scimInput
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	name, field := in.UserName, "userName"
	switch kind {
	case Group:
		name, field = in.DisplayName, "displayName"
	case ServicePrincipal:
		name, field = cmp.Or(in.ApplicationID, uuid(0x5123, s.directory.lastID+1)), "applicationId"
	}
	if strings.TrimSpace(name) == "" || kind == User && !strings.Contains(name, "@") {
		return nil, invalid("%s is required, of a user an e-mail address.", field)
	}
	if s.directory.find(name) != nil {
		return nil, &apiError{status: http.StatusConflict, code: "RESOURCE_ALREADY_EXISTS", message: displayLabel(string(kind)) + " with name " + name + " already exists."}
	}
	members, err := s.memberNames(in.Members)
	if err != nil {
		return nil, err
	}
	p := s.directory.add(kind, name, members)
	p.set(in)
	return s.scimResourceOf(p), nil
}

// set takes over what can be changed of every kind but its name and members.
func (p *principal) set(in scimInput) {
	if p.kind != Group {
		p.displayName = in.DisplayName
	}
	p.externalID = in.ExternalID
	p.inactive = in.Active != nil && !*in.Active
}

// memberNames returns the names of principals by their ids.
func (s *Server) memberNames(list []scimValue) ([]string, error) {
	names := make([]string, len(list))
	for i, v := range list {
		id, err := strconv.ParseInt(v.Value, 10, 64)
		p := s.directory.byID[id]
		if err != nil || p == nil || p.deleted || p.kind == recipientKind {
			return nil, &apiError{status: http.StatusNotFound, code: "RESOURCE_DOES_NOT_EXIST", message: "No principal with id " + v.Value + "."}
		}
		names[i] = p.name
	}
	return names, nil
}

// scimReplace replaces all that the body may say.
func (s *Server) scimReplace(c *call, p *principal) (any, error) {
	var in scimInput
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	if p.kind == User && in.UserName != "" && !strings.EqualFold(in.UserName, p.name) {
		return nil, invalid("userName cannot be changed.")
	}
	if p.kind != Group {
		p.set(in)
		return s.scimResourceOf(p), nil
	}
	members, err := s.memberNames(in.Members)
	if err == nil {
		err = s.renameGroup(p, in.DisplayName)
	}
	if err != nil {
		return nil, err
	}
	p.set(in)
	s.directory.setMembers(p, members)
	return s.scimResourceOf(p), nil
}

// renameGroup gives a group another name, under which it keeps its grants and what it owns.
func (s *Server) renameGroup(p *principal, name string) error {
	switch {
	case name == p.name:
		return nil
	case strings.TrimSpace(name) == "":
		return invalid("displayName is required.")
	case p.name == accountUsers || p.local():
		return invalid("Group '%s' cannot be renamed.", p.name)
	case s.directory.find(name) != nil:
		return &apiError{status: http.StatusConflict, code: "RESOURCE_ALREADY_EXISTS", message: "Group with name " + name + " already exists."}
	}
	old := p.name
	s.directory.rename(p, name)
	for _, m := range s.metastores {
		renameOwner(m, old, name)
		m.renamePrincipal(old, name)
	}
	if s.accountAdmins[old] {
		delete(s.accountAdmins, old)
		s.accountAdmins[name] = true
	}
	return nil
}

func renameOwner(o *object, old, name string) {
	if o.owner == old {
		o.owner = name
	}
	for _, children := range o.children {
		for child := range children.after("") {
			renameOwner(child, old, name)
		}
	}
}

func (s *Server) scimDelete(_ *call, p *principal) (any, error) {
	if p.local() || !s.directory.remove(p.name) {
		return nil, invalid("Group '%s' cannot be deleted.", p.name)
	}
	return nil, nil
}

// scimOperation is one of a PATCH.
type scimOperation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

// scimPatch carries out all operations, or returns an error and changes nothing.
func (s *Server) scimPatch(c *call, p *principal) (any, error) {
	var body struct {
		Operations []scimOperation `json:"Operations"`
	}
	if err := c.decodeBody(&body); err != nil {
		return nil, err
	}
	if len(body.Operations) == 0 {
		return nil, invalid("Operations is required.")
	}
	active := !p.inactive
	next := scimPatched{scimInput{DisplayName: p.displayName, ExternalID: p.externalID, Active: &active}, slices.Clone(p.members)}
	if p.kind == Group {
		next.DisplayName = p.name
	}
	for _, op := range body.Operations {
		if err := s.apply(&next, p.kind, op); err != nil {
			return nil, err
		}
	}
	if p.kind == Group {
		if err := s.renameGroup(p, next.DisplayName); err != nil {
			return nil, err
		}
		s.directory.setMembers(p, next.members)
	}
	p.set(next.scimInput)
	return s.scimResourceOf(p), nil
}

// scimPatched is a principal as the operations so far leave it.
type scimPatched struct {
	scimInput
	members []string
}

// apply carries out one operation. As in the service, removing "members" without a filter removes all, whatever the value says.
func (s *Server) apply(p *scimPatched, kind PrincipalKind, op scimOperation) error {
	op.Op = strings.ToLower(op.Op)
	if err := oneOf("op", &op.Op, "", "add", "replace", "remove"); err != nil {
		return err
	}
	if op.Path == "" {
		var values map[string]json.RawMessage
		if op.Op == "remove" || json.Unmarshal(op.Value, &values) != nil {
			return invalid("an operation without a path needs an object as value.")
		}
		for path, value := range values {
			if err := s.apply(p, kind, scimOperation{op.Op, path, value}); err != nil {
				return err
			}
		}
		return nil
	}
	path, filter, filtered := strings.Cut(op.Path, "[")
	if path == "members" && kind == Group {
		return s.applyMembers(p, op, strings.TrimSuffix(filter, "]"), filtered)
	}
	targets := map[string]any{"displayName": &p.DisplayName, "externalId": &p.ExternalID, "active": p.Active}
	target := targets[path]
	switch {
	case slices.Contains([]string{"entitlements", "roles", "name.givenName", "name.familyName", "emails"}, path):
		return nil // which the emulator does not keep
	case target == nil || filtered:
		return invalid("path '%s' is not one that the emulator can change.", op.Path)
	case op.Op == "remove":
		op.Value = json.RawMessage(`""`)
	}
	if json.Unmarshal(op.Value, target) != nil {
		return invalid("the value of '%s' has the wrong type.", op.Path)
	}
	return nil
}

func (s *Server) applyMembers(p *scimPatched, op scimOperation, filter string, filtered bool) error {
	var list []scimValue
	if filtered {
		id, ok := strings.CutPrefix(filter, "value eq ")
		if !ok || op.Op != "remove" {
			return invalid(`path '%s' is not like: members[value eq "id"].`, op.Path)
		}
		list = []scimValue{{Value: strings.Trim(id, `"`)}}
	} else if op.Op == "remove" {
		p.members = nil
		return nil
	} else if json.Unmarshal(op.Value, &list) != nil {
		return invalid("the value of members must be a list of objects with a value.")
	}
	names, err := s.memberNames(list)
	if err != nil {
		return err
	}
	switch op.Op {
	case "replace":
		p.members = names
	case "remove":
		p.members = slices.DeleteFunc(p.members, func(name string) bool { return slices.Contains(names, name) })
	default:
		for _, name := range names {
			if !slices.Contains(p.members, name) {
				p.members = append(p.members, name)
			}
		}
	}
	return nil
}
