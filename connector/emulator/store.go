package emulator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ucwarden/policy"
)

// object is anything that can carry grants. The tree of objects is the whole store: a metastore contains catalogs and
// root objects, a catalog schemas, a schema tables, functions and volumes. All of it is guarded by Server.mu.
type object struct {
	res       *resource
	kind      policy.Kind
	name      string // its own, canonical; of a metastore the display name
	parent    *object
	id        int64
	owner     string
	comment   string
	createdAt int64 // epoch milliseconds
	updatedAt int64
	createdBy string
	updatedBy string
	detail    detail // the fields of its type; never changed once stored, only replaced
	grants    grantList
	history   []grantVersion // what grants were before, oldest first; feeds stale reads
	children  map[policy.SecurableType]*nameList
}

// grantVersion is what was granted until a moment.
type grantVersion struct {
	until  time.Time
	grants grantList
}

// Bounds of what is remembered for stale reads.
const (
	maxHistory = 32   // per object
	maxJournal = 4096 // objects created and deleted, in all
)

// listing records that an object appeared in or vanished from its parent's list.
type listing struct {
	at     time.Time
	parent *object
	object *object
	name   string
	added  bool
}

// uuid formats a number as an id that looks like the API's and is the same in every run.
func uuid(space uint16, n int64) string {
	return fmt.Sprintf("%08x-%04x-4000-8000-%012x", uint32(n>>48)^0x1f2e3d4c, space, uint64(n)&0xffffffffffff)
}

func (o *object) uuid() string {
	if m, ok := o.detail.(*metastoreDetail); ok {
		return m.id
	}
	return uuid(0x0c0f, o.id)
}

// fullName is the name of the object in paths: the dotted names of catalog, schema and object, the name of a root
// object, the id of a metastore.
func (o *object) fullName() string {
	switch o.res.typ {
	case policy.Metastore:
		return o.uuid()
	case policy.Schema:
		return o.parent.name + "." + o.name
	case policy.Table, policy.Function, policy.Volume:
		return o.parent.parent.name + "." + o.parent.name + "." + o.name
	}
	return o.name
}

func (o *object) securable() policy.Securable {
	return policy.Securable{Type: o.res.typ, FullName: o.fullName()}
}

// container gives the schema or catalog that o is in, nil for objects directly in the metastore.
func (o *object) container() *object {
	if o.parent == nil || o.parent.res.typ == policy.Metastore {
		return nil
	}
	return o.parent
}

func (o *object) list(t policy.SecurableType) *nameList { return o.children[t] }

// put inserts a child into the list of its type.
func (o *object) put(child *object) {
	list := o.children[child.res.typ]
	if list == nil {
		if o.children == nil {
			o.children = make(map[policy.SecurableType]*nameList)
		}
		list = &nameList{}
		o.children[child.res.typ] = list
	}
	list.insert(child)
}

func (o *object) empty() bool {
	for _, list := range o.children {
		if list.len() > 0 {
			return false
		}
	}
	return true
}

// attach puts a new object under its parent and remembers the moment.
func (s *Server) attach(o *object) {
	o.parent.put(o)
	s.note(o, true)
}

// detach takes an object, and with it all that is inside, out of its parent.
func (s *Server) detach(o *object) {
	o.parent.list(o.res.typ).remove(o.name)
	s.note(o, false)
}

func (s *Server) note(o *object, added bool) {
	if len(s.journal) >= maxJournal {
		s.journal = append(s.journal[:0], s.journal[maxJournal/2:]...)
	}
	s.journal = append(s.journal, listing{time.Now(), o.parent, o, o.name, added})
}

// setGrants stores a new state of the grants and keeps the old one for stale reads.
func (o *object) setGrants(next grantList) {
	if slices.Equal(o.grants, next) {
		return
	}
	if len(o.history) >= maxHistory {
		o.history = append(o.history[:0], o.history[1:]...)
	}
	o.history = append(o.history, grantVersion{time.Now(), o.grants})
	o.grants = next
}

// metastore gives the metastore assigned to the workspace.
func (s *Server) metastore() (*object, error) {
	if m := s.metastores[s.assignment.MetastoreID]; m != nil {
		return m, nil
	}
	return nil, &apiError{status: 404, code: "METASTORE_DOES_NOT_EXIST", message: "No metastore assigned for the current workspace."}
}

// find looks an object up by type and full name as written in a path: any case, not yet checked. The error names the
// outermost missing part.
func (s *Server) find(res *resource, fullName string) (*object, error) {
	if res.typ == policy.Metastore {
		if m := s.metastores[strings.ToLower(fullName)]; m != nil {
			return m, nil
		}
		return nil, notFound(res.label, fullName)
	}
	at, err := s.metastore()
	if err != nil {
		return nil, err
	}
	parts := []string{fullName}
	if res.typ.Depth() > 1 {
		if parts = strings.Split(fullName, "."); len(parts) != res.typ.Depth() {
			return nil, invalid("'%s' is not a full name of a %s: want %d names joined by dots.",
				fullName, strings.ToLower(sentence(res.label)), res.typ.Depth())
		}
	}
	for i, part := range parts {
		name, err := checkName(part)
		if err != nil {
			return nil, err
		}
		step := res
		if i < len(parts)-1 {
			step = s.steps[i]
		}
		next := at.list(step.typ).get(name)
		if next == nil || (step == res && !res.covers(next)) {
			return nil, notFound(step.label, policy.CanonicalName(strings.Join(parts[:i+1], ".")))
		}
		at = next
	}
	return at, nil
}

// nowMillis is the time as the API writes it.
func nowMillis() int64 { return time.Now().UnixMilli() }
