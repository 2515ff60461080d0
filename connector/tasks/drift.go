package tasks

import (
	"slices"

	"ucwarden/connector"
	"ucwarden/connector/drift"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// driftOf returns the drift that a job found, and how much of it the outcomes of its changes put right. What a job does for what
// policies say from now on is none.
func driftOf(job ondemand.Job, found drift.Found, result *connector.Result) ondemand.Drift {
	if slices.ContainsFunc(append([]ondemand.Task{job.Task}, job.Followers...), isPolicyChange) {
		return ondemand.Drift{}
	}
	out := ondemand.Drift{Excess: found.Excess, Missing: found.Missing, Securables: found.Securables}
	if result != nil {
		made := make([]policy.Change, 0, len(result.Outcomes))
		for _, o := range result.Outcomes {
			if !o.Gone {
				made = append(made, o.Change)
			}
		}
		right := drift.Of(made)
		out.Removed, out.PutBack = right.Excess, right.Missing
	}
	return out
}

// isPolicyChange reports whether a task is for what policies say from now on.
func isPolicyChange(t ondemand.Task) bool {
	source := OwnSource(&t)
	return source == SourcePolicyChange || source == SourceValidity
}
