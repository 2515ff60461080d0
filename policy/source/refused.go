package source

import (
	"regexp"
	"strconv"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// refusedFile is a file, or a document of one, that strict parsing refuses.
type refusedFile struct {
	path   string
	fields []ranger.UnknownField
}

// checkFields notes the unknown fields of a document. It returns an error for those that are not in policies and whose
// loss cannot be made good by closing what the policies are about.
func (m *merger) checkFields(d *document, unknown []ranger.UnknownField) error {
	if len(unknown) == 0 {
		return nil
	}
	path := d.file.path
	var refused, ignored []ranger.UnknownField
	hidden := d.kind != ranger.DocumentPolicies && d.kind != ranger.DocumentPolicy && d.kind != ranger.DocumentPolicyList
	for _, u := range unknown {
		if u.Ignored {
			ignored = append(ignored, u)
			continue
		}
		refused = append(refused, u)
		hidden = hidden || !u.InPolicy && u.Nearest != ""
	}
	if len(ignored) > 0 {
		m.ignored = append(m.ignored, refusedFile{path, ignored})
	}
	switch {
	case len(refused) == 0:
		return nil
	case hidden:
		return ranger.StrictError(refused, path)
	}
	m.refused = append(m.refused, refusedFile{path, refused})
	return nil
}

// finish marks the policies of refused files and lists the problems.
func (m *merger) finish() {
	c := &m.content
	if len(m.refused)+len(m.ignored) == 0 {
		return
	}
	reasons := make(map[string]error)
	var problems []ranger.Problem
	for _, f := range m.refused {
		err := ranger.StrictError(f.fields, f.path)
		if reasons[f.path] == nil {
			reasons[f.path] = err
		}
		if c.refusal == nil {
			c.refusal = err
		} else {
			c.refusal = policy.Errorf(policy.CodeInvalid, "%w; %w", c.refusal, err)
		}
		for _, p := range ranger.ProblemsOf(f.fields, f.path, policy.EffectNone) {
			p.Refused, p.Effect = true, policy.EffectNarrower
			problems = append(problems, p)
		}
	}
	c.each(func(list []ranger.Policy) {
		for i := range list {
			p := &list[i]
			if err := reasons[p.Origin]; err != nil {
				p.Unreadable = "" // of several reasons, the one that names file and field
				ranger.MarkUnreadable(list[i:i+1], err.Error())
				m.widen(p)
			}
		}
	})
	effect := c.roleEffect()
	for _, f := range m.ignored {
		problems = append(problems, ranger.ProblemsOf(f.fields, f.path, effect)...)
	}
	c.Problems = problems
}

// inResources matches the path of a field in the resources of a policy.
var inResources = regexp.MustCompile(`(?:^|[.\]])(?:resources|additionalResources\[(\d+)\])\.(.+)\.[^.]+$`)

// widen lets an unreadable policy that takes access away be about all that it might be about, when a field of its
// resources is among the unknown ones: "isExclude" on a table may mean every other table of the schema.
func (m *merger) widen(p *ranger.Policy) {
	var levels [][]string
	restricts, lost := p.IsDenyAllElse || len(p.DenyPolicyItems)+len(p.DataMaskPolicyItems)+len(p.RowFilterPolicyItems) > 0, false
	for _, f := range m.refused {
		for _, u := range f.fields {
			if f.path != p.Origin || u.Policy != p.Name || u.PolicyID != 0 && u.PolicyID != p.ID {
				continue
			}
			if match := inResources.FindStringSubmatch(u.Path); match != nil {
				levels = append(levels, match[1:])
			} else {
				restricts = true // it may be a list of denies
			}
			lost = lost || u.Nearest == "additionalResources" || u.Nearest == "resources"
		}
	}
	if !restricts {
		return
	}
	for _, level := range levels {
		resources := p.Resources
		if n, err := strconv.Atoi(level[0]); err == nil && n < len(p.AdditionalResources) {
			resources = p.AdditionalResources[n]
		}
		if _, found := resources[level[1]]; found {
			resources[level[1]] = ranger.PolicyResource{Values: []string{"*"}}
		}
	}
	if lost {
		p.Resources, p.AdditionalResources = nil, nil // it is about everything
	}
}
