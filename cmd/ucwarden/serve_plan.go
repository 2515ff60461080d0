package main

import (
	"context"

	"ucwarden/apiserver"
	"ucwarden/connector/tasks"
	"ucwarden/policy"
)

// plan returns the plan of a full sync for the API.
func (d *daemon) plan(_ context.Context, q apiserver.PlanQuery) (apiserver.Plan, error) {
	id, shards, err := tasks.Planned(d.store, q.Task, func(shard policy.Securable) bool { return q.Visible(shard.String()) }, q.Limit)
	if err != nil {
		return apiserver.Plan{}, err
	}
	plan := apiserver.Plan{Task: id, Parts: []apiserver.PlanPart{}}
	for _, s := range shards {
		part := apiserver.PlanPart{
			Securable: s.Shard.String(), PlannedAt: s.PlannedAt, PolicyVersion: s.PolicyVersion, Digest: s.Digest,
			Changed: s.Totals.Changed, Adds: s.Totals.Adds, Removes: s.Totals.Removes, Changes: s.Changes, LeftOut: s.LeftOut,
		}
		for _, p := range s.Protection {
			part.Protection = append(part.Protection, apiserver.PlannedProtection{Table: p.Table.String(), Act: string(p.Act), What: p.Text})
		}
		plan.Parts = append(plan.Parts, part)
	}
	return plan, nil
}
