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

	more map[string]bool // the files that hold more than policies: roles, zones, a service definition
}

// faults returns what of the policies could not be understood when they were parsed, which their JSON does not hold, by
// their number in the order of each.
func (c *content) faults() map[int][]ranger.Fault {
	var faults map[int][]ranger.Fault
	n := 0
	c.each(func(list []ranger.Policy) {
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

// setFaults sets the faults of policies as faults returned them.
func (c *content) setFaults(faults map[int][]ranger.Fault) {
	n := 0
	c.each(func(list []ranger.Policy) {
		for i := range list {
			list[i].Faults = faults[n+i]
		}
		n += len(list)
	})
}

// digest returns 16 hexadecimal digits of the SHA-256 of the content's canonical JSON, and of what could not be
// understood of it. It does not depend on how it was formatted, nor, where nothing is wrong with them, on where the
// policies came from.
func (c *content) digest() (string, error) {
	var all any = c
	if faults := c.faults(); len(faults) > 0 {
		all = struct {
			*content
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
	return restricting.UsesRoles()
}

// sortPolicies sorts each list by policy id, so that a snapshot updated by deltas equals one downloaded
// whole. Policies with the same id keep their order.
func (c *content) sortPolicies() {
	c.each(func(list []ranger.Policy) {
		slices.SortStableFunc(list, func(a, b ranger.Policy) int { return cmp.Compare(a.ID, b.ID) })
	})
}
