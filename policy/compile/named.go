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
	for _, ref := range ix.match(c.entries, container.Names()[0], 1, nil) {
		r := &c.entries[ref&^looseMark].region
		t, ok := classTypes[r.Class]
		if !ok || r.Depth < 2 || r.Depth != t.Depth() {
			continue
		}
		for _, name := range r.exactNames(limit) {
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

// exactNames returns the full names of all that the region names, if it names all of it exactly; at most limit.
func (r *Region) exactNames(limit int) []string {
	names := []string{""}
	for i := range r.Depth {
		level := &r.Levels[i]
		if level.Any || level.Excludes || len(level.Patterns)*len(names) > limit {
			return nil
		}
		var next []string
		for _, p := range level.Patterns {
			text, ok := p.Exact()
			if !ok || policy.ValidateName(text) != nil {
				continue // it may name others besides, which a listing alone can tell
			}
			for _, name := range names {
				if i > 0 {
					name += "."
				}
				next = append(next, name+policy.CanonicalName(text))
			}
		}
		names = next
	}
	return names
}
