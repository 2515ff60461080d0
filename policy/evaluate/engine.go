package evaluate

import (
	"math"
	"slices"
	"ucwarden/policy"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
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
func (e *Evaluator) evaluate(r *Request, t ranger.PolicyType) Decision {
	ctx := e.newContext(r, t)
	defer ctx.release()
	ctx.Tags = e.findTags(ctx)
	zones := ctx.zones()
	if len(zones) == 0 || len(zones) > 1 && !ctx.AnyAccess {
		d := e.evaluateIn(ctx, t, "")
		if d.Outcome != Allowed && ctx.AnyAccess && len(r.Resource) == 0 {
			return e.firstAllowed(ctx, t, e.rules.Zones.Names, d)
		}
		return d
	}
	return e.firstAllowed(ctx, t, zones, Decision{})
}

// firstAllowed asks zone after zone until one allows; last is the answer when there are none.
func (e *Evaluator) firstAllowed(ctx *evalContext, t ranger.PolicyType, zones []string, last Decision) Decision {
	for _, zone := range zones {
		d := e.evaluateIn(ctx, t, zone)
		d.Zone = zone
		if last = d; d.Outcome == Allowed {
			break
		}
	}
	return last
}

// evaluateIn asks tag policies, then resource policies, which may override by priority. Source:
// RangerPolicyEngineImpl.evaluatePoliciesForOneAccessTypeNoAudit.
func (e *Evaluator) evaluateIn(ctx *evalContext, t ranger.PolicyType, zone string) Decision {
	ctx.reset()
	var r result
	access := policy.CanonicalName(ctx.AccessType)
	if super := e.rules.SuperUser(ctx.User, ctx.Groups); super || access == rules.SuperUserOnly {
		r.allowed, r.determined, r.priority = super, true, math.MaxInt
		if !super {
			r.Outcome = Denied
		}
	}
	if len(ctx.Tags) > 0 && e.rules.TagRules != nil {
		e.evaluateTags(ctx, t, zone, access, &r)
	}
	if r.allowed {
		r.determined = true
	}
	allowedByTags, deniedByTags := r.determined && r.allowed, r.determined && !r.allowed
	policies := e.rules.InZone(zone)
	if policies.Empty() {
		return r.decision()
	}
	r.determined = false // resource policies of higher priority may override
	path := &ctx.paths[t]
	list := policies.Policies(t)
	for _, i := range ctx.among(policies, t, path, ctx.AnyAccess || ctx.request.Descendant) {
		p := list[i]
		if !p.Validity.OpenAt(ctx.Time) {
			continue
		}
		switch priority := p.Priority; {
		case deniedByTags:
			r.determined = r.priority >= priority
		case r.allowed && t == ranger.PolicyTypeAccess:
			r.determined = r.priority > priority
		case r.allowed:
			r.determined = r.priority >= priority
		}
		if !r.determined {
			ctx.evaluate(p, path, access, &r)
		}
		if r.allowed && !p.HasDeny {
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

// decides reports whether a policy that matches in this way decides the request. Source:
// RangerDefaultPolicyEvaluator.evaluate; for ancestors also OptionInheritAccess.
func (ctx *evalContext) decides(p *rules.Policy, m match.Type) bool {
	switch m {
	case match.Self, match.SelfAndAllDescendants:
		return true
	case match.Descendant:
		return ctx.AnyAccess || ctx.request.Descendant
	case match.Ancestor:
		return p.Inherits()
	}
	return false
}

// matchAs returns how a policy that matches in this way lies to the request's resource: for policies on tags, as the tagged
// resource does.
func (ctx *evalContext) matchAs(m match.Type) match.Type {
	if ctx.Tag != nil && m != match.None {
		return ctx.Tag.Match
	}
	return m
}

// evaluate applies the policy for each of its resources that decides the request. Where none does by the very names, but
// one by names that are alike, the policy takes access away and gives none.
func (ctx *evalContext) evaluate(p *rules.Policy, path *match.Path, access string, r *result) {
	if p.Everywhere {
		ctx.evaluateItems(p, match.Self, access, true, r)
		return
	}
	applied := false
	for i := range p.Resources {
		if m := ctx.matchAs(p.Match(i, path, &ctx.Values)); ctx.decides(p, m) && !r.determined {
			ctx.apply(p, m, access, false, r)
			applied = true
		}
	}
	if applied || !p.MatchesLooselyAtAll(path) {
		return
	}
	for i := range p.Resources {
		if m := ctx.matchAs(p.MatchLoosely(i, path, &ctx.Values)); ctx.decides(p, m) && !r.determined {
			ctx.apply(p, m, access, true, r)
		}
	}
}

// apply applies the policy's items where its conditions let them; alike says that it matches by alike names only.
func (ctx *evalContext) apply(p *rules.Policy, m match.Type, access string, alike bool, r *result) {
	switch p.Conditions.Eval(&ctx.Values) {
	case rules.ConditionMet:
		ctx.evaluateItems(p, m, access, alike, r)
	case rules.ConditionUnknown:
		ctx.evaluateItems(p, m, access, true, r)
	}
}

// evaluateItems applies the policy's items to the request's access type or types. onlyRestrict leaves out what gives
// access, because a condition of the policy is unknown.
func (ctx *evalContext) evaluateItems(p *rules.Policy, m match.Type, access string, onlyRestrict bool, r *result) {
	if len(ctx.accesses) == 0 {
		ctx.evaluateAccess(p, m, access, onlyRestrict, r)
		return
	}
	for i, name := range ctx.accesses {
		var one result
		ctx.evaluateAccess(p, m, policy.CanonicalName(name), onlyRestrict, &one)
		if !one.allowed && !one.determined {
			continue
		}
		one.set = true
		one.AccessType = name
		merge(p, &ctx.byAccess[i], one)
		if ctx.several && ctx.byAccess[i].allowed == !ctx.request.CountDescendantDeny {
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
func merge(p *rules.Policy, old *result, one result) {
	replaces := old.allowed && (!one.allowed || p.Type != ranger.PolicyTypeAccess)
	if !old.set || p.Priority > old.priority || p.Priority == old.priority && replaces {
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
func (ctx *evalContext) evaluateAccess(p *rules.Policy, m match.Type, access string, onlyRestrict bool, r *result) {
	if p.Type != ranger.PolicyTypeAccess {
		if item, s := ctx.firstMatch(access, p.Protect, nil); item != nil {
			ctx.protect(p, m, item, s, r)
		}
		return
	}
	if item, s := ctx.firstMatch(access, p.Deny, p.DenyExceptions); item != nil {
		ctx.decide(p, m, false, item.Kind, item.Index, s, r)
		return
	}
	if !r.determined {
		if item, s := ctx.firstMatch(access, p.Allow, p.AllowExceptions); item != nil {
			if !onlyRestrict { // else the policy is of no consequence to them, whether it holds or not
				ctx.decide(p, m, true, item.Kind, item.Index, s, r)
			}
			return
		}
	}
	if p.DenyAllElse {
		ctx.decide(p, m, false, rules.ItemDenyAllElse, 0, SubjectPath{Kind: rules.SubjectEveryone}, r)
	}
}

// decide records a decision. A deny below the resource is ignored unless asked for; an allow does not replace one made
// before. Source: RangerDefaultPolicyEvaluator.updateAccessResult.
func (ctx *evalContext) decide(p *rules.Policy, m match.Type, allow bool, kind rules.ItemKind, index int, s SubjectPath, r *result) {
	if !allow && m == match.Descendant && !ctx.request.CountDescendantDeny || allow && r.allowed {
		return
	}
	r.allowed = allow
	r.determined = r.determined || !allow
	r.priority = p.Priority
	r.Decision = Decision{Policy: p.Source, Item: kind, Index: index, AccessType: ctx.AccessType, Subject: s, Match: m, Zone: r.Zone}
	if ctx.Tag != nil {
		r.Tag = ctx.Tag.Type
	}
}

// protect records a mask or filter, the first that applies.
func (ctx *evalContext) protect(p *rules.Policy, m match.Type, item *rules.Item, s SubjectPath, r *result) {
	if r.Mask != nil || r.Filter != nil {
		return
	}
	ctx.decide(p, m, true, item.Kind, item.Index, s, r)
	r.Mask, r.Filter = item.MaskFor(&ctx.Values), item.FilterFor(&ctx.Values)
}
