package written

import (
	"slices"

	"ucwarden/policy"
)

// Change is a change that the workspace has accepted.
type Change struct {
	policy.Change                     // as it was sent
	Before        Standing            // what stood, as far as known; all of it where ALL_PRIVILEGES is removed
	Shown         []policy.Assignment // what stands, as the workspace shows it
	Have          []policy.Assignment // the same, with ALL_PRIVILEGES where that is shown written out
}

// Rest returns what is not so yet. Whom ALL_PRIVILEGES is taken from is to hold all else that is not taken.
func (w *Change) Rest() policy.Change {
	rest := policy.Change{Securable: w.Securable, Wave: w.Wave}
	add, remove := w.Request()
	for _, a := range w.Before.Grants {
		all := policy.Assignment{Principal: a.Principal, Privilege: policy.AllPrivileges}
		if slices.Contains(remove, all) && !slices.Contains(remove, a) && !slices.Contains(add, a) {
			add = append(add, a)
		}
	}
	for _, a := range add {
		if !slices.Contains(w.Have, a) {
			rest.Add = append(rest.Add, a)
		}
	}
	stays := w.AppliedTo(w.Before.Grants)
	for _, a := range remove {
		all := policy.Assignment{Principal: a.Principal, Privilege: policy.AllPrivileges}
		part := slices.Contains(w.Shown, a) && slices.Contains(w.Have, all) && !slices.Contains(stays, all)
		if part || slices.Contains(w.Have, a) {
			rest.Remove = append(rest.Remove, a)
		}
	}
	return rest
}

// Further returns the change that makes up for what is not so; an empty one where none can. More may go with ALL_PRIVILEGES
// than is known to, also what is sent with its removal: that is put back. And what cannot be removed by itself may be part of
// an ALL_PRIVILEGES that the workspace shows written out, and that nobody is to have: that is removed, and what stays of what
// its principal holds is put back with it. What is not provable is
// not: it may be shown as that part alone.
func (w *Change) Further(rest policy.Change, provable func(policy.Securable, policy.Assignment) bool) policy.Change {
	c := policy.Change{Securable: w.Securable, Wave: w.Wave, Causes: make(policy.Causes)}
	if w.RemovesAll() {
		c.Add = rest.Add
		for _, a := range rest.Add {
			cause := policy.Cause{Kind: policy.CauseKept}
			if slices.Contains(w.Add, a) {
				cause = w.Causes.Of(policy.ActAdd, a)
			}
			c.Causes.Set(policy.ActAdd, a, cause)
		}
	}
	stays := w.AppliedTo(w.Before.Grants)
	for _, a := range rest.Remove {
		all := policy.Assignment{Principal: a.Principal, Privilege: policy.AllPrivileges}
		if a == all || !policy.AllPrivileges.Implies(a.Privilege) || slices.Contains(stays, all) || slices.Contains(w.Shown, all) {
			continue
		}
		for _, k := range stays {
			if k.Principal == a.Principal && provable(w.Securable, k) && !slices.Contains(c.Keep, k) {
				c.Keep = append(c.Keep, k)
			}
		}
		for _, r := range []policy.Assignment{all, a} {
			if !slices.Contains(c.Remove, r) {
				c.Remove = append(c.Remove, r)
				c.Causes.Set(policy.ActRemove, r, w.Causes.Of(policy.ActRemove, a))
			}
		}
	}
	return c
}
