package connector

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

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
	s.metrics.synced(err, time.Since(start))
	return result, err
}

// Plan returns what a sync would change, and changes nothing. Where a guard would refuse it, the result says so.
func (s *Syncer) Plan(ctx context.Context, r Request) (*Result, error) {
	if len(r.Roots) == 0 {
		return s.planAll(ctx, r)
	}
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
		result.Parts = []*policy.Plan{{Changes: result.Plan.Changes}}
	}
	if err := run.judge(ctx, result.Plan, found.listings); policy.CodeOf(err) == policy.CodeRefused {
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
	err = run.judge(ctx, result.Plan, found.listings)
	if s.Mode == policy.ModeObserve && (err == nil || policy.CodeOf(err) == policy.CodeRefused) {
		result.Refused = err
		return result, nil
	}
	if err != nil {
		return result, err
	}
	s.meet(ctx)
	s.remember(ctx, found.listings)
	run.watch = newStandings(found.stood(result.Plan.Changes))
	if result.Outcomes, err = run.apply(ctx, result.Plan.Changes); err != nil {
		return result, err
	}
	for _, root := range r.Roots {
		run.noteInSync(ctx, root, result)
	}
	if r.again || r.Saved != "" {
		return result, nil
	}
	if r.judged == nil {
		r.judged = judgedOf(result.Plan.Changes, result.Plan.Totals, Judged{Totals: result.Plan.Totals, Digest: result.Plan.Digest()})
	}
	return result, run.syncDrifted(ctx, r, result)
}

// plan loads, compiles, diffs and orders. Where somebody lacks USE_* that a root requires on a container above it, the
// container becomes a root itself and everything is loaded again; likewise where USE_* would be taken away although an
// object that policies name, and that no listing showed, exists.
func (r *run) plan(ctx context.Context) (*Result, *loaded, error) {
	result := &Result{}
	var also []policy.Object
	asked := make(map[policy.Securable]bool)
	for roots := r.request.Roots; ; {
		found, err := r.load(ctx, roots, also)
		if err != nil {
			return nil, nil, orGivenUp(ctx, err)
		}
		compiled := r.compiler.Compile(found.inventory)
		result.Plan, result.LeftOut = r.diff(found, compiled, r.scopeOf(found))
		unlisted, err := r.unlisted(ctx, result.Plan, found, asked)
		if err != nil {
			return nil, nil, orGivenUp(ctx, err)
		}
		if len(unlisted) > 0 {
			also = append(also, unlisted...)
			continue
		}
		above, err := r.requireUse(ctx, found, result.Plan, compiled.Grants)
		if err != nil {
			return nil, nil, orGivenUp(ctx, err)
		}
		if len(above.lacking) == 0 {
			r.order(result.Plan, above, found.current)
			r.compiler.SetCauses(compile.CauseInput{Inventory: found.inventory, Desired: compiled.Grants, Kinds: found.kinds}, result.Plan.Changes)
			result.Missing = slices.DeleteFunc(found.missing, func(m policy.Securable) bool { return !slices.Contains(r.request.Roots, m) })
			result.Skipped, result.Unread = found.skipped, append(found.left, above.left...)
			result.NotInForce = r.snapshot.NotInForce()
			r.report(result)
			return result, found, nil
		}
		for _, c := range above.lacking {
			r.Logger.InfoContext(ctx, "syncing a container too: who is granted something inside lacks USE_* on it, or USE_* inside would wake what is granted on it", "container", c.String())
		}
		result.AlsoSynced = append(result.AlsoSynced, above.lacking...)
		roots = slices.Concat(above.lacking, roots) // those inside stay: whether they exist is still asked for
	}
}

// maxNamed bounds how many objects that policies name exactly are asked for in one catalog.
const maxNamed = 5000

// unlisted returns objects that policies name, that no listing showed, and that exist, in containers that the plan takes
// USE_* away on: each is asked for once.
func (r *run) unlisted(ctx context.Context, plan *policy.Plan, found *loaded, asked map[policy.Securable]bool) ([]policy.Object, error) {
	named := make(map[policy.Securable]bool)
	for _, c := range plan.Changes {
		if !closes(c) {
			continue
		}
		for _, s := range r.compiler.Named(c.Securable, maxNamed) {
			if !asked[s] && !builtIn(s) && !found.inventory.Has(s) {
				named[s], asked[s] = true, true
			}
		}
	}
	if len(named) == 0 {
		return nil, nil
	}
	l := &loader{run: r}
	return l.ask(ctx, slices.SortedFunc(maps.Keys(named), policy.Securable.Compare))
}

// diff returns the plan that leads from what was loaded to what was compiled, and whom it leaves out because the workspace
// does not know them.
func (r *run) diff(found *loaded, compiled *compile.Result, scope policy.Scope) (*policy.Plan, []policy.Principal) {
	found.current = r.readBack(found.current, compiled.Grants)
	desired := r.unknown.without(compiled.Grants, found.current, found.read)
	desired, heldBack := found.asFarAsKnown(desired, r.compiler)
	var kept, notRevoked []policy.Grant
	var unmanaged policy.Unmanaged
	changes, totals := policy.Diff(policy.DiffInput{
		Read: found.read, Current: found.current, Desired: desired, Scope: r.keepOwn(scope), Mode: r.Mode, Expresses: r.compiler.Expresses, Unmanaged: &unmanaged,
		Kept: func(s policy.Securable, a policy.Assignment) {
			kept = append(kept, policy.Grant{Securable: s, Principal: a.Principal, Privilege: a.Privilege})
		},
		NotRevoked: func(s policy.Securable, a policy.Assignment) {
			notRevoked = append(notRevoked, policy.Grant{Securable: s, Principal: a.Principal, Privilege: a.Privilege})
		},
	})
	plan := &policy.Plan{PolicyVersion: r.snapshot.Version, Changes: changes, Totals: totals, Report: compiled.Report}
	unknown := r.unknown.findings(compiled.Grants, found.current, found.read)
	plan.Report.Findings = slices.Concat(plan.Report.Findings, unmanaged.Findings(), unknown, r.directoryFindings(found, kept), notRevokedFindings(notRevoked), heldBack)
	leftOut := slices.Clone(compiled.Unresolved)
	for _, f := range unknown {
		leftOut = append(leftOut, f.Principal)
	}
	slices.SortFunc(leftOut, policy.ComparePrincipals)
	return plan, slices.Compact(leftOut)
}

// notRevokedFindings names, one for each principal, the grants that a mode which never revokes leaves.
func notRevokedFindings(grants []policy.Grant) []policy.Finding {
	return onePerPrincipal(grants, func(g policy.Grant) policy.Finding {
		return policy.Finding{Effect: policy.EffectWider, Securable: g.Securable, Principal: g.Principal, Privilege: g.Privilege, Message: fmt.Sprintf(
			"%s keeps %s, which no policy grants: mode grant-only never revokes", g.Principal, g.Privilege)}
	})
}

// asFarAsKnown returns the desired grants, as far as what could not be looked at lets them be pushed, and findings on what is
// held back for it.
func (l *loaded) asFarAsKnown(desired *policy.GrantSet, compiler *compile.Compiler) (*policy.GrantSet, []policy.Finding) {
	desired, sleeping := l.withoutSleeping(l.keepWhatRelies(desired, compiler))
	desired, closed := l.withoutNewUse(desired)
	return desired, slices.Concat(closed, sleeping)
}

// keepWhatRelies returns the desired grants with what stands and must stay because of what could not be looked at. On
// containers whose objects are not all known that is USE_*: who needs them there is not known either. Around a container
// whose own grants are not known, and so are not changed, it is what is to be granted on it instead: whoever holds it by
// another grant, on what is inside or above, would lose it.
func (l *loaded) keepWhatRelies(desired *policy.GrantSet, compiler *compile.Compiler) *policy.GrantSet {
	var unlisted, unread []policy.Securable
	for _, left := range l.left {
		switch {
		case left.Listing:
			unlisted = append(unlisted, left.Securable)
		case left.Securable.Type.IsContainer():
			unread = append(unread, left.Securable)
		}
	}
	if len(unlisted)+len(unread) == 0 {
		return desired
	}
	kept := desired.Clone()
	var in map[policy.Principal][]policy.Principal
	if len(unread) > 0 {
		in = compiler.Memberships()
	}
	for _, s := range l.read {
		related := func(u policy.Securable) bool { return u.Contains(s) || s.Contains(u) }
		useStays := s.Type.IsContainer() && (slices.ContainsFunc(unlisted, related) || slices.ContainsFunc(unread, related))
		for _, a := range l.current.Of(s) {
			var stays policy.PrivilegeSet
			if useStays {
				stays = usesOf[s.Type]
			}
			for _, u := range unread {
				if !related(u) {
					continue
				}
				for _, want := range desired.Of(u) {
					if want.Principal == a.Principal || want.Principal.IsEveryone() || slices.Contains(in[a.Principal], want.Principal) {
						stays |= want.Privilege.Set().WithImplied()
					}
				}
			}
			held := a.Privilege.Set()
			if stays&a.Privilege.Set() == 0 {
				held = held.WithImplied() // ALL_PRIVILEGES may go, what it gives beside stays
			}
			for p := range (held & stays).All() {
				if policy.Supports(s.Type, l.kinds[s], p) {
					kept.Add(policy.Grant{Securable: s, Principal: a.Principal, Privilege: p})
				}
			}
		}
	}
	return kept
}

// usesOf are the USE_* of a type of container.
var usesOf = map[policy.SecurableType]policy.PrivilegeSet{
	policy.Catalog: policy.NewPrivilegeSet(policy.UseCatalog, policy.UseSchema),
	policy.Schema:  policy.NewPrivilegeSet(policy.UseSchema),
}

// opens reports whether a grant on a container opens a way that its principal does not have there.
func (l *loaded) opens(container policy.Securable, a policy.Assignment) bool {
	uses := a.Privilege.Set().WithImplied() & usesOf[container.Type]
	for _, have := range l.current.Of(container) {
		if have.Principal == a.Principal {
			uses &^= have.Privilege.Set().WithImplied()
		}
	}
	return uses != 0
}

// withoutNewUse returns the desired grants without what opens a way, that its principal does not have yet, to what could not
// be looked at: a grant there that is to be revoked would wake. The findings say so. A sync that has read everything grants
// it.
func (l *loaded) withoutNewUse(desired *policy.GrantSet) (kept *policy.GrantSet, findings []policy.Finding) {
	kept = desired
	for _, left := range l.left {
		if !left.mayWake() {
			continue
		}
		for c, ok := left.Securable, true; ok; c, ok = c.Parent() {
			var rest []policy.Assignment
			for _, a := range kept.Of(c) {
				if !l.opens(c, a) {
					rest = append(rest, a)
					continue
				}
				findings = append(findings, policy.Finding{
					Effect: policy.EffectNarrower, Securable: c, Principal: a.Principal, Privilege: a.Privilege,
					Message: fmt.Sprintf("%s is not granted %s on %s yet: %s, and what was granted there may be to be revoked first", a.Principal, a.Privilege, c, left),
				})
			}
			if len(rest) == len(kept.Of(c)) {
				continue
			}
			if kept == desired {
				kept = desired.Clone()
			}
			kept.Set(c, rest)
		}
	}
	return kept, findings
}

// withoutSleeping returns the desired grants without those that are new and that the policies give no way to, where what
// closes the way could not be looked at: by the USE_* that may stand there they would confer what nobody is allowed.
func (l *loaded) withoutSleeping(desired *policy.GrantSet) (kept *policy.GrantSet, findings []policy.Finding) {
	kept = desired
	for _, left := range l.left {
		if left.Listing || !left.Securable.Type.IsContainer() {
			continue
		}
		for _, s := range l.read {
			if !left.Securable.Contains(s) {
				continue
			}
			have := l.current.Of(s)
			var rest []policy.Assignment
			for _, a := range kept.Of(s) {
				if slices.Contains(have, a) || a.Privilege.IsUse() || wayTo(desired, s, a.Principal) {
					rest = append(rest, a)
					continue
				}
				findings = append(findings, policy.Finding{
					Effect: policy.EffectNarrower, Securable: s, Principal: a.Principal, Privilege: a.Privilege,
					Message: fmt.Sprintf("%s is not granted %s on %s yet: %s, where the way to it may still have to be closed", a.Principal, a.Privilege, s, left),
				})
			}
			if len(rest) == len(kept.Of(s)) {
				continue
			}
			if kept == desired {
				kept = desired.Clone()
			}
			kept.Set(s, rest)
		}
	}
	return kept, findings
}

// wayTo reports whether a principal has the USE_* on the containers above an object, or inside which a schema is.
func wayTo(grants *policy.GrantSet, s policy.Securable, p policy.Principal) bool {
	if !holdsUse(grants, s, p, policy.UseCatalog) {
		return false
	}
	return s.Type == policy.Schema || holdsUse(grants, s, p, policy.UseSchema)
}

// scopeOf returns what a sync may change: of the managed scope what was found of its roots.
func (r *run) scopeOf(found *loaded) policy.Scope {
	if len(found.roots) == 0 {
		return r.Scope.Within(policy.Securable{}) // nothing that was asked for exists
	}
	return r.Scope.Within(found.roots...)
}

// remember keeps what listings held, for later syncs to compare with.
func (s *Syncer) remember(ctx context.Context, listings []listing) {
	if err := s.memory.save(listings); err != nil {
		s.Logger.WarnContext(ctx, "cannot keep what the listing held; the next sync compares with an older one", "error", err)
	}
}

// unfinished is the basis of a shard of which something is left to do: every later change concerns it.
const unfinished = "unfinished"

// noteInSync keeps by which policies a shard was brought into sync. That principals were left out leaves nothing to do: who
// does not resolve is part of the basis, and who is unknown is tried again by itself.
func (r *run) noteInSync(ctx context.Context, shard policy.Securable, result *Result) {
	if !isShard(shard) {
		return
	}
	basis := r.basis(shard)
	if len(result.Unread) > 0 || slices.ContainsFunc(result.Outcomes, func(o Outcome) bool { return o.Err != nil }) {
		basis = unfinished
	}
	r.note(ctx, shard, basis)
}

// note keeps by what a shard was brought into sync.
func (r *run) note(ctx context.Context, shard policy.Securable, basis string) {
	if err := r.memory.inSync(shard, lastSync{basis, r.at}); err != nil {
		r.Logger.WarnContext(ctx, "cannot keep that a catalog is in sync; the next change of the policies syncs it again", "securable", shard.String(), "error", err)
	}
}

func isShard(s policy.Securable) bool {
	return s.Type == policy.Catalog || s == policy.Securable{Type: policy.Metastore}
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
