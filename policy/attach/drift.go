package attach

import (
	"fmt"
	"maps"
	"slices"

	"ucwarden/policy"
)

// drift says what of ours others took off a table, replaced, dropped or altered since it was made, of what a change puts right. renamed are
// the names of the desired functions, by those that they have where nobody altered one.
func (in *Inspection) drift(table *policy.TableState, want *policy.Protection, c *policy.ProtectionChange, renamed map[string]string) []policy.Finding {
	var list []policy.Finding
	find := func(what, format string, args ...any) {
		list = append(list, policy.Finding{Effect: policy.EffectNone, Securable: table.Securable, Message: what + " " + fmt.Sprintf(format, args...)})
	}
	check := func(column string, wants policy.Attached, have *policy.Attached) {
		what, made := "its row filter", renamed[wants.Function]
		if column != "" {
			what = fmt.Sprintf("the mask of its column %q", column)
		}
		was := ""
		if in.Was != nil {
			was = in.Was(column)
		}
		switch {
		case have == nil && was != "":
			find(what, "was taken away since it was set, and is to be put back; a build tool that drops filters and masks which its model does not name (dbt's adapter does) fights this one: "+
				"name them in the model, or let that identity neither own nor manage the table")
		case have == nil:
		case have.Function != made && was == made:
			find(what, "was replaced by %s since it was set, and is to be put back", have.Function)
		case have.Function != made && IsRevision(have.Function, wants.Function):
			done := "altered"
			if _, exists := in.Functions[have.Function]; !exists {
				done = "dropped"
			}
			find(what, "is the function %s, which others %s since it was made; %s is to take its place", have.Function, done, made)
		case have.Function == made && slices.ContainsFunc(c.Create, func(f policy.SQLFunction) bool { return f.Name == made }):
			find(what, "is the function %s, which others dropped since it was made, and is to be made again", made)
		case have.Function == made && was == made && !have.Equal(policy.Attached{Function: made, Arguments: wants.Arguments}):
			find(what, "was given other arguments since it was set, and is to be put back")
		}
	}
	if want.Filter != nil {
		check("", *want.Filter, table.Protection.Filter)
	}
	for _, column := range slices.Sorted(maps.Keys(want.Masks)) {
		var have *policy.Attached
		if m, ok := table.Protection.Masks[column]; ok {
			have = &m
		}
		check(column, want.Masks[column], have)
	}
	return list
}
