package emulator

import (
	"encoding/json"
	"slices"
)

// resource describes one collection of the API: its path, its objects, their fields, and who may do what with them. The
// handlers below serve every collection by its description.
type resource struct {
	path    string // below the API's prefix, also the JSON key of lists where listKey is empty
	listKey string
	label   string // in error codes: LABEL_DOES_NOT_EXIST; the key of authorization
	typ     securableType
	kind    objectKind // only objects of this kind, when byKind
	byKind  bool       // the type's list holds several kinds (functions and models)
	wrapper string     // key under which a create body nests the object, "" for none
	parent  securableType
	fields  fields
	rules   rules // authorization[label]

	newDetail func() detail
	// inUse returns why an object may not be deleted without force, "" when it may; nil stands for "it is not empty".
	inUse func(s *Server, o *object) string
	// list serves the collection instead of listIn.
	list func(s *Server, res *resource) handlerFunc
	// view is how get and list render an object when the query asks for a part of it; nil renders all.
	view func(c *call) (func(o *object) any, error)
}

// includes reports whether an object in the list of the resource's type belongs to the resource.
func (r *resource) includes(o *object) bool { return !r.byKind || o.kind == r.kind }

func (r *resource) key() string {
	if r.listKey != "" {
		return r.listKey
	}
	return r.path
}

// detail is the part of an object that differs by type. A stored detail is immutable. Fields that are input only are
// cleared once they are read, and so absent in a stored one.
type detail interface {
	// clone copies the detail deeply enough for a JSON body to be decoded into the copy.
	clone() detail
	// prepare checks the detail of o and sets what the server sets. old is nil for a new object.
	prepare(c *call, o *object, old detail) error
	// render returns the JSON form of the object.
	render(h commonFields) any
}

// commonFields are the JSON fields that most objects have in common.
type commonFields struct {
	Name          string        `json:"name,omitempty"`
	CatalogName   string        `json:"catalog_name,omitempty"`
	SchemaName    string        `json:"schema_name,omitempty"`
	FullName      string        `json:"full_name,omitempty"`
	Owner         string        `json:"owner,omitempty"`
	Comment       string        `json:"comment,omitempty"`
	MetastoreID   string        `json:"metastore_id,omitempty"`
	SecurableType securableType `json:"securable_type,omitempty"`
	CreatedAt     int64         `json:"created_at,omitempty"`
	CreatedBy     string        `json:"created_by,omitempty"`
	UpdatedAt     int64         `json:"updated_at,omitempty"`
	UpdatedBy     string        `json:"updated_by,omitempty"`

	o *object
}

func (s *Server) commonFields(o *object) commonFields {
	h := commonFields{
		Name: o.name, FullName: o.fullName(), Owner: o.owner, Comment: o.comment, SecurableType: o.res.typ, MetastoreID: o.top().uuid(),
		CreatedAt: o.createdAt, CreatedBy: o.createdBy, UpdatedAt: o.updatedAt, UpdatedBy: o.updatedBy, o: o,
	}
	switch o.res.typ.depth() {
	case 2:
		h.CatalogName = o.parent.name
	case 3:
		h.CatalogName, h.SchemaName = o.parent.parent.name, o.parent.name
	}
	return h
}

func (s *Server) render(o *object) any { return o.detail.render(s.commonFields(o)) }

// viewFor returns how the call's answer renders objects.
func (s *Server) viewFor(c *call, res *resource) (func(o *object) any, error) {
	var err error
	if c.browse, err = c.flag("include_browse"); err != nil {
		return nil, err
	}
	view := s.render
	if res.view != nil {
		if view, err = res.view(c); err != nil {
			return nil, err
		}
	}
	if !c.browse {
		return view, nil
	}
	return func(o *object) any {
		if c.browsesOnly(toRead, o) {
			return withField{s.renderBrowsed(o), "browse_only", true}
		}
		return view(o)
	}, nil
}

// renderBrowsed returns the JSON form of an object for who may only browse it: without what protects it and how it is made.
func (s *Server) renderBrowsed(o *object) any {
	d := o.detail
	if t, ok := d.(*tableDetail); ok {
		browsed := *t
		browsed.RowFilter, browsed.ViewDefinition = nil, ""
		browsed.Columns = slices.Clone(t.Columns)
		for i := range browsed.Columns {
			browsed.Columns[i].Mask = nil
		}
		d = &browsed
	}
	return d.render(s.commonFields(o))
}

// input holds the fields that create and update read for every type.
type input struct {
	Name        *string `json:"name"`
	NewName     *string `json:"new_name"`
	CatalogName string  `json:"catalog_name"`
	SchemaName  string  `json:"schema_name"`
	Owner       *string `json:"owner"`
	Comment     *string `json:"comment"`
}

// parentOf returns the container of a new object.
func (s *Server) parentOf(res *resource, catalogName, schemaName string) (*object, error) {
	switch res.parent {
	case typeCatalog, typeSchema:
		if catalogName == "" {
			return nil, invalid("catalog_name is required.")
		}
		if res.parent == typeCatalog {
			return s.find(s.catalogResource, catalogName)
		}
		if schemaName == "" {
			return nil, invalid("schema_name is required.")
		}
		if _, err := s.find(s.catalogResource, catalogName); err != nil {
			return nil, err
		}
		return s.find(s.schemaResource, catalogName+"."+schemaName)
	}
	return s.metastore()
}

// readNew decodes the body of a create into in and a new detail, and returns the name of the object.
func (c *call) readNew(res *resource, in *input) (name string, d detail, err error) {
	body, err := c.object(res.wrapper)
	if err != nil {
		return "", nil, err
	}
	picked, err := res.fields.pick(body, false)
	if err != nil {
		return "", nil, err
	}
	d = res.newDetail()
	if err := decode(picked, in, d); err != nil {
		return "", nil, err
	}
	name, err = checkName(*in.Name) // required of every type
	return name, d, err
}

func (s *Server) create(res *resource) handlerFunc {
	return func(c *call) (any, error) {
		var in input
		name, d, err := c.readNew(res, &in)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		parent, err := s.parentOf(res, in.CatalogName, in.SchemaName)
		if err != nil {
			return nil, err
		}
		if err := c.checkIn(toCreate, res, parent); err != nil {
			return nil, err
		}
		return s.createIn(c, res, parent, name, d, in.Comment)
	}
}

// createIn adds an object to a container. s.mu must be held.
func (s *Server) createIn(c *call, res *resource, parent *object, name string, d detail, comment *string) (any, error) {
	if other := namesake(parent, res.typ, name); other != nil {
		return nil, alreadyExists(other.res.label, other.fullName())
	}
	o := s.newObject(res, parent, name, c.who.name)
	if comment != nil {
		o.comment = *comment
	}
	if err := d.prepare(c, o, nil); err != nil {
		return nil, err
	}
	o.detail = d
	s.attach(o)
	return s.render(o), nil
}

// newObject returns an object that is not yet attached to its parent.
func (s *Server) newObject(res *resource, parent *object, name, owner string) *object {
	s.lastID++
	now := s.nowMillis()
	return &object{res: res, kind: res.kind, name: name, parent: parent, id: s.lastID, owner: owner,
		createdAt: now, updatedAt: now, createdBy: owner, updatedBy: owner}
}

func (s *Server) get(res *resource) handlerFunc {
	return func(c *call) (any, error) {
		view, err := s.viewFor(c, res)
		if err != nil {
			return nil, err
		}
		s.mu.RLock()
		defer s.mu.RUnlock()
		o, err := s.find(res, c.req.PathValue("name"))
		if err != nil {
			return nil, err
		}
		if err := c.check(toRead, o); err != nil {
			return nil, err
		}
		return view(o), nil
	}
}

func (s *Server) update(res *resource) handlerFunc {
	return func(c *call) (any, error) {
		body, err := c.object("")
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		o, err := s.find(res, c.req.PathValue("name"))
		if err != nil {
			return nil, err
		}
		return s.updateObject(c, o, body)
	}
}

// updateObject changes the fields of o that are in the body. It works on a copy, so that a refused update changes nothing.
func (s *Server) updateObject(c *call, o *object, body map[string]json.RawMessage) (any, error) {
	var in input
	next := o.detail.clone()
	picked, err := o.res.fields.pick(body, true)
	if err == nil {
		err = decode(picked, &in, next)
	}
	name := o.name
	if wanted := in.wantedName(); err == nil && wanted != nil {
		name, err = checkName(*wanted)
	}
	if denied := c.checkUpdate(o, body, err == nil && name != o.name); denied != nil {
		return nil, denied // who may not, is not told what is wrong with the body
	}
	if err != nil {
		return nil, err
	}
	if name != o.name && s.nameTaken(o, name) {
		return nil, alreadyExists(o.res.label, name)
	}
	changed := *o
	if in.Owner != nil {
		owner, err := s.newOwner(*in.Owner)
		if err != nil {
			return nil, err
		}
		changed.owner = owner.name
	}
	if in.Comment != nil {
		changed.comment = *in.Comment
	}
	changed.updatedAt, changed.updatedBy = s.nowMillis(), c.who.name
	if err := next.prepare(c, &changed, o.detail); err != nil {
		return nil, err
	}
	o.owner, o.comment, o.updatedAt, o.updatedBy, o.detail = changed.owner, changed.comment, changed.updatedAt, changed.updatedBy, next
	if name != o.name {
		s.rename(o, name)
	}
	return s.render(o), nil
}

// newOwner returns the principal of that name, who may own objects: not one of the workspace alone.
func (s *Server) newOwner(name string) (*principal, error) {
	if name == "" {
		return nil, invalid("owner must not be empty.")
	}
	p := s.directory.find(name)
	if p == nil || p.local() {
		return nil, principalNotFound(name)
	}
	return p, nil
}

// namesake returns the object in parent that has the name, among those of the type and of types that share its names.
func namesake(parent *object, t securableType, name string) *object {
	other := parent.list(t).get(name)
	switch {
	case other == nil && t == typeStorageCredential:
		other = parent.list(typeCredential).get(name)
	case other == nil && t == typeCredential:
		other = parent.list(typeStorageCredential).get(name)
	}
	return other
}

func (s *Server) nameTaken(o *object, name string) bool {
	if o.parent != nil {
		return namesake(o.parent, o.res.typ, name) != nil
	}
	for _, m := range s.metastores {
		if m.name == name {
			return true
		}
	}
	return false
}

func (in input) wantedName() *string {
	if in.NewName != nil && *in.NewName != "" {
		return in.NewName
	}
	return in.Name
}

// rename changes the name of o. The full names of what is inside change with it, and what refers to o shows the new name,
// because both are computed; see followRename.
func (s *Server) rename(o *object, name string) {
	if o.parent == nil {
		o.name = name
		return
	}
	from := o.fullName()
	s.detach(o)
	o.name = name
	s.attach(o)
	s.followRename(o, from)
	if o.res.typ == typeRecipient {
		s.directory.byID[o.detail.(*recipientDetail).grantee].name = name
	}
}

func (s *Server) remove(res *resource) handlerFunc {
	return func(c *call) (any, error) {
		force, err := c.force()
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		o, err := s.find(res, c.req.PathValue("name"))
		if err != nil {
			return nil, err
		}
		if err := c.check(toDelete, o); err != nil {
			return nil, err
		}
		if reason := s.inUse(o); reason != "" && !force {
			return nil, invalidState("Cannot delete %s '%s': %s.", displayLabel(res.label), o.fullName(), reason)
		}
		s.delete(o)
		return nil, nil
	}
}

func (s *Server) inUse(o *object) string {
	switch {
	case o.res.inUse != nil:
		return o.res.inUse(s, o)
	case !o.empty():
		return "it is not empty"
	}
	return ""
}

// delete deletes o with everything in it.
func (s *Server) delete(o *object) {
	if o.parent == nil {
		delete(s.metastores, o.uuid())
		if s.assignment.MetastoreID == o.uuid() {
			s.assignment.MetastoreID = ""
		}
		return
	}
	s.detach(o)
	if r, ok := o.detail.(*recipientDetail); ok {
		s.removeRecipientGrants(o.parent, r.grantee)
	}
}

// force returns the option of deletes, which is in the query or in the body.
func (c *call) force() (bool, error) {
	var body struct {
		Force bool `json:"force"`
	}
	if err := c.deleteOptions(&body); err != nil {
		return false, err
	}
	force, err := c.flag("force")
	return force || body.Force, err
}

// deleteOptions decodes the body of a DELETE, which may be absent.
func (c *call) deleteOptions(target any) error {
	if len(c.body) == 0 {
		return nil
	}
	if _, err := jsonObject(c.body); err != nil {
		return err
	}
	return decode(c.body, target)
}
