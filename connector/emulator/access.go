package emulator

import (
	"encoding/json"
)

// caller is the principal that makes a request, with the names and ids of itself and its groups.
type caller struct {
	name       string
	identities map[string]bool
	ids        []int64
}

// callerOf returns the caller of that name with its groups. s.mu must be held, here and below.
func (s *Server) callerOf(name string) *caller {
	if name == "" {
		return &caller{}
	}
	who := &caller{name: name, identities: s.directory.identities(name)}
	for name := range who.identities {
		if p := s.directory.byName[name]; p != nil {
			who.ids = append(who.ids, p.id)
		}
	}
	return who
}

// isAdmin reports whether the caller is a metastore admin of the metastore that o is in: its owner, or a member of the
// group that owns it.
func (c *call) isAdmin(o *object) bool {
	for o.parent != nil {
		o = o.parent
	}
	return c.who.identities[o.owner]
}

func (c *call) isAccountAdmin() bool {
	for name := range c.who.identities {
		if c.srv.accountAdmins[name] {
			return true
		}
	}
	return false
}

// holdsInherited reports whether the caller has one of the privileges on o or on a container of it.
func (c *call) holdsInherited(o *object, set privilegeSet) bool {
	for at := o; at != nil; at = at.container() {
		if !c.directPrivileges(at).overlap(set).empty() {
			return true
		}
	}
	return false
}

// directPrivileges returns the privileges that the caller and its groups have directly on o.
func (c *call) directPrivileges(o *object) privilegeSet {
	var set privilegeSet
	if len(o.grants) == 0 {
		return set
	}
	for _, id := range c.who.ids {
		set = set.union(o.grants.of(id))
	}
	return set
}

// implying returns the set of privileges any of which implies one of the list.
func (c *call) implying(list ...privilege) privilegeSet {
	var set privilegeSet
	for _, p := range list {
		set = set.union(c.srv.privs.implying(p))
	}
	return set
}

// ownsOrManages reports whether the caller owns o, or has MANAGE on it, which counts as ownership.
func (c *call) ownsOrManages(o *object) bool {
	return c.who.identities[o.owner] || c.holdsInherited(o, c.srv.privs.bit[manage])
}

// mayManage reports whether the caller may read and change all grants on o.
func (c *call) mayManage(o *object) bool {
	for at := o; at != nil; at = at.container() {
		if c.ownsOrManages(at) {
			return true
		}
	}
	return c.isAdmin(o)
}

// mayUseContainer reports whether the caller has USE_* on the container and the ones above it.
func (c *call) mayUseContainer(container *object) bool {
	if container.res.typ == typeMetastore || c.isAdmin(container) {
		return true
	}
	for at := container; at != nil; at = at.container() {
		use := useSchema
		if at.res.typ == typeCatalog {
			use = useCatalog
		}
		if !c.ownsOrManages(at) && !c.holdsInherited(at, c.implying(use)) {
			return false
		}
	}
	return true
}

// mayRead reports whether the caller may read o and see it in lists.
func (c *call) mayRead(o *object) bool {
	if c.isAdmin(o) || o.res.accountAdminsCreate && c.isAccountAdmin() {
		return true
	}
	if in := o.container(); in != nil && !c.mayUseContainer(in) {
		return false
	}
	switch {
	case c.ownsOrManages(o):
		return true
	case o.res.onlyOwnersRead:
		return false
	case o.res.readPrivileges == nil:
		return !c.directPrivileges(o).empty()
	}
	return c.holdsInherited(o, c.implying(o.res.readPrivileges...))
}

// mayCreate reports whether the caller may create an object of res in parent.
func (c *call) mayCreate(res *resource, parent *object) bool {
	if res.accountAdminsCreate {
		return c.isAccountAdmin()
	}
	if c.isAdmin(parent) {
		return true
	}
	if parent.res.typ == typeMetastore {
		return !c.directPrivileges(parent).overlap(c.implying(res.createPrivileges...)).empty()
	}
	return c.mayUseContainer(parent) && (c.ownsOrManages(parent) || c.holdsInherited(parent, c.implying(res.createPrivileges...)))
}

// mayUpdate returns an error unless the caller may update o with the given JSON object. Owners may change everything;
// a metastore admin may change the owner.
func (c *call) mayUpdate(o *object, body []byte, renamed bool) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return malformed("could not parse the request body: %v", err)
	}
	_, owner := fields["owner"]
	admin, owns := c.isAdmin(o), c.ownsOrManages(o)
	ownerOnly := owner && len(fields) == 1
	switch {
	case !owns && !(admin && ownerOnly):
		return denied("User is not an owner of %s '%s'.", displayLabel(o.res.label), o.fullName())
	case renamed && o.res.renameNeedsAdmin && !admin:
		return denied("Only a metastore admin who owns %s '%s' may rename it.", displayLabel(o.res.label), o.fullName())
	case renamed && o.res.typ == typeSchema && !c.mayCreate(o.res, o.parent):
		return denied("Renaming schema '%s' needs CREATE SCHEMA on its catalog.", o.fullName())
	}
	return nil
}

// mayDelete reports whether the caller may delete o: as owner of o or of a container, with USE_* on the containers above
// the owned one.
func (c *call) mayDelete(o *object) bool {
	if o.res.accountAdminsCreate && c.isAccountAdmin() {
		return true
	}
	for at := o; at != nil; at = at.container() {
		if c.ownsOrManages(at) {
			in := at.container()
			return in == nil || c.mayUseContainer(in)
		}
	}
	return false
}
