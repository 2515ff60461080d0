package region

import (
	"slices"

	"ucwarden/policy/naming"
)

// Ref is the number of a region in a list, with a mark where the names asked for match it loosely only.
type Ref int32

const looseMark Ref = 1 << 30

// Loose reports whether the names asked for match the region loosely only.
func (r Ref) Loose() bool { return r&looseMark != 0 }

// Number returns the number of the region in its list.
func (r Ref) Number() int { return int(r &^ looseMark) }

// Index finds, among many regions, those whose pattern at one level matches a name.
type Index struct {
	All    []Ref // what was indexed
	Always []Ref // of these, the regions that match every name

	regions  []Region
	level    int
	exact    map[string][]Ref // by the only name
	begins   map[string][]Ref // by the text that a name must begin with, and no more
	prefix   map[string][]Ref // by the literal text before the first wildcard; to be tested
	lengths  []int            // of the keys of begins and prefix, ascending
	grams    map[string][]Ref // by the rarest gram, where a wildcard comes first; to be tested
	excludes []Ref            // to be tested
	ascii    bool             // no pattern has other characters than ASCII
}

// NewIndex indexes the regions that list names by number; level is 1 to 3. A region that ends above the level
// matches always if it inherits.
func NewIndex(regions []Region, list []Ref, level int) *Index {
	ix := &Index{regions: regions, level: level, All: list, exact: map[string][]Ref{}, begins: map[string][]Ref{}, prefix: map[string][]Ref{}, grams: map[string][]Ref{}, ascii: true}
	var floating []floatingPattern
	for _, i := range list {
		r := &ix.regions[i&^looseMark]
		if r.Depth < level {
			if r.inherit {
				ix.Always = append(ix.Always, i)
			}
			continue
		}
		m := &r.Levels[level-1]
		if m.Any {
			ix.Always = append(ix.Always, i)
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
			} else if text, ok := p.BeginsWith(); ok {
				ix.begins[text] = append(ix.begins[text], i)
			} else if prefix := p.Prefix(); prefix != "" {
				ix.prefix[prefix] = append(ix.prefix[prefix], i)
			} else {
				floating = append(floating, floatingPattern{p.Grams(), i})
			}
		}
	}
	ix.addFloating(floating)
	for _, by := range []map[string][]Ref{ix.begins, ix.prefix} {
		for text := range by {
			ix.lengths = append(ix.lengths, len(text))
		}
	}
	slices.Sort(ix.lengths)
	ix.lengths = slices.Compact(ix.lengths)
	return ix
}

// floatingPattern is a pattern that begins with a wildcard.
type floatingPattern struct {
	grams []string
	entry Ref
}

// addFloating files each pattern under its rarest gram, so that few are tested for a name that holds it.
func (ix *Index) addFloating(list []floatingPattern) {
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

// Match appends to dst, sorted and without duplicates, the regions that match a canonical name, without the ones that
// match always. Those that match it loosely only are marked.
func (ix *Index) Match(name string, dst []Ref) []Ref {
	if !ix.ascii || !naming.IsASCII(name) {
		return ix.matchLoosely(name, dst)
	}
	test := func(list []Ref) {
		for _, i := range list {
			if ix.regions[i&^looseMark].Levels[ix.level-1].Match(name) {
				dst = append(dst, i)
			}
		}
	}
	dst = append(dst, ix.exact[name]...)
	for _, n := range ix.lengths {
		if n > len(name) {
			break
		}
		dst = append(dst, ix.begins[name[:n]]...)
		if len(ix.prefix) > 0 {
			test(ix.prefix[name[:n]])
		}
	}
	if len(ix.grams) > 0 {
		for at := range len(name) - naming.GramLength + 1 {
			test(ix.grams[name[at:at+naming.GramLength]])
		}
	}
	test(ix.excludes)
	if len(dst) > 1 {
		slices.Sort(dst)
		dst = slices.Compact(dst)
	}
	return dst
}

// matchLoosely is Match where names or patterns have other characters than ASCII: each region is tested.
func (ix *Index) matchLoosely(name string, dst []Ref) []Ref {
	for _, i := range ix.All {
		r := &ix.regions[i&^looseMark]
		switch m := &r.Levels[ix.level-1]; {
		case r.Depth < ix.level || m.Any: // among those that match always
		case m.Match(name):
			dst = append(dst, i)
		case m.MatchLoosely(name):
			dst = append(dst, i|looseMark)
		}
	}
	slices.Sort(dst)
	return slices.Compact(dst)
}

// Merge returns the references of both lists, sorted.
func Merge(a, b []Ref) []Ref { return AppendMerged(make([]Ref, 0, len(a)+len(b)), a, b) }

// AppendMerged appends the references of both lists to an empty one, sorted.
func AppendMerged(dst, a, b []Ref) []Ref {
	dst = append(append(dst, a...), b...)
	slices.Sort(dst)
	return dst
}
