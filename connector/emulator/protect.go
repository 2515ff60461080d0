package emulator

import (
	"slices"
	"strconv"
	"strings"

	"ucwarden/connector/emulator/statement"
)

// named returns the parts of the name of an object in a schema, with those that the statement leaves out.
func (r *sqlRun) named(name []string, depth int) []string {
	if missing := depth - len(name); missing > 0 && missing < depth {
		name = slices.Concat([]string{r.catalog, r.schema}[:missing], name)
	}
	return name
}

// container returns the schema or catalog that a new object is to be in, and its name there.
func (r *sqlRun) container(name []string, res *resource, depth int) (*object, string, error) {
	if name = r.named(name, depth); len(name) != depth {
		return nil, "", invalid("'%s' is no name of a %s.", strings.Join(name, "."), displayLabel(res.label))
	}
	in, err := r.s.find(r.s.types[res.parent], strings.Join(name[:depth-1], "."))
	if err != nil {
		return nil, "", err
	}
	last, err := checkName(name[depth-1])
	return in, last, err
}

func (r *sqlRun) createSchema(st *statement.CreateSchema) error {
	res := r.s.schemaResource
	catalog, name, err := r.container(st.Name, res, 2)
	if err != nil {
		return err
	}
	if err := r.c.checkIn(toCreate, res, catalog); err != nil {
		return err
	}
	if st.IfNotExists && namesake(catalog, res.typ, name) != nil {
		return nil
	}
	_, err = r.s.createIn(r.c, res, catalog, name, res.newDetail(), &st.Comment)
	return err
}

// createFunction makes a function. One that is replaced keeps its signature.
func (r *sqlRun) createFunction(st *statement.CreateFunction) error {
	res := r.s.resources["functions"]
	schema, name, err := r.container(st.Name, res, 3)
	if err != nil {
		return err
	}
	if err := r.c.checkIn(toCreate, res, schema); err != nil {
		return err
	}
	d := sqlFunction(name, st.Returns, st.Source, st.Body)
	var parameters []string
	for i, p := range st.Parameters {
		d.InputParams = d.InputParams.with(i, p.Name, p.Type)
		if slices.Contains(parameters, strings.ToLower(p.Name)) {
			return invalid("The parameter '%s' appears twice.", p.Name)
		}
		parameters = append(parameters, strings.ToLower(p.Name))
	}
	for _, column := range st.Body.Columns {
		if !slices.Contains(parameters, column) {
			return noColumn(column)
		}
	}
	old := namesake(schema, res.typ, name)
	switch {
	case old == nil:
		_, err = r.s.createIn(r.c, res, schema, name, d, &st.Comment)
		return err
	case st.IfNotExists:
		return nil
	case !st.Replace || old.kind != res.kind:
		return alreadyExists(res.label, old.fullName())
	case !res.groundFor(toUpdate).is(r.c, old):
		return denied("User may not replace Function '%s': this takes %s.", old.fullName(), res.groundFor(toUpdate))
	case !sameSignature(old.detail.(*functionDetail), d):
		return invalidState("Function '%s' cannot be replaced by one with another signature.", old.fullName())
	}
	old.detail, old.comment, old.updatedAt, old.updatedBy = d, st.Comment, r.s.nowMillis(), r.c.who.name
	return nil
}

func sameSignature(a, b *functionDetail) bool {
	parameters, others := a.InputParams.list(), b.InputParams.list()
	if !sameType(a.FullDataType, b.FullDataType) || len(parameters) != len(others) {
		return false
	}
	for i, p := range parameters {
		if other := others[i]; !strings.EqualFold(p.Name, other.Name) || !sameType(p.TypeText, other.TypeText) {
			return false
		}
	}
	return true
}

// columnTypeAliases are the names of types that have others.
var columnTypeAliases = map[string]string{"integer": "int", "bigint": "long", "smallint": "short", "tinyint": "byte", "real": "float", "dec": "decimal",
	"numeric": "decimal", "decimal(10,0)": "decimal"}

// canonicalType returns the one name of a type.
func canonicalType(typ string) string {
	typ = strings.ToLower(strings.ReplaceAll(typ, " ", ""))
	if alias := columnTypeAliases[typ]; alias != "" {
		return alias
	}
	return typ
}

func sameType(a, b string) bool { return canonicalType(a) == canonicalType(b) }

// typeNameOf returns the type_name of a type.
func typeNameOf(typ string) string {
	name := canonicalType(typ)
	if end := strings.IndexAny(name, "(<"); end >= 0 {
		name = name[:end]
	}
	if name == "varchar" {
		name = "string"
	}
	return strings.ToUpper(name)
}

// drop drops a function, table or schema. What refers to a function that is dropped fails from then on.
func (r *sqlRun) drop(st *statement.Drop) error {
	o, err := r.find(st.On)
	if err == nil && o.kind == kindModel {
		err = notFound("FUNCTION", o.fullName())
	}
	if err != nil {
		if state, _ := sqlError(err); st.IfExists && (state == "42883" || state == "42P01" || state == "42704") {
			return nil
		}
		return err
	}
	if err := r.c.check(toDelete, o); err != nil {
		return err
	}
	if reason := r.s.inUse(o); reason != "" {
		return invalidState("Cannot drop %s '%s': %s.", displayLabel(o.res.label), o.fullName(), reason)
	}
	r.s.delete(o)
	return nil
}

func (r *sqlRun) comment(st *statement.Comment) error {
	o, err := r.find(st.On)
	if err != nil {
		return err
	}
	if err := r.c.check(toUpdate, o); err != nil {
		return err
	}
	o.comment, o.updatedAt, o.updatedBy = st.Text, r.s.nowMillis(), r.c.who.name
	return nil
}

// wordsOf are the words that statements have for tables of a type, where they are not TABLE.
var wordsOf = map[string]string{tableView: "VIEW", "METRIC_VIEW": "VIEW", "MATERIALIZED_VIEW": "MATERIALIZED VIEW", "STREAMING_TABLE": "STREAMING TABLE"}

// protectable returns the table that a statement protects, whose detail is a copy to be changed.
func (r *sqlRun) protectable(on statement.Object, word string) (*object, *tableDetail, error) {
	o, err := r.find(on)
	if err != nil {
		return nil, nil, err
	}
	d := o.detail.(*tableDetail).clone().(*tableDetail)
	if !managesPolicies.is(r.c, o) {
		return nil, nil, denied("User may not change what protects Table '%s': this takes %s.", o.fullName(), managesPolicies)
	}
	wanted := wordsOf[d.TableType]
	if wanted == "" {
		wanted = "TABLE"
	}
	switch {
	case wanted == "VIEW" || strings.HasSuffix(d.TableType, "SHALLOW_CLONE"):
		return nil, nil, invalidState("Row filters and column masks are not supported for '%s', which is a %s.", o.fullName(), d.TableType)
	case d.DataSourceFormat == "DELTASHARING":
		return nil, nil, invalidState("Row filters and column masks are not supported for '%s', which a provider shares.", o.fullName())
	case wanted != word:
		return nil, nil, invalidState("'%s' is a %s: use ALTER %s.", o.fullName(), d.TableType, wanted)
	}
	return o, d, nil
}

// isProtected reports whether a table has a row filter or a mask.
func (d *tableDetail) isProtected() bool {
	return d.RowFilter != nil || slices.ContainsFunc(d.Columns, func(c column) bool { return c.Mask != nil })
}

// checkUnshared refuses a row filter or mask on a table that is shared: nobody whom it is shared with could read it. What the service
// answers is not documented.
func checkUnshared(o *object) error {
	if share := o.sharedBy(); share != "" {
		return invalidState("Row filters and column masks are not supported for '%s', which is in the share '%s'.", o.fullName(), share)
	}
	return nil
}

// protector returns the function that a statement protects a table with, if the caller may execute it.
func (r *sqlRun) protector(name []string, returns string, arguments int) (*object, *functionDetail, error) {
	f, err := r.s.find(r.s.resources["functions"], strings.Join(r.named(name, 3), "."))
	if err != nil {
		return nil, nil, err
	}
	if !executes.is(r.c, f) {
		return nil, nil, denied("User may not call Function '%s': this takes %s.", f.fullName(), executes)
	}
	d := f.detail.(*functionDetail)
	parameters := len(d.InputParams.list())
	switch {
	case !sameType(d.FullDataType, returns):
		return nil, nil, invalid("Function '%s' returns %s, and must return %s here.", f.fullName(), d.FullDataType, strings.ToUpper(returns))
	case parameters != arguments:
		return nil, nil, invalid("Function '%s' takes %d arguments, and is given %d.", f.fullName(), parameters, arguments)
	}
	return f, d, nil
}

// inputs returns the arguments of a row filter or mask, and the names of the columns among them.
func (d *tableDetail) inputs(list []statement.Argument) (arguments []inputArgument, columns []string, err error) {
	null := "NULL"
	for _, argument := range list {
		switch {
		case argument.Null:
			arguments = append(arguments, inputArgument{Constant: &null})
		case argument.Constant != nil:
			arguments = append(arguments, inputArgument{Constant: argument.Constant})
		default:
			i := d.column(argument.Column)
			if i < 0 {
				return nil, nil, noColumn(argument.Column)
			}
			arguments = append(arguments, inputArgument{Column: d.Columns[i].Name})
			columns = append(columns, d.Columns[i].Name)
		}
	}
	return arguments, columns, nil
}

// column returns the index of a column, -1 if there is none of that name.
func (d *tableDetail) column(name string) int {
	return slices.IndexFunc(d.Columns, func(c column) bool { return strings.EqualFold(c.Name, name) })
}

func (r *sqlRun) setFilter(st *statement.RowFilter) error {
	o, d, err := r.protectable(st.On, st.Word)
	if err != nil {
		return err
	}
	d.RowFilter = nil
	if st.Function != nil {
		if err := checkUnshared(o); err != nil {
			return err
		}
		f, _, err := r.protector(st.Function, "boolean", len(st.Arguments))
		if err != nil {
			return err
		}
		arguments, columns, err := d.inputs(st.Arguments)
		if err != nil {
			return err
		}
		d.RowFilter = &rowFilter{f.fullName(), columns, arguments}
	}
	o.detail, o.updatedAt, o.updatedBy = d, r.s.nowMillis(), r.c.who.name
	return nil
}

func (r *sqlRun) setMask(st *statement.Mask) error {
	o, d, err := r.protectable(st.On, st.Word)
	if err != nil {
		return err
	}
	i := d.column(st.Column)
	if i < 0 {
		return noColumn(st.Column)
	}
	d.Columns = slices.Clone(d.Columns)
	d.Columns[i].Mask = nil
	if st.Function != nil {
		if err := checkUnshared(o); err != nil {
			return err
		}
		f, _, err := r.protector(st.Function, d.Columns[i].TypeText, 1+len(st.Arguments))
		if err != nil {
			return err
		}
		arguments, columns, err := d.inputs(st.Arguments)
		if err != nil {
			return err
		}
		d.Columns[i].Mask = &columnMask{f.fullName(), columns, arguments}
	}
	o.detail, o.updatedAt, o.updatedBy = d, r.s.nowMillis(), r.c.who.name
	return nil
}

// shownArguments are arguments as the information schema shows them.
func shownArguments(list []inputArgument) string {
	var parts []string
	for _, argument := range list {
		if argument.Constant != nil {
			parts = append(parts, strconv.Quote(*argument.Constant))
		} else {
			parts = append(parts, argument.Column)
		}
	}
	return strings.Join(parts, ", ")
}
