package connector

import (
	"fmt"
	"slices"

	"ucwarden/connector/load"
	"ucwarden/connector/memory"
	"ucwarden/connector/named"
	"ucwarden/policy"
)

// maxLeftOutFindings bounds how many findings name what was left out; the rest is counted.
const maxLeftOutFindings = 100

// report adds to the plan's report what a sync could not look at, and what its policies name that no sync changes.
func (r *run) report(result *Result, found *load.Found) {
	findings := &result.Plan.Report.Findings
	if r.KeptOut != nil {
		if err := r.KeptOut(); err != nil {
			*findings = append(*findings, policy.Finding{Effect: policy.EffectWider, Message: "the policies that are there now are not in force, but the last ones that could be used: " + err.Error()})
		}
	}
	for i, left := range result.Unread {
		if i == maxLeftOutFindings {
			*findings = append(*findings, policy.Finding{Effect: policy.EffectWider, Message: fmt.Sprintf("%d more objects cannot be read, and are left as they are", len(result.Unread)-i)})
			break
		}
		message := "its grants cannot be read, so they are left as they are: " + left.Reason
		if left.Hidden {
			message = "no listing shows it, and whether it exists we may not see, so nothing is granted or revoked there: " + left.Reason
		} else if left.Protection {
			message = "what row filter and masks it carries cannot be read, so its grants are left as they are: " + left.Reason
		} else if left.Listing {
			message = "what it holds cannot be listed, so nothing is changed on what was not found in it, and nobody loses USE_* there: " + left.Reason
		}
		finding := policy.Finding{Effect: policy.EffectWider, Securable: left.Securable, Message: message}
		if left.Securable.FullName == "" {
			finding.Securable, finding.Message = policy.Securable{}, fmt.Sprintf("objects of type %s cannot be listed, so nothing is changed on those not known from before: %s", left.Securable.Type, left.Reason)
		}
		*findings = append(*findings, finding)
	}
	if slices.ContainsFunc(r.request.Roots, func(root policy.Securable) bool { return memory.IsShard(root) || load.BuiltIn(root) }) {
		*findings = append(*findings, named.NotManaged(r.snapshot, r.Scope)...)
	}
	if found != nil {
		there := named.Listed(found)
		for _, root := range r.request.Roots {
			if !memory.IsShard(root) {
				continue
			}
			*findings = append(*findings, named.Absent(r.compiler, r.Scope, root, there)...)
			*findings = append(*findings, r.places.Absent(r.Scope, root, there)...)
		}
	}
	slices.SortStableFunc(*findings, policy.CompareFindings)
}

// onePerPrincipal returns a finding for the first grant of each principal, with the number of its further ones.
func onePerPrincipal(grants []policy.Grant, find func(policy.Grant) policy.Finding) []policy.Finding {
	var list []policy.Finding
	at := make(map[policy.Principal]int)
	for _, g := range grants {
		if i, found := at[g.Principal]; found {
			list[i].Count++
			continue
		}
		at[g.Principal] = len(list)
		list = append(list, find(g))
	}
	return list
}
