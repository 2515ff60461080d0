package tasks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"ucwarden/connector"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// Syncer syncs securables with the policies.
type Syncer interface {
	// Shards returns the roots that together make up a full sync.
	Shards(ctx context.Context) ([]policy.Securable, error)
	// Plan returns what a sync would change, and changes nothing.
	Plan(ctx context.Context, r connector.Request) (*connector.Result, error)
	// Sync plans and applies. Its errors are classified; see policy.CodeOf.
	Sync(ctx context.Context, r connector.Request) (*connector.Result, error)
}

var _ Syncer = (*connector.Syncer)(nil)

// Options say what the handlers work with.
type Options struct {
	Syncer Syncer // required
}

// New returns the handler of each type of task that is carried out by a sync.
func New(o Options) (map[ondemand.Type]ondemand.Handler, error) {
	if o.Syncer == nil {
		return nil, errors.New("tasks: no syncer")
	}
	return map[ondemand.Type]ondemand.Handler{
		ondemand.FullSync:     fullSync{o.Syncer},
		ondemand.ResourceSync: resourceSync{o.Syncer},
	}, nil
}

// fullSync splits a full sync into its shards.
type fullSync struct{ syncer Syncer }

// Handle implements ondemand.Handler: it returns one child task for each shard.
func (h fullSync) Handle(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	shards, err := h.syncer.Shards(ctx)
	if err != nil {
		return ondemand.Outcome{}, err
	}
	approvals := slices.Repeat([]string{job.Task.RequestInfo.Approve}, len(shards))
	if job.Task.RequestInfo.Approve != "" {
		whole, err := h.syncer.Plan(ctx, connector.Request{})
		if err != nil {
			return ondemand.Outcome{}, err
		}
		approvals = splitApproval(job.Task.RequestInfo.Approve, whole.Plan, shards)
	}
	var out ondemand.Outcome
	for i, shard := range shards {
		out.Children = append(out.Children, ondemand.Task{
			Type: ondemand.ResourceSync, Source: job.Task.Source,
			RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{ondemand.ResourceOf(shard)}, Approve: approvals[i]},
		})
	}
	return out, nil
}

// splitApproval returns what is approved of each shard. Whoever approved the plan of the whole approved each shard's
// part of it; the digest of one shard's own plan approves that one alone. Any other digest is passed to all of them, and
// is an error there.
func splitApproval(approved string, whole *policy.Plan, shards []policy.Securable) []string {
	own := make([]string, len(shards))
	for i, shard := range shards {
		part := policy.Plan{Changes: slices.DeleteFunc(slices.Clone(whole.Changes), func(c policy.Change) bool {
			return !concerns(shard, c.Securable)
		})}
		own[i] = part.Digest()
	}
	switch {
	case whole.Digest() == approved:
		return own
	case slices.Contains(own, approved):
		for i := range own {
			if own[i] != approved {
				own[i] = ""
			}
		}
		return own
	}
	return slices.Repeat([]string{approved}, len(shards))
}

// SourceRetry is the source of tasks that try again whom the workspace did not know.
const SourceRetry = "unknown principal"

// automatic are the sources of tasks that nobody asked for.
var automatic = map[string]bool{"schedule": true, "policy change": true, SourceRetry: true}

// resourceSync syncs the resources of a job.
type resourceSync struct{ syncer Syncer }

// Handle implements ondemand.Handler: it returns one result for each resource.
func (h resourceSync) Handle(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	result, err := h.syncer.Sync(ctx, connector.Request{
		Roots: job.Securables, Approved: job.Task.RequestInfo.Approve, ByPerson: !automatic[job.Task.Source],
		Origin: connector.Origin{Task: job.Task.ID, By: cmp.Or(job.Task.PostedBy, job.Task.Source)},
	})
	if err != nil {
		return ondemand.Outcome{}, err
	}
	for _, o := range result.Outcomes {
		if policy.CodeOf(o.Err).Retryable() {
			return ondemand.Outcome{}, o.Err // the next attempt finds done what was done
		}
	}
	out := ondemand.Outcome{Results: make([]ondemand.ResourceResult, len(job.Resources))}
	for i, r := range job.Resources {
		out.Results[i] = resourceResult(r, job.Securables[i], result)
	}
	if len(result.AlsoSynced) > 0 {
		out.Message = fmt.Sprintf("%s synced too, because what is granted inside requires USE_* there", joinNames(result.AlsoSynced))
	}
	return out, nil
}
