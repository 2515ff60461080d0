package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// findAccepted sets what is accepted in a snapshot although it means nothing, or not what its author may expect: fields
// that have no meaning here, resource values that can match no object, zones that do not exist.
func (rs *RuleSet) findAccepted() {
	for p := range rs.Policies {
		rs.findFaults(p)
		rs.findValues(p)
		rs.findItems(p)
		rs.findUnused(p)
		rs.findInItems(p)
		rs.findSchedules(p)
		rs.findZone(p)
	}
	for _, problem := range rs.Snapshot.Problems {
		rs.Findings = append(rs.Findings, policy.Finding{PolicyID: problem.PolicyID, Policy: problem.Policy, Effect: problem.Effect, Message: problem.Text()})
	}
	rs.findZoneValues()
	rs.findOptions()
}

// findOptions reports options of the service definition that are misspelt, or that are neither true nor false, which counts
// as false, as in Ranger.
func (rs *RuleSet) findOptions() {
	for _, problem := range ranger.OptionProblems(rs.Snapshot.ServiceDef) {
		rs.Findings = append(rs.Findings, policy.Finding{Effect: policy.EffectWider, Message: "service definition: " + problem.Field + ": " + problem.Message})
	}
}

func (rs *RuleSet) find(p *Policy, effect policy.Effect, format string, args ...any) {
	rs.Findings = append(rs.Findings, policy.Finding{PolicyID: p.Source.ID, Policy: p.Source.Name, Effect: effect, Message: fmt.Sprintf(format, args...)})
}

// findValues reports the values of a policy's resources that can match no object. It looks at every policy of every
// snapshot, so it is quick where there is nothing to report.
func (rs *RuleSet) findValues(p *Policy) {
	if p.Tag {
		return // names of tags may hold anything
	}
	for i := range len(p.Source.AdditionalResources) + 1 {
		path, resources := "resources", p.Source.Resources
		if i > 0 {
			resources = p.Source.AdditionalResources[i-1]
		}
		if !rs.anyValueProblem(resources) {
			continue
		}
		if i > 0 {
			path = fmt.Sprintf("additionalResources[%d]", i-1)
		}
		for _, name := range slices.Sorted(maps.Keys(resources)) {
			r := resources[name]
			if at, why, more := rs.valueProblem(name, r.Values); why != "" {
				rs.find(p, p.effectOfNoMatch(r.IsExcludes), "%s.%s.values[%d]: %q can match no object: %s%s", path, name, at, r.Values[at], why, moreValues(more))
			}
		}
	}
}

func (rs *RuleSet) anyValueProblem(resources map[string]ranger.PolicyResource) bool {
	for name, r := range resources {
		for _, value := range r.Values {
			if ranger.ValueProblem(value) != "" || rs.Model.NameProblem(name, value) != "" {
				return true
			}
		}
	}
	return false
}

var wildcards = strings.NewReplacer("*", "", "?", "")

// NameProblem returns why Unity Catalog can have no object of the name, or of one that fits the pattern, that a value of a
// resource is; "" where it can, and for columns, whose names may hold nearly anything.
func (m *Model) NameProblem(resource, value string) string {
	if level, _, known := LevelOf(resource); !known || level == 0 {
		return ""
	}
	literal := value
	if strings.ContainsAny(value, "*?") {
		literal = wildcards.Replace(value)
	}
	if literal == "" {
		return ""
	}
	err := policy.ValidateName(literal)
	if err == nil || m.HoldsMacro(resource, value) {
		return ""
	}
	why := strings.TrimPrefix(err.Error(), fmt.Sprintf("illegal Unity Catalog name %q: ", literal))
	if strings.Contains(literal, ".") {
		return why + "; name catalog, schema and object each at its own level"
	}
	return why + "; correct it"
}

func moreValues(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more values)", n)
}

// valueProblem returns the first of the values for a resource of Unity Catalog that can match no object, why, and how
// many more there are; why is "" when there is none. See [ranger.ValueProblem] and [Model.NameProblem].
func (rs *RuleSet) valueProblem(resource string, values []string) (at int, why string, more int) {
	if _, _, known := LevelOf(resource); !known {
		return 0, "", 0
	}
	for i, value := range values {
		switch problem := cmp.Or(ranger.ValueProblem(value), rs.Model.NameProblem(resource, value)); {
		case problem == "":
		case why == "":
			at, why = i, problem
		default:
			more++
		}
	}
	return at, why, more
}

// effectOfNoMatch returns what it means for access that a value of the policy's resources matches nothing, or that it
// excludes nothing: wider where something should have been denied, masked, filtered or excluded.
func (p *Policy) effectOfNoMatch(excludes bool) policy.Effect {
	restricts := p.HasDeny || len(p.Protect) > 0
	if excludes {
		restricts = len(p.Allow) > 0
	}
	if restricts {
		return policy.EffectWider
	}
	return policy.EffectNarrower
}

// findZone reports a policy that names a zone it is not in.
func (rs *RuleSet) findZone(p *Policy) {
	zone := p.Source.ZoneName
	exists := rs.Zones.Repositories[zone] != nil
	effect := policy.EffectNarrower // what it denies is denied at more places than meant
	if len(p.Allow) > 0 || exists {
		effect = policy.EffectWider
	}
	switch {
	case zone == "" || zone == p.Zone && exists:
	case p.Tag:
		rs.find(p, effect, "zoneName: there is no security zone %q, so it holds nowhere; add the zone to securityZones, or correct the name", zone)
	case !exists:
		rs.find(p, effect, "zoneName: there is no security zone %q, so it holds outside security zones, as in Ranger; add the zone to securityZones, or correct the name", zone)
	default:
		holds := "outside security zones"
		if p.Zone != "" {
			holds = fmt.Sprintf("in security zone %q", p.Zone)
		}
		rs.find(p, effect, "zoneName: it is not in the list of security zone %q, so it holds %s, as in Ranger; move it to securityZones.%s.policies, or remove the name", zone, holds, zone)
	}
}

// findZoneValues reports values of a zone's resources that can match no object: what is meant to be in the zone is
// outside it, where other policies hold.
func (rs *RuleSet) findZoneValues() {
	for _, zone := range rs.Zones.Names {
		for i, resources := range rs.Snapshot.Zones[zone].Resources {
			for _, name := range slices.Sorted(maps.Keys(resources)) {
				if at, why, more := rs.valueProblem(name, resources[name]); why != "" {
					rs.Findings = append(rs.Findings, policy.Finding{Effect: policy.EffectWider,
						Message: fmt.Sprintf("security zone %q: resources[%d].%s[%d]: %q can match no object: %s%s", zone, i, name, at, resources[name][at], why, moreValues(more))})
				}
			}
		}
	}
}

// Denies reports whether deny items and exceptions take part; the service definition may switch them off.
func (m *Model) Denies() bool { return m.denies }
