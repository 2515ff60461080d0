package attach_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ucwarden/policy"
	"ucwarden/policy/attach"
)

const (
	us     = "us@example.com"
	schema = "c.guard"
)

var orders = policy.Securable{Type: policy.Table, FullName: "c.s.orders"}

// filter returns the function for the rows of a table, and how it is attached.
func filter(table *policy.TableState) (policy.SQLFunction, policy.Protection) {
	f := policy.SQLFunction{Parameters: []policy.Column{{Name: "p1", Type: "int"}}, Returns: "boolean", Body: "p1 > 1", Owner: us}
	attach.Name(&f, schema, table, []int64{7, 3})
	return f, policy.Protection{Filter: &policy.Attached{Function: f.Name, Arguments: []policy.Argument{{Column: "n"}}}}
}

func inspect(functions ...policy.SQLFunction) *attach.Inspection {
	in := &attach.Inspection{Schema: "guard", Functions: make(map[string]policy.SQLFunction), Self: func(owner string) bool { return owner == us },
		Learned: func(string, string, string) bool { return false }}
	for _, f := range functions {
		in.Functions[f.Name] = f
	}
	return in
}

func known() policy.TableState {
	return policy.TableState{Securable: orders, ID: "0123abcd-4567-89ef-0000-000000000000", Known: true, Columns: []policy.Column{{Name: "n", Type: "int"}}}
}

// Of a function that is not there any more it is said that others dropped it, also where it was not the first of its name.
func TestDroppedRevision(t *testing.T) {
	table := known()
	f, want := filter(&table)
	carried := *want.Filter
	carried.Function += "_r3"
	table.Protection.Filter = &carried
	altered := f
	altered.Name, altered.Body = carried.Function, "TRUE"
	for done, in := range map[string]*attach.Inspection{"dropped": inspect(), "altered": inspect(altered)} {
		got := attach.Diff(table, want, []policy.SQLFunction{f}, nil, in)
		if len(got.Drift) != 1 || !strings.Contains(got.Drift[0].Message, "_r3, which others "+done+" since") {
			t.Errorf("%s: %v", done, got.Drift)
		}
	}
}

// What is there as it is to be is left; another's function under our name is left, too, and ours gets another name.
func TestPlace(t *testing.T) {
	table := known()
	f, want := filter(&table)
	diff := func(have ...policy.SQLFunction) attach.Outcome {
		return attach.Diff(table, want, []policy.SQLFunction{f}, nil, inspect(have...))
	}
	if got := diff(); len(got.Change.Create) != 1 || got.Change.Filter == nil || len(got.Drift) > 0 {
		t.Errorf("where there is nothing: %+v", got)
	}
	if got := diff(f); len(got.Change.Create) != 0 || got.Change.Filter == nil || len(got.Drift) > 0 {
		t.Errorf("where the function is there, and nobody knows of a filter: %+v", got)
	}
	changed, others := f, f
	changed.Body, others.Owner = "TRUE", "eve@example.com"
	for what, have := range map[string]policy.SQLFunction{"changed by hand": changed, "another's": others} {
		got := diff(have)
		if len(got.Change.Create) != 1 || got.Change.Create[0].Name != f.Name+"_r2" || got.Change.Filter.To.Function != f.Name+"_r2" {
			t.Errorf("%s: %+v", what, got.Change)
		}
	}
	all := []policy.SQLFunction{changed}
	for n := 2; n <= 20; n++ {
		again := changed
		again.Name = fmt.Sprintf("%s_r%d", f.Name, n)
		all = append(all, again)
	}
	if got := diff(all...); got.Closed == "" || got.Change.Statements() > 0 {
		t.Errorf("with no name left: %+v", got)
	}
}

// What others set, or may, is never replaced nor lifted.
func TestOthers(t *testing.T) {
	table := known()
	f, want := filter(&table)
	in := inspect(f)
	foreign := policy.Attached{Function: "c.other.rf"}
	table.Protection.Filter = &foreign
	if got := attach.Diff(table, want, []policy.SQLFunction{f}, nil, in); !strings.Contains(got.Closed, "c.other.rf") || got.Change.Statements() > 0 {
		t.Errorf("over another's filter: %+v", got)
	}
	if got := attach.Diff(table, policy.Protection{}, nil, nil, in); got.Change.Statements() > 0 || got.Closed != "" {
		t.Errorf("where none is wanted: %+v", got)
	}
	table.Protection.Filter = want.Filter
	if got := attach.Diff(table, policy.Protection{}, nil, nil, in); !got.Change.Lifts() {
		t.Errorf("ours is not lifted: %+v", got)
	}
	abac := policy.AttributePolicy{Name: "pii", Type: policy.AttributeRowFilter, On: policy.Securable{Type: policy.Catalog, FullName: "c"}}
	if got := attach.Diff(table, want, []policy.SQLFunction{f}, []policy.AttributePolicy{abac}, in); !strings.Contains(got.Closed, `"pii" on`) {
		t.Errorf("beside an attribute-based filter: %+v", got)
	}
	abac.On = policy.Securable{Type: policy.Metastore, FullName: "0123"}
	if got := attach.Diff(table, want, []policy.SQLFunction{f}, []policy.AttributePolicy{abac}, in); got.Closed == "" {
		t.Errorf("beside an attribute-based filter on the metastore: %+v", got)
	}
	table.Known = false
	if got := attach.Diff(table, policy.Protection{}, nil, nil, in); got.Change.Statements() > 0 {
		t.Errorf("where it is not known what it carries: %+v", got)
	}
}

// What we set is ours to replace and to lift, also where others made its function anew, so that nothing tells any more that it was ours.
func TestSetByUs(t *testing.T) {
	table := known()
	f, want := filter(&table)
	table.Protection.Filter = want.Filter
	anew := f
	anew.Comment, anew.Body = "", "TRUE"
	in := inspect(anew)
	if got := attach.Diff(table, want, []policy.SQLFunction{f}, nil, in); !strings.Contains(got.Closed, "has a name of ours, and is not as we made it; drop that function") || got.Change.Statements() > 0 {
		t.Errorf("where it is not known who set it: %+v", got)
	}
	in.Was = func(column string) string {
		if column == "" {
			return f.Name
		}
		return ""
	}
	got := attach.Diff(table, want, []policy.SQLFunction{f}, nil, in)
	if got.Closed != "" || len(got.Change.Create) != 1 || got.Change.Filter == nil || got.Change.Filter.To.Function != f.Name+"_r2" || len(got.Drift) != 1 {
		t.Errorf("where we did: %+v", got)
	}
	if got := attach.Diff(table, policy.Protection{}, nil, nil, in); !got.Change.Lifts() {
		t.Errorf("where none is wanted any more: %+v", got)
	}
	theirs := anew
	theirs.Owner = "eve@example.com"
	in.Functions[f.Name] = theirs
	if got := attach.Diff(table, want, []policy.SQLFunction{f}, nil, in); !strings.Contains(got.Closed, "is not as we made it") {
		t.Errorf("where it belongs to somebody else: %+v", got)
	}
	table.Protection.Filter = &policy.Attached{Function: "c.other.rf"}
	if got := attach.Diff(table, want, []policy.SQLFunction{f}, nil, in); !strings.Contains(got.Closed, "which is not ours") {
		t.Errorf("where others replaced it: %+v", got)
	}
}

// Names and comments hold whatever objects and policies are called.
func TestStatements(t *testing.T) {
	table := known()
	table.FullName = "c.s.od`d'\\"
	f, want := filter(&table)
	change := policy.ProtectionChange{Table: table.Securable, Create: []policy.SQLFunction{f}, Filter: &policy.AttachedChange{To: want.Filter},
		Masks: map[string]policy.AttachedChange{"a.b`c": {From: &policy.Attached{Function: "c.guard.mf_1"}}}}
	got, err := attach.StatementsOf(change)
	if err != nil {
		t.Fatal(err)
	}
	name := "`c`.`guard`.`" + f.Name[len("c.guard."):] + "`"
	if want := "ALTER TABLE `c`.`s`.`od``d'\\` SET ROW FILTER " + name + " ON (`n`)"; !slices.Equal(got.Set, []string{want}) {
		t.Errorf("set by %q, want %q", got.Set, want)
	}
	if want := "ALTER TABLE `c`.`s`.`od``d'\\` ALTER COLUMN `a.b``c` DROP MASK"; !slices.Equal(got.Lift, []string{want}) {
		t.Errorf("lifted by %q, want %q", got.Lift, want)
	}
	if !strings.HasPrefix(got.Create[0], "CREATE FUNCTION "+name+"(p1 int) RETURNS boolean COMMENT 'ucwarden/1 sha256=") || !strings.Contains(got.Create[0], `for=c.s.od`+"`"+`d\'\\ policies=3,7' RETURN p1 > 1`) {
		t.Errorf("made by %q", got.Create[0])
	}
	change.Table.FullName = "c.s.a\nb"
	if _, err := attach.StatementsOf(change); policy.CodeOf(err) != policy.CodeInvalid {
		t.Errorf("a name with a line break: %v", err)
	}
}

// Where filter and masks are replaced, what hides comes first, and between them a filter that shows the rows of both; else none.
func TestThrough(t *testing.T) {
	table := known()
	table.Columns = append(table.Columns, policy.Column{Name: "s", Type: "string"})
	before := policy.SQLFunction{Parameters: []policy.Column{{Name: "p1", Type: "string"}}, Returns: "boolean", Body: `p1 = 'p1 \' p1' OR upper(p1) = 'x'`, Owner: us}
	attach.Name(&before, schema, &table, []int64{1})
	after, want := filter(&table)
	mask := func(value string) policy.SQLFunction {
		f := policy.SQLFunction{Parameters: []policy.Column{{Name: "val", Type: "string"}}, Returns: "string", Body: value, Owner: us}
		attach.Name(&f, schema, nil, []int64{2})
		return f
	}
	one, two := mask("'1'"), mask("'2'")
	table.Protection = policy.Protection{Filter: &policy.Attached{Function: before.Name, Arguments: []policy.Argument{{Column: "s"}}}, Masks: map[string]policy.Attached{"s": {Function: one.Name}}}
	want.Masks = map[string]policy.Attached{"n": {Function: one.Name}, "s": {Function: two.Name}}
	got := attach.Diff(table, want, []policy.SQLFunction{after, one, two}, nil, inspect(before, one))
	statements, err := attach.StatementsOf(got.Change)
	if err != nil || len(statements.Set) != 4 || got.Change.Statements() != len(statements.Create)+4 {
		t.Fatalf("%d statements: %q, %v", got.Change.Statements(), statements, err)
	}
	for i, want := range []string{"COLUMN `n` SET MASK", "SET ROW FILTER", "COLUMN `s` SET MASK", "SET ROW FILTER `c`.`guard`.`" + after.Name[len(schema)+1:] + "` ON (`n`)"} {
		if !strings.Contains(statements.Set[i], want) {
			t.Errorf("statement %d is %s, want %s", i, statements.Set[i], want)
		}
	}
	between := got.Change.Create[len(got.Change.Create)-1]
	if want := `(p1 > 1) AND (qp1 = 'p1 \' p1' OR upper(qp1) = 'x')`; between.Body != want || fmt.Sprint(between.Parameters) != "[{p1 int} {qp1 string}]" || !strings.HasSuffix(statements.Set[1], " ON (`n`, `s`)") {
		t.Errorf("between is %+v, want %s; set by %s", between, want, statements.Set[1])
	}
	want.Masks = map[string]policy.Attached{"n": {Function: one.Name}, "s": {Function: one.Name}}
	if got := attach.Diff(table, want, []policy.SQLFunction{after, one}, nil, inspect(before, one)); got.Change.Through != nil {
		t.Errorf("where no mask is replaced: %+v", got.Change.Through)
	}
}
