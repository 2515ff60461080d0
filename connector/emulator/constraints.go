package emulator

import (
	"slices"
	"strings"
)

// tableConstraint is a constraint of a table: exactly one of the three. A stored one is immutable.
type tableConstraint struct {
	PrimaryKey *primaryKey      `json:"primary_key_constraint,omitempty"`
	ForeignKey *foreignKey      `json:"foreign_key_constraint,omitempty"`
	Named      *namedConstraint `json:"named_table_constraint,omitempty"`
}

type primaryKey struct {
	Name              string   `json:"name"`
	ChildColumns      []string `json:"child_columns"`
	TimeseriesColumns []string `json:"timeseries_columns,omitempty"`
	Rely              bool     `json:"rely,omitempty"`
}

type foreignKey struct {
	Name          string   `json:"name"`
	ChildColumns  []string `json:"child_columns"`
	ParentTable   string   `json:"parent_table"` // input; rendered from parent
	ParentColumns []string `json:"parent_columns"`
	Rely          bool     `json:"rely,omitempty"`

	parent *object
}

type namedConstraint struct {
	Name string `json:"name"`
}

func (t tableConstraint) name() string {
	switch {
	case t.PrimaryKey != nil:
		return t.PrimaryKey.Name
	case t.ForeignKey != nil:
		return t.ForeignKey.Name
	}
	return t.Named.Name
}

// shown is the constraint as answers show it.
func (t tableConstraint) shown() tableConstraint {
	if t.ForeignKey != nil {
		key := *t.ForeignKey
		key.ParentTable = key.parent.fullName()
		t.ForeignKey = &key
	}
	return t
}

func (s *Server) registerConstraints() {
	s.route("POST "+prefix+"/constraints", ownsTable.in("the table")+"; of a foreign key also of its parent", s.createConstraint)
	s.route("DELETE "+prefix+"/constraints/{name}", ownsTable.String()+"; with cascade also of the tables that refer to it", s.deleteConstraint)
}

// constrained returns the table of that name, if the caller may change its constraints.
func (s *Server) constrained(c *call, name string) (*object, error) {
	o, err := s.find(s.resources["tables"], name)
	if err != nil {
		return nil, err
	}
	if !ownsTable.is(c, o) {
		return nil, denied("User may not change constraints of Table '%s': this takes %s.", o.fullName(), ownsTable)
	}
	return o, nil
}

func (s *Server) createConstraint(c *call) (any, error) {
	var in struct {
		FullName   string           `json:"full_name_arg"`
		Constraint *tableConstraint `json:"constraint"`
	}
	if err := c.decodeBody(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.FullName == "" || in.Constraint == nil {
		return nil, invalid("full_name_arg and constraint are required.")
	}
	o, err := s.constrained(c, in.FullName)
	if err != nil {
		return nil, err
	}
	made := *in.Constraint
	if err := s.checkConstraint(c, o, &made); err != nil {
		return nil, err
	}
	next := *o.detail.(*tableDetail)
	for _, other := range next.Constraints {
		switch {
		case strings.EqualFold(other.name(), made.name()):
			return nil, alreadyExists("CONSTRAINT", made.name())
		case other.PrimaryKey != nil && made.PrimaryKey != nil:
			return nil, invalid("Table '%s' has a primary key, '%s'.", o.fullName(), other.name())
		}
	}
	next.Constraints = append(slices.Clone(next.Constraints), made)
	o.detail = &next
	return made.shown(), nil
}

// checkConstraint returns an error unless the constraint is one, of columns that are there.
func (s *Server) checkConstraint(c *call, o *object, made *tableConstraint) error {
	given := 0
	for _, there := range []bool{made.PrimaryKey != nil, made.ForeignKey != nil, made.Named != nil} {
		if there {
			given++
		}
	}
	if given != 1 {
		return invalid("constraint must be exactly one of primary_key_constraint, foreign_key_constraint, named_table_constraint.")
	}
	if made.name() == "" {
		return invalid("the name of a constraint is required.")
	}
	switch key := made.ForeignKey; {
	case made.PrimaryKey != nil:
		if err := hasColumns(o, "child_columns", made.PrimaryKey.ChildColumns); err != nil || len(made.PrimaryKey.TimeseriesColumns) == 0 {
			return err
		}
		return hasColumns(o, "timeseries_columns", made.PrimaryKey.TimeseriesColumns)
	case key != nil:
		parent, err := s.constrained(c, key.ParentTable)
		if err != nil {
			return err
		}
		if len(key.ChildColumns) != len(key.ParentColumns) {
			return invalid("child_columns and parent_columns must be as many.")
		}
		key.parent, key.ParentTable = parent, ""
		if err := hasColumns(o, "child_columns", key.ChildColumns); err != nil {
			return err
		}
		return hasColumns(parent, "parent_columns", key.ParentColumns)
	}
	return nil
}

func hasColumns(o *object, field string, names []string) error {
	if len(names) == 0 {
		return invalid("%s is required.", field)
	}
	for _, name := range names {
		if !slices.ContainsFunc(o.detail.(*tableDetail).Columns, func(c column) bool { return strings.EqualFold(c.Name, name) }) {
			return notFound("COLUMN", o.fullName()+"."+name)
		}
	}
	return nil
}

// deleteConstraint deletes a constraint. A primary key that foreign keys refer to is deleted with them, by cascade, or not.
func (s *Server) deleteConstraint(c *call) (any, error) {
	cascade, err := c.flag("cascade")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o, err := s.constrained(c, c.req.PathValue("name"))
	if err != nil {
		return nil, err
	}
	name := c.req.URL.Query().Get("constraint_name")
	list := o.detail.(*tableDetail).Constraints
	i := slices.IndexFunc(list, func(t tableConstraint) bool { return strings.EqualFold(t.name(), name) })
	if i < 0 {
		return nil, notFound("CONSTRAINT", name)
	}
	if list[i].PrimaryKey != nil {
		children := referring(o)
		if len(children) > 0 && !cascade {
			return nil, invalidState("Constraint '%s' cannot be deleted: a foreign key of Table '%s' refers to it.", name, children[0].fullName())
		}
		for _, child := range children {
			if !ownsTable.is(c, child) {
				return nil, denied("User may not change constraints of Table '%s': this takes %s.", child.fullName(), ownsTable)
			}
		}
		for _, child := range children {
			dropConstraints(child, func(t tableConstraint) bool { return t.ForeignKey != nil && t.ForeignKey.parent == o })
		}
	}
	dropConstraints(o, func(t tableConstraint) bool { return strings.EqualFold(t.name(), name) })
	return nil, nil
}

func dropConstraints(o *object, drop func(tableConstraint) bool) {
	next := *o.detail.(*tableDetail)
	next.Constraints = slices.DeleteFunc(slices.Clone(next.Constraints), drop)
	o.detail = &next
}

// referring returns the tables with a foreign key to o.
func referring(o *object) (list []*object) {
	for catalog := range o.top().list(typeCatalog).after("") {
		for schema := range catalog.list(typeSchema).after("") {
			for table := range schema.list(typeTable).after("") {
				if slices.ContainsFunc(table.detail.(*tableDetail).Constraints, func(t tableConstraint) bool { return t.ForeignKey != nil && t.ForeignKey.parent == o }) {
					list = append(list, table)
				}
			}
		}
	}
	return list
}
