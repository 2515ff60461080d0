package connector

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// maxLeftOutFindings bounds how many findings name what was left out; the rest is counted.
const maxLeftOutFindings = 100

// report adds to the plan's report what a sync could not look at.
func (r *run) report(_ context.Context, result *Result) {
	findings := &result.Plan.Report.Findings
	for i, left := range result.Unread {
		if i == maxLeftOutFindings {
			*findings = append(*findings, policy.Finding{Effect: policy.EffectWider, Message: fmt.Sprintf("%d more objects cannot be read, and are left as they are", len(result.Unread)-i)})
			break
		}
		message := "its grants cannot be read, so they are left as they are: " + left.Reason
		if left.Listing {
			message = "what it holds cannot be listed, so nothing is changed on what was not found in it, and nobody loses USE_* there: " + left.Reason
		}
		finding := policy.Finding{Effect: policy.EffectWider, Securable: left.Securable, Message: message}
		if left.Securable.FullName == "" {
			finding.Securable, finding.Message = policy.Securable{}, fmt.Sprintf("objects of type %s cannot be listed, so nothing is changed on those not known from before: %s", left.Securable.Type, left.Reason)
		}
		*findings = append(*findings, finding)
	}
	if slices.ContainsFunc(r.request.Roots, func(root policy.Securable) bool { return isShard(root) || builtIn(root) }) {
		*findings = append(*findings, r.builtInFindings()...)
	}
	slices.SortStableFunc(*findings, policy.CompareFindings)
}

// builtInFindings names the policies on what Unity Catalog itself keeps, where nothing is granted or revoked.
func (r *run) builtInFindings() []policy.Finding {
	var list []policy.Finding
	lists := [][]ranger.Policy{r.snapshot.Policies}
	for _, name := range slices.Sorted(maps.Keys(r.snapshot.Zones)) {
		lists = append(lists, r.snapshot.Zones[name].Policies)
	}
	for _, policies := range lists {
		for i := range policies {
			p := &policies[i]
			if names := builtInNames(p); p.Enabled() && len(names) > 0 {
				list = append(list, policy.Finding{PolicyID: p.ID, Policy: p.Name, Effect: policy.EffectNarrower, Message: fmt.Sprintf(
					"nothing is granted or revoked on %s: Unity Catalog keeps it itself, and its grants are not for policies to manage", strings.Join(names, ", "))})
			}
		}
	}
	return list
}

// builtInNames returns what a policy names of that, sorted.
func builtInNames(p *ranger.Policy) []string {
	var names []string
	for _, resources := range append([]map[string]ranger.PolicyResource{p.Resources}, p.AdditionalResources...) {
		for _, level := range []string{"catalog", "schema"} {
			for _, value := range resources[level].Values {
				name := strings.ToLower(value)
				catalog, schema := name, "x"
				if level == "schema" {
					catalog, schema = "x", name
				}
				if !resources[level].IsExcludes && builtIn(policy.Securable{Type: policy.Schema, FullName: catalog + "." + schema}) {
					names = append(names, level+" "+name)
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
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
