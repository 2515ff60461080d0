package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"ucwarden/connector/apply"
	"ucwarden/connector/coordinate"
	"ucwarden/connector/drift"
	"ucwarden/connector/load"
	"ucwarden/connector/memory"
	"ucwarden/connector/unread"
	"ucwarden/connector/written"
	"ucwarden/policy"
	"ucwarden/policy/compile"
)

// Sync brings the requested roots into sync with the policies:
//
//	load securables and their grants → compile the policies → diff → order → ask the guards → apply, wave by wave
//
// A sync of everything plans each shard by itself, asks the guards about all of them together, and then applies them.
//
// An error says that the sync could not be done or was refused as a whole; what went wrong with single changes is in
// the result's outcomes, what could not be looked at in what it left out. Errors are classified; a retryable one asks for
// the same sync again, which finds done what was done.
func (s *Syncer) Sync(ctx context.Context, r Request) (*Result, error) {
	start := time.Now()
	sync := s.sync
	if len(r.Roots) == 0 {
		sync = s.syncAll
	}
	result, err := sync(ctx, r)
	s.ended(ctx, r.Roots, result, err, time.Since(start))
	return result, err
}

// Plan returns what a sync would change, and changes nothing. Where a guard would refuse it, the result says so.
func (s *Syncer) Plan(ctx context.Context, r Request) (*Result, error) {
	if len(r.Roots) == 0 {
		return s.planAll(ctx, r)
	}
	r.only = true
	run, err := s.begin(ctx, r)
	if err != nil {
		return nil, err
	}
	defer run.end()
	result, found, err := run.plan(ctx)
	if err != nil {
		return nil, err
	}
	if !result.Plan.Empty() {
		result.Parts = []*policy.Plan{{Changes: result.Plan.Changes, Protection: result.Plan.Protection, DropFunctions: result.Plan.DropFunctions}}
	}
	if err := run.judge(ctx, result.Plan, found.Listings); policy.CodeOf(err) == policy.CodeRefused {
		result.Refused = err
	} else if err != nil {
		return nil, err
	}
	return result, nil
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
	s.notePlanned(ctx, result.Plan.Report.Findings, result.Conflicts)
	err = run.judge(ctx, result.Plan, found.Listings)
	if s.Mode == policy.ModeObserve && (err == nil || policy.CodeOf(err) == policy.CodeRefused) {
		result.Refused = err
		return result, nil
	}
	if err != nil {
		return result, err
	}
	s.meet(ctx)
	s.remember(ctx, found.Listings)
	run.watch = written.NewWatch(written.Before(found, result.Plan.Changes))
	if err := run.applyPlan(ctx, result.Plan, result); err != nil {
		return result, err
	}
	for _, root := range r.Roots {
		run.noteInSync(ctx, root, result)
	}
	run.noteGranted(ctx, r.Roots, run.granted, result)
	if r.again || r.Saved != "" {
		return result, nil
	}
	if r.judged == nil {
		r.judged = judgedOf(result.Plan.Changes, result.Plan.Totals, Judged{Totals: result.Plan.Totals, Digest: result.Plan.Digest()})
	}
	if err := run.closeUnprotected(ctx, r, result); err != nil {
		return result, err
	}
	return result, run.syncDrifted(ctx, r, result)
}

// plan loads, compiles, diffs and orders. Where somebody lacks USE_* that a root requires on a container above it, the
// container becomes a root itself and everything is loaded again; likewise where USE_* would be taken away although an
// object that policies name, and that no listing showed, exists. A bounded sync leaves a container of which there is too much
// to look at to a sync of its own, and grants no USE_* before that.
func (r *run) plan(ctx context.Context) (*Result, *load.Found, error) {
	result := &Result{}
	var also []policy.Object
	asked := make(map[policy.Securable]bool)
	for roots := r.request.Roots; ; {
		found, err := r.loadWithin(ctx, roots, also, len(result.AlsoSynced) > 0)
		if errors.Is(err, errTooWide) {
			r.pending = outermost(result.AlsoSynced)
			result.Pending, result.AlsoSynced, roots, also = r.pending, nil, r.request.Roots, nil
			clear(asked)
			continue
		}
		if err != nil {
			return nil, nil, orGivenUp(ctx, err)
		}
		c, err := r.compile(ctx, found, result)
		if err != nil {
			return nil, nil, orGivenUp(ctx, err)
		}
		r.keepProtected(c.protection, found, result.Plan, c.notRevoked)
		addProtection(result.Plan, c.protection)
		unlisted, err := r.unlisted(ctx, result.Plan, found, asked)
		if err != nil {
			return nil, nil, orGivenUp(ctx, err)
		}
		if len(unlisted) > 0 {
			also = append(also, unlisted...)
			continue
		}
		above, err := r.requireUse(ctx, found, result.Plan, c.desired)
		if err != nil {
			return nil, nil, orGivenUp(ctx, err)
		}
		if len(above.lacking) == 0 {
			r.order(result.Plan, above, found)
			r.noteTried(result.Plan)
			left := changesOf(c.notRevoked)
			for _, changes := range [][]policy.Change{result.Plan.Changes, left} {
				r.compiler.SetCauses(compile.CauseInput{Inventory: found.Inventory, Desired: c.desired, Kinds: found.Kinds, Enforced: c.enforced}, changes)
			}
			r.noteDrift(ctx, found, result.Plan.Changes, left)
			result.Drift = drift.Of(result.Plan.Changes)
			result.Drift.Add(drift.Of(left))
			result.Drift.Add(drift.OfProtection(result.Plan.Protection))
			result.Missing = slices.DeleteFunc(found.Missing, func(m policy.Securable) bool { return !slices.Contains(r.request.Roots, m) })
			result.Skipped, result.Unread = found.Skipped, slices.Concat(found.Left, found.Hidden, above.left)
			result.NotInForce = r.notInForce()
			r.report(result, found)
			result.Unread, result.Conflicts = append(result.Unread, c.protection.Unprotected...), c.protection.Conflicts
			return result, found, nil
		}
		for _, c := range above.lacking {
			r.Logger.InfoContext(ctx, "syncing a container too: who is granted something inside lacks USE_* on it, or USE_* inside would wake what is granted on it", "container", c.String())
		}
		result.AlsoSynced = append(result.AlsoSynced, above.lacking...)
		roots = slices.Concat(above.lacking, roots) // those inside stay: whether they exist is still asked for
	}
}

// notInForce lists the policies that are not in force as they are written: of the version in force, and all newer ones where
// these are kept out.
func (r *run) notInForce() []string {
	list := r.snapshot.NotInForce()
	if r.KeptOut != nil {
		if err := r.KeptOut(); err != nil {
			list = append([]string{fmt.Sprintf("all that are newer than version %d (%v)", r.snapshot.Version, err)}, list...)
		}
	}
	return list
}

// maxNamed bounds how many objects that policies name exactly are asked for in one catalog.
const maxNamed = 5000

// unlisted returns objects that policies name, that no listing showed, and that exist, in containers that the plan takes
// USE_* away on: each is asked for once.
func (r *run) unlisted(ctx context.Context, plan *policy.Plan, found *load.Found, asked map[policy.Securable]bool) ([]policy.Object, error) {
	named := make(map[policy.Securable]bool)
	for _, c := range plan.Changes {
		if !coordinate.Closes(c) {
			continue
		}
		for _, s := range r.compiler.Named(c.Securable, maxNamed) {
			if !asked[s] && !found.Asked[s] && !load.BuiltIn(s) && !found.Inventory.Has(s) {
				named[s], asked[s] = true, true
			}
		}
	}
	if len(named) == 0 {
		return nil, nil
	}
	var list []policy.Object
	for _, s := range slices.SortedFunc(maps.Keys(named), policy.Securable.Compare) {
		list = append(list, policy.Object{Securable: s})
	}
	return load.New(r.loadOptions(), nil, nil).Ask(ctx, list)
}

// diff returns the plan that leads from what was loaded to what was compiled, whom it leaves out because the workspace does not know
// them, and the grants that the mode leaves although no policy asks for them.
func (r *run) diff(found *load.Found, compiled *compile.Result, scope policy.Scope) (*policy.Plan, []policy.Principal, []policy.Grant) {
	found.Current = r.readBack(found.Current, compiled.Grants)
	desired := r.unknown.Without(compiled.Grants, found.Current, found.Read)
	desired, heldBack := unread.AsFarAsKnown(found, desired, r.compiler)
	desired, waiting := r.withoutPending(found, desired)
	heldBack = append(heldBack, waiting...)
	scope = r.keepOwn(scope)
	d := r.compare(found, desired, scope)
	var staying []policy.Finding
	if len(d.kept) > 0 {
		beside, waiting, stays := unread.Beside(found, unread.Kept{
			Grants: d.kept, Known: r.dir.Read(), Share: r.sharing(), In: r.dir.GroupsOf, Wanted: compiled.Grants, Desired: desired, Changes: d.changes})
		if beside != desired {
			heldBack, staying, desired = append(heldBack, waiting...), stays, beside
			d = r.compare(found, desired, scope)
		}
	}
	r.wanted = desired
	kept, notRevoked := d.kept, d.notRevoked
	plan := &policy.Plan{PolicyVersion: r.snapshot.Version, Changes: d.changes, Totals: d.totals, Report: compiled.Report}
	unknown := r.unknown.Findings(compiled.Grants, found.Current, found.Read)
	plan.Report.Findings = slices.Concat(plan.Report.Findings, d.unmanaged.Findings(), unknown, r.directoryFindings(found, kept), notRevokedFindings(notRevoked), staying, heldBack)
	for _, f := range heldBack {
		plan.Waiting = append(plan.Waiting, policy.Grant{Securable: f.Securable, Principal: f.Principal, Privilege: f.Privilege})
	}
	leftOut := slices.Clone(compiled.Unresolved)
	for _, f := range unknown {
		leftOut = append(leftOut, f.Principal)
	}
	slices.SortFunc(leftOut, policy.ComparePrincipals)
	return plan, slices.Compact(leftOut), notRevoked
}

// difference is what leads from what was loaded to what is desired.
type difference struct {
	changes          []policy.Change
	totals           policy.Totals
	kept, notRevoked []policy.Grant
	unmanaged        policy.Unmanaged
}

func (r *run) compare(found *load.Found, desired *policy.GrantSet, scope policy.Scope) difference {
	var d difference
	d.changes, d.totals = policy.Diff(policy.DiffInput{
		Read: found.Read, Current: found.Current, Desired: desired, Scope: scope, Mode: r.Mode, Expresses: r.compiler.Expresses, Unmanaged: &d.unmanaged,
		Kept: func(s policy.Securable, a policy.Assignment) {
			d.kept = append(d.kept, policy.Grant{Securable: s, Principal: a.Principal, Privilege: a.Privilege})
		},
		NotRevoked: func(s policy.Securable, a policy.Assignment) {
			d.notRevoked = append(d.notRevoked, policy.Grant{Securable: s, Principal: a.Principal, Privilege: a.Privilege})
		},
	})
	return d
}

// notRevokedFindings names, one for each principal, the grants that a mode which never revokes leaves.
func notRevokedFindings(grants []policy.Grant) []policy.Finding {
	return onePerPrincipal(grants, func(g policy.Grant) policy.Finding {
		return policy.Finding{Effect: policy.EffectWider, Securable: g.Securable, Principal: g.Principal, Privilege: g.Privilege, Message: fmt.Sprintf(
			"%s keeps %s, which no policy grants: mode grant-only never revokes", g.Principal, g.Privilege)}
	})
}

// scopeOf returns what a sync may change: of the managed scope what was found of its roots.
func (r *run) scopeOf(found *load.Found) policy.Scope {
	if len(found.Roots) == 0 {
		return r.Scope.Within(policy.Securable{}) // nothing that was asked for exists
	}
	return r.Scope.Within(found.Roots...)
}

// remember keeps what listings held, for later syncs to compare with.
func (s *Syncer) remember(ctx context.Context, listings []memory.Listing) {
	if err := s.memory.Save(listings); err != nil {
		s.Logger.WarnContext(ctx, "cannot keep what the listing held; the next sync compares with an older one", "error", err)
	}
}

// unfinished is the basis of a shard of which something is left to do: every later change concerns it.
const unfinished = "unfinished"

// noteInSync keeps by which policies a shard was brought into sync. That principals were left out leaves nothing to do: who
// does not resolve is part of the basis, and who is unknown is tried again by itself.
func (r *run) noteInSync(ctx context.Context, shard policy.Securable, result *Result) {
	if !memory.IsShard(shard) {
		return
	}
	basis := r.basis(shard)
	if len(result.Unread)+len(result.Unprotected) > 0 || slices.ContainsFunc(result.Outcomes, func(o apply.Outcome) bool { return o.Err != nil }) {
		basis = unfinished
	}
	r.note(ctx, shard, basis)
}

// note keeps by what a shard was brought into sync.
func (r *run) note(ctx context.Context, shard policy.Securable, basis string) {
	if err := r.memory.InSync(shard, memory.LastSync{Basis: basis, At: r.at, Reading: compile.Reading}); err != nil {
		r.Logger.WarnContext(ctx, "cannot keep that a catalog is in sync; the next change of the policies syncs it again", "securable", shard.String(), "error", err)
	}
}

// basis identifies all that a plan of the root is made by: the policies about it and the settings.
func (r *run) basis(root policy.Securable) string { return r.basisBy(r.compiler, root) }

func (r *run) basisBy(c *compile.Compiler, root policy.Securable) string {
	catalog := ""
	if root.Type.Depth() > 1 || root.Type == policy.Catalog {
		catalog = root.Names()[0]
	}
	return fmt.Sprintf("%s/%s", c.Fingerprint(catalog), r.Settings)
}
