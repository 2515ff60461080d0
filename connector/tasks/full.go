package tasks

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ucwarden/connector"
	"ucwarden/connector/call"
	"ucwarden/connector/drift"
	"ucwarden/group"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

const (
	// shardsAtOnce is how many shards are planned side by side.
	shardsAtOnce = 4
	// maxPlanAge is how old the plan of a shard may be when a full sync goes on after it was interrupted.
	maxPlanAge = time.Hour
)

// fullSync plans every shard of a full sync, has the guards judge all of it, and splits it into the tasks that apply it.
type fullSync struct {
	syncer   Syncer
	plans    plans
	progress func(task string, at connector.Progress) // may be nil
	news     *news
}

// Handle implements ondemand.Handler: it returns one child task for each shard, once all are planned and judged. A refusal
// ends the task before anything is changed.
func (h fullSync) Handle(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	out, whole, err := h.split(ctx, job)
	if !out.Again {
		h.syncer.Planned(ctx, whole, err)
	}
	return out, err
}

// split is Handle, and reports whether the sync is of all shards.
func (h fullSync) split(ctx context.Context, job ondemand.Job) (_ ondemand.Outcome, whole bool, _ error) {
	id := job.Task.ID
	if err := h.plans.dropOthers(id); err != nil { // no other full sync is under way
		return ondemand.Outcome{}, false, err
	}
	note, err := h.news.before(ctx, job)
	if err != nil {
		return ondemand.Outcome{}, false, err
	}
	all, err := h.syncer.Shards(ctx)
	if err != nil {
		return ondemand.Outcome{}, false, err
	}
	shards := all
	if IsNarrow(&job.Task) {
		if shards, err = h.syncer.Concerned(all); err != nil {
			return ondemand.Outcome{}, false, err
		}
	}
	heads, done, err := h.plan(ctx, job, shards)
	if err != nil {
		return ondemand.Outcome{}, false, err
	}
	if done < len(shards) {
		return ondemand.Outcome{Again: true, Message: fmt.Sprintf("%d of %d shards planned", done, len(shards))}, false, nil
	}
	judged, err := h.syncer.Judge(ctx, heads, requestOf(job.Task))
	if err != nil {
		if !policy.CodeOf(err).Retryable() {
			h.syncer.ReleaseShards()
		}
		var found drift.Found
		for _, head := range heads {
			found.Add(head.Drift)
		}
		return ondemand.Outcome{Drift: driftOf(job, found, nil)}, false, err
	}
	if err := h.plans.saveJudged(id, judged); err != nil {
		return ondemand.Outcome{}, false, err
	}
	out := ondemand.Outcome{Note: note}
	for _, head := range heads {
		out.PolicyVersion = max(out.PolicyVersion, head.PolicyVersion)
	}
	for _, shard := range shards {
		out.Children = append(out.Children, ondemand.Task{
			Type: ondemand.ResourceSync, Source: job.Task.Source, PostedBy: job.Task.PostedBy,
			RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{ondemand.ResourceOf(shard)}, Plan: job.Task.RequestInfo.Plan},
		})
	}
	var notes []string
	if judged.WouldRefuse != "" {
		notes = append(notes, wouldRefuse(judged.WouldRefuse))
	}
	if left := len(all) - len(shards); left > 0 {
		notes = append(notes, fmt.Sprintf("%d of %d shards are in sync with policies that mean the same there", left, len(all)))
	}
	out.Message = strings.Join(notes, "; ")
	if len(all) == 0 {
		out.Message = "nothing was looked at: the workspace shows nothing that scope.* admits to the identity in use"
	}
	return out, len(shards) == len(all), nil
}

// plan plans the shards that are not planned yet, and returns what the guards judge of each. It stops, with fewer done than
// there are shards, where other tasks wait for the worker.
func (h fullSync) plan(ctx context.Context, job ondemand.Job, shards []policy.Securable) (heads []*connector.ShardPlan, done int, err error) {
	planned := planProgress{total: len(shards), report: func(at connector.Progress) {
		if h.progress != nil {
			h.progress(job.Task.ID, at)
		}
	}}
	heads = make([]*connector.ShardPlan, len(shards))
	g, ctx := group.WithContext(ctx)
	g.SetLimit(shardsAtOnce)
	var first atomic.Bool // one shard at least is planned in a run, however many tasks wait
	for i, shard := range shards {
		g.Go(func() error {
			head, err := h.plans.head(job.Task.ID, shard)
			if err != nil {
				return err
			}
			if head != nil && time.Since(head.PlannedAt) < maxPlanAge {
				fits, err := h.syncer.Fits(head)
				if err != nil {
					return err
				}
				if fits {
					heads[i] = head
					planned.add(0, 1)
					return nil
				}
			}
			if first.Swap(true) && job.Yield != nil && job.Yield() {
				return nil
			}
			request := requestOf(job.Task)
			request.Roots = []policy.Securable{shard}
			request.Progress = planned.ofShard()
			plan, err := h.syncer.PlanShard(call.WithBackground(ctx), request)
			if err != nil {
				return err
			}
			if err := h.plans.save(job.Task.ID, shard, plan); err != nil {
				return err
			}
			heads[i] = plan.Head()
			planned.add(0, 1)
			return nil
		})
	}
	err = g.Wait()
	return heads, planned.done, err
}

// planProgress adds up how far the shards of a full sync are that are planned side by side.
type planProgress struct {
	total  int
	report func(connector.Progress)

	mu         sync.Mutex
	done, read int // shards planned, and objects whose grants were read
}

func (p *planProgress) add(read, done int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read, p.done = p.read+read, p.done+done
	p.report(connector.Progress{Phase: "plan", Done: p.done, Total: p.total, Read: p.read})
}

// ofShard returns what one shard reports its progress to.
func (p *planProgress) ofShard() func(connector.Progress) {
	last := 0
	return func(at connector.Progress) {
		if at.Phase != "read" {
			last = 0 // a container above is read too, and all of it again
			return
		}
		p.add(max(at.Done-last, 0), 0)
		last = at.Done
	}
}
