package connector

import (
	"context"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"ucwarden/policy"
)

// ErrHeldBack is the error of a change that was not tried, because one it depends on failed: applying it alone could
// open or close what should not be.
var ErrHeldBack = errors.New("held back, because an earlier change above or below it failed")

// apply carries out a plan wave by wave, the changes of a wave at once. A change whose lineage had a failure in an
// earlier wave is held back.
func (s *Syncer) apply(ctx context.Context, w *work, r Request) ([]Outcome, error) {
	changes := w.plan.Changes
	outcomes := make([]Outcome, len(changes))
	failed := &lineages{}
	done := 0
	for first := 0; first < len(changes); {
		last := first
		for last < len(changes) && changes[last].Wave == changes[first].Wave {
			last++
		}
		if !s.Policies.Current().Same(w.snapshot) {
			return outcomes[:first], policy.Errorf(policy.CodeUnavailable, "the policies changed while the plan was being applied; the rest is planned anew")
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(s.Parallel)
		for i := first; i < last; i++ {
			if failed.touch(changes[i].Securable) {
				outcomes[i] = Outcome{Change: changes[i], Err: ErrHeldBack}
				continue
			}
			g.Go(func() error {
				outcomes[i] = s.applyChange(gctx, w, changes[i])
				return gctx.Err()
			})
		}
		if err := g.Wait(); err != nil {
			return outcomes[:last], err
		}
		for i := first; i < last; i++ {
			if err := outcomes[i].Err; err != nil {
				failed.add(changes[i].Securable)
				s.Logger.WarnContext(ctx, "change not applied", "securable", changes[i].Securable.String(), "error", err)
			}
		}
		done += last - first
		r.report("apply", done, len(changes))
		first = last
	}
	return outcomes, nil
}

// lineages is a set of securables, asked about what is above or below them.
type lineages struct {
	failed map[policy.Securable]bool
	above  map[policy.Securable]bool // containers of what failed
}

func (l *lineages) add(s policy.Securable) {
	if l.failed == nil {
		l.failed, l.above = make(map[policy.Securable]bool), make(map[policy.Securable]bool)
	}
	l.failed[s] = true
	for p, ok := s.Parent(); ok; p, ok = p.Parent() {
		l.above[p] = true
	}
}

func (l *lineages) touch(s policy.Securable) bool {
	if l.above[s] {
		return true
	}
	for ok := true; ok; s, ok = s.Parent() {
		if l.failed[s] {
			return true
		}
	}
	return false
}

// applyChange sends one change. Where another sync changed the securable since it was read, what is still to change is
// worked out again first. Principals the workspace does not know are left out, by name where the answer names them and
// by halving where not, so that they do not keep the others from what is theirs.
func (s *Syncer) applyChange(ctx context.Context, w *work, c policy.Change) Outcome {
	out := Outcome{Change: c}
	if s.ledger.changedSince(c.Securable, w.began) {
		have, err := s.Workspace.Grants(ctx, c.Securable)
		if err != nil {
			return s.failure(out, err)
		}
		if c = remaining(c, have); empty(c) {
			out.Change = c
			return out
		}
		out.Change = c
	}
	left, err := s.send(ctx, c, &out)
	out.Change = left
	if err != nil {
		return s.failure(out, err)
	}
	s.metrics.changed(left)
	return out
}

func (s *Syncer) failure(out Outcome, err error) Outcome {
	if policy.CodeOf(err) == policy.CodeNotFound {
		out.Gone = true // dropped since it was listed: nothing is left to protect
		return out
	}
	s.ledger.forget(out.Change.Securable)
	s.metrics.failures.Inc()
	out.Err = err
	return out
}

// send applies c and gives what of it holds now.
func (s *Syncer) send(ctx context.Context, c policy.Change, out *Outcome) (policy.Change, error) {
	if empty(c) {
		return c, nil
	}
	have, err := s.Workspace.Apply(ctx, c)
	var unknown *PrincipalError
	switch {
	case errors.As(err, &unknown):
		return s.sendParts(ctx, c, unknown.Principal, out)
	case err != nil:
		return policy.Change{Securable: c.Securable, Wave: c.Wave}, err
	}
	s.ledger.wrote(c.Securable, have)
	if rest := remaining(c, have); !empty(rest) {
		return c, policy.Errorf(policy.CodeUnavailable, "the workspace accepted the change but shows other grants afterwards (%s)", rest)
	}
	return c, nil
}

// sendParts sends c without the principal that is not known, or in halves when the answer did not say which one it is.
func (s *Syncer) sendParts(ctx context.Context, c policy.Change, unknown policy.Principal, out *Outcome) (policy.Change, error) {
	principals := principalsOf(c)
	if unknown == "" && len(principals) == 1 {
		unknown = principals[0]
	}
	if slices.Contains(principals, unknown) {
		s.unknown.add(unknown)
		out.Unknown = append(out.Unknown, unknown)
		return s.send(ctx, only(c, func(p policy.Principal) bool { return p != unknown }), out)
	}
	half := principals[:len(principals)/2]
	inHalf := func(p policy.Principal) bool { return slices.Contains(half, p) }
	a, err := s.send(ctx, only(c, inHalf), out)
	if err != nil {
		return a, err
	}
	b, err := s.send(ctx, only(c, func(p policy.Principal) bool { return !inHalf(p) }), out)
	a.Add, a.Remove = append(a.Add, b.Add...), append(a.Remove, b.Remove...)
	return a, err
}

func principalsOf(c policy.Change) []policy.Principal {
	set := make(map[policy.Principal]bool)
	for _, a := range slices.Concat(c.Add, c.Remove) {
		set[a.Principal] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func only(c policy.Change, keep func(policy.Principal) bool) policy.Change {
	pick := func(list []policy.Assignment) []policy.Assignment {
		return slices.DeleteFunc(slices.Clone(list), func(a policy.Assignment) bool { return !keep(a.Principal) })
	}
	return policy.Change{Securable: c.Securable, Wave: c.Wave, Add: pick(c.Add), Remove: pick(c.Remove)}
}

func empty(c policy.Change) bool { return len(c.Add)+len(c.Remove) == 0 }

// remaining is what of c is not so yet, given the grants on its securable.
func remaining(c policy.Change, have []policy.Assignment) policy.Change {
	rest := policy.Change{Securable: c.Securable, Wave: c.Wave}
	for _, a := range c.Add {
		if !slices.Contains(have, a) {
			rest.Add = append(rest.Add, a)
		}
	}
	for _, a := range c.Remove {
		if slices.Contains(have, a) {
			rest.Remove = append(rest.Remove, a)
		}
	}
	return rest
}
