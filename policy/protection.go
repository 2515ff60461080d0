package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Column is a column of a table, or a parameter of a function: its name and type as Unity Catalog writes them, such as
// "decimal(10,2)". Names of columns may hold dots, blanks and capitals, and are compared without regard to case.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"` // its type_text
}

// Protection is what a table enforces on who may read it: a row filter and column masks. The zero Protection is none.
type Protection struct {
	Filter *Attached           `json:"rowFilter,omitempty"`
	Masks  map[string]Attached `json:"columnMasks,omitempty"` // by name of the column, in lower case
}

// Attached is a function that a table carries as a row filter or mask, with its arguments. Those of a mask are further ones,
// after the column itself.
type Attached struct {
	Function  string     `json:"function"` // its full name, in lower case
	Arguments []Argument `json:"arguments,omitempty"`
}

// Argument is what a row filter or mask is called with: a column of the table, or a constant.
type Argument struct {
	Column   string `json:"column,omitempty"`   // in lower case
	Constant string `json:"constant,omitempty"` // as Unity Catalog shows it; the arguments of ours are all columns
}

// Equal reports whether both are the same function with the same arguments.
func (a Attached) Equal(b Attached) bool {
	return a.Function == b.Function && slices.Equal(a.Arguments, b.Arguments)
}

// SQLFunction is a function written in SQL, as Unity Catalog has it or as it is to be made.
type SQLFunction struct {
	Name       string   `json:"name"` // catalog.schema.name, in lower case
	Parameters []Column `json:"parameters,omitempty"`
	Returns    string   `json:"returns"` // its type
	// Body is the expression after RETURN. As it is read it may be formatted in another way than it was written.
	Body      string    `json:"body"`
	Comment   string    `json:"comment,omitempty"`
	Owner     string    `json:"-"` // as it is read
	UpdatedAt time.Time `json:"-"` // as it is read; zero where the workspace does not tell
}

// TableState is a table as a workspace shows it, as far as row filters and masks are concerned.
type TableState struct {
	Securable
	ID      string // that it keeps until it is dropped
	Kind    Kind
	Owner   string // name of a principal
	Columns []Column
	// Known is false where the workspace does not show what the table carries, for instance to who may only browse it. What
	// is absent then is unknown, not none.
	Known      bool
	Protection Protection // what it carries, ours and others'
	// Unprotectable says why the table cannot carry a row filter or mask, as far as the adapter can tell beyond its Kind: it
	// is shared, or a shallow clone. Empty where it can.
	Unprotectable string
}

// CanBeProtected reports whether objects of the kind can carry row filters and masks.
func (k Kind) CanBeProtected() bool {
	switch k {
	case "", KindMaterializedView, KindStreamingTable, KindForeignTable:
		return true
	}
	return false
}

// Column returns the column of a name, compared without regard to case.
func (t *TableState) Column(name string) (Column, bool) {
	i := slices.IndexFunc(t.Columns, func(c Column) bool { return strings.EqualFold(c.Name, name) })
	if i < 0 {
		return Column{}, false
	}
	return t.Columns[i], true
}

// AttributePolicyType is the type of an attribute-based access policy of Unity Catalog, as its API spells it. There may be
// others than these.
type AttributePolicyType string

// The types of attribute-based access policies.
const (
	AttributeRowFilter  AttributePolicyType = "POLICY_TYPE_ROW_FILTER"
	AttributeColumnMask AttributePolicyType = "POLICY_TYPE_COLUMN_MASK"
	AttributeGrant      AttributePolicyType = "POLICY_TYPE_GRANT"
	AttributeDeny       AttributePolicyType = "POLICY_TYPE_DENY"
)

// AttributePolicy is an attribute-based access policy of Unity Catalog, which is never ours: it is read so that nothing of
// ours conflicts with it.
type AttributePolicy struct {
	ID        string
	Name      string
	Type      AttributePolicyType
	On        Securable // a catalog, schema or table; it holds for all inside
	Function  string    // of a row filter or mask
	Condition string    // empty: every table
	To        []string  // names of principals
	Except    []string
}

// ProtectionChange is what changes of the protection of one table. What is set replaces what was there in place; what is
// lifted is so last.
type ProtectionChange struct {
	Table  Securable                 `json:"table"`
	Kind   Kind                      `json:"kind,omitempty"`
	Filter *AttachedChange           `json:"rowFilter,omitempty"`
	Masks  map[string]AttachedChange `json:"columnMasks,omitempty"` // by name of the column, in lower case
	// Through is the row filter that the table has while its masks are replaced, where its filter is, too: it shows the rows that
	// the filters before and after both show, so that no value is seen that neither filter with its masks shows. Nil for none.
	Through *Attached     `json:"through,omitempty"`
	Create  []SQLFunction `json:"create,omitempty"` // functions that it needs and that are not there
	// PutBack is how many of the filter and masks others took off, replaced, dropped or altered since they were set.
	PutBack int `json:"putBack,omitempty"`
}

// AttachedChange is a row filter or mask before and after; nil for none.
type AttachedChange struct {
	From *Attached `json:"from,omitempty"`
	To   *Attached `json:"to,omitempty"`
}

// each calls yield for the filter and for each mask, in the order of the columns; the filter's column is empty.
func (c *ProtectionChange) each(yield func(column string, a AttachedChange)) {
	if c.Filter != nil {
		yield("", *c.Filter)
	}
	for _, column := range slices.Sorted(maps.Keys(c.Masks)) {
		yield(column, c.Masks[column])
	}
}

// Sets reports whether the change sets or replaces something.
func (c *ProtectionChange) Sets() bool {
	sets := len(c.Create) > 0
	c.each(func(_ string, a AttachedChange) { sets = sets || a.To != nil })
	return sets
}

// Hides reports whether the change can only hide rows and values: it replaces nothing and takes nothing away.
func (c *ProtectionChange) Hides() bool {
	hides := true
	c.each(func(_ string, a AttachedChange) { hides = hides && a.From == nil })
	return hides
}

// Lifts reports whether the change takes something away.
func (c *ProtectionChange) Lifts() bool {
	lifts := false
	c.each(func(_ string, a AttachedChange) { lifts = lifts || a.To == nil })
	return lifts
}

// WithoutLifts returns the change without what it takes away.
func (c ProtectionChange) WithoutLifts() ProtectionChange {
	if c.Filter != nil && c.Filter.To == nil {
		c.Filter = nil
	}
	c.Masks = maps.Clone(c.Masks)
	maps.DeleteFunc(c.Masks, func(_ string, a AttachedChange) bool { return a.To == nil })
	return c
}

// Statements is how many SQL statements the change takes.
func (c *ProtectionChange) Statements() int {
	n := len(c.Create)
	if c.Through != nil {
		n++
	}
	c.each(func(string, AttachedChange) { n++ })
	return n
}

// ProtectionAct is one row filter or mask that a change sets or lifts.
type ProtectionAct struct {
	Act      Act    // ActAdd or ActRemove
	Text     string // "row filter a.p.rf_1"
	column   string // of a mask
	function string // that is set or lifted; empty where a function is made alone
}

// Shown reports whether a table that carries p shows that the act was carried out, and whether it can show that.
func (a ProtectionAct) Shown(p Protection) (done, known bool) {
	carries := ""
	if mask, ok := p.Masks[a.column]; ok && a.column != "" {
		carries = mask.Function
	} else if a.column == "" && p.Filter != nil {
		carries = p.Filter.Function
	}
	return (carries == a.function) == (a.Act == ActAdd), a.function != ""
}

// Acts returns what the change sets and lifts.
func (c *ProtectionChange) Acts() []ProtectionAct {
	var list []ProtectionAct
	c.each(func(column string, a AttachedChange) {
		what, act, function := "row filter ", ActAdd, a.To
		if column != "" {
			what = "mask of " + column + " "
		}
		if a.To == nil {
			act, function = ActRemove, a.From
		}
		list = append(list, ProtectionAct{act, what + function.Function, column, function.Function})
	})
	if len(list) == 0 {
		for _, f := range c.Create {
			list = append(list, ProtectionAct{Act: ActAdd, Text: "function " + f.Name})
		}
	}
	return list
}

// String is the change on one line: "TABLE:a.b.c  +row filter a.p.rf_1  -mask of email a.p.mf_2".
func (c ProtectionChange) String() string {
	var b strings.Builder
	b.WriteString(c.Table.String())
	for _, act := range c.Acts() {
		sign := "+"
		if act.Act == ActRemove {
			sign = "-"
		}
		fmt.Fprintf(&b, "  %s%s", sign, act.Text)
	}
	return b.String()
}
