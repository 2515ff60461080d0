package connector

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ucwarden/connector/apply"
	"ucwarden/connector/coordinate"
	"ucwarden/connector/drift"
	"ucwarden/connector/load"
	"ucwarden/connector/memory"
	"ucwarden/connector/protection"
	"ucwarden/connector/written"
	"ucwarden/policy"
	"ucwarden/policy/guard"
)

// ShardPlan is the plan of one shard of a sync, as data: it can be stored until all shards were planned and judged, and
// applied then without reading again. Its body may be large, and is stored apart from the rest.
type ShardPlan struct {
	Roots         []policy.Securable `json:"roots"`
	Basis         string             `json:"basis"` // what it was made by; see Syncer.Fits
	PolicyVersion int64              `json:"policyVersion"`
	Digest        string             `json:"digest,omitempty"` // "" where it changes nothing
	Totals        policy.Totals      `json:"totals"`
	Listed        int                `json:"listed"`
	LastTime      int                `json:"lastTime,omitempty"`
	Missing       []policy.Securable `json:"missing,omitempty"`
	Skipped       []load.Skipped     `json:"skipped,omitempty"`
	Unread        []load.LeftOut     `json:"unread,omitempty"`
	Waiting       []policy.Grant     `json:"waiting,omitempty"`
	NotInForce    []string           `json:"notInForce,omitempty"`
	LeftOut       []policy.Principal `json:"leftOut,omitempty"`
	AlsoSynced    []policy.Securable `json:"alsoSynced,omitempty"`
	Drift         drift.Found        `json:"drift,omitzero"`

	PlannedAt time.Time `json:"plannedAt"`

	ShardBody `json:"-"`

	findings []policy.Finding
}

// ShardBody is the large part of a shard's plan.
type ShardBody struct {
	Changes []policy.Change `json:"changes"`
	// Protection and DropFunctions are those of the plan.
	Protection    []policy.ProtectionChange `json:"protection,omitempty"`
	DropFunctions []string                  `json:"dropFunctions,omitempty"`
	Stood         []written.Standing        `json:"stood"` // the grants on what is changed, when the plan was made
	Found         []policy.Object           `json:"found"` // what the listing of Roots held
	// Granted is which grants hold once the plan is applied; nil where it is what held before.
	Granted   drift.Record          `json:"granted"`
	Conflicts []protection.Conflict `json:"conflicts,omitempty"`
}

// Head returns the plan without its body.
func (p *ShardPlan) Head() *ShardPlan {
	head := *p
	head.ShardBody, head.findings = ShardBody{}, nil
	return &head
}

// Empty reports whether the plan changes nothing.
func (b *ShardBody) Empty() bool { return len(b.Changes)+len(b.Protection)+len(b.DropFunctions) == 0 }

// Judged is what the guards judged of a sync: a shard that is planned anew may revoke no more than that.
type Judged struct {
	Totals policy.Totals // of the whole sync
	Digest string        // of the whole
	// Approved says that a person approved it, so that its totals are no measure for more.
	Approved bool
	// Exact says that it is a saved plan: nothing else may be done in its place.
	Exact bool
	// WouldRefuse is why a guard would have refused it, in mode observe.
	WouldRefuse string
}

// judgedShard is what was judged of one shard.
type judgedShard struct {
	Judged
	shard   policy.Totals
	removes map[policy.Grant]bool
	adds    map[policy.Grant]bool
}

// PlanShard plans one shard of a full sync, or any roots, to be judged and applied later. From then on, until it is applied,
// planned anew or released, USE_* that other syncs require is not taken away by it.
func (s *Syncer) PlanShard(ctx context.Context, r Request) (*ShardPlan, error) {
	run, err := s.begin(ctx, r)
	if err != nil {
		return nil, err
	}
	p, err := run.planShard(ctx)
	if err == nil {
		s.notePlanned(ctx, p.findings, p.Conflicts)
	}
	if err != nil || p.Empty() {
		run.end()
		return p, err
	}
	s.hold(r.Roots, run.id)
	return p, nil
}

func (r *run) planShard(ctx context.Context) (*ShardPlan, error) {
	result, found, err := r.plan(ctx)
	if err != nil {
		return nil, err
	}
	p := &ShardPlan{
		Roots: r.request.Roots, Basis: r.basis(r.request.Roots[0]), PolicyVersion: result.Plan.PolicyVersion, Totals: result.Plan.Totals,
		Missing: result.Missing, Skipped: result.Skipped, Unread: result.Unread, Waiting: result.Plan.Waiting, NotInForce: result.NotInForce, LeftOut: result.LeftOut, AlsoSynced: result.AlsoSynced,
		PlannedAt: time.Now(), ShardBody: ShardBody{Changes: result.Plan.Changes, Protection: result.Plan.Protection, DropFunctions: result.Plan.DropFunctions, Granted: r.granted, Conflicts: result.Conflicts}, findings: result.Plan.Report.Findings,
		Drift: result.Drift,
	}
	if !p.Empty() {
		p.Digest = result.Plan.Digest()
	}
	p.Listed, p.LastTime = memory.LargestLoss(found.Listings)
	for _, l := range found.Listings {
		p.Found = append(p.Found, l.Found...)
	}
	p.Stood = written.Before(found, p.Changes)
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
		s.coordinator.End(old)
	}
}

// release forgets the plan of the roots.
func (s *Syncer) release(roots []policy.Securable) {
	s.mu.Lock()
	key := fmt.Sprint(roots)
	id, found := s.held[key]
	delete(s.held, key)
	s.mu.Unlock()
	if found {
		s.coordinator.End(id)
	}
}

// Release forgets a plan that will not be applied.
func (s *Syncer) Release(p *ShardPlan) { s.release(p.Roots) }

// ReleaseShards forgets the shards that were planned: none of them will be applied any more.
func (s *Syncer) ReleaseShards() {
	s.mu.Lock()
	held := s.held
	s.held = make(map[string]uint64)
	s.mu.Unlock()
	for _, id := range held {
		s.coordinator.End(id)
	}
}

// resume returns the run that made the plan, by the policies now in force; nil where the plan does not fit any more.
func (s *Syncer) resume(p *ShardPlan, request Request) (*run, error) {
	g, err := s.current()
	if err != nil {
		return nil, err
	}
	request.Roots = p.Roots
	r := s.runOf(g, request)
	if r.basis(p.Roots[0]) != p.Basis {
		return nil, nil
	}
	s.mu.Lock()
	id, held := s.held[fmt.Sprint(p.Roots)]
	s.mu.Unlock()
	if !held && slices.ContainsFunc(p.Changes, coordinate.Closes) {
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

// Judge asks the guards about all shards of a sync together, of which it needs no changes. The approval of the request
// must name the whole or one shard; a shard that it names is judged no further. A saved plan must be the whole. A refusal,
// of class policy.CodeRefused, says that nothing was changed.
func (s *Syncer) Judge(ctx context.Context, shards []*ShardPlan, request Request) (Judged, error) {
	approved := request.Approved
	g, err := s.current()
	if err != nil {
		return Judged{}, err
	}
	r := s.runOf(g, Request{})
	var parts []string
	var all policy.Totals
	var changed []policy.Securable
	now, before := 0, 0
	for _, p := range shards {
		if p.Digest != "" {
			parts = append(parts, p.Digest)
		}
		if approved != "" && p.Digest == approved {
			continue
		}
		all.Add(p.Totals)
		if p.Totals.Changed > 0 {
			changed = append(changed, p.Roots...)
		}
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
	if input.ReadOtherwise, err = r.readOtherwise(changed); err != nil {
		return Judged{}, err
	}
	judged := Judged{Totals: all, Digest: whole, Approved: approved != "", Exact: request.Saved != ""}
	if err := checkSaved(request, whole); err != nil {
		return judged, err
	}
	if err := checkApproval(input, parts); err != nil {
		return judged, err
	}
	if err := guard.CheckAll(s.Guards, input); err != nil {
		err = refusal(err, "nothing was changed, in no part of the sync", approveWhole(whole, request))
		if s.Mode != policy.ModeObserve {
			return judged, err
		}
		judged.WouldRefuse = err.Error()
	}
	return judged, nil
}

// admitted notes that a sync was let pass by the guards: what its listings held is what the next are compared with.
func (s *Syncer) admitted(ctx context.Context, p *ShardPlan) {
	s.meet(ctx)
	for _, root := range p.Roots {
		if memory.IsShard(root) && len(p.Found) > 0 {
			s.remember(ctx, []memory.Listing{{Root: root, Found: p.Found}})
		}
	}
}

// ApplyShard applies a plan that was judged. Where it does not fit what stands any more, what is about it is planned anew,
// and refused if it would revoke more than was judged and a guard does not let that pass. Where the request names roots,
// these are read and planned anew from the beginning.
func (s *Syncer) ApplyShard(ctx context.Context, p *ShardPlan, whole Judged, r Request) (*Result, error) {
	start := time.Now()
	result, err := s.applyShard(ctx, p, whole, r)
	s.ended(ctx, p.Roots, result, err, time.Since(start))
	return result, err
}

func (s *Syncer) applyShard(ctx context.Context, p *ShardPlan, whole Judged, request Request) (*Result, error) {
	defer s.release(p.Roots)
	if len(request.Roots) > 0 {
		request.judged = judgedOf(p.Changes, p.Totals, whole)
		return s.sync(ctx, request)
	}
	result := &Result{
		Plan:    &policy.Plan{PolicyVersion: p.PolicyVersion, Changes: p.Changes, Protection: p.Protection, DropFunctions: p.DropFunctions, Totals: p.Totals, Waiting: p.Waiting, Report: &policy.Report{Findings: p.findings}},
		Missing: p.Missing, Skipped: p.Skipped, Unread: p.Unread, NotInForce: p.NotInForce, LeftOut: p.LeftOut, AlsoSynced: p.AlsoSynced, Conflicts: p.Conflicts, Drift: p.Drift,
	}
	if s.Mode == policy.ModeObserve {
		return result, nil
	}
	r, err := s.resume(p, request)
	if err != nil {
		return nil, err
	}
	if r == nil {
		s.Logger.InfoContext(ctx, "planning a shard anew: the policies changed, or the process was started again", "roots", fmt.Sprint(p.Roots))
		request.Roots, request.judged = p.Roots, judgedOf(p.Changes, p.Totals, whole)
		return s.sync(ctx, request)
	}
	s.admitted(ctx, p)
	r.watch = written.NewWatch(p.Stood)
	if err := r.applyPlan(ctx, result.Plan, result); err != nil {
		return result, err
	}
	if len(p.Roots) == 1 {
		r.noteInSync(ctx, p.Roots[0], result)
		r.noteGranted(ctx, p.Roots, p.Granted, result)
	}
	request.judged = judgedOf(p.Changes, p.Totals, whole)
	request.Roots = p.Roots
	if err := r.closeUnprotected(ctx, request, result); err != nil {
		return result, err
	}
	return result, r.syncDrifted(ctx, request, result)
}

// syncDrifted syncs again, once, the securables whose grants the answers to changes show to be others than the plan counted
// on, and adds that to the result.
func (r *run) syncDrifted(ctx context.Context, request Request, result *Result) error {
	changed := r.watch.Changed()
	if len(changed) == 0 {
		return nil
	}
	r.Logger.InfoContext(ctx, "planning securables anew: their grants were changed by somebody else since they were read", "securables", len(changed), "one", changed[0].String())
	request.Roots, request.again, request.Approved, request.Saved = changed, true, "", ""
	again, err := r.Syncer.sync(ctx, request)
	if err != nil {
		return err
	}
	apply.ClearMade(result.Plan.Changes, result.Outcomes, again.Outcomes)
	result.Plan.Changes = append(slices.Clone(result.Plan.Changes), again.Plan.Changes...)
	result.Outcomes = append(result.Outcomes, again.Outcomes...)
	result.Drift.Add(drift.Of(again.Plan.Changes)) // what stays is counted already
	result.Unread = append(result.Unread, again.Unread...)
	result.Pending = outermost(append(result.Pending, again.Pending...))
	result.Plan.Waiting = append(result.Plan.Waiting, again.Plan.Waiting...)
	return nil
}

func judgedOf(changes []policy.Change, totals policy.Totals, whole Judged) *judgedShard {
	j := &judgedShard{Judged: whole, shard: totals, removes: make(map[policy.Grant]bool), adds: make(map[policy.Grant]bool)}
	for _, c := range changes {
		adds, removes := c.Acts()
		for _, a := range adds {
			j.adds[grantOn(c.Securable, a)] = true
		}
		for _, a := range removes {
			j.removes[grantOn(c.Securable, a)] = true
		}
	}
	return j
}

func grantOn(s policy.Securable, a policy.Assignment) policy.Grant {
	return policy.Grant{Securable: s, Principal: a.Principal, Privilege: a.Privilege}
}

// holds reports whether all that the plan would do was judged.
func (j *judgedShard) holds(plan *policy.Plan) bool {
	for _, c := range plan.Changes {
		adds, removes := c.Acts()
		if slices.ContainsFunc(adds, func(a policy.Assignment) bool { return !j.adds[grantOn(c.Securable, a)] }) ||
			slices.ContainsFunc(removes, func(a policy.Assignment) bool { return !j.removes[grantOn(c.Securable, a)] }) {
			return false
		}
	}
	return true
}

// judgeAnew judges a plan that takes the place of one that was judged: it may revoke what that one did. For more, the
// guards are asked again.
func (r *run) judgeAnew(plan *policy.Plan, j judgedShard, input guard.Input) error {
	if j.Exact && !j.holds(plan) {
		return policy.Errorf(policy.CodeInvalid,
			"the saved plan %s became stale while it was applied: more would be changed now than it holds, and that was not done; what was done before stays. %s", j.Digest, lookAgain)
	}
	more := 0
	for _, c := range plan.Changes {
		for _, a := range c.Remove {
			if !j.removes[grantOn(c.Securable, a)] {
				more++
			}
		}
	}
	if more == 0 {
		return nil
	}
	if !j.Approved {
		input.Totals.Removes, input.Totals.StillHeld = j.Totals.Removes+more, j.Totals.StillHeld
		input.Totals.Managed = max(j.Totals.Managed, input.Totals.Managed)
	}
	if err := guard.CheckAll(r.Guards, input); err != nil {
		return refusal(fmt.Errorf("what was judged does not fit any more, and planned anew it would revoke %d grants more: %w", more, err),
			"of these nothing was changed; what the guards let pass elsewhere stays", approve(input.Digest, r.request.Roots))
	}
	return nil
}
