package emulator

// caller is the principal that makes a request, with the names and ids of itself and its groups.
type caller struct {
	name       string
	identities map[string]bool
	ids        []int64
}

// callerOf returns the caller of that name with its groups. s.mu must be held, here and below.
func (s *Server) callerOf(name string) *caller {
	if name == "" {
		return &caller{}
	}
	who := &caller{name: name, identities: s.directory.identities(name)}
	for name := range who.identities {
		if p := s.directory.byName[name]; p != nil {
			who.ids = append(who.ids, p.id)
		}
	}
	return who
}

// holdsInherited reports whether the caller has one of the privileges on o or on a container of it.
func (c *call) holdsInherited(o *object, set privilegeSet) bool {
	for at := o; at != nil; at = at.container() {
		if !c.directPrivileges(at).overlap(set).empty() {
			return true
		}
	}
	return false
}

// directPrivileges returns the privileges that the caller and its groups have directly on o.
func (c *call) directPrivileges(o *object) privilegeSet {
	var set privilegeSet
	if len(o.grants) == 0 {
		return set
	}
	for _, id := range c.who.ids {
		set = set.union(o.grants.of(id))
	}
	return set
}
