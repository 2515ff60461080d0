package rules

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/schedule"
)

// Verify checks every enabled policy of a snapshot, and its zones, against the service definition they follow. An
// enabled policy that names an access type, resource, mask or policy type the service does not have, resources that are
// on no path of its trees, an empty list of values, or a date that is none, is an error of class CodeInvalid that names
// the file, the policy and the field. Conditions that are unknown are no error, because they have a meaning: not met for
// who is allowed, met for who is denied. Nor are two policies with one id: Ranger's exports of several services have
// them.
func Verify(s *ranger.Snapshot) error {
	for v, policies := range Verifiers(s) {
		for i := range policies {
			p := &policies[i]
			if !p.Enabled() || p.Unreadable != "" {
				continue
			}
			if err := v.Policy(p); err != nil {
				return policy.Errorf(policy.CodeInvalid, "%spolicy %d %q: %w", originPrefix(p.Origin), p.ID, p.Name, err)
			}
		}
	}
	for err := range VerifyZones(s) {
		return err
	}
	return nil
}

// VerifyZones ranges over what is wrong with the security zones of a snapshot.
func VerifyZones(s *ranger.Snapshot) iter.Seq[error] {
	model := NewModel(s.ServiceDef)
	return func(yield func(error) bool) {
		for _, name := range slices.Sorted(maps.Keys(s.Zones)) {
			if err := verifyZone(s.Zones[name], model); err != nil && !yield(policy.Errorf(policy.CodeInvalid, "securityZones.%s.%w", name, err)) {
				return
			}
		}
	}
}

func originPrefix(origin string) string {
	if origin == "" {
		return ""
	}
	return origin + ": "
}

// Verifiers ranges over the lists of policies of a snapshot, with what checks them.
func Verifiers(s *ranger.Snapshot) iter.Seq2[*Verifier, []ranger.Policy] {
	return func(yield func(*Verifier, []ranger.Policy) bool) {
		models := make(map[*ranger.ServiceDef]*Model)
		for policies, def := range s.PolicyLists() {
			if def != nil && models[def] == nil {
				models[def] = NewModel(def)
			}
			v := &Verifier{model: models[def], tags: s.TagPolicies != nil && def == s.TagPolicies.ServiceDef, component: s.ServiceDef.Name}
			if !yield(v, policies) {
				return
			}
		}
	}
}

// Verifier checks policies against one service definition.
type Verifier struct {
	model     *Model // nil for a tag service without definition: names cannot be checked
	tags      bool   // the policies are a tag service's: access types are written component:type
	component string // the service definition of the tagged resources
}

// Model returns the service definition, nil for a tag service without one.
func (v *Verifier) Model() *Model { return v.model }

// Tags reports whether the policies are those of a tag service.
func (v *Verifier) Tags() bool { return v.tags }

// Policy checks a policy. Errors name the field.
func (v *Verifier) Policy(p *ranger.Policy) error {
	if p.PolicyType < ranger.PolicyTypeAccess || p.PolicyType > ranger.PolicyTypeRowFilter {
		return fmt.Errorf("policyType: %d is unknown, want 0 (access), 1 (data mask) or 2 (row filter)", p.PolicyType)
	}
	if p.PolicyPriority < 0 || p.PolicyPriority > ranger.PolicyPriorityOverride {
		return fmt.Errorf("policyPriority: %d is unknown, want 0 (normal) or 1 (override)", p.PolicyPriority)
	}
	if err := v.Resources("resources", p, p.Resources); err != nil {
		return err
	}
	for i, more := range p.AdditionalResources {
		if err := v.Resources(fmt.Sprintf("additionalResources[%d]", i), p, more); err != nil {
			return err
		}
	}
	if err := v.items(p); err != nil {
		return err
	}
	_, err := schedule.New(p.ValiditySchedules)
	return err
}

// Resources checks one set of resources of a policy; path is their place in it.
func (v *Verifier) Resources(path string, p *ranger.Policy, resources map[string]ranger.PolicyResource) error {
	if v.model == nil {
		return nil
	}
	if len(resources) == 0 {
		return fmt.Errorf("%s: it names no resource", path)
	}
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		r := resources[name]
		if v.model.Resources[name] == nil {
			return fmt.Errorf("%s.%s: service definition %q has no such resource", path, name, v.model.def.Name)
		}
		if len(r.Values) == 0 {
			return fmt.Errorf("%s.%s.values: the list is empty", path, name)
		}
		for i, value := range r.Values {
			if value == "" {
				return fmt.Errorf("%s.%s.values[%d]: the value is empty", path, name, i)
			}
		}
	}
	for _, h := range v.model.HierarchiesWith(p.PolicyType, resources) {
		if CoversPrefix(h, resources) {
			return nil
		}
	}
	return fmt.Errorf("%s: %s is no path from a root of the resources that policies of type %d may name",
		path, strings.Join(slices.Sorted(maps.Keys(resources)), ", "), p.PolicyType)
}

// CoversPrefix reports whether the resources are the first levels of hierarchy h, without a gap.
func CoversPrefix(h []*ranger.ResourceDef, resources map[string]ranger.PolicyResource) bool {
	for _, r := range h[:len(resources)] {
		if _, ok := resources[r.Name]; !ok {
			return false
		}
	}
	return true
}

func (v *Verifier) items(p *ranger.Policy) error {
	for _, list := range []struct {
		name  string
		items []ranger.PolicyItem
	}{
		{"policyItems", p.PolicyItems}, {"denyPolicyItems", p.DenyPolicyItems},
		{"allowExceptions", p.AllowExceptions}, {"denyExceptions", p.DenyExceptions},
	} {
		for i := range list.items {
			if err := v.accesses(fmt.Sprintf("%s[%d]", list.name, i), &list.items[i]); err != nil {
				return err
			}
		}
	}
	for i := range p.DataMaskPolicyItems {
		item := &p.DataMaskPolicyItems[i]
		path := fmt.Sprintf("dataMaskPolicyItems[%d]", i)
		if err := v.accesses(path, &item.PolicyItem); err != nil {
			return err
		}
		if err := v.Mask(item.DataMaskInfo.DataMaskType); err != nil {
			return fmt.Errorf("%s.dataMaskInfo.dataMaskType: %w", path, err)
		}
	}
	for i := range p.RowFilterPolicyItems {
		if err := v.accesses(fmt.Sprintf("rowFilterPolicyItems[%d]", i), &p.RowFilterPolicyItems[i].PolicyItem); err != nil {
			return err
		}
	}
	return nil
}

func (v *Verifier) accesses(path string, item *ranger.PolicyItem) error {
	for i, a := range item.Accesses {
		if err := v.Access(a.Type); err != nil {
			return fmt.Errorf("%s.accesses[%d].type: %w", path, i, err)
		}
	}
	return nil
}

// Access checks the name of an access type.
func (v *Verifier) Access(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("it is empty")
	case v.model == nil || v.model.KnowsAccess(name):
		return nil
	case v.tags && !strings.HasPrefix(name, v.component+":") && strings.Contains(name, ":"):
		return nil // of another component; it can never match here
	}
	return fmt.Errorf("service definition %q has no access type %q", v.model.def.Name, name)
}

// Mask checks the name of a mask.
func (v *Verifier) Mask(name string) error {
	if v.model == nil || v.model.def.DataMaskDef == nil {
		return nil
	}
	for _, m := range v.model.def.DataMaskDef.MaskTypes {
		if m.Name == name || strings.TrimPrefix(name, v.component+":") == m.Name {
			return nil
		}
	}
	return fmt.Errorf("service definition %q has no mask %q", v.model.def.Name, name)
}

func verifyZone(zone *ranger.SecurityZone, model *Model) error {
	if zone == nil {
		return nil
	}
	for i, resources := range zone.Resources {
		for _, name := range slices.Sorted(maps.Keys(resources)) {
			if model.Resources[name] == nil {
				return fmt.Errorf("resources[%d].%s: service definition %q has no such resource", i, name, model.def.Name)
			}
		}
	}
	return nil
}
