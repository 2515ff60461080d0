package tasks

import (
	"slices"

	"ucwarden/connector"
	"ucwarden/connector/drift"
	"ucwarden/connector/load"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// driftOf returns the drift that a job found, and how much of it the outcomes of its changes put right. Grants that a job changes for what
// policies say from now on are none; row filters and masks are compared with what was set, whatever policies say.
func driftOf(job ondemand.Job, found drift.Found, result *connector.Result) ondemand.Drift {
	out := ondemand.Drift{Protection: found.Protection, Tables: found.Tables}
	if result != nil && result.Outcomes != nil {
		for _, c := range result.Plan.Protection {
			if !slices.ContainsFunc(result.Unprotected, func(l load.LeftOut) bool { return l.Securable == c.Table }) {
				out.Protected += c.PutBack
			}
		}
	}
	if slices.ContainsFunc(append([]ondemand.Task{job.Task}, job.Followers...), isPolicyChange) {
		return out
	}
	out.Excess, out.Missing, out.Securables = found.Excess, found.Missing, found.Securables
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
