package content

import (
	"fmt"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
)

// refuseFields refuses the files with a field, around policies, that Ranger's model does not have: what was last verified of such
// a file stays, and it returns the documents with that in the file's place. Where nothing was, each policy of the document bears
// the fault, as what the field would say of them is not known. Both are safe only where the field can hold nothing that other
// policies would need; else it returns an error, and so it does for roles, users, tags and definitions.
func (m *merger) refuseFields(docs []*document, before *Content) ([]*document, error) {
	keep := make(map[string]*document) // by file, what stands in its place
	for _, d := range docs {
		if m.isForeignDocument(d) {
			continue
		}
		origin, policies := d.file.path, d.allPolicies()
		spared, err := parse.CheckFileFields(d.unknown, origin, len(policies) > 0)
		if err != nil {
			return nil, err
		}
		if len(spared) == 0 {
			continue
		}
		reason := spared[0].String()
		if more := len(spared) - 1; more > 0 {
			reason += fmt.Sprintf(", and %d more", more)
		}
		refusal := policy.Errorf(policy.CodeInvalid, "%s: %s", origin, reason)
		if before.alsoHolds(origin) {
			return nil, refusal
		}
		if kept := before.verifiedOf(origin); len(kept) > 0 {
			if keep[origin] == nil {
				keep[origin] = m.keep(d.file, kept, refusal)
				m.problem(origin, policy.EffectWider, "%s; what was last verified of the file stays in force until it is corrected", reason)
			}
			continue
		}
		for _, u := range spared {
			if u.Restricts {
				return nil, fmt.Errorf("%w (what %s holds may take access away)", refusal, u.Path)
			}
		}
		fault := ranger.Fault{Field: ranger.FileField, Unknown: true, Reason: reason}
		for _, p := range policies {
			p.Faults = append(slices.Clip(p.Faults), fault)
		}
		if len(policies) == 0 {
			m.problem(origin, policy.EffectNarrower, "%s; nothing depends on it, as the file holds no policies", reason)
		}
		d.unknown = slices.DeleteFunc(d.unknown, func(u ranger.UnknownField) bool { return !u.InPolicy && !u.Ignored })
	}
	var all []*document
	for _, d := range docs {
		stands := keep[d.file.path]
		if stands == nil {
			all = append(all, d)
		} else if !slices.Contains(all, stands) {
			all = append(all, stands)
		}
	}
	return all, nil
}

// verifiedOf returns the policies that were read from a file; none where a field of it was not known then either.
func (c *Content) verifiedOf(path string) []ranger.Policy {
	list := c.policiesOf(path)
	if slices.ContainsFunc(list, hasUnknown) {
		return nil
	}
	return list
}

func isUnknown(f ranger.Fault) bool { return f.Unknown }

func hasUnknown(p ranger.Policy) bool { return slices.ContainsFunc(p.Faults, isUnknown) }

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

// keepVerified puts back the last verified version of each policy that has a field that Ranger's model does
// not have: such a version is refused. What was never verified stays as it is, with its faults. It returns the
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
			n := slices.IndexFunc(p.Faults, isUnknown)
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
			if p := &list[i]; !hasUnknown(*p) {
				all[verified{p.Origin, zone, tag, p.ID}] = p
			}
		}
	})
	return all
}
