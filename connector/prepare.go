package connector

import (
	"context"
	"slices"
	"time"

	"ucwarden/policy"
)

// work is a sync under way: what was loaded, and the plan made of it.
type work struct {
	s        *Syncer
	request  Request
	id       uint64 // in the ledger
	snapshot *policy.Snapshot
	compiler *policy.Compiler
	loaded   *loaded
	plan     *policy.Plan
	desired  *policy.GrantSet
	widened  []policy.Securable
}

func (w *work) close() { w.s.ledger.end(w.id) }

func (w *work) result() *Result {
	r := &Result{Plan: w.plan, AlsoSynced: w.widened}
	for _, m := range w.loaded.missing {
		if slices.Contains(w.request.Roots, m) {
			r.Missing = append(r.Missing, m)
		}
	}
	return r
}

// prepare loads and plans, and widens the request to a container as long as the way to a root is closed there.
func (s *Syncer) prepare(ctx context.Context, r Request) (*work, error) {
	snapshot, compiler := s.current()
	if snapshot == nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "no policies have been loaded yet, so nothing can be said about what should be granted")
	}
	id, err := s.ledger.begin(ctx, compiler)
	if err != nil {
		return nil, givenUp(err)
	}
	w := &work{s: s, request: r, id: id, snapshot: snapshot, compiler: compiler}
	if err := w.prepare(ctx); err != nil {
		w.close()
		if ctx.Err() != nil {
			err = givenUp(ctx.Err())
		}
		return nil, err
	}
	return w, nil
}

// givenUp classifies the end of a context: whoever asks again may be answered.
func givenUp(err error) error {
	return policy.Errorf(policy.CodeUnavailable, "sync given up: %w", err)
}

func (w *work) prepare(ctx context.Context) error {
	roots := w.request.Roots
	for {
		var err error
		if w.loaded, err = w.s.load(ctx, w, roots); err != nil {
			return err
		}
		scope := w.s.Scope
		if len(roots) > 0 {
			within := w.loaded.roots
			if len(within) == 0 {
				within = []policy.Securable{{}} // nothing that was asked for exists
			}
			scope = scope.Within(within...)
		}
		w.draft(scope)
		closed, err := w.openWay(ctx)
		if err != nil {
			return err
		}
		if len(closed) == 0 {
			return nil
		}
		for _, c := range closed {
			w.s.Logger.InfoContext(ctx, "syncing a container too: who is granted something inside lacks USE_* on it", "container", c.String())
		}
		w.widened = append(w.widened, closed...)
		// The roots inside stay in the list: whether they exist is still asked for.
		roots = slices.Concat(closed, roots)
	}
}

// draft compiles the policies for what was loaded and makes the plan.
func (w *work) draft(scope policy.Scope) {
	compiled := w.compiler.Compile(w.loaded.inventory)
	w.desired = compiled.Grants
	changes, totals := policy.Diff(policy.DiffInput{
		Read: w.loaded.read, Current: w.loaded.current, Desired: w.s.unknown.without(compiled.Grants, w.loaded.current, w.loaded.read),
		Scope: scope, Mode: w.s.Mode, Expresses: w.compiler.Expresses,
	})
	w.plan = &policy.Plan{PolicyVersion: w.snapshot.Version, Changes: changes, Totals: totals, Report: compiled.Report}
	w.plan.Report.Findings = append(w.plan.Report.Findings, w.s.unknown.remarks(compiled.Grants, w.loaded.current, w.loaded.read)...)
}

func (w *work) circumstances() (policy.Circumstances, error) {
	now, before, err := w.listings()
	return policy.Circumstances{
		Now: time.Now(), FetchedAt: w.snapshot.FetchedAt, Policies: w.compiler.Policies(),
		Listed: now, LastTime: before, Approved: w.request.Approved,
	}, err
}

// openWay looks at the containers above the roots. What the policies grant there and what was loaded inherits is added
// to the plan: adding it is safe by itself. Containers on which somebody lacks USE_* are given back: opening one may wake
// grants on objects that were not read, so it must be synced as a whole.
func (w *work) openWay(ctx context.Context) (closed []policy.Securable, err error) {
	var first []policy.Change
	for _, a := range w.loaded.ancestors { // the outermost first: when it is synced as a whole, so is all below it
		want := w.desired.Of(a)
		below := slices.ContainsFunc(closed, func(c policy.Securable) bool { return c.Contains(a) })
		if len(want) == 0 || below || !w.s.Scope.Filters(a) {
			continue
		}
		if err := w.s.ledger.relies(ctx, w.id, a, want); err != nil {
			return nil, err
		}
		have, err := w.containerGrants(ctx, a)
		if policy.CodeOf(err) == policy.CodeNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		current := &policy.GrantSet{}
		current.Set(a, have)
		changes, _ := policy.Diff(policy.DiffInput{
			Read: []policy.Securable{a}, Current: current, Desired: w.s.unknown.without(w.desired, current, []policy.Securable{a}),
			Scope: w.s.Scope, Mode: policy.ModeGrantOnly,
		})
		c, shut := policy.Change{Securable: a, Wave: 1}, false
		for _, part := range changes {
			for _, add := range part.Add {
				switch {
				case add.Privilege.IsUse():
					shut = true
				case w.loaded.inherits(a, add.Privilege):
					c.Add = append(c.Add, add)
				}
			}
		}
		switch {
		case shut:
			closed = append(closed, a)
		case !empty(c):
			first = append(first, c)
			w.plan.Totals.Changed++
			w.plan.Totals.Adds += len(c.Add)
		}
	}
	w.plan.Changes = append(first, w.plan.Changes...)
	return closed, nil
}

// inherits reports whether a grant of p on the container bears on an object inside that was read.
func (l *loaded) inherits(container policy.Securable, p policy.Privilege) bool {
	return slices.ContainsFunc(l.read, func(s policy.Securable) bool {
		return container.Contains(s) && policy.Supports(s.Type, l.kinds[s], p)
	})
}

// containerGrants gives the grants on a container, as last seen if that is not long ago.
func (w *work) containerGrants(ctx context.Context, c policy.Securable) ([]policy.Assignment, error) {
	if list, ok := w.s.ledger.container(c); ok {
		return list, nil
	}
	list, err := w.s.Workspace.Grants(ctx, c)
	if err != nil {
		return nil, err
	}
	w.s.ledger.saw(w.id, c, list)
	return list, nil
}
