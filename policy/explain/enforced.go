package explain

import (
	"maps"
	"slices"

	"ucwarden/policy"
	"ucwarden/policy/attach"
	"ucwarden/policy/compile"
	"ucwarden/policy/protect"
	"ucwarden/policy/rules"
)

// EnforcedProtection is a row filter or mask by which Unity Catalog enforces what policies say of a table, for everybody.
type EnforcedProtection struct {
	Column   string     `json:"column,omitempty"` // of a mask; empty for the row filter
	Function string     `json:"function"`
	State    GrantState `json:"state"`
	Body     string     `json:"body"` // the expression that the function returns
}

// enforced returns what is enforced on the object once a sync has run, and notes by what.
func (x *explainer) enforced(inventory *policy.Inventory) compile.Enforced {
	table, object := x.question.Table, x.question.Object
	if table == nil {
		return compile.Enforced{}
	}
	o := x.question.Protect
	o.Time = x.options.Time
	o.Resolve = func(id rules.SubjectID) (policy.Principal, bool) { return x.compiler.Principal(id) }
	if x.options.Directory != nil {
		o.Members, o.Within, o.Groups = x.options.Directory.UsersIn, x.options.Directory.GroupsIn, x.options.Directory.Groups()
	}
	protector := protect.New(x.rules, o)
	denied := x.compiler.Denied(inventory)[object.Securable]
	if denied != nil {
		if err := protector.CanDeny(denied); err != nil {
			x.note("a row filter cannot hide its rows from those who are denied them (strategy filter): %v", err)
			denied = nil
		}
	}
	if !protector.Concerns(object) && denied == nil {
		return compile.Enforced{}
	}
	desired := protector.CompileOver(*table, denied, x.question.Functions)
	x.refused = desired.Refused
	closed := desired.Closed
	if closed == "" { // which functions there are is not known here, so ours are told by their names
		closed = attach.Diff(*table, desired.Protection, desired.Functions, x.question.Others, &attach.Inspection{Schema: o.Schema}).Closed
	}
	if closed != "" {
		desired.Close(closed)
	}
	for _, f := range desired.Findings {
		x.note("%s", f)
	}
	if closed != "" {
		x.note("%s", protect.NotProtected(closed))
		x.closed = true
		return compile.Enforced{}
	}
	state := func(want policy.Attached, have *policy.Attached) GrantState {
		if have != nil && have.Equal(want) {
			return GrantInSync
		}
		return GrantMissing
	}
	body := func(name string) string {
		i := slices.IndexFunc(desired.Functions, func(f policy.SQLFunction) bool { return f.Name == name })
		return desired.Functions[i].Body
	}
	if f := desired.Protection.Filter; f != nil {
		x.out.Enforced = append(x.out.Enforced, EnforcedProtection{Function: f.Function, State: state(*f, table.Protection.Filter), Body: body(f.Function)})
	}
	for _, column := range slices.Sorted(maps.Keys(desired.Protection.Masks)) {
		want := desired.Protection.Masks[column]
		var have *policy.Attached
		if m, ok := table.Protection.Masks[column]; ok {
			have = &m
		}
		x.out.Enforced = append(x.out.Enforced, EnforcedProtection{Column: column, Function: want.Function, State: state(want, have), Body: body(want.Function)})
	}
	of := map[policy.Securable]bool{object.Securable: true}
	return compile.Enforced{Protected: of, Denied: map[policy.Securable]bool{object.Securable: denied != nil}, Columns: map[policy.Securable]bool{object.Securable: desired.Columns}}
}
