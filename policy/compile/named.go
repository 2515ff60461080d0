package compile

import (
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/region"
	"ucwarden/policy/rules"
)

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
				add(region.Ref(i), policy.TypeOfClass(r.Class))
			}
		}
		return list
	}
	if ix := c.byRoot[policy.ClassCatalog]; ix != nil {
		for _, ref := range ix.Match(container.Names()[0], nil) {
			if class := c.rules.Regions[ref.Number()].Class; class&policy.ClassesInCatalog != 0 && !ref.Loose() {
				add(ref, policy.TypeOfClass(class))
			}
		}
	}
	return list
}

// NamedCatalogs lists the catalogs that policies name exactly, be it for what is inside. Of one policy there are at most limit.
func (c *Compiler) NamedCatalogs(limit int) (list []NamedObject) {
	for i := range c.rules.Regions {
		r, p := &c.rules.Regions[i], c.rules.PolicyAt(region.Ref(i))
		if r.Class&(policy.ClassCatalog|policy.ClassesInCatalog) == 0 || p == nil || p.Rule.Tag || p.Rule.Everywhere {
			continue
		}
		for _, name := range r.ExactRoots(limit) {
			list = append(list, NamedObject{policy.Securable{Type: policy.Catalog, FullName: name}, p.Rule})
		}
	}
	return list
}

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
