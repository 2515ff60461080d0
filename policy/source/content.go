package source

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// content is everything that a source read in one load. It is immutable once published: newer content may share parts
// with it.
type content struct {
	Policies *ranger.ServicePolicies `json:"policies"`
	Roles    *ranger.ServiceRoles    `json:"roles,omitempty"`
	Users    *ranger.UserStore       `json:"users,omitempty"` // nil: membership is unknown
	Tags     *ranger.ServiceTags     `json:"tags,omitempty"`
	Problems []ranger.Problem        `json:"problems,omitempty"`

	refusal error // why strict parsing refuses some of the files it was read from, nil when it does not
}

// isPartial reports whether strict parsing refused some of the files: their policies are unreadable.
func (c *content) isPartial() bool {
	return slices.ContainsFunc(c.Problems, func(p ranger.Problem) bool { return p.Refused })
}

// unreadable returns why policies cannot be understood, which their JSON does not hold, by their number in the order of
// each.
func (c *content) unreadable() map[int]string {
	var reasons map[int]string
	n := 0
	c.each(func(list []ranger.Policy) {
		for i := range list {
			if reason := list[i].Unreadable; reason != "" {
				if reasons == nil {
					reasons = make(map[int]string)
				}
				reasons[n+i] = reason
			}
		}
		n += len(list)
	})
	return reasons
}

// setUnreadable marks policies as unreadable returned them.
func (c *content) setUnreadable(reasons map[int]string) {
	n := 0
	c.each(func(list []ranger.Policy) {
		for i := range list {
			list[i].Unreadable = reasons[n+i]
		}
		n += len(list)
	})
}

// digest returns 16 hexadecimal digits of the SHA-256 of the content's canonical JSON, and of what could not be
// understood of it. It does not depend on how it was formatted, nor, where nothing is wrong with them, on where the
// policies came from.
func (c *content) digest() (string, error) {
	var all any = c
	if reasons := c.unreadable(); len(reasons) > 0 {
		all = struct {
			*content
			Unreadable map[int]string `json:"unreadable"`
		}{c, reasons}
	}
	body, err := json.Marshal(all)
	if err != nil {
		return "", policy.Errorf(policy.CodeInternal, "write policies as JSON: %w", err)
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8]), nil
}

// each calls visit with every policy list of the content: the service's, its zones' in the order of their names, and the
// tag service's.
func (c *content) each(visit func([]ranger.Policy)) {
	visit(c.Policies.Policies)
	for _, name := range slices.Sorted(maps.Keys(c.Policies.SecurityZones)) {
		if zone := c.Policies.SecurityZones[name]; zone != nil {
			visit(zone.Policies)
		}
	}
	if c.Policies.TagPolicies != nil {
		visit(c.Policies.TagPolicies.Policies)
	}
}

// count is the number of items of one kind. Losing some takes access away or removes a deny.
type count struct {
	what string
	n    int
}

// counts returns the numbers that the guard compares, always in the same order. Disabled policies do not count, because
// disabling all policies is as much a loss as deleting them.
func (c *content) counts() []count {
	enabled := func(list []ranger.Policy) (n int) {
		for i := range list {
			if list[i].Enabled() {
				n++
			}
		}
		return n
	}
	policies, tagPolicies := enabled(c.Policies.Policies), 0
	for _, zone := range c.Policies.SecurityZones {
		if zone != nil {
			policies += enabled(zone.Policies)
		}
	}
	if c.Policies.TagPolicies != nil {
		tagPolicies = enabled(c.Policies.TagPolicies.Policies)
	}
	var roles, members, tagged int
	if c.Roles != nil {
		roles = len(c.Roles.RangerRoles)
	}
	if c.Users != nil {
		for _, groups := range c.Users.UserGroupMapping {
			members += len(groups)
		}
	}
	if c.Tags != nil {
		for _, tags := range c.Tags.ResourceToTagIDs {
			tagged += len(tags)
		}
	}
	return []count{
		{"policies", policies}, {"tag policies", tagPolicies}, {"roles", roles}, {"group memberships", members},
		{"tags on resources", tagged},
	}
}

// roleEffect returns what it means for access that members of roles are missing: wider when an enabled policy takes
// access away from roles.
func (c *content) roleEffect() policy.Effect {
	effect := policy.EffectNarrower
	c.each(func(list []ranger.Policy) {
		for i := range list {
			if p := &list[i]; p.Enabled() && restrictsRoles(p) {
				effect = policy.EffectWider
			}
		}
	})
	return effect
}

func restrictsRoles(p *ranger.Policy) bool {
	restricting := *p
	restricting.PolicyItems, restricting.DenyExceptions = nil, nil
	return usesRoles(&restricting)
}

// sortPolicies sorts each list by policy id, so that a snapshot updated by deltas equals one downloaded
// whole. Policies with the same id keep their order.
func (c *content) sortPolicies() {
	c.each(func(list []ranger.Policy) {
		slices.SortStableFunc(list, func(a, b ranger.Policy) int { return cmp.Compare(a.ID, b.ID) })
	})
}
