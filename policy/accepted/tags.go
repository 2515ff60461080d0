package accepted

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// maxTagProblems bounds how many problems of tags are reported one by one.
const maxTagProblems = 100

// TagProblems returns what is wrong with the tags of a rule set: what of them cannot be understood, resources that can be no object,
// that carry tags which do not exist, and tags for resources that do not. What carries such a tag is not reached by the policies on it.
// It is empty where no policies are on tags.
func TagProblems(set *rules.RuleSet) []ranger.Problem {
	tags := set.Snapshot.Tags
	if set.TagRules == nil || len(set.TagRules.All()) == 0 {
		return nil
	}
	effect := policy.EffectNarrower
	if slices.ContainsFunc(set.TagRules.All(), (*rules.Policy).Restricts) {
		effect = policy.EffectWider
	}
	if tags == nil || len(tags.ServiceResources)+len(tags.ResourceToTagIDs) == 0 {
		return []ranger.Problem{{Field: "serviceResources", Effect: effect, Message: "nothing carries a tag, so the policies on tags hold nowhere; add what resources carry which tags (a document with serviceResources), or remove these policies"}}
	}
	var list []ranger.Problem
	more := 0
	find := func(message, field string, args ...any) {
		if len(list) == maxTagProblems {
			more++
			return
		}
		list = append(list, ranger.Problem{Field: fmt.Sprintf(field, args...), Effect: effect, Message: message})
	}
	for _, fault := range tags.Faults {
		by := "by this tag"
		if name, _, _ := fault.Step(); name == "serviceResources" {
			by = "by the tags of this resource"
		}
		find("it cannot be understood ("+fault.Reason+"); what policies allow "+by+" is not allowed, what they deny is denied", "%s", fault.Field)
		list[len(list)-1].Effect = policy.EffectNarrower
	}
	faulty := func(field string) bool {
		return slices.ContainsFunc(tags.Faults, func(f ranger.Fault) bool { return f.Within(field) })
	}
	for _, id := range slices.Sorted(maps.Keys(tags.Tags)) {
		if tags.Tags[id].Type == "" {
			find("it is empty, so no policy is on the tag; write the tag's name", "tags.%s.type", id)
		}
	}
	if carried := slices.Collect(maps.Values(tags.ResourceToTagIDs)); !slices.ContainsFunc(carried, func(ids []int64) bool { return len(ids) > 0 }) {
		find("it gives no resource a tag, so the policies on tags hold nowhere; add which resources carry which tags, or remove these policies", "resourceToTagIds")
	}
	known := make(map[string]bool, len(tags.ServiceResources))
	service := cmp.Or(tags.ServiceName, set.Snapshot.Service)
	ofOthers := tags.OfOthers(set.Snapshot.Service)
	for i := range tags.ServiceResources {
		if ofOthers[i] {
			known[strconv.FormatInt(tags.ServiceResources[i].ID, 10)] = true
			continue
		}
		r := &tags.ServiceResources[i]
		known[strconv.FormatInt(r.ID, 10)] = true
		for _, name := range slices.Sorted(maps.Keys(r.ResourceElements)) {
			if why := ExcludesAll(r.ResourceElements[name]); why != "" {
				find(strings.Replace(why, "the policy matches nothing", "nothing carries its tags", 1), "serviceResources[%d].resourceElements.%s", i, name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(r.ResourceElements)) {
			if _, _, known := rules.LevelOf(name); !known {
				continue // nothing of Unity Catalog
			}
			for n, value := range r.ResourceElements[name].Values {
				if why := cmp.Or(ValueProblem(value), ObjectProblem(set.Model.Resource(ranger.PolicyTypeAccess, name), value)); why != "" && !(value == "" && faulty(fmt.Sprintf("serviceResources[%d].resourceElements.%s", i, name))) {
					find(noMatch("object", value, why), "serviceResources[%d].resourceElements.%s.values[%d]", i, name, n)
				}
			}
		}
	}
	others, doubtful := make(map[string]bool), make(map[string]bool) // other services, and such as may be this one
	if set.Tagged != nil {
		for _, i := range set.Tagged.Nowhere() {
			if of := tags.ServiceResources[i].ServiceName; of != "" && service != "" && of != service {
				if _, ours := set.Model.Levels(ranger.PolicyTypeAccess, tags.ServiceResources[i].ResourceElements); ours && !ranger.NamesOther(of) {
					doubtful[of] = true
				} else {
					others[of] = true
				}
				continue
			}
			find(fmt.Sprintf("it is no path of resources of service definition %q, so nothing carries its tags; name resources from the root", set.Model.Name()), "serviceResources[%d].resourceElements", i)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(tags.ResourceToTagIDs)) {
		if !known[id] {
			find(fmt.Sprintf("there is no resource %q in serviceResources, so nothing carries its tags; add the resource, or remove it", id), "resourceToTagIds.%s", id)
			continue
		}
		for n, tag := range tags.ResourceToTagIDs[id] {
			if _, ok := tags.Tags[strconv.FormatInt(tag, 10)]; !ok {
				find(fmt.Sprintf("there is no tag %d in tags, so the resource does not carry it; add the tag, or remove it", tag), "resourceToTagIds.%s[%d]", id, n)
			}
		}
	}
	if more > 0 {
		list[len(list)-1].Message += fmt.Sprintf(" (and %d more in the tags)", more)
	}
	if len(doubtful) > 0 {
		list = append(list, ranger.Problem{Field: "serviceResources", Effect: effect, Message: fmt.Sprintf("resources of other services (%s) are left out, and nothing carries their tags, though they are named like those of %q; where they are its own, correct their serviceName",
			strings.Join(slices.Sorted(maps.Keys(doubtful)), ", "), service)})
	}
	if len(others) > 0 {
		list = append(list, ranger.Problem{Field: "serviceResources", Effect: policy.EffectNone,
			Message: fmt.Sprintf("resources of other services (%s) are left out; nothing of Unity Catalog carries their tags", strings.Join(slices.Sorted(maps.Keys(others)), ", "))})
	}
	return list
}
