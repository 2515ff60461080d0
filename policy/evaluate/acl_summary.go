package evaluate

import (
	"slices"
	"strings"

	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
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

// newACLSummary reads a policy's items: denies before allows, each with their exceptions, which count only when they
// can be told without a request.
func newACLSummary(p *rules.Policy) *aclSummary {
	s := &aclSummary{}
	for i := range s.byKind {
		s.byKind[i] = make(map[string]map[string]*aclState)
	}
	raw := p.Source
	unclear := func(items, exceptions []ranger.PolicyItem) bool {
		return namesGroupOrCondition(exceptions) || publicWithException(items, exceptions)
	}
	denyUnclear := unclear(raw.DenyPolicyItems, raw.DenyExceptions)
	allowUnclear := unclear(raw.PolicyItems, raw.AllowExceptions)
	s.addItems(p.Deny, raw.DenyPolicyItems, rules.ItemDeny, denyUnclear)
	if !denyUnclear {
		s.addItems(p.DenyExceptions, raw.DenyExceptions, rules.ItemDenyException, false)
	}
	s.addItems(p.Allow, raw.PolicyItems, rules.ItemAllow, allowUnclear)
	if !allowUnclear {
		s.addItems(p.AllowExceptions, raw.AllowExceptions, rules.ItemAllowException, false)
	}
	var accesses []string
	if p.DenyAllElse {
		accesses = p.AllAccesses()
	}
	s.finish(p.DenyAllElse, accesses)
	return s
}

// namesGroupOrCondition reports whether an item is for a group other than everyone, or under a condition.
func namesGroupOrCondition(items []ranger.PolicyItem) bool {
	return slices.ContainsFunc(items, func(i ranger.PolicyItem) bool {
		return len(i.Conditions) > 0 || len(i.Groups) > 0 && !slices.Contains(i.Groups, rules.GroupPublic)
	})
}

// publicWithException reports whether everyone is named, and single names are excepted.
func publicWithException(items, exceptions []ranger.PolicyItem) bool {
	everyone := func(i ranger.PolicyItem) bool {
		return slices.Contains(i.Groups, rules.GroupPublic) || slices.Contains(i.Users, rules.UserCurrent)
	}
	return len(exceptions) > 0 && slices.ContainsFunc(items, everyone) && !slices.ContainsFunc(exceptions, everyone)
}

// dependsOnRequest reports whether the item can only be told for a request.
func dependsOnRequest(i *ranger.PolicyItem) bool {
	return len(i.Conditions) > 0 || slices.Contains(i.Users, rules.UserOwner)
}

func (s *aclSummary) addItems(items []rules.Item, raw []ranger.PolicyItem, kind rules.ItemKind, unclear bool) {
	for i := range items {
		if !items[i].Kind.Listed() {
			continue
		}
		r := &raw[items[i].Index]
		conditional := unclear || dependsOnRequest(r)
		var result ACLResult
		switch {
		case conditional && (kind == rules.ItemAllow || kind == rules.ItemDeny):
			result = ACLConditional
		case conditional:
			continue
		case kind == rules.ItemAllow || kind == rules.ItemDenyException:
			result = ACLAllowed
		default:
			result = ACLDenied
		}
		accesses := items[i].Expanded
		if r.DelegateAdmin {
			accesses = append([]string{rules.AdminAccess}, accesses...)
		}
		for _, access := range accesses {
			s.addItem(r, access, result, kind)
		}
	}
}

func (s *aclSummary) addItem(r *ranger.PolicyItem, access string, result ACLResult, kind rules.ItemKind) {
	public := slices.Contains(r.Groups, rules.GroupPublic) || slices.Contains(r.Users, rules.UserCurrent)
	for _, u := range r.Users {
		if u != rules.UserCurrent && strings.TrimSpace(u) != "" {
			s.add(aclUsers, u, access, result, kind)
		}
	}
	for _, g := range r.Groups {
		if g != rules.GroupPublic {
			s.add(aclGroups, g, access, result, kind)
		}
	}
	if public {
		s.add(aclGroups, rules.GroupPublic, access, result, kind)
	}
	for _, role := range r.Roles {
		s.add(aclRoles, role, access, result, kind)
	}
}

func (s *aclSummary) add(who int, name, access string, result ACLResult, kind rules.ItemKind) {
	names := s.byKind[who]
	if names[name] == nil {
		names[name] = make(map[string]*aclState)
	}
	state := names[name][access]
	if state == nil {
		if kind == rules.ItemAllow || kind == rules.ItemDeny {
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
		if result == ACLDenied || kind == rules.ItemAllow {
			state.result = result
		}
	case result == ACLDenied:
		lowest := aclOpen
		if kind == rules.ItemDeny {
			lowest = ACLDenied
		}
		state.result = max(lowest, state.result+result)
	default:
		highest := aclOpen
		if kind == rules.ItemAllow {
			highest = ACLAllowed
		}
		state.result = min(highest, state.result+result)
	}
}

// finish drops entries of single names where everyone is allowed or denied, and with denyAllElse denies the rest.
func (s *aclSummary) finish(denyAllElse bool, accesses []string) {
	for access, state := range s.byKind[aclGroups][rules.GroupPublic] {
		if state.result != ACLDenied && state.result != ACLAllowed {
			continue
		}
		for _, who := range []int{aclUsers, aclGroups} {
			for name, own := range s.byKind[who] {
				if who == aclGroups && name == rules.GroupPublic {
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
	public := s.byKind[aclGroups][rules.GroupPublic]
	if public == nil {
		public = make(map[string]*aclState)
		s.byKind[aclGroups][rules.GroupPublic] = public
	}
	for _, access := range accesses {
		if public[access] != nil {
			continue
		}
		result := ACLDenied
		for _, who := range []int{aclUsers, aclGroups} {
			for name, own := range s.byKind[who] {
				if state := own[access]; !(who == aclGroups && name == rules.GroupPublic) && (state == nil || state.result != ACLDenied) {
					result = ACLConditional
				}
			}
		}
		public[access] = &aclState{result}
	}
}
