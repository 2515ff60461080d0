package policy

import (
	"slices"
	"strconv"
	"strings"
)

// tagForEval is a tag as it bears on one resource.
type tagForEval struct {
	Type       string
	Attributes map[string]string
	Match      MatchType // how the tagged resource lies to the one asked for
	validity   validity
	path       requestPath // of the tag as a resource of the tag service
}

func newTagForEval(typ string, attributes map[string]string, schedules []ValiditySchedule, m MatchType) *tagForEval {
	t := &tagForEval{Type: typ, Attributes: attributes, Match: m}
	var err error
	if t.validity, err = newValidity(schedules); err != nil {
		t.validity = nil // a period nobody can read does not take a tag, and with it a deny, away
	}
	t.path.buf[0] = &Element{Name: tagResource, Value: typ}
	t.path.elements, t.path.ok = t.path.buf[:1], true
	return t
}

// tagResource is the only resource of a tag service.
const tagResource = "tag"

// tagTable finds the tags of a resource.
type tagTable struct {
	resources []taggedResource
	root      indexNode
	all       []*tagForEval // every tag, as below the resource: for requests that name none
}

type taggedResource struct {
	matcher *resourceMatcher
	tags    [][len(matchTypeNames)]*tagForEval // by match type
}

func newTagTable(m *serviceModel, tags *ServiceTags) *tagTable {
	if tags == nil || len(tags.ServiceResources) == 0 {
		return nil
	}
	table := &tagTable{}
	for _, r := range tags.ServiceResources {
		matcher := newResourceMatcher(m.forests[PolicyTypeAccess], r.ResourceElements)
		if matcher == nil {
			continue
		}
		tagged := taggedResource{matcher: matcher}
		for _, id := range tags.ResourceToTagIDs[strconv.FormatInt(r.ID, 10)] {
			tag, ok := tags.Tags[strconv.FormatInt(id, 10)]
			if !ok {
				continue
			}
			var byMatch [len(matchTypeNames)]*tagForEval
			for i := range byMatch {
				byMatch[i] = newTagForEval(tag.Type, tag.Attributes, tag.periods(), MatchType(i))
			}
			tagged.tags = append(tagged.tags, byMatch)
		}
		table.root.add(matcher, int32(len(table.resources)))
		table.resources = append(table.resources, tagged)
	}
	for _, key := range sortedKeys(tags.Tags) {
		tag := tags.Tags[key]
		table.all = append(table.all, newTagForEval(tag.Type, tag.Attributes, tag.periods(), MatchDescendant))
	}
	return table
}

// findTags gives the tags of the request's resource: the request's own where it brings some, else those of the
// snapshot. Tags of what lies above the resource count, those of what lies below only when such policies do. Source:
// RangerTagEnricher.findMatchingTags.
func (e *Evaluator) findTags(ctx *evalContext) []*tagForEval {
	if ctx.request.Tags != nil {
		var list []*tagForEval
		for i := range ctx.request.Tags {
			t := &ctx.request.Tags[i]
			m := t.Match
			if m == MatchNone {
				m = MatchSelf
			}
			list = append(list, newTagForEval(t.Type, t.Attributes, t.Validity, m))
		}
		return list
	}
	if e.tagged == nil {
		return nil
	}
	below := ctx.any || ctx.request.Descendant
	if ctx.any && len(ctx.request.Resource) == 0 {
		return e.tagged.all
	}
	path := ctx.setPath(PolicyTypeAccess)
	if !path.ok {
		return nil
	}
	var found []*tagForEval
	ids := e.tagged.root.collect(path.elements, below, ctx.candidates[:0])
	slices.Sort(ids)
	ctx.candidates = slices.Compact(ids)
	for _, id := range ctx.candidates {
		r := &e.tagged.resources[id]
		m := r.matcher.match(path.elements, ctx)
		if m == MatchNone || m == MatchDescendant && !below {
			continue
		}
		for i := range r.tags {
			found = append(found, r.tags[i][m])
		}
	}
	return found
}

// newTagRepository prepares tag policies. Their access types and masks are written component:name; those of other
// components are left out. Source: ServiceDefUtil.normalizeAccessTypeDefs, RangerPolicyRepository.
func newTagRepository(component string, tags *TagPolicies) *repository {
	if tags == nil || tags.ServiceDef == nil {
		return nil
	}
	rename := func(name string) (string, bool) {
		if local, ok := strings.CutPrefix(name, component+":"); ok {
			return local, true
		}
		return name, !strings.Contains(name, ":")
	}
	renameAll := func(list []AccessTypeDef) []AccessTypeDef {
		var local []AccessTypeDef
		for _, a := range list {
			name, ok := rename(a.Name)
			if !ok {
				continue
			}
			a.Name = name
			var implied []string
			for _, i := range a.ImpliedGrants {
				if n, ok := rename(i); ok {
					implied = append(implied, n)
				}
			}
			a.ImpliedGrants = implied
			local = append(local, a)
		}
		return local
	}
	def := *tags.ServiceDef
	def.AccessTypes, def.MarkerAccessTypes = renameAll(def.AccessTypes), renameAll(def.MarkerAccessTypes)
	m := newServiceModel(&def)
	m.denies = true // a tag service always has denies
	// Masks and filters of a tag service are on tags too, whether its definition says so or not.
	for t := range m.forests {
		if len(m.forests[t].names) == 0 {
			m.forests[t] = m.forests[PolicyTypeAccess]
		}
	}
	return newRenamedRepository(m, tags.Policies, rename)
}

type policyForTag struct {
	policy *evalPolicy
	tag    *tagForEval
}

// evaluateTags asks the policies for each of the resource's tags. Source: RangerPolicyEngineImpl.evaluateTagPolicies.
func (e *Evaluator) evaluateTags(ctx *evalContext, t PolicyType, zone, access string, r *result) {
	defer func() { ctx.tag = nil }()
	for _, pt := range e.policiesForTags(ctx, t, zone) {
		ctx.tag = pt.tag
		one := *r
		if !one.determined {
			pt.policy.evaluate(ctx, &pt.tag.path, access, &one)
		}
		if one.allowed && !pt.policy.hasDeny {
			one.determined = true
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
func (e *Evaluator) policiesForTags(ctx *evalContext, t PolicyType, zone string) []policyForTag {
	if !e.zones.hasTagService(zone) {
		zone = ""
	}
	var list []policyForTag
	for _, tag := range ctx.tags {
		if !tag.validity.openAt(ctx.request.Time) {
			continue
		}
		for _, i := range e.tags.candidates(ctx, t, &tag.path, false) {
			p := e.tags.byType[t].policies[i]
			if p.policy.ZoneName == zone && p.validity.openAt(ctx.request.Time) {
				list = append(list, policyForTag{p, tag})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b policyForTag) int {
		switch t {
		case PolicyTypeDataMask:
			if a.tag.Match != b.tag.Match {
				return int(a.tag.Match) - int(b.tag.Match)
			}
			return compareByName(a.policy, b.policy)
		case PolicyTypeRowFilter:
			return compareByName(a.policy, b.policy)
		}
		return compareByOrder(a.policy, b.policy)
	})
	return list
}
