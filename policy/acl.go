package policy

import (
	"slices"
	"strings"
)

// ACLResult is what the policies say, without a request, about one access of one user, group or role.
type ACLResult int

// The results of an ACL view. Conditional means that it depends: on a condition, the time, the owner, or on who else
// the user is.
const (
	ACLDenied      ACLResult = -1
	aclOpen        ACLResult = 0 // allowed or denied, and excepted from it
	ACLAllowed     ACLResult = 1
	ACLConditional ACLResult = 2
)

func (r ACLResult) String() string {
	switch r {
	case ACLDenied:
		return "denied"
	case ACLAllowed:
		return "allowed"
	case ACLConditional:
		return "conditional"
	}
	return "open"
}

// ACLEntry is one line of an ACL view.
type ACLEntry struct {
	Result ACLResult
	Final  bool
	Policy *Policy
}

// ACLNames maps users, groups or roles to their accesses by type.
type ACLNames map[string]map[string]ACLEntry

// ResourceACLs tells who has which access to a resource, as far as that can be told without a request. Entries of
// group public stand for everyone.
type ResourceACLs struct {
	Users, Groups, Roles ACLNames
	DataMasks            []ACLMask
	RowFilters           []ACLFilter
}

// ACLSubjects are those whom a mask or filter is for.
type ACLSubjects struct {
	Users       []string
	Groups      []string
	Roles       []string
	AccessTypes []string
	Conditional bool
}

// ACLMask is a mask in an ACL view.
type ACLMask struct {
	ACLSubjects
	Info DataMaskInfo
}

// ACLFilter is a row filter in an ACL view.
type ACLFilter struct {
	ACLSubjects
	Info RowFilterInfo
}

// ResourceACLs gives the ACL view of a resource. Only Resource, Owner and Tags of the request are used. Source:
// RangerPolicyEngineImpl.getResourceACLs.
func (e *Evaluator) ResourceACLs(r Request) *ResourceACLs {
	ctx := e.newContext(Request{Resource: r.Resource, Owner: r.Owner, Tags: r.Tags}, PolicyTypeAccess)
	defer ctx.release()
	ctx.tags = e.findTags(ctx)
	zone, policies := "", e.resources
	if zones := e.zones.zonesOf(ctx); len(zones) == 1 {
		zone, policies = zones[0], e.zones.repositories[zones[0]]
	}
	acls := &ResourceACLs{Users: ACLNames{}, Groups: ACLNames{}, Roles: ACLNames{}}
	for t := PolicyTypeAccess; t <= PolicyTypeRowFilter; t++ {
		if !e.aclApplies(t, r.Resource) {
			continue
		}
		last := 0
		for i, p := range e.aclPolicies(ctx, t, zone, policies) {
			if priority := p.policy.policy.PolicyPriority; i == 0 || priority != last {
				if i > 0 && t == PolicyTypeAccess {
					acls.finish()
				}
				last = priority
			}
			acls.add(t, p)
		}
		acls.finish()
	}
	return acls
}

// aclApplies reports whether policies of type t can be about the resource: masks and filters are for whole paths only.
func (e *Evaluator) aclApplies(t PolicyType, r Resource) bool {
	return slices.ContainsFunc(e.model.hierarchies[t], func(h []*ResourceDef) bool {
		if t != PolicyTypeAccess && len(h) != len(r) {
			return false
		}
		return !slices.ContainsFunc(r, func(el Element) bool {
			return !slices.ContainsFunc(h, func(d *ResourceDef) bool { return d.Name == el.Name })
		})
	})
}

type aclPolicy struct {
	policy      *evalPolicy
	conditional bool
}

// aclPolicies lists the policies that bear on the resource, in the order of evaluation.
func (e *Evaluator) aclPolicies(ctx *evalContext, t PolicyType, zone string, policies *repository) []aclPolicy {
	var list []aclPolicy
	if e.tags != nil {
		tagged := e.policiesForTags(ctx, t, zone)
		slices.SortStableFunc(tagged, func(a, b policyForTag) int { return int(a.tag.Match) - int(b.tag.Match) })
		seen := make(map[int64]bool)
		for _, p := range tagged {
			id := p.policy.policy.ID
			if seen[id] || p.tag.Match == MatchDescendant || p.policy.matchTag(p.tag) == MatchNone {
				continue
			}
			seen[id] = true
			temporal := slices.ContainsFunc(tagged, func(o policyForTag) bool { return o.policy == p.policy && len(o.tag.validity) > 0 })
			list = append(list, aclPolicy{p.policy, temporal})
		}
	}
	path := ctx.setPath(t)
	for _, i := range policies.candidates(ctx, t, path, false) {
		p := policies.byType[t].policies[i]
		if matched, conditional := p.matchForACL(ctx, path); matched {
			list = append(list, aclPolicy{p, conditional})
		}
	}
	slices.SortStableFunc(list, func(a, b aclPolicy) int { return compareByOrder(a.policy, b.policy) })
	for i := range list {
		p := list[i].policy
		list[i].conditional = list[i].conditional || len(p.conditions) > 0 || len(p.validity) > 0
	}
	return list
}

func (p *evalPolicy) matchTag(t *tagForEval) MatchType {
	for _, m := range p.resources {
		if match := m.match(t.path.elements, nil); match != MatchNone {
			return match
		}
	}
	return MatchNone
}

// matchForACL reports whether the policy is about the resource, and whether that depends on who asks.
func (p *evalPolicy) matchForACL(ctx *evalContext, path *requestPath) (matched, conditional bool) {
	is := func(m MatchType) bool {
		return m == MatchSelf || m == MatchSelfAndAllDescendants || m == MatchAncestor && p.model.inherit
	}
	for _, m := range p.resources {
		if is(m.match(path.elements, ctx)) {
			return true, false
		}
		if m.dynamic && !conditional {
			conditional = is(m.withWildcards().match(path.elements, ctx))
		}
	}
	return conditional, conditional
}

// withWildcards is the matcher of whatever the macros may come to.
func (m *resourceMatcher) withWildcards() *resourceMatcher {
	wide := *m
	wide.levels = slices.Clone(m.levels)
	for i := range wide.levels {
		level := &wide.levels[i]
		if !level.dynamic {
			continue
		}
		values := slices.Clone(level.values)
		for v := range values {
			if macro := values[v].macro; macro != nil {
				o := values[v].options
				values[v] = valueMatcher{pattern: NewPattern(o.macros.withWildcards(macro.source), true, o.fold)}
			}
		}
		level.values, level.dynamic = values, false
	}
	return &wide
}

func (a *ResourceACLs) add(t PolicyType, p aclPolicy) {
	switch t {
	case PolicyTypeDataMask:
		for i := range p.policy.special {
			item := &p.policy.special[i]
			raw := &p.policy.policy.DataMaskPolicyItems[item.index]
			a.DataMasks = append(a.DataMasks, ACLMask{p.policy.aclSubjects(item, &raw.PolicyItem, p.conditional), *item.mask})
		}
	case PolicyTypeRowFilter:
		for i := range p.policy.special {
			item := &p.policy.special[i]
			raw := &p.policy.policy.RowFilterPolicyItems[item.index]
			a.RowFilters = append(a.RowFilters, ACLFilter{p.policy.aclSubjects(item, &raw.PolicyItem, p.conditional), *item.filter})
		}
	default:
		a.merge(p.policy.aclSummary(), p)
	}
}

func (p *evalPolicy) aclSubjects(item *evalItem, raw *PolicyItem, conditional bool) ACLSubjects {
	s := ACLSubjects{Conditional: conditional || dependsOnRequest(raw), AccessTypes: item.named}
	for _, u := range raw.Users {
		if u == userCurrent {
			s.Groups = append(s.Groups, groupPublic)
		} else {
			s.Users = append(s.Users, u)
		}
	}
	s.Groups = append(s.Groups, raw.Groups...)
	s.Roles = append(s.Roles, raw.Roles...)
	return s
}

// merge takes a policy's summary into the view; what a policy of higher priority settled stays.
func (a *ResourceACLs) merge(s *aclSummary, p aclPolicy) {
	for kind, names := range []ACLNames{a.Users, a.Groups, a.Roles} {
		for name, accesses := range s.byKind[kind] {
			if names[name] == nil {
				names[name] = make(map[string]ACLEntry)
			}
			for access, r := range accesses {
				result := r.result
				switch {
				case p.conditional:
					result = ACLConditional
				case result == aclOpen:
					result = ACLDenied
				}
				entry := names[name][access]
				if !entry.Final {
					entry.Result, entry.Final = result, result == ACLDenied
				}
				entry.Policy = p.policy.policy
				names[name][access] = entry
			}
		}
	}
}

// finish settles what is there so far: what everyone is allowed or denied needs no entries for single names, and no
// policy of lower priority changes any entry. Source: RangerResourceACLs.finalizeAcls.
func (a *ResourceACLs) finish() {
	for access, entry := range a.Groups[groupPublic] {
		if entry.Result != ACLDenied && entry.Result != ACLAllowed {
			continue
		}
		for kind, names := range []ACLNames{a.Users, a.Groups} {
			for name, accesses := range names {
				own, ok := accesses[access]
				if everyone := kind == 1 && name == groupPublic; ok && !own.Final && !everyone {
					delete(accesses, access)
				}
			}
		}
	}
	for _, names := range []ACLNames{a.Users, a.Groups, a.Roles} {
		for name, accesses := range names {
			if len(accesses) == 0 {
				delete(names, name)
			}
			for access, entry := range accesses {
				entry.Final = true
				accesses[access] = entry
			}
		}
	}
}

// ResourceAccess tells which users and groups policies name for an access to a resource.
type ResourceAccess struct {
	AllowedUsers, AllowedGroups, DeniedUsers, DeniedGroups []string // sorted
}

// ResourceAccess lists whom the policies on a resource, on what is above and on what is below it allow and deny the
// request's access type. It looks at names in policies only, not at who is in which group. Source:
// RangerPolicyEngineImpl.getResourceAccessInfo.
func (e *Evaluator) ResourceAccess(r Request) ResourceAccess {
	ctx := e.newContext(r, PolicyTypeAccess)
	defer ctx.release()
	ctx.tags = e.findTags(ctx)
	sets := [4]map[string]bool{{}, {}, {}, {}} // as the fields of ResourceAccess
	zones := e.zones.zonesOf(ctx)
	if len(zones) == 0 {
		zones = []string{""}
	}
	for _, zone := range zones {
		policies := e.resources
		if zone != "" {
			policies = e.zones.repositories[zone]
		}
		if e.tags != nil {
			for _, p := range e.policiesForTags(ctx, PolicyTypeAccess, zone) {
				ctx.tag = p.tag
				if p.policy.matchTag(p.tag) != MatchNone {
					p.policy.collectAccess(ctx, p.tag.Match, &sets)
				}
			}
			ctx.tag = nil
		}
		path := ctx.setPath(PolicyTypeAccess)
		for _, i := range policies.candidates(ctx, PolicyTypeAccess, path, true) {
			p := policies.byType[PolicyTypeAccess].policies[i]
			for _, m := range p.resources {
				if match := m.match(path.elements, ctx); match != MatchNone && p.validity.openAt(r.Time) {
					p.collectAccess(ctx, match, &sets)
				}
			}
		}
		for name := range sets[2] {
			delete(sets[0], name)
		}
		for name := range sets[3] {
			delete(sets[1], name)
		}
	}
	return ResourceAccess{sortedKeys(sets[0]), sortedKeys(sets[1]), sortedKeys(sets[2]), sortedKeys(sets[3])}
}

func (p *evalPolicy) collectAccess(ctx *evalContext, m MatchType, sets *[4]map[string]bool) {
	named := func(items []evalItem, raw []PolicyItem) (users, groups map[string]bool) {
		users, groups = map[string]bool{}, map[string]bool{}
		for i := range items {
			item := &items[i]
			named := ctx.any && len(item.accesses) > 0 || !ctx.any && item.matchesAccess(strings.ToLower(ctx.request.AccessType))
			if !named || !item.conditions.eval(ctx).resolve(item.restricts()) {
				continue
			}
			for _, u := range raw[item.index].Users {
				users[u] = true
			}
			for _, g := range raw[item.index].Groups {
				groups[g] = true
			}
		}
		return users, groups
	}
	add := func(items, exceptions []evalItem, raw, rawExceptions []PolicyItem, into int) {
		users, groups := named(items, raw)
		exceptUsers, exceptGroups := named(exceptions, rawExceptions)
		for u := range users {
			if !exceptUsers[u] {
				sets[into][u] = true
			}
		}
		for g := range groups {
			if !exceptGroups[g] {
				sets[into+1][g] = true
			}
		}
	}
	add(p.allow, p.allowExc, p.policy.PolicyItems, p.policy.AllowExceptions, 0)
	if m != MatchDescendant {
		add(p.deny, p.denyExc, p.policy.DenyPolicyItems, p.policy.DenyExceptions, 2)
	}
}
