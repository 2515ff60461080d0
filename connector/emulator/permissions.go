package emulator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
)

type privilegeAssignment struct {
	Principal   string      `json:"principal"`
	PrincipalID int64       `json:"principal_id,omitempty"` // only of deleted principals, which have no name
	Privileges  []privilege `json:"privileges"`
}

type permissionsChange struct {
	Principal   string   `json:"principal"`
	PrincipalID int64    `json:"principal_id"`
	Add         []string `json:"add"`
	Remove      []string `json:"remove"`
}

// permissionsDiff is the body of a PATCH; the two omit fields are those of the permissions and of the share call.
type permissionsDiff struct {
	Changes                   *[]permissionsChange `json:"changes"`
	OmitPermissionsInResponse bool                 `json:"omit_permissions_in_response"`
	OmitPermissionsList       bool                 `json:"omit_permissions_list"`
}

type permissionsList struct {
	PrivilegeAssignments *[]struct {
		Principal   string   `json:"principal"`
		PrincipalID int64    `json:"principal_id"`
		Privileges  []string `json:"privileges"`
	} `json:"privilege_assignments"`
}

func (s *Server) registerPermissions() {
	s.route("GET "+prefix+"/permissions/{type}/{name}", s.getPermissions)
	s.route("PATCH "+prefix+"/permissions/{type}/{name}", s.patchPermissions)
	s.route("PUT "+prefix+"/permissions/{type}/{name}", s.putPermissions)
	s.route("GET "+prefix+"/effective-permissions/{type}/{name}", s.getEffective)
}

// findTyped returns the object that the path of a permissions call names. s.mu must be held.
func (s *Server) findTyped(c *call) (*object, error) {
	text := c.req.PathValue("type")
	if text == "" { // P/shares/{name}/permissions
		return s.find(s.types[typeShare], c.req.PathValue("name"))
	}
	t, ok := securableTypes[strings.ToLower(text)]
	if !ok {
		return nil, invalid("'%s' is not a securable type.", text)
	}
	return s.find(s.types[t], c.req.PathValue("name"))
}

func (s *Server) getPermissions(c *call) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, err := s.findTyped(c)
	if err != nil {
		return nil, err
	}
	only, err := s.checkReadGrants(c, o)
	if err != nil {
		return nil, err
	}
	size, err := c.permissionPageSize()
	if err != nil {
		return nil, err
	}
	return pagePermissions(c, size, s.assignments(o, s.grantsFor(c, o), only))
}

// checkReadGrants returns an error unless the caller may read the grants on o. Otherwise it returns the id of the
// principal in the query, 0 for all.
func (s *Server) checkReadGrants(c *call, o *object) (only int64, err error) {
	name := c.req.URL.Query().Get("principal")
	if !c.mayManage(o) && (name == "" || s.directory.spelled(name) != c.who.name) {
		return 0, c.unauthorized("only administrators or the owner of the securable may read other users' permissions")
	}
	if name == "" {
		return 0, nil
	}
	p, err := s.grantee(o, name)
	if err != nil {
		return 0, err
	}
	return p.id, nil
}

// grantee returns the principal that a name means on o: a recipient on a share, else a principal of the account.
func (s *Server) grantee(o *object, name string) (*principal, error) {
	if o.res.typ == typeShare {
		recipient := o.parent.list(typeRecipient).get(canonicalName(name))
		if recipient == nil {
			return nil, notFound("RECIPIENT", name)
		}
		return s.directory.byID[recipient.detail.(*recipientDetail).grantee], nil
	}
	if p := s.directory.find(name); p != nil {
		return p, nil
	}
	return nil, principalNotFound(name)
}

// reported returns the privileges on o as answers show them.
func (s *Server) reported(o *object, set privilegeSet) privilegeSet {
	if s.opts.ExpandAllPrivileges {
		return s.privs.expanded(set, o.res.typ, o.kind)
	}
	return set
}

// assignments returns the JSON form of grants on o, sorted by name, deleted principals last; only the principal with the
// id only, unless that is 0.
func (s *Server) assignments(o *object, grants grantList, only int64) []privilegeAssignment {
	list := make([]privilegeAssignment, 0, len(grants))
	for _, g := range grants {
		if only != 0 && g.id != only {
			continue
		}
		a := privilegeAssignment{Principal: s.directory.nameOfID(g.id), Privileges: s.privs.list(s.reported(o, g.privs))}
		if a.Principal == "" {
			a.PrincipalID = g.id
		}
		list = append(list, a)
	}
	sortByPrincipal(list, func(a privilegeAssignment) (string, int64) { return a.Principal, a.PrincipalID })
	return list
}

// diff is a PATCH with resolved principals: who gains and loses which privileges.
type diff struct {
	ids         []int64 // in order of first mention
	add, remove map[int64]privilegeSet
}

// findChangeable returns the securable of the path, or an error unless the caller may change its permissions.
func (s *Server) findChangeable(c *call) (*object, error) {
	o, err := s.findTyped(c)
	if err != nil {
		return nil, err
	}
	return o, s.checkMayChange(c, o)
}

func (s *Server) patchPermissions(c *call) (any, error) {
	var body permissionsDiff
	if err := c.decodeStrict(&body); err != nil {
		return nil, err
	}
	if body.Changes == nil {
		return nil, invalid("changes is required.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.findChangeable(c)
	if err != nil {
		return nil, err
	}
	d, err := s.resolve(c, o, *body.Changes)
	if err != nil {
		return nil, err
	}
	next := o.grants
	for _, id := range d.ids {
		next = next.with(id, s.privs.change(next.of(id), d.add[id], d.remove[id]))
	}
	o.setGrants(next)
	if body.OmitPermissionsInResponse || body.OmitPermissionsList {
		return nil, nil
	}
	return pageOf("privilege_assignments", s.assignments(o, next, 0), ""), nil
}

func (s *Server) checkMayChange(c *call, o *object) error {
	if c.mayManage(o) {
		return nil
	}
	return c.unauthorized("User is not an owner of %s '%s' and may not change permissions on it.", displayLabel(o.res.label), o.fullName())
}

// resolve checks every change, before any is applied.
func (s *Server) resolve(c *call, o *object, changes []permissionsChange) (diff, error) {
	d := diff{add: make(map[int64]privilegeSet), remove: make(map[int64]privilegeSet)}
	var unknown []string
	for _, change := range changes {
		if (change.Principal == "") == (change.PrincipalID == 0) {
			return d, invalid("every change needs exactly one of principal and principal_id.")
		}
		add, err := s.parsePrivileges(o, change.Add, true)
		if err != nil {
			return d, err
		}
		remove, err := s.parsePrivileges(o, change.Remove, false)
		if err != nil {
			return d, err
		}
		id, err := s.changedPrincipal(c, o, change, add)
		if err != nil {
			var api *apiError
			if s.opts.AutoPrincipals && errors.As(err, &api) && api.code == "PRINCIPAL_DOES_NOT_EXIST" {
				unknown = append(unknown, change.Principal)
				continue
			}
			return d, err
		}
		if slices.Contains(d.ids, id) {
			return d, invalid("Duplicate principal in changes: %s", cmp.Or(change.Principal, jsonNumber(id)))
		}
		if both := add.overlap(remove); !both.empty() {
			return d, invalid("Privilege '%s' is both added and removed for principal '%s'.", s.privs.list(both)[0], change.Principal)
		}
		d.ids = append(d.ids, id)
		d.add[id], d.remove[id] = add, remove
	}
	if len(unknown) > 0 { // everything else is valid: add them and start over
		for _, name := range unknown {
			s.directory.add(guessKind(name), name, nil)
		}
		return s.resolve(c, o, changes)
	}
	return d, nil
}

// changedPrincipal returns the id of the principal whose grants a change is about.
func (s *Server) changedPrincipal(c *call, o *object, change permissionsChange, add privilegeSet) (int64, error) {
	if change.PrincipalID != 0 {
		p := s.directory.byID[change.PrincipalID]
		switch {
		case p == nil, (p.kind == recipientKind) != (o.res.typ == typeShare):
			return 0, principalNotFound("with id " + jsonNumber(change.PrincipalID))
		case p.deleted && !add.empty():
			return 0, invalid("Principal %d was deleted: privileges can only be removed.", change.PrincipalID)
		}
		return p.id, nil
	}
	p, err := s.grantee(o, change.Principal)
	if err != nil {
		return 0, err
	}
	if o.res.typ == typeShare && !add.empty() { // revoking does not need it
		recipient := o.parent.list(typeRecipient).get(p.name)
		if !c.ownsOrManages(recipient) {
			return 0, denied("Granting on a share needs ownership of Recipient '%s'.", p.name)
		}
	}
	return p.id, nil
}

// parsePrivileges parses a list of privileges. One to be added must be applicable to the object; removing one that is
// not is allowed and changes nothing.
func (s *Server) parsePrivileges(o *object, texts []string, adding bool) (privilegeSet, error) {
	var set privilegeSet
	for _, text := range texts {
		p, err := s.privs.parse(text)
		if err != nil {
			return privilegeSet{}, err
		}
		if adding && !slices.Contains(applicable(o.res.typ, o.kind), p) {
			return privilegeSet{}, invalid("Privilege %s is not applicable to this entity [%s:%s].", p, kindLabel(o), o.fullName())
		}
		set = set.union(s.privs.bit[p])
	}
	return set, nil
}

func kindLabel(o *object) string {
	if o.kind != "" {
		return string(o.kind)
	}
	return string(o.res.typ)
}

func (s *Server) putPermissions(c *call) (any, error) {
	var body permissionsList
	if err := c.decodeStrict(&body); err != nil {
		return nil, err
	}
	if body.PrivilegeAssignments == nil {
		return nil, invalid("privilege_assignments is required.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.findChangeable(c)
	if err != nil {
		return nil, err
	}
	changes := make([]permissionsChange, 0, len(*body.PrivilegeAssignments))
	for _, a := range *body.PrivilegeAssignments {
		changes = append(changes, permissionsChange{Principal: a.Principal, PrincipalID: a.PrincipalID, Add: a.Privileges})
	}
	d, err := s.resolve(c, o, changes)
	if err != nil {
		return nil, err
	}
	var next grantList
	for _, id := range d.ids {
		next = next.with(id, d.add[id])
	}
	o.setGrants(next)
	return nil, nil
}

// decodeStrict decodes the body. Unknown fields are an error, because a misspelt one would silently change access.
func (c *call) decodeStrict(target any) error {
	if _, err := c.object(""); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(c.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(target); err != nil {
		return malformed("could not parse the request body: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return malformed("the request body holds more than one JSON value")
	}
	return nil
}

// permissionPageSize returns the page size of a permissions call, in privileges, not principals; 0 means all. A
// max_results of 1 to 149 is an error, because a page must hold at least one principal with all its privileges.
func (c *call) permissionPageSize() (int, error) {
	n, present, err := c.maxResults()
	switch {
	case err != nil:
		return 0, err
	case n > 0 && n < 150:
		return 0, invalid("max_results must be 0 or at least 150, not %d.", n)
	case n > 0:
		return min(n, c.srv.opts.MaxPageSize), nil
	case present && c.srv.opts.PermissionPageSize == 0:
		return c.srv.opts.PageSize, nil
	}
	return c.srv.opts.PermissionPageSize, nil
}

// pagePermissions returns one page of whole assignments with at most size privileges in all, but at least one assignment.
func pagePermissions[T pageable](c *call, size int, list []T) (any, error) {
	if size == 0 {
		size = 1 << 30
	}
	left := size
	page, next, err := takePage(c, 1<<30, func(after string) iter.Seq2[string, T] {
		return func(yield func(string, T) bool) {
			for _, a := range list {
				if key := a.key(); key > after && !yield(key, a) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for i, a := range page {
		if left -= a.count(); left < 0 && i > 0 {
			return pageOf("privilege_assignments", page[:i], c.encodeToken(tokenPlain, page[i-1].key())), nil
		}
	}
	return pageOf("privilege_assignments", page, next), nil
}
