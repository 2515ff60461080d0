package emulator

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

type effectivePrivilege struct {
	Privilege         privilege     `json:"privilege"`
	InheritedFromType securableType `json:"inherited_from_type,omitempty"` // absent: granted on the object itself
	InheritedFromName string        `json:"inherited_from_name,omitempty"`
}

type effectiveAssignment struct {
	Principal   string               `json:"principal"`
	PrincipalID int64                `json:"principal_id,omitempty"`
	Privileges  []effectivePrivilege `json:"privileges"`
}

func (s *Server) getEffective(c *call) (any, error)  { return s.effectiveGrants(c, permissionPages) }
func (s *Server) listEffective(c *call) (any, error) { return s.effectiveGrants(c, effectiveNewPages) }

// effectiveGrants returns direct and inherited privileges: those of the object, then of its schema and its catalog.
// Groups are not resolved: a privilege is listed under the principal it was granted to.
func (s *Server) effectiveGrants(c *call, pages grantPages) (any, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o, only, err := s.findReadable(c)
	if err != nil {
		return nil, err
	}
	byID := make(map[int64][]effectivePrivilege)
	for at := o; at != nil; at = at.container() {
		for _, g := range s.grantsFor(c, at) {
			if only != 0 && g.id != only {
				continue
			}
			for _, p := range s.privs.list(s.reported(at, g.privs)) {
				e := effectivePrivilege{Privilege: p}
				if at != o {
					e.InheritedFromType, e.InheritedFromName = at.res.typ, at.fullName()
				}
				byID[g.id] = append(byID[g.id], e)
			}
		}
	}
	list := make([]effectiveAssignment, 0, len(byID))
	for id, privileges := range byID {
		a := effectiveAssignment{Principal: s.directory.nameOfID(id), Privileges: privileges}
		if a.Principal == "" {
			a.PrincipalID = id
		}
		list = append(list, a)
	}
	sortByPrincipal(list, func(a effectiveAssignment) (string, int64) { return a.Principal, a.PrincipalID })
	return pagePermissions(c, pages, list)
}

// pageable is an assignment in a paged list.
type pageable interface {
	key() string // in the order of sortByPrincipal
	count() int  // privileges in it
}

func (a privilegeAssignment) key() string { return principalKey(a.Principal, a.PrincipalID) }
func (a privilegeAssignment) count() int  { return len(a.Privileges) }
func (a effectiveAssignment) key() string { return principalKey(a.Principal, a.PrincipalID) }
func (a effectiveAssignment) count() int  { return len(a.Privileges) }

// principalKey returns a sort key: principals by name, then deleted ones by id.
func principalKey(name string, id int64) string {
	if name != "" {
		return "0" + name
	}
	return fmt.Sprintf("1%020d", id)
}

func sortByPrincipal[T any](list []T, of func(T) (string, int64)) {
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(principalKey(of(a)), principalKey(of(b))) })
}

func jsonNumber(n int64) string { return strconv.FormatInt(n, 10) }
