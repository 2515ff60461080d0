package connector

import (
	"context"
	"fmt"
	"slices"

	"ucwarden/policy"
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
	slices.SortStableFunc(*findings, policy.CompareFindings)
}
