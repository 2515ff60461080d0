package explain

import (
	"fmt"

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
