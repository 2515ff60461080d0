package protect

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/attach"
	"ucwarden/policy/judge"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
	"ucwarden/policy/sqlexpr"
)

// Options say how policies become functions.
type Options struct {
	Time   time.Time // at which validity is judged; the zero time takes every schedule as open
	Schema string    // the name of our schema in each catalog
	// Resolve returns the principal of a subject, and whether the workspace is known to have it.
	Resolve func(rules.SubjectID) (p policy.Principal, listed bool)
	// Members returns the users and service principals that the workspace knows to be in a group, directly or through others,
	// and whether these are all; nil knows none.
	Members func(group policy.Principal) (names []string, all bool)
	// Within returns the groups that the workspace knows to be in a group, directly or through others, and whether these are all; nil
	// knows none. Whoever is in one of them may read what the group may, in its role too.
	Within func(group policy.Principal) (groups []policy.Principal, all bool)
	// Exempt are whom no filter and no mask binds: the identities that pipelines run as, break-glass accounts.
	Exempt []policy.Principal
	// MaskOther takes the place of characters that are no letter of an upper and lower case and no digit, where text is
	// masked; empty keeps them.
	MaskOther string
	// MaxNamed is how many users are written out where a group or an attribute has to be: 0 is 500.
	MaxNamed int
	// NameMembers is up to how many known members of a group are written out beside its name, so that what binds the group binds
	// them also once it has another name; 0 writes out none.
	NameMembers int
	// Groups are those of the workspace, in whose roles somebody may act.
	Groups []policy.Principal
	// Columns has masks show NULL of the other columns to those whom policies allow some columns of a table.
	Columns bool
	// ElseClosed shows no row of a table that is protected to those whom no policy allows to read it, nor in the role of a group.
	ElseClosed bool
}

// Protector compiles the row filters and masks of one rule set. It is never changed once made, and may be used by many
// goroutines at once.
type Protector struct {
	set     *rules.RuleSet
	options Options
	mapped  bool // policies know some users by other names than the workspace

	judgeOnce, allOnce sync.Once
	memberships        *judge.Judge
	all                []role // see groups
	allAt              map[policy.Principal]int
	held, allHeld      sync.Map // by holds, by heldBy
	members            sync.Map // by group, as the workspace knows them
	memberLists        sync.Map // by subject, as policies and the workspace know them
	nestings           sync.Map // by principal of a group, see nestedIn
}

// New returns a Protector.
func New(set *rules.RuleSet, o Options) *Protector {
	if o.MaxNamed == 0 {
		o.MaxNamed = 500
	}
	if o.Resolve == nil {
		o.Resolve = func(id rules.SubjectID) (policy.Principal, bool) { return set.Subjects.Principal(id), true }
	}
	p := &Protector{set: set, options: o}
	p.mapped = set.Snapshot.Users != nil && len(set.Snapshot.Users.UserCloudIDMapping) > 0
	return p
}

// Desired is what a table is to carry.
type Desired struct {
	Protection policy.Protection
	Functions  []policy.SQLFunction // that it refers to, with names and comments; the function for rows first
	// Closed says why the table cannot be protected as policies say, so that it must stay closed for whom they bind. Protection
	// and Functions are empty then.
	Closed string
	// Columns says that masks show NULL of the other columns to those whom policies allow some columns of the table.
	Columns  bool
	Findings []policy.Finding
	Refused  []Refusal
	bound    []boundItem
}

// boundItem is an item of a policy that is about the table.
type boundItem struct {
	policy *ranger.Policy
	item   *rules.Item // nil for its denies
}

// place says where in its policy an item stands.
func place(item *rules.Item) string {
	if item == nil {
		return "its denies"
	}
	return fmt.Sprintf("%s[%d]", item.Kind, item.Index)
}

// bind notes the items that are about the table.
func (c *compilation) bind(branches []branch) {
	for i := range branches {
		c.note(boundItem{branches[i].policy.Source, branches[i].item})
	}
}

func (c *compilation) note(b boundItem) {
	if !slices.Contains(c.out.bound, b) {
		c.out.bound = append(c.out.bound, b)
	}
}

// Concerns reports whether policies set a row filter on a table, or a mask on some column of it, as far as can be told
// without its columns: it errs on the side of yes.
func (p *Protector) Concerns(table policy.Object) bool {
	resource, ok := p.resource(table)
	return ok && policy.ClassOf(table) == policy.ClassTable &&
		(p.mayConcern(ranger.PolicyTypeRowFilter, resource) || p.mayConcern(ranger.PolicyTypeDataMask, resource) || len(p.columnAllows(resource).who) > 0)
}

// Compile returns what a table is to carry. denied, which may be nil, are persons whom its filter shows no row besides.
func (p *Protector) Compile(table policy.TableState, denied *judge.Denials) Desired {
	return p.CompileOver(table, denied, nil)
}

// CompileOver is Compile for a table that carries some of functions, which are by full name: one of them stays where it differs only in
// that it does not name some of those who have joined a group since, as long as these are few. The group's name binds them.
func (p *Protector) CompileOver(table policy.TableState, denied *judge.Denials, functions map[string]policy.SQLFunction) Desired {
	c := &compilation{Protector: p, table: &table, functions: functions}
	c.limitColumns()
	var err error
	for i := range table.Columns {
		err = cmp.Or(err, c.mask(&table.Columns[i]))
	}
	err = cmp.Or(err, c.filter(denied))
	if err == nil && len(c.out.Functions) > 0 {
		err = c.carries()
	}
	if err != nil {
		c.out.Close(err.Error())
	}
	slices.SortStableFunc(c.out.bound, func(a, b boundItem) int { return cmp.Compare(a.policy.ID, b.policy.ID) })
	return c.out
}

// Binds reports whether policies bind somebody on the table: whether Compile returns functions, or why there are none.
func (d *Desired) Binds() bool { return len(d.Functions) > 0 || d.Closed != "" }

// compilation is the work on one table.
type compilation struct {
	*Protector
	table   *policy.TableState
	out     Desired
	readers rules.SubjectSet // see mayRead; nil before it was asked
	// limited is the condition for those whom policies allow some columns; empty where nobody is limited to these.
	limited       string
	columnReaders columnReaders
	functions     map[string]policy.SQLFunction // see CompileOver
	joined        namedMembers
}

// carries returns an error where the table cannot carry what was compiled.
func (c *compilation) carries() error {
	switch t := c.table; {
	case !t.Kind.CanBeProtected():
		return fmt.Errorf("%s cannot carry a row filter or mask", kindWords[t.Kind])
	case t.Unprotectable != "":
		return errors.New(t.Unprotectable)
	case !t.Known:
		return errors.New("the workspace does not show what row filter and masks it carries; grant the connector's identity MANAGE on it")
	case t.ID == "":
		return errors.New("the workspace does not show its id")
	}
	return nil
}

var kindWords = map[policy.Kind]string{policy.KindView: "a view", policy.KindModel: "a model"}

func (c *compilation) find(b *branch, effect policy.Effect, format string, args ...any) {
	f := policy.Finding{PolicyID: b.policy.Source.ID, Policy: b.policy.Source.Name, Effect: effect, Securable: c.table.Securable, Message: fmt.Sprintf(format, args...)}
	if !slices.Contains(c.out.Findings, f) {
		c.out.Findings = append(c.out.Findings, f)
	}
}

// function is the body of a function in the making.
type function struct {
	whens    []when
	policies []int64
	decided  map[string]bool // groups in whose roles it is decided what is shown
}

type when struct{ condition, value string }

func (f *function) add(condition, value string, of *branch) {
	f.whens = append(f.whens, when{condition, value})
	if of != nil && !slices.Contains(f.policies, of.policy.Source.ID) {
		f.policies = append(f.policies, of.policy.Source.ID)
	}
}

// body returns the CASE; empty where it always has the value of otherwise.
func (f *function) body(otherwise string) string {
	whens := f.whens
	if n := len(whens); n > 0 && whens[n-1].condition == "TRUE" {
		otherwise, whens = whens[n-1].value, whens[:n-1]
	}
	for len(whens) > 0 && whens[len(whens)-1].value == otherwise {
		whens = whens[:len(whens)-1]
	}
	if len(whens) == 0 {
		return otherwise
	}
	var b strings.Builder
	b.WriteString("CASE")
	for _, w := range whens {
		b.WriteString("\n  WHEN " + w.condition + " THEN " + w.value)
	}
	b.WriteString("\n  ELSE " + otherwise + "\nEND")
	return b.String()
}

// condition returns for whom a branch is, as SQL, and the groups in whose roles it is; with members, it names who is in the groups
// besides.
func (c *compilation) condition(b *branch, members bool) (text string, roles []string, err error) {
	var parts []string
	for _, item := range []*rules.Item{b.item, b.also} {
		if item == nil {
			continue
		}
		who, err := c.named(item, c.table)
		if err != nil {
			return "", nil, itemError(b, err)
		}
		if members {
			c.nameMembers(&who, item.Who)
		}
		part, err := who.SQL()
		if err != nil {
			return "", nil, itemError(b, err)
		}
		parts, roles = append(parts, part), who.groups
	}
	if b.also != nil {
		return "(" + parts[0] + " AND " + parts[1] + ")", nil, nil
	}
	return parts[0], roles, nil
}

func itemError(b *branch, err error) error {
	return fmt.Errorf("policy %d %q, %s[%d]: %w", b.policy.Source.ID, b.policy.Source.Name, b.item.Kind, b.item.Index, err)
}

// shown is what a function returns where no item decides, or where who asks cannot be told.
type shown struct {
	open, hidden string // as SQL
	words        string // what hidden is, for findings
}

// walk adds, for each branch, for whom it is and the value that value returns, until one is for everybody. Those whom a branch binds
// stay bound in the role of a group and, as far as who is in a group is known, when it is given another name.
func (c *compilation) walk(f *function, branches []branch, otherwise shown, value func(*branch) string) error {
	for i := range branches {
		b := &branches[i]
		text, roles, err := c.condition(b, false)
		if err != nil {
			return err
		}
		if text == "FALSE" {
			continue
		}
		v := value(b)
		if v != otherwise.open {
			if text, roles, err = c.condition(b, true); err != nil {
				return err
			}
		}
		f.add(text, v, b)
		if text == "TRUE" {
			break
		}
		for _, group := range roles {
			f.decide(group)
		}
		if v == otherwise.open {
			continue
		}
		if err := c.hideRoles(f, b, otherwise); err != nil {
			return err
		}
	}
	return nil
}

// exemptFrom adds that those who are exempt see the value of what they are exempt from unchanged.
func (c *compilation) exemptFrom(f *function, value string) error {
	who := c.exempt()
	if who.empty() {
		return nil
	}
	text, err := who.SQL()
	if err != nil {
		return fmt.Errorf("a name that is exempt: %w", err)
	}
	f.add(text, value, nil)
	return nil
}

func (p *Protector) exempt() persons {
	var w persons
	for _, e := range p.options.Exempt {
		if e.Kind == policy.Group {
			w.groups = append(w.groups, e.Name)
		} else {
			w.addUser(e.Name)
		}
	}
	w.sort()
	return w
}

// filter compiles the row filter of the table, if it needs one.
func (c *compilation) filter(denied *judge.Denials) error {
	resource, ok := c.resource(c.object())
	if !ok {
		return nil
	}
	fn, arguments, err := c.settle(c.table.Protection.Filter, func() (policy.SQLFunction, []policy.Argument, error) {
		return c.filterFunction(resource, denied)
	})
	if err != nil || fn.Name == "" {
		return err
	}
	c.out.Functions = slices.Insert(c.out.Functions, 0, fn)
	c.out.Protection.Filter = &policy.Attached{Function: fn.Name, Arguments: arguments}
	return nil
}

// filterFunction returns the function for the rows of the table, and what it is called with; one without a name where none is needed.
func (c *compilation) filterFunction(resource match.Resource, denied *judge.Denials) (fn policy.SQLFunction, arguments []policy.Argument, err error) {
	f := &function{}
	columns := &parameters{table: c.table}
	if err := c.exemptFrom(f, "TRUE"); err != nil {
		return fn, nil, err
	}
	if denied != nil {
		if err := c.deny(f, denied); err != nil {
			return fn, nil, err
		}
	}
	if err := c.missing(f, resource); err != nil {
		return fn, nil, err
	}
	branches := c.branches(ranger.PolicyTypeRowFilter, resource)
	c.bind(branches)
	if err := c.walk(f, branches, noRow, func(b *branch) string { return c.rows(b, columns) }); err != nil {
		return fn, nil, err
	}
	body := f.body("TRUE")
	if c.options.ElseClosed && (body != "TRUE" || len(c.out.Functions) > 0) {
		if err := c.elseClosed(f); err != nil {
			return fn, nil, err
		}
		body = f.body("FALSE")
	}
	if body == "TRUE" {
		return fn, nil, nil
	}
	list, err := columns.list()
	if err != nil {
		return fn, nil, err
	}
	fn = policy.SQLFunction{Parameters: list, Returns: "boolean", Body: body}
	attach.Name(&fn, c.schema(), c.table, f.policies)
	return fn, columns.arguments(), nil
}

// noRow is what filters show.
var noRow = shown{open: "TRUE", hidden: "FALSE", words: "no row"}

// schema returns the full name of our schema, in which functions of the table lie.
func (c *compilation) schema() string { return c.table.Names()[0] + "." + c.options.Schema }

func (c *compilation) object() policy.Object {
	return policy.Object{Securable: c.table.Securable, Kind: c.table.Kind, Owner: c.table.Owner}
}

// rows returns which rows whoever a branch is for sees, as SQL.
func (c *compilation) rows(b *branch, columns *parameters) string {
	refuse := func(why string) string {
		c.refuse(b, "", why)
		return "FALSE"
	}
	text := b.item.Filter.FilterExpr
	switch {
	case b.doubtful != "":
		return refuse(b.doubtful)
	case len(b.item.Conditions) > 0:
		return refuse("it holds only under a condition (" + b.item.DescribeConditions() + ")")
	case strings.TrimSpace(text) == "":
		return "TRUE"
	}
	e, m, err := c.parse(b, text, sqlexpr.Options{Columns: c.table.Columns})
	if err != nil {
		return refuse(err.Error())
	}
	if e.Kind() != sqlexpr.Bool && e.Kind() != sqlexpr.Null {
		return refuse(fmt.Sprintf("at character 1: it is a %s, not a condition", e.Kind()))
	}
	env, err := c.env(b, e, m, columns)
	if err != nil {
		return refuse(err.Error())
	}
	out, err := write(e, env)
	if err != nil {
		return refuse(err.Error())
	}
	c.noteTimes(b, e, "its filter")
	return "coalesce(" + out + ", FALSE)"
}

// parameters are the columns that a function is called with, each under a name of ours.
type parameters struct {
	table *policy.TableState
	names []string // of columns, as the table has them
	self  *policy.Column
}

func (p *parameters) of(column string) string {
	i := slices.Index(p.names, column)
	if i < 0 {
		i = len(p.names)
		p.names = append(p.names, column)
	}
	return fmt.Sprintf("p%d", i+1)
}

func (p *parameters) list() ([]policy.Column, error) {
	var list []policy.Column
	if p.self != nil {
		list = append(list, policy.Column{Name: "val", Type: p.self.Type})
	}
	for i, name := range p.names {
		c, ok := p.table.Column(name)
		if !ok {
			return nil, fmt.Errorf("it has no column %q any more", name)
		}
		list = append(list, policy.Column{Name: fmt.Sprintf("p%d", i+1), Type: c.Type})
	}
	for _, c := range list {
		if _, err := sqlexpr.TypeName(c.Type); err != nil {
			return nil, fmt.Errorf("a column that a policy names cannot be passed to a function: %w", err)
		}
	}
	return list, nil
}

func (p *parameters) arguments() []policy.Argument {
	var list []policy.Argument
	for _, name := range p.names {
		list = append(list, policy.Argument{Column: strings.ToLower(name)})
	}
	return list
}

// resourceOfColumn returns a column of the table in the words of the service definition.
func (c *compilation) resourceOfColumn(column string) (match.Resource, bool) {
	return c.set.Model.ColumnOf(c.object(), column)
}
