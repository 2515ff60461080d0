package connector

import (
	"context"
	"slices"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/compile"
)

// Sync brings the requested roots into sync with the policies:
//
//	load securables and their grants → compile the policies → diff → ask the guards → apply, wave by wave
//
// An error says that the sync could not be done or was refused as a whole; what went wrong with single changes is in
// the result's outcomes. Errors are classified; a retryable one asks for the same sync again, which finds done what was
// done.
func (s *Syncer) Sync(ctx context.Context, r Request) (*Result, error) {
	start := time.Now()
	result, err := s.sync(ctx, r)
	s.metrics.synced(err, time.Since(start))
	return result, err
}

// Plan returns what a sync would change, and changes nothing. Guards are not asked.
func (s *Syncer) Plan(ctx context.Context, r Request) (*Result, error) {
	run, err := s.begin(ctx, r)
	if err != nil {
		return nil, err
	}
	defer run.end()
	result, _, err := run.plan(ctx)
	return result, err
}

func (s *Syncer) sync(ctx context.Context, r Request) (*Result, error) {
	run, err := s.begin(ctx, r)
	if err != nil {
		return nil, err
	}
	defer run.end()

	result, found, err := run.plan(ctx)
	if err != nil {
		return nil, err
	}
	if err := run.guard(result.Plan, found.listings); err != nil {
		return result, err
	}
	if s.Mode != policy.ModeObserve {
		if result.Outcomes, err = run.apply(ctx, result.Plan.Changes); err != nil {
			return result, err
		}
	}
	if err := saveSizes(s.State, found.listings); err != nil {
		s.Logger.WarnContext(ctx, "cannot save the size of the listing", "error", err)
	}
	return result, nil
}

// plan loads, compiles and diffs. Where somebody lacks USE_* that a root requires on a container above it, the
// container becomes a root itself and everything is loaded again.
func (r *run) plan(ctx context.Context) (*Result, *loaded, error) {
	result := &Result{}
	for roots := r.request.Roots; ; {
		found, err := r.load(ctx, roots)
		if err != nil {
			return nil, nil, orGivenUp(ctx, err)
		}
		compiled := r.compiler.Compile(found.inventory)
		result.Plan, result.LeftOut = r.diff(found, compiled, r.scopeOf(roots, found))
		above, err := r.requireUse(ctx, found, compiled.Grants)
		if err != nil {
			return nil, nil, orGivenUp(ctx, err)
		}
		prepend(result.Plan, above.changes)
		if len(above.lacking) == 0 {
			r.compiler.SetCauses(compile.CauseInput{Inventory: found.inventory, Desired: compiled.Grants, Kinds: found.kinds}, result.Plan.Changes)
			result.Missing = slices.DeleteFunc(found.missing, func(m policy.Securable) bool { return !slices.Contains(r.request.Roots, m) })
			return result, found, nil
		}
		for _, c := range above.lacking {
			r.Logger.InfoContext(ctx, "syncing a container too: who is granted something inside lacks USE_* on it", "container", c.String())
		}
		result.AlsoSynced = append(result.AlsoSynced, above.lacking...)
		roots = slices.Concat(above.lacking, roots) // those inside stay: whether they exist is still asked for
	}
}

// diff returns the plan that leads from what was loaded to what was compiled, and whom it leaves out because the workspace
// does not know them.
func (r *run) diff(found *loaded, compiled *compile.Result, scope policy.Scope) (*policy.Plan, []policy.Principal) {
	desired := r.unknown.without(compiled.Grants, found.current, found.read)
	var kept []policy.Grant
	changes, totals := policy.Diff(policy.DiffInput{
		Read: found.read, Current: found.current, Desired: desired, Scope: r.keepOwn(scope), Mode: r.Mode, Expresses: r.compiler.Expresses,
		Kept: func(s policy.Securable, a policy.Assignment) {
			kept = append(kept, policy.Grant{Securable: s, Principal: a.Principal, Privilege: a.Privilege})
		},
	})
	plan := &policy.Plan{PolicyVersion: r.snapshot.Version, Changes: changes, Totals: totals, Report: compiled.Report}
	unknown := r.unknown.findings(compiled.Grants, found.current, found.read)
	plan.Report.Findings = slices.Concat(plan.Report.Findings, unknown, r.directoryFindings(kept))
	leftOut := slices.Clone(compiled.Unresolved)
	for _, f := range unknown {
		leftOut = append(leftOut, f.Principal)
	}
	slices.SortFunc(leftOut, policy.ComparePrincipals)
	return plan, slices.Compact(leftOut)
}

// scopeOf returns what a sync of the roots may change: of the managed scope what was found of them.
func (r *run) scopeOf(roots []policy.Securable, found *loaded) policy.Scope {
	switch {
	case len(roots) == 0:
		return r.Scope
	case len(found.roots) == 0:
		return r.Scope.Within(policy.Securable{}) // nothing that was asked for exists
	}
	return r.Scope.Within(found.roots...)
}

// guard asks the guards about the plan, together with what other plans by the same policies revoke.
func (r *run) guard(plan *policy.Plan, listings []listing) error {
	now, before, err := largestLoss(r.State, listings)
	if err != nil {
		return err
	}
	return r.revokes.admit(r.snapshot, plan, policy.GuardInput{
		Now: time.Now(), FetchedAt: r.snapshot.FetchedAt, Policies: r.compiler.Policies(),
		Listed: now, LastTime: before, Approved: r.request.Approved,
	}, func(c policy.GuardInput) error { return policy.CheckAll(r.Guards, plan, c) })
}
