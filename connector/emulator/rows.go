package emulator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ucwarden/connector/emulator/statement"
)

// generatedRows is how many rows a table has of which the seed says none.
const generatedRows = 5

// Rows returns what a person reads of a table by SELECT *: the names of the columns, and the rows that the row filter shows,
// with values as the masks show them; nil is NULL. A group's name stands for a session in the role of that group. The error is
// one that the statement would have.
func (s *Server) Rows(principal, table string) (columns []string, rows [][]*string, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := &call{srv: s, who: s.callerOf(principal)}
	run := &sqlRun{s: s, c: c, catalog: s.assignment.DefaultCatalogName, schema: "default"}
	return run.selectFrom(&statement.Select{From: strings.Split(table, "."), Limit: -1})
}

// session is the session of the caller, for what it evaluates. In the role of a group it is asked what that group is in; a
// group is not a member of itself.
func (r *sqlRun) session() *statement.Session {
	d := r.s.directory
	return &statement.Session{User: r.c.who.name, Now: r.s.now(), InGroup: func(name string) bool {
		p := d.byName[name]
		return p != nil && p.kind == Group && !p.deleted && !p.local() && name != r.c.who.name && r.c.who.identities[name]
	}}
}

// selectFrom reads from a table as the caller. It reads nothing of a table that something protects in a way that cannot be
// carried out.
func (r *sqlRun) selectFrom(st *statement.Select) ([]string, [][]*string, error) {
	o, err := r.find(statement.Object{Type: "TABLE", Name: st.From})
	if err != nil {
		return nil, nil, err
	}
	if !readsRows.is(r.c, o) {
		return nil, nil, denied("User may not read from Table '%s': this takes %s.", o.fullName(), readsRows)
	}
	d := o.detail.(*tableDetail)
	if wordsOf[d.TableType] == "VIEW" {
		return nil, nil, &statement.Error{Message: "reading from the view '" + o.fullName() + "' is not supported by the emulator", Unsupported: true}
	}
	p, err := r.protectionOf(o, d)
	if err != nil {
		return nil, nil, err
	}
	session := r.session()
	columns, rows := make([]string, len(d.Columns)), [][]*string{}
	for i, c := range d.Columns {
		columns[i] = strings.ToLower(c.Name)
	}
	for _, values := range d.allRows() {
		shown, row, err := p.row(session, d, values)
		if err != nil {
			return nil, nil, &apiError{status: 400, code: "CAST_INVALID_INPUT", message: "What protects '" + o.fullName() + "' fails: " + err.Error() + "."}
		}
		if shown {
			rows = append(rows, row)
		}
	}
	keep, err := filterOf(columns, st.Where)
	if err != nil {
		return nil, nil, err
	}
	rows = slices.DeleteFunc(rows, func(row []*string) bool { return !keep(row) })
	names, rows, err := arrange(columns, rows, st)
	if err == nil && st.Columns == nil {
		for i, c := range d.Columns {
			names[i] = c.Name
		}
	}
	return names, rows, err
}

// boundFunction is a function with the arguments that a table gives it.
type boundFunction struct {
	detail    *functionDetail
	arguments []inputArgument
}

// rowProtection is what protects a table from its reader: a filter and masks by the index of their columns.
type rowProtection struct {
	filter *boundFunction
	masks  map[int]*boundFunction
}

// bind returns the function of that name with its arguments.
func (r *sqlRun) bind(o *object, name string, arguments []inputArgument) (*boundFunction, error) {
	f, err := r.s.find(r.s.resources["functions"], name)
	if err != nil {
		return nil, &apiError{status: 400, code: "UC_DEPENDENCY_DOES_NOT_EXIST", message: "Dependency does not exist in Unity Catalog: '" + name + "', by which '" + o.fullName() + "' is protected."}
	}
	d := f.detail.(*functionDetail)
	if len(d.InputParams.list()) != len(arguments) {
		return nil, invalid("Function '%s' does not take the arguments that '%s' gives it.", name, o.fullName())
	}
	if d.body == nil {
		return nil, &statement.Error{Message: "calling the function '" + name + "' is not supported by the emulator: no statement made it", Unsupported: true}
	}
	return &boundFunction{d, arguments}, nil
}

// protectionOf returns what protects a table from the caller.
func (r *sqlRun) protectionOf(o *object, d *tableDetail) (p *rowProtection, err error) {
	p = &rowProtection{masks: make(map[int]*boundFunction)}
	if f := d.RowFilter; f != nil {
		arguments := f.InputArguments
		if arguments == nil {
			arguments = argumentsOf(f.InputColumnNames)
		}
		if p.filter, err = r.bind(o, f.FunctionName, arguments); err != nil {
			return nil, err
		}
	}
	for i, c := range d.Columns {
		if c.Mask == nil {
			continue
		}
		arguments := c.Mask.UsingArguments
		if arguments == nil {
			arguments = argumentsOf(c.Mask.UsingColumnNames)
		}
		if p.masks[i], err = r.bind(o, c.Mask.FunctionName, slices.Concat([]inputArgument{{Column: c.Name}}, arguments)); err != nil {
			return nil, err
		}
	}
	return p, r.abacConflict(o, p)
}

func argumentsOf(columns []string) (list []inputArgument) {
	for _, name := range columns {
		list = append(list, inputArgument{Column: name})
	}
	return list
}

// abacConflict returns the error of a table that a policy protects from the caller too. Policies with conditions on tags count
// where their conditions may hold, for the emulator does not evaluate those: it refuses rather than show a row too many.
func (r *sqlRun) abacConflict(o *object, p *rowProtection) error {
	var filters []string
	for at := o; at != nil; at = at.container() {
		for _, policy := range at.policies {
			if !r.bound(policy) {
				continue
			}
			if policy.RowFilter != nil {
				filters = append(filters, policy.RowFilter.FunctionName)
			}
			if policy.ColumnMask != nil && len(p.masks) > 0 {
				return &apiError{status: 400, code: "COLUMN_MASKS_FEATURE_NOT_SUPPORTED.MULTIPLE_MASKS", message: "Policy '" + policy.Name + "' masks columns of '" + o.fullName() + "', which has masks of its own."}
			}
			if policy.ColumnMask != nil {
				return &statement.Error{Message: "reading through the policy '" + policy.Name + "' is not supported by the emulator", Unsupported: true}
			}
		}
	}
	slices.Sort(filters)
	filters = slices.Compact(filters)
	switch {
	case len(filters) > 1 || len(filters) == 1 && p.filter != nil:
		return &apiError{status: 400, code: "UC_ABAC_MULTIPLE_ROW_FILTERS", message: "More than one row filter applies to '" + o.fullName() + "' for this user: " + strings.Join(filters, ", ") + "."}
	case len(filters) == 1:
		return &statement.Error{Message: "reading through a policy with the row filter '" + filters[0] + "' is not supported by the emulator", Unsupported: true}
	}
	return nil
}

// bound reports whether a policy is about the caller.
func (r *sqlRun) bound(p *abacPolicy) bool {
	is := func(name string) bool { return r.c.who.identities[name] || name == accountUsers }
	return slices.ContainsFunc(p.ToPrincipals, is) && !slices.ContainsFunc(p.ExceptPrincipals, is)
}

// row returns whether a row is shown, and its values as they are shown.
func (p *rowProtection) row(session *statement.Session, d *tableDetail, values []statement.Value) (shown bool, row []*string, err error) {
	if p.filter != nil {
		v, err := p.filter.call(session, d, values)
		if err != nil || v != true {
			return false, nil, err
		}
	}
	for i, v := range values {
		if mask := p.masks[i]; mask != nil {
			if v, err = mask.call(session, d, values); err != nil {
				return false, nil, err
			}
		}
		row = append(row, statement.Text(v))
	}
	return true, row, nil
}

// call returns what the function returns for a row.
func (f *boundFunction) call(session *statement.Session, d *tableDetail, values []statement.Value) (statement.Value, error) {
	arguments := make(map[string]statement.Value, len(f.arguments))
	for i, argument := range f.arguments {
		var v statement.Value
		switch {
		case argument.Constant == nil:
			at := d.column(argument.Column)
			if at < 0 {
				return nil, fmt.Errorf("there is no column %s", argument.Column)
			}
			v = values[at]
		case *argument.Constant != "NULL":
			v = *argument.Constant
		}
		p := f.detail.InputParams.Parameters[i]
		v, err := statement.Convert(v, p.TypeText)
		if err != nil {
			return nil, err
		}
		arguments[strings.ToLower(p.Name)] = v
	}
	v, err := f.detail.body.Eval(session, arguments)
	if err != nil {
		return nil, err
	}
	return statement.Convert(v, f.detail.FullDataType)
}

// allRows returns the rows of the seed, or generated ones, the same in every run.
func (d *tableDetail) allRows() [][]statement.Value {
	if d.rows != nil {
		return d.rows
	}
	rows := make([][]statement.Value, generatedRows)
	for n := range rows {
		for _, c := range d.Columns {
			rows[n] = append(rows[n], generatedValue(c, n))
		}
	}
	return rows
}

func generatedValue(c column, n int) statement.Value {
	switch c.TypeName {
	case "BOOLEAN":
		return n%2 == 0
	case "BYTE", "SHORT", "INT", "LONG":
		return int64(n + 1)
	case "FLOAT", "DOUBLE", "DECIMAL":
		return float64(n+1) * 10.5
	case "DATE":
		return statement.Date{Time: time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC)}
	case "TIMESTAMP", "TIMESTAMP_NTZ":
		return statement.Timestamp{Time: time.Date(2026, 1, 1+n, 12, 0, 0, 0, time.UTC)}
	case "STRING", "CHAR":
		return fmt.Sprintf("%s %d", c.Name, n+1)
	case "STRUCT", "MAP":
		return fmt.Sprintf(`{"n":%d}`, n+1)
	case "ARRAY":
		return fmt.Sprintf(`[%d]`, n+1)
	}
	return nil
}

// seedRows converts the rows of a seed to values of the columns' types.
func seedRows(columns []column, in [][]any) ([][]statement.Value, error) {
	if in == nil {
		return nil, nil
	}
	rows := make([][]statement.Value, len(in))
	for n, values := range in {
		if len(values) != len(columns) {
			return nil, invalid("row %d has %d values, and the table %d columns.", n+1, len(values), len(columns))
		}
		for i, v := range values {
			value, err := statement.Convert(v, columns[i].TypeText)
			if err != nil {
				return nil, invalid("row %d, column '%s': %s.", n+1, columns[i].Name, err)
			}
			rows[n] = append(rows[n], value)
		}
	}
	return rows, nil
}

// seedRow returns values as the seed has them.
func seedRow(values []statement.Value) []any {
	row := make([]any, len(values))
	for i, v := range values {
		switch v.(type) {
		case statement.Date, statement.Timestamp:
			row[i] = *statement.Text(v)
		default:
			row[i] = v
		}
	}
	return row
}
