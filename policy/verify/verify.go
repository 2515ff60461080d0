package verify

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"ucwarden/input"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
	"ucwarden/policy/schedule"
)

// Snapshot returns the snapshot with all that cannot be understood of its enabled policies noted in their faults, and with
// access types in the spelling of the service definition, as Ranger compares them without regard to case. The given
// snapshot is not changed; the result shares what has no fault with it.
//
// Conditions that are unknown are no fault, because they have a meaning: not met for who is allowed, met for who is denied.
// Nor are two policies with one id: Ranger's exports of several services have them.
func Snapshot(s *ranger.Snapshot) *ranger.Snapshot {
	c := *s
	v := &verifier{model: rules.NewModel(s.ServiceDef), component: s.ServiceDef.Name}
	c.Policies = v.policies(s.Policies)
	c.Zones = maps.Clone(s.Zones)
	for _, name := range slices.Sorted(maps.Keys(s.Zones)) {
		zone := s.Zones[name]
		if zone == nil {
			continue
		}
		next := *zone
		next.Policies = v.policies(zone.Policies)
		c.Zones[name] = &next
	}
	if s.TagPolicies != nil {
		tags := *s.TagPolicies
		tags.Policies = (&verifier{model: rules.TagModel(s.ServiceDef, s.TagPolicies), tags: true, component: s.ServiceDef.Name}).policies(tags.Policies)
		c.TagPolicies = &tags
	}
	c.Tags = v.tagged(s.Tags, s.Service)
	return &c
}

// Zones ranges over what is wrong with the security zones of a snapshot. What is in a zone decides which policies hold
// there, so nothing can be closed for one that cannot be understood.
func Zones(s *ranger.Snapshot) iter.Seq[error] {
	resources := ranger.ResourcesByName(s.ServiceDef.Resources)
	return func(yield func(error) bool) {
		for _, name := range slices.Sorted(maps.Keys(s.Zones)) {
			zone := s.Zones[name]
			if zone == nil {
				continue
			}
			if name == "" && !yield(policy.Errorf(policy.CodeInvalid, "securityZones: the name of a zone is empty; name it")) {
				return
			}
			for i, values := range zone.Resources {
				for _, resource := range slices.Sorted(maps.Keys(values)) {
					if resources[resource] == nil && !yield(policy.Errorf(policy.CodeInvalid, "securityZones.%s.resources[%d].%s: service definition %q has no such resource",
						name, i, resource, s.ServiceDef.Name)) {
						return
					}
				}
			}
		}
	}
}

// verifier checks policies against one service definition.
type verifier struct {
	model     *rules.Model
	tags      bool   // the policies are a tag service's: access types are written component:type
	component string // the service definition of the tagged resources
	faults    []ranger.Fault
}

func (v *verifier) policies(list []ranger.Policy) []ranger.Policy {
	faults := make(map[int][]ranger.Fault)
	respelt := make(map[int]ranger.Policy)
	for i := range list {
		p := &list[i]
		if !p.Enabled() {
			continue
		}
		if q, changed := v.respell(p); changed {
			respelt[i] = q
			p = &q
		}
		v.faults = nil
		v.policy(p)
		if len(v.faults) > 0 {
			faults[i] = v.faults
		}
	}
	if len(respelt) > 0 {
		list = slices.Clone(list)
		for i, p := range respelt {
			list[i] = p
		}
	}
	return ranger.WithFaults(list, faults)
}

// fault notes one; the path must not hold blanks.
func (v *verifier) fault(path, format string, args ...any) {
	v.faults = append(v.faults, ranger.Fault{Field: path, Reason: fmt.Sprintf(format, args...)})
}

func (v *verifier) policy(p *ranger.Policy) {
	if p.PolicyType < ranger.PolicyTypeAccess || p.PolicyType > ranger.PolicyTypeRowFilter {
		v.fault("policyType", "%d is unknown, want 0 (access), 1 (data mask) or 2 (row filter)", p.PolicyType)
	}
	if p.PolicyPriority < 0 || p.PolicyPriority > ranger.PolicyPriorityOverride {
		v.fault("policyPriority", "%d is unknown, want 0 (normal) or 1 (override)", p.PolicyPriority)
	}
	v.resources("resources", p, p.Resources)
	for i, more := range p.AdditionalResources {
		v.resources(fmt.Sprintf("additionalResources[%d]", i), p, more)
	}
	v.items(p)
	if _, err := schedule.New(p.ValiditySchedules); err != nil {
		path, reason, _ := strings.Cut(err.Error(), ": ")
		v.fault(path, "%s", reason)
	}
}

// resources checks one set of resources of a policy; path is their place in it.
func (v *verifier) resources(path string, p *ranger.Policy, resources map[string]ranger.PolicyResource) {
	if len(resources) == 0 {
		v.fault(path, "it names no resource")
		return
	}
	before := len(v.faults)
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		r := resources[name]
		if v.model.Resources[name] == nil {
			v.fault(path+"."+name, "service definition %q has no such resource%s", v.model.Name(), didYouMean(name, slices.Sorted(maps.Keys(v.model.Resources))))
			continue
		}
		if len(r.Values) == 0 {
			v.fault(path+"."+name+".values", "the list is empty")
		}
		for i, value := range r.Values {
			if value == "" {
				v.fault(fmt.Sprintf("%s.%s.values[%d]", path, name, i), "the value is empty")
			}
		}
	}
	if len(v.faults) > before || p.PolicyType < 0 || p.PolicyType > ranger.PolicyTypeRowFilter {
		return
	}
	for _, h := range v.model.HierarchiesWith(p.PolicyType, resources) {
		if rules.CoversPrefix(h, resources) {
			return
		}
	}
	v.fault(path, "%s is no path from a root of the resources that policies of type %d may name", strings.Join(slices.Sorted(maps.Keys(resources)), ", "), p.PolicyType)
}

func (v *verifier) items(p *ranger.Policy) {
	for _, list := range lists(p) {
		for i := range *list.items {
			v.accesses(fmt.Sprintf("%s[%d]", list.name, i), &(*list.items)[i])
		}
	}
	for i := range p.DataMaskPolicyItems {
		item := &p.DataMaskPolicyItems[i]
		path := fmt.Sprintf("dataMaskPolicyItems[%d]", i)
		v.accesses(path, &item.PolicyItem)
		v.mask(path, item.DataMaskInfo.DataMaskType)
	}
	for i := range p.RowFilterPolicyItems {
		v.accesses(fmt.Sprintf("rowFilterPolicyItems[%d]", i), &p.RowFilterPolicyItems[i].PolicyItem)
	}
}

type itemList struct {
	name  string
	items *[]ranger.PolicyItem
}

// lists lists the lists of a policy's items but those of masks and filters.
func lists(p *ranger.Policy) []itemList {
	return []itemList{
		{"policyItems", &p.PolicyItems}, {"denyPolicyItems", &p.DenyPolicyItems},
		{"allowExceptions", &p.AllowExceptions}, {"denyExceptions", &p.DenyExceptions},
	}
}

func (v *verifier) accesses(path string, item *ranger.PolicyItem) {
	for i, a := range item.Accesses {
		switch field := fmt.Sprintf("%s.accesses[%d].type", path, i); {
		case a.Type == "":
			v.fault(field, "it is empty")
		case v.spelling(a.Type) == "":
			names := make([]string, 0, len(v.model.Implied))
			for name := range v.model.Implied {
				names = append(names, name)
			}
			slices.Sort(names)
			v.fault(field, "service definition %q has no access type %q%s", v.model.Name(), a.Type, didYouMean(a.Type, names))
		}
	}
}

// spelling returns how the service definition spells an access type; the name as it is where that cannot be known, "" where
// there is no such access type.
func (v *verifier) spelling(name string) string {
	if v.ofAnother(name) {
		return name
	}
	spelling := v.model.Spelling(name)
	if spelling != "" || !v.tags {
		return spelling
	}
	of, local, ok := strings.Cut(name, ":")
	switch {
	case !ok: // Ranger takes a name without component for the own one's
		local = name
	case ranger.ComponentNamed(of, v.component) != ranger.ComponentOwn:
		return ""
	}
	return v.model.Spelling(v.component + ":" + local)
}

// ofAnother reports whether the name, in a tag policy, is that of another component: it can never match here. That a component is
// nearly ours is a mistake.
func (v *verifier) ofAnother(name string) bool {
	of, _, ok := strings.Cut(name, ":")
	return v.tags && ok && ranger.ComponentNamed(of, v.component) >= ranger.ComponentOther
}

// respell returns the policy with the access types as the service definition spells them, and whether any was spelt
// otherwise.
func (v *verifier) respell(p *ranger.Policy) (respelt ranger.Policy, changed bool) {
	other := func(a ranger.ItemAccess) bool {
		s := v.spelling(a.Type)
		return s != "" && s != a.Type
	}
	for item := range p.AllItems() {
		changed = changed || slices.ContainsFunc(item.Accesses, other)
	}
	if !changed {
		return ranger.Policy{}, false
	}
	respelt = *p
	for _, list := range lists(&respelt) {
		*list.items = slices.Clone(*list.items)
	}
	respelt.DataMaskPolicyItems, respelt.RowFilterPolicyItems = slices.Clone(p.DataMaskPolicyItems), slices.Clone(p.RowFilterPolicyItems)
	for item := range respelt.AllItems() {
		item.Accesses = slices.Clone(item.Accesses)
		for i := range item.Accesses {
			if a := &item.Accesses[i]; other(*a) {
				a.Type = v.spelling(a.Type)
			}
		}
	}
	return respelt, true
}

// mask checks the name of a mask.
func (v *verifier) mask(path, name string) {
	if v.ofAnother(name) || v.model.KnowsMask(strings.TrimPrefix(name, v.component+":")) || v.model.KnowsMask(name) || v.tags && v.model.KnowsMask(v.component+":"+name) {
		return
	}
	v.fault(path+".dataMaskInfo.dataMaskType", "service definition %q has no mask %q", v.model.Name(), name)
}

// didYouMean proposes the name of the list that is next to a misspelt one, when one is near.
func didYouMean(name string, list []string) string {
	best, distance := "", len(name)/3+1
	for _, candidate := range list {
		if len(candidate)-len(name) > distance || len(name)-len(candidate) > distance {
			continue
		}
		if d := input.Distance(strings.ToLower(name), strings.ToLower(candidate)); d <= distance && (best == "" || d < distance) {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
