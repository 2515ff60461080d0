package protect

import (
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// missing adds to a filter that whom a mask binds sees no row where the mask is of a column that the table does not have: what it
// was to hide is not known. That is so where the policy names this table alone, or none of the columns that it names is there;
// one that names several tables is expected to name columns of others, which is a note. Patterns name nothing.
func (c *compilation) missing(f *function, table match.Resource) error {
	if !c.table.Known || len(c.table.Columns) == 0 {
		return nil
	}
	named := c.namedColumns(table)
	var columns []string
	for _, n := range named {
		if !slices.Contains(columns, n.column) {
			columns = append(columns, n.column)
		}
	}
	for _, column := range columns {
		resource, ok := c.resourceOfColumn(column)
		if !ok {
			continue
		}
		if err := c.closeFor(f, c.branches(ranger.PolicyTypeDataMask, resource), column, named); err != nil {
			return err
		}
	}
	return nil
}

// closeFor adds that whom the mask of a column that is missing binds sees no row.
func (c *compilation) closeFor(f *function, branches []branch, column string, named []namedColumn) error {
	hides := &function{}
	closes := false
	for i := range branches {
		b := &branches[i]
		at := slices.IndexFunc(named, func(n namedColumn) bool { return n.policy == b.policy && n.column == column })
		hidden := at >= 0 && named[at].closes && b.item.Mask.DataMaskType != maskNone
		if at >= 0 {
			c.noteMissing(b, column, hidden)
		}
		text, roles, err := c.condition(b, hidden)
		if err != nil {
			return err
		}
		if text == "FALSE" {
			continue
		}
		value := "FALSE"
		if hidden {
			closes, value = true, "TRUE"
		}
		hides.add(text, value, b)
		if text == "TRUE" {
			break
		}
		for _, group := range roles {
			hides.decide(group)
		}
		if !hidden {
			continue
		}
		if err := c.hideRoles(hides, b, shown{hidden: "TRUE", words: "no row"}); err != nil {
			return err
		}
	}
	if !closes {
		return nil
	}
	f.note(hides.policies)
	if slices.ContainsFunc(hides.whens, func(w when) bool { return w.value == "FALSE" }) { // whom another item decides for before
		f.add(hides.body("FALSE"), "FALSE", nil)
		return nil
	}
	for _, w := range hides.whens {
		f.add(w.condition, "FALSE", nil)
	}
	return nil
}

func (c *compilation) noteMissing(b *branch, column string, hidden bool) {
	if hidden {
		c.find(b, policy.EffectNarrower, "%s[%d]: it masks the column %q, which the table does not have, so that whom it binds sees no row: name the column as the table does, or take it out of the policy", b.item.Kind, b.item.Index, column)
	} else if b.item.Mask.DataMaskType != maskNone {
		c.find(b, policy.EffectNone, "%s[%d]: it masks the column %q, which the table does not have", b.item.Kind, b.item.Index, column)
	}
}

// namedColumn is a column that a policy names and the table does not have.
type namedColumn struct {
	policy *rules.Policy
	column string // in canonical form
	closes bool   // the policy is about this table alone, or about no column that is there
}

// namedColumns lists the columns that masks name as columns of the table, without patterns, and that it does not have.
func (c *compilation) namedColumns(table match.Resource) []namedColumn {
	repo := c.set.InZone(c.zoneOf(table))
	var path match.Path
	path.Set(c.set.Model.Forest(ranger.PolicyTypeDataMask), table)
	var list []namedColumn
	var levels []match.NamedLevel
	policies := repo.Policies(ranger.PolicyTypeDataMask)
	for _, i := range repo.Candidates(ranger.PolicyTypeDataMask, &path, true, nil) {
		p := policies[i]
		if !p.Validity.OpenAt(c.options.Time) {
			continue
		}
		for j := range p.Resources {
			if p.Match(j, &path, nil) == match.None {
				continue
			}
			levels = p.Resources[j].AppendLevels(levels[:0])
			if len(levels) != len(table)+1 {
				continue
			}
			list = append(list, c.missingOf(p, levels)...)
		}
	}
	return list
}

// missingOf lists those that one set of resources names.
func (c *compilation) missingOf(p *rules.Policy, levels []match.NamedLevel) []namedColumn {
	n := len(levels) - 1
	alone := true
	for _, l := range levels[:n] {
		names, exact := exactNames(l.Level)
		if !exact {
			return nil
		}
		alone = alone && len(names) == 1
	}
	names, _ := exactNames(levels[n].Level)
	var list []namedColumn
	for _, name := range names {
		if _, has := c.table.Column(name); !has {
			list = append(list, namedColumn{policy: p, column: name})
		}
	}
	for i := range list {
		list[i].closes = alone || len(list) == len(levels[n].Patterns)
	}
	return list
}

// exactNames returns the names that a level names without patterns, and whether it names no others.
func exactNames(l match.Level) (names []string, exact bool) {
	if l.Excludes || l.Any || l.Open {
		return nil, false
	}
	exact = true
	for _, p := range l.Patterns {
		if name, ok := p.Exact(); ok {
			names = append(names, name)
		} else {
			exact = false
		}
	}
	return names, exact
}

// maskNone is the type of masks that show the column.
const maskNone = "MASK_NONE"

// note adds policies to those that a function is made by.
func (f *function) note(policies []int64) {
	for _, id := range policies {
		if !slices.Contains(f.policies, id) {
			f.policies = append(f.policies, id)
		}
	}
}
