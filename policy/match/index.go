package match

import (
	"slices"

	"ucwarden/policy/naming"
)

// Index is a node of a tree that follows the levels of resources from the root down. It holds what names no
// further level. A name below it is looked up by its whole text, and by each literal beginning that some pattern has.
type Index struct {
	here   []int32
	levels []indexBranch // one for each resource level that continues here
}

type indexBranch struct {
	name     string
	any      *Index            // '*'
	exact    map[string]*Index // by naming.Loose, whatever the definition says: the matcher looks again
	prefixes map[string]*Index // by the literal beginning of patterns; "" holds what cannot be indexed
	lengths  []int             // of the keys of prefixes, ascending
}

// maxIndexKeys bounds the nodes one map of resources takes in the index. Beyond it a level is not told apart by value.
const maxIndexKeys = 64

// Add puts id at the nodes where names that m may match are looked up.
func (n *Index) Add(m *Matcher, id int32) {
	n.addLevels(m.levels, id, maxIndexKeys)
}

func (n *Index) addLevels(levels []elementMatcher, id int32, budget int) {
	if len(levels) == 0 {
		n.here = append(n.here, id)
		return
	}
	level := &levels[0]
	b := n.branch(level.def.Name)
	if level.any && !level.excludes {
		if b.any == nil {
			b.any = &Index{}
		}
		b.any.addLevels(levels[1:], id, budget)
		return
	}
	count := len(level.values)
	if level.excludes || level.special != nil || count > budget {
		b.prefix("").addLevels(levels[1:], id, budget)
		return
	}
	for i := range level.values {
		p := &level.values[i]
		child := b.prefix
		if _, ok := p.Exact(); ok {
			child = b.exactly
		}
		child(naming.Loose(p.Prefix())).addLevels(levels[1:], id, budget/count)
	}
}

func (n *Index) branch(name string) *indexBranch {
	for i := range n.levels {
		if n.levels[i].name == name {
			return &n.levels[i]
		}
	}
	n.levels = append(n.levels, indexBranch{name: name})
	return &n.levels[len(n.levels)-1]
}

func (b *indexBranch) exactly(key string) *Index {
	if b.exact == nil {
		b.exact = make(map[string]*Index)
	}
	if b.exact[key] == nil {
		b.exact[key] = &Index{}
	}
	return b.exact[key]
}

func (b *indexBranch) prefix(key string) *Index {
	if b.prefixes == nil {
		b.prefixes = make(map[string]*Index)
	}
	if b.prefixes[key] == nil {
		b.prefixes[key] = &Index{}
		if i, found := slices.BinarySearch(b.lengths, len(key)); !found {
			b.lengths = slices.Insert(b.lengths, i, len(key))
		}
	}
	return b.prefixes[key]
}

// AddEverywhere puts id where every path finds it.
func (n *Index) AddEverywhere(id int32) { n.here = append(n.here, id) }

// Collect appends the ids that may match path to list. With below it takes those that name something below the path
// too; without, only those that do so by '*'.
func (n *Index) Collect(path *Path, below bool, list []int32) []int32 {
	return n.collect(path, 0, below, list)
}

// collect is Collect for the path from its element at on.
func (n *Index) collect(path *Path, at int, below bool, list []int32) []int32 {
	list = append(list, n.here...)
	if at == len(path.Elements) {
		for i := range n.levels {
			b := &n.levels[i]
			if b.any != nil {
				list = b.any.collect(path, at, below, list)
			}
			if below {
				list = b.collectNamed(path, at, below, list)
			}
		}
		return list
	}
	e := path.Elements[at]
	for i := range n.levels {
		b := &n.levels[i]
		if b.name != e.Name {
			continue
		}
		if b.any != nil {
			list = b.any.collect(path, at+1, below, list)
		}
		if len(e.Also) > 0 || e.Scope != ElementSelf {
			return b.collectNamed(path, at+1, below, list)
		}
		if e.Value == "" || e.Value == "*" {
			return list
		}
		name := path.loose[at]
		if child := b.exact[name]; child != nil {
			list = child.collect(path, at+1, below, list)
		}
		for _, length := range b.lengths {
			if length > len(name) {
				break
			}
			if child := b.prefixes[name[:length]]; child != nil {
				list = child.collect(path, at+1, below, list)
			}
		}
		return list
	}
	return list
}

// collectNamed takes whatever the branch names other than '*', for the path from its element at on.
func (b *indexBranch) collectNamed(path *Path, at int, below bool, list []int32) []int32 {
	for _, child := range b.exact {
		list = child.collect(path, at, below, list)
	}
	for _, child := range b.prefixes {
		list = child.collect(path, at, below, list)
	}
	return list
}
