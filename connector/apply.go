package connector

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"ucwarden/policy"
)

// ErrHeldBack is the error of a change that was not tried, because one it depends on failed: applying it alone could
// open or close what should not be.
var ErrHeldBack = errors.New("held back, because an earlier change above or below it failed")

// errOutdated ends an apply whose plan is no longer what the policies mean.
var errOutdated = policy.Errorf(policy.CodeUnavailable, "the policies changed while the plan was being applied; the rest is planned anew")

// apply carries out a plan wave by wave, the changes of a wave at once. A change whose lineage had a failure in an
// earlier wave is held back. With an error, the outcomes end with the wave it happened in.
func (s *Syncer) apply(ctx context.Context, w *work) ([]Outcome, error) {
	changes := w.plan.Changes
	outcomes := make([]Outcome, len(changes))
	failed := newLineages()
	for first := 0; first < len(changes); {
		last := first
		for last < len(changes) && changes[last].Wave == changes[first].Wave {
			last++
		}
		var outdated atomic.Bool
		var g errgroup.Group // not ended by the first error: what is on its way when the policies change is waited for
		g.SetLimit(s.Parallel)
		for i := first; i < last; i++ {
			if failed.touch(changes[i].Securable) {
				outcomes[i] = nothingDone(changes[i])
				outcomes[i].Err = ErrHeldBack
				continue
			}
			g.Go(func() error {
				if outcomes[i] = s.applyChange(ctx, w, changes[i]); errors.Is(outcomes[i].Err, errOutdated) {
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
				failed.add(changes[i].Securable)
			}
		}
		w.request.report("apply", last, len(changes))
		first = last
	}
	return outcomes, nil
}

func nothingDone(c policy.Change) Outcome {
	return Outcome{Change: policy.Change{Securable: c.Securable, Wave: c.Wave}}
}

// lineages is a set of securables, asked about what is above or below them.
type lineages struct {
	failed map[policy.Securable]bool
	above  map[policy.Securable]bool // containers of what failed
}

func newLineages() *lineages {
	return &lineages{failed: make(map[policy.Securable]bool), above: make(map[policy.Securable]bool)}
}

func (l *lineages) add(s policy.Securable) {
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

// applyChange sends one change, unless the policies have changed. Principals the workspace does not know are left out.
func (s *Syncer) applyChange(ctx context.Context, w *work, planned policy.Change) Outcome {
	c := s.ledger.enter(w.id, w.compiler, planned)
	defer s.ledger.leave(w.compiler, c)
	out := nothingDone(c)
	if err := ctx.Err(); err != nil {
		out.Err = givenUp(err)
		return out
	}
	// Looked at only now that the change is known to be on its way: a sync by newer policies waits for it, or this
	// sees the newer policies.
	if _, compiler := s.current(); compiler != w.compiler {
		out.Err = errOutdated
		return out
	}
	c = s.withoutUnknown(c, &out)
	err := s.send(ctx, c, &out)
	s.metrics.changed(out.Change)
	switch {
	case policy.CodeOf(err) == policy.CodeNotFound:
		s.ledger.forget(c.Securable)
		out.Gone = true // dropped since it was listed: nothing is left to protect
	case err != nil:
		s.ledger.forget(c.Securable)
		s.metrics.failures.Inc()
		out.Err = err
	}
	return out
}

// withoutUnknown leaves out what would be granted to principals that turned out to be unknown since the plan was made.
func (s *Syncer) withoutUnknown(c policy.Change, out *Outcome) policy.Change {
	add := slices.DeleteFunc(slices.Clone(c.Add), func(a policy.Assignment) bool {
		unknown := s.unknown.has(a.Principal)
		if unknown && !slices.Contains(out.Unknown, a.Principal) {
			out.Unknown = append(out.Unknown, a.Principal)
		}
		return unknown
	})
	c.Add = add
	return c
}

// send applies c, and notes in out what of it holds now.
func (s *Syncer) send(ctx context.Context, c policy.Change, out *Outcome) error {
	if empty(c) {
		return nil
	}
	have, err := s.Workspace.Apply(ctx, c)
	var unknown *PrincipalError
	if errors.As(err, &unknown) {
		return s.sendParts(ctx, c, unknown.Principal, out)
	}
	if err != nil {
		return err
	}
	if rest := remaining(c, have); !empty(rest) { // the answer may be older than the change
		if have, err = s.Workspace.Grants(ctx, c.Securable); err != nil {
			return err
		}
		if rest = remaining(c, have); !empty(rest) {
			return policy.Errorf(policy.CodeUnavailable, "the workspace accepted the change but shows other grants afterwards (%s)", rest)
		}
	}
	s.ledger.wrote(c.Securable, have)
	out.Change.Add, out.Change.Remove = append(out.Change.Add, c.Add...), append(out.Change.Remove, c.Remove...)
	return nil
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
