package order

import (
	"cmp"
	"slices"
	"strings"

	"ucwarden/policy"
)

// Options says what the order may count on.
type Options struct {
	// MayRemove tells whether a later sync would remove USE_* that was left over on a type of securable. Where it would
	// not, none is granted for a time. Nil means that it would.
	MayRemove func(policy.SecurableType, policy.Privilege) bool
	// Unread are containers above the changes whose grants are not known: anybody may hold USE_* there.
	Unread []policy.Securable
}

// Changes returns the changes in the order of their application: by waves, and in each those that revoke first. It takes
// changes without waves, at most one for each securable, and the grants that stand on the securables and, where known, on
// the containers above. The findings name changes during which somebody may lack, for a moment, what they keep: nobody can
// be spared that by single requests.
func Changes(changes []policy.Change, current *policy.GrantSet, o Options) ([]policy.Change, []policy.Finding) {
	var findings []policy.Finding
	ordered := slices.Clone(changes)
	slices.SortFunc(ordered, bySecurable)
	for first := 0; first < len(ordered); {
		last := endOfCatalog(ordered, first)
		if group := ordered[first:last]; plain(group) {
			for i := range group {
				group[i].Wave = 1
				group[i].Keep = Kept(current.Of(group[i].Securable), group[i])
			}
		} else {
			p := newProblem(group, current, o)
			list := p.solve()
			findings = append(findings, p.findings...)
			ordered = slices.Replace(ordered, first, last, list...)
			last = first + len(list)
		}
		first = last
	}
	slices.SortStableFunc(ordered, func(a, b policy.Change) int {
		return cmp.Or(cmp.Compare(a.Wave, b.Wave), cmp.Compare(revokesNothing(a), revokesNothing(b))) // each sorted by securable
	})
	return ordered, findings
}

// revokesNothing is 0 for changes that revoke, which go first, and 1 for others.
func revokesNothing(c policy.Change) int {
	if len(c.Remove) > 0 {
		return 0
	}
	return 1
}

func bySecurable(a, b policy.Change) int { return a.Securable.Compare(b.Securable) }

// endOfCatalog returns the index after the last change that is in the same catalog as the change at first; a change of
// a root object is by itself.
func endOfCatalog(changes []policy.Change, first int) int {
	last := first + 1
	if s := changes[first].Securable; inCatalog(s) {
		for name := catalogOf(s); last < len(changes) && inCatalog(changes[last].Securable) && catalogOf(changes[last].Securable) == name; last++ {
		}
	}
	return last
}

func inCatalog(s policy.Securable) bool { return s.Type == policy.Catalog || s.Type.Depth() > 1 }

func catalogOf(s policy.Securable) string {
	name, _, _ := strings.Cut(s.FullName, ".")
	return name
}

// plain reports whether changes of one catalog may be made in any order, one request each: none takes away what another
// gives, or none is of a container, so that no two of them bear on one object.
func plain(group []policy.Change) bool {
	if len(group) == 1 {
		return true
	}
	adds, removes, container := false, false, false
	for i := range group {
		adds, removes = adds || len(group[i].Add) > 0, removes || len(group[i].Remove) > 0
		container = container || group[i].Securable.Type.IsContainer()
	}
	return !adds || !removes || !container
}

// Kept returns the grants of have that must be sent along with the change, because it removes ALL_PRIVILEGES and they
// stay.
func Kept(have []policy.Assignment, c policy.Change) []policy.Assignment {
	var keep []policy.Assignment
	for _, r := range c.Remove {
		if r.Privilege != policy.AllPrivileges {
			continue
		}
		for _, a := range have {
			if a.Principal == r.Principal && a.Privilege.ClearedByAll() && a != r &&
				!slices.Contains(c.Remove, a) && !slices.Contains(c.RemoveTemporary, a) && !slices.Contains(c.Add, a) && !slices.Contains(c.AddTemporary, a) {
				keep = append(keep, a)
			}
		}
	}
	return keep
}
