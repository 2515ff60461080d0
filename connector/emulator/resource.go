package emulator

import (
	"iter"
	"net/http"
)

// resource describes one collection of the API: its path, its objects, and who may do what with them. The handlers below
// serve every collection by its description.
type resource struct {
	path             string // below the API's prefix, also the JSON key of lists where listKey is empty
	listKey          string
	label            string // in error codes: LABEL_DOES_NOT_EXIST
	typ              securableType
	kind             objectKind // only objects of this kind, when exact
	byKind           bool       // the type's list holds several kinds (functions and models)
	wrapper          string     // key under which a create body nests the object, "" for none
	createPrivileges []privilege
	// readPrivileges are the privileges any of which allows to read the object; nil means any privilege on it.
	readPrivileges      []privilege
	onlyOwnersRead      bool // only admins and owners read
	accountAdminsCreate bool // only account admins create
	parent              securableType
	renameNeedsAdmin    bool // a rename also needs a metastore admin
	customList          bool // registerLists serves the collection
	newDetail           func() detail
}

// includes reports whether an object in the list of the resource's type belongs to the resource.
func (r *resource) includes(o *object) bool { return !r.byKind || o.kind == r.kind }

func (r *resource) key() string {
	if r.listKey != "" {
		return r.listKey
	}
	return r.path
}

// detail is the part of an object that differs by type. A stored detail is immutable.
type detail interface {
	// clone copies the detail deeply enough for a JSON body to be decoded into the copy.
	clone() detail
	// prepare checks the detail of o, sets what the server sets, and restores what an update may not change. old is nil
	// for a new object.
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

	uuid string // rendered as a field whose name differs by type
}

func (s *Server) commonFields(o *object) commonFields {
	h := commonFields{
		Name: o.name, FullName: o.fullName(), Owner: o.owner, Comment: o.comment, SecurableType: o.res.typ,
		CreatedAt: o.createdAt, CreatedBy: o.createdBy, UpdatedAt: o.updatedAt, UpdatedBy: o.updatedBy, uuid: o.uuid(),
	}
	switch top := o; o.res.typ {
	case typeMetastore:
		h.MetastoreID = h.uuid
	default:
		for top.parent != nil {
			top = top.parent
		}
		h.MetastoreID = top.uuid()
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

func (s *Server) create(res *resource) handlerFunc {
	return func(c *call) (any, error) {
		body, err := c.object(res.wrapper)
		if err != nil {
			return nil, err
		}
		var in input
		d := res.newDetail()
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
		parent, err := s.parentOf(res, in.CatalogName, in.SchemaName)
		if err != nil {
			return nil, err
		}
		if !c.mayCreate(res, parent) {
			return nil, denied("User does not have permission to create a %s in %s '%s'.",
				displayLabel(res.label), displayLabel(parent.res.label), parent.name)
		}
		if other := parent.list(res.typ).get(name); other != nil {
			return nil, alreadyExists(other.res.label, other.fullName())
		}
		o := s.newObject(res, parent, name, c.who.name)
		if in.Comment != nil {
			o.comment = *in.Comment
		}
		if err := d.prepare(c, o, nil); err != nil {
			return nil, err
		}
		o.detail = d
		s.attach(o)
		return s.render(o), nil
	}
}

// newObject returns an object that is not yet attached to its parent.
func (s *Server) newObject(res *resource, parent *object, name, owner string) *object {
	s.lastID++
	now := nowMillis()
	return &object{res: res, kind: res.kind, name: name, parent: parent, id: s.lastID, owner: owner,
		createdAt: now, updatedAt: now, createdBy: owner, updatedBy: owner}
}

func (s *Server) get(res *resource) handlerFunc {
	return func(c *call) (any, error) {
		s.mu.RLock()
		defer s.mu.RUnlock()
		o, err := s.find(res, c.req.PathValue("name"))
		if err != nil {
			return nil, err
		}
		if !c.mayRead(o) {
			return nil, denied("User does not have access to %s '%s'.", displayLabel(res.label), o.fullName())
		}
		return s.render(o), nil
	}
}

// listIn returns the handler that lists a collection in the container that the query names.
func (s *Server) listIn(res *resource) handlerFunc {
	return func(c *call) (any, error) {
		query := c.req.URL.Query()
		s.mu.RLock()
		defer s.mu.RUnlock()
		parent, err := s.parentOf(res, query.Get("catalog_name"), query.Get("schema_name"))
		if err != nil {
			return nil, err
		}
		if !c.mayUseContainer(parent) {
			return nil, denied("User does not have access to %s '%s'.", displayLabel(parent.res.label), parent.name)
		}
		return listObjects(c, res.key(), func(after string) iter.Seq2[string, *object] {
			return s.visible(c, res, parent, after)
		})
	}
}

// visible ranges over the objects of res in parent that the caller may see, by name.
func (s *Server) visible(c *call, res *resource, parent *object, after string) iter.Seq2[string, *object] {
	return func(yield func(string, *object) bool) {
		for o := range s.children(c, parent, res.typ, after) {
			if res.includes(o) && c.mayRead(o) && !yield(o.name, o) {
				return
			}
		}
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

func (s *Server) updateObject(c *call, o *object, body []byte) (any, error) {
	var in input
	next := o.detail.clone()
	if err := decode(body, &in, next); err != nil {
		return nil, err
	}
	name := o.name
	if wanted := in.wantedName(); wanted != nil {
		var err error
		if name, err = checkName(*wanted); err != nil {
			return nil, err
		}
	}
	if in.Owner != nil {
		owner := s.directory.find(*in.Owner)
		if owner == nil {
			return nil, principalNotFound(*in.Owner)
		}
		in.Owner = &owner.name
	}
	if err := c.mayUpdate(o, body, name != o.name); err != nil {
		return nil, err
	}
	if name != o.name && o.parent != nil && o.parent.list(o.res.typ).get(name) != nil {
		return nil, alreadyExists(o.res.label, name)
	}
	changed := *o // a copy, so that a rejected update changes nothing
	if in.Owner != nil {
		changed.owner = *in.Owner
	}
	if in.Comment != nil {
		changed.comment = *in.Comment
	}
	changed.updatedAt, changed.updatedBy = nowMillis(), c.who.name
	if err := next.prepare(c, &changed, o.detail); err != nil {
		return nil, err
	}
	o.owner, o.comment, o.updatedAt, o.updatedBy, o.detail = changed.owner, changed.comment, changed.updatedAt, changed.updatedBy, next
	if name != o.name {
		s.rename(o, name)
	}
	return s.render(o), nil
}

func (in input) wantedName() *string {
	if in.NewName != nil && *in.NewName != "" {
		return in.NewName
	}
	return in.Name
}

// rename changes the name of o. The full names of what is inside change with it, because they are computed.
func (s *Server) rename(o *object, name string) {
	if o.parent == nil {
		o.name = name
		return
	}
	s.detach(o)
	o.name = name
	s.attach(o)
	if o.res.typ == typeRecipient {
		s.directory.byID[o.detail.(*recipientDetail).grantee].name = name
	}
}

func (s *Server) remove(res *resource) handlerFunc {
	return func(c *call) (any, error) {
		force, err := c.flag("force")
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		o, err := s.find(res, c.req.PathValue("name"))
		if err != nil {
			return nil, err
		}
		if !c.mayDelete(o) {
			return nil, denied("User is not an owner of %s '%s'.", displayLabel(res.label), o.fullName())
		}
		if !force {
			if reason := s.inUse(o); reason != "" {
				return nil, invalidState("Cannot delete %s '%s': %s.", displayLabel(res.label), o.fullName(), reason)
			}
		}
		s.detach(o)
		if r, ok := o.detail.(*recipientDetail); ok {
			s.removeRecipientGrants(o.parent, r.grantee)
		}
		return nil, nil
	}
}

// inUse returns why o may not be deleted without force, "" when it may.
func (s *Server) inUse(o *object) string {
	if !o.empty() {
		return "it is not empty"
	}
	if o.res.typ == typeStorageCredential {
		for location := range o.parent.list(typeExternalLocation).after("") {
			if location.detail.(*locationDetail).CredentialName == o.name {
				return "external location '" + location.name + "' uses it"
			}
		}
	}
	return ""
}

// routes registers the handlers of a resource.
func (s *Server) routes(res *resource) {
	base := prefix + "/" + res.path
	s.route("POST "+base, s.create(res))
	if !res.customList {
		s.route("GET "+base, s.listIn(res))
	}
	s.route("GET "+base+"/{name}", s.get(res))
	s.route("PATCH "+base+"/{name}", s.update(res))
	s.route("DELETE "+base+"/{name}", s.remove(res))
}

var _ http.Handler = (*Server)(nil)
