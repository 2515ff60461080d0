package policy

import (
	"slices"
	"strings"
)

// repository holds policies prepared for evaluation, with an index on their resources for each policy type.
type repository struct {
	model  *serviceModel
	byType [3]policyIndex
	empty  bool // no policy at all, of any type
}

type policyIndex struct {
	policies []*evalPolicy // in the order of evaluation
	root     indexNode
}

func sameName(name string) (string, bool) { return name, true }

func newRepository(m *serviceModel, policies []Policy) *repository {
	return newRenamedRepository(m, policies, sameName)
}

func newRenamedRepository(m *serviceModel, policies []Policy, rename func(string) (string, bool)) *repository {
	r := &repository{model: m, empty: len(policies) == 0}
	for i := range policies {
		p := &policies[i]
		if !p.Enabled() {
			continue
		}
		if e := newEvalPolicy(m, p, rename); !e.broken {
			index := &r.byType[p.PolicyType]
			index.policies = append(index.policies, e)
		}
	}
	for t := range r.byType {
		index := &r.byType[t]
		slices.SortStableFunc(index.policies, compareByOrder)
		for i, p := range index.policies {
			for _, m := range p.resources {
				index.root.add(m, int32(i))
			}
		}
	}
	return r
}

// candidates lists, in the order of evaluation, the policies whose resources may match the path: all that do, and few
// that do not. below tells that policies on something below the path count. The list is valid until the next call.
func (r *repository) candidates(ctx *evalContext, t PolicyType, path *requestPath, below bool) []int32 {
	if !path.ok {
		return nil
	}
	list := r.byType[t].root.collect(path.elements, below, ctx.candidates[:0])
	if len(list) > 1 {
		slices.Sort(list)
		list = slices.Compact(list)
	}
	ctx.candidates = list
	return list
}

// indexNode is a place in a tree that follows the levels of resources from the root down. It holds what names no
// further level. A name below it is looked up by its whole text, and by each literal beginning that some pattern has.
type indexNode struct {
	here   []int32
	levels []indexBranch // one for each resource level that continues here
}

type indexBranch struct {
	name     string
	any      *indexNode            // '*'
	exact    map[string]*indexNode // in lower case, whatever the definition says: the matcher looks again
	prefixes map[string]*indexNode // by the literal beginning of patterns; "" holds what cannot be indexed
	lengths  []int                 // of the keys of prefixes, ascending
}

// maxIndexKeys bounds the places one map of resources takes in the index. Beyond it a level is not told apart by value.
const maxIndexKeys = 64

// add puts id at the places where names that m may match are looked up.
func (n *indexNode) add(m *resourceMatcher, id int32) {
	n.addLevels(m.levels, id, maxIndexKeys)
}

func (n *indexNode) addLevels(levels []elementMatcher, id int32, budget int) {
	if len(levels) == 0 {
		n.here = append(n.here, id)
		return
	}
	level := &levels[0]
	b := n.branch(level.def.Name)
	if level.any && !level.excludes {
		if b.any == nil {
			b.any = &indexNode{}
		}
		b.any.addLevels(levels[1:], id, budget)
		return
	}
	count := len(level.values)
	if level.excludes || level.dynamic || count > budget || slices.ContainsFunc(level.values, func(v valueMatcher) bool { return v.options != nil }) {
		b.prefix("").addLevels(levels[1:], id, budget)
		return
	}
	for i := range level.values {
		p := &level.values[i].pattern
		child := b.prefix
		if _, ok := p.Exact(); ok {
			child = b.exactly
		}
		child(strings.ToLower(p.Prefix())).addLevels(levels[1:], id, budget/count)
	}
}

func (n *indexNode) branch(name string) *indexBranch {
	for i := range n.levels {
		if n.levels[i].name == name {
			return &n.levels[i]
		}
	}
	n.levels = append(n.levels, indexBranch{name: name})
	return &n.levels[len(n.levels)-1]
}

func (b *indexBranch) exactly(key string) *indexNode {
	if b.exact == nil {
		b.exact = make(map[string]*indexNode)
	}
	if b.exact[key] == nil {
		b.exact[key] = &indexNode{}
	}
	return b.exact[key]
}

func (b *indexBranch) prefix(key string) *indexNode {
	if b.prefixes == nil {
		b.prefixes = make(map[string]*indexNode)
	}
	if b.prefixes[key] == nil {
		b.prefixes[key] = &indexNode{}
		if i, found := slices.BinarySearch(b.lengths, len(key)); !found {
			b.lengths = slices.Insert(b.lengths, i, len(key))
		}
	}
	return b.prefixes[key]
}

// collect appends the ids that may match path to list. With below it takes those that name something below the path
// too; without, only those that do so by '*'.
func (n *indexNode) collect(path []*Element, below bool, list []int32) []int32 {
	list = append(list, n.here...)
	if len(path) == 0 {
		for i := range n.levels {
			b := &n.levels[i]
			if b.any != nil {
				list = b.any.collect(nil, below, list)
			}
			if below {
				list = b.collectNamed(nil, below, list)
			}
		}
		return list
	}
	e := path[0]
	for i := range n.levels {
		b := &n.levels[i]
		if b.name != e.Name {
			continue
		}
		if b.any != nil {
			list = b.any.collect(path[1:], below, list)
		}
		if len(e.Also) > 0 || e.Scope != ElementSelf {
			return b.collectNamed(path[1:], below, list)
		}
		if e.Value == "" || e.Value == "*" {
			return list
		}
		name := strings.ToLower(e.Value)
		if child := b.exact[name]; child != nil {
			list = child.collect(path[1:], below, list)
		}
		for _, length := range b.lengths {
			if length > len(name) {
				break
			}
			if child := b.prefixes[name[:length]]; child != nil {
				list = child.collect(path[1:], below, list)
			}
		}
		return list
	}
	return list
}

// collectNamed takes whatever the branch names other than '*'.
func (b *indexBranch) collectNamed(path []*Element, below bool, list []int32) []int32 {
	for _, child := range b.exact {
		list = child.collect(path, below, list)
	}
	for _, child := range b.prefixes {
		list = child.collect(path, below, list)
	}
	return list
}
