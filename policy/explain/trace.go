package explain

import (
	"fmt"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/condition"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// mentions lists every item that names the request's user for its access type, in the order of evaluation, with what
// it does in view of the decision d.
func (x *explainer) mentions(r evaluate.Request, d evaluate.Decision) []Mention {
	var list []Mention
	depth := len(r.Resource)
	for _, p := range x.evaluator.Trace(r, ranger.PolicyTypeAccess, d.Zone) {
		below := p.Match == match.Descendant && depth > 2 // of a container, what is below is no answer
		if !p.Decides && !below {
			continue
		}
		list = append(list, mentionsOf(&p, d)...)
	}
	return list
}

// mentionsOf lists what one policy says.
func mentionsOf(p *evaluate.Traced, d evaluate.Decision) []Mention {
	why := "" // nothing of the policy takes effect
	switch {
	case !p.Open:
		why = "outside its validity now"
	case !p.Decides:
		why = "about " + p.Below + " only"
	case p.Condition == condition.NotMet:
		why = "its condition (" + p.Policy.DescribeConditions() + ") is not met"
	}
	whyAllow := why
	if why == "" && p.Condition == condition.Unknown {
		whyAllow = "its condition (" + p.Policy.DescribeConditions() + ") cannot be judged here, so it allows nothing"
	}
	var list []Mention
	allowed := false
	for i := range p.Items {
		item := &p.Items[i]
		m := newMention(p, item.Item.Kind, item.Item.Index, item.Subject, d.Zone)
		why := why
		if item.Item.Kind == rules.ItemAllow {
			why = whyAllow
		}
		switch {
		case why != "":
			m.Effect = why
		case !item.Applies && item.Condition == condition.Unknown:
			m.Effect = "its condition cannot be judged here, so it allows nothing"
		case !item.Applies:
			m.Effect = "its condition is not met"
		case item.Exception != nil:
			m.Effect = fmt.Sprintf("excepted by %s[%d], %s", item.Exception.Kind, item.Exception.Index, item.ExceptFor)
		default:
			m.Effect = compareToDecision(p, item.Item.Kind == rules.ItemAllow, d)
			allowed = allowed || item.Item.Kind == rules.ItemAllow
		}
		list = append(list, m)
	}
	if p.Policy.DenyAllElse && !allowed && why == "" {
		m := newMention(p, rules.ItemDenyAllElse, 0, evaluate.SubjectPath{Kind: rules.SubjectEveryone}, d.Zone)
		m.Effect = compareToDecision(p, false, d)
		list = append(list, m)
	}
	return list
}

func newMention(p *evaluate.Traced, kind rules.ItemKind, index int, s evaluate.SubjectPath, zone string) Mention {
	source := p.Policy.Source
	return Mention{
		PolicyID: source.ID, Policy: source.Name, Origin: source.Origin, Item: ItemPath(kind, index), Path: s.String(),
		Priority: source.PolicyPriority, Zone: zone, Tag: p.Tag,
	}
}

func ItemPath(kind rules.ItemKind, index int) string {
	if !kind.Listed() {
		return kind.String()
	}
	return fmt.Sprintf("%s[%d]", kind, index)
}

// is reports whether the mention is the item that decided.
func (m *Mention) is(d evaluate.Decision) bool {
	return m.PolicyID == d.Policy.ID && m.Policy == d.Policy.Name && m.Item == ItemPath(d.Item, d.Index) && m.Tag == d.Tag
}

// compareToDecision says how an item that takes effect stands to the decision.
func compareToDecision(p *evaluate.Traced, allows bool, d evaluate.Decision) string {
	if d.Policy == nil {
		if d.Outcome == evaluate.Allowed {
			return "super users are not bound by policies"
		}
		return "does not decide here"
	}
	decider := fmt.Sprintf("policy %d", d.Policy.ID)
	switch {
	case allows && d.Outcome == evaluate.Allowed:
		return "allows it too"
	case !allows && d.Outcome == evaluate.Denied:
		return "denies it too"
	case d.Policy.PolicyPriority > p.Policy.Priority:
		return "overridden by " + decider + ", which has a higher priority"
	case d.Tag != "" && p.Tag == "":
		return "tag " + decider + " comes first"
	case allows:
		return decider + " denies it, and a deny goes before an allow"
	}
	return "not asked: " + decider + " comes first"
}

// protections lists the row filters and masks on the request's resource, or on columns of it, that bind the user. Of
// several filters the first in the order of evaluation is in force.
func (x *explainer) protections(r evaluate.Request) []Protection {
	r.AccessType = strings.ToLower(string(policy.Select))
	zone := x.evaluator.ZoneOf(r)
	var list []Protection
	for _, kind := range []ranger.PolicyType{ranger.PolicyTypeRowFilter, ranger.PolicyTypeDataMask} {
		covered := map[string]bool{} // columns that an earlier policy protects
		for _, p := range x.evaluator.Trace(r, kind, zone) {
			if one, ok := protectionOf(&p, zone, covered); ok {
				x.asEnforced(p.Policy.Source, &one)
				list = append(list, one)
			}
		}
	}
	return list
}

// asEnforced says of what is in force how that is enforced, where that is not as the policy says it.
func (x *explainer) asEnforced(of *ranger.Policy, p *Protection) {
	switch {
	case !p.Applies:
	case x.closed:
		p.Effect = "would be in force, but the table is not protected, and stays closed"
	default:
		for _, r := range x.refused {
			if r.Policy != of || r.Item != p.Item {
				continue
			}
			if r.Column == "" {
				p.Effect = "is refused, so that it shows no row: " + r.Why
			} else if strings.HasPrefix(p.Effect, "is in force") {
				p.Effect = fmt.Sprintf("is refused, so that column %q is NULL: %s", r.Column, r.Why)
			} else {
				p.Effect += fmt.Sprintf("; column %q is NULL: %s", r.Column, r.Why)
			}
		}
	}
}

func protectionOf(p *evaluate.Traced, zone string, covered map[string]bool) (Protection, bool) {
	for i := range p.Items {
		item := &p.Items[i]
		if !item.Applies {
			continue
		}
		m := Protection{Mention: newMention(p, item.Item.Kind, item.Item.Index, item.Subject, zone), Kind: "row filter", Mask: item.Item.Mask, Filter: item.Item.Filter}
		if item.Item.Mask != nil {
			m.Kind, m.On = "mask", p.Below
		}
		switch {
		case !p.Open:
			m.Effect = "outside its validity now"
		case p.Condition == condition.NotMet:
			m.Effect = "its condition (" + p.Policy.DescribeConditions() + ") is not met"
		case covered[m.On]:
			m.Effect = "an earlier policy is in force"
		default:
			m.Applies, m.Effect, covered[m.On] = true, "is in force", true
		}
		return m, true
	}
	return Protection{}, false
}
