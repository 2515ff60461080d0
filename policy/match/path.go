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
	depth []int
}

func NewForest(hierarchies [][]*ranger.ResourceDef) *Forest {
	f := &Forest{}
	for _, h := range hierarchies {
		for depth, def := range h {
			if !slices.Contains(f.Names, def.Name) {
				f.Names, f.defs, f.depth = append(f.Names, def.Name), append(f.defs, def), append(f.depth, depth)
			}
		}
	}
	return f
}

func (f *Forest) find(name string) (def *ranger.ResourceDef, depth int) {
	for i, n := range f.Names {
		if n == name {
			return f.defs[i], f.depth[i]
		}
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
	var parents [maxDepth]string
	for i := range r {
		def, depth := f.find(r[i].Name)
		if def == nil || depth >= len(r) || path[depth] != nil {
			return nil, false
		}
		path[depth], parents[depth] = &r[i], def.Parent
	}
	for i := 1; i < len(path); i++ {
		if parents[i] != path[i-1].Name {
			return nil, false
		}
	}
	return path, true
}

// Path is a request's resource, ordered from the root by the resource trees of one policy type.
type Path struct {
	buf      [maxDepth]*Element
	Elements []*Element
	OK       bool // the elements form a path without gaps
	ascii    bool // no name has other characters than ASCII
}

// Set orders the elements of a resource by the resource trees.
func (p *Path) Set(f *Forest, r Resource) *Path {
	p.Elements, p.OK = f.path(r, &p.buf)
	p.ascii = true
	for i := range r {
		p.ascii = p.ascii && naming.IsASCII(r[i].Value)
	}
	return p
}

// IsASCII reports whether no name has other characters than ASCII.
func (p *Path) IsASCII() bool { return p.ascii }

// setTag makes the path that of a tag, as a resource of the tag service.
func (p *Path) setTag(tag string) {
	p.buf[0] = &Element{Name: TagResource, Value: tag}
	p.Elements, p.OK, p.ascii = p.buf[:1], true, naming.IsASCII(tag)
}

// Clear drops what the path points to.
func (p *Path) Clear() {
	clear(p.Elements)
	p.Elements = nil
}

// TagResource is the only resource of a tag service.
const TagResource = "tag"
