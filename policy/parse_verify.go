package policy

import (
	"fmt"
	"strings"
)

// verifyPolicies checks every enabled policy of the snapshot against the service definition it follows.
func (s *Snapshot) verifyPolicies() error {
	models := make(map[*ServiceDef]*serviceModel)
	for policies, def := range s.policyLists() {
		if def != nil && models[def] == nil {
			models[def] = newServiceModel(def)
		}
		for i := range policies {
			p := &policies[i]
			if !p.Enabled() {
				continue
			}
			v := verifier{model: models[def], tags: s.TagPolicies != nil && def == s.TagPolicies.ServiceDef, component: s.ServiceDef.Name}
			if err := v.policy(p); err != nil {
				return Errorf(CodeInvalid, "%spolicy %d %q: %w", originPrefix(p.Origin), p.ID, p.Name, err)
			}
		}
	}
	for _, name := range sortedKeys(s.Zones) {
		if err := verifyZone(s.Zones[name], models[s.ServiceDef]); err != nil {
			return Errorf(CodeInvalid, "securityZones.%s.%w", name, err)
		}
	}
	return nil
}

func originPrefix(origin string) string {
	if origin == "" {
		return ""
	}
	return origin + ": "
}

// verifier checks policies against one service definition.
type verifier struct {
	model     *serviceModel // nil for a tag service without definition: names cannot be checked
	tags      bool          // the policies are a tag service's: access types are written component:type
	component string        // the service definition of the tagged resources
}

func (v verifier) policy(p *Policy) error {
	if p.PolicyType < PolicyTypeAccess || p.PolicyType > PolicyTypeRowFilter {
		return fmt.Errorf("policyType: %d is unknown, want 0 (access), 1 (data mask) or 2 (row filter)", p.PolicyType)
	}
	if p.PolicyPriority < 0 || p.PolicyPriority > PolicyPriorityOverride {
		return fmt.Errorf("policyPriority: %d is unknown, want 0 (normal) or 1 (override)", p.PolicyPriority)
	}
	if err := v.resources("resources", p, p.Resources); err != nil {
		return err
	}
	for i, more := range p.AdditionalResources {
		if err := v.resources(fmt.Sprintf("additionalResources[%d]", i), p, more); err != nil {
			return err
		}
	}
	if err := v.items(p); err != nil {
		return err
	}
	_, err := newValidity(p.ValiditySchedules)
	return err
}

func (v verifier) resources(path string, p *Policy, resources map[string]PolicyResource) error {
	if v.model == nil {
		return nil
	}
	if len(resources) == 0 {
		return fmt.Errorf("%s: it names no resource", path)
	}
	for _, name := range sortedKeys(resources) {
		r := resources[name]
		if v.model.resources[name] == nil {
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
	for _, h := range v.model.hierarchiesWith(p.PolicyType, resources) {
		if coversPrefix(h, resources) {
			return nil
		}
	}
	return fmt.Errorf("%s: %s is no path from a root of the resources that policies of type %d may name",
		path, strings.Join(sortedKeys(resources), ", "), p.PolicyType)
}

// coversPrefix reports whether the resources are the first levels of hierarchy h, without a gap.
func coversPrefix(h []*ResourceDef, resources map[string]PolicyResource) bool {
	for _, r := range h[:len(resources)] {
		if _, ok := resources[r.Name]; !ok {
			return false
		}
	}
	return true
}

func (v verifier) items(p *Policy) error {
	for _, list := range []struct {
		name  string
		items []PolicyItem
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
		if err := v.mask(item.DataMaskInfo.DataMaskType); err != nil {
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

func (v verifier) accesses(path string, item *PolicyItem) error {
	for i, a := range item.Accesses {
		if err := v.access(a.Type); err != nil {
			return fmt.Errorf("%s.accesses[%d].type: %w", path, i, err)
		}
	}
	return nil
}

func (v verifier) access(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("it is empty")
	case v.model == nil || v.model.knowsAccess(name):
		return nil
	case v.tags && !strings.HasPrefix(name, v.component+":") && strings.Contains(name, ":"):
		return nil // of another component; it can never match here
	}
	return fmt.Errorf("service definition %q has no access type %q", v.model.def.Name, name)
}

func (v verifier) mask(name string) error {
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

func verifyZone(zone *SecurityZone, model *serviceModel) error {
	if zone == nil {
		return nil
	}
	for i, resources := range zone.Resources {
		for _, name := range sortedKeys(resources) {
			if model.resources[name] == nil {
				return fmt.Errorf("resources[%d].%s: service definition %q has no such resource", i, name, model.def.Name)
			}
		}
	}
	return nil
}
