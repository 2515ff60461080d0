package suite

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/evaluate"
	"ucwarden/policy/protect"
	"ucwarden/policy/rules"
)

// Session is who reads a table, as Databricks SQL sees them.
type Session struct {
	User    string    // as session_user() returns it
	Time    time.Time // when the query begins
	InGroup func(group string) bool
}

// suiteTable is a table with rows, and what the request's user sees of them by the row filter and masks that a warehouse would enforce:
// no row unless policies allow them to read it, or it is theirs. Values are texts, numbers, booleans, or null.
type suiteTable struct {
	Columns []policy.Column `json:"columns"`
	Rows    [][]any         `json:"rows"`
	Seen    [][]any         `json:"seen"`
	Role    string          `json:"role"` // the group in whose role the user acts; empty for none
}

// problem says why the rows cannot be compared; "" when they can.
func (t *suiteTable) problem() string {
	if len(t.Columns) == 0 || len(t.Rows) == 0 || t.Seen == nil {
		return "its tableResult needs columns, rows and seen (an empty list where no row is)"
	}
	for _, row := range slices.Concat(t.Rows, t.Seen) {
		if len(row) != len(t.Columns) {
			return fmt.Sprintf("its tableResult has %d columns, and a row of %d values", len(t.Columns), len(row))
		}
	}
	return ""
}

// run compiles the policies for the table and compares what the user sees of it.
func (t *suiteTable) run(e *evaluate.Evaluator, request evaluate.Request, o Options) (problem, decision string) {
	if o.Call == nil {
		return "functions cannot be evaluated here, so what is seen of a table is not known", ""
	}
	names := make([]string, len(request.Resource))
	for i, element := range request.Resource {
		names[i] = element.Value
	}
	state := policy.TableState{ID: strings.Repeat("0", 12), Known: true, Owner: request.Owner, Columns: t.Columns}
	state.Securable = policy.Securable{Type: policy.Table, FullName: strings.Join(names, ".")}
	if len(names) != 3 {
		return "a tableResult is about a table, and its resource is none", ""
	}
	set := e.Rules()
	noAccess := t.noAccess(e, request)
	compiled := compileTable(set, &state, request.Time)
	if compiled.Closed != "" && noAccess == "" {
		return "the table is closed for whom row filters and masks bind: " + compiled.Closed, ""
	}
	session := t.session(set, request)
	var seen []string
	for _, values := range t.Rows {
		if noAccess != "" {
			break
		}
		shown, row, err := t.show(values, &compiled, session, o)
		if err != nil {
			return err.Error(), ""
		}
		if shown {
			seen = append(seen, row)
		}
	}
	var want []string
	for _, row := range t.Seen {
		want = append(want, line(texts(row)))
	}
	decision = "seen: " + strings.Join(seen, ", ")
	if !slices.Equal(seen, want) {
		problem = fmt.Sprintf("want rows [%s], got [%s]", strings.Join(want, ", "), strings.Join(seen, ", "))
		if noAccess != "" {
			return problem + ": " + noAccess, decision
		}
		for _, f := range compiled.Functions {
			problem += fmt.Sprintf("; by %s", strings.Join(strings.Fields(f.Body), " "))
		}
		for _, f := range compiled.Findings {
			if f.Effect == policy.EffectNarrower {
				problem += "; " + f.String()
			}
		}
	}
	return problem, decision
}

// compileTable compiles the row filter and masks of a table, with what hides its rows from the denied of groups that may read it.
func compileTable(set *rules.RuleSet, table *policy.TableState, at time.Time) protect.Desired {
	inventory := policy.NewInventory(policy.Object{Securable: table.Securable, Owner: table.Owner})
	compiler := compile.New(set, compile.Options{Time: at, Deny: []compile.DenyStrategy{compile.DenyFilter, compile.DenyWithhold}, Protects: true})
	protector := protect.New(set, protect.Options{Time: at, Schema: "test"})
	denied := compiler.Denied(inventory)[table.Securable]
	if denied != nil && protector.CanDeny(denied) != nil {
		denied = nil // whom it is withheld from then see nothing, which is up to grants
	}
	return protector.Compile(*table, denied)
}

// noAccess says why whoever reads the table has no access to it, whatever its filter shows: policies deny it, or none allows it; "" where
// they have. In the role of a group that is asked of the group alone. An owner needs no grant.
func (t *suiteTable) noAccess(e *evaluate.Evaluator, request evaluate.Request) string {
	who := "the user"
	if t.Role != "" {
		who = fmt.Sprintf("the group %q, in whose role they act,", t.Role)
		request.User, request.Groups, request.Roles = "", []string{t.Role}, nil
	}
	request.AccessType = strings.ToLower(string(policy.Select))
	switch d := e.Evaluate(request); {
	case d.Outcome == evaluate.Denied: // by the filter, or since it is not granted
		return who + " is denied SELECT" + deniedBy(d)
	case d.Outcome == evaluate.Allowed:
	case request.User == "" || policy.FoldPrincipal(request.User) != policy.FoldPrincipal(request.Owner):
		return who + " has no access: no policy allows SELECT on the table"
	}
	return ""
}

func deniedBy(d evaluate.Decision) string {
	if d.Policy == nil {
		return ""
	}
	return fmt.Sprintf(" by policy %d %q", d.Policy.ID, d.Policy.Name)
}

// session returns the session of a request's user, with the groups that they are in by the request or the user store.
func (t *suiteTable) session(set *rules.RuleSet, request evaluate.Request) Session {
	if t.Role != "" {
		return Session{User: set.Subjects.PrincipalOf(rules.SubjectGroup, t.Role).Name, Time: request.Time, InGroup: func(string) bool { return false }}
	}
	groups := request.Groups
	if groups == nil {
		groups, _ = set.Members.GroupNames(request.User)
	}
	in := make(map[string]bool)
	held := []rules.SubjectID{rules.Everyone, set.Subjects.ID(rules.SubjectUser, request.User)}
	for _, g := range groups {
		in[set.Subjects.PrincipalOf(rules.SubjectGroup, g).Name] = true
		held = append(held, set.Subjects.ID(rules.SubjectGroup, g))
	}
	for _, id := range held {
		for _, role := range set.Members.RolesOf(id) { // each a group of its name in the workspace
			in[set.Subjects.Principal(role).Name] = true
		}
	}
	return Session{User: set.Subjects.PrincipalOf(rules.SubjectUser, request.User).Name, Time: request.Time, InGroup: func(group string) bool { return in[group] }}
}

// show returns whether a row is seen, and its values as they are.
func (t *suiteTable) show(values []any, d *protect.Desired, session Session, o Options) (shown bool, row string, err error) {
	have := texts(values)
	call := func(a policy.Attached, self *string, masks bool) (*string, error) {
		f := d.Functions[slices.IndexFunc(d.Functions, func(f policy.SQLFunction) bool { return f.Name == a.Function })]
		var arguments []*string
		if masks {
			arguments = append(arguments, self)
		}
		for _, argument := range a.Arguments {
			arguments = append(arguments, have[slices.IndexFunc(t.Columns, func(c policy.Column) bool { return strings.EqualFold(c.Name, argument.Column) })])
		}
		return o.Call(f, session, arguments)
	}
	if f := d.Protection.Filter; f != nil {
		if v, err := call(*f, nil, false); err != nil || v == nil || *v != "true" {
			return false, "", err
		}
	}
	out := slices.Clone(have)
	for i, column := range t.Columns {
		if m, ok := d.Protection.Masks[strings.ToLower(column.Name)]; ok {
			if out[i], err = call(m, have[i], true); err != nil {
				return false, "", err
			}
		}
	}
	return true, line(out), nil
}

// texts returns values as texts, nil for null.
func texts(row []any) []*string {
	list := make([]*string, len(row))
	for i, v := range row {
		if v == nil {
			continue
		}
		text, isText := v.(string)
		if !isText {
			data, err := json.Marshal(v)
			if err != nil {
				continue // what was read from JSON can be written
			}
			text = string(data)
		}
		list[i] = &text
	}
	return list
}

func line(row []*string) string {
	list := make([]string, len(row))
	for i, v := range row {
		if list[i] = "null"; v != nil {
			list[i] = *v
		}
	}
	return "(" + strings.Join(list, ", ") + ")"
}
