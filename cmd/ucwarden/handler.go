package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/connector"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// maxRecordedChanges bounds what one resource's result keeps of its changes.
const maxRecordedChanges = 1000

// fullSyncHandler splits a full sync into one task for each catalog, and one for the metastore's other objects.
type fullSyncHandler struct{ syncer *connector.Syncer }

// Handle implements ondemand.Handler.
func (h fullSyncHandler) Handle(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	shards, err := h.syncer.Shards(ctx)
	if err != nil {
		return ondemand.Outcome{}, err
	}
	approvals, err := h.approvals(ctx, job.Task.RequestInfo.Approve, shards)
	if err != nil {
		return ondemand.Outcome{}, err
	}
	var out ondemand.Outcome
	for i, s := range shards {
		r := ondemand.Resource{Type: "catalog", Values: map[string]string{"catalog": s.FullName}}
		if s.Type == policy.Metastore {
			r = ondemand.Resource{Type: "metastore"}
		}
		out.Children = append(out.Children, ondemand.Task{
			Type: ondemand.ResourceSync, Source: job.Task.Source,
			RequestInfo: ondemand.RequestInfo{Resources: []ondemand.Resource{r}, Approve: approvals[i]},
		})
	}
	return out, nil
}

// approvals gives what is approved of each shard. Who approved the plan of the whole approved each shard's part of it,
// and nothing when the whole has changed since; any other digest is one shard's own.
func (h fullSyncHandler) approvals(ctx context.Context, approved string, shards []policy.Securable) ([]string, error) {
	list := slices.Repeat([]string{approved}, len(shards))
	if approved == "" {
		return list, nil
	}
	whole, err := h.syncer.Plan(ctx, connector.Request{})
	if err != nil {
		return nil, err
	}
	if whole.Plan.Digest() != approved {
		return list, nil
	}
	for i, shard := range shards {
		part := policy.Plan{Changes: slices.DeleteFunc(slices.Clone(whole.Plan.Changes), func(c policy.Change) bool {
			return !concerns(shard, c.Securable)
		})}
		list[i] = part.Digest()
	}
	return list, nil
}

// syncHandler joins the task pipeline with the syncer: it syncs the resources of a job and tells what became of each.
type syncHandler struct{ syncer *connector.Syncer }

// Handle implements ondemand.Handler.
func (h *syncHandler) Handle(ctx context.Context, job ondemand.Job) (ondemand.Outcome, error) {
	roots := make([]policy.Securable, len(job.Resources))
	for i, r := range job.Resources {
		s, err := r.Securable()
		if err != nil {
			return ondemand.Outcome{}, err
		}
		roots[i] = s
	}
	result, err := h.syncer.Sync(ctx, connector.Request{Roots: roots, Approved: job.Task.RequestInfo.Approve})
	if err != nil {
		return ondemand.Outcome{}, err
	}
	for _, o := range result.Outcomes {
		if code := policy.CodeOf(o.Err); code.Retryable() {
			return ondemand.Outcome{}, o.Err // what was done stays done, and is not found to do again
		}
	}
	out := ondemand.Outcome{Results: make([]ondemand.ResourceResult, len(roots))}
	for i, r := range job.Resources {
		out.Results[i] = resourceResult(r, roots[i], result)
	}
	if len(result.Widened) > 0 {
		out.Message = fmt.Sprintf("%s synced too, to open the way (USE_*) to what is granted inside", joinSecurables(result.Widened))
	}
	return out, nil
}

func joinSecurables(list []policy.Securable) string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.String()
	}
	return strings.Join(names, ", ")
}

// concerns reports whether a change on s is part of syncing root: on it, inside it, or on a container above it.
func concerns(root, s policy.Securable) bool {
	if root.Type == policy.Metastore && root.FullName == "" {
		return s.Type.Depth() == 1 && s.Type != policy.Catalog
	}
	return root.Contains(s) || s.Contains(root)
}

// resourceResult picks, from the result of a sync, what concerns one resource.
func resourceResult(r ondemand.Resource, root policy.Securable, result *connector.Result) ondemand.ResourceResult {
	out := ondemand.ResourceResult{Type: r.Type, Values: r.Values, Status: ondemand.Success}
	if slices.Contains(result.Missing, root) {
		out.Status, out.Message = ondemand.Skipped, "not found in Unity Catalog"
		return out
	}
	var (
		adds, removes, failed int
		firstErr              error
		changed               = map[policy.Securable]bool{}
		unknown               = map[policy.Principal]bool{}
	)
	for i, planned := range result.Plan.Changes {
		if !concerns(root, planned.Securable) {
			continue
		}
		change := planned
		if i < len(result.Outcomes) {
			o := result.Outcomes[i]
			for _, p := range o.Unknown {
				unknown[p] = true
			}
			if o.Err != nil {
				failed++
				if firstErr == nil || errors.Is(firstErr, connector.ErrHeldBack) {
					firstErr = o.Err
				}
				continue
			}
			if o.Gone {
				continue
			}
			if change = o.Change; len(change.Add)+len(change.Remove) == 0 {
				continue // all of it was for principals that are not known
			}
		}
		adds, removes = adds+len(change.Add), removes+len(change.Remove)
		changed[change.Securable] = true
		if len(out.Changes) < maxRecordedChanges && result.Outcomes != nil {
			out.Changes = append(out.Changes, recordedChanges(change)...)
		}
	}
	var notes []string
	switch {
	case result.Outcomes == nil && len(changed) > 0:
		notes = append(notes, fmt.Sprintf("mode observe: %s would be made, nothing was changed", countChanges(adds, removes, len(changed))))
	case len(changed) == 0 && failed == 0 && len(unknown) == 0:
		notes = append(notes, "already in accord")
	case len(changed) > 0:
		notes = append(notes, countChanges(adds, removes, len(changed)))
	}
	if adds+removes > len(out.Changes) && len(out.Changes) >= maxRecordedChanges {
		notes = append(notes, fmt.Sprintf("the first %d changes are recorded", len(out.Changes)))
	}
	if len(unknown) > 0 {
		names := make([]string, 0, len(unknown))
		for _, p := range slices.Sorted(maps.Keys(unknown)) {
			names = append(names, string(p))
		}
		notes = append(notes, "not granted to principals the account does not know: "+strings.Join(names, ", "))
	}
	if failed > 0 {
		out.Status = ondemand.Failed
		notes = append([]string{fmt.Sprintf("%d change(s) not applied, the first because: %v", failed, firstErr)}, notes...)
	}
	out.Message = strings.Join(notes, "; ")
	return out
}

// recordedChanges spells a change for the record, one entry for each principal.
func recordedChanges(c policy.Change) []ondemand.Change {
	by := make(map[policy.Principal]*ondemand.Change)
	at := func(p policy.Principal) *ondemand.Change {
		if by[p] == nil {
			by[p] = &ondemand.Change{Securable: c.Securable.String(), Principal: string(p)}
		}
		return by[p]
	}
	for _, a := range c.Add {
		at(a.Principal).Add = append(at(a.Principal).Add, string(a.Privilege))
	}
	for _, a := range c.Remove {
		at(a.Principal).Remove = append(at(a.Principal).Remove, string(a.Privilege))
	}
	list := make([]ondemand.Change, 0, len(by))
	for _, p := range slices.Sorted(maps.Keys(by)) {
		list = append(list, *by[p])
	}
	return list
}

func countChanges(adds, removes, securables int) string {
	return fmt.Sprintf("%s, %s on %s", count(adds, "grant"), count(removes, "revoke"), count(securables, "securable"))
}

// count spells a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

var (
	_ ondemand.Handler = (*syncHandler)(nil)
	_ ondemand.Handler = fullSyncHandler{}
)
