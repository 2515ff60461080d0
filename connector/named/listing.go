package named

import (
	"iter"
	"slices"
	"strings"

	"ucwarden/connector/load"
	"ucwarden/policy"
)

// Listing is what there is in a workspace, or in a part of it, to compare names with. It is read when it is first asked, once for all that
// ask.
type Listing struct {
	objects  iter.Seq[policy.Securable]
	left     []load.LeftOut // what could not be listed, or not be seen
	exists   map[policy.Securable]bool
	siblings map[policy.Securable][]string // names by what they lie in, with their type
}

// Listed returns what a sync found.
func Listed(found *load.Found) *Listing {
	return &Listing{left: slices.Concat(found.Left, found.Hidden), objects: func(yield func(policy.Securable) bool) {
		for o := range found.Inventory.Objects {
			if !yield(o.Securable) {
				return
			}
		}
	}}
}

// ListOf returns objects that were listed before.
func ListOf(objects []policy.Securable) *Listing { return &Listing{objects: slices.Values(objects)} }

func (l *Listing) read() {
	if l.exists != nil {
		return
	}
	l.exists, l.siblings = make(map[policy.Securable]bool), make(map[policy.Securable][]string)
	for s := range l.objects {
		in, name := apart(s)
		l.exists[s] = true
		of := policy.Securable{Type: s.Type, FullName: in}
		l.siblings[of] = append(l.siblings[of], name)
	}
}

func (l *Listing) has(s policy.Securable) bool {
	l.read()
	return l.exists[s]
}

// hides reports whether an object may be there although it was not found, for something that could not be listed.
func (l *Listing) hides(o policy.Securable) bool {
	return slices.ContainsFunc(l.left, func(left load.LeftOut) bool {
		return left.Listing && (left.Securable.FullName == "" && left.Securable.Type == o.Type || left.Securable.Contains(o)) || left.Securable == o
	})
}

// siblingsOf returns the names of the objects of the same type in what an object lies in.
func (l *Listing) siblingsOf(s policy.Securable) []string {
	l.read()
	in, _ := apart(s)
	return l.siblings[policy.Securable{Type: s.Type, FullName: in}]
}

// apart parts the name of an object from that of what it lies in.
func apart(s policy.Securable) (in, name string) {
	if at := strings.LastIndexByte(s.FullName, '.'); at >= 0 && s.Type.Depth() > 1 {
		return s.FullName[:at], s.FullName[at+1:]
	}
	return "", s.FullName
}
