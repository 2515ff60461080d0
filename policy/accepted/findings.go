package accepted

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Findings returns what is accepted in a rule set although it means nothing, or not what its author may expect: the remarks on its
// policies, and what is wrong with tags, zones, names outside policies and the service definition. listed reports whether the workspace
// has a principal, whose name is somebody's then, however odd it is; nil says that it is not asked.
func Findings(set *rules.RuleSet, listed func(policy.Principal) bool) []policy.Finding {
	var list []policy.Finding
	somebody := func(name *NameProblem) bool {
		return listed != nil && name.Doubt.IsError() && listed(set.Subjects.PrincipalOf(name.Kind, name.Name))
	}
	remarks := remarks(set, somebody)
	for i := range remarks {
		list = append(list, remarks[i].finding())
	}
	for _, problem := range set.Snapshot.Problems {
		list = append(list, policy.Finding{PolicyID: problem.PolicyID, Policy: problem.Policy, Effect: problem.Effect, Message: problem.Text()})
	}
	ofNames := policy.EffectNarrower
	for p := range set.Policies {
		if p.Restricts() {
			ofNames = policy.EffectWider // whom it is about by a role or group may be lost to it
			break
		}
	}
	for _, name := range SnapshotNames(set.Snapshot) {
		if somebody(&name) {
			continue
		}
		effect := ofNames
		if !name.Doubt.IsError() {
			effect = policy.EffectNone
		}
		list = append(list, policy.Finding{Effect: effect, Message: name.Field + ": " + name.String()})
	}
	for _, problem := range slices.Concat(RoleProblems(set.Snapshot), ConfigProblems(set.Snapshot)) {
		list = append(list, policy.Finding{Effect: problem.Effect, Message: problem.Field + ": " + problem.Message})
	}
	for _, problem := range TagProblems(set) {
		list = append(list, policy.Finding{Effect: problem.Effect, Message: "tags: " + problem.Field + ": " + problem.Message})
	}
	for _, problem := range ZoneProblems(set) {
		list = append(list, problem.finding())
	}
	for _, problem := range DefinitionProblems(set.Snapshot.ServiceDef) {
		list = append(list, policy.Finding{Effect: problem.Effect, Message: "service definition: " + problem.Field + ": " + problem.Message})
	}
	if tags := set.Snapshot.TagPolicies; tags != nil {
		for _, problem := range DefinitionProblems(tags.ServiceDef) {
			list = append(list, policy.Finding{Effect: problem.Effect, Message: "definition of the tag service: " + problem.Field + ": " + problem.Message})
		}
	}
	return list
}

// findFaults reports what of a policy cannot be understood, and what follows.
func (f *finder) findFaults(p *rules.Policy) {
	for i, fault := range p.Source.Faults {
		words, effect := p.FollowsFrom(i)
		what := cmp.Or(fault.Field, "a part of it")
		if fault.Field == ranger.FileField && p.Source.Origin != "" {
			what = p.Source.Origin
		}
		f.list = append(f.list, Remark{Policy: p, Kind: KindFault, Effect: effect, Never: true,
			Message: fmt.Sprintf("%s cannot be understood (%s); %s", what, fault.Reason, words)})
	}
}

// findValues reports the values of a policy's resources that can match no object, or no tag. It looks at every policy of every
// snapshot, so it is quick where there is nothing to report.
func (f *finder) findValues(p *rules.Policy) {
	for i := range len(p.Source.AdditionalResources) + 1 {
		path, resources := "resources", p.Source.Resources
		if i > 0 {
			resources = p.Source.AdditionalResources[i-1]
		}
		if i > 0 {
			path = fmt.Sprintf("additionalResources[%d]", i-1)
		}
		if p.Tag {
			f.findUncarried(p, path, resources)
		}
		if !f.anyValueProblem(p, resources) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(resources)) {
			r := resources[name]
			if why := ExcludesAll(r); why != "" {
				r := f.find(p, effectOfNoMatch(p, false), "%s.%s: %s", path, name, why)
				r.Kind, r.Never, r.Slip = KindNoMatch, true, true
			}
			for at, why := range f.valueProblems(p, name, r.Values) {
				field := fmt.Sprintf("%s.%s.values[%d]", path, name, at)
				if !faulty(p, field) {
					level, _, _ := rules.LevelOf(name)
					r := f.find(p, effectOfNoMatch(p, r.IsExcludes), "%s: %s", field, why)
					r.Kind, r.Never, r.Slip = KindNoMatch, p.Tag || level > 0, true // names of columns may hold nearly anything
				}
			}
		}
	}
}

// maxUncarried bounds how many tags that nothing carries, and that are near none, are noted one by one: a tag service serves many services,
// and most of its tags may be theirs.
const maxUncarried = 20

// findUncarried reports the tags of a policy that nothing carries, if it says anything for this service.
func (f *finder) findUncarried(p *rules.Policy, path string, resources map[string]ranger.PolicyResource) {
	if len(p.Allow)+len(p.Deny)+len(p.AllowExceptions)+len(p.DenyExceptions)+len(p.Protect) == 0 && !p.DenyAllElse {
		return
	}
	r, def := resources[ranger.TagResource], p.Resource(ranger.TagResource)
	for i, value := range r.Values {
		if ValueProblem(value) != "" || f.tagNames().Problem(def, value) != "" {
			continue
		}
		near, is := f.tagNames().Uncarried(def, value)
		switch field := fmt.Sprintf("%s.%s.values[%d]", path, ranger.TagResource, i); {
		case !is || faulty(p, field):
		case near != "":
			r := f.find(p, effectOfNoMatch(p, r.IsExcludes), "%s: nothing carries a tag %q; did you mean %q?", field, value, near)
			r.Kind, r.Slip = KindNoMatch, true
		case f.uncarried >= maxUncarried:
			f.uncarried++
		default:
			f.find(p, policy.EffectNone, "%s: nothing carries a tag %q, so it does nothing by that until something does", field, value).Kind = KindNoMatch
			if f.uncarried++; f.uncarried == maxUncarried {
				f.lastUncarried = len(f.list) - 1
			}
		}
	}
}

// faulty reports whether what is at path, or in it, cannot be understood, which is said by itself.
func faulty(p *rules.Policy, path string) bool {
	return faultWithin(p.Source, path)
}

func (f *finder) anyValueProblem(p *rules.Policy, resources map[string]ranger.PolicyResource) bool {
	for name, r := range resources {
		if ExcludesAll(r) != "" {
			return true
		}
		for _, value := range r.Values {
			if ValueProblem(value) != "" || p.Tag && f.tagNames().Problem(p.Resource(name), value) != "" || !p.Tag && ObjectProblem(p.Resource(name), value) != "" {
				return true
			}
		}
	}
	return false
}

// maxValues bounds how many values of one list are reported one by one.
const maxValues = 50

// valueProblems ranges over the values for a resource that can match nothing, and why. Of a resource that Unity Catalog does not
// have it knows nothing. p is nil for values of a zone. See [ValueProblem], [TagNames.Problem] and [ObjectProblem].
func (f *finder) valueProblems(p *rules.Policy, resource string, values []string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		tags := p != nil && p.Tag
		if _, _, known := rules.LevelOf(resource); !known && !tags {
			return
		}
		var at []int
		var why []string
		for i, value := range values {
			var what, problem string
			switch {
			case tags:
				what, problem = "tag", f.tagNames().Problem(p.Resource(resource), value)
			case p != nil:
				what, problem = "object", cmp.Or(ValueProblem(value), ObjectProblem(p.Resource(resource), value))
			default:
				what, problem = "object", cmp.Or(ValueProblem(value), ObjectProblem(f.Model.Resource(ranger.PolicyTypeAccess, resource), value))
			}
			if problem != "" {
				at, why = append(at, i), append(why, noMatch(what, value, problem))
			}
		}
		for n := range min(len(at), maxValues) {
			if n == maxValues-1 && len(at) > maxValues {
				why[n] += fmt.Sprintf(" (and %d more values)", len(at)-maxValues)
			}
			if !yield(at[n], why[n]) {
				return
			}
		}
	}
}

// effectOfNoMatch returns what it means for access that a value of the policy's resources matches nothing, or that it
// excludes nothing: wider where something should have been denied, masked, filtered or excluded.
func effectOfNoMatch(p *rules.Policy, excludes bool) policy.Effect {
	restricts := p.Restricts()
	if excludes {
		restricts = len(p.Allow) > 0
	}
	if restricts {
		return policy.EffectWider
	}
	return policy.EffectNarrower
}

// findZone reports a policy that names a zone it is not in.
func (f *finder) findZone(p *rules.Policy) {
	said := len(f.list)
	defer func() {
		for i := said; i < len(f.list); i++ {
			f.list[i].Kind, f.list[i].Slip = KindZone, true
		}
	}()
	zone := p.Source.ZoneName
	exists := f.Zones.Repositories[zone] != nil
	effect := policy.EffectNarrower // what it denies is denied at more places than meant
	if len(p.Allow) > 0 || exists || zone != "" && slices.ContainsFunc(f.Zones.Names, func(name string) bool { return f.Zones.MayHold(name, p) }) {
		effect = policy.EffectWider // and not in the zone that it may be meant for
	}
	switch {
	case zone == "":
	case p.Tag && !exists:
		f.find(p, effectOfNoMatch(p, false), "zoneName: there is no security zone %q, so it holds nowhere; add the zone to securityZones, or correct the name", zone)
	case p.Tag && !f.Zones.HasTagService(zone):
		f.find(p, effectOfNoMatch(p, false), "zoneName: security zone %q has no tag service (containsAssociatedTagService is not true), so it holds nowhere, as in Ranger; set that, or remove the name", zone)
	case zone == p.Zone && exists:
	case !exists && p.Zone != "":
		f.find(p, policy.EffectNone, "zoneName: there is no security zone %q, so it holds in security zone %q, in whose list it is, as in Ranger; correct the name, or remove it", zone, p.Zone)
	case !exists:
		f.find(p, effect, "zoneName: there is no security zone %q, so it holds outside security zones, as in Ranger; add the zone to securityZones, or correct the name", zone)
	default:
		holds := "outside security zones"
		if p.Zone != "" {
			holds = fmt.Sprintf("in security zone %q", p.Zone)
		}
		f.find(p, effect, "zoneName: it is not in the list of security zone %q, so it holds %s, as in Ranger; move it to securityZones.%s.policies, or remove the name", zone, holds, zone)
	}
}
