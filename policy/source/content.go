package source

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
}

// digest returns 16 hexadecimal digits of the SHA-256 of the content's canonical JSON, which does not depend on how it
// was formatted or where the policies came from.
func (c *content) digest() (string, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return "", policy.Errorf(policy.CodeInternal, "write policies as JSON: %w", err)
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8]), nil
}

// each calls visit with every policy list of the content: the service's, its zones' and the tag service's.
func (c *content) each(visit func([]ranger.Policy)) {
	visit(c.Policies.Policies)
	for _, zone := range c.Policies.SecurityZones {
		if zone != nil {
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

// sortPolicies sorts each list by policy id, so that a snapshot updated by deltas equals one downloaded
// whole. Policies with the same id keep their order.
func (c *content) sortPolicies() {
	c.each(func(list []ranger.Policy) {
		slices.SortStableFunc(list, func(a, b ranger.Policy) int { return cmp.Compare(a.ID, b.ID) })
	})
}
