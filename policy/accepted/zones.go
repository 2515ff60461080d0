package accepted

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/rules"
)

// ZoneProblem is something in a security zone that means nothing, or not what its author may expect.
type ZoneProblem struct {
	Zone   string
	Field  string        // in the zone, as "resources[0].catalog[1]"
	Policy *rules.Policy // of the zone, that it is about; nil for the zone itself
	Effect policy.Effect
	Why    string // what is wrong, and what to write instead
	// Error is set for what can never do what it says.
	Error bool
}

func (p ZoneProblem) finding() policy.Finding {
	f := policy.Finding{Effect: p.Effect, Message: fmt.Sprintf("security zone %q: %s: %s", p.Zone, p.Field, p.Why)}
	if p.Policy != nil {
		f.PolicyID, f.Policy, f.Message = p.Policy.Source.ID, p.Policy.Source.Name, p.Field+": "+p.Why
	}
	return f
}

// ZoneProblems returns what means nothing in the security zones: values that can match no object, resources that hold nothing, and
// policies about objects that are not in their zone. What is meant to be in the zone is outside it, where other policies hold.
func ZoneProblems(set *rules.RuleSet) (list []ZoneProblem) {
	f := &finder{RuleSet: set}
	for _, zone := range set.Zones.Names {
		add := func(field string, effect policy.Effect, isError bool, format string, args ...any) {
			list = append(list, ZoneProblem{Zone: zone, Field: field, Effect: effect, Error: isError, Why: fmt.Sprintf(format, args...)})
		}
		z := set.Snapshot.Zones[zone]
		if z.ZoneName != "" && z.ZoneName != zone {
			add("zoneName", policy.EffectNone, false, "it is %q, which has no effect: the zone is known by the name under which it stands; correct one of the two", z.ZoneName)
		}
		for i, resources := range z.Resources {
			for _, name := range slices.Sorted(maps.Keys(resources)) {
				field := fmt.Sprintf("resources[%d].%s", i, name)
				for at, why := range f.valueProblems(nil, name, resources[name]) {
					add(fmt.Sprintf("%s[%d]", field, at), policy.EffectWider, true, "%s", why)
				}
				if len(resources[name]) == 0 {
					add(field, policy.EffectNone, false, "it names nothing, so it stands for every %s; write \"*\" where that is meant", name)
				}
			}
		}
		for _, i := range set.Zones.Void(zone) {
			why := "these resources are on no path of the service definition, so nothing is in the zone by them; correct their names, or name those above them too"
			if len(z.Resources[i]) == 0 {
				why = "it is empty, so nothing is in the zone by it; name resources, or remove it"
			}
			add(fmt.Sprintf("resources[%d]", i), policy.EffectWider, true, "%s", why)
		}
		if len(z.Resources) == 0 {
			add("resources", policy.EffectWider, false, "it has none, so nothing is in the zone, and its policies hold nowhere; name what is in it")
		}
	}
	for p := range set.Policies {
		if p.Zone == "" || p.Tag || p.Elsewhere || len(p.Resources) == 0 || len(set.Zones.Void(p.Zone)) == len(set.Snapshot.Zones[p.Zone].Resources) || set.Zones.MayHold(p.Zone, p) {
			continue
		}
		effect := policy.EffectNone
		if p.Restricts() {
			effect = policy.EffectWider
		}
		list = append(list, ZoneProblem{Zone: p.Zone, Field: "resources", Policy: p, Effect: effect, Error: true,
			Why: fmt.Sprintf("nothing of it is in security zone %q, so the policy holds nowhere; name resources of the zone, or move the policy out of it", p.Zone)})
	}
	slices.SortStableFunc(list, func(a, b ZoneProblem) int { return cmp.Compare(a.Zone, b.Zone) })
	return list
}
