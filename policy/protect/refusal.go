package protect

import (
	"fmt"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/sqlexpr"
)

// Refusal is that what an item of a policy says cannot be enforced as it says it, so that whom it binds sees no row, or NULL.
type Refusal struct {
	Policy *ranger.Policy
	Item   string // as rowFilterPolicyItems[0]
	Column string // that it masks; empty for a row filter
	Why    string
}

// refuse notes that what a branch says cannot be enforced, of a column or, without one, of rows.
func (c *compilation) refuse(b *branch, column, why string) {
	words := fmt.Sprintf("its mask of column %q is refused, so that whom it binds sees NULL", column)
	if column == "" {
		words = "its filter is refused, so that whom it binds sees no row"
	}
	c.find(b, policy.EffectNarrower, "%s: %s: %s", place(b.item), words, why)
	if r := (Refusal{b.policy.Source, place(b.item), column, why}); !slices.Contains(c.out.Refused, r) { // a function may be compiled twice
		c.out.Refused = append(c.out.Refused, r)
	}
}

// noteTimes notes what follows from an expression that depends on when it is evaluated, or on where.
func (c *compilation) noteTimes(b *branch, e *sqlexpr.Expr, what string) {
	if e.ReadsClock() {
		c.find(b, policy.EffectNone, "%s: %s depends on the time of the query: expect Databricks to refuse MERGE into the table, which takes no function there whose value changes from one query to the next", place(b.item), what)
	}
	if e.ByTimeZone() {
		c.find(b, policy.EffectNone, "%s: %s goes by the time zone of the session, which who reads the table can set: what it says of a day or time of day can be moved by up to a day", place(b.item), what)
	}
}
