package source

import (
	"fmt"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source/content"
)

// defaultMaxShrink is the share of policies that may disappear from one version to the next.
const defaultMaxShrink = 0.5

// GuardOptions says which losses a source accepts. A rejected version stays out until it is accepted by its digest.
type GuardOptions struct {
	// MaxShrink is the share, 0 to 1, of policies (and of tag policies, roles, group memberships, tags) that may
	// disappear from one version to the next; 0 means 0.5, 1 allows any loss except that of everything.
	MaxShrink float64
	// AllowEmpty accepts a version without any enabled policy, also at the first load. Without it, that is an error.
	AllowEmpty bool
	// Accept is the digest of one version that is accepted however much it lost and even if it is older; the error of
	// a rejected version names it. The version is still verified like any other.
	Accept string
}

func (o *GuardOptions) validate() error {
	if o.MaxShrink < 0 || o.MaxShrink > 1 {
		return policy.Errorf(policy.CodeInvalid, "policy source: max shrink %v is not between 0 and 1", o.MaxShrink)
	}
	if o.MaxShrink == 0 {
		o.MaxShrink = defaultMaxShrink
	}
	return nil
}

// count is the number of items of one kind. Losing some takes access away or removes a deny.
type count struct {
	what string
	n    int
}

// counts returns the numbers that the guard compares, always in the same order. Disabled policies do not count, nor those
// without an item that says something, nor those of which nothing can be understood: each is as much a loss as deleting them.
func counts(s *ranger.Snapshot) []count {
	var policies, tagPolicies, members, tagged int
	for list := range s.PolicyLists() {
		n := &policies
		if s.TagPolicies != nil && len(list) > 0 && len(s.TagPolicies.Policies) > 0 && &list[0] == &s.TagPolicies.Policies[0] {
			n = &tagPolicies
		}
		for i := range list {
			if list[i].Enabled() && understood(&list[i]) && saysSomething(&list[i]) {
				*n++
			}
		}
	}
	if s.Users != nil {
		for _, groups := range s.Users.UserGroupMapping {
			members += len(groups)
		}
	}
	if s.Tags != nil {
		for _, tags := range s.Tags.ResourceToTagIDs {
			tagged += len(tags)
		}
	}
	return []count{
		{"policies", policies}, {"tag policies", tagPolicies}, {"roles", len(s.Roles)}, {"group memberships", members},
		{"tags on resources", tagged},
	}
}

// understood reports whether something that the policy says holds as it is written: it has no fault about the policy as a
// whole, and some item has none, or an access type left.
func understood(p *ranger.Policy) bool {
	type place struct {
		list  string
		index int
	}
	faults := make(map[place]int) // in access types; of an item that is lost, more than it can have
	for _, f := range p.Faults {
		list, index, rest := f.Step()
		if index < 0 {
			return false
		}
		if field, at, _ := (ranger.Fault{Field: rest}).Step(); field == "accesses" && at >= 0 {
			faults[place{list, index}]++
		} else {
			faults[place{list, index}] = 1 << 30
		}
	}
	if len(faults) == 0 {
		return true
	}
	for list, items := range map[string][]ranger.PolicyItem{"policyItems": p.PolicyItems, "denyPolicyItems": p.DenyPolicyItems} {
		for i := range items {
			if n := faults[place{list, i}]; n == 0 || n < len(items[i].Accesses) {
				return true
			}
		}
	}
	for i := range p.DataMaskPolicyItems {
		if faults[place{"dataMaskPolicyItems", i}] == 0 {
			return true
		}
	}
	for i := range p.RowFilterPolicyItems {
		if faults[place{"rowFilterPolicyItems", i}] == 0 {
			return true
		}
	}
	return false
}

// saysSomething reports whether a policy allows, denies, masks or filters anything for anybody, some time and somewhere.
func saysSomething(p *ranger.Policy) bool {
	if p.IsDenyAllElse || len(p.Faults) > 0 { // what cannot be understood of it may deny
		return true
	}
	for item := range p.AllItems() {
		if len(item.Users)+len(item.Groups)+len(item.Roles) > 0 && slices.ContainsFunc(item.Accesses, ranger.ItemAccess.Allowed) {
			return true
		}
	}
	return false
}

// check returns an error of class refused when next lost too much of old, and one of class invalid when none of its policies
// can be understood. old is nil when nothing is in force.
func (o *GuardOptions) check(old, next *ranger.Snapshot) error {
	now := counts(next)
	if policies := now[0].n + now[1].n; policies == 0 && !o.AllowEmpty {
		if faults, n := content.DescribeFaults(next); n > 0 {
			return policy.Errorf(policy.CodeInvalid, "no policy can be understood, which would revoke every grant: %s", faults)
		}
		return policy.Errorf(policy.CodeRefused, "there is no enabled policy that allows or denies anything, which would revoke every grant (policies.allow_empty allows it)")
	}
	if old == nil {
		return nil
	}
	var losses []string
	for i, before := range counts(old) {
		after := now[i]
		switch lost := before.n - after.n; {
		case lost <= 0 || o.AllowEmpty && after.n == 0:
		case after.n == 0:
			losses = append(losses, fmt.Sprintf("all %d %s are gone", before.n, before.what))
		case float64(lost) > o.MaxShrink*float64(before.n):
			losses = append(losses, fmt.Sprintf("%d of %d %s are gone, more than %.0f%% (policies.max_shrink_ratio)", lost, before.n, before.what, o.MaxShrink*100))
		}
	}
	if old.Users != nil && next.Users == nil {
		losses = append(losses, "the user store is gone")
	}
	if len(losses) == 0 {
		return nil
	}
	if faults, n := content.DescribeFaults(next); n > 0 {
		losses = append(losses, "policies that cannot be understood count as gone: "+faults)
	}
	return policy.Errorf(policy.CodeRefused, "%s", strings.Join(losses, "; "))
}

// checkVersions returns an error of class refused when one of the server's versions went back, as after a restore of
// Ranger's database or an answer from a lagging replica.
func checkVersions(old, next *content.Content) error {
	type versions struct {
		what         string
		before, here int64
	}
	all := []versions{{"policy version", old.Policies.PolicyVersion, next.Policies.PolicyVersion}}
	if a, b := old.Policies.TagPolicies, next.Policies.TagPolicies; a != nil && b != nil && a.ServiceName == b.ServiceName {
		all = append(all, versions{"tag policy version", a.PolicyVersion, b.PolicyVersion})
	}
	if old.Roles != nil && next.Roles != nil {
		all = append(all, versions{"role version", old.Roles.RoleVersion, next.Roles.RoleVersion})
	}
	if old.Users != nil && next.Users != nil {
		all = append(all, versions{"user store version", old.Users.UserStoreVersion, next.Users.UserStoreVersion})
	}
	if old.Tags != nil && next.Tags != nil {
		all = append(all, versions{"tag version", old.Tags.TagVersion, next.Tags.TagVersion})
	}
	for _, v := range all {
		if v.here < v.before {
			return policy.Errorf(policy.CodeRefused, "%s %d is older than %d, which is in force", v.what, v.here, v.before)
		}
	}
	return nil
}
