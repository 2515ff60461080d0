package evaluate

import (
	"math"
	"slices"

	"ucwarden/policy/condition"
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
	if ctx.spent {
		clear(ctx.byAccess)
		ctx.spent = false
	}
	var r result
	if super := e.rules.SuperUser(ctx.User, ctx.Groups); super || ctx.superUserOnly {
		r.allowed, r.determined, r.priority = super, true, math.MaxInt
		if !super {
			r.Outcome = Denied
		}
	}
	if len(ctx.Tags) > 0 && e.rules.TagRules != nil {
		e.evaluateTags(ctx, t, zone, &r)
	}
	if r.allowed {
		r.determined = true
	}
	if policies := e.rules.InZone(zone); !policies.Empty() {
		ctx.evaluateResources(policies, t, &r)
		ctx.spent = true
	}
	return r.decision()
}

// evaluateResources asks the policies on resources, given what those on tags came to.
func (ctx *evalContext) evaluateResources(policies *rules.Repository, t ranger.PolicyType, r *result) {
	allowedByTags, deniedByTags := r.determined && r.allowed, r.determined && !r.allowed
	r.determined = false // resource policies of higher priority may override
	path := &ctx.paths[t]
	list := policies.Policies(t)
	below := ctx.AnyAccess || ctx.request.Descendant || allowedByTags || deniedByTags
	candidates := ctx.among(policies, t, path, below)
	if t != ranger.PolicyTypeAccess && len(ctx.Resource) == 0 {
		slices.SortStableFunc(candidates, func(a, b int32) int { return rules.CompareByName(list[a], list[b]) })
	}
	for _, i := range candidates {
		p := list[i]
		if !p.Validity.OpenAt(ctx.Time) {
			continue
		}
		var final bool
		switch {
		case deniedByTags:
			final = r.priority >= p.Priority
		case r.allowed && t == ranger.PolicyTypeAccess:
			final = r.priority > p.Priority
		case r.allowed:
			final = r.priority >= p.Priority
		}
		if final && deniedByTags && r.allowed && (p.Damaged() || !ctx.lies(p, path)) {
			// A policy about something else, here because the index is coarse, does not confirm the override; nor does one that
			// cannot be understood, because it may be off, or about something else.
			continue
		}
		matched := !final && ctx.evaluate(p, path, r)
		if final || matched && r.allowed && p.Confirms() {
			r.determined = true // none of the policies that follow can change it
		}
		if r.determined {
			return
		}
	}
	r.allowed = allowedByTags || r.allowed && !deniedByTags
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

// evaluate applies the policy for each of its resources that decides the request, and reports whether any of them lies
// on the request's resource, above or below it. Where none decides by the very names, but one by names that are alike, the
// policy denies and allows nothing.
func (ctx *evalContext) evaluate(p *rules.Policy, path *match.Path, r *result) (matched bool) {
	if p.Everywhere {
		ctx.evaluateItems(p, match.Self, true, r)
		return true
	}
	applied := false
	for i := range p.Resources {
		m := ctx.matchAs(p.Match(i, path, &ctx.Values))
		matched = matched || m != match.None
		if ctx.decides(p, m) && !r.determined {
			ctx.apply(p, m, false, r)
			applied = true
		}
	}
	if applied || !p.MatchesLooselyAtAll(path) {
		return matched
	}
	for i := range p.Resources {
		if m := ctx.matchAs(p.MatchLoosely(i, path, &ctx.Values)); ctx.decides(p, m) && !r.determined {
			ctx.apply(p, m, true, r)
		}
	}
	return matched
}

// lies reports whether the policy is about the request's resource or something above or below it.
func (ctx *evalContext) lies(p *rules.Policy, path *match.Path) bool {
	for i := range p.Resources {
		if p.Match(i, path, &ctx.Values) != match.None {
			return true
		}
	}
	return p.Everywhere
}

// apply applies the policy's items where its conditions let them; alike says that it matches by alike names only. By a tag of which
// it is unclear whether it is there, nothing is allowed.
func (ctx *evalContext) apply(p *rules.Policy, m match.Type, alike bool, r *result) {
	alike = alike || ctx.Tag != nil && ctx.Tag.Unclear
	switch p.Conditions.Eval(&ctx.Values) {
	case condition.Met:
		ctx.evaluateItems(p, m, alike, r)
	case condition.Unknown:
		ctx.evaluateItems(p, m, true, r)
	}
}

// evaluateItems applies the policy's items to the request's access types and derives the result from what all of them came
// to so far, by this policy and those before it. onlyRestrict leaves out what allows, because a condition of the
// policy is unknown. Source: RangerDefaultPolicyEvaluator.evaluatePolicyItems, which derives the result anew for some
// policies that say nothing, too; for which depends on the requests that were made before.
func (ctx *evalContext) evaluateItems(p *rules.Policy, m match.Type, onlyRestrict bool, r *result) {
	said := false
	for i := range ctx.accesses {
		old := &ctx.byAccess[i]
		one := old // a result is large: where there is none yet, it is written in its place
		if old.set {
			one = new(result)
		}
		ctx.evaluateAccess(p, m, ctx.accesses[i], onlyRestrict, one)
		if !one.set {
			continue
		}
		said = true
		if one != old {
			ctx.merge(p, old, one)
		}
		if ctx.several && one.allowed == !ctx.request.CountDescendantDeny {
			break
		}
	}
	if !said {
		return
	}
	if c := ctx.composite(); c != nil {
		*r = *c
	}
}

// merge lets what a policy says of an access type replace what those before it came to: by higher priority, and with the
// same one a deny replaces an allow, a mask or filter the one before, and where any access is enough an allow a deny.
func (ctx *evalContext) merge(p *rules.Policy, old, one *result) {
	replaces := old.allowed && (!one.allowed || p.Type != ranger.PolicyTypeAccess) || !old.allowed && one.allowed && ctx.several
	if !old.set || p.Priority > old.priority || p.Priority == old.priority && replaces {
		*old = *one
	}
}

// composite derives the result of all access types asked for, nil while it is open. Source:
// RangerDefaultPolicyEvaluator.getCompositeAccessResult.
func (ctx *evalContext) composite() *result {
	if len(ctx.oneOf) == 0 {
		r := ctx.groupResult(nil)
		if r == nil && ctx.areOptional(nil) {
			return &result{allowed: true}
		}
		return r
	}
	var allow *result
	open := false
	for _, group := range ctx.oneOf {
		switch one := ctx.groupResult(group); {
		case one == nil:
			open = open || !ctx.areOptional(group)
		case !one.allowed:
			return one
		case allow == nil:
			allow = one
		}
	}
	switch {
	case open:
		return nil
	case allow == nil:
		return &result{allowed: true}
	}
	return allow
}

// areOptional reports whether all access types of a group, nil for all asked for, are no obstacle while none is denied.
func (ctx *evalContext) areOptional(group []string) bool {
	optional := ctx.request.Optional
	if len(optional) == 0 {
		return false
	}
	if group == nil {
		return !slices.ContainsFunc(ctx.accesses, func(a access) bool { return !slices.Contains(optional, a.name) })
	}
	return !slices.ContainsFunc(group, func(name string) bool { return !slices.Contains(optional, name) })
}

// groupResult is allowed when one access type of the group, nil for all asked for, is; denied when all are; else nil.
func (ctx *evalContext) groupResult(group []string) *result {
	var denied *result
	open := false
	if group == nil {
		for i := range ctx.byAccess {
			switch one := &ctx.byAccess[i]; {
			case !one.set:
				open = true
			case one.allowed:
				return one
			case denied == nil:
				denied = one
			}
		}
	}
	for _, name := range group {
		i := slices.IndexFunc(ctx.accesses, func(a access) bool { return a.name == name })
		switch {
		case i < 0 || !ctx.byAccess[i].set:
			open = true
		case ctx.byAccess[i].allowed:
			return &ctx.byAccess[i]
		case denied == nil:
			denied = &ctx.byAccess[i]
		}
	}
	if open {
		return nil
	}
	return denied
}

// evaluateAccess says what the policy's items come to for one access type: deny before allow, each with its exceptions.
func (ctx *evalContext) evaluateAccess(p *rules.Policy, m match.Type, a access, onlyRestrict bool, r *result) {
	if p.Type != ranger.PolicyTypeAccess {
		if item, s := ctx.firstMatch(a.canonical, p.Protect, nil); item != nil {
			ctx.decide(p, m, a, true, item.Kind, item.Index, s, r)
			r.Mask, r.Filter = item.MaskFor(&ctx.Values), item.FilterFor(&ctx.Values)
		}
		return
	}
	if item, s := ctx.firstMatch(a.canonical, p.Deny, p.DenyExceptions); item != nil {
		ctx.decide(p, m, a, false, item.Kind, item.Index, s, r)
		return
	}
	if item, s := ctx.firstMatch(a.canonical, p.Allow, p.AllowExceptions); item != nil {
		if !onlyRestrict { // else the policy is of no consequence to them, whether it holds or not
			ctx.decide(p, m, a, true, item.Kind, item.Index, s, r)
		}
		return
	}
	if p.DenyAllElse {
		ctx.decide(p, m, a, false, rules.ItemDenyAllElse, 0, SubjectPath{Kind: rules.SubjectEveryone}, r)
	}
}

// decide records a decision. A deny below the resource is ignored unless asked for. Source:
// RangerDefaultPolicyEvaluator.updateAccessResult.
func (ctx *evalContext) decide(p *rules.Policy, m match.Type, a access, allow bool, kind rules.ItemKind, index int, s SubjectPath, r *result) {
	if !allow && m == match.Descendant && !ctx.request.CountDescendantDeny {
		return
	}
	r.set, r.allowed, r.determined, r.priority = true, allow, !allow, p.Priority
	r.Decision = Decision{Policy: p.Source, Item: kind, Index: index, AccessType: a.name, Subject: s, Match: m}
	if ctx.Tag != nil {
		r.Tag = ctx.Tag.Type
	}
}
