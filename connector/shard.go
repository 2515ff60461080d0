package connector

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"ucwarden/policy"
)

// ShardPlan is the plan of one shard of a sync, as data: it can be stored until all shards were planned and judged, and
// applied then without reading again. Changes, Stood and Found may be large and are stored apart from the rest.
type ShardPlan struct {
	Roots         []policy.Securable `json:"roots"`
	Basis         string             `json:"basis"` // what it was made by; see Syncer.Fits
	PolicyVersion int64              `json:"policyVersion"`
	Digest        string             `json:"digest,omitempty"` // "" where it changes nothing
	Totals        policy.Totals      `json:"totals"`
	Listed        int                `json:"listed"`
	LastTime      int                `json:"lastTime,omitempty"`
	Missing       []policy.Securable `json:"missing,omitempty"`
	Skipped       []Skipped          `json:"skipped,omitempty"`
	Unread        []LeftOut          `json:"unread,omitempty"`
	LeftOut       []policy.Principal `json:"leftOut,omitempty"`
	AlsoSynced    []policy.Securable `json:"alsoSynced,omitempty"`

	Changes []policy.Change    `json:"-"`
	Stood   []Standing         `json:"-"` // the grants on what is changed, when the plan was made
	Found   []policy.Securable `json:"-"` // what the listing of Roots held

	findings []policy.Finding
}

// Standing is what was granted on a securable.
type Standing struct {
	Securable policy.Securable    `json:"securable"`
	Grants    []policy.Assignment `json:"grants"`
}

// Judged is what the guards judged of a sync: a shard that is planned anew may revoke no more than that.
type Judged struct {
	Totals policy.Totals // of the whole sync
	Digest string        // of the whole
	// Approved says that a person approved it, so that its totals are no measure for more.
	Approved bool
}

// judgedShard is what was judged of one shard.
type judgedShard struct {
	Judged
	shard   policy.Totals
	removes map[policy.Grant]bool
}

// PlanShard plans one shard of a full sync, or any roots, to be judged and applied later. From then on, and until
// ReleaseShards or a new plan of the same, USE_* that other syncs require is not taken away by it.
func (s *Syncer) PlanShard(ctx context.Context, roots ...policy.Securable) (*ShardPlan, error) {
	run, err := s.begin(ctx, Request{Roots: roots})
	if err != nil {
		return nil, err
	}
	p, err := run.planShard(ctx)
	if err != nil || len(p.Changes) == 0 {
		run.end()
		return p, err
	}
	s.hold(roots, run.id)
	return p, nil
}

func (r *run) planShard(ctx context.Context) (*ShardPlan, error) {
	result, found, err := r.plan(ctx)
	if err != nil {
		return nil, err
	}
	p := &ShardPlan{
		Roots: r.request.Roots, Basis: r.basis(r.request.Roots[0]), PolicyVersion: result.Plan.PolicyVersion, Totals: result.Plan.Totals,
		Missing: result.Missing, Skipped: result.Skipped, Unread: result.Unread, LeftOut: result.LeftOut, AlsoSynced: result.AlsoSynced,
		Changes: result.Plan.Changes, findings: result.Plan.Report.Findings,
	}
	if len(p.Changes) > 0 {
		p.Digest = result.Plan.Digest()
	}
	p.Listed, p.LastTime = largestLoss(found.listings)
	for _, l := range found.listings {
		p.Found = append(p.Found, l.found...)
	}
	var last policy.Securable
	for _, c := range slices.SortedFunc(slices.Values(p.Changes), func(a, b policy.Change) int { return a.Securable.Compare(b.Securable) }) {
		if _, read := slices.BinarySearchFunc(found.read, c.Securable, policy.Securable.Compare); read && c.Securable != last {
			last = c.Securable
			p.Stood = append(p.Stood, Standing{last, found.current.Of(last)})
		}
	}
	return p, nil
}

// hold keeps the number of a sync with the coordinator, for the plan of the roots.
func (s *Syncer) hold(roots []policy.Securable, id uint64) {
	s.mu.Lock()
	key := fmt.Sprint(roots)
	old, found := s.held[key]
	s.held[key] = id
	s.mu.Unlock()
	if found {
		s.coordinator.end(old)
	}
}

// ReleaseShards forgets the shards that were planned: none of them will be applied any more.
func (s *Syncer) ReleaseShards() {
	s.mu.Lock()
	held := s.held
	s.held = make(map[string]uint64)
	s.mu.Unlock()
	for _, id := range held {
		s.coordinator.end(id)
	}
}

// resume returns the run that made the plan, by the policies now in force; nil where the plan does not fit any more.
func (s *Syncer) resume(p *ShardPlan) (*run, error) {
	g, err := s.current()
	if err != nil {
		return nil, err
	}
	r := s.runOf(g, Request{Roots: p.Roots})
	if r.basis(p.Roots[0]) != p.Basis {
		return nil, nil
	}
	s.mu.Lock()
	id, held := s.held[fmt.Sprint(p.Roots)]
	s.mu.Unlock()
	if !held && slices.ContainsFunc(p.Changes, closes) {
		return nil, nil // planned before a restart: which USE_* other syncs required since then is not known
	}
	r.id = id
	return r, nil
}

// Fits reports whether a plan is by the policies that are in force and the settings of this process.
func (s *Syncer) Fits(p *ShardPlan) (bool, error) {
	g, err := s.current()
	if err != nil {
		return false, err
	}
	r := s.runOf(g, Request{})
	return r.basis(p.Roots[0]) == p.Basis, nil
}

// Judge asks the guards about all shards of a sync together, of which it needs no changes. An approval must name the
// whole or one shard; a shard that it names is judged no further. A refusal, of class policy.CodeRefused, says that
// nothing was changed.
func (s *Syncer) Judge(ctx context.Context, shards []*ShardPlan, approved string) (Judged, error) {
	g, err := s.current()
	if err != nil {
		return Judged{}, err
	}
	r := s.runOf(g, Request{})
	var parts []string
	var all policy.Totals
	now, before := 0, 0
	for _, p := range shards {
		if p.Digest != "" {
			parts = append(parts, p.Digest)
		}
		if approved != "" && p.Digest == approved {
			continue
		}
		all.Add(p.Totals)
		if p.LastTime > 0 && (before == 0 || p.Listed*before < now*p.LastTime) {
			now, before = p.Listed, p.LastTime
		}
	}
	whole := policy.DigestOf(parts)
	input, err := r.guardInput(ctx, all, whole, approved)
	if err != nil {
		return Judged{}, err
	}
	input.Listed, input.LastTime = now, before
	judged := Judged{Totals: all, Digest: whole, Approved: approved != ""}
	if err := checkApproval(input, parts); err != nil {
		return judged, err
	}
	if s.Mode == policy.ModeObserve {
		return judged, nil
	}
	if err := policy.CheckAll(s.Guards, input); err != nil {
		return judged, refusal(err, "nothing was changed, in no part of the sync", approve(whole, nil))
	}
	return judged, nil
}

// Admitted notes that a sync was let pass by the guards: what its listings held is what the next are compared with.
func (s *Syncer) Admitted(ctx context.Context, p *ShardPlan) {
	if s.Mode == policy.ModeObserve {
		return
	}
	s.meet(ctx)
	for _, root := range p.Roots {
		if isShard(root) && len(p.Found) > 0 {
			s.remember(ctx, []listing{{root: root, found: p.Found}})
		}
	}
}

// ApplyShard applies a plan that was judged. Where it does not fit what stands any more, what is about it is planned anew,
// and refused if it would revoke more than was judged and a guard does not let that pass.
func (s *Syncer) ApplyShard(ctx context.Context, p *ShardPlan, whole Judged) (*Result, error) {
	result := &Result{
		Plan:    &policy.Plan{PolicyVersion: p.PolicyVersion, Changes: p.Changes, Totals: p.Totals, Report: &policy.Report{Findings: p.findings}},
		Missing: p.Missing, Skipped: p.Skipped, Unread: p.Unread, LeftOut: p.LeftOut, AlsoSynced: p.AlsoSynced,
	}
	if s.Mode == policy.ModeObserve {
		return result, nil
	}
	r, err := s.resume(p)
	if err != nil {
		return nil, err
	}
	if r == nil {
		s.Logger.InfoContext(ctx, "planning a shard anew: the policies changed, or the process was started again", "roots", fmt.Sprint(p.Roots))
		return s.ReplanShard(ctx, p, whole)
	}
	r.watch = newStandings(p)
	if result.Outcomes, err = r.apply(ctx, p.Changes); err != nil {
		return result, err
	}
	if len(p.Roots) == 1 {
		r.noteInSync(ctx, p.Roots[0], result)
	}
	if changed := r.watch.changed(); len(changed) > 0 {
		s.Logger.InfoContext(ctx, "planning securables anew: their grants were changed by somebody else since they were read", "securables", len(changed), "one", changed[0].String())
		again, err := s.sync(ctx, Request{Roots: changed, judged: judgedOf(p, whole)})
		if err != nil {
			return result, err
		}
		result.Plan.Changes = append(slices.Clone(p.Changes), again.Plan.Changes...)
		result.Outcomes = append(result.Outcomes, again.Outcomes...)
		result.Unread = append(result.Unread, again.Unread...)
	}
	return result, nil
}

// ReplanShard reads and plans a judged shard anew and applies the result, unless it would revoke more than was judged.
func (s *Syncer) ReplanShard(ctx context.Context, p *ShardPlan, whole Judged) (*Result, error) {
	return s.sync(ctx, Request{Roots: p.Roots, judged: judgedOf(p, whole)})
}

func judgedOf(p *ShardPlan, whole Judged) *judgedShard {
	j := &judgedShard{Judged: whole, shard: p.Totals, removes: make(map[policy.Grant]bool)}
	for _, c := range p.Changes {
		for _, a := range c.Remove {
			j.removes[policy.Grant{Securable: c.Securable, Principal: a.Principal, Privilege: a.Privilege}] = true
		}
	}
	return j
}

// judgeAnew judges a plan that takes the place of one that was judged: it may revoke what that one did. For more, the
// guards are asked again.
func (r *run) judgeAnew(plan *policy.Plan, j judgedShard, input policy.GuardInput) error {
	more := 0
	for _, c := range plan.Changes {
		for _, a := range c.Remove {
			if !j.removes[policy.Grant{Securable: c.Securable, Principal: a.Principal, Privilege: a.Privilege}] {
				more++
			}
		}
	}
	if more == 0 {
		return nil
	}
	if !j.Approved {
		input.Totals.Removes = j.Totals.Removes + more
		input.Totals.Managed = max(j.Totals.Managed, input.Totals.Managed)
	}
	if err := policy.CheckAll(r.Guards, input); err != nil {
		return refusal(fmt.Errorf("what was judged does not fit any more, and planned anew it would revoke %d grants more: %w", more, err),
			"of these nothing was changed; what the guards let pass elsewhere stays", approve(input.Digest, r.request.Roots))
	}
	return nil
}

// standings is what is granted on the securables of a plan while it is applied, to notice what others change.
type standings struct {
	mu       sync.Mutex
	expected map[policy.Securable]*policy.GrantSet
	drifted  map[policy.Securable]bool
}

func newStandings(p *ShardPlan) *standings {
	w := &standings{expected: make(map[policy.Securable]*policy.GrantSet, len(p.Stood)), drifted: make(map[policy.Securable]bool)}
	for _, s := range p.Stood {
		g := &policy.GrantSet{}
		g.Set(s.Securable, s.Grants)
		w.expected[s.Securable] = g
	}
	return w
}

// landed notes a change with the grants that its answer shows. A nil standings notes nothing.
func (w *standings) landed(c policy.Change, have []policy.Assignment) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.expected[c.Securable]
	if g == nil {
		return
	}
	next := slices.DeleteFunc(slices.Clone(g.Of(c.Securable)), func(a policy.Assignment) bool { return slices.Contains(c.Remove, a) })
	g.Set(c.Securable, append(next, c.Add...))
	shown := &policy.GrantSet{}
	shown.Set(c.Securable, have)
	w.drifted[c.Securable] = !slices.Equal(shown.Of(c.Securable), g.Of(c.Securable))
}

// changed returns the securables whose grants are not what the plan counted on, sorted.
func (w *standings) changed() []policy.Securable {
	var list []policy.Securable
	for s, drifted := range w.drifted {
		if drifted {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, policy.Securable.Compare)
	return list
}

// shardsAtOnce is how many shards are planned side by side.
const shardsAtOnce = 4

// planShards plans every shard of a full sync.
func (s *Syncer) planShards(ctx context.Context, r Request, plan func(context.Context, policy.Securable) (*ShardPlan, error)) ([]*ShardPlan, error) {
	if _, err := s.current(); err != nil {
		return nil, err
	}
	shards, _, err := s.shards(ctx)
	if err != nil {
		return nil, err
	}
	plans := make([]*ShardPlan, len(shards))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(shardsAtOnce)
	for i, shard := range shards {
		g.Go(func() (err error) {
			plans[i], err = plan(ctx, shard)
			return err
		})
	}
	return plans, g.Wait()
}

// planAll plans everything, shard by shard, and joins the plans.
func (s *Syncer) planAll(ctx context.Context, r Request) (*Result, error) {
	progress := newJoinedProgress(r)
	plans, err := s.planShards(ctx, r, func(ctx context.Context, shard policy.Securable) (*ShardPlan, error) {
		run, err := s.begin(ctx, Request{Roots: []policy.Securable{shard}, Progress: progress.of(shard)})
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
	if _, err := s.Judge(ctx, plans, ""); policy.CodeOf(err) == policy.CodeRefused {
		result.Refused = err
	} else if err != nil {
		return nil, err
	}
	return result, nil
}

// syncAll is a full sync in this process: every shard is planned, all are judged, and then applied.
func (s *Syncer) syncAll(ctx context.Context, r Request) (*Result, error) {
	defer s.ReleaseShards()
	plans, err := s.planShards(ctx, r, func(ctx context.Context, shard policy.Securable) (*ShardPlan, error) { return s.PlanShard(ctx, shard) })
	if err != nil {
		return nil, err
	}
	result := joinPlans(plans)
	judged, err := s.Judge(ctx, plans, r.Approved)
	if err != nil || s.Mode == policy.ModeObserve {
		return result, err
	}
	result.Outcomes, result.Plan.Changes = []Outcome{}, nil
	for _, p := range plans {
		s.Admitted(ctx, p)
		applied, err := s.ApplyShard(ctx, p, judged)
		if err != nil {
			return result, err
		}
		result.Plan.Changes = append(result.Plan.Changes, applied.Plan.Changes...)
		result.Outcomes = append(result.Outcomes, applied.Outcomes...)
	}
	return result, nil
}

// joinPlans joins the plans of shards to that of the whole.
func joinPlans(plans []*ShardPlan) *Result {
	result := &Result{Plan: &policy.Plan{Report: &policy.Report{}}}
	for _, p := range plans {
		result.Plan.PolicyVersion = max(result.Plan.PolicyVersion, p.PolicyVersion)
		result.Plan.Changes = append(result.Plan.Changes, p.Changes...)
		result.Plan.Totals.Add(p.Totals)
		if p.Digest != "" {
			result.Plan.Parts = append(result.Plan.Parts, p.Digest)
		}
		result.Plan.Report.Merge(p.findings)
		result.Unread = append(result.Unread, p.Unread...)
		result.LeftOut = append(result.LeftOut, p.LeftOut...)
		result.AlsoSynced = append(result.AlsoSynced, p.AlsoSynced...)
	}
	slices.SortStableFunc(result.Plan.Changes, func(a, b policy.Change) int {
		return cmp.Or(cmp.Compare(a.Wave, b.Wave), a.Securable.Compare(b.Securable))
	})
	return result
}
