package tasks

import (
	"context"
	"fmt"

	"ucwarden/connector"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// validitySync makes the changes that follow from validity schedules that opened or closed, before all other work.
type validitySync struct {
	syncer Syncer
	after  func(ondemand.Job, Changed) []ondemand.Task // may be nil
}

// Handle implements ondemand.Handler: it returns a child task for each shard in which something is left to do.
func (h validitySync) Handle(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	result, left, syncErr := h.syncer.SyncValidity(ctx, requestOf(job.Task))
	out, err := h.outcome(result, left, syncErr)
	out.Next = next(h.after, job, result, syncErr)
	return out, err
}

func (h validitySync) outcome(result *connector.Result, left []policy.Securable, err error) (ondemand.Outcome, error) {
	if err != nil {
		return ondemand.Outcome{Message: madeUntilThen(result)}, err
	}
	for _, o := range result.Outcomes {
		if policy.CodeOf(o.Err).Retryable() {
			return ondemand.Outcome{Message: madeBefore(result)}, o.Err // the next attempt finds done what was done
		}
	}
	t := newTotals(result)
	for _, o := range result.Outcomes {
		t.addOutcome(o)
	}
	out := ondemand.Outcome{Message: t.message(), PolicyVersion: result.Plan.PolicyVersion}
	for _, shard := range left {
		out.Children = append(out.Children, ondemand.Task{
			Type: ondemand.ResourceSync, Source: SourceValidity, Priority: 1, // before on-demand work
			RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{ondemand.ResourceOf(shard)}},
		})
	}
	if len(left) > 0 {
		out.Message = fmt.Sprintf("%s; %s to be synced besides", out.Message, count(len(left), "shard"))
	}
	return out, nil
}
