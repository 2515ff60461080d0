package policy

import "strings"

// Inventory is the tree of objects that policies are compiled for. It may be a whole metastore, one catalog, or one
// table with its lineage: what is compiled for an object does not depend on what else is in the inventory, except
// that USE_* privileges follow from the objects below.
type Inventory struct {
	Roots    []Object // root objects and catalogs, in the order of their first mention
	rootAt   map[Securable]int
	Children map[string][]Object // by full name of the catalog or schema
	schemaAt map[string]int      // position of a schema in its catalog's children
	size     int

	lastParent string // of the previous Add: objects usually arrive schema by schema
}

// NewInventory makes an inventory of the objects. Containers that are not listed themselves are added.
func NewInventory(objects ...Object) *Inventory {
	inv := &Inventory{}
	for _, o := range objects {
		inv.Add(o)
	}
	return inv
}

// Add puts an object, and the containers it lies in, into the inventory. The same table, function or volume must not
// be added twice; a container may.
func (inv *Inventory) Add(o Object) {
	if inv.Children == nil {
		inv.rootAt = make(map[Securable]int)
		inv.Children = make(map[string][]Object)
		inv.schemaAt = make(map[string]int)
	}
	switch o.Type {
	case Schema:
		inv.addSchema(o)
	case Table, Function, Volume:
		parent := o.FullName[:strings.LastIndexByte(o.FullName, '.')]
		if parent != inv.lastParent {
			if _, ok := inv.schemaAt[parent]; !ok {
				inv.addSchema(Object{Securable: Securable{Schema, parent}})
			}
			inv.lastParent = parent
		}
		inv.Children[parent] = append(inv.Children[parent], o)
		inv.size++
	default:
		inv.addRoot(o)
	}
}

func (inv *Inventory) addRoot(o Object) {
	if i, ok := inv.rootAt[o.Securable]; ok {
		inv.Roots[i] = o
		return
	}
	inv.rootAt[o.Securable] = len(inv.Roots)
	inv.Roots = append(inv.Roots, o)
	inv.size++
}

func (inv *Inventory) addSchema(o Object) {
	catalog := o.FullName[:strings.IndexByte(o.FullName, '.')]
	if i, ok := inv.schemaAt[o.FullName]; ok {
		inv.Children[catalog][i] = o
		return
	}
	if c := (Securable{Catalog, catalog}); inv.rootAt != nil {
		if _, ok := inv.rootAt[c]; !ok {
			inv.addRoot(Object{Securable: c})
		}
	}
	inv.schemaAt[o.FullName] = len(inv.Children[catalog])
	inv.Children[catalog] = append(inv.Children[catalog], o)
	inv.size++
}

// Len is the number of objects, containers included.
func (inv *Inventory) Len() int { return inv.size }

// Has reports whether the inventory holds s.
func (inv *Inventory) Has(s Securable) bool {
	switch s.Type {
	case Schema:
		_, ok := inv.schemaAt[s.FullName]
		return ok
	case Table, Function, Volume:
		parent, _ := s.Parent()
		for _, o := range inv.Children[parent.FullName] {
			if o.Securable == s {
				return true
			}
		}
		return false
	}
	_, ok := inv.rootAt[s]
	return ok
}

// Objects calls yield for every object, containers before what they contain, until yield returns false.
func (inv *Inventory) Objects(yield func(Object) bool) {
	for _, root := range inv.Roots {
		if !yield(root) {
			return
		}
		if root.Type != Catalog {
			continue
		}
		for _, schema := range inv.Children[root.FullName] {
			if !yield(schema) {
				return
			}
			for _, o := range inv.Children[schema.FullName] {
				if !yield(o) {
					return
				}
			}
		}
	}
}
