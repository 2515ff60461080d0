package apply

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"ucwarden/connector/expansion"
	"ucwarden/connector/written"
	"ucwarden/policy"
	"ucwarden/policy/order"
)

// write sends a change and returns the grants on its securable afterwards, in which the change shows, with ALL_PRIVILEGES
// where the workspace shows it written out. Where the answer does not show all that is to stand, one further change is sent
// that may help; see [written.Change.Further].
func (a *applier) write(ctx context.Context, c policy.Change) ([]policy.Assignment, error) {
	w, err := a.attempt(ctx, c)
	if err != nil {
		return nil, err
	}
	rest := w.Rest()
	if further := w.Further(rest, a.provable); !further.Empty() {
		again, err := a.attempt(ctx, further)
		if err != nil {
			return nil, err
		}
		if w.Have, w.Shown, rest = again.Have, again.Shown, again.Rest(); rest.Empty() {
			rest = w.Rest()
		}
	}
	if !rest.Empty() {
		return nil, policy.Errorf(policy.CodeUnavailable, "the workspace accepted the change but shows other grants afterwards (%s)", rest)
	}
	return w.Have, nil
}

// provable reports whether a grant that stands can be told from a part of an ALL_PRIVILEGES that is shown written out: the
// policies want it, or it would have been removed. What no policy decides about may be shown as that part alone.
func (a *applier) provable(s policy.Securable, g policy.Assignment) bool {
	return a.MayRemove(s.Type, g.Privilege)
}

// attempt sends a change. Where the answer does not show it, the grants are read again: it may be older than the change.
func (a *applier) attempt(ctx context.Context, c policy.Change) (*written.Change, error) {
	w, answer, err := a.patch(ctx, c)
	if err != nil {
		return nil, err
	}
	a.learn(w, answer, false)
	if rest := w.Rest(); rest.Empty() {
		return w, nil
	}
	if answer, err = a.Permissions.Grants(ctx, c.Securable); err != nil {
		return nil, err
	}
	a.learn(w, answer, true)
	return w, nil
}

// learn notes what stands after a change, and how ALL_PRIVILEGES is shown there. again says that it was read after the answer.
func (a *applier) learn(w *written.Change, have []policy.Assignment, again bool) {
	a.Expansions.Learn(expansion.Answer{Change: w.Change, Before: w.Before.Grants, Kind: w.Before.Kind, Have: have, Again: again, Provable: a.provable})
	w.Shown, w.Have = have, a.Expansions.ReadBack(w.Securable, have, w.AppliedTo(w.Before.Grants))
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
func (a *applier) patch(ctx context.Context, c policy.Change) (w *written.Change, answer []policy.Assignment, err error) {
	w = &written.Change{Change: c, Before: a.Watch.Of(c.Securable)}
	for n, wait := 1, conflictWait; ; n, wait = n+1, 2*wait {
		if c.RemovesAll() {
			have, err := a.Permissions.Grants(ctx, c.Securable)
			if err != nil {
				return nil, nil, err
			}
			w.Before.Grants = a.Expansions.ReadBack(c.Securable, have, slices.Concat(c.Keep, c.Remove))
			w.Keep = order.Kept(w.Before.Grants, c)
		}
		answer, err = a.sendNoted(ctx, w.Change)
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
		return GivenUp(ctx.Err())
	}
}
