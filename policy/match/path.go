package match

import (
	"slices"

	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
)

// Forest is the resource trees that policies of one type follow.
type Forest struct {
	Names []string // parallel slices: a handful of names is faster searched than hashed
	defs  []*ranger.ResourceDef
	place []place
}

// place is where a level lies in its tree: how deep, and below which other level, -1 for none.
type place struct{ depth, parent int }

func NewForest(hierarchies [][]*ranger.ResourceDef) *Forest {
	f := &Forest{}
	for _, h := range hierarchies {
		for depth, def := range h {
			if !slices.Contains(f.Names, def.Name) {
				f.place = append(f.place, place{depth, slices.Index(f.Names, def.Parent)})
				f.Names, f.defs = append(f.Names, def.Name), append(f.defs, def)
			}
		}
	}
	return f
}

// Resource returns the definition of a resource of the trees, nil when there is none of that name.
func (f *Forest) Resource(name string) *ranger.ResourceDef {
	def, _ := f.find(name)
	return def
}

func (f *Forest) find(name string) (def *ranger.ResourceDef, depth int) {
	if i := slices.Index(f.Names, name); i >= 0 {
		return f.defs[i], f.place[i].depth
	}
	return nil, 0
}

// maxDepth bounds the levels of a request's path; deeper trees than this do not exist in any service definition.
const maxDepth = 16

// path orders the elements of a resource from the root into buf; ok is false when they form no path without gaps.
func (f *Forest) path(r Resource, buf *[maxDepth]*Element) (path []*Element, ok bool) {
	if len(r) > maxDepth {
		return nil, false
	}
	path = buf[:len(r)]
	clear(path)
	var levels [maxDepth]int // of the path, as numbers in Names
	for i := range r {
		level := slices.Index(f.Names, r[i].Name)
		if level < 0 || f.place[level].depth >= len(r) || path[f.place[level].depth] != nil {
			return nil, false
		}
		depth := f.place[level].depth
		path[depth], levels[depth] = &r[i], level
	}
	for i := 1; i < len(path); i++ {
		if f.place[levels[i]].parent != levels[i-1] {
			return nil, false
		}
	}
	return path, true
}

// Path is a request's resource, ordered from the root by the resource trees of one policy type.
type Path struct {
	buf      [maxDepth]*Element
	Elements []*Element
	OK       bool     // the elements form a path without gaps
	ascii    bool     // no name has other characters than ASCII
	loose    []string // the values of Elements by naming.Loose, as an Index looks them up
}

// Set orders the elements of a resource by the resource trees.
func (p *Path) Set(f *Forest, r Resource) *Path {
	p.Elements, p.OK = f.path(r, &p.buf)
	p.fold()
	for i := 0; !p.OK && i < len(r); i++ { // of no path, too, it is asked whether names are only alike
		p.ascii = p.ascii && naming.IsASCII(r[i].Value)
	}
	return p
}

// fold folds the values of the elements.
func (p *Path) fold() {
	names, allASCII := p.loose[:0], true
	for _, e := range p.Elements {
		loose, ascii := naming.LooseASCII(e.Value)
		names, allASCII = append(names, loose), allASCII && ascii
	}
	p.loose, p.ascii = names, allASCII
}

// IsASCII reports whether no name has other characters than ASCII.
func (p *Path) IsASCII() bool { return p.ascii }

// setTag makes the path that of a tag, as a resource of the tag service.
func (p *Path) setTag(tag string) {
	p.buf[0] = &Element{Name: ranger.TagResource, Value: tag}
	p.Elements, p.OK = p.buf[:1], true
	p.fold()
}

// Clear drops what the path points to.
func (p *Path) Clear() {
	clear(p.Elements)
	clear(p.loose)
	p.Elements, p.loose = nil, p.loose[:0]
}
