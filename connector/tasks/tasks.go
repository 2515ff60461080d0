package tasks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"ucwarden/connector"
	"ucwarden/connector/apply"
	"ucwarden/connector/call"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// Syncer syncs securables with the policies.
type Syncer interface {
	// Shards returns the roots that together make up a full sync.
	Shards(ctx context.Context) ([]policy.Securable, error)
	// Concerned returns those of the shards that a change of the policies concerns.
	Concerned(shards []policy.Securable) ([]policy.Securable, error)
	// PlanShard plans a shard, to be applied later.
	PlanShard(ctx context.Context, r connector.Request) (*connector.ShardPlan, error)
	// Fits reports whether a plan is by what is in force now.
	Fits(p *connector.ShardPlan) (bool, error)
	// Judge asks the guards about all shards of a sync together; an error of class policy.CodeRefused is their refusal.
	Judge(ctx context.Context, shards []*connector.ShardPlan, r connector.Request) (connector.Judged, error)
	// Planned notes how a full sync ended that was planned shard by shard: whether these were all shards, and why none of them is
	// applied, which a refusal may be.
	Planned(ctx context.Context, whole bool, err error)
	// ApplyShard applies a plan that was judged. Where the request names roots, they are planned anew.
	ApplyShard(ctx context.Context, p *connector.ShardPlan, whole connector.Judged, r connector.Request) (*connector.Result, error)
	// Release forgets a plan that will not be applied.
	Release(p *connector.ShardPlan)
	// ReleaseShards forgets the plans that were not applied.
	ReleaseShards()
	// SyncValidity makes the changes that follow from validity schedules, and returns the shards in which something is
	// left to do.
	SyncValidity(ctx context.Context, r connector.Request) (*connector.Result, []policy.Securable, error)
	// Sync plans and applies. Its errors are classified; see policy.CodeOf.
	Sync(ctx context.Context, r connector.Request) (*connector.Result, error)
}

var _ Syncer = (*connector.Syncer)(nil)

// Options say what the handlers work with.
type Options struct {
	Syncer Syncer // required
	Store  Store  // of plans, from when they are made until they are applied; required
	// Progress, where set, is called now and then, never twice at once for a task, with how far that is. The shards of a
	// full sync, once it is planned, are tasks whose ends tell it.
	Progress func(task string, at connector.Progress)
	// Refresh, where set, reads the policies again, at once, before a task that somebody asked for runs. It returns nil where
	// what is in force is what their source has. Tasks share a call that began after they were received.
	Refresh func(ctx context.Context) error
	// After, where set, returns the tasks that follow from what a job changed. It is called for jobs that changed something, or
	// may have. In mode observe, where nothing is changed, it must not be set.
	After func(job ondemand.Job, changed Changed) []ondemand.Task
	// Bounded says that a task for some objects leaves it to a task of its own to sync a container above them, where all of
	// that has to be looked at before USE_* are granted there and it is not small.
	Bounded bool
}

// Types are the types of tasks that are carried out by a sync.
var Types = []ondemand.Type{ondemand.FullSync, ondemand.ResourceSync, ondemand.ValiditySync}

// New returns the handler of each of Types.
func New(o Options) (map[ondemand.Type]ondemand.Handler, error) {
	if o.Syncer == nil || o.Store == nil {
		return nil, errors.New("tasks: no syncer, or no store for plans")
	}
	news := &news{refresh: o.Refresh}
	return map[ondemand.Type]ondemand.Handler{
		ondemand.FullSync:     fullSync{o.Syncer, plans{o.Store}, o.Progress, news},
		ondemand.ResourceSync: resourceSync{o.Syncer, plans{o.Store}, o.Progress, news, o.Bounded, o.After},
		ondemand.ValiditySync: validitySync{o.Syncer, o.After},
	}, nil
}

// SourcePolicyChange is the source of full syncs that a change of the policies asks for. They take only the shards that it
// concerns.
const SourcePolicyChange = "policy change"

// SourcePrincipals is the source of full syncs for which the workspace says something else of those whom policies name.
const SourcePrincipals = "principals changed"

// SourceRetry is the source of tasks that try again whom the workspace did not know.
const SourceRetry = "unknown principal"

// SourceProtection is the source of tasks that try again to set row filters and masks.
const SourceProtection = "protection"

// SourceValidity is the source of tasks for what a validity schedule opened or closed: a VALIDITY_SYNC, and syncs of the
// shards in which that leaves something to do.
const SourceValidity = "validity"

// sourceRequiredUse is the source of tasks for containers on which somebody lacks USE_* that a task for an object inside
// requires.
const sourceRequiredUse = "required USE_*"

// automatic are the sources of tasks that nobody asked for.
var automatic = map[string]bool{"schedule": true, SourcePolicyChange: true, SourcePrincipals: true, SourceRetry: true, SourceProtection: true, SourceValidity: true}

// OwnSource returns the source of a task that the daemon asked for by itself, or that is part of such a one; "" for what others
// asked for, who may write any source into their documents: it gives them nothing.
func OwnSource(t *ondemand.Task) string {
	if t.PostedBy != "" {
		return ""
	}
	return t.Source
}

// IsNarrow reports whether a full sync takes only the shards that a change of the policies concerns: what somebody else changed in the
// others, it does not see.
func IsNarrow(t *ondemand.Task) bool { return OwnSource(t) == SourcePolicyChange }

// requestOf returns what a task asks for, without its roots.
func requestOf(t ondemand.Task) connector.Request {
	return connector.Request{
		Approved: t.RequestInfo.Approve, Saved: t.RequestInfo.Plan, ByPerson: !automatic[OwnSource(&t)] && t.Source != sourceRequiredUse,
		Origin: apply.Origin{Task: t.ID, By: cmp.Or(t.AskedBy(), t.Source)},
	}
}

// resourceSync syncs the resources of a job.
type resourceSync struct {
	syncer   Syncer
	plans    plans
	progress func(task string, at connector.Progress) // may be nil
	news     *news
	bounded  bool
	after    func(ondemand.Job, Changed) []ondemand.Task // may be nil
}

// Handle implements ondemand.Handler: it returns one result for each resource.
func (h resourceSync) Handle(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	note, err := h.news.before(ctx, job)
	if err != nil {
		return ondemand.Outcome{}, err
	}
	result, syncErr := h.sync(ctx, job)
	out, err := h.outcome(job, note, result, syncErr)
	out.Next = next(h.after, job, result, syncErr)
	if result != nil {
		out.Drift = driftOf(job, result.Drift, result)
	}
	return out, err
}

// outcome returns what the result of a sync, or its error, means for the tasks of the job.
func (h resourceSync) outcome(job ondemand.Job, note string, result *connector.Result, err error) (ondemand.Outcome, error) {
	if err != nil {
		return ondemand.Outcome{Message: madeUntilThen(result)}, err
	}
	for _, o := range result.Outcomes {
		if policy.CodeOf(o.Err).Retryable() {
			return ondemand.Outcome{Message: madeBefore(result)}, o.Err // the next attempt finds done what was done
		}
	}
	for _, left := range result.Unread {
		if left.Code.Retryable() && !left.Unprotected { // that is tried again once the warehouse had some time
			text := []string{left.String()}
			if note := waitingNote(result.Plan.Waiting, len(result.Pending) > 0); note != "" {
				text = append(text, note)
			}
			return ondemand.Outcome{Message: madeBefore(result)}, policy.Errorf(left.Code, "%s", strings.Join(text, "; "))
		}
	}
	out := ondemand.Outcome{Results: make([]ondemand.ResourceResult, len(job.Resources)), PolicyVersion: result.Plan.PolicyVersion, Note: note}
	for i, r := range job.Resources {
		out.Results[i] = resourceResult(r, job.Securables[i], result, about{alone: len(job.Resources) == 1, asked: job.Task.ParentID == ""})
	}
	var notes []string
	if result.Refused != nil {
		notes = append(notes, wouldRefuse(result.Refused.Error()))
	}
	if n := result.Plan.Totals.NotRevoked; n > 0 && len(job.Resources) > 1 {
		notes = append(notes, fmt.Sprintf("mode grant-only leaves %s that no policy asks for", count(n, "grant")))
	}
	if len(result.AlsoSynced) > 0 {
		notes = append(notes, fmt.Sprintf("%s synced too, because what is granted inside requires USE_* there, or USE_* inside would wake what is granted there", joinNames(result.AlsoSynced)))
	}
	out.Message = strings.Join(notes, "; ")
	for _, container := range result.Pending {
		out.Pending = append(out.Pending, ondemand.Task{
			Type: ondemand.ResourceSync, Source: sourceRequiredUse, PostedBy: job.Task.PostedBy, RetriedBy: job.Task.RetriedBy,
			RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{ondemand.ResourceOf(container)}},
		})
	}
	return out, nil
}

// sync applies the plan that a full sync made of its shard, or a saved plan, or plans and applies.
func (h resourceSync) sync(ctx context.Context, job ondemand.Job) (*connector.Result, error) {
	request := requestOf(job.Task)
	if h.progress != nil && job.Task.ParentID == "" {
		request.Progress = func(at connector.Progress) { h.progress(job.Task.ID, at) }
	}
	switch {
	case job.Task.ParentID == "" && request.Saved != "":
		return h.applySaved(ctx, job, request)
	case job.Task.ParentID != "":
		shard, judged, begun, err := h.plans.take(job.Task.ParentID, job.Securables[0])
		if err != nil {
			return nil, err
		}
		if shard != nil {
			if begun || len(job.Followers) > 0 { // others asked after it was planned
				request.Roots = job.Securables
			}
			return h.syncer.ApplyShard(call.WithBackground(ctx), shard, judged, request)
		}
		if request.Saved != "" {
			return nil, policy.Errorf(policy.CodeInvalid, "the saved plan %s is not kept any more for what was not applied yet, which was not changed. Look again with 'ucwarden plan --out FILE'", request.Saved)
		}
	}
	request.Roots = job.Securables
	if job.Task.Source == sourceRequiredUse {
		ctx = call.WithBackground(ctx)
	} else {
		request.Bounded = h.bounded && job.Task.ParentID == ""
	}
	if OwnSource(&job.Task) == SourceValidity && len(job.Followers) == 0 {
		result, left, err := h.syncer.SyncValidity(ctx, request)
		if err != nil || len(left) == 0 {
			return result, err
		}
		request.Roots = left
	}
	return h.syncer.Sync(ctx, request)
}

// applySaved plans, and applies what it planned if that is the saved plan. Like a shard's, the plan is kept: a further
// attempt does what is left of it and nothing else.
func (h resourceSync) applySaved(ctx context.Context, job ondemand.Job, request connector.Request) (*connector.Result, error) {
	id, at := job.Task.ID, job.Securables[0]
	plan, judged, _, err := h.plans.take(id, at)
	if err != nil {
		return nil, err
	}
	if plan != nil { // of an earlier attempt, which may have applied some of it
		request.Roots = job.Securables
		return h.syncer.ApplyShard(ctx, plan, judged, request)
	}
	ask := request
	ask.Roots = job.Securables
	if plan, err = h.syncer.PlanShard(ctx, ask); err != nil {
		h.syncer.Planned(ctx, false, err)
		return nil, err
	}
	defer h.syncer.Release(plan)
	if judged, err = h.syncer.Judge(ctx, []*connector.ShardPlan{plan}, request); err != nil {
		h.syncer.Planned(ctx, false, err)
		return nil, err
	}
	if err := h.plans.save(id, at, plan); err != nil {
		return nil, err
	}
	if err := h.plans.saveJudged(id, judged); err != nil {
		return nil, err
	}
	return h.syncer.ApplyShard(ctx, plan, judged, request)
}
