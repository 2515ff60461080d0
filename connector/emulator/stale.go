package emulator

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// staleness says from how old a state a read is served; the zero value means the present state.
type staleness struct {
	age      time.Duration
	versions int
}

// grantsFor returns the grants on o, as old as c.stale says.
func (s *Server) grantsFor(c *call, o *object) grantList {
	if n := len(o.history); n > 0 {
		switch {
		case c.stale.versions > 0:
			return o.history[max(n-c.stale.versions, 0)].grants
		case c.stale.age > 0:
			then := time.Now().Add(-c.stale.age)
			for _, version := range o.history {
				if version.until.After(then) {
					return version.grants
				}
			}
		}
	}
	return o.grants
}

// children ranges over the objects of type t in parent whose name is above after, by name, as of the time that c.stale
// says.
func (s *Server) children(c *call, parent *object, t securableType, after string) iter.Seq[*object] {
	present := parent.list(t).after(after)
	if c.stale == (staleness{}) {
		return present
	}
	hidden, gone := s.listChanges(c, parent, t)
	if len(hidden)+len(gone) == 0 {
		return present
	}
	gone = slices.DeleteFunc(gone, func(o *object) bool { return o.name <= after })
	slices.SortFunc(gone, func(a, b *object) int { return cmp.Compare(a.name, b.name) })
	return func(yield func(*object) bool) {
		rest := gone
		for o := range present {
			for len(rest) > 0 && rest[0].name < o.name {
				if !yield(rest[0]) {
					return
				}
				rest = rest[1:]
			}
			if !hidden[o] && !yield(o) {
				return
			}
		}
		for _, o := range rest {
			if !yield(o) {
				return
			}
		}
	}
}

// listChanges returns how the list differed at the time that c.stale says: hidden objects were not there yet, gone ones
// were still there.
func (s *Server) listChanges(c *call, parent *object, t securableType) (hidden map[*object]bool, gone []*object) {
	hidden = make(map[*object]bool)
	then := time.Now().Add(-c.stale.age)
	left := c.stale.versions
	for _, change := range slices.Backward(s.journal) {
		if change.parent != parent || change.object.res.typ != t {
			continue
		}
		switch {
		case c.stale.versions > 0 && left == 0, c.stale.versions == 0 && !change.at.After(then):
			return hidden, gone
		}
		left--
		if change.added {
			hidden[change.object] = true
			gone = slices.DeleteFunc(gone, func(o *object) bool { return o == change.object })
		} else if hidden[change.object] {
			delete(hidden, change.object)
		} else {
			gone = append(gone, change.object)
		}
	}
	return hidden, gone
}
