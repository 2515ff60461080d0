package policy

import (
	"math"
	"slices"
	"strings"
)

// result is a decision in the making. Determined tells that no policy evaluated later may change it.
type result struct {
	Decision
	allowed    bool
	determined bool
	priority   int
	set        bool // of results by access type: something was decided
}

func (r *result) decision() Decision {
	switch {
	case r.allowed:
		r.Outcome = Allowed
	case r.Policy != nil || r.Outcome == Denied:
		r.Outcome = Denied
	}
	return r.Decision
}

// evaluate asks the policies of the security zones the resource lies in, or those outside zones when it lies in none
// or in several. Source: RangerPolicyEngineImpl.zoneAwareAccessEvaluationWithNoAudit.
func (e *Evaluator) evaluate(r Request, t PolicyType) Decision {
	ctx := e.newContext(r, t)
	defer ctx.release()
	ctx.tags = e.findTags(ctx)
	zones := e.zones.zonesOf(ctx)
	if len(zones) == 0 || len(zones) > 1 && !ctx.any {
		d := e.evaluateIn(ctx, t, "", e.resources)
		if d.Outcome != Allowed && ctx.any && len(r.Resource) == 0 {
			return e.firstAllowed(ctx, t, e.zones.names, d)
		}
		return d
	}
	return e.firstAllowed(ctx, t, zones, Decision{})
}

// firstAllowed asks zone after zone until one allows; last is the answer when there are none.
func (e *Evaluator) firstAllowed(ctx *evalContext, t PolicyType, zones []string, last Decision) Decision {
	for _, zone := range zones {
		policies := e.resources
		if zone != "" {
			policies = e.zones.repositories[zone]
		}
		d := e.evaluateIn(ctx, t, zone, policies)
		d.Zone = zone
		if last = d; d.Outcome == Allowed {
			break
		}
	}
	return last
}

// evaluateIn asks tag policies, then resource policies, which may override by priority. Source:
// RangerPolicyEngineImpl.evaluatePoliciesForOneAccessTypeNoAudit.
func (e *Evaluator) evaluateIn(ctx *evalContext, t PolicyType, zone string, policies *repository) Decision {
	ctx.reset()
	var r result
	access := strings.ToLower(ctx.request.AccessType)
	if super := e.super.has(ctx.request.User, ctx.groups); super || access == superUserOnly {
		r.allowed, r.determined, r.priority = super, true, math.MaxInt
		if !super {
			r.Outcome = Denied
		}
	}
	if len(ctx.tags) > 0 && e.tags != nil {
		e.evaluateTags(ctx, t, zone, access, &r)
	}
	if r.allowed {
		r.determined = true
	}
	allowedByTags, deniedByTags := r.determined && r.allowed, r.determined && !r.allowed
	if policies == nil || policies.empty {
		return r.decision()
	}
	r.determined = false // resource policies of higher priority may override
	path := &ctx.paths[t]
	for _, i := range policies.candidates(ctx, t, path, ctx.any || ctx.request.Descendant) {
		p := policies.byType[t].policies[i]
		if !p.validity.openAt(ctx.request.Time) {
			continue
		}
		switch priority := p.policy.PolicyPriority; {
		case deniedByTags:
			r.determined = r.priority >= priority
		case r.allowed && t == PolicyTypeAccess:
			r.determined = r.priority > priority
		case r.allowed:
			r.determined = r.priority >= priority
		}
		if !r.determined {
			p.evaluate(ctx, path, access, &r)
		}
		if r.allowed && !p.hasDeny {
			r.determined = true
		}
		if r.determined {
			break
		}
	}
	if !r.determined {
		r.allowed = allowedByTags || r.allowed && !deniedByTags
	}
	return r.decision()
}

// matched reports whether a policy that matches in this way decides the request. Source:
// RangerDefaultPolicyEvaluator.evaluate; for ancestors also OptionInheritAccess.
func (p *evalPolicy) matched(ctx *evalContext, m MatchType) bool {
	switch m {
	case MatchSelf, MatchSelfAndAllDescendants:
		return true
	case MatchDescendant:
		return ctx.any || ctx.request.Descendant
	case MatchAncestor:
		return ctx.tag != nil || p.model.inherit
	}
	return false
}

func (p *evalPolicy) evaluate(ctx *evalContext, path *requestPath, access string, r *result) {
	for _, m := range p.resources {
		if r.determined {
			return
		}
		match := m.match(path.elements, ctx)
		if ctx.tag != nil && match != MatchNone {
			match = ctx.tag.Match
		}
		if !p.matched(ctx, match) {
			continue
		}
		switch p.conditions.eval(ctx) {
		case conditionMet:
			p.evaluateItems(ctx, match, access, false, r)
		case conditionUnknown:
			p.evaluateItems(ctx, match, access, true, r)
		}
	}
}

// evaluateItems applies the policy's items to the request's access type or types. onlyRestrict leaves out what gives
// access, because a condition of the policy is unknown.
func (p *evalPolicy) evaluateItems(ctx *evalContext, m MatchType, access string, onlyRestrict bool, r *result) {
	if len(ctx.accesses) == 0 {
		p.evaluateAccess(ctx, m, access, onlyRestrict, r)
		return
	}
	for i, name := range ctx.accesses {
		var one result
		p.evaluateAccess(ctx, m, strings.ToLower(name), onlyRestrict, &one)
		if !one.allowed && !one.determined {
			continue
		}
		one.set = true
		one.AccessType = name
		p.merge(&ctx.byAccess[i], one)
		if ctx.several && ctx.byAccess[i].allowed == !ctx.request.HeedDescendantDeny {
			break
		}
	}
	if c, ok := ctx.composite(); ok {
		c.Zone = r.Zone
		*r = c
	}
}

// merge lets a result replace the earlier one for the same access type by higher priority. With the same priority a
// deny replaces an allow, and a mask or filter the one before. Source: RangerDefaultPolicyEvaluator.evaluatePolicyItems.
func (p *evalPolicy) merge(old *result, one result) {
	priority := p.policy.PolicyPriority
	replaces := old.allowed && (!one.allowed || p.policy.PolicyType != PolicyTypeAccess)
	if !old.set || priority > old.priority || priority == old.priority && replaces {
		*old = one
	}
}

// composite derives the result for all access types asked for; ok is false while it is open. Source:
// RangerDefaultPolicyEvaluator.getCompositeAccessResult.
func (ctx *evalContext) composite() (r result, ok bool) {
	optional := func(group []string) bool {
		return len(ctx.request.Optional) > 0 &&
			!slices.ContainsFunc(group, func(a string) bool { return !slices.Contains(ctx.request.Optional, a) })
	}
	if len(ctx.oneOf) == 0 {
		if r, ok = ctx.groupResult(ctx.accesses); !ok && optional(ctx.accesses) {
			return result{allowed: true}, true
		}
		return r, ok
	}
	open := false
	for _, group := range ctx.oneOf {
		one, decided := ctx.groupResult(group)
		switch {
		case decided && !one.allowed:
			return one, true
		case decided && !ok:
			r, ok = one, true
		case !decided && !optional(group):
			open = true
		}
	}
	if open {
		return result{}, false
	}
	if !ok {
		return result{allowed: true}, true
	}
	return r, true
}

// groupResult is allowed when one access type of the group is, denied when all are.
func (ctx *evalContext) groupResult(group []string) (r result, ok bool) {
	deniedBy, open := -1, false
	for _, name := range group {
		i := slices.Index(ctx.accesses, name)
		switch {
		case i < 0 || !ctx.byAccess[i].set:
			open = true
		case ctx.byAccess[i].allowed:
			return ctx.byAccess[i], true
		case deniedBy < 0:
			deniedBy = i
		}
	}
	if open || deniedBy < 0 {
		return result{}, false
	}
	return ctx.byAccess[deniedBy], true
}

// evaluateAccess applies the items to one access type: deny before allow, each with its exceptions.
func (p *evalPolicy) evaluateAccess(ctx *evalContext, m MatchType, access string, onlyRestrict bool, r *result) {
	if p.policy.PolicyType != PolicyTypeAccess {
		if item, s := firstMatch(ctx, access, p.special, nil); item != nil {
			p.protect(ctx, m, item, s, r)
		}
		return
	}
	if item, s := firstMatch(ctx, access, p.deny, p.denyExc); item != nil {
		p.decide(ctx, m, false, item.kind, item.index, s, r)
		return
	}
	if !onlyRestrict && !r.determined {
		if item, s := firstMatch(ctx, access, p.allow, p.allowExc); item != nil {
			p.decide(ctx, m, true, item.kind, item.index, s, r)
			return
		}
	}
	if p.policy.IsDenyAllElse {
		p.decide(ctx, m, false, ItemDenyAllElse, 0, Subject{Kind: SubjectPublic}, r)
	}
}

// decide records a decision. A deny below the resource is ignored unless asked for; an allow does not replace one made
// before. Source: RangerDefaultPolicyEvaluator.updateAccessResult.
func (p *evalPolicy) decide(ctx *evalContext, m MatchType, allow bool, kind ItemKind, index int, s Subject, r *result) {
	if !allow && m == MatchDescendant && !ctx.request.HeedDescendantDeny || allow && r.allowed {
		return
	}
	r.allowed = allow
	r.determined = r.determined || !allow
	r.priority = p.policy.PolicyPriority
	r.Decision = Decision{Policy: p.policy, Item: kind, Index: index, AccessType: ctx.request.AccessType, Subject: s, Match: m, Zone: r.Zone}
	if ctx.tag != nil {
		r.Tag = ctx.tag.Type
	}
}

// protect records a mask or filter, the first that applies.
func (p *evalPolicy) protect(ctx *evalContext, m MatchType, item *evalItem, s Subject, r *result) {
	if r.Mask != nil || r.Filter != nil {
		return
	}
	p.decide(ctx, m, true, item.kind, item.index, s, r)
	if item.mask != nil {
		mask := *item.mask
		mask.ConditionExpr, mask.ValueExpr = ctx.expandText(mask.ConditionExpr), ctx.expandText(mask.ValueExpr)
		r.Mask = &mask
	}
	if item.filter != nil {
		filter := *item.filter
		filter.FilterExpr = ctx.expandText(filter.FilterExpr)
		r.Filter = &filter
	}
}
