package content

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/verify"
)

// Content is everything that a source read in one load. It is immutable once published: newer content may share parts
// with it.
type Content struct {
	Policies *ranger.ServicePolicies `json:"policies"`
	Roles    *ranger.ServiceRoles    `json:"roles,omitempty"`
	Users    *ranger.UserStore       `json:"users,omitempty"` // nil: membership is unknown
	Tags     *ranger.ServiceTags     `json:"tags,omitempty"`
	Problems []ranger.Problem        `json:"problems,omitempty"`

	More map[string]bool // the files that hold more than policies: roles, zones, a service definition
}

// Snapshot joins the content into a snapshot and verifies it. What cannot be understood in a policy is a fault of that
// policy, whichever source it came from; errors are about what nothing can be closed for.
func (c *Content) Snapshot() (*ranger.Snapshot, error) {
	s, err := ranger.NewSnapshot(ranger.SnapshotInput{Policies: WithoutForeign(c.Policies, "", make(map[string]*Foreign)), Roles: c.Roles, Users: c.Users, Tags: c.Tags, Problems: c.Problems})
	if err != nil {
		return nil, err
	}
	for err := range verify.Zones(s) {
		return nil, err
	}
	return verify.Snapshot(s), nil
}

// Faults returns what of the policies could not be understood when they were parsed, which their JSON does not hold, by
// their number in the order of each.
func (c *Content) Faults() map[int][]ranger.Fault {
	var faults map[int][]ranger.Fault
	n := 0
	c.Each(func(list []ranger.Policy) {
		for i := range list {
			if len(list[i].Faults) > 0 {
				if faults == nil {
					faults = make(map[int][]ranger.Fault)
				}
				faults[n+i] = list[i].Faults
			}
		}
		n += len(list)
	})
	return faults
}

// SetFaults sets the faults of policies as Faults returned them.
func (c *Content) SetFaults(faults map[int][]ranger.Fault) {
	n := 0
	c.Each(func(list []ranger.Policy) {
		for i := range list {
			list[i].Faults = faults[n+i]
		}
		n += len(list)
	})
}

// Digest returns 16 hexadecimal digits of the SHA-256 of the content's canonical JSON, and of what could not be
// understood of it. It does not depend on how it was formatted, nor, where nothing is wrong with them, on where the
// policies came from.
func (c *Content) Digest() (string, error) {
	var all any = c
	if faults := c.Faults(); len(faults) > 0 {
		all = struct {
			*Content
			Faults map[int][]ranger.Fault `json:"faults"`
		}{c, faults}
	}
	body, err := json.Marshal(all)
	if err != nil {
		return "", policy.Errorf(policy.CodeInternal, "write policies as JSON: %w", err)
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8]), nil
}

// Each calls visit with every policy list of the content: the service's, its zones' in the order of their names, and the
// tag service's.
func (c *Content) Each(visit func([]ranger.Policy)) {
	c.eachOf(func(_ bool, _ string, list []ranger.Policy) { visit(list) })
}

// eachOf is Each with whose list it is: the tag service's, or that of a zone, "" for none.
func (c *Content) eachOf(visit func(tag bool, zone string, list []ranger.Policy)) {
	visit(false, "", c.Policies.Policies)
	for _, name := range slices.Sorted(maps.Keys(c.Policies.SecurityZones)) {
		if zone := c.Policies.SecurityZones[name]; zone != nil {
			visit(false, name, zone.Policies)
		}
	}
	if c.Policies.TagPolicies != nil {
		visit(true, "", c.Policies.TagPolicies.Policies)
	}
}

// RoleEffect returns what it means for access that members of roles are missing: wider when an enabled policy takes
// access away from roles.
func (c *Content) RoleEffect() policy.Effect {
	effect := policy.EffectNarrower
	c.Each(func(list []ranger.Policy) {
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
	return restricting.UsesRoles()
}

// SortPolicies sorts each list by policy id, so that a snapshot updated by deltas equals one downloaded
// whole. Policies with the same id keep their order.
func (c *Content) SortPolicies() {
	c.Each(func(list []ranger.Policy) {
		slices.SortStableFunc(list, func(a, b ranger.Policy) int { return cmp.Compare(a.ID, b.ID) })
	})
}
