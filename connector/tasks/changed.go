package tasks

import (
	"slices"

	"ucwarden/connector"
	"ucwarden/connector/load"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// Changed is what a job changed in the workspace.
type Changed struct {
	Protected []policy.Securable // tables whose row filters or masks changed
	Granted   []policy.Securable // securables whose grants changed
	// Unknown are securables that were synced when the process crashed: what had changed there by then is not known.
	Unknown []policy.Securable
}

// next returns what follows from what a job changed; result may be nil, or of a sync that ended early with err.
func next(after func(ondemand.Job, Changed) []ondemand.Task, job ondemand.Job, result *connector.Result, err error) []ondemand.Task {
	if after == nil {
		return nil
	}
	var changed Changed
	if result != nil && result.Plan != nil && policy.CodeOf(err) != policy.CodeRefused {
		changed = changedBy(result)
	}
	if job.Task.Crashes > 0 {
		changed.Unknown = job.Securables
	}
	if len(changed.Protected)+len(changed.Granted)+len(changed.Unknown) == 0 {
		return nil
	}
	return after(job, changed)
}

func changedBy(result *connector.Result) Changed {
	var c Changed
	for _, p := range result.Plan.Protection {
		failed := slices.ContainsFunc(result.Unprotected, func(left load.LeftOut) bool { return left.Securable == p.Table })
		if !failed {
			c.Protected = append(c.Protected, p.Table)
		}
	}
	for _, o := range result.Outcomes {
		if !o.Gone && len(o.Change.Add)+len(o.Change.Remove) > 0 {
			c.Granted = append(c.Granted, o.Change.Securable)
		}
	}
	return c
}
