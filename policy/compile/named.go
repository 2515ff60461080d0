package compile

import (
	"slices"

	"ucwarden/policy"
)

// classTypes are the types of securable of the classes that lie in a catalog.
var classTypes = map[policy.ObjectClass]policy.SecurableType{
	policy.ClassSchema: policy.Schema, policy.ClassTable: policy.Table, policy.ClassFunction: policy.Function,
	policy.ClassModel: policy.Function, policy.ClassVolume: policy.Volume,
}

// Named lists, sorted, the objects inside a catalog or schema that policies name exactly, without a pattern, at most limit
// of them. Whether they exist it does not know.
func (c *Compiler) Named(container policy.Securable, limit int) []policy.Securable {
	ix := c.byRoot[policy.ClassCatalog]
	if ix == nil {
		return nil
	}
	seen := make(map[policy.Securable]bool)
	for _, ref := range ix.Match(container.Names()[0], nil) {
		r := &c.regions[ref.Number()]
		t, ok := classTypes[r.Class]
		if !ok || r.Depth < 2 || r.Depth != t.Depth() {
			continue
		}
		for _, name := range r.ExactNames(limit) {
			if s := (policy.Securable{Type: t, FullName: name}); container.Contains(s) && len(seen) < limit {
				seen[s] = true
			}
		}
	}
	list := make([]policy.Securable, 0, len(seen))
	for s := range seen {
		list = append(list, s)
	}
	slices.SortFunc(list, policy.Securable.Compare)
	return list
}
