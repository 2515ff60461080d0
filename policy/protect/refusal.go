package protect

import (
	"fmt"
	"slices"
	"strings"

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

// Close sets why the table cannot be protected. Remarks on what would have been shown have no meaning then.
func (d *Desired) Close(why string) {
	d.Protection, d.Functions, d.Closed, d.Columns = policy.Protection{}, nil, why, false
	d.Findings = slices.DeleteFunc(d.Findings, func(f policy.Finding) bool { return f.Effect == policy.EffectNone })
}

// NotProtected says of a table that it is not protected as policies say, and why: the words for it in plans, results and logs.
func NotProtected(why string) string {
	return "the table is not protected, so it is not granted to whom row filters and masks bind: " + why
}

// WhyClosed returns the findings on a table that cannot be protected: one for each policy that is about its rows or columns, with
// the items that bind somebody.
func (d *Desired) WhyClosed(table policy.Securable, why string) []policy.Finding {
	var list []policy.Finding
	for i := 0; i < len(d.bound); {
		of := d.bound[i].policy
		var items []string
		for ; i < len(d.bound) && d.bound[i].policy == of; i++ {
			items = append(items, place(d.bound[i].item))
		}
		list = append(list, policy.Finding{PolicyID: of.ID, Policy: of.Name, Effect: policy.EffectNarrower, Securable: table, Message: strings.Join(items, ", ") + ": " + NotProtected(why)})
	}
	if len(list) == 0 {
		list = append(list, policy.Finding{Effect: policy.EffectNarrower, Securable: table, Message: NotProtected(why)})
	}
	return list
}
