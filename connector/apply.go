package connector

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"ucwarden/group"
	"ucwarden/policy"
	"ucwarden/policy/order"
)

// ErrHeldBack is the error of a change of which some was not tried, because a change that this depends on failed:
// applying it alone could open what should stay closed.
var ErrHeldBack = errors.New("held back, because an earlier change that it depends on failed")

// errOutdated ends an apply whose plan is no longer what the policies mean.
var errOutdated = policy.Errorf(policy.CodeUnavailable, "the policies changed while the plan was being applied; the rest is planned anew")

// apply carries out changes wave by wave, those of a wave at once. What waits for something that was not made is held
// back; see policy.Wait. With an error, the outcomes end with the wave it happened in. On what is in closed nothing is added
// yet; unmade, which may be nil, is what was not made before.
func (r *run) apply(ctx context.Context, changes []policy.Change, closed map[policy.Securable]bool, unmade *order.Unmade) ([]Outcome, error) {
	defer r.saveExpansions(context.WithoutCancel(ctx))
	outcomes := make([]Outcome, len(changes))
	if unmade == nil {
		unmade = new(order.Unmade)
	}
	for first := 0; first < len(changes); {
		last := endOfWave(changes, first)
		var outdated atomic.Bool
		g := group.New() // not ended by the first error: what is on its way when the policies change is waited for
		g.SetLimit(r.Parallel)
		for i := first; i < last; i++ {
			g.Go(func() error {
				if outcomes[i] = r.applyUnlessHeldBack(ctx, changes[i], unmade, closed[changes[i].Securable]); errors.Is(outcomes[i].Err, errOutdated) {
					outdated.Store(true)
				}
				return nil
			})
		}
		_ = g.Wait() // no function fails: outcomes hold the errors
		switch {
		case outdated.Load():
			return outcomes[:last], errOutdated
		case ctx.Err() != nil:
			return outcomes[:last], givenUp(ctx.Err())
		}
		for i := first; i < last; i++ {
			if outcomes[i].Err != nil {
				unmade.Note(changes[i], outcomes[i].Change)
			}
		}
		r.request.report("apply", last, len(changes))
		first = last
	}
	return outcomes, nil
}

// applyUnlessHeldBack applies what of a change does not depend on what was not made.
func (r *run) applyUnlessHeldBack(ctx context.Context, c policy.Change, unmade *order.Unmade, closed bool) Outcome {
	rest, held := unmade.WithoutHeldBack(c)
	if closed {
		adding := make(map[policy.Principal]bool)
		for _, a := range slices.Concat(rest.Add, rest.AddTemporary) {
			adding[a.Principal] = true
		}
		held = held || len(adding) > 0
		rest = rest.Filter(func(a policy.Assignment) bool { return !adding[a.Principal] }) // what is replaced stays with what replaces it
	}
	out := nothingDone(c)
	if !rest.Empty() {
		out = r.applyChange(ctx, rest)
	}
	if held && out.Err == nil && !out.Gone {
		out.Err = ErrHeldBack
	}
	return out
}

// endOfWave returns the index after the last change of the wave that begins at first.
func endOfWave(changes []policy.Change, first int) int {
	last := first
	for last < len(changes) && changes[last].Wave == changes[first].Wave {
		last++
	}
	return last
}

func nothingDone(c policy.Change) Outcome {
	return Outcome{Change: policy.Change{Securable: c.Securable, Wave: c.Wave, Causes: c.Causes}}
}

// applyChange applies one change, unless the policies have changed. The coordinator leaves out what other syncs
// require.
func (r *run) applyChange(ctx context.Context, planned policy.Change) Outcome {
	c := r.coordinator.Enter(r.id, r.compiler, planned)
	defer r.coordinator.Leave(r.compiler, c)
	out := nothingDone(c)
	if err := ctx.Err(); err != nil {
		out.Err = givenUp(err)
		return out
	}
	// Looked at only now that the change is known to be on its way: a sync by newer policies waits for it, or this
	// sees the newer policies.
	if g, err := r.current(); err != nil || g.compiler != r.compiler {
		out.Err = errOutdated
		return out
	}
	err := r.send(ctx, c, &out)
	r.metrics.changed(out.Change)
	if err != nil {
		r.coordinator.Forget(c.Securable)
	}
	if policy.CodeOf(err) == policy.CodeNotFound { // perhaps about the call alone
		switch _, getErr := r.Workspace.Get(ctx, c.Securable); {
		case policy.CodeOf(getErr) == policy.CodeNotFound:
			out.Gone, err = true, nil // dropped since it was listed: nothing is left to protect
		case getErr == nil:
			err = policy.Errorf(policy.CodeInvalid, "%s exists, but the call that changes its grants does not find it: %w", c.Securable, err)
		default:
			err = getErr
		}
	}
	switch {
	case err != nil:
		r.metrics.failures.Inc()
		out.Err = err
	}
	return out
}

// send sends a change, and notes in out what of it holds. Principals that the workspace does not know are left out:
// those known as such beforehand, and those that it names, or that are found by sending the rest in parts.
func (r *run) send(ctx context.Context, c policy.Change, out *Outcome) error {
	for parts := []policy.Change{c}; len(parts) > 0; {
		part, left := order.WithoutAdds(parts[0], r.unknown.Has)
		out.addUnknown(left...)
		parts = parts[1:]
		if part.Empty() {
			continue
		}
		have, err := r.write(ctx, part)
		if refused, ok := errors.AsType[*PrincipalError](err); ok {
			unknown, smaller := order.SplitRefused(part, refused.Principal)
			if unknown.Name != "" {
				out.addUnknown(unknown)
				r.rememberUnknown(ctx, unknown, c.Securable)
			}
			parts = slices.Concat(smaller, parts)
			continue
		}
		if err != nil {
			return err
		}
		r.coordinator.Wrote(c.Securable, have)
		r.watch.Landed(part, have)
		r.forgetUnknown(ctx, part.Add)
		out.Change.Add, out.Change.Remove = append(out.Change.Add, part.Add...), append(out.Change.Remove, part.Remove...)
		out.Change.AddTemporary = append(out.Change.AddTemporary, part.AddTemporary...)
		out.Change.RemoveTemporary = append(out.Change.RemoveTemporary, part.RemoveTemporary...)
	}
	return nil
}

func (o *Outcome) addUnknown(list ...policy.Principal) {
	for _, p := range list {
		if !slices.Contains(o.Unknown, p) {
			o.Unknown = append(o.Unknown, p)
		}
	}
}

func (r *run) rememberUnknown(ctx context.Context, p policy.Principal, on policy.Securable) {
	if err := r.Syncer.unknown.Add(p, on); err != nil {
		r.Logger.WarnContext(ctx, "an unknown principal will be tried again by the next run", "principal", p.Name, "error", err)
	}
}

// forgetUnknown notes that the workspace knows whom a change granted something.
func (r *run) forgetUnknown(ctx context.Context, granted []policy.Assignment) {
	if len(granted) == 0 || r.Syncer.unknown.Len() == 0 {
		return
	}
	known := make(map[policy.Principal]bool)
	for _, a := range granted {
		known[a.Principal] = true
	}
	if err := r.Syncer.unknown.Remove(func(p policy.Principal) bool { return known[p] }); err != nil {
		r.Logger.WarnContext(ctx, "cannot save that principals are known", "error", err)
	}
}
