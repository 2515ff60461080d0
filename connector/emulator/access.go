package emulator

import (
	"encoding/json"

	"ucwarden/policy"
)

// caller is who makes a request: the names and ids it acts under, its groups' included.
type caller struct {
	name  string
	names map[string]bool
	ids   []int64
}

// callerNamed resolves a principal's groups. The lock must be held.
func (s *Server) callerNamed(name string) *caller {
	if name == "" {
		return &caller{}
	}
	who := &caller{name: name, names: s.directory.identities(name)}
	for name := range who.names {
		if p := s.directory.byName[name]; p != nil {
			who.ids = append(who.ids, p.id)
		}
	}
	return who
}

// isAdmin reports whether the caller is metastore admin of the metastore that o is in: its owner, or in the group
// that is. The lock must be held, here and below.
func (c *call) isAdmin(o *object) bool {
	for o.parent != nil {
		o = o.parent
	}
	return c.who.names[o.owner]
}

func (c *call) isAccountAdmin() bool {
	for name := range c.who.names {
		if c.srv.accountAdmins[name] {
			return true
		}
	}
	return false
}

// holds reports whether one of the privileges was granted to the caller on o or on a container of it.
func (c *call) holds(o *object, set privSet) bool {
	for at := o; at != nil; at = at.container() {
		if c.granted(at)&set != 0 {
			return true
		}
	}
	return false
}

// granted is what the caller and its groups hold directly on o.
func (c *call) granted(o *object) privSet {
	var set privSet
	if len(o.grants) == 0 {
		return 0
	}
	for _, id := range c.who.ids {
		set |= o.grants.of(id)
	}
	return set
}

func (c *call) conferring(list ...policy.Privilege) privSet {
	var set privSet
	for _, p := range list {
		set |= c.srv.privs.conferring(p)
	}
	return set
}

// owns reports whether the caller owns o, or holds MANAGE, which stands for ownership.
func (c *call) owns(o *object) bool {
	return c.who.names[o.owner] || c.holds(o, c.srv.privs.bit[policy.Manage])
}

// mayManage reports whether the caller may read and change all grants on o.
func (c *call) mayManage(o *object) bool {
	for at := o; at != nil; at = at.container() {
		if c.owns(at) {
			return true
		}
	}
	return c.isAdmin(o)
}

// mayEnter reports whether the caller may use the container, and the ones above it.
func (c *call) mayEnter(container *object) bool {
	if container.res.typ == policy.Metastore || c.isAdmin(container) {
		return true
	}
	for at := container; at != nil; at = at.container() {
		use := policy.UseSchema
		if at.res.typ == policy.Catalog {
			use = policy.UseCatalog
		}
		if !c.owns(at) && !c.holds(at, c.conferring(use)) {
			return false
		}
	}
	return true
}

// mayRead reports whether the caller may get o and see it in lists.
func (c *call) mayRead(o *object) bool {
	if c.isAdmin(o) || o.res.accountCreate && c.isAccountAdmin() {
		return true
	}
	if in := o.container(); in != nil && !c.mayEnter(in) {
		return false
	}
	switch {
	case c.owns(o):
		return true
	case o.res.ownersRead:
		return false
	case o.res.readers == nil:
		return c.granted(o) != 0
	}
	return c.holds(o, c.conferring(o.res.readers...))
}

func (c *call) mayCreate(res *resource, parent *object) bool {
	if res.accountCreate {
		return c.isAccountAdmin()
	}
	if c.isAdmin(parent) {
		return true
	}
	if parent.res.typ == policy.Metastore {
		return c.granted(parent)&c.conferring(res.creators...) != 0
	}
	return c.mayEnter(parent) && (c.owns(parent) || c.holds(parent, c.conferring(res.creators...)))
}

// mayUpdate checks an update of o with the given JSON object. Owners may change everything; the owner field may also
// be changed by a metastore admin.
func (c *call) mayUpdate(o *object, body []byte, renamed bool) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return malformed("could not parse the request body: %v", err)
	}
	_, owner := fields["owner"]
	admin, owns := c.isAdmin(o), c.owns(o)
	ownerOnly := owner && len(fields) == 1
	switch {
	case !owns && !(admin && ownerOnly):
		return denied("User is not an owner of %s '%s'.", sentence(o.res.label), o.fullName())
	case renamed && o.res.renameByAdmin && !admin:
		return denied("Only a metastore admin who owns %s '%s' may rename it.", sentence(o.res.label), o.fullName())
	case renamed && o.res.typ == policy.Schema && !c.mayCreate(o.res, o.parent):
		return denied("Renaming schema '%s' needs CREATE SCHEMA on its catalog.", o.fullName())
	}
	return nil
}

// mayDelete: the owner, or the owner of a container; whoever is not owner of the catalog needs USE on the way.
func (c *call) mayDelete(o *object) bool {
	if o.res.accountCreate && c.isAccountAdmin() {
		return true
	}
	for at := o; at != nil; at = at.container() {
		if c.owns(at) {
			in := at.container()
			return in == nil || c.mayEnter(in)
		}
	}
	return false
}
