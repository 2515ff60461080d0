package policy

import (
	"fmt"
	"slices"
	"strings"
)

// resourceOf writes an object in the words of the service definition; ok is false when it has none for it.
func (m *serviceModel) resourceOf(o Object) (Resource, bool) {
	names := o.Names()
	var found Resource
	for _, h := range m.hierarchies[PolicyTypeAccess] {
		if len(h) < len(names) {
			continue
		}
		resource := make(Resource, 0, len(names))
		for i, name := range names {
			level, ok := resourceLevels[strings.ToLower(h[i].Name)]
			last := i == len(names)-1
			if !ok || level.level != i+1 || last && level.class != classOf(o) || !last && level.class&(classCatalog|classSchema) == 0 {
				break
			}
			resource = append(resource, Element{Name: h[i].Name, Value: name})
		}
		if len(resource) < len(names) {
			continue
		}
		// Of a table and a view, each takes its own word where there are two.
		isView := strings.EqualFold(resource[len(resource)-1].Name, "view")
		if found == nil || isView == (o.Kind == KindView) {
			found = resource
		}
	}
	return found, found != nil
}

// mentions lists every item that names the request's user for its access type, in the order of evaluation, with what
// it does in view of the decision d.
func (e *Evaluator) mentions(r Request, d Decision) []Mention {
	ctx := e.newContext(r, PolicyTypeAccess)
	defer ctx.release()
	ctx.tags = e.findTags(ctx)
	t := tracer{ctx: ctx, decision: d, access: strings.ToLower(r.AccessType)}
	if len(ctx.tags) > 0 && e.tags != nil {
		for _, pt := range e.policiesForTags(ctx, PolicyTypeAccess, d.Zone) {
			ctx.tag = pt.tag
			t.policy(pt.policy, &pt.tag.path)
		}
		ctx.tag = nil
	}
	policies := e.resources
	if d.Zone != "" {
		policies = e.zones.repositories[d.Zone]
	}
	if policies != nil {
		path := &ctx.paths[PolicyTypeAccess]
		for _, i := range slices.Clone(policies.candidates(ctx, PolicyTypeAccess, path, true)) {
			t.policy(policies.byType[PolicyTypeAccess].policies[i], path)
		}
	}
	return t.list
}

// tracer collects mentions.
type tracer struct {
	ctx      *evalContext
	decision Decision
	access   string
	list     []Mention
}

// policy collects the mentions of one policy, when its resources have to do with the request's.
func (t *tracer) policy(p *evalPolicy, path *requestPath) {
	match := MatchNone
	for _, m := range p.resources {
		found := m.match(path.elements, t.ctx)
		if t.ctx.tag != nil && found != MatchNone {
			found = t.ctx.tag.Match
		}
		if found != MatchNone && (match == MatchNone || p.matched(t.ctx, found)) {
			match = found
		}
		if p.matched(t.ctx, match) {
			break
		}
	}
	below := match == MatchDescendant && len(path.elements) > 2 // of a container, what is below is no answer
	if match == MatchNone || !p.matched(t.ctx, match) && !below {
		return
	}
	why := "" // nothing of the policy takes effect
	switch {
	case !p.validity.openAt(t.ctx.request.Time):
		why = "outside its validity now"
	case !p.matched(t.ctx, match):
		why = "about " + t.belowWords(p, path) + " only"
	case p.conditions.eval(t.ctx) == conditionNotMet:
		why = "its condition (" + conditionNames(p.policy.Conditions) + ") is not met"
	}
	unknown := p.conditions.eval(t.ctx) == conditionUnknown
	allowed := false
	t.items(p, p.deny, p.denyExc, why)
	whyAllow := why
	if why == "" && unknown {
		whyAllow = "its condition (" + conditionNames(p.policy.Conditions) + ") cannot be judged here, so it allows nothing"
	}
	allowed = t.items(p, p.allow, p.allowExc, whyAllow)
	if p.policy.IsDenyAllElse && !allowed && why == "" {
		m := t.mention(p, ItemDenyAllElse, 0, Subject{Kind: SubjectPublic})
		m.Effect = t.compare(p, false)
		t.list = append(t.list, m)
	}
}

// belowWords names what the policy is about below the path, as "table employees, column email".
func (t *tracer) belowWords(p *evalPolicy, path *requestPath) string {
	var words []string
	for _, m := range p.resources {
		if len(words) > 0 {
			break
		}
		for i := len(path.elements); i < len(m.levels); i++ {
			name := m.levels[i].def.Name
			words = append(words, name+" "+strings.Join(p.policy.Resources[name].Values, " or "))
		}
	}
	return strings.Join(words, ", ")
}

// items collects the items of one list that name the user; why, when not empty, is what keeps all of them from taking
// effect. It reports whether one takes effect.
func (t *tracer) items(p *evalPolicy, items, exceptions []evalItem, why string) bool {
	effective := false
	for i := range items {
		item := &items[i]
		s, ok := item.match(t.ctx, t.access)
		if s.Kind == SubjectNone {
			continue
		}
		m := t.mention(p, item.kind, item.index, s)
		exception, by := exceptionFor(t.ctx, t.access, exceptions)
		switch {
		case why != "":
			m.Effect = why
		case !ok && item.conditions.eval(t.ctx) == conditionUnknown:
			m.Effect = "its condition cannot be judged here, so it allows nothing"
		case !ok:
			m.Effect = "its condition is not met"
		case exception != nil:
			m.Effect = fmt.Sprintf("excepted by %s[%d], %s", exception.kind, exception.index, by)
		default:
			m.Effect = t.compare(p, item.kind == ItemAllow)
			effective = true
		}
		t.list = append(t.list, m)
	}
	return effective
}

func exceptionFor(ctx *evalContext, access string, exceptions []evalItem) (*evalItem, Subject) {
	for i := range exceptions {
		if s, ok := exceptions[i].match(ctx, access); ok {
			return &exceptions[i], s
		}
	}
	return nil, Subject{}
}

func (t *tracer) mention(p *evalPolicy, kind ItemKind, index int, s Subject) Mention {
	m := Mention{
		PolicyID: p.policy.ID, Policy: p.policy.Name, Origin: p.policy.Origin, Item: itemPath(kind, index), Path: s.String(),
		Priority: p.policy.PolicyPriority, Zone: t.decision.Zone,
	}
	if t.ctx.tag != nil {
		m.Tag = t.ctx.tag.Type
	}
	return m
}

func itemPath(kind ItemKind, index int) string {
	if kind == ItemDenyAllElse {
		return kind.String()
	}
	return fmt.Sprintf("%s[%d]", kind, index)
}

// is reports whether the mention is the item that decided.
func (m *Mention) is(d Decision) bool {
	return m.PolicyID == d.Policy.ID && m.Policy == d.Policy.Name && m.Item == itemPath(d.Item, d.Index) && m.Tag == d.Tag
}

// compare says how an item that takes effect stands to the decision.
func (t *tracer) compare(p *evalPolicy, allows bool) string {
	d := t.decision
	if d.Policy == nil {
		if d.Outcome == Allowed {
			return "super users are not bound by policies"
		}
		return "does not decide here"
	}
	decider := fmt.Sprintf("policy %d", d.Policy.ID)
	switch {
	case allows && d.Outcome == Allowed:
		return "allows it too"
	case !allows && d.Outcome == Denied:
		return "denies it too"
	case d.Policy.PolicyPriority > p.policy.PolicyPriority:
		return "overridden by " + decider + ", which has a higher priority"
	case d.Tag != "" && t.ctx.tag == nil:
		return "tag " + decider + " comes first"
	case allows:
		return decider + " denies it, and a deny goes before an allow"
	}
	return "not asked: " + decider + " comes first"
}

// protections lists the row filters and masks on the request's resource, or on columns of it, that bind the user. Of
// several filters the first in the order of evaluation is in force.
func (e *Evaluator) protections(r Request) []Protection {
	r.AccessType = strings.ToLower(string(Select))
	var list []Protection
	for _, kind := range []PolicyType{PolicyTypeRowFilter, PolicyTypeDataMask} {
		ctx := e.newContext(r, kind)
		ctx.tags = e.findTags(ctx)
		zone, policies := "", e.resources
		if zones := e.zones.zonesOf(ctx); len(zones) == 1 && zones[0] != "" {
			zone, policies = zones[0], e.zones.repositories[zones[0]]
		}
		t := tracer{ctx: ctx, decision: Decision{Zone: zone}, access: r.AccessType}
		path := ctx.setPath(kind)
		covered := map[string]bool{} // columns that an earlier policy protects
		for _, i := range slices.Clone(policies.candidates(ctx, kind, path, true)) {
			p := policies.byType[kind].policies[i]
			if slices.ContainsFunc(p.resources, func(m *resourceMatcher) bool { return m.match(path.elements, ctx) != MatchNone }) {
				list = append(list, t.protection(p, path, covered)...)
			}
		}
		ctx.release()
	}
	return list
}

func (t *tracer) protection(p *evalPolicy, path *requestPath, covered map[string]bool) []Protection {
	item, s := firstMatch(t.ctx, t.access, p.special, nil)
	if item == nil {
		return nil
	}
	m := Protection{Mention: t.mention(p, item.kind, item.index, s), Kind: "row filter", Mask: item.mask, Filter: item.filter}
	if item.mask != nil {
		m.Kind, m.On = "mask", t.belowWords(p, path)
	}
	switch {
	case !p.validity.openAt(t.ctx.request.Time):
		m.Effect = "outside its validity now"
	case p.conditions.eval(t.ctx) == conditionNotMet:
		m.Effect = "its condition (" + conditionNames(p.policy.Conditions) + ") is not met"
	case covered[m.On]:
		m.Effect = "an earlier policy is in force"
	default:
		m.Applies, m.Effect, covered[m.On] = true, "is in force", true
	}
	return []Protection{m}
}
