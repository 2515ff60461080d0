package evaluate

import (
	"slices"

	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// findTags returns the tags of the request's resource: the request's own where it brings some, else those of the
// snapshot. Tags of what lies above the resource count, those of what lies below only when such policies do. Source:
// RangerTagEnricher.findMatchingTags.
func (e *Evaluator) findTags(ctx *evalContext) []*match.Tag {
	if ctx.request.Tags != nil {
		var list []*match.Tag
		for i := range ctx.request.Tags {
			t := &ctx.request.Tags[i]
			m := t.Match
			if m == match.None {
				m = match.Self
			}
			list = append(list, match.NewTag(t.Type, t.Attributes, t.Validity, m))
		}
		return list
	}
	tagged := e.rules.Tagged
	if tagged == nil {
		return nil
	}
	if len(ctx.Resource) == 0 {
		if ctx.AnyAccess {
			return tagged.All()
		}
		return nil
	}
	path := ctx.setPath(ranger.PolicyTypeAccess)
	if !path.OK {
		return nil
	}
	found, scratch := tagged.Find(path, &ctx.Values, ctx.AnyAccess || ctx.request.Descendant, ctx.candidates)
	ctx.candidates = scratch
	return found
}

type policyForTag struct {
	policy *rules.Policy
	tag    *match.Tag
}

// evaluateTags asks the policies for each of the resource's tags. Source: RangerPolicyEngineImpl.evaluateTagPolicies.
func (e *Evaluator) evaluateTags(ctx *evalContext, t ranger.PolicyType, zone string, r *result) {
	defer func() { ctx.Tag = nil }()
	for _, pt := range e.policiesForTags(ctx, t, zone) {
		ctx.Tag = pt.tag
		one := *r
		if !one.determined && ctx.evaluate(pt.policy, &pt.tag.Path, &one) && one.allowed && pt.policy.Confirms() {
			one.determined = true // none of the policies that follow with the same priority can deny
		}
		if !r.determined && (one.determined || !r.allowed && one.allowed) {
			*r = one
		}
		if r.determined {
			return
		}
	}
}

// policiesForTags lists the tag policies for the request, in the order of evaluation: those of the zone when it has a
// tag service of its own, else those outside zones.
func (e *Evaluator) policiesForTags(ctx *evalContext, t ranger.PolicyType, zone string) []policyForTag {
	if !e.rules.Zones.HasTagService(zone) {
		zone = ""
	}
	var list []policyForTag
	policies := e.rules.TagRules.Policies(t)
	for _, tag := range ctx.Tags {
		if !tag.Validity.OpenAt(ctx.Time) {
			continue
		}
		for _, i := range ctx.among(e.rules.TagRules, t, &tag.Path, false) {
			p := policies[i]
			if p.Zone == zone && p.Validity.OpenAt(ctx.Time) {
				list = append(list, policyForTag{p, tag})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b policyForTag) int {
		switch t {
		case ranger.PolicyTypeDataMask:
			if a.tag.Match != b.tag.Match {
				return int(a.tag.Match) - int(b.tag.Match)
			}
			return rules.CompareByName(a.policy, b.policy)
		case ranger.PolicyTypeRowFilter:
			return rules.CompareByName(a.policy, b.policy)
		}
		return rules.CompareByOrder(a.policy, b.policy)
	})
	return list
}
