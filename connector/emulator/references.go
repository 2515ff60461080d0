package emulator

import (
	"slices"
	"strings"
)

// renamed returns the full name of a function after one that it is or lies in was renamed, and whether that changes it.
func renamed(function, from, to string) (string, bool) {
	name := canonicalName(function)
	switch {
	case name == from:
		return to, true
	case strings.HasPrefix(name, from+"."):
		return to + name[len(from):], true
	}
	return function, false
}

// followRename changes what refers by name to a catalog, schema or function that was renamed: row filters and masks of tables,
// policies, and the default catalog of the workspace. All other references are to objects, and show their present names.
func (s *Server) followRename(o *object, from string) {
	to, m := o.fullName(), o.top()
	switch o.res.typ {
	case typeCatalog:
		if s.assignment.MetastoreID == m.uuid() && s.assignment.DefaultCatalogName == from {
			s.assignment.DefaultCatalogName = to
		}
	case typeSchema, typeFunction:
	default:
		return
	}
	m.eachPolicyHolder(func(o *object) {
		for name, p := range o.policies {
			if next, changed := p.withFunction(from, to); changed {
				o.policies[name] = next
			}
		}
		if d, ok := o.detail.(*tableDetail); ok {
			o.detail = d.withFunctions(from, to)
		}
	})
}

// eachPolicyHolder calls do for every catalog, schema and table of a metastore.
func (o *object) eachPolicyHolder(do func(*object)) {
	for _, typ := range []securableType{typeCatalog, typeSchema, typeTable} {
		for child := range o.list(typ).after("") {
			do(child)
			child.eachPolicyHolder(do)
		}
	}
}

// withFunction returns the policy with the present name of its function, and whether that changed.
func (p *abacPolicy) withFunction(from, to string) (*abacPolicy, bool) {
	next, changed := *p, false
	if p.RowFilter != nil {
		rule := *p.RowFilter
		rule.FunctionName, changed = renamed(rule.FunctionName, from, to)
		next.RowFilter = &rule
	}
	if p.ColumnMask != nil {
		rule := *p.ColumnMask
		rule.FunctionName, changed = renamed(rule.FunctionName, from, to)
		next.ColumnMask = &rule
	}
	return &next, changed
}

// withFunctions returns the table with the present names of the functions that protect it, itself where none changed.
func (d *tableDetail) withFunctions(from, to string) *tableDetail {
	next := d
	if f := d.RowFilter; f != nil {
		if name, changed := renamed(f.FunctionName, from, to); changed {
			next = d.clone().(*tableDetail)
			filter := *f
			filter.FunctionName = name
			next.RowFilter = &filter
		}
	}
	for i, c := range d.Columns {
		if c.Mask == nil {
			continue
		}
		if name, changed := renamed(c.Mask.FunctionName, from, to); changed {
			if next == d {
				next = d.clone().(*tableDetail)
			}
			if &next.Columns[0] == &d.Columns[0] { // other tables may have the same columns
				next.Columns = slices.Clone(d.Columns)
			}
			mask := *c.Mask
			mask.FunctionName = name
			next.Columns[i].Mask = &mask
		}
	}
	return next
}

// renamePrincipal changes the name of a group in the policies of a metastore.
func (o *object) renamePrincipal(from, to string) {
	o.eachPolicyHolder(func(o *object) {
		for name, p := range o.policies {
			if !slices.Contains(p.ToPrincipals, from) && !slices.Contains(p.ExceptPrincipals, from) {
				continue
			}
			next := *p
			for _, names := range []*[]string{&next.ToPrincipals, &next.ExceptPrincipals} {
				*names = slices.Clone(*names)
				if i := slices.Index(*names, from); i >= 0 {
					(*names)[i] = to
				}
			}
			o.policies[name] = &next
		}
	})
}
