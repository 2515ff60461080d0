package delta

import (
	"maps"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// The kinds of change in a policy delta.
const (
	Create = 0
	Update = 1
	Delete = 2
)

// Apply returns the policies that result from the changes in update, a document with policyDeltas instead of
// policies. Neither document is changed. Creating a policy that is there and updating one that is not come to the same:
// the policy is there afterwards. A change goes to the tag service when its policy's serviceType says so. Zones that
// update describes take its resources; without any zones in update those of base stay.
//
// Errors are of class CodeInvalid and name the change; then nothing may be applied, and the caller needs a full
// download. Source: RangerPolicyDeltaUtil.
func Apply(base, update *ranger.ServicePolicies) (*ranger.ServicePolicies, error) {
	next := *base
	next.PolicyDeltas = nil
	next.Unknown = mergeUnknown(base, update)
	if update.PolicyVersion != 0 {
		next.PolicyVersion = update.PolicyVersion
	}
	if update.PolicyUpdateTime != nil {
		next.PolicyUpdateTime = update.PolicyUpdateTime
	}
	if update.ServiceDef != nil {
		next.ServiceDef = update.ServiceDef
	}
	tagType := ""
	if t := next.TagPolicies; t != nil && t.ServiceDef != nil {
		tagType = t.ServiceDef.Name
	}
	var own, tagged []ranger.PolicyDelta
	for _, d := range update.PolicyDeltas {
		if d.Policy != nil && tagType != "" && d.Policy.ServiceType == tagType {
			tagged = append(tagged, d)
		} else {
			own = append(own, d)
		}
	}
	var err error
	if next.Policies, err = applyDeltas("policyDeltas", base.Policies, own); err != nil {
		return nil, err
	}
	if len(tagged) > 0 {
		tags := *next.TagPolicies
		if tags.Policies, err = applyDeltas("policyDeltas", tags.Policies, tagged); err != nil {
			return nil, err
		}
		next.TagPolicies = &tags
	}
	if next.SecurityZones, err = applyZoneDeltas(base.SecurityZones, update.SecurityZones); err != nil {
		return nil, err
	}
	return &next, nil
}

// mergeUnknown returns the unknown fields of base, but for those in policies that update changes, and those of update,
// but for those in policies that it removes. A field that both have, as a newer server sends with every update, is there
// once.
func mergeUnknown(base, update *ranger.ServicePolicies) []ranger.UnknownField {
	if len(base.Unknown)+len(update.Unknown) == 0 {
		return nil
	}
	kept := make(map[int64]bool) // by id of a policy that update changes: whether it is there afterwards
	note := func(list []ranger.PolicyDelta) {
		for _, d := range list {
			if d.Policy != nil {
				kept[d.Policy.ID] = d.ChangeType != Delete
			}
		}
	}
	note(update.PolicyDeltas)
	for _, zone := range update.SecurityZones {
		if zone != nil {
			note(zone.PolicyDeltas)
		}
	}
	var merged []ranger.UnknownField
	seen := make(map[ranger.UnknownField]bool)
	for _, u := range base.Unknown {
		if _, changed := kept[u.PolicyID]; u.PolicyID == 0 || !changed {
			merged = append(merged, u)
			seen[u] = true
		}
	}
	for _, u := range update.Unknown {
		if stays, changed := kept[u.PolicyID]; !seen[u] && (u.PolicyID == 0 || !changed || stays) {
			merged = append(merged, u)
		}
	}
	return merged
}

func applyZoneDeltas(base, update map[string]*ranger.SecurityZone) (map[string]*ranger.SecurityZone, error) {
	if update == nil {
		return base, nil
	}
	zones := maps.Clone(update)
	for name, zone := range zones {
		if zone == nil {
			continue
		}
		next := *zone
		if old := base[name]; old != nil && len(zone.Policies) == 0 {
			next.Policies = old.Policies
		}
		var err error
		if next.Policies, err = applyDeltas("securityZones."+name+".policyDeltas", next.Policies, zone.PolicyDeltas); err != nil {
			return nil, err
		}
		next.PolicyDeltas = nil
		zones[name] = &next
	}
	return zones, nil
}

func applyDeltas(path string, base []ranger.Policy, deltas []ranger.PolicyDelta) ([]ranger.Policy, error) {
	if len(deltas) == 0 {
		return base, nil
	}
	policies := slices.Clone(base)
	position := make(map[int64]int, len(policies))
	for i := range policies {
		position[policies[i].ID] = i
	}
	deleted := make(map[int]bool)
	for i, d := range deltas {
		if d.Policy == nil {
			return nil, policy.Errorf(policy.CodeInvalid, "%s[%d].policy is missing", path, i)
		}
		at, found := position[d.Policy.ID]
		switch d.ChangeType {
		case Create, Update:
			if found {
				policies[at] = *d.Policy
				delete(deleted, at)
				continue
			}
			position[d.Policy.ID] = len(policies)
			policies = append(policies, *d.Policy)
		case Delete:
			if found {
				deleted[at] = true
			}
		default:
			return nil, policy.Errorf(policy.CodeInvalid, "%s[%d].changeType: %d is unknown, want 0 (create), 1 (update) or 2 (delete)", path, i, d.ChangeType)
		}
	}
	kept := policies[:0]
	for i, p := range policies {
		if !deleted[i] {
			kept = append(kept, p)
		}
	}
	return kept, nil
}
