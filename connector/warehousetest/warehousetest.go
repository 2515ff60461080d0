// Package warehousetest is a SQL warehouse in memory, for tests: it runs the statements that make functions and set or lift
// row filters and masks, and shows what tables carry. It reads statements by their form alone and evaluates nothing. Only
// tests import it.
package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"ucwarden/connector/protection"
	"ucwarden/policy"
)

// Warehouse is the warehouse with its tables and functions. The zero Warehouse is not usable; see [New].
type Warehouse struct {
	mu         sync.Mutex
	owner      string
	tables     map[string]*policy.TableState
	functions  map[string]policy.SQLFunction
	schemas    map[string]bool
	attribute  []policy.AttributePolicy
	shared     map[policy.Securable]string
	Statements []string // that were run, in order
	Reads      int      // calls of Tables, Functions, AttributePolicies and Shared
	// Fail is asked before each statement; its error is returned. With after it is asked once the statement has had its effect.
	Fail func(statement string, after bool) error
	// FailRead is asked before what a securable is or holds is read; its error is returned.
	FailRead func(of policy.Securable) error
	// FailOthers is asked before attribute-based policies are read; its error is returned.
	FailOthers func(on policy.Securable) error
	// Unusable is what Usable returns.
	Unusable error
	// Ran is called after each statement that had an effect, with the lock held.
	Ran func(statement string)
}

var (
	_ protection.Warehouse   = (*Warehouse)(nil)
	_ protection.Protections = (*Warehouse)(nil)
	_ protection.Shares      = (*Warehouse)(nil)
)

// New returns a warehouse with tables. What is made in it belongs to owner.
func New(owner string, tables ...policy.TableState) *Warehouse {
	w := &Warehouse{owner: owner, tables: make(map[string]*policy.TableState), functions: make(map[string]policy.SQLFunction), schemas: make(map[string]bool)}
	for _, t := range tables {
		w.AddTable(t)
	}
	return w
}

// AddTable adds a table, or takes the place of one.
func (w *Warehouse) AddTable(t policy.TableState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tables[t.FullName] = &t
	w.schemas[t.FullName[:strings.LastIndexByte(t.FullName, '.')]] = true
}

// AddFunction adds a function, or takes the place of one.
func (w *Warehouse) AddFunction(f policy.SQLFunction) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.functions[f.Name] = f
	w.schemas[f.Name[:strings.LastIndexByte(f.Name, '.')]] = true
}

// DropFunction drops a function, whatever refers to it.
func (w *Warehouse) DropFunction(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.functions, name)
}

// Govern adds an attribute-based policy.
func (w *Warehouse) Govern(p policy.AttributePolicy) { w.attribute = append(w.attribute, p) }

// Ungovern removes all attribute-based policies of others.
func (w *Warehouse) Ungovern() { w.attribute = nil }

// Share adds a table or schema to a share.
func (w *Warehouse) Share(of policy.Securable, share string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shared == nil {
		w.shared = make(map[policy.Securable]string)
	}
	w.shared[of] = share
}

// Table returns what a table carries.
func (w *Warehouse) Table(fullName string) policy.Protection {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tables[fullName].Protection
}

// Protect sets what a table carries, as somebody else would.
func (w *Warehouse) Protect(fullName string, p policy.Protection) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tables[fullName].Protection = p
}

// Function returns a function.
func (w *Warehouse) Function(name string) (policy.SQLFunction, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f, ok := w.functions[name]
	return f, ok
}

// FunctionNames returns the names of all functions, sorted.
func (w *Warehouse) FunctionNames() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.functions))
}

// Age makes all functions older.
func (w *Warehouse) Age(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, f := range w.functions {
		f.UpdatedAt = f.UpdatedAt.Add(-d)
		w.functions[name] = f
	}
}

const name = "(`(?:[^`]|``)+`(?:\\.`(?:[^`]|``)+`)*)"

var (
	createFunction = regexp.MustCompile(`(?s)^CREATE FUNCTION ` + name + `\((.*?)\) RETURNS (\S+(?: \S+)?) COMMENT '((?:[^'\\]|\\.)*)' RETURN (.*)$`)
	createSchema   = regexp.MustCompile(`^CREATE SCHEMA IF NOT EXISTS ` + name + ` COMMENT '`)
	setFilter      = regexp.MustCompile(`^ALTER (?:TABLE|MATERIALIZED VIEW|STREAMING TABLE) ` + name + ` SET ROW FILTER ` + name + ` ON \((.*)\)$`)
	dropFilter     = regexp.MustCompile(`^ALTER (?:TABLE|MATERIALIZED VIEW|STREAMING TABLE) ` + name + ` DROP ROW FILTER$`)
	setMask        = regexp.MustCompile(`^ALTER (?:TABLE|MATERIALIZED VIEW|STREAMING TABLE) ` + name + ` ALTER COLUMN ` + name + ` SET MASK ` + name + `(?: USING COLUMNS \((.*)\))?$`)
	dropMask       = regexp.MustCompile(`^ALTER (?:TABLE|MATERIALIZED VIEW|STREAMING TABLE) ` + name + ` ALTER COLUMN ` + name + ` DROP MASK$`)
	dropFunction   = regexp.MustCompile(`^DROP FUNCTION IF EXISTS ` + name + `$`)
)

func unquote(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.Trim(text, "`"), "`.`", "."), "``", "`")
}

func arguments(text string) []policy.Argument {
	var list []policy.Argument
	for _, part := range strings.Split(text, ", ") {
		if part != "" {
			list = append(list, policy.Argument{Column: unquote(part)})
		}
	}
	return list
}

// Execute implements protection.Warehouse.
func (w *Warehouse) Execute(ctx context.Context, text string) ([][]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "run a statement: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Statements = append(w.Statements, text)
	if w.Fail != nil {
		if err := w.Fail(text, false); err != nil {
			return nil, err
		}
	}
	if err := w.run(text); err != nil {
		return nil, err
	}
	if w.Ran != nil {
		w.Ran(text)
	}
	if w.Fail != nil {
		return nil, w.Fail(text, true)
	}
	return nil, nil
}

// Usable implements protection.Warehouse.
func (w *Warehouse) Usable(context.Context, bool) error { return w.Unusable }

func (w *Warehouse) table(quoted string) (*policy.TableState, error) {
	t := w.tables[unquote(quoted)]
	if t == nil {
		return nil, policy.Errorf(policy.CodeNotFound, "no table %s", quoted)
	}
	if t.Protection.Masks == nil {
		t.Protection.Masks = make(map[string]policy.Attached)
	}
	return t, nil
}

func (w *Warehouse) attached(function, args string) (policy.Attached, error) {
	a := policy.Attached{Function: unquote(function), Arguments: arguments(args)}
	if _, ok := w.functions[a.Function]; !ok {
		return a, policy.Errorf(policy.CodeNotFound, "no function %s", a.Function)
	}
	return a, nil
}

func (w *Warehouse) run(text string) error {
	if m := createFunction.FindStringSubmatch(text); m != nil {
		return w.create(m)
	}
	if m := createSchema.FindStringSubmatch(text); m != nil {
		w.schemas[unquote(m[1])] = true
		return nil
	}
	if m := dropFunction.FindStringSubmatch(text); m != nil {
		delete(w.functions, unquote(m[1]))
		return nil
	}
	for _, form := range []*regexp.Regexp{setFilter, dropFilter, setMask, dropMask} {
		m := form.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		t, err := w.table(m[1])
		if err != nil {
			return err
		}
		t.Protection.Masks = maps.Clone(t.Protection.Masks)
		switch form {
		case setFilter:
			a, err := w.attached(m[2], m[3])
			if err != nil {
				return err
			}
			t.Protection.Filter = &a
		case dropFilter:
			t.Protection.Filter = nil
		case setMask:
			a, err := w.attached(m[3], m[4])
			if err != nil {
				return err
			}
			t.Protection.Masks[unquote(m[2])] = a
		case dropMask:
			delete(t.Protection.Masks, unquote(m[2]))
		}
		return nil
	}
	return policy.Errorf(policy.CodeInvalid, "the statement is of no form that is known: %s", text)
}

func (w *Warehouse) create(m []string) error {
	f := policy.SQLFunction{Name: unquote(m[1]), Returns: m[3], Comment: m[4], Body: m[5], Owner: w.owner, UpdatedAt: time.Now()}
	schema := f.Name[:strings.LastIndexByte(f.Name, '.')]
	switch _, exists := w.functions[f.Name]; {
	case exists:
		return policy.Errorf(policy.CodeConflict, "the function %s exists", f.Name)
	case !w.schemas[schema]:
		return policy.Errorf(policy.CodeNotFound, "no schema %s", schema)
	}
	depth, start := 0, 0
	for i, r := range m[2] + "," {
		switch {
		case r == '(' || r == '<':
			depth++
		case r == ')' || r == '>':
			depth--
		case r == ',' && depth == 0:
			if part := strings.TrimSpace(m[2][start:i]); part != "" {
				parameter, typ, _ := strings.Cut(part, " ")
				f.Parameters = append(f.Parameters, policy.Column{Name: parameter, Type: typ})
			}
			start = i + 1
		}
	}
	w.functions[f.Name] = f
	return nil
}

var errLost = errors.New("connection lost")

// Lost returns the error of a statement of which it is not known what became.
func Lost() error { return policy.Errorf(policy.CodeUnavailable, "run a statement: %w", errLost) }

// Tables implements protection.Protections.
func (w *Warehouse) Tables(_ context.Context, of policy.Securable) ([]policy.TableState, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Reads++
	if w.FailRead != nil {
		if err := w.FailRead(of); err != nil {
			return nil, err
		}
	}
	var list []policy.TableState
	for _, name := range namesOf(w.tables, of) {
		if t := w.tables[name]; t != nil && (t.Securable == of || of.Contains(t.Securable)) {
			c := *t
			c.Protection.Masks = maps.Clone(c.Protection.Masks)
			list = append(list, c)
		}
	}
	if list == nil {
		return nil, policy.Errorf(policy.CodeNotFound, "no %s", of)
	}
	return list, nil
}

// namesOf returns the names to look at for what is of, or in it: for an object its own, so that many reads of one take no time.
func namesOf[T any](from map[string]T, of policy.Securable) []string {
	if of.Type.Depth() == 3 {
		return []string{of.FullName}
	}
	return slices.Sorted(maps.Keys(from))
}

// Functions implements protection.Protections.
func (w *Warehouse) Functions(_ context.Context, of policy.Securable) ([]policy.SQLFunction, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Reads++
	if w.FailRead != nil {
		if err := w.FailRead(of); err != nil {
			return nil, err
		}
	}
	if of.Type == policy.Schema && !w.schemas[of.FullName] {
		return nil, policy.Errorf(policy.CodeNotFound, "no %s", of)
	}
	var list []policy.SQLFunction
	for _, name := range namesOf(w.functions, of) {
		if f, ok := w.functions[name]; ok && (name == of.FullName || strings.HasPrefix(name, of.FullName+".")) {
			list = append(list, f)
		}
	}
	if list == nil && of.Type == policy.Function {
		return nil, policy.Errorf(policy.CodeNotFound, "no %s", of)
	}
	return list, nil
}

// AttributePolicies implements protection.Protections.
func (w *Warehouse) AttributePolicies(_ context.Context, on policy.Securable) ([]policy.AttributePolicy, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Reads++
	if w.FailOthers != nil {
		if err := w.FailOthers(on); err != nil {
			return nil, err
		}
	}
	var list []policy.AttributePolicy
	for _, p := range w.attribute {
		if p.On.Type == policy.Metastore || p.On.Contains(on) {
			list = append(list, p)
		}
	}
	return list, nil
}

// String lists what tables carry.
func (w *Warehouse) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, n := range slices.Sorted(maps.Keys(w.tables)) {
		p := w.tables[n].Protection
		if p.Filter != nil {
			fmt.Fprintf(&b, "%s filter %s\n", n, p.Filter.Function)
		}
		for _, c := range slices.Sorted(maps.Keys(p.Masks)) {
			fmt.Fprintf(&b, "%s mask %s %s\n", n, c, p.Masks[c].Function)
		}
	}
	return b.String()
}

// Shared implements protection.Shares.
func (w *Warehouse) Shared(context.Context) (map[policy.Securable]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Reads++
	if w.FailRead != nil {
		if err := w.FailRead(policy.Securable{Type: policy.Share}); err != nil {
			return nil, err
		}
	}
	return maps.Clone(w.shared), nil
}
