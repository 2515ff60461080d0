package policy

import (
	"slices"
	"strings"
)

// aclSummary is what one policy says about users, groups and roles. Source: RangerPolicyEvaluator.PolicyACLSummary.
type aclSummary struct {
	byKind [3]map[string]map[string]*aclState // users, groups, roles; then access types
}

type aclState struct{ result ACLResult }

const (
	aclUsers = iota
	aclGroups
	aclRoles
)

// aclSummary reads the policy's items: denies before allows, each with their exceptions, which count only when they
// can be told without a request.
func (p *evalPolicy) aclSummary() *aclSummary {
	s := &aclSummary{}
	for i := range s.byKind {
		s.byKind[i] = make(map[string]map[string]*aclState)
	}
	raw := p.policy
	unclear := func(items, exceptions []PolicyItem) bool {
		return namesGroupOrCondition(exceptions) || publicWithException(items, exceptions)
	}
	denyUnclear := unclear(raw.DenyPolicyItems, raw.DenyExceptions)
	allowUnclear := unclear(raw.PolicyItems, raw.AllowExceptions)
	s.addItems(p.deny, raw.DenyPolicyItems, ItemDeny, denyUnclear)
	if !denyUnclear {
		s.addItems(p.denyExc, raw.DenyExceptions, ItemDenyException, false)
	}
	s.addItems(p.allow, raw.PolicyItems, ItemAllow, allowUnclear)
	if !allowUnclear {
		s.addItems(p.allowExc, raw.AllowExceptions, ItemAllowException, false)
	}
	var accesses []string
	if raw.IsDenyAllElse {
		for _, a := range p.model.def.AccessTypes {
			if !strings.EqualFold(a.Name, "all") {
				accesses = append(accesses, a.Name)
			}
		}
	}
	s.finish(raw.IsDenyAllElse, accesses)
	return s
}

// namesGroupOrCondition reports whether an item is for a group other than everyone, or under a condition.
func namesGroupOrCondition(items []PolicyItem) bool {
	return slices.ContainsFunc(items, func(i PolicyItem) bool {
		return len(i.Conditions) > 0 || len(i.Groups) > 0 && !slices.Contains(i.Groups, groupPublic)
	})
}

// publicWithException reports whether everyone is named, and single names are excepted.
func publicWithException(items, exceptions []PolicyItem) bool {
	everyone := func(i PolicyItem) bool {
		return slices.Contains(i.Groups, groupPublic) || slices.Contains(i.Users, userCurrent)
	}
	return len(exceptions) > 0 && slices.ContainsFunc(items, everyone) && !slices.ContainsFunc(exceptions, everyone)
}

// dependsOnRequest reports whether the item can only be told for a request.
func dependsOnRequest(i *PolicyItem) bool {
	return len(i.Conditions) > 0 || slices.Contains(i.Users, userOwner)
}

func (s *aclSummary) addItems(items []evalItem, raw []PolicyItem, kind ItemKind, unclear bool) {
	for i := range items {
		r := &raw[items[i].index]
		conditional := unclear || dependsOnRequest(r)
		var result ACLResult
		switch {
		case conditional && (kind == ItemAllow || kind == ItemDeny):
			result = ACLConditional
		case conditional:
			continue
		case kind == ItemAllow || kind == ItemDenyException:
			result = ACLAllowed
		default:
			result = ACLDenied
		}
		accesses := items[i].expanded
		if r.DelegateAdmin {
			accesses = append([]string{adminAccess}, accesses...)
		}
		for _, access := range accesses {
			s.addItem(r, access, result, kind)
		}
	}
}

func (s *aclSummary) addItem(r *PolicyItem, access string, result ACLResult, kind ItemKind) {
	public := slices.Contains(r.Groups, groupPublic) || slices.Contains(r.Users, userCurrent)
	for _, u := range r.Users {
		if u != userCurrent && strings.TrimSpace(u) != "" {
			s.add(aclUsers, u, access, result, kind)
		}
	}
	for _, g := range r.Groups {
		if g != groupPublic {
			s.add(aclGroups, g, access, result, kind)
		}
	}
	if public {
		s.add(aclGroups, groupPublic, access, result, kind)
	}
	for _, role := range r.Roles {
		s.add(aclRoles, role, access, result, kind)
	}
}

func (s *aclSummary) add(who int, name, access string, result ACLResult, kind ItemKind) {
	names := s.byKind[who]
	if names[name] == nil {
		names[name] = make(map[string]*aclState)
	}
	state := names[name][access]
	if state == nil {
		if kind == ItemAllow || kind == ItemDeny {
			names[name][access] = &aclState{result}
		}
		return
	}
	switch {
	case result == ACLConditional:
		if state.result == aclOpen {
			state.result = result
		}
	case state.result == ACLConditional:
		if result == ACLDenied || kind == ItemAllow {
			state.result = result
		}
	case result == ACLDenied:
		lowest := aclOpen
		if kind == ItemDeny {
			lowest = ACLDenied
		}
		state.result = max(lowest, state.result+result)
	default:
		highest := aclOpen
		if kind == ItemAllow {
			highest = ACLAllowed
		}
		state.result = min(highest, state.result+result)
	}
}

// finish drops entries of single names where everyone is allowed or denied, and with denyAllElse denies the rest.
func (s *aclSummary) finish(denyAllElse bool, accesses []string) {
	for access, state := range s.byKind[aclGroups][groupPublic] {
		if state.result != ACLDenied && state.result != ACLAllowed {
			continue
		}
		for _, who := range []int{aclUsers, aclGroups} {
			for name, own := range s.byKind[who] {
				if who == aclGroups && name == groupPublic {
					continue
				}
				if delete(own, access); len(own) == 0 {
					delete(s.byKind[who], name)
				}
			}
		}
	}
	if !denyAllElse {
		return
	}
	for _, who := range []int{aclUsers, aclGroups} {
		for _, own := range s.byKind[who] {
			for _, state := range own {
				if state.result == aclOpen {
					state.result = ACLDenied
				}
			}
			for _, access := range accesses {
				if own[access] == nil {
					own[access] = &aclState{ACLDenied}
				}
			}
		}
	}
	s.denyPublic(accesses)
}

// denyPublic says of each access that denyAllElse takes from everyone whether it is denied, or denied to some only.
func (s *aclSummary) denyPublic(accesses []string) {
	public := s.byKind[aclGroups][groupPublic]
	if public == nil {
		public = make(map[string]*aclState)
		s.byKind[aclGroups][groupPublic] = public
	}
	for _, access := range accesses {
		if public[access] != nil {
			continue
		}
		result := ACLDenied
		for _, who := range []int{aclUsers, aclGroups} {
			for name, own := range s.byKind[who] {
				if state := own[access]; !(who == aclGroups && name == groupPublic) && (state == nil || state.result != ACLDenied) {
					result = ACLConditional
				}
			}
		}
		public[access] = &aclState{result}
	}
}
