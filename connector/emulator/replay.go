package emulator

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"
)

// Instant is the state after one change of a trace.
type Instant struct {
	Cause TraceEntry
	// Server holds the state. It is the same server for all instants of a replay, so what is to be compared is read before
	// the next one.
	Server *Server
}

// Replay returns the states that the requests of a trace led through, one after each that took effect, in the order in
// which they did. start is the state before the first; the trace must hold all changes since then. Principals that start
// does not have are made when they are first named. Where the trace has a gap, or a request has another outcome than it had,
// the sequence ends with an error.
func Replay(start *Seed, trace []TraceEntry) iter.Seq2[Instant, error] {
	return func(yield func(Instant, error) bool) {
		changes := slices.DeleteFunc(slices.Clone(trace), func(e TraceEntry) bool { return e.Applied == 0 })
		slices.SortFunc(changes, func(a, b TraceEntry) int { return cmp.Compare(a.Applied, b.Applied) })
		s, err := New(Options{Seed: start, Tokens: map[string]string{"unused": accountUsers}, AutoPrincipals: true, TraceSize: 1})
		if err != nil {
			yield(Instant{}, err)
			return
		}
		for i, e := range changes {
			if e.Applied != changes[0].Applied+int64(i) {
				yield(Instant{}, fmt.Errorf("emulator: replay: the trace has a gap before change %d", e.Applied))
				return
			}
			if err := s.again(e); err != nil {
				yield(Instant{Cause: e}, fmt.Errorf("emulator: replay: change %d, %s %s: %w", e.Applied, e.Method, e.Path, err))
				return
			}
			if !yield(Instant{e, s}, nil) {
				return
			}
		}
	}
}

// again carries out the request of a trace as its caller.
func (s *Server) again(e TraceEntry) error {
	target := e.Path
	if e.Query != "" {
		target += "?" + e.Query
	}
	r, err := http.NewRequestWithContext(context.WithValue(context.Background(), replayed{}, e), e.Method, target, bytes.NewReader([]byte(e.Body)))
	if err != nil {
		return err
	}
	s.clock = func() time.Time { return e.Time }
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, r)
	if answer.Code >= 400 {
		return fmt.Errorf("refused with %d %s", answer.Code, bytes.TrimSpace(answer.Body.Bytes()))
	}
	return nil
}

// replayed is the key of the context of a request that is carried out again; the value is its TraceEntry.
type replayed struct{}

// Access is what a principal can do with an object.
type Access struct{ Type, Name, Privilege string }

// Access returns what a principal can do by its own grants, those of its groups, those inherited from containers, and as an
// owner, sorted. In a catalog or schema that is nothing without USE_CATALOG and USE_SCHEMA, which an owner has. Privileges
// that manage an object (MANAGE, BROWSE, and USE_* on the containers themselves) are part of it.
func (s *Server) Access(principal string) []Access {
	s.mu.RLock()
	defer s.mu.RUnlock()
	m, err := s.metastore()
	if err != nil {
		return nil
	}
	c := &call{srv: s, who: s.callerOf(s.directory.spelled(principal))}
	list := c.collectAccess(m, privilegeSet{}, true, nil)
	slices.SortFunc(list, func(a, b Access) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Privilege, b.Privilege))
	})
	return list
}

// collectAccess adds the access to o and to what is in it. inherited are the privileges on what o is in; open tells whether
// the way to o is open.
func (c *call) collectAccess(o *object, inherited privilegeSet, open bool, list []Access) []Access {
	privs := c.srv.privs
	fits := privs.set(applicable(o.res.typ, o.kind)...)
	direct := c.directPrivileges(o)
	held := direct.union(inherited)
	all := privs.bit[allPrivileges]
	usable := held
	if !held.overlap(all).empty() {
		usable = usable.union(fits.minus(privs.notImplied))
	}
	if c.who.identities[o.owner] {
		usable = usable.union(fits)
	}
	usable = usable.overlap(fits).minus(all)
	if open {
		for _, p := range privs.list(usable) {
			list = append(list, Access{string(o.res.typ), o.fullName(), string(p)})
		}
	}
	switch o.res.typ {
	case typeMetastore:
		held = privilegeSet{} // is not inherited
	case typeCatalog:
		open = open && !usable.overlap(privs.bit[useCatalog]).empty()
	case typeSchema:
		open = open && !usable.overlap(privs.bit[useSchema]).empty()
	}
	for _, children := range o.children {
		for child := range children.after("") {
			list = c.collectAccess(child, held, open, list)
		}
	}
	return list
}
