package evaluate

import (
	"maps"
	"slices"

	"ucwarden/policy/match"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
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
	Policy *ranger.Policy
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
	Info ranger.DataMaskInfo
}

// ACLFilter is a row filter in an ACL view.
type ACLFilter struct {
	ACLSubjects
	Info ranger.RowFilterInfo
}

// ResourceACLs returns the ACL view of a resource. Only Resource, Owner and Tags of the request are used. Source:
// RangerPolicyEngineImpl.getResourceACLs.
func (e *Evaluator) ResourceACLs(r Request) *ResourceACLs {
	ctx := e.newContext(&Request{Resource: r.Resource, Owner: r.Owner, Tags: r.Tags}, ranger.PolicyTypeAccess)
	defer ctx.release()
	ctx.Tags = e.findTags(ctx)
	zone := ""
	if zones := ctx.zones(); len(zones) == 1 {
		zone = zones[0]
	}
	acls := &ResourceACLs{Users: ACLNames{}, Groups: ACLNames{}, Roles: ACLNames{}}
	for t := ranger.PolicyTypeAccess; t <= ranger.PolicyTypeRowFilter; t++ {
		if !e.rules.Model.Applies(t, r.Resource) {
			continue
		}
		last := 0
		for i, p := range e.aclPolicies(ctx, t, zone) {
			if priority := p.policy.Priority; i == 0 || priority != last {
				if i > 0 && t == ranger.PolicyTypeAccess {
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

type aclPolicy struct {
	policy      *rules.Policy
	conditional bool
}

// aclPolicies lists the policies that bear on the resource, in the order of evaluation.
func (e *Evaluator) aclPolicies(ctx *evalContext, t ranger.PolicyType, zone string) []aclPolicy {
	var list []aclPolicy
	if e.rules.TagRules != nil {
		tagged := e.policiesForTags(ctx, t, zone)
		slices.SortStableFunc(tagged, func(a, b policyForTag) int { return int(a.tag.Match) - int(b.tag.Match) })
		seen := make(map[int64]bool)
		for _, p := range tagged {
			id := p.policy.Source.ID
			if seen[id] || p.tag.Match == match.Descendant || !p.matches() {
				continue
			}
			seen[id] = true
			temporal := slices.ContainsFunc(tagged, func(o policyForTag) bool { return o.policy == p.policy && len(o.tag.Validity) > 0 })
			list = append(list, aclPolicy{p.policy, temporal})
		}
	}
	policies, path := e.rules.InZone(zone), ctx.setPath(t)
	for _, i := range ctx.among(policies, t, path, false) {
		p := policies.Policies(t)[i]
		if matched, conditional := p.MatchWithoutRequest(path, &ctx.Values); matched {
			list = append(list, aclPolicy{p, conditional})
		}
	}
	slices.SortStableFunc(list, func(a, b aclPolicy) int { return rules.CompareByOrder(a.policy, b.policy) })
	for i := range list {
		p := list[i].policy
		list[i].conditional = list[i].conditional || len(p.Conditions) > 0 || len(p.Validity) > 0
	}
	return list
}

// matches reports whether the policy is about the tag.
func (p policyForTag) matches() bool {
	for i := range p.policy.Resources {
		if p.policy.Match(i, &p.tag.Path, nil) != match.None {
			return true
		}
	}
	return p.policy.Everywhere
}

func (a *ResourceACLs) add(t ranger.PolicyType, p aclPolicy) {
	switch t {
	case ranger.PolicyTypeDataMask:
		for i := range p.policy.Protect {
			item := &p.policy.Protect[i]
			raw := &p.policy.Source.DataMaskPolicyItems[item.Index]
			a.DataMasks = append(a.DataMasks, ACLMask{aclSubjects(item, &raw.PolicyItem, p.conditional), *item.Mask})
		}
	case ranger.PolicyTypeRowFilter:
		for i := range p.policy.Protect {
			item := &p.policy.Protect[i]
			raw := &p.policy.Source.RowFilterPolicyItems[item.Index]
			a.RowFilters = append(a.RowFilters, ACLFilter{aclSubjects(item, &raw.PolicyItem, p.conditional), *item.Filter})
		}
	default:
		a.merge(newACLSummary(p.policy), p)
	}
}

func aclSubjects(item *rules.Item, raw *ranger.PolicyItem, conditional bool) ACLSubjects {
	s := ACLSubjects{Conditional: conditional || dependsOnRequest(raw), AccessTypes: item.Named}
	for _, u := range raw.Users {
		if u == rules.UserCurrent {
			s.Groups = append(s.Groups, rules.GroupPublic)
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
				entry.Policy = p.policy.Source
				names[name][access] = entry
			}
		}
	}
}

// finish settles what is there so far: what everyone is allowed or denied needs no entries for single names, and no
// policy of lower priority changes any entry. Source: RangerResourceACLs.finalizeAcls.
func (a *ResourceACLs) finish() {
	for access, entry := range a.Groups[rules.GroupPublic] {
		if entry.Result != ACLDenied && entry.Result != ACLAllowed {
			continue
		}
		for kind, names := range []ACLNames{a.Users, a.Groups} {
			for name, accesses := range names {
				own, ok := accesses[access]
				if everyone := kind == 1 && name == rules.GroupPublic; ok && !own.Final && !everyone {
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
	ctx := e.newContext(&r, ranger.PolicyTypeAccess)
	defer ctx.release()
	ctx.Tags = e.findTags(ctx)
	sets := [4]map[string]bool{{}, {}, {}, {}} // as the fields of ResourceAccess
	zones := ctx.zones()
	if len(zones) == 0 {
		zones = []string{""}
	}
	for _, zone := range zones {
		if e.rules.TagRules != nil {
			for _, p := range e.policiesForTags(ctx, ranger.PolicyTypeAccess, zone) {
				ctx.Tag = p.tag
				if p.matches() {
					ctx.collectAccess(p.policy, p.tag.Match, &sets)
				}
			}
			ctx.Tag = nil
		}
		policies, path := e.rules.InZone(zone), ctx.setPath(ranger.PolicyTypeAccess)
		for _, i := range ctx.among(policies, ranger.PolicyTypeAccess, path, true) {
			p := policies.Policies(ranger.PolicyTypeAccess)[i]
			for n := range p.Resources {
				if m := p.Match(n, path, &ctx.Values); m != match.None && p.Validity.OpenAt(r.Time) {
					ctx.collectAccess(p, m, &sets)
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
	return ResourceAccess{slices.Sorted(maps.Keys(sets[0])), slices.Sorted(maps.Keys(sets[1])), slices.Sorted(maps.Keys(sets[2])), slices.Sorted(maps.Keys(sets[3]))}
}

func (ctx *evalContext) collectAccess(p *rules.Policy, m match.Type, sets *[4]map[string]bool) {
	named := func(items []rules.Item, raw []ranger.PolicyItem) (users, groups map[string]bool) {
		users, groups = map[string]bool{}, map[string]bool{}
		for i := range items {
			item := &items[i]
			named := ctx.AnyAccess && item.MatchesAny() || !ctx.AnyAccess && item.MatchesAccess(naming.Canonical(ctx.AccessType))
			if !named || !item.Kind.Listed() || !item.Conditions.Eval(&ctx.Values).Resolve(item.Restricts()) {
				continue
			}
			for _, u := range raw[item.Index].Users {
				users[u] = true
			}
			for _, g := range raw[item.Index].Groups {
				groups[g] = true
			}
		}
		return users, groups
	}
	add := func(items, exceptions []rules.Item, raw, rawExceptions []ranger.PolicyItem, into int) {
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
	add(p.Allow, p.AllowExceptions, p.Source.PolicyItems, p.Source.AllowExceptions, 0)
	if m != match.Descendant {
		add(p.Deny, p.DenyExceptions, p.Source.DenyPolicyItems, p.Source.DenyExceptions, 2)
	}
}
