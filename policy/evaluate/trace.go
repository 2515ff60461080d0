package evaluate

import (
	"strings"

	"ucwarden/policy/condition"
	"ucwarden/policy/match"
	"ucwarden/policy/naming"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// Traced is what one policy says to a request, whether it decides or not.
type Traced struct {
	Policy    *rules.Policy
	Tag       string     // by which a tag policy applies
	Match     match.Type // how its resources lie to the request's
	Decides   bool       // a policy that lies so decides the request
	Below     string     // what it is about below the resource, as "table employees, column email"
	Open      bool       // within its validity
	Condition condition.Result
	Items     []TracedItem // those that name the user for the access type: denies, then allows, or masks and filters
}

// TracedItem is a policy item that names the user.
type TracedItem struct {
	Item      *rules.Item
	Subject   SubjectPath // how it names the user
	Applies   bool        // its own conditions are met, or hold it for met
	Condition condition.Result
	Exception *rules.Item // the exception that applies, nil for none
	ExceptFor SubjectPath // how the exception names the user
}

// Trace lists what the policies of type t, in the security zone that a decision names, say to a request, in the order of
// evaluation: policies on tags first. Policies on what lies below the resource are listed too.
func (e *Evaluator) Trace(r Request, t ranger.PolicyType, zone string) []Traced {
	ctx := e.newContext(&r, t)
	defer ctx.release()
	ctx.Tags = e.findTags(ctx)
	var list []Traced
	add := func(p *rules.Policy, path *match.Path) {
		if one, ok := ctx.trace(p, path, naming.Canonical(r.AccessType)); ok {
			list = append(list, one)
		}
	}
	if len(ctx.Tags) > 0 && e.rules.TagRules != nil && t == ranger.PolicyTypeAccess {
		for _, pt := range e.policiesForTags(ctx, t, zone) {
			ctx.Tag = pt.tag
			add(pt.policy, &pt.tag.Path)
		}
		ctx.Tag = nil
	}
	policies, path := e.rules.InZone(zone), ctx.setPath(t)
	for _, i := range policies.Candidates(t, path, true, nil) {
		add(policies.Policies(t)[i], path)
	}
	return list
}

// ZoneOf returns the security zone whose policies are asked about a resource, "" for none.
func (e *Evaluator) ZoneOf(r Request) string {
	ctx := e.newContext(&r, ranger.PolicyTypeAccess)
	defer ctx.release()
	if zones := ctx.zones(); len(zones) == 1 {
		return zones[0]
	}
	return ""
}

func (ctx *evalContext) trace(p *rules.Policy, path *match.Path, access string) (Traced, bool) {
	one := Traced{Policy: p, Open: p.Validity.OpenAt(ctx.Time)}
	for i := range p.Resources {
		found := ctx.matchAs(p.Match(i, path, &ctx.Values))
		if found != match.None && (one.Match == match.None || ctx.decides(p, found)) {
			one.Match = found
		}
		if ctx.decides(p, one.Match) {
			break
		}
	}
	if p.Everywhere {
		one.Match = match.Self
	}
	if one.Match == match.None {
		return one, false
	}
	one.Decides = ctx.decides(p, one.Match)
	one.Condition = p.Conditions.Eval(&ctx.Values)
	if ctx.Tag != nil {
		one.Tag = ctx.Tag.Type
	} else {
		one.Below = below(p, path)
	}
	for _, list := range []struct{ items, exceptions []rules.Item }{{p.Deny, p.DenyExceptions}, {p.Allow, p.AllowExceptions}, {p.Protect, nil}} {
		for i := range list.items {
			item := &list.items[i]
			s, ok := ctx.match(item, access)
			if s.Kind == rules.SubjectNone {
				continue
			}
			traced := TracedItem{Item: item, Subject: s, Applies: ok, Condition: item.Conditions.Eval(&ctx.Values)}
			traced.Exception, traced.ExceptFor = ctx.exception(access, list.exceptions)
			one.Items = append(one.Items, traced)
		}
	}
	return one, true
}

// below writes what the policy's first resources name below the path.
func below(p *rules.Policy, path *match.Path) string {
	if len(p.Resources) == 0 {
		return ""
	}
	var words []string
	for i, l := range p.Resources[0].AppendLevels(nil) {
		if i >= len(path.Elements) {
			words = append(words, l.Name+" "+p.SourceValues(l.Name))
		}
	}
	return strings.Join(words, ", ")
}
