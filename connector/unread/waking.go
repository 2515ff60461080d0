package unread

import (
	"fmt"
	"maps"
	"slices"

	"ucwarden/connector/load"
	"ucwarden/policy"
)

// withoutNewUse returns the desired grants without the new USE_* by which grants that could not be looked at would begin to
// confer access: they may be to be revoked first. That is the USE_* next to them, and the one further out only where somebody
// has, or is to have, the one next to them already, or where nobody knows who has. The findings say so. A sync that has read everything grants it.
func withoutNewUse(l *load.Found, desired *policy.GrantSet) (*policy.GrantSet, []policy.Finding) {
	w := waking{Found: l, desired: desired, kept: desired}
	next, further := make(map[policy.Securable]load.LeftOut), make(map[policy.Securable]load.LeftOut)
	note := func(on map[policy.Securable]load.LeftOut, c policy.Securable, left load.LeftOut) {
		if _, noted := on[c]; !noted {
			on[c] = left
		}
	}
	for _, left := range l.Left {
		s := left.Securable
		if !left.MayWake() || s.FullName == "" {
			continue
		}
		inside := func(note func(policy.Securable)) {
			for _, c := range l.Read {
				if c.Type == policy.Schema && c != s && s.Contains(c) {
					note(c)
				}
			}
		}
		switch {
		case s.Type.IsContainer() && !left.Listing: // who has USE_* on it is not known either
			for c, ok := s, true; ok; c, ok = c.Parent() {
				note(next, c, left)
			}
			inside(func(c policy.Securable) { note(next, c, left) })
		case s.Type == policy.Catalog:
			if left.Schemas { // who has USE_SCHEMA on one that is missing is not known
				note(next, s, left)
			} else {
				note(further, s, left)
			}
			inside(func(c policy.Securable) { note(next, c, left) })
		default:
			if !s.Type.IsContainer() {
				s, _ = s.Parent()
			}
			if catalog, ok := s.Parent(); ok {
				note(next, s, left)
				note(further, catalog, left)
			}
		}
	}
	for _, c := range slices.SortedFunc(maps.Keys(next), policy.Securable.Compare) {
		w.withhold(c, next[c], func(policy.Assignment, policy.PrivilegeSet) bool { return true })
	}
	for _, c := range slices.SortedFunc(maps.Keys(further), policy.Securable.Compare) {
		inside := w.usersInside(c, func(schema policy.Securable) bool {
			_, bears := next[schema]
			return bears
		})
		w.withhold(c, further[c], func(a policy.Assignment, opened policy.PrivilegeSet) bool {
			return opened.Has(policy.UseSchema) || slices.ContainsFunc(inside, func(p policy.Principal) bool { return mayMeet(p, a.Principal) })
		})
	}
	return w.kept, w.findings
}

// waking are desired grants of which some are withheld.
type waking struct {
	*load.Found
	desired, kept *policy.GrantSet
	findings      []policy.Finding
}

// withhold takes out what confers USE_* on a container that its principal does not have there, and that pick picks.
func (w *waking) withhold(c policy.Securable, left load.LeftOut, pick func(a policy.Assignment, opened policy.PrivilegeSet) bool) {
	if _, read := slices.BinarySearchFunc(w.Read, c, policy.Securable.Compare); !read {
		return // nothing is changed on it
	}
	var rest []policy.Assignment
	for _, a := range w.kept.Of(c) {
		if opened := Opens(w.Found, c, a); opened == 0 || !pick(a, opened) {
			rest = append(rest, a)
			continue
		}
		w.findings = append(w.findings, policy.Finding{
			Effect: policy.EffectNarrower, Securable: c, Principal: a.Principal, Privilege: a.Privilege,
			Message: fmt.Sprintf("%s is not granted %s on %s yet: %s, and what was granted there may be to be revoked first", a.Principal, a.Privilege, c, left),
		})
	}
	if len(rest) == len(w.kept.Of(c)) {
		return
	}
	if w.kept == w.desired {
		w.kept = w.desired.Clone()
	}
	w.kept.Set(c, rest)
}

// usersInside returns who has, or is to have, USE_SCHEMA on a catalog or on those of its schemas that bear on it.
func (w *waking) usersInside(catalog policy.Securable, bears func(schema policy.Securable) bool) []policy.Principal {
	var list []policy.Principal
	for _, s := range w.Read {
		if s != catalog && (s.Type != policy.Schema || !catalog.Contains(s) || !bears(s)) {
			continue
		}
		for _, a := range slices.Concat(w.Current.Of(s), w.kept.Of(s)) {
			if a.Privilege.Implies(policy.UseSchema) && !slices.Contains(list, a.Principal) {
				list = append(list, a.Principal)
			}
		}
	}
	return list
}

// mayMeet reports whether somebody may have the grants of both principals.
func mayMeet(p, q policy.Principal) bool {
	return p == q || p.Kind == policy.Group || q.Kind == policy.Group || p.Kind == policy.UnknownKind || q.Kind == policy.UnknownKind
}
