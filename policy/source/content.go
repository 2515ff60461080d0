package source

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"ucwarden/policy"
)

// content is everything a source read in one go. It is never changed once offered to a holder: a newer content may
// share parts with it.
type content struct {
	Policies *policy.ServicePolicies `json:"policies"`
	Roles    *policy.ServiceRoles    `json:"roles,omitempty"`
	Users    *policy.UserStore       `json:"users,omitempty"` // nil: membership is unknown
	Tags     *policy.ServiceTags     `json:"tags,omitempty"`
}

// digest identifies the content by what it says, not by how it was written: 16 hexadecimal digits of the SHA-256 of
// its canonical JSON. Where the policies came from does not count.
func (c *content) digest() (string, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return "", policy.Errorf(policy.CodeInternal, "write policies as JSON: %w", err)
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8]), nil
}

// each ranges over every policy list of the content: the service's, its zones' and the tag service's.
func (c *content) each(visit func([]policy.Policy)) {
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

// amount is how much there is of one kind of thing. Losing it takes access away, or lifts a deny.
type amount struct {
	what  string
	count int
}

// amounts counts what the guard watches, always in the same order. Disabled policies do not count: they decide
// nothing, and switching all policies off is as much a loss as deleting them.
func (c *content) amounts() []amount {
	enabled := func(list []policy.Policy) (n int) {
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
	return []amount{
		{"policies", policies}, {"tag policies", tagPolicies}, {"roles", roles}, {"group memberships", members},
		{"tags on resources", tagged},
	}
}

// sortPolicies puts each list into the order of policy ids, so that a snapshot made by deltas equals one downloaded
// whole. Policies with the same id keep their order.
func (c *content) sortPolicies() {
	c.each(func(list []policy.Policy) {
		slices.SortStableFunc(list, func(a, b policy.Policy) int { return cmp.Compare(a.ID, b.ID) })
	})
}
