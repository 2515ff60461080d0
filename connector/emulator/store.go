package emulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// object is a securable. The tree of objects is the whole state: a metastore contains catalogs and root objects, a
// catalog contains schemas, a schema contains tables, functions and volumes. All of it is guarded by Server.mu.
type object struct {
	res       *resource
	kind      objectKind
	name      string // canonical, without those of its containers; of a metastore the display name
	parent    *object
	id        int64
	owner     string
	comment   string
	createdAt int64 // epoch milliseconds
	updatedAt int64
	createdBy string
	updatedBy string
	detail    detail // the fields of its type; replaced, never changed
	grants    grantList
	tags      tagLists
	policies  map[string]*abacPolicy // by name
	bindings  map[int64]string       // types of the bindings to workspaces, by id; nil until they are changed
	history   []grantVersion         // earlier grants, oldest first, for stale reads
	children  map[securableType]*nameList
}

// grantVersion is the state of the grants until a time.
type grantVersion struct {
	until  time.Time
	grants grantList
}

// Bounds of the history for stale reads.
const (
	maxHistory = 32   // per object
	maxJournal = 4096 // objects created and deleted, in all
)

// listChange records that an object was added to or removed from its parent's list.
type listChange struct {
	at     time.Time
	parent *object
	object *object
	name   string
	added  bool
}

// uuid returns a number formatted like an id of the API; it is the same in every run. As those of the API do, ids differ in their first
// digits already.
func uuid(space uint16, n int64) string {
	const odd = 0x9e3779b1 // times which no two numbers are the same
	return fmt.Sprintf("%08x-%04x-4000-8000-%012x", uint32(n)*odd^uint32(n>>48)^0x1f2e3d4c, space, uint64(n)&0xffffffffffff)
}

func (o *object) uuid() string {
	if m, ok := o.detail.(*metastoreDetail); ok {
		return m.id
	}
	return uuid(0x0c0f, o.id)
}

// fullName returns the name of the object in paths: the names of catalog, schema and object joined by dots, the name of
// a root object, the id of a metastore.
func (o *object) fullName() string {
	switch o.res.typ {
	case typeMetastore:
		return o.uuid()
	case typeSchema:
		return o.parent.name + "." + o.name
	case typeTable, typeFunction, typeVolume:
		return o.parent.parent.name + "." + o.parent.name + "." + o.name
	}
	return o.name
}

// top returns the metastore that o is in.
func (o *object) top() *object {
	for o.parent != nil {
		o = o.parent
	}
	return o
}

// container returns the schema or catalog that o is in, nil for objects directly in the metastore.
func (o *object) container() *object {
	if o.parent == nil || o.parent.res.typ == typeMetastore {
		return nil
	}
	return o.parent
}

func (o *object) list(t securableType) *nameList { return o.children[t] }

// put inserts a child into the list of its type.
func (o *object) put(child *object) {
	list := o.children[child.res.typ]
	if list == nil {
		if o.children == nil {
			o.children = make(map[securableType]*nameList)
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

// detached reports whether o, or what it is in, was deleted.
func detached(o *object) bool {
	for ; o.parent != nil; o = o.parent {
		if o.parent.list(o.res.typ).get(o.name) != o {
			return true
		}
	}
	return false
}

// attach adds an object to its parent and records that.
func (s *Server) attach(o *object) {
	o.parent.put(o)
	s.record(o, true)
}

// detach removes an object, with everything in it, from its parent and records that.
func (s *Server) detach(o *object) {
	o.parent.list(o.res.typ).remove(o.name)
	s.record(o, false)
}

func (s *Server) record(o *object, added bool) {
	if len(s.journal) >= maxJournal {
		s.journal = append(s.journal[:0], s.journal[maxJournal/2:]...)
	}
	s.journal = append(s.journal, listChange{time.Now(), o.parent, o, o.name, added})
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

// metastore returns the metastore assigned to the workspace.
func (s *Server) metastore() (*object, error) {
	if m := s.metastores[s.assignment.MetastoreID]; m != nil {
		return m, nil
	}
	return nil, &apiError{status: 404, code: "METASTORE_DOES_NOT_EXIST", message: "No metastore assigned for the current workspace."}
}

// find returns the object of the resource with the full name, which is unchecked and in any case. The error names the
// outermost missing part.
func (s *Server) find(res *resource, fullName string) (*object, error) {
	if res.typ == typeMetastore {
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
	if res.typ.depth() > 1 {
		if parts = strings.Split(fullName, "."); len(parts) != res.typ.depth() {
			return nil, invalid("'%s' is not a full name of a %s: want %d names joined by dots.",
				fullName, strings.ToLower(displayLabel(res.label)), res.typ.depth())
		}
	}
	for i, part := range parts {
		if parts[i], err = checkName(part); err != nil {
			return nil, err
		}
	}
	for i, name := range parts {
		step := res
		if i < len(parts)-1 {
			step = s.containerTypes[i]
		}
		next := at.list(step.typ).get(name)
		if next == nil || (step == res && !res.includes(next)) {
			return nil, notFound(step.label, strings.Join(parts[:i+1], "."))
		}
		at = next
	}
	return at, nil
}

// now returns the time by which objects are dated.
func (s *Server) now() time.Time {
	if at := s.changes.at.Load(); at != nil {
		return *at
	}
	return s.clock()
}

// nowMillis returns the time in the API's form: milliseconds since 1970.
func (s *Server) nowMillis() int64 { return s.now().UnixMilli() }
