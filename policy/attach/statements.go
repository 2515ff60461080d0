package attach

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
	"ucwarden/policy/sqlexpr"
)

// Statements are the SQL statements of a change. Creates come first and may run in any order; sets next, in their order; lifts last.
type Statements struct {
	Create, Set, Lift []string
}

// StatementsOf writes a change as SQL. Names and types that cannot be written are an error of class policy.CodeInvalid.
func StatementsOf(c policy.ProtectionChange) (Statements, error) {
	var s Statements
	for i := range c.Create {
		text, err := createFunction(&c.Create[i])
		if err != nil {
			return s, invalid(c.Table, err)
		}
		s.Create = append(s.Create, text)
	}
	name, err := objectName(c.Table.FullName)
	if err != nil {
		return s, invalid(c.Table, err)
	}
	alter := "ALTER " + alterWords[c.Kind] + " " + name
	if alterWords[c.Kind] == "" {
		alter = "ALTER TABLE " + name
	}
	setFilter := func(to *policy.Attached) error {
		function, arguments, err := call(to)
		if err != nil {
			return invalid(c.Table, err)
		}
		s.Set = append(s.Set, fmt.Sprintf("%s SET ROW FILTER %s ON (%s)", alter, function, arguments))
		return nil
	}
	setMasks := func(replaced bool) error {
		for _, column := range slices.Sorted(maps.Keys(c.Masks)) {
			m := c.Masks[column]
			if m.To == nil || replaced != (m.From != nil) {
				continue
			}
			quoted, err := sqlexpr.Identifier(column)
			if err != nil {
				return invalid(c.Table, err)
			}
			function, arguments, err := call(m.To)
			if err != nil {
				return invalid(c.Table, err)
			}
			text := fmt.Sprintf("%s ALTER COLUMN %s SET MASK %s", alter, quoted, function)
			if arguments != "" {
				text += " USING COLUMNS (" + arguments + ")"
			}
			s.Set = append(s.Set, text)
		}
		return nil
	}
	// What only hides comes first; then the filter, unless masks are replaced, too, so that there is one in between.
	if err := setMasks(false); err != nil {
		return s, err
	}
	filters := []*policy.Attached{nil, nil} // before masks are replaced, and after
	if c.Filter != nil && c.Filter.To != nil {
		filters[0] = c.Filter.To
		if c.Through != nil {
			filters[0], filters[1] = c.Through, c.Filter.To
		}
	}
	for i, to := range filters {
		if to != nil {
			if err := setFilter(to); err != nil {
				return s, err
			}
		}
		if i == 0 {
			if err := setMasks(true); err != nil {
				return s, err
			}
		}
	}
	if c.Filter != nil && c.Filter.To == nil {
		s.Lift = append(s.Lift, alter+" DROP ROW FILTER")
	}
	for _, column := range slices.Sorted(maps.Keys(c.Masks)) {
		if c.Masks[column].To == nil {
			quoted, err := sqlexpr.Identifier(column)
			if err != nil {
				return s, invalid(c.Table, err)
			}
			s.Lift = append(s.Lift, fmt.Sprintf("%s ALTER COLUMN %s DROP MASK", alter, quoted))
		}
	}
	return s, nil
}

var alterWords = map[policy.Kind]string{policy.KindMaterializedView: "MATERIALIZED VIEW", policy.KindStreamingTable: "STREAMING TABLE"}

func invalid(table policy.Securable, err error) error {
	return policy.Errorf(policy.CodeInvalid, "write the SQL that protects %s: %w", table, err)
}

// objectName quotes a full name. Names of objects, unlike those of columns, hold no dots.
func objectName(fullName string) (string, error) {
	return sqlexpr.QualifiedName(strings.Split(fullName, ".")...)
}

func call(a *policy.Attached) (function, arguments string, err error) {
	if function, err = objectName(a.Function); err != nil {
		return "", "", err
	}
	columns := make([]string, len(a.Arguments))
	for i, argument := range a.Arguments {
		if columns[i], err = sqlexpr.Identifier(argument.Column); err != nil {
			return "", "", err
		}
	}
	return function, strings.Join(columns, ", "), nil
}

func createFunction(f *policy.SQLFunction) (string, error) {
	name, err := objectName(f.Name)
	if err != nil {
		return "", err
	}
	parameters := make([]string, len(f.Parameters))
	for i, p := range f.Parameters {
		typ, err := sqlexpr.TypeName(p.Type)
		if err != nil {
			return "", err
		}
		parameters[i] = p.Name + " " + typ
	}
	returns, err := sqlexpr.TypeName(f.Returns)
	if err != nil {
		return "", err
	}
	comment, err := sqlexpr.Literal(f.Comment)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("CREATE FUNCTION %s(%s) RETURNS %s COMMENT %s RETURN %s", name, strings.Join(parameters, ", "), returns, comment, f.Body), nil
}

// DropFunction writes that a function is dropped.
func DropFunction(fullName string) (string, error) {
	name, err := objectName(fullName)
	return "DROP FUNCTION IF EXISTS " + name, err
}

// CreateSchema writes that our schema is made in a catalog.
func CreateSchema(catalog, schema string) (string, error) {
	name, err := sqlexpr.QualifiedName(catalog, schema)
	return "CREATE SCHEMA IF NOT EXISTS " + name + " COMMENT 'Functions of the row filters and column masks that ucwarden sets. Nobody else needs privileges here.'", err
}
