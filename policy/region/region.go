package region

import (
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/match"
	"ucwarden/policy/naming"
	"ucwarden/policy/rules"
)

// Region is the part of Unity Catalog that one set of policy resources names: catalog, schema and object patterns,
// down to the level the policy names. It knows no objects; whether it covers a container is decided by its patterns
// alone.
type Region struct {
	Levels  [3]match.Level
	Depth   int                // levels named: 1 catalog or root object, 2 schema, 3 object
	Class   policy.ObjectClass // of what the deepest level names
	inherit bool               // holds for everything inside, too
	Columns bool               // names some columns of a table only
	Views   bool               // of tables, names views only
	Open    bool               // names what is known for a request only
	Partial bool               // touches what it matches, covers nothing: it names some columns, or is open
}

// Cover tells which classes of object, at and inside a container, a region covers wholly and which it may touch.
// Full is always part of Touch.
type Cover struct{ Full, Touch policy.ObjectClass }

// Or returns what c or d covers.
func (c Cover) Or(d Cover) Cover { return Cover{c.Full | d.Full, c.Touch | d.Touch} }

// At returns the cover of the region at a container of depth k (1 catalog, 2 schema), or at an object (3) or root
// object, whose names match the first k levels. Rules: RangerDefaultPolicyResourceMatcher. A request for a container
// matches a policy on objects inside only when every level below is '*'; a request for an object matches a policy on
// a container only in services with inheritance.
func (r *Region) At(k int) Cover {
	var c Cover
	add := func(cl policy.ObjectClass, full bool) {
		c.Touch |= cl
		if full && !r.Partial {
			c.Full |= cl
		}
	}
	if r.Class > policy.ClassVolume { // root objects hold nothing
		add(r.Class, true)
		return c
	}
	any2, any3 := r.Levels[1].Any, r.Levels[2].Any
	switch {
	case k == 1 && r.Depth == 1:
		add(policy.ClassCatalog, true)
		if r.inherit {
			add(policy.ClassesInCatalog, true)
		}
	case k == 1 && r.Depth == 2:
		if any2 {
			add(policy.ClassCatalog, true)
		}
		add(policy.ClassSchema, any2)
		if r.inherit {
			add(policy.ClassesInSchema, any2)
		}
	case k == 1 && r.Depth == 3:
		if any2 && any3 {
			add(policy.ClassCatalog, true)
		}
		if any3 {
			add(policy.ClassSchema, any2)
		}
		add(r.Class, any2 && any3)
	case k == 2 && r.Depth == 3:
		if any3 {
			add(policy.ClassSchema, true)
		}
		add(r.Class, any3)
	case k == 3 && r.Depth == 3:
		add(r.Class, true)
	case k == 2 && r.Depth == 2:
		add(policy.ClassSchema, true)
		fallthrough
	default: // a policy on a container, asked about what is inside
		if !r.inherit {
			break
		}
		if k == 2 {
			add(policy.ClassSchema, true)
		}
		add(policy.ClassesInSchema, true)
	}
	return c
}

// OnlyViews is what of c holds for views at an object of the given kind, or at a container with kind "". Tables and views
// are one class, and a grant on a container reaches both. Whether what is kept in storage counts as a view is not ours
// to say: it is denied what views are, and not allowed it.
func (c Cover) OnlyViews(leaf bool, kind policy.Kind) Cover {
	switch {
	case leaf && kind == policy.KindView:
	case leaf && kind == "":
		c = Cover{}
	default:
		c.Full &^= policy.ClassTable
	}
	return c
}

// New places the levels of one set of policy resources. An error says, for people, why Unity Catalog has no such
// place.
func New(levels []match.NamedLevel, inherit bool) (Region, error) {
	r := Region{inherit: inherit}
	named := [4]string{}
	for _, l := range levels {
		r.Open = r.Open || l.Open
		r.Partial = r.Partial || l.Open
		level, class, ok := rules.LevelOf(l.Name)
		if !ok {
			return r, policy.Errorf(policy.CodeInvalid, "resource %q has no counterpart in Unity Catalog", l.Name)
		}
		if named[level] != "" {
			return r, policy.Errorf(policy.CodeInvalid, "resources %q and %q cannot be named together", min(l.Name, named[level]), max(l.Name, named[level]))
		}
		named[level] = l.Name
		if level == 0 {
			r.Columns = !l.Any
			r.Partial = r.Partial || r.Columns
			continue
		}
		r.Levels[level-1] = l.Level
		if level > r.Depth {
			r.Depth, r.Class = level, class
			r.Views = strings.EqualFold(l.Name, "view")
		}
	}
	for level := 1; level <= max(r.Depth, 1); level++ {
		if named[level] == "" {
			return r, policy.Errorf(policy.CodeInvalid, "it names no %s", [...]string{1: "catalog", 2: "schema", 3: "object"}[level])
		}
	}
	if named[0] != "" && r.Class != policy.ClassTable {
		return r, policy.Errorf(policy.CodeInvalid, "it names a column but no table")
	}
	if _, class, _ := rules.LevelOf(named[1]); r.Depth > 1 && class != policy.ClassCatalog {
		return r, policy.Errorf(policy.CodeInvalid, "resource %q holds no %q", named[1], named[r.Depth])
	}
	return r, nil
}

// Everywhere lists the regions that hold everything in Unity Catalog.
func Everywhere() []Region {
	list := []Region{{Levels: [3]match.Level{{Any: true}}, Depth: 1, Class: policy.ClassCatalog, inherit: true}}
	for c := range policy.ClassesOfRoots.Each() {
		list = append(list, Region{Levels: [3]match.Level{{Any: true}}, Depth: 1, Class: c})
	}
	return list
}

// ExactNames returns the full names of all that the region names, if it names all of it exactly; at most limit.
func (r *Region) ExactNames(limit int) []string { return r.exact(r.Depth, limit) }

// ExactRoots returns the names of the catalogs or root objects that the region names, or lies in, if it names all of them
// exactly; at most limit.
func (r *Region) ExactRoots(limit int) []string { return r.exact(1, limit) }

func (r *Region) exact(depth, limit int) []string {
	names := []string{""}
	for i := range depth {
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
				next = append(next, name+naming.Canonical(text))
			}
		}
		names = next
	}
	return names
}
