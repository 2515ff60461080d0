package order

import (
	"slices"

	"ucwarden/policy"
)

// Unmade is what of the changes of a plan was not made, noted wave by wave while they are applied. The zero value holds
// nothing.
type Unmade struct {
	adds, removes map[policy.Principal][]policy.Securable
}

// Note notes what of a planned change was not made, given what was.
func (u *Unmade) Note(planned, made policy.Change) {
	if u.adds == nil {
		u.adds, u.removes = make(map[policy.Principal][]policy.Securable), make(map[policy.Principal][]policy.Securable)
	}
	s := planned.Securable
	note := func(on map[policy.Principal][]policy.Securable, planned, made []policy.Assignment) {
		for _, a := range planned {
			if !slices.Contains(made, a) {
				on[a.Principal] = append(on[a.Principal], s)
			}
		}
	}
	note(u.adds, planned.Add, made.Add)
	note(u.removes, slices.Concat(planned.Remove, planned.RemoveTemporary), slices.Concat(made.Remove, made.RemoveTemporary))
}

// WithoutHeldBack returns what of a change may be made, given what was not made in earlier waves, and whether that is
// not all of it.
func (u *Unmade) WithoutHeldBack(c policy.Change) (rest policy.Change, some bool) {
	var held []policy.Assignment
	for _, w := range c.Waits {
		on := u.adds
		if slices.Contains(c.Add, w.Assignment) {
			on = u.removes
		}
		if slices.ContainsFunc(w.On, func(p policy.Principal) bool {
			return slices.ContainsFunc(on[p], func(s policy.Securable) bool { return s.Contains(c.Securable) || c.Securable.Contains(s) })
		}) {
			held = append(held, w.Assignment)
		}
	}
	if len(held) == 0 {
		return c, false
	}
	return c.Filter(func(a policy.Assignment) bool { return !slices.Contains(held, a) }), true
}
