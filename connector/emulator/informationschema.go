package emulator

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"ucwarden/connector/emulator/statement"
)

// infoView is a view of an information schema: its columns, and the rows that an object adds to it. Rows outlive the lock,
// so they hold copies.
type infoView struct {
	columns []string
	typ     securableType
	rows    func(r *sqlRun, o *object) [][]*string
}

// Where the names of the objects of a type are, in the views of their privileges and in those of their tags.
var (
	privilegeNames = map[securableType][]string{typeMetastore: {"metastore_id"}, typeCatalog: {"catalog_name"}, typeSchema: {"catalog_name", "schema_name"},
		typeTable: {"table_catalog", "table_schema", "table_name"}, typeFunction: {"routine_catalog", "routine_schema", "routine_name"},
		typeVolume: {"volume_catalog", "volume_schema", "volume_name"}, typeExternalLocation: {"external_location_name"},
		typeStorageCredential: {"storage_credential_name"}, typeConnection: {"connection_name"}}
	tagNames = map[securableType][]string{typeCatalog: {"catalog_name"}, typeSchema: {"catalog_name", "schema_name"},
		typeTable: {"catalog_name", "schema_name", "table_name"}, typeVolume: {"catalog_name", "schema_name", "volume_name"}}
)

// infoViews are the views by name.
var infoViews = map[string]infoView{
	"catalogs": {[]string{"catalog_name", "catalog_owner", "comment", "created", "created_by"}, typeCatalog, func(_ *sqlRun, o *object) [][]*string {
		return [][]*string{texts(o.name, o.owner, o.comment, sqlTime(o.createdAt), o.createdBy)}
	}},
	"schemata": {[]string{"catalog_name", "schema_name", "schema_owner", "comment", "created", "created_by"}, typeSchema, func(_ *sqlRun, o *object) [][]*string {
		return [][]*string{texts(o.parent.name, o.name, o.owner, o.comment, sqlTime(o.createdAt), o.createdBy)}
	}},
	"tables": {[]string{"table_catalog", "table_schema", "table_name", "table_type", "table_owner", "comment", "data_source_format"}, typeTable, func(_ *sqlRun, o *object) [][]*string {
		d := o.detail.(*tableDetail)
		return [][]*string{append(texts(append(namesOf(o), d.TableType, o.owner, o.comment)...), orNull(d.DataSourceFormat))}
	}},
	"columns": {[]string{"table_catalog", "table_schema", "table_name", "column_name", "ordinal_position", "data_type", "full_data_type"}, typeTable, func(_ *sqlRun, o *object) (rows [][]*string) {
		for _, c := range o.detail.(*tableDetail).Columns {
			rows = append(rows, texts(append(namesOf(o), c.Name, strconv.Itoa(c.Position), c.TypeName, c.TypeText)...))
		}
		return rows
	}},
	"row_filters": {[]string{"table_catalog", "table_schema", "table_name", "filter_name", "target_columns"}, typeTable, func(r *sqlRun, o *object) [][]*string {
		f := o.detail.(*tableDetail).RowFilter
		if f == nil || !r.c.may(toRead, o) {
			return nil
		}
		return [][]*string{texts(append(namesOf(o), f.FunctionName, shownArguments(f.InputArguments))...)}
	}},
	"column_masks": {[]string{"table_catalog", "table_schema", "table_name", "column_name", "mask_name", "using_columns"}, typeTable, func(r *sqlRun, o *object) (rows [][]*string) {
		if !r.c.may(toRead, o) {
			return nil
		}
		for _, c := range o.detail.(*tableDetail).Columns {
			if c.Mask != nil {
				rows = append(rows, texts(append(namesOf(o), c.Name, c.Mask.FunctionName, shownArguments(c.Mask.UsingArguments))...))
			}
		}
		return rows
	}},
	"metastore_privileges":          privilegeView(typeMetastore),
	"catalog_privileges":            privilegeView(typeCatalog),
	"schema_privileges":             privilegeView(typeSchema),
	"table_privileges":              privilegeView(typeTable),
	"routine_privileges":            privilegeView(typeFunction),
	"volume_privileges":             privilegeView(typeVolume),
	"external_location_privileges":  privilegeView(typeExternalLocation),
	"storage_credential_privileges": privilegeView(typeStorageCredential),
	"connection_privileges":         privilegeView(typeConnection),
	"catalog_tags":                  tagView(typeCatalog),
	"schema_tags":                   tagView(typeSchema),
	"table_tags":                    tagView(typeTable),
	"volume_tags":                   tagView(typeVolume),
	"column_tags": {[]string{"catalog_name", "schema_name", "table_name", "column_name", "tag_name", "tag_value"}, typeTable, func(_ *sqlRun, o *object) (rows [][]*string) {
		for _, c := range o.detail.(*tableDetail).Columns {
			rows = append(rows, tagRows(o, tagTarget(strings.ToLower(c.Name)), append(namesOf(o), c.Name))...)
		}
		return rows
	}},
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func sqlTime(millis int64) string {
	return time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z")
}

// namesOf returns the parts of the full name of o.
func namesOf(o *object) []string {
	switch o.res.typ.depth() {
	case 2:
		return []string{o.parent.name, o.name}
	case 3:
		return []string{o.parent.parent.name, o.parent.name, o.name}
	}
	return []string{o.fullName()}
}

// privilegeView is the view of the privileges on the objects of a type, with those inherited from what they are in.
func privilegeView(t securableType) infoView {
	columns := slices.Concat([]string{"grantor", "grantee"}, privilegeNames[t], []string{"privilege_type", "is_grantable", "inherited_from"})
	return infoView{columns, t, func(r *sqlRun, o *object) (rows [][]*string) {
		all := managesGrants.is(r.c, o)
		fits := applicable(o.res.typ, o.kind)
		for at := o; at != nil; at = at.container() {
			from := "NONE"
			if at != o {
				from = string(at.res.typ)
			}
			for _, a := range r.s.assignments(at, r.s.grantsFor(r.c, at), 0) {
				if a.Principal == "" || !all && !r.c.who.identities[a.Principal] {
					continue
				}
				for _, p := range a.Privileges {
					if at == o || slices.Contains(fits, p) {
						rows = append(rows, texts(slices.Concat([]string{at.owner, a.Principal}, namesOf(o), []string{strings.ReplaceAll(string(p), "_", " "), "NO", from})...))
					}
				}
			}
		}
		return rows
	}}
}

// tagView is the view of the tags of the objects of a type.
func tagView(t securableType) infoView {
	return infoView{append(slices.Clone(tagNames[t]), "tag_name", "tag_value"), t, func(_ *sqlRun, o *object) [][]*string {
		return tagRows(o, "", namesOf(o))
	}}
}

func tagRows(o *object, target tagTarget, names []string) (rows [][]*string) {
	for key, tag := range o.tags[target] {
		rows = append(rows, texts(append(slices.Clone(names), key, tag.value)...))
	}
	slices.SortFunc(rows, func(a, b []*string) int { return cmp.Compare(*a[len(names)], *b[len(names)]) })
	return rows
}

// selectRows reads from a view, or computes constants.
func (r *sqlRun) selectRows(st *statement.Select) (columns []string, rows [][]*string, err error) {
	if st.From == nil {
		row := make([]*string, len(st.Columns))
		for i, c := range st.Columns {
			switch {
			case c.Literal != nil:
				row[i] = c.Literal
			case c.Call && (c.Name == "session_user" || c.Name == "current_user"):
				row[i] = texts(r.c.who.name)[0]
			case c.Call && c.Name == "current_catalog":
				row[i] = texts(r.catalog)[0]
			default:
				return nil, nil, &statement.Error{Message: "'" + c.As + "' is not supported by the emulator", Unsupported: true}
			}
			columns = append(columns, c.As)
		}
		return columns, [][]*string{row}, nil
	}
	if len(st.From) != 3 && len(st.From) != 2 || !strings.EqualFold(st.From[len(st.From)-2], informationSchema) {
		return r.selectFrom(st)
	}
	view, catalogs, err := r.view(st.From)
	if err != nil {
		return nil, nil, err
	}
	keep, err := filterOf(view.columns, st.Where)
	if err != nil {
		return nil, nil, err
	}
	if err := r.eachObject(view.typ, catalogs, func(o *object) {
		for _, row := range view.rows(r, o) {
			if keep(row) {
				rows = append(rows, row)
			}
		}
	}); err != nil {
		return nil, nil, err
	}
	return arrange(view.columns, rows, st)
}

// view returns the view of that name, and the catalogs that it is about: one, or, in system, all.
func (r *sqlRun) view(name []string) (infoView, []*object, error) {
	if len(name) == 2 {
		name = append([]string{r.catalog}, name...)
	}
	view, ok := infoViews[strings.ToLower(name[2])]
	if !ok {
		return infoView{}, nil, notFound("TABLE", strings.ToLower(strings.Join(name, ".")))
	}
	m, err := r.s.metastore()
	if err != nil {
		return infoView{}, nil, err
	}
	if strings.EqualFold(name[0], systemCatalog) {
		return view, slices.Collect(m.list(typeCatalog).after("")), nil
	}
	catalog, err := r.s.find(r.s.catalogResource, name[0])
	if err != nil {
		return infoView{}, nil, err
	}
	return view, []*object{catalog}, r.c.checkIn(toList, r.s.schemaResource, catalog)
}

// eachObject calls f with every object of the type in the catalogs, or in the metastore, that the caller may see.
func (r *sqlRun) eachObject(t securableType, catalogs []*object, f func(*object)) error {
	m, err := r.s.metastore()
	if err != nil {
		return err
	}
	see := func(list []*object) {
		for _, o := range list {
			if r.c.may(toSee, o) {
				f(o)
			}
		}
	}
	switch {
	case t == typeMetastore:
		f(m)
		return nil
	case t == typeCatalog:
		see(catalogs)
		return nil
	case t.depth() == 1:
		see(slices.Collect(m.list(t).after("")))
		return nil
	}
	for _, catalog := range catalogs {
		if t == typeSchema {
			see(slices.Collect(catalog.list(typeSchema).after("")))
			continue
		}
		for schema := range catalog.list(typeSchema).after("") {
			see(slices.Collect(schema.list(t).after("")))
		}
	}
	return nil
}

// filterOf returns whether a row of the columns meets all conditions.
func filterOf(columns []string, where []statement.Condition) (func([]*string) bool, error) {
	at := make([]int, len(where))
	patterns := make([]likePattern, len(where))
	for i, c := range where {
		if at[i] = slices.Index(columns, c.Column); at[i] < 0 {
			return nil, noColumn(c.Column)
		}
		if c.Op == "LIKE" {
			patterns[i] = compileLike(c.Values[0])
		}
	}
	return func(row []*string) bool {
		for i, c := range where {
			value := row[at[i]]
			holds := value == nil
			switch {
			case c.Op == "NULL":
			case value == nil:
				return false
			case c.Op == "LIKE" && c.Values[0] == "":
				holds = *value == ""
			case c.Op == "LIKE":
				holds = patterns[i].match(*value)
			case c.Op == "IN":
				holds = slices.Contains(c.Values, *value)
			default:
				n := cmp.Compare(*value, c.Values[0])
				holds = map[string]bool{"=": n == 0, "<>": n != 0, "<": n < 0, "<=": n <= 0, ">": n > 0, ">=": n >= 0}[c.Op]
			}
			if holds == c.Not {
				return false
			}
		}
		return true
	}, nil
}

func noColumn(name string) error {
	return &apiError{status: 400, code: "UNRESOLVED_COLUMN", message: "A column with name '" + name + "' cannot be resolved."}
}

// arrange sorts rows, cuts them off at the limit, and takes the selected columns.
func arrange(columns []string, rows [][]*string, st *statement.Select) ([]string, [][]*string, error) {
	for _, o := range slices.Backward(st.Order) {
		i := slices.Index(columns, strings.ToLower(o.Column))
		if i < 0 {
			return nil, nil, noColumn(o.Column)
		}
		slices.SortStableFunc(rows, func(a, b []*string) int {
			n := compareNullable(a[i], b[i])
			if o.Descending {
				n = -n
			}
			return n
		})
	}
	if st.Limit >= 0 && len(rows) > st.Limit {
		rows = rows[:st.Limit]
	}
	if st.Columns == nil {
		return columns, rows, nil
	}
	var at []int
	var names []string
	for _, c := range st.Columns {
		i := slices.Index(columns, c.Name)
		if i < 0 || c.Call || c.Literal != nil {
			return nil, nil, noColumn(c.As)
		}
		at, names = append(at, i), append(names, c.As)
	}
	picked := make([][]*string, len(rows))
	for n, row := range rows {
		for _, i := range at {
			picked[n] = append(picked[n], row[i])
		}
	}
	return names, picked, nil
}

// compareNullable compares texts; none comes first.
func compareNullable(a, b *string) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Compare(*a, *b)
}
