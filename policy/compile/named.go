package compile

import (
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/region"
	"ucwarden/policy/rules"
)

// classTypes are the types of securable of the classes that lie in a catalog.
var classTypes = map[policy.ObjectClass]policy.SecurableType{
	policy.ClassSchema: policy.Schema, policy.ClassTable: policy.Table, policy.ClassFunction: policy.Function,
	policy.ClassModel: policy.Function, policy.ClassVolume: policy.Volume,
}

// NamedObject is an object that a policy names exactly, without a pattern. Whether it exists is not known.
type NamedObject struct {
	Securable policy.Securable
	Policy    *rules.Policy
}

// NamedBy lists the objects that policies name exactly: inside a catalog or schema, or, for a METASTORE without a name, the
// catalogs and the root objects, the metastore among them by its name. Of one policy there are at most limit.
func (c *Compiler) NamedBy(container policy.Securable, limit int) []NamedObject {
	var list []NamedObject
	add := func(ref region.Ref, t policy.SecurableType) {
		r, p := &c.rules.Regions[ref.Number()], c.rules.PolicyAt(ref)
		if p == nil || p.Rule.Tag || p.Rule.Everywhere || t.Depth() != r.Depth {
			return
		}
		for _, name := range r.ExactNames(limit) {
			if s := (policy.Securable{Type: t, FullName: name}); container.FullName == "" || container.Contains(s) {
				list = append(list, NamedObject{s, p.Rule})
			}
		}
	}
	if container.FullName == "" {
		for i := range c.rules.Regions {
			if r := &c.rules.Regions[i]; r.Depth == 1 {
				add(region.Ref(i), rootTypes[r.Class])
			}
		}
		return list
	}
	if ix := c.byRoot[policy.ClassCatalog]; ix != nil {
		for _, ref := range ix.Match(container.Names()[0], nil) {
			if t, ok := classTypes[c.rules.Regions[ref.Number()].Class]; ok && !ref.Loose() {
				add(ref, t)
			}
		}
	}
	return list
}

// NamedCatalogs lists the catalogs that policies name exactly, be it for what is inside. Of one policy there are at most limit.
func (c *Compiler) NamedCatalogs(limit int) (list []NamedObject) {
	for i := range c.rules.Regions {
		r, p := &c.rules.Regions[i], c.rules.PolicyAt(region.Ref(i))
		if _, inCatalog := classTypes[r.Class]; !inCatalog && r.Class != policy.ClassCatalog || p == nil || p.Rule.Tag || p.Rule.Everywhere {
			continue
		}
		for _, name := range r.ExactRoots(limit) {
			list = append(list, NamedObject{policy.Securable{Type: policy.Catalog, FullName: name}, p.Rule})
		}
	}
	return list
}

// rootTypes are the types of securable of the classes that lie in no catalog, and of catalogs.
var rootTypes = func() map[policy.ObjectClass]policy.SecurableType {
	types := make(map[policy.ObjectClass]policy.SecurableType)
	for t, class := range policy.ClassOfType {
		if t.Depth() == 1 {
			types[class] = t
		}
	}
	return types
}()

// Named lists, sorted, the objects inside a catalog or schema that policies name exactly, at most limit of them.
func (c *Compiler) Named(container policy.Securable, limit int) []policy.Securable {
	seen := make(map[policy.Securable]bool)
	var list []policy.Securable
	for _, o := range c.NamedBy(container, limit) {
		if !seen[o.Securable] && len(list) < limit {
			seen[o.Securable] = true
			list = append(list, o.Securable)
		}
	}
	slices.SortFunc(list, policy.Securable.Compare)
	return list
}
