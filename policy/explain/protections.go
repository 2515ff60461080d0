package explain

import (
	"fmt"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/condition"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/ranger"
)

// protections lists the row filters and masks on the request's resource, or on columns of it, that bind the user: those in force, by
// tags and by resources, then those that others come before.
func (x *explainer) protections(r evaluate.Request) []Protection {
	r.AccessType = strings.ToLower(string(policy.Select))
	zone := x.evaluator.ZoneOf(r)
	list := x.rowFilters(r, zone)
	if t := x.question.Table; t != nil && len(t.Columns) > 0 {
		return append(list, x.masks(r, zone, t.Columns)...)
	}
	covered := map[string]bool{} // columns that an earlier policy masks
	for _, p := range x.evaluator.Trace(r, ranger.PolicyTypeDataMask, zone) {
		if one, ok := protectionOf(&p, zone, covered); ok {
			list = append(list, one)
		}
	}
	if x.rules.TagRules != nil && len(x.rules.TagRules.Policies(ranger.PolicyTypeDataMask)) > 0 {
		x.note("which masks come by tags on its columns is not worked out, since its columns are not known here")
	}
	return list
}

// protectionKey tells items of policies on rows and columns apart.
type protectionKey struct {
	id           int64
	policy, item string
	tag          string
}

func keyOf(p *Protection) protectionKey { return protectionKey{p.PolicyID, p.Policy, p.Item, p.Tag} }

// decided returns the filter or mask that a decision is for, by the item of a policy, as that states it.
func decided(d *evaluate.Decision, kind string) *Protection {
	if !d.Allowed() || d.Policy == nil {
		return nil
	}
	p := &Protection{Kind: kind, Applies: true, Mask: d.Mask, Filter: d.Filter, Mention: Mention{
		PolicyID: d.Policy.ID, Policy: d.Policy.Name, Origin: d.Policy.Origin, Item: ItemPath(d.Item, d.Index), Path: d.Subject.String(),
		Priority: d.Policy.PolicyPriority, Zone: d.Zone, Tag: d.Tag, Effect: "is in force"}}
	switch {
	case d.Mask != nil && d.Index < len(d.Policy.DataMaskPolicyItems):
		p.Mask = &d.Policy.DataMaskPolicyItems[d.Index].DataMaskInfo
	case d.Filter != nil && d.Index < len(d.Policy.RowFilterPolicyItems):
		p.Filter = &d.Policy.RowFilterPolicyItems[d.Index].RowFilterInfo
	}
	return p
}

// comesFirst says of an item that would bind the user which other does.
func comesFirst(first *Protection) string {
	if first.Tag != "" {
		return fmt.Sprintf("policy %d, by tag %s, comes first", first.PolicyID, first.Tag)
	}
	return fmt.Sprintf("policy %d comes first", first.PolicyID)
}

// besides is protectionOf for a policy besides the item that is in force, if one is: that item comes first.
func besides(first *Protection, p *evaluate.Traced, zone string, covered map[string]bool) (Protection, bool) {
	one, ok := protectionOf(p, zone, covered)
	if !ok || first == nil {
		return one, ok
	}
	if keyOf(&one) == keyOf(first) {
		return one, false
	}
	if one.Applies {
		one.Applies, one.Effect = false, comesFirst(first)
	}
	return one, true
}

// rowFilters lists the row filter that is in force, and those that are not.
func (x *explainer) rowFilters(r evaluate.Request, zone string) []Protection {
	var list []Protection
	d := x.evaluator.EvaluateRowFilter(r)
	first := decided(&d, "row filter")
	if first != nil {
		x.asEnforced(first, nil)
		list = append(list, *first)
	}
	covered := map[string]bool{}
	for _, p := range x.evaluator.Trace(r, ranger.PolicyTypeRowFilter, zone) {
		if one, ok := besides(first, &p, zone, covered); ok {
			x.asEnforced(&one, nil)
			list = append(list, one)
		}
	}
	return list
}

// masks lists the masks of columns: one for each item, with the columns on which it is in force, and those on which another comes first.
func (x *explainer) masks(r evaluate.Request, zone string, columns []policy.Column) []Protection {
	type group struct {
		Protection
		columns []string
	}
	var groups []*group
	add := func(p *Protection, column string) {
		i := slices.IndexFunc(groups, func(g *group) bool { return keyOf(&g.Protection) == keyOf(p) && g.Effect == p.Effect })
		if i < 0 {
			i, groups = len(groups), append(groups, &group{Protection: *p})
		}
		groups[i].columns = append(groups[i].columns, column)
	}
	for i := range columns {
		resource, ok := x.rules.Model.ColumnOf(x.question.Object, columns[i].Name)
		if !ok {
			continue
		}
		r.Resource = resource
		d := x.evaluator.EvaluateDataMask(r)
		first := decided(&d, "mask")
		if first != nil {
			add(first, columns[i].Name)
		}
		for _, p := range x.evaluator.Trace(r, ranger.PolicyTypeDataMask, zone) {
			if one, ok := besides(first, &p, zone, map[string]bool{}); ok {
				add(&one, columns[i].Name)
			}
		}
	}
	var list []Protection
	for _, applies := range []bool{true, false} {
		for _, g := range groups {
			if g.Applies != applies {
				continue
			}
			g.On = "column " + strings.Join(g.columns, ", ")
			x.asEnforced(&g.Protection, g.columns)
			list = append(list, g.Protection)
		}
	}
	return list
}

// asEnforced says of what is in force how that is enforced, where that is not as the policy says it; of a mask, on columns.
func (x *explainer) asEnforced(p *Protection, columns []string) {
	switch {
	case !p.Applies:
	case x.closed:
		p.Effect = "would be in force, but the table is not protected, so it is not granted to whom it binds"
	default:
		var refused []string
		for _, r := range x.refused {
			switch {
			case r.Policy.ID != p.PolicyID || r.Policy.Name != p.Policy || r.Item != p.Item:
			case r.Column == "":
				refused = append(refused, "it shows no row: "+r.Why)
			case slices.Contains(columns, r.Column):
				refused = append(refused, fmt.Sprintf("column %q is NULL: %s", r.Column, r.Why))
			}
		}
		if len(refused) > 0 {
			p.Effect = "is refused, so that " + strings.Join(refused, "; ")
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
