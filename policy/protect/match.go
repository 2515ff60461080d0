package protect

import (
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// bound is a policy that is about a table or column.
type bound struct {
	policy   *rules.Policy
	tag      *match.Tag // by which it is
	doubtful string     // why it cannot be said whether it holds for a request; empty where it does
	silent   bool       // it is about what is above or below alone, and only ends the evaluation
}

// branch is an item of a policy at its place in the order of evaluation.
type branch struct {
	bound
	item *rules.Item
	// also is an item that has to name who asks too, nil for none: the item takes its place because of its priority.
	also *rules.Item
}

// mayConcern reports whether some policy of type t may be about an object, or a column of it.
func (p *Protector) mayConcern(t ranger.PolicyType, resource match.Resource) bool {
	var path match.Path
	path.Set(p.set.Model.Forest(t), resource)
	for repo := range p.set.Repositories {
		if repo != p.set.TagRules && len(repo.Candidates(t, &path, true, nil)) > 0 {
			return true
		}
	}
	return p.set.TagRules != nil && len(p.set.TagRules.Policies(t)) > 0 && len(p.tagsOf(resource, true)) > 0
}

// tagsOf returns the tags of a resource, with below also those of what is in it.
func (p *Protector) tagsOf(resource match.Resource, below bool) []*match.Tag {
	if p.set.Tagged == nil {
		return nil
	}
	var path match.Path
	path.Set(p.set.Model.Forest(ranger.PolicyTypeAccess), resource)
	if !path.OK {
		return nil
	}
	tags, _ := p.set.Tagged.Find(&path, nil, below, nil)
	return tags
}

// zoneOf returns the security zone whose policies hold for a resource. Source: RangerPolicyEngineImpl.
func (p *Protector) zoneOf(resource match.Resource) string {
	var path match.Path
	path.Set(p.set.Model.Forest(ranger.PolicyTypeAccess), resource)
	if zones, _ := p.set.Zones.Find(&path, nil); len(zones) == 1 {
		return zones[0]
	}
	return ""
}

// branches returns the items of masks or row filters that hold for a resource, in an order in which the first that names
// somebody is the one that Ranger's engine takes for them.
func (p *Protector) branches(t ranger.PolicyType, resource match.Resource) []branch {
	zone := p.zoneOf(resource)
	tags := p.items(p.boundByTags(t, resource, zone))
	policies := p.boundByResource(t, resource, zone)
	resources := p.items(policies)
	// Where one on tags names somebody, policies on resources take its place only with a higher priority, and of these none is
	// asked after the first that cannot deny, be it for them or not. Source: RangerPolicyEngineImpl and its evaluateResources.
	overriding := func(tag branch) (n int) {
		for _, r := range policies {
			if r.policy.Priority <= tag.policy.Priority {
				break
			}
			n += len(p.items([]bound{r}))
			if !r.policy.HasDeny {
				break
			}
		}
		return n
	}
	var list []branch
	plain := 0 // how many of resources are in the list for everybody
	for i, tag := range tags {
		least := len(resources)
		for _, later := range tags[i:] {
			least = min(least, overriding(later))
		}
		for ; plain < least; plain++ {
			list = append(list, resources[plain])
		}
		for n := plain; n < overriding(tag); n++ {
			r := resources[n]
			r.also = tag.item
			list = append(list, r)
		}
		list = append(list, tag)
	}
	return append(list, resources[plain:]...)
}

// items lists the items of policies that are about SELECT.
func (p *Protector) items(policies []bound) []branch {
	var list []branch
	for _, b := range policies {
		if b.silent {
			continue
		}
		for i := range b.policy.Protect {
			if item := &b.policy.Protect[i]; item.MatchesAccess("select") {
				list = append(list, branch{bound: b, item: item})
			}
		}
	}
	return list
}

// boundByResource lists the policies on resources that are about a resource, in the order of evaluation.
func (p *Protector) boundByResource(t ranger.PolicyType, resource match.Resource, zone string) []bound {
	repo := p.set.InZone(zone)
	var path match.Path
	path.Set(p.set.Model.Forest(t), resource)
	var list []bound
	policies := repo.Policies(t)
	for _, i := range repo.Candidates(t, &path, true, nil) {
		b, ok := p.bind(policies[i], &path)
		b.silent = !ok
		if ok || policies[i].Validity.OpenAt(p.options.Time) && touches(policies[i], &path) {
			list = append(list, b)
		}
	}
	return list
}

// touches reports whether a policy is about what path names, above or below it.
func touches(of *rules.Policy, path *match.Path) bool {
	for i := range of.Resources {
		if of.Match(i, path, nil) != match.None {
			return true
		}
	}
	return of.Everywhere
}

// bind reports whether a policy is about what path names.
func (p *Protector) bind(of *rules.Policy, path *match.Path) (bound, bool) {
	if !of.Validity.OpenAt(p.options.Time) {
		return bound{policy: of}, false
	}
	b := bound{policy: of}
	matched, conditional := of.MatchWithoutRequest(path, nil)
	if !matched && of.MatchesLooselyAtAll(path) {
		for i := range of.Resources {
			m := of.MatchLoosely(i, path, nil)
			matched = matched || m == match.Self || m == match.SelfAndAllDescendants || m == match.Ancestor && of.Inherits()
		}
	}
	switch {
	case !matched:
		return b, false
	case conditional:
		b.doubtful = "its resource holds a macro"
	case len(of.Conditions) > 0:
		b.doubtful = "it holds only under a condition (" + of.DescribeConditions() + ")"
	}
	return b, true
}

// boundByTags lists the policies on tags that are about a resource, in the order of evaluation. Source:
// RangerPolicyEngineImpl.evaluateTagPolicies.
func (p *Protector) boundByTags(t ranger.PolicyType, resource match.Resource, zone string) []bound {
	if p.set.TagRules == nil {
		return nil
	}
	if !p.set.Zones.HasTagService(zone) {
		zone = ""
	}
	var list []bound
	policies := p.set.TagRules.Policies(t)
	for _, tag := range p.tagsOf(resource, false) {
		for _, i := range p.set.TagRules.Candidates(t, &tag.Path, false, nil) {
			if policies[i].Zone != zone || tag.Over(p.options.Time) {
				continue
			}
			b, ok := p.bind(policies[i], &tag.Path)
			if !ok {
				continue
			}
			b.tag = tag
			switch {
			case tag.Unclear:
				b.doubtful = "what is said of the tag " + tag.Type + ", or of what carries it, cannot be understood"
			case tag.Timed:
				b.doubtful = "the tag " + tag.Type + " is there at certain times only"
			case policies[i].HasDeny:
				b.doubtful = "it also denies, so that which of the policies on tags decides depends on others"
			}
			list = append(list, b)
		}
	}
	slices.SortStableFunc(list, func(a, b bound) int {
		if t == ranger.PolicyTypeDataMask && a.tag.Match != b.tag.Match {
			return int(a.tag.Match) - int(b.tag.Match)
		}
		return rules.CompareByName(a.policy, b.policy)
	})
	return list
}

// resource returns a table in the words of the service definition.
func (p *Protector) resource(table policy.Object) (match.Resource, bool) {
	return p.set.Model.ResourceOf(table)
}
