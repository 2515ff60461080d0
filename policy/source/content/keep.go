package content

import (
	"fmt"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// checkFields returns an error where a field of the document, outside of policies, is not one of Ranger's model. One that is
// far from all that a document of policies may have is no error but a fault of each of its policies, as what it would say of
// them is not known.
func (d *document) checkFields() error {
	policies := d.allPolicies()
	spared, err := ranger.CheckFileFields(d.unknown, d.file.path, len(policies) > 0)
	if err != nil || len(spared) == 0 {
		return err
	}
	fault := ranger.Fault{Field: ranger.FileField, Unknown: true, Reason: spared[0].String()}
	if more := len(spared) - 1; more > 0 {
		fault.Reason += fmt.Sprintf(", and %d more", more)
	}
	for _, p := range policies {
		p.Faults = append(slices.Clip(p.Faults), fault)
	}
	d.unknown = slices.DeleteFunc(d.unknown, func(u ranger.UnknownField) bool { return !u.InPolicy && !u.Ignored })
	return nil
}

// allPolicies lists the policies of the document, those of its zones and of its tag service too.
func (d *document) allPolicies() []*ranger.Policy {
	if d.policies == nil {
		return nil
	}
	all := allPolicies(d.policies)
	if d.policies.TagPolicies != nil {
		for i := range d.policies.TagPolicies.Policies {
			all = append(all, &d.policies.TagPolicies.Policies[i])
		}
	}
	return all
}

// verified finds a policy as it was last verified.
type verified struct {
	origin, zone string
	tag          bool
	id           int64
}

// keepVerified puts back the last verified version of each policy whose file has a field, in it or around it, that Ranger's
// model does not have: such a version is refused. What was never verified stays as it is, with its faults. It returns the
// first refused field.
func (m *merger) keepVerified(before *Content) (kept int, first error) {
	if before == nil {
		return 0, nil
	}
	var versions map[verified]*ranger.Policy // made when the first is needed
	type refusal struct {
		problem ranger.Problem
		more    int
	}
	var refused []*refusal
	said := make(map[[2]string]*refusal) // by file and reason: a field that all policies of a file have is said once
	m.content.eachOf(func(tag bool, zone string, list []ranger.Policy) {
		for i := range list {
			p := &list[i]
			n := slices.IndexFunc(p.Faults, func(f ranger.Fault) bool { return f.Unknown })
			if n < 0 {
				continue
			}
			if versions == nil {
				versions = before.versions()
			}
			last := versions[verified{p.Origin, zone, tag, p.ID}]
			if last == nil {
				continue
			}
			fault := p.Faults[n]
			kept++
			key := [2]string{p.Origin, fault.Field + " " + fault.Reason}
			if r := said[key]; r != nil {
				r.more++
			} else {
				if first == nil {
					first = policy.Errorf(policy.CodeInvalid, "%s: policy %d %q: %s", p.Origin, p.ID, p.Name, fault)
				}
				said[key] = &refusal{problem: ranger.Problem{PolicyID: p.ID, Policy: p.Name, Origin: p.Origin, Effect: policy.EffectWider, LeftOut: true, Message: fault.String()}}
				refused = append(refused, said[key])
			}
			*p = *last
		}
	})
	for _, r := range refused {
		which := "the policy"
		if r.more > 0 {
			which = fmt.Sprintf("the policy, and of %d others with the same field,", r.more)
		}
		r.problem.Message += fmt.Sprintf("; the last verified version of %s stays in force until the file is corrected", which)
		m.content.Problems = append(m.content.Problems, r.problem)
	}
	return kept, first
}

// versions returns the policies in which no unknown field was found, to be looked up.
func (c *Content) versions() map[verified]*ranger.Policy {
	all := make(map[verified]*ranger.Policy)
	c.eachOf(func(tag bool, zone string, list []ranger.Policy) {
		for i := range list {
			p := &list[i]
			if !slices.ContainsFunc(p.Faults, func(f ranger.Fault) bool { return f.Unknown }) {
				all[verified{p.Origin, zone, tag, p.ID}] = p
			}
		}
	})
	return all
}
