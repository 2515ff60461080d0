package policy

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// evalPolicy is a policy prepared for evaluation.
type evalPolicy struct {
	policy     *Policy
	model      *serviceModel
	resources  []*resourceMatcher // one is enough
	validity   validity
	conditions conditionList
	allow      []evalItem
	deny       []evalItem
	allowExc   []evalItem
	denyExc    []evalItem
	special    []evalItem // data masks or row filters
	hasDeny    bool
	broken     bool // it cannot be understood, and so matches nothing
	order      int  // lower is evaluated first among equals
}

// evalItem is an item prepared for evaluation.
type evalItem struct {
	kind       ItemKind
	index      int
	named      []string // access types as the item names them, of this service
	expanded   []string // with implied grants, sorted
	accesses   []string // the same in lower case, sorted
	admin      bool
	users      []string // sorted
	groups     []string
	roles      []string
	everyone   bool
	owner      bool
	conditions conditionList
	mask       *DataMaskInfo
	filter     *RowFilterInfo
}

// The names with a meaning of their own in a policy item.
const (
	groupPublic   = "public"
	userCurrent   = "{USER}"
	userOwner     = "{OWNER}"
	adminAccess   = "_admin"
	superUserOnly = "_super_user"
)

func newEvalPolicy(m *serviceModel, p *Policy, rename func(string) (string, bool)) *evalPolicy {
	e := &evalPolicy{policy: p, model: m, conditions: newConditions(m.def, p.Conditions)}
	var err error
	if e.validity, err = newValidity(p.ValiditySchedules); err != nil || p.PolicyType < 0 || int(p.PolicyType) >= len(m.forests) {
		e.broken = true
		return e
	}
	for i := range len(p.AdditionalResources) + 1 {
		resources := p.Resources
		if i > 0 {
			resources = p.AdditionalResources[i-1]
		}
		if r := newResourceMatcher(m.forests[p.PolicyType], resources); r != nil {
			e.resources = append(e.resources, r)
		}
	}
	items := func(kind ItemKind, list []PolicyItem) []evalItem {
		var compiled []evalItem
		for i := range list {
			if item, ok := newEvalItem(m, kind, i, &list[i], rename); ok {
				compiled = append(compiled, item)
			}
		}
		return compiled
	}
	e.allow = items(ItemAllow, p.PolicyItems)
	if m.denies {
		e.deny, e.allowExc, e.denyExc = items(ItemDeny, p.DenyPolicyItems), items(ItemAllowException, p.AllowExceptions), items(ItemDenyException, p.DenyExceptions)
	}
	e.hasDeny = p.IsDenyAllElse || len(p.DenyPolicyItems) > 0
	e.addSpecial(rename)
	e.order = e.evalOrder()
	return e
}

func (e *evalPolicy) addSpecial(rename func(string) (string, bool)) {
	switch e.policy.PolicyType {
	case PolicyTypeDataMask:
		for i := range e.policy.DataMaskPolicyItems {
			item := &e.policy.DataMaskPolicyItems[i]
			compiled, ok := newEvalItem(e.model, ItemDataMask, i, &item.PolicyItem, rename)
			info := item.DataMaskInfo
			if name, known := rename(info.DataMaskType); ok && known {
				info.DataMaskType = name
				compiled.mask = &info
				e.special = append(e.special, compiled)
			}
		}
	case PolicyTypeRowFilter:
		for i := range e.policy.RowFilterPolicyItems {
			item := &e.policy.RowFilterPolicyItems[i]
			if compiled, ok := newEvalItem(e.model, ItemRowFilter, i, &item.PolicyItem, rename); ok {
				compiled.filter = &item.RowFilterInfo
				e.special = append(e.special, compiled)
			}
		}
	}
}

// newEvalItem prepares an item; rename gives the access type's name in this service, and false for those of other
// services. An item that is left with none of its access types takes no part.
func newEvalItem(m *serviceModel, kind ItemKind, index int, item *PolicyItem, rename func(string) (string, bool)) (evalItem, bool) {
	e := evalItem{kind: kind, index: index, admin: item.DelegateAdmin, conditions: newConditions(m.def, item.Conditions)}
	left := 0
	for _, a := range item.Accesses {
		name, ok := rename(a.Type)
		if !ok {
			continue
		}
		left++
		if a.Allowed() {
			e.named = append(e.named, name)
			e.expanded = append(e.expanded, m.impliedBy(name)...)
		}
	}
	if left == 0 && len(item.Accesses) > 0 && !item.DelegateAdmin {
		return e, false
	}
	slices.Sort(e.expanded)
	e.expanded = slices.Compact(e.expanded)
	for _, a := range e.expanded {
		e.accesses = append(e.accesses, strings.ToLower(a))
	}
	slices.Sort(e.accesses)
	e.accesses = slices.Compact(e.accesses)
	for _, user := range item.Users {
		switch user {
		case "": // names nobody
		case userCurrent:
			e.everyone = true
		case userOwner:
			e.owner = true
		default:
			e.users = append(e.users, user)
		}
	}
	for _, group := range item.Groups {
		if group == groupPublic {
			e.everyone = true
		}
		e.groups = append(e.groups, group)
	}
	e.roles = slices.Clone(item.Roles)
	slices.Sort(e.users)
	slices.Sort(e.groups)
	slices.Sort(e.roles)
	return e, true
}

// restricts reports whether the item takes access away: what it applies to without need is lost, not leaked.
func (i *evalItem) restricts() bool {
	switch i.kind {
	case ItemDeny, ItemAllowException, ItemDataMask, ItemRowFilter:
		return true
	}
	return false
}

// matchesAccess reports whether the item names the access type, which is in lower case.
func (i *evalItem) matchesAccess(access string) bool {
	if access == adminAccess {
		return i.admin
	}
	_, found := slices.BinarySearch(i.accesses, access)
	return found
}

// subject gives the path by which the item applies to the request's user; its kind is SubjectNone when it does not.
func (i *evalItem) subject(ctx *evalContext) Subject {
	user := ctx.request.User
	if _, found := slices.BinarySearch(i.users, user); found {
		return Subject{Kind: SubjectUser, Name: user}
	}
	for _, g := range ctx.groups {
		if _, found := slices.BinarySearch(i.groups, g); found && g != groupPublic {
			return Subject{Kind: SubjectGroup, Name: g}
		}
	}
	if len(i.roles) > 0 {
		if s := ctx.roleAmong(i.roles); s.Kind != SubjectNone {
			return s
		}
	}
	if i.owner && user != "" && user == ctx.request.Owner {
		return Subject{Kind: SubjectOwner, Name: user}
	}
	if i.everyone {
		return Subject{Kind: SubjectPublic}
	}
	return Subject{}
}

// match reports whether the item applies: to the user, the access type, under its conditions.
func (i *evalItem) match(ctx *evalContext, access string) (Subject, bool) {
	if !i.matchesAccess(access) {
		return Subject{}, false
	}
	s := i.subject(ctx)
	if s.Kind == SubjectNone {
		return s, false
	}
	return s, len(i.conditions) == 0 || i.conditions.eval(ctx).resolve(i.restricts())
}

// firstMatch gives the first of items that applies, unless an exception applies too: then none of them does.
func firstMatch(ctx *evalContext, access string, items, exceptions []evalItem) (*evalItem, Subject) {
	for i := range items {
		s, ok := items[i].match(ctx, access)
		if !ok {
			continue
		}
		for x := range exceptions {
			if _, excepted := exceptions[x].match(ctx, access); excepted {
				return nil, Subject{}
			}
		}
		return &items[i], s
	}
	return nil, Subject{}
}

// evalOrder scores a policy as Ranger does, so that the same one of several policies decides. Source:
// RangerOptimizedPolicyEvaluator.computeEvalOrder.
func (e *evalPolicy) evalOrder() int {
	const start, maxResource, maxSubjects, maxAccess, maxConditions = 10000, 100, 25, 25, 25
	order, discount := start, 0
	for name, r := range e.policy.Resources {
		if e.model.resources[name] != nil {
			discount += resourceDiscount(r)
		}
	}
	for _, r := range e.resources {
		if r.dynamic {
			order += 20
			break
		}
	}
	order -= min(maxResource, discount)

	users, groups, accesses := map[string]bool{}, map[string]bool{}, map[string]bool{}
	public, conditions := e.policy.IsDenyAllElse, len(e.policy.Conditions)
	for item := range e.policy.allItems() {
		for _, u := range item.Users {
			users[u] = true
			public = public || u == userCurrent
		}
		for _, g := range item.Groups {
			groups[g] = true
			public = public || g == groupPublic
		}
		for _, a := range item.Accesses {
			if a.Allowed() {
				accesses[a.Type] = true
			}
		}
		conditions += len(item.Conditions)
	}
	if public {
		order -= maxSubjects
	} else {
		order -= min(len(users)+len(groups), maxSubjects)
	}
	if n := len(e.model.def.AccessTypes); n > 0 {
		order -= int(math.Floor(float64(maxAccess*len(accesses))/float64(n) + 0.5))
	}
	return order - max(0, maxConditions-5*conditions)
}

func resourceDiscount(r PolicyResource) int {
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

// allItems ranges over the items of all lists.
func (p *Policy) allItems() func(yield func(*PolicyItem) bool) {
	return func(yield func(*PolicyItem) bool) {
		for _, list := range [][]PolicyItem{p.PolicyItems, p.DenyPolicyItems, p.AllowExceptions, p.DenyExceptions} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
		for i := range p.DataMaskPolicyItems {
			if !yield(&p.DataMaskPolicyItems[i].PolicyItem) {
				return
			}
		}
		for i := range p.RowFilterPolicyItems {
			if !yield(&p.RowFilterPolicyItems[i].PolicyItem) {
				return
			}
		}
	}
}

// compareByOrder puts policies in the order of evaluation: higher priority first, then those with denies, then by
// score. Source: RangerPolicyEvaluator.PolicyEvalOrderComparator.
func compareByOrder(a, b *evalPolicy) int {
	return cmp.Or(comparePriority(a, b), cmp.Compare(a.order, b.order))
}

// compareByName differs from compareByOrder in going by name in the end.
func compareByName(a, b *evalPolicy) int {
	return cmp.Or(comparePriority(a, b), strings.Compare(a.policy.Name, b.policy.Name))
}

func comparePriority(a, b *evalPolicy) int {
	denyFirst := func(e *evalPolicy) int {
		if e.hasDeny {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.policy.PolicyPriority, a.policy.PolicyPriority), cmp.Compare(denyFirst(a), denyFirst(b)))
}
