package compile

import (
	"slices"
	"strings"
	"ucwarden/policy"
	"ucwarden/policy/match"
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
	columns bool               // names some columns of a table only
	views   bool               // of tables, names views only
	Open    bool               // names what is known for a request only
	partial bool               // touches what it matches, covers nothing: it names some columns, or is open
}

// cover tells which classes of object, at and inside a container, a region covers wholly and which it may touch.
// full is always part of touch.
type cover struct{ full, touch policy.ObjectClass }

// at returns the cover of the region at a container of depth k (1 catalog, 2 schema), or at an object (3) or root
// object, whose names match the first k levels. Rules: RangerDefaultPolicyResourceMatcher. A request for a container
// matches a policy on objects inside only when every level below is '*'; a request for an object matches a policy on
// a container only in services with inheritance.
func (r *Region) at(k int) cover {
	var c cover
	add := func(cl policy.ObjectClass, full bool) {
		c.touch |= cl
		if full && !r.partial {
			c.full |= cl
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

// onlyViews is what of c holds for views at an object of the given kind, or at a container with kind "". Tables and views
// are one class, and a grant on a container reaches both. Whether what is kept in storage counts as a view is not ours
// to say: it is denied what views are, and not allowed it.
func (c cover) onlyViews(leaf bool, kind policy.Kind) cover {
	switch {
	case leaf && kind == policy.KindView:
	case leaf && kind == "":
		c = cover{}
	default:
		c.full &^= policy.ClassTable
	}
	return c
}

// NewRegion places the levels of one set of policy resources. An error says, for people, why Unity Catalog has no such
// place.
func NewRegion(levels []match.NamedLevel, inherit bool) (Region, error) {
	r := Region{inherit: inherit}
	named := [4]string{}
	for _, l := range levels {
		r.Open = r.Open || l.Open
		r.partial = r.partial || l.Open
		level, class, ok := rules.LevelOf(l.Name)
		if !ok {
			return r, policy.Errorf(policy.CodeInvalid, "resource %q has no counterpart in Unity Catalog", l.Name)
		}
		if named[level] != "" {
			return r, policy.Errorf(policy.CodeInvalid, "resources %q and %q cannot be named together", min(l.Name, named[level]), max(l.Name, named[level]))
		}
		named[level] = l.Name
		if level == 0 {
			r.columns = !l.Any
			r.partial = r.partial || r.columns
			continue
		}
		r.Levels[level-1] = l.Level
		if level > r.Depth {
			r.Depth, r.Class = level, class
			r.views = strings.EqualFold(l.Name, "view")
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

// everywhere lists the regions that hold everything in Unity Catalog.
func everywhere() []Region {
	list := []Region{{Levels: [3]match.Level{{Any: true}}, Depth: 1, Class: policy.ClassCatalog, inherit: true}}
	for c := range policy.ClassesOfRoots.Each() {
		list = append(list, Region{Levels: [3]match.Level{{Any: true}}, Depth: 1, Class: c})
	}
	return list
}

// entryRef is the number of an entry, with a mark where the names asked for match its region loosely only.
type entryRef int32

const looseMark entryRef = 1 << 30

func (r entryRef) loose() bool { return r&looseMark != 0 }

func (r *grantRules) entry(ref entryRef) *entry { return &r.entries[ref&^looseMark] }

// policyAt returns the policy of an entry, nil for a zone.
func (r *grantRules) policyAt(ref entryRef) *compiledPolicy { return r.entry(ref).policy }

// levelIndex finds, among many regions, those whose pattern at one level matches a name.
type levelIndex struct {
	always   []entryRef            // regions that match every name
	exact    map[string][]entryRef // by the only name
	prefix   map[string][]entryRef // by the literal text before the first wildcard; to be tested
	lengths  []int                 // of the keys of prefix, ascending
	grams    map[string][]entryRef // by the rarest gram, where a wildcard comes first; to be tested
	excludes []entryRef            // to be tested
	all      []entryRef            // what was indexed
	ascii    bool                  // no pattern has other characters than ASCII
}

// newLevelIndex indexes the regions that list names by number; level is 1 to 3. A region that ends above the level
// matches always if it inherits.
func newLevelIndex(entries []entry, list []entryRef, level int) *levelIndex {
	ix := &levelIndex{all: list, exact: map[string][]entryRef{}, prefix: map[string][]entryRef{}, grams: map[string][]entryRef{}, ascii: true}
	var floating []floatingPattern
	for _, i := range list {
		r := &entries[i&^looseMark].region
		if r.Depth < level {
			if r.inherit {
				ix.always = append(ix.always, i)
			}
			continue
		}
		m := &r.Levels[level-1]
		if m.Any {
			ix.always = append(ix.always, i)
			continue
		}
		ix.ascii = ix.ascii && m.IsASCII()
		if m.Excludes {
			ix.excludes = append(ix.excludes, i)
			continue
		}
		for _, p := range m.Patterns {
			if name, ok := p.Exact(); ok {
				ix.exact[name] = append(ix.exact[name], i)
			} else if prefix := p.Prefix(); prefix != "" {
				ix.prefix[prefix] = append(ix.prefix[prefix], i)
			} else {
				floating = append(floating, floatingPattern{p.Grams(), i})
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
	entry entryRef
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

// match appends to dst, sorted and without duplicates, the regions that match a canonical name, without the ones that
// match always. Those that match it loosely only are marked.
func (ix *levelIndex) match(entries []entry, name string, level int, dst []entryRef) []entryRef {
	if !ix.ascii || !policy.IsASCII(name) {
		return ix.matchLoosely(entries, name, level, dst)
	}
	test := func(list []entryRef) {
		for _, i := range list {
			if entries[i&^looseMark].region.Levels[level-1].Match(name) {
				dst = append(dst, i)
			}
		}
	}
	dst = append(dst, ix.exact[name]...)
	for _, n := range ix.lengths {
		if n > len(name) {
			break
		}
		test(ix.prefix[name[:n]])
	}
	if len(ix.grams) > 0 {
		for at := range len(name) - policy.GramLength + 1 {
			test(ix.grams[name[at:at+policy.GramLength]])
		}
	}
	test(ix.excludes)
	if len(dst) > 1 {
		slices.Sort(dst)
		dst = slices.Compact(dst)
	}
	return dst
}

// matchLoosely is match where names or patterns have other characters than ASCII: each region is tested.
func (ix *levelIndex) matchLoosely(entries []entry, name string, level int, dst []entryRef) []entryRef {
	for _, i := range ix.all {
		r := &entries[i&^looseMark].region
		switch m := &r.Levels[level-1]; {
		case r.Depth < level || m.Any: // among those that match always
		case m.Match(name):
			dst = append(dst, i)
		case m.MatchLoosely(name):
			dst = append(dst, i|looseMark)
		}
	}
	slices.Sort(dst)
	return slices.Compact(dst)
}
