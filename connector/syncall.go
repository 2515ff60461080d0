package connector

import (
	"cmp"
	"context"
	"slices"

	"ucwarden/connector/apply"
	"ucwarden/connector/named"
	"ucwarden/group"
	"ucwarden/policy"
)

// shardsAtOnce is how many shards are planned side by side.
const shardsAtOnce = 4

// planShards plans every shard of a full sync.
func (s *Syncer) planShards(ctx context.Context, r Request, plan func(context.Context, policy.Securable) (*ShardPlan, error)) (planned []*ShardPlan, catalogs []policy.Securable, err error) {
	if _, err := s.current(); err != nil {
		return nil, nil, err
	}
	if err := s.refreshDirectory(ctx, r.ByPerson, true); err != nil {
		return nil, nil, apply.GivenUp(err)
	}
	shards, catalogs, err := s.shards(ctx)
	if err != nil {
		return nil, nil, err
	}
	plans := make([]*ShardPlan, len(shards))
	g, ctx := group.WithContext(ctx)
	g.SetLimit(shardsAtOnce)
	for i, shard := range shards {
		g.Go(func() (err error) {
			plans[i], err = plan(ctx, shard)
			return err
		})
	}
	return plans, catalogs, g.Wait()
}

// planAll plans everything, shard by shard, and joins the plans.
func (s *Syncer) planAll(ctx context.Context, r Request) (*Result, error) {
	progress := newJoinedProgress(r)
	plans, catalogs, err := s.planShards(ctx, r, func(ctx context.Context, shard policy.Securable) (*ShardPlan, error) {
		run, err := s.begin(ctx, Request{Roots: []policy.Securable{shard}, ByPerson: r.ByPerson, Progress: progress.of(shard), only: true})
		if err != nil {
			return nil, err
		}
		defer run.end()
		return run.planShard(ctx)
	})
	if err != nil {
		return nil, err
	}
	result := joinPlans(plans)
	if len(plans) == 0 {
		if err := s.reportNothing(result); err != nil {
			return nil, err
		}
	}
	g, err := s.current()
	if err != nil {
		return nil, err
	}
	there := named.ListOf(catalogs)
	result.Plan.Report.Merge(named.AbsentCatalogs(g.compiler, s.Scope, there))
	result.Plan.Report.Merge(g.places.AbsentCatalogs(s.Scope, there))
	result.Plan.Report.Merge(named.ScopePrincipals(s.Scope, g.identities.Directory))
	if len(result.Unread) == 0 { // else what was not listed may be there
		result.Plan.Report.Merge(s.scopeObjects(plans, catalogs))
	}
	if _, err := s.Judge(ctx, plans, Request{}); policy.CodeOf(err) == policy.CodeRefused {
		result.Refused = err
	} else if err != nil {
		return nil, err
	}
	return result, nil
}

// scopeObjects returns findings on what the scope names that no shard has and no catalog is.
func (s *Syncer) scopeObjects(plans []*ShardPlan, catalogs []policy.Securable) []policy.Finding {
	if !s.Scope.FiltersObjects() {
		return nil
	}
	var objects []policy.Securable
	shards := make(map[policy.Securable]bool)
	for _, p := range plans {
		for _, root := range p.Roots {
			shards[root] = true
		}
		for _, o := range p.Found {
			objects = append(objects, o.Securable)
		}
	}
	return named.ScopeObjects(s.Scope, objects, catalogs, func(c policy.Securable) bool { return shards[c] })
}

// reportNothing says why a plan is empty that has nothing to look at, and what the policies come to without.
func (s *Syncer) reportNothing(result *Result) error {
	g, err := s.current()
	if err != nil {
		return err
	}
	r := s.runOf(g, Request{Roots: []policy.Securable{{Type: policy.Metastore}}})
	findings := &result.Plan.Report.Findings
	result.Plan.PolicyVersion = g.snapshot.Version
	*findings = append(r.compiler.Compile(policy.NewInventory()).Report.Findings, policy.Finding{Effect: policy.EffectNarrower, Message: "nothing was looked at: the workspace shows no catalog that scope.* admits to the identity in use, and no other objects are in scope; correct scope.catalogs, or grant the identity USE_CATALOG and MANAGE there"})
	r.report(result, nil)
	return nil
}

// syncAll is a full sync in this process: every shard is planned, all are judged, and then applied.
func (s *Syncer) syncAll(ctx context.Context, r Request) (*Result, error) {
	defer s.ReleaseShards()
	plans, _, err := s.planShards(ctx, r, func(ctx context.Context, shard policy.Securable) (*ShardPlan, error) {
		return s.PlanShard(ctx, Request{Roots: []policy.Securable{shard}, ByPerson: r.ByPerson, Origin: r.Origin})
	})
	if err != nil {
		return nil, err
	}
	result := joinPlans(plans)
	judged, err := s.Judge(ctx, plans, r)
	if judged.WouldRefuse != "" {
		result.Refused = policy.Errorf(policy.CodeRefused, "%s", judged.WouldRefuse)
	}
	if err != nil || s.Mode == policy.ModeObserve {
		return result, err
	}
	result.Outcomes, result.Plan.Changes = []apply.Outcome{}, nil
	for _, p := range plans {
		applied, err := s.applyShard(ctx, p, judged, Request{ByPerson: r.ByPerson, Origin: r.Origin})
		if err != nil {
			return result, err
		}
		result.Plan.Changes = append(result.Plan.Changes, applied.Plan.Changes...)
		result.Outcomes = append(result.Outcomes, applied.Outcomes...)
		result.Unprotected = append(result.Unprotected, applied.Unprotected...)
	}
	return result, nil
}

// joinPlans joins the plans of shards to that of the whole.
func joinPlans(plans []*ShardPlan) *Result {
	result := &Result{Plan: &policy.Plan{Report: &policy.Report{}}}
	for _, p := range plans {
		result.Plan.PolicyVersion = max(result.Plan.PolicyVersion, p.PolicyVersion)
		result.Plan.Changes = append(result.Plan.Changes, p.Changes...)
		result.Plan.Protection = append(result.Plan.Protection, p.Protection...)
		result.Plan.DropFunctions = append(result.Plan.DropFunctions, p.DropFunctions...)
		result.Conflicts = append(result.Conflicts, p.Conflicts...)
		result.Plan.Totals.Add(p.Totals)
		if p.Digest != "" {
			result.Plan.Parts = append(result.Plan.Parts, p.Digest)
			result.Parts = append(result.Parts, &policy.Plan{Changes: p.Changes, Protection: p.Protection, DropFunctions: p.DropFunctions})
		}
		result.Plan.Report.Merge(p.findings)
		result.Unread = append(result.Unread, p.Unread...)
		result.Plan.Waiting = append(result.Plan.Waiting, p.Waiting...)
		result.LeftOut = append(result.LeftOut, p.LeftOut...)
		result.Drift.Add(p.Drift)
		result.AlsoSynced = append(result.AlsoSynced, p.AlsoSynced...)
	}
	slices.SortFunc(result.LeftOut, policy.ComparePrincipals)
	result.LeftOut = slices.Compact(result.LeftOut)
	slices.SortStableFunc(result.Plan.Changes, func(a, b policy.Change) int {
		return cmp.Or(cmp.Compare(a.Wave, b.Wave), a.Securable.Compare(b.Securable))
	})
	return result
}
