package protect

import (
	"errors"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

// columnReaders are whom policies allow to read some columns of a table, and by which policies.
type columnReaders struct {
	who      rules.SubjectSet
	policies []*rules.Policy
}

// columnAllows returns whom policies allow SELECT on some columns of a table by items that a compiler may grant it for: without
// exceptions, conditions and macros, and where no security zones are.
func (p *Protector) columnAllows(table match.Resource) columnReaders {
	var found columnReaders
	if !p.options.Columns || len(p.set.Zones.Names) > 0 {
		return found
	}
	var path match.Path
	path.Set(p.set.Model.Forest(ranger.PolicyTypeAccess), table)
	repo := p.set.InZone("")
	for _, i := range repo.Candidates(ranger.PolicyTypeAccess, &path, true, nil) {
		of := repo.Policies(ranger.PolicyTypeAccess)[i]
		who := p.plainReaders(of)
		if len(who) == 0 || !slices.ContainsFunc(of.Resources, func(m match.Matcher) bool {
			levels := m.AppendLevels(nil)
			return len(levels) == len(table)+1 && !levels[len(table)].Any
		}) || !touches(of, &path) {
			continue
		}
		found.who, found.policies = append(found.who, who...), append(found.policies, of)
	}
	slices.Sort(found.who)
	found.who = slices.Compact(found.who)
	return found
}

// plainReaders returns whom a policy allows SELECT now, without exceptions and conditions.
func (p *Protector) plainReaders(of *rules.Policy) rules.SubjectSet {
	if len(of.AllowExceptions) > 0 || len(of.Conditions) > 0 || !of.Validity.OpenAt(p.options.Time) {
		return nil
	}
	var who rules.SubjectSet
	for i := range of.Allow {
		if item := &of.Allow[i]; item.MatchesAccess("select") && len(item.Conditions) == 0 {
			who = append(who, item.Who...)
		}
	}
	return who
}

// mayReadColumn returns whom policies allow SELECT on a column, by its own name or with the table. It errs on the side of too few.
func (p *Protector) mayReadColumn(column match.Resource) rules.SubjectSet {
	var path match.Path
	path.Set(p.set.Model.Forest(ranger.PolicyTypeAccess), column)
	repo := p.set.InZone("")
	var who rules.SubjectSet
	for _, i := range repo.Candidates(ranger.PolicyTypeAccess, &path, false, nil) {
		of := repo.Policies(ranger.PolicyTypeAccess)[i]
		if matched, conditional := of.MatchWithoutRequest(&path, nil); matched && !conditional {
			who = append(who, p.plainReaders(of)...)
		}
	}
	slices.Sort(who)
	return slices.Compact(who)
}

// limitColumns works out whom masks show NULL of the columns that they may not read (strategy mask-null).
func (c *compilation) limitColumns() {
	resource, ok := c.resource(c.object())
	if !ok || !c.table.Known || !c.table.Kind.CanBeProtected() || len(c.table.Columns) == 0 {
		return
	}
	found := c.columnAllows(resource)
	if len(found.who) == 0 {
		return
	}
	who, err := c.whoever(found.who) // named one by one besides: else they would see all once their group has another name
	if c.table.Unprotectable != "" {
		err = errors.New(c.table.Unprotectable)
	}
	if err == nil {
		c.limited, err = who.SQL()
	}
	if err != nil {
		first := found.policies[0].Source
		c.out.Findings = append(c.out.Findings, policy.Finding{PolicyID: first.ID, Policy: first.Name, Effect: policy.EffectNarrower, Securable: c.table.Securable, Privilege: policy.Select,
			Message: "masks cannot hide the other columns from whom it allows some (strategy mask-null): " + err.Error()})
		c.limited = ""
		return
	}
	c.out.Columns, c.columnReaders = true, found
}

// limit adds to a mask that those see NULL whom policies allow other columns, and not this one.
func (c *compilation) limit(f *function, column *policy.Column) error {
	if c.limited == "" {
		return nil
	}
	resource, ok := c.set.Model.ColumnOf(c.object(), column.Name)
	if !ok {
		return nil
	}
	allowed := c.mayReadColumn(resource)
	if c.everyone(allowed) || !slices.ContainsFunc(c.columnReaders.who, func(id rules.SubjectID) bool { return !allowed.Has(id) }) {
		return nil
	}
	var w persons
	for _, id := range allowed {
		if one, err := c.persons(rules.SubjectSet{id}); err == nil { // else nobody can be told to be it
			w.groups, w.users = append(w.groups, one.groups...), append(w.users, one.users...)
		}
	}
	w.sort()
	text, err := w.SQL()
	if err != nil {
		return err
	}
	condition := c.limited
	if text != "FALSE" {
		condition = "(" + c.limited + " AND NOT " + text + ")"
	}
	f.add(condition, null(column.Type), nil)
	for _, of := range c.columnReaders.policies {
		f.note([]int64{of.Source.ID})
	}
	return nil
}
