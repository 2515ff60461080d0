package attach

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ucwarden/policy"
)

// Inspection is what is known of the functions that tables refer to.
type Inspection struct {
	Schema    string                        // the name of our schema
	Functions map[string]policy.SQLFunction // in our schemas, by full name
	// Self reports whether the owner of a function is us.
	Self func(owner string) bool
	// Learned reports whether the body is how the workspace showed a function of ours when it was made with the given hash: it
	// may format it in another way than it was written.
	Learned func(fullName, hash, body string) bool
	// Was returns the function that the last sync made sure the table carries as its row filter, for an empty column, or as the mask of a
	// column; empty where that is not known, as all is where Was is nil.
	Was func(column string) (function string)
}

// Outcome is what Diff found.
type Outcome struct {
	// Change is empty where nothing is to be changed. Where the table is Closed because of an attribute-based policy of others, it lifts
	// what of ours makes queries fail beside that.
	Change policy.ProtectionChange
	// Closed says why the table cannot be protected, so that it must stay closed for whom policies bind.
	Closed string
	// Drift is what others took away or changed since it was made, and the change puts right. It is among Findings.
	Drift    []policy.Finding
	Findings []policy.Finding
}

// maxRevisions is how many functions that do the same there may be, since others were changed by hand.
const maxRevisions = 20

// Diff compares what a table carries with what it is to carry, and functions, to which that refers, with those that there are. What
// is not ours is never changed, and nothing where it is not known what the table carries.
func Diff(table policy.TableState, want policy.Protection, functions []policy.SQLFunction, others []policy.AttributePolicy, in *Inspection) Outcome {
	out := Outcome{Change: policy.ProtectionChange{Table: table.Securable, Kind: table.Kind}}
	if !table.Known {
		return out
	}
	if out.Closed = foreign(&table, &want, in); out.Closed != "" {
		return out
	}
	if out.Closed = in.beside(&table, &want, others, &out.Change); out.Closed != "" {
		return out
	}
	out.Findings = crossing(&table, &want, others)
	renamed := make(map[string]string) // desired functions whose names somebody else's, or changed ones, have
	for _, f := range functions {
		name, exists, why := in.place(&f)
		if why != "" {
			out.Closed, out.Findings = why, nil
			return out
		}
		renamed[f.Name] = name
		f.Name = name
		if !exists {
			out.Change.Create = append(out.Change.Create, f)
		}
	}
	rename := func(a policy.Attached) *policy.Attached {
		if name := renamed[a.Function]; name != "" {
			a.Function = name
		}
		return &a
	}
	is := table.Protection
	if want.Filter != nil {
		to := rename(*want.Filter)
		if is.Filter == nil || !is.Filter.Equal(*to) {
			out.Change.Filter = &policy.AttachedChange{From: is.Filter, To: to}
		}
	} else if is.Filter != nil && in.setByUs("", is.Filter.Function) {
		out.Change.Filter = &policy.AttachedChange{From: is.Filter}
	}
	for column, a := range want.Masks {
		to := rename(a)
		if have, ok := is.Masks[column]; !ok {
			setMask(&out.Change, column, policy.AttachedChange{To: to})
		} else if !have.Equal(*to) {
			setMask(&out.Change, column, policy.AttachedChange{From: &have, To: to})
		}
	}
	for column, have := range is.Masks {
		if _, ok := want.Masks[column]; !ok && in.setByUs(column, have.Function) {
			setMask(&out.Change, column, policy.AttachedChange{From: &have})
		}
	}
	if between, f, ok := in.through(&table, &out.Change, functions); ok {
		name, exists, why := in.place(&f)
		if why != "" {
			return Outcome{Change: policy.ProtectionChange{Table: table.Securable, Kind: table.Kind}, Closed: why}
		}
		f.Name, between.Function = name, name
		out.Change.Through = &between
		if !exists {
			out.Change.Create = append(out.Change.Create, f)
		}
	}
	out.Drift = in.drift(&table, &want, &out.Change, renamed)
	out.Change.PutBack = len(out.Drift)
	out.Findings = append(out.Findings, out.Drift...)
	return out
}

// foreign says what of others a table carries where something of ours is to be.
func foreign(table *policy.TableState, want *policy.Protection, in *Inspection) string {
	say := func(what, function, filter string) string {
		if OurName(function, in.Schema) {
			return fmt.Sprintf("%s %s, which has a name of ours, and is not as we made it; drop that function, if nobody else needs it", what, function)
		}
		return fmt.Sprintf("%s %s, which is not ours; remove one of the two: that %s, or the policies", what, function, filter)
	}
	if have := table.Protection.Filter; want.Filter != nil && have != nil && !in.setByUs("", have.Function) {
		return say("it carries the row filter", have.Function, "filter")
	}
	for _, column := range slices.Sorted(maps.Keys(want.Masks)) {
		if have, ok := table.Protection.Masks[column]; ok && !in.setByUs(column, have.Function) {
			return say(fmt.Sprintf("its column %q carries the mask", column), have.Function, "mask")
		}
	}
	return ""
}

// beside says which attribute-based policy of others may filter or mask a table that is to be filtered or masked here, and adds to a
// change what of ours is to be lifted then: Unity Catalog refuses queries of a table with both.
func (in *Inspection) beside(table *policy.TableState, want *policy.Protection, others []policy.AttributePolicy, c *policy.ProtectionChange) (why string) {
	for _, o := range others {
		if !concerns(&o, table) {
			continue
		}
		is := &table.Protection
		switch {
		case o.Type == policy.AttributeRowFilter && want.Filter != nil:
			if is.Filter != nil && in.setByUs("", is.Filter.Function) {
				c.Filter = &policy.AttachedChange{From: is.Filter}
			}
		case o.Type == policy.AttributeColumnMask && len(want.Masks) > 0:
			for column, have := range is.Masks {
				if in.setByUs(column, have.Function) {
					setMask(c, column, policy.AttachedChange{From: &have})
				}
			}
		default:
			continue
		}
		if why == "" {
			why = fmt.Sprintf("the attribute-based policy %q on %s may filter or mask it too, and Unity Catalog refuses queries of a table with both; exclude the table there, or remove the policies here", o.Name, o.On)
		}
	}
	return why
}

// setMask adds to a change what becomes of the mask of a column.
func setMask(c *policy.ProtectionChange, column string, a policy.AttachedChange) {
	if c.Masks == nil {
		c.Masks = make(map[string]policy.AttachedChange)
	}
	c.Masks[column] = a
}

// concerns reports whether an attribute-based policy is on a table or what it lies in: a metastore is named by its id.
func concerns(o *policy.AttributePolicy, table *policy.TableState) bool {
	return o.On.Type == policy.Metastore || o.On.Contains(table.Securable)
}

// crossing says which policy of others masks columns that our filter is called with, or filters by those that we mask, as far as
// can be told without its conditions. The findings are on what the policy is on, so that they are the same for all tables.
func crossing(table *policy.TableState, want *policy.Protection, others []policy.AttributePolicy) []policy.Finding {
	var list []policy.Finding
	for _, o := range others {
		what := ""
		switch {
		case !concerns(&o, table):
		case o.Type == policy.AttributeColumnMask && want.Filter != nil && len(want.Filter.Arguments) > 0:
			what = "may mask a column that the row filter of a table reads"
		case o.Type == policy.AttributeRowFilter && len(want.Masks) > 0:
			what = "may filter by a column that is masked here"
		}
		if what != "" {
			list = append(list, policy.Finding{Effect: policy.EffectNone, Securable: o.On, Message: fmt.Sprintf("the attribute-based policy %q there %s; where it does, queries of that table fail for those whom it binds", o.Name, what)})
		}
	}
	return list
}

// setByUs reports whether the filter of a table, for an empty column, or the mask of a column is ours: by its function, or because the
// last sync set it and the function belongs to us still. CREATE OR REPLACE leaves the owner, and takes away the comment with our marker.
func (in *Inspection) setByUs(column, function string) bool {
	f, exists := in.Functions[function]
	return in.ours(function) || exists && OurName(function, in.Schema) && in.Self(f.Owner) && in.Was != nil && in.Was(column) == function
}

// ours reports whether a function that a table carries is ours. One that is not there any more is judged by its name.
func (in *Inspection) ours(fullName string) bool {
	f, exists := in.Functions[fullName]
	if !exists {
		return OurName(fullName, in.Schema)
	}
	return Ours(f, in.Schema, in.Self)
}

// place returns the name of a function that does what f does: its own, or where that is taken by one that does not, another.
// exists reports whether the function is there; why is not empty where there is no name left.
func (in *Inspection) place(f *policy.SQLFunction) (name string, exists bool, why string) {
	for n := 1; n <= maxRevisions; n++ {
		name = f.Name
		if n > 1 {
			name = fmt.Sprintf("%s_r%d", f.Name, n)
		}
		have, found := in.Functions[name]
		if !found {
			return name, false, ""
		}
		if in.unchanged(&have, f) {
			return name, true, ""
		}
	}
	return "", false, fmt.Sprintf("%d functions named %s are not as they were made; drop those that nothing refers to, and find out who changes them", maxRevisions, f.Name)
}

// unchanged reports whether a function is one of ours that does what f does.
func (in *Inspection) unchanged(have, f *policy.SQLFunction) bool {
	hash, ok := MadeAs(have, f, in.Self)
	if !ok ||
		len(have.Parameters) > 0 && !slices.EqualFunc(have.Parameters, f.Parameters, sameColumn) { // not every answer shows them
		return false
	}
	return SameBody(have.Body, f.Body) || in.Learned(have.Name, hash, have.Body)
}

func sameColumn(a, b policy.Column) bool {
	return strings.EqualFold(a.Name, b.Name) && strings.EqualFold(plain(a.Type), plain(b.Type))
}
