package rules

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"ucwarden/policy/ranger"
)

// evalOrder scores a policy as Ranger does, so that the same one of several policies decides. Source:
// RangerOptimizedPolicyEvaluator.computeEvalOrder.
func (p *Policy) evalOrder() int {
	const start, maxResource, maxSubjects, maxAccess, maxConditions = 10000, 100, 25, 25, 25
	order, discount := start, 0
	for name, r := range p.Source.Resources {
		if p.model.Resources[name] != nil {
			discount += resourceDiscount(r)
		}
	}
	for i := range p.Resources {
		if p.Resources[i].Dynamic() {
			order += 20
			break
		}
	}
	order -= min(maxResource, discount)

	var users, groups, accesses []string
	public, conditions := p.Source.IsDenyAllElse, len(p.Source.Conditions)
	for item, allowed := range p.scoredItems {
		for _, u := range item.Users {
			users = append(users, u)
			public = public || u == UserCurrent
		}
		for _, g := range item.Groups {
			groups = append(groups, g)
			public = public || g == GroupPublic
		}
		accesses = append(accesses, allowed...)
		conditions += len(item.Conditions)
	}
	if public {
		order -= maxSubjects
	} else {
		order -= min(distinct(users)+distinct(groups), maxSubjects)
	}
	if n := len(p.model.def.AccessTypes); n > 0 {
		order -= int(math.Floor(float64(maxAccess*distinct(accesses))/float64(n) + 0.5))
	}
	return order - max(0, maxConditions-5*conditions)
}

// scoredItems calls yield for every item of the policy with the access types that are not switched off. Of a policy on tags
// what is about other services does not count.
func (p *Policy) scoredItems(yield func(raw *ranger.PolicyItem, accesses []string) bool) {
	if p.Tag {
		for _, list := range [][]Item{p.Allow, p.Deny, p.AllowExceptions, p.DenyExceptions, p.Protect} {
			for i := range list {
				if raw := list[i].raw; raw != nil && !yield(raw, list[i].Named) {
					return
				}
			}
		}
		return
	}
	for raw := range p.Source.AllItems() {
		var accesses []string
		for _, a := range raw.Accesses {
			if a.Allowed() {
				accesses = append(accesses, a.Type)
			}
		}
		if !yield(raw, accesses) {
			return
		}
	}
}

// distinct counts the different names of a list, which it sorts.
func distinct(list []string) int {
	slices.Sort(list)
	return len(slices.Compact(list))
}

func resourceDiscount(r ranger.PolicyResource) int {
	if len(r.Values) == 0 {
		return 0
	}
	discount := 0
	for _, v := range r.Values {
		switch {
		case v == "" || v == "*":
			return 25
		case strings.Contains(v, "*"):
			discount = 10
		case strings.Contains(v, "?") && discount == 0:
			discount = 5
		}
	}
	if r.IsExcludes {
		discount += 5
	}
	if r.IsRecursive {
		discount += 5
	}
	return discount
}

// CompareByOrder puts policies in the order of evaluation: higher priority first, then those with denies, then by
// score, then by name. Source: RangerPolicyEvaluator.PolicyEvalOrderComparator.
func CompareByOrder(a, b *Policy) int {
	return cmp.Or(comparePriority(a, b), cmp.Compare(a.order, b.order), strings.Compare(a.Source.Name, b.Source.Name))
}

// CompareByName differs from CompareByOrder in not looking at the score.
func CompareByName(a, b *Policy) int {
	return cmp.Or(comparePriority(a, b), strings.Compare(a.Source.Name, b.Source.Name))
}

func comparePriority(a, b *Policy) int {
	denyFirst := func(p *Policy) int {
		if p.HasDeny {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(denyFirst(a), denyFirst(b)))
}
