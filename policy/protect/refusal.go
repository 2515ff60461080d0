package protect

import (
	"fmt"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
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
