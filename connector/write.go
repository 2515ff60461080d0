package connector

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/order"
)

// write sends a change and returns the grants on its securable afterwards, in which the change shows, with ALL_PRIVILEGES
// where the workspace shows it written out. Where the answer does not show all that is to stand, one further change is sent
// that may help; see writing.further.
func (r *run) write(ctx context.Context, c policy.Change) ([]policy.Assignment, error) {
	w, err := r.attempt(ctx, c)
	if err != nil {
		return nil, err
	}
	rest := w.rest()
	if further := w.further(rest, r.provable); !further.Empty() {
		again, err := r.attempt(ctx, further)
		if err != nil {
			return nil, err
		}
		if w.have, w.shown, rest = again.have, again.shown, again.rest(); rest.Empty() {
			rest = w.rest()
		}
	}
	if !rest.Empty() {
		return nil, policy.Errorf(policy.CodeUnavailable, "the workspace accepted the change but shows other grants afterwards (%s)", rest)
	}
	return w.have, nil
}

// writing is a change that the workspace has accepted.
type writing struct {
	policy.Change                     // as it was sent
	before        Standing            // what stood, as far as known; all of it where ALL_PRIVILEGES is removed
	shown         []policy.Assignment // what stands, as the workspace shows it
	have          []policy.Assignment // the same, with ALL_PRIVILEGES where that is shown written out
}

// provable reports whether a grant that stands can be told from a part of an ALL_PRIVILEGES that is shown written out: the
// policies want it, or it would have been removed. What no policy decides about may be shown as that part alone.
func (r *run) provable(s policy.Securable, a policy.Assignment) bool {
	return r.Scope.Keeps(s.Type, a.Privilege, r.compiler.Expresses) == ""
}

// attempt sends a change. Where the answer does not show it, the grants are read again: it may be older than the change.
func (r *run) attempt(ctx context.Context, c policy.Change) (*writing, error) {
	w, answer, err := r.patch(ctx, c)
	if err != nil {
		return nil, err
	}
	r.expansions.Learn(w.Change, w.before.Grants, w.before.Kind, answer, false)
	w.shown, w.have = answer, r.expansions.ReadBack(w.Securable, answer, w.AppliedTo(w.before.Grants))
	if rest := w.rest(); rest.Empty() {
		return w, nil
	}
	if answer, err = r.grants(ctx, c.Securable); err != nil {
		return nil, err
	}
	r.expansions.Learn(w.Change, w.before.Grants, w.before.Kind, answer, true)
	w.shown, w.have = answer, r.expansions.ReadBack(w.Securable, answer, w.AppliedTo(w.before.Grants))
	return w, nil
}

// rest returns what is not so yet. Whom ALL_PRIVILEGES is taken from is to hold all else that is not taken.
func (w *writing) rest() policy.Change {
	rest := policy.Change{Securable: w.Securable, Wave: w.Wave}
	add, remove := w.Request()
	for _, a := range w.before.Grants {
		all := policy.Assignment{Principal: a.Principal, Privilege: policy.AllPrivileges}
		if slices.Contains(remove, all) && !slices.Contains(remove, a) && !slices.Contains(add, a) {
			add = append(add, a)
		}
	}
	for _, a := range add {
		if !slices.Contains(w.have, a) {
			rest.Add = append(rest.Add, a)
		}
	}
	stays := w.AppliedTo(w.before.Grants)
	for _, a := range remove {
		all := policy.Assignment{Principal: a.Principal, Privilege: policy.AllPrivileges}
		part := slices.Contains(w.shown, a) && slices.Contains(w.have, all) && !slices.Contains(stays, all)
		if part || slices.Contains(w.have, a) {
			rest.Remove = append(rest.Remove, a)
		}
	}
	return rest
}

// further returns the change that makes up for what is not so; an empty one where none can. More may go with ALL_PRIVILEGES
// than is known to, also what is sent with its removal: that is put back. And what cannot be removed by itself may be part of
// an ALL_PRIVILEGES that the workspace shows written out, and that nobody is to have: that is removed, and what stays of what
// its principal holds is put back with it. Of what was shown as its part alone nothing is: see [run.provable].
func (w *writing) further(rest policy.Change, provable func(policy.Securable, policy.Assignment) bool) policy.Change {
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
	stays := w.AppliedTo(w.before.Grants)
	for _, a := range rest.Remove {
		all := policy.Assignment{Principal: a.Principal, Privilege: policy.AllPrivileges}
		if a == all || !policy.AllPrivileges.Implies(a.Privilege) || slices.Contains(stays, all) || slices.Contains(w.shown, all) {
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

const (
	// maxConflicts is how often a change is sent that somebody else's change of the same object comes in the way of.
	maxConflicts = 6
	// conflictWait is about how long is waited after the first of them; twice as long after each further one.
	conflictWait = 100 * time.Millisecond
)

// patch sends a change, and again while the workspace answers that the object is being changed by somebody else. What goes
// with a removal of ALL_PRIVILEGES, which clears the rest, follows from what stands at that moment: it is read just before,
// so that nothing is lost that was granted since the plan was made, and nothing comes back that was taken away.
func (r *run) patch(ctx context.Context, c policy.Change) (w *writing, answer []policy.Assignment, err error) {
	w = &writing{Change: c, before: r.watch.of(c.Securable)}
	for n, wait := 1, conflictWait; ; n, wait = n+1, 2*wait {
		if c.RemovesAll() {
			have, err := r.grants(ctx, c.Securable)
			if err != nil {
				return nil, nil, err
			}
			w.before.Grants = r.expansions.ReadBack(c.Securable, have, slices.Concat(c.Keep, c.Remove))
			w.Keep = order.Kept(w.before.Grants, c)
		}
		answer, err = r.sendNoted(ctx, w.Change)
		if policy.CodeOf(err) != policy.CodeConflict {
			return w, answer, err
		}
		if n == maxConflicts || !c.RemovesAll() { // the client itself has tried others again
			return nil, nil, policy.Errorf(policy.CodeUnavailable, "somebody else keeps changing the same object: %w", err)
		}
		if err := pause(ctx, wait/2+rand.N(wait)); err != nil {
			return nil, nil, err
		}
	}
}

// pause waits; the error says that the sync was given up.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return givenUp(ctx.Err())
	}
}
