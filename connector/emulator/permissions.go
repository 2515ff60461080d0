package emulator

import (
	"cmp"
	"errors"
	"iter"
	"net/http"
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
	changers := managesGrants.String()
	readers := changers + "; others their own"
	s.route("GET "+prefix+"/permissions/{type}/{name}", readers, s.getPermissions)
	s.route("PATCH "+prefix+"/permissions/{type}/{name}", changers, s.patchPermissions)
	s.route("PUT "+prefix+"/permissions/{type}/{name}", changers, s.putPermissions)
	s.route("GET "+prefix+"/effective-permissions/{type}/{name}", readers, s.getEffective)
	s.route("GET "+prefix+"/privilege-assignments/{type}/{name}", readers, s.listGrants)
	s.route("GET "+prefix+"/effective-privilege-assignments/{type}/{name}", readers, s.listEffective)
}

// grantPages says how a call pages grants: its JSON key, its parameter for the size of a page, and whether it pages when
// that is absent.
type grantPages struct {
	key, size string
	always    bool
}

var (
	permissionPages   = grantPages{key: "privilege_assignments", size: "max_results"}
	grantListPages    = grantPages{"privilege_assignments", "page_size", true}
	effectiveNewPages = grantPages{"effective_privilege_assignments", "page_size", true}
)

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

func (s *Server) getPermissions(c *call) (any, error) { return s.directGrants(c, permissionPages) }
func (s *Server) listGrants(c *call) (any, error)     { return s.directGrants(c, grantListPages) }

// directGrants returns the grants on the object itself.
func (s *Server) directGrants(c *call, pages grantPages) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, only, err := s.findReadable(c)
	if err != nil {
		return nil, err
	}
	return pagePermissions(c, pages, s.assignments(o, s.grantsFor(c, o), only))
}

// findReadable returns the securable of the path, and the id of the one principal in the query, 0 for all, or an error
// unless the caller may read these grants.
func (s *Server) findReadable(c *call) (o *object, only int64, err error) {
	if o, err = s.findTyped(c); err != nil {
		return nil, 0, err
	}
	name := c.req.URL.Query().Get("principal")
	if !managesGrants.is(c, o) && (name == "" || s.directory.spelled(name) != c.who.name) {
		return nil, 0, c.unauthorized("Only administrators or the owner of %s '%s' may read other users' permissions.", displayLabel(o.res.label), o.fullName())
	}
	if name == "" {
		return o, 0, nil
	}
	p, err := s.grantee(o, name)
	if err != nil {
		return nil, 0, err
	}
	return o, p.id, nil
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
	if p := s.directory.find(name); p != nil && !p.local() {
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
	if err == nil {
		err = c.checkChangesGrants(o)
	}
	return o, err
}

// checkChangesGrants returns an error unless the caller may change the grants on o.
func (c *call) checkChangesGrants(o *object) error {
	if managesGrants.is(c, o) {
		return nil
	}
	return c.unauthorized("User may not change permissions on %s '%s': this takes %s.", displayLabel(o.res.label), o.fullName(), managesGrants)
}

func (s *Server) patchPermissions(c *call) (any, error) {
	var body permissionsDiff
	if err := c.decodeBody(&body); err != nil {
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
	if err := s.changeGrants(c, o, *body.Changes); err != nil {
		return nil, err
	}
	if body.OmitPermissionsInResponse || body.OmitPermissionsList {
		return nil, nil
	}
	return pageOf("privilege_assignments", s.assignments(o, o.grants, 0), ""), nil
}

// changeGrants applies all changes, or returns an error and changes nothing.
func (s *Server) changeGrants(c *call, o *object, changes []permissionsChange) error {
	d, err := s.resolve(c, o, changes)
	if err != nil {
		return err
	}
	next := o.grants
	for _, id := range d.ids {
		next = next.with(id, s.privs.change(next.of(id), d.add[id], d.remove[id]))
	}
	o.setGrants(next)
	return nil
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
	if c.req.Method == http.MethodPut {
		add = add.minus(o.grants.of(p.id)) // what stays is not granted
	}
	if o.res.typ == typeShare && !add.empty() { // revoking does not need it
		if recipient := o.parent.list(typeRecipient).get(p.name); !c.may(toGrantTo, recipient) {
			return 0, c.unauthorized("User may not grant Share '%s' to Recipient '%s': this takes %s.", o.name, p.name, recipient.res.groundFor(toGrantTo))
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
	if err := c.decodeBody(&body); err != nil {
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

// decodeBody decodes the body, a JSON object. Fields that target does not have are ignored.
func (c *call) decodeBody(target any) error {
	if _, err := c.object(""); err != nil {
		return err
	}
	return decode(c.body, target)
}

// pageSizeOfGrants returns the page size of a permissions call, in privileges, not principals; 0 means all. A size of 1 to
// 149 is an error, because a page must hold at least one principal with all its privileges.
func (c *call) pageSizeOfGrants(pages grantPages) (int, error) {
	n, present, err := c.number(pages.size)
	switch {
	case err != nil:
		return 0, err
	case n > 0 && n < 150:
		return 0, invalid("%s must be 0 or at least 150, not %d.", pages.size, n)
	case n > 0:
		return min(n, c.srv.opts.MaxPageSize), nil
	case (present || pages.always) && c.srv.opts.PermissionPageSize == 0:
		return c.srv.opts.PageSize, nil
	}
	return c.srv.opts.PermissionPageSize, nil
}

// pagePermissions returns one page of whole assignments with at most as many privileges as the page size says, but at
// least one assignment.
func pagePermissions[T pageable](c *call, pages grantPages, list []T) (any, error) {
	size, err := c.pageSizeOfGrants(pages)
	if err != nil {
		return nil, err
	}
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
			return pageOf(pages.key, page[:i], c.encodeToken(tokenPlain, page[i-1].key())), nil
		}
	}
	return pageOf(pages.key, page, next), nil
}
