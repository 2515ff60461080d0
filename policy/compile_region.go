package policy

import (
	"slices"
	"strings"
)

// region is the part of Unity Catalog that one set of policy resources names: catalog, schema and object patterns,
// down to the level the policy names. It knows no objects; whether it covers a container is decided by its patterns
// alone.
type region struct {
	levels  [3]levelMatch
	depth   int   // levels named: 1 catalog or root object, 2 schema, 3 object
	class   class // of what the deepest level names
	inherit bool  // holds for everything inside, too
	columns bool  // names some columns of a table only
	views   bool  // of tables, names views only
	partial bool  // names some columns, or an unknown name: touches what it matches, covers nothing
}

// levelMatch matches the names of one level.
type levelMatch struct {
	patterns []Pattern
	exclude  bool // every name that no pattern matches
	any      bool // every name
}

func newLevelMatch(r PolicyResource) levelMatch {
	m := levelMatch{exclude: r.IsExcludes}
	all := false
	for _, v := range r.Values {
		if v == "" {
			continue
		}
		p := NewPattern(CanonicalName(v), true, false)
		all = all || p.MatchesAll()
		m.patterns = append(m.patterns, p)
	}
	all = all || len(m.patterns) == 0 // as in Ranger; tags and zones may come without values, policies may not
	switch {
	case all && m.exclude:
		m.patterns, m.exclude = nil, false // every name is excluded
	case all:
		m.any = true
	}
	return m
}

func (m *levelMatch) match(name string) bool {
	if m.any {
		return true
	}
	return slices.ContainsFunc(m.patterns, func(p Pattern) bool { return p.Match(name) }) != m.exclude
}

// cover tells which classes of object, at and inside a container, a region covers wholly and which it may touch.
// full is always part of touch.
type cover struct{ full, touch class }

// at gives the cover of the region at a container of depth k (1 catalog, 2 schema), or at an object (3) or root
// object, whose names match the first k levels. Rules: RangerDefaultPolicyResourceMatcher. A request for a container
// matches a policy on objects inside only when every level below is '*'; a request for an object matches a policy on
// a container only in services with inheritance.
func (r *region) at(k int) cover {
	var c cover
	add := func(cl class, full bool) {
		c.touch |= cl
		if full && !r.partial {
			c.full |= cl
		}
	}
	if r.class > classVolume { // root objects hold nothing
		add(r.class, true)
		return c
	}
	any2, any3 := r.levels[1].any, r.levels[2].any
	switch {
	case k == 1 && r.depth == 1:
		add(classCatalog, true)
		if r.inherit {
			add(classesInCatalog, true)
		}
	case k == 1 && r.depth == 2:
		if any2 {
			add(classCatalog, true)
		}
		add(classSchema, any2)
		if r.inherit {
			add(classesInSchema, any2)
		}
	case k == 1 && r.depth == 3:
		if any2 && any3 {
			add(classCatalog, true)
		}
		if any3 {
			add(classSchema, any2)
		}
		add(r.class, any2 && any3)
	case k == 2 && r.depth == 3:
		if any3 {
			add(classSchema, true)
		}
		add(r.class, any3)
	case k == 3 && r.depth == 3:
		add(r.class, true)
	case k == 2 && r.depth == 2:
		add(classSchema, true)
		fallthrough
	default: // a policy on a container, asked about what is inside
		if !r.inherit {
			break
		}
		if k == 2 {
			add(classSchema, true)
		}
		add(classesInSchema, true)
	}
	return c
}

// onlyViews is what of c holds for views at an object of the given kind, or at a container with kind "". Tables and views
// are one class, and a grant on a container reaches both. Whether what is kept in storage counts as a view is not ours
// to say: it is denied what views are, and not allowed it.
func (c cover) onlyViews(leaf bool, kind Kind) cover {
	switch {
	case leaf && kind == KindView:
	case leaf && kind == "":
		c = cover{}
	default:
		c.full &^= classTable
	}
	return c
}

// resourceLevels names the resource definitions that stand for each level, in the spelling of the services that
// connect to Unity Catalog or resemble it.
var resourceLevels = map[string]struct {
	level int // 0 column, 1 catalog or root, 2 schema, 3 object
	class class
}{
	"catalog": {1, classCatalog}, "schema": {2, classSchema}, "database": {2, classSchema}, "namespace": {2, classSchema},
	"table": {3, classTable}, "view": {3, classTable}, "function": {3, classFunction}, "udf": {3, classFunction},
	"model": {3, classModel}, "volume": {3, classVolume}, "column": {0, classTable},
	"metastore": {1, classMetastore}, "external_location": {1, classExternalLocation}, "storage_credential": {1, classStorageCredential},
	"credential": {1, classCredential}, "connection": {1, classConnection}, "share": {1, classShare},
	"recipient": {1, classRecipient}, "provider": {1, classProvider},
}

// newRegion reads one set of policy resources. An error says, for people, why Unity Catalog has no such place.
func newRegion(resources map[string]PolicyResource, inherit bool) (region, error) {
	r := region{inherit: inherit}
	named := [4]string{}
	for name, res := range resources {
		def, ok := resourceLevels[strings.ToLower(name)]
		if !ok {
			return region{}, Errorf(CodeInvalid, "resource %q has no counterpart in Unity Catalog", name)
		}
		if named[def.level] != "" {
			return region{}, Errorf(CodeInvalid, "resources %q and %q cannot be named together", min(name, named[def.level]), max(name, named[def.level]))
		}
		named[def.level] = name
		if def.level == 0 {
			m := newLevelMatch(res)
			r.columns, r.partial = !m.any, !m.any
			continue
		}
		r.levels[def.level-1] = newLevelMatch(res)
		if def.level > r.depth {
			r.depth, r.class = def.level, def.class
			r.views = strings.EqualFold(name, "view")
		}
	}
	for level := 1; level <= max(r.depth, 1); level++ {
		if named[level] == "" {
			return region{}, Errorf(CodeInvalid, "it names no %s", [...]string{1: "catalog", 2: "schema", 3: "object"}[level])
		}
	}
	if named[0] != "" && r.class != classTable {
		return region{}, Errorf(CodeInvalid, "it names a column but no table")
	}
	if r.depth > 1 && resourceLevels[strings.ToLower(named[1])].class != classCatalog {
		return region{}, Errorf(CodeInvalid, "resource %q holds no %q", named[1], named[r.depth])
	}
	return r, nil
}

// levelIndex finds, among many regions, those whose pattern at one level matches a name.
type levelIndex struct {
	always   []int32            // regions that match every name
	exact    map[string][]int32 // by the only name
	prefix   map[string][]int32 // by the literal text before the first wildcard; to be tested
	lengths  []int              // of the keys of prefix, ascending
	grams    map[string][]int32 // by the rarest gram, where a wildcard comes first; to be tested
	excludes []int32            // to be tested
}

// newLevelIndex indexes the regions that list names by number; level is 1 to 3. A region that ends above the level
// matches always if it inherits.
func newLevelIndex(entries []entry, list []int32, level int) *levelIndex {
	ix := &levelIndex{exact: map[string][]int32{}, prefix: map[string][]int32{}, grams: map[string][]int32{}}
	var floating []floatingPattern
	for _, i := range list {
		r := &entries[i].region
		if r.depth < level {
			if r.inherit {
				ix.always = append(ix.always, i)
			}
			continue
		}
		switch m := &r.levels[level-1]; {
		case m.any:
			ix.always = append(ix.always, i)
		case m.exclude:
			ix.excludes = append(ix.excludes, i)
		default:
			for _, p := range m.patterns {
				if name, ok := p.Exact(); ok {
					ix.exact[name] = append(ix.exact[name], i)
				} else if prefix := p.Prefix(); prefix != "" {
					ix.prefix[prefix] = append(ix.prefix[prefix], i)
				} else {
					floating = append(floating, floatingPattern{p.grams(), i})
				}
			}
		}
	}
	ix.addFloating(floating)
	for text := range ix.prefix {
		ix.lengths = append(ix.lengths, len(text))
	}
	slices.Sort(ix.lengths)
	ix.lengths = slices.Compact(ix.lengths)
	return ix
}

// floatingPattern is a pattern that begins with a wildcard.
type floatingPattern struct {
	grams []string
	entry int32
}

// addFloating files each pattern under its rarest gram, so that few are tested for a name that holds it.
func (ix *levelIndex) addFloating(list []floatingPattern) {
	count := make(map[string]int)
	for _, p := range list {
		for _, g := range p.grams {
			count[g]++
		}
	}
	for _, p := range list {
		if len(p.grams) == 0 {
			ix.prefix[""] = append(ix.prefix[""], p.entry)
			continue
		}
		rarest := slices.MinFunc(p.grams, func(a, b string) int { return count[a] - count[b] })
		ix.grams[rarest] = append(ix.grams[rarest], p.entry)
	}
}

// match appends to dst, sorted and without duplicates, the numbers of the regions that match name, without the ones
// that match always.
func (ix *levelIndex) match(entries []entry, name string, level int, dst []int32) []int32 {
	dst = append(dst, ix.exact[name]...)
	for _, n := range ix.lengths {
		if n > len(name) {
			break
		}
		for _, i := range ix.prefix[name[:n]] {
			if entries[i].region.levels[level-1].match(name) {
				dst = append(dst, i)
			}
		}
	}
	if len(ix.grams) > 0 {
		for at := range len(name) - gramLength + 1 {
			for _, i := range ix.grams[name[at:at+gramLength]] {
				if entries[i].region.levels[level-1].match(name) {
					dst = append(dst, i)
				}
			}
		}
	}
	for _, i := range ix.excludes {
		if entries[i].region.levels[level-1].match(name) {
			dst = append(dst, i)
		}
	}
	if len(dst) > 1 {
		slices.Sort(dst)
		dst = slices.Compact(dst)
	}
	return dst
}
