package protection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"ucwarden/connector/load"
	"ucwarden/connector/memory"
	"ucwarden/group"
	"ucwarden/policy"
	"ucwarden/policy/attach"
	"ucwarden/policy/judge"
	"ucwarden/policy/protect"
)

// Options say what a Worker works with.
type Options struct {
	Warehouse Warehouse
	Reader    Protections
	Shares    Shares // what is shared with others; nil takes nothing for shared
	Schema    string // the name of our schema in each catalog
	// Self is our identity, which owns what we make; empty where it is not known: then nothing there is is taken for ours.
	Self     string
	Parallel int // how many tables are worked on at once
	// Backoff is how long statements that failed in a way that may pass wait before they are sent a third time, twice that before a
	// fourth; 0 is half a second.
	Backoff time.Duration
	Memory  *memory.Memory // what was learned of functions that were made; nil forgets it
	Logger  *slog.Logger
}

// Worker plans and applies protection. It may be used by many goroutines at once.
type Worker struct {
	Options

	mu       sync.Mutex
	failed   map[policy.Securable]failure
	carriers map[string]*carriers // by catalog
}

// errNotShown says that the workspace does not show what some table carries.
var errNotShown = errors.New("the workspace does not show what a table carries")

// New returns a Worker.
func New(o Options) *Worker {
	o.Parallel, o.Backoff = cmp.Or(o.Parallel, 32), cmp.Or(o.Backoff, 500*time.Millisecond)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Worker{Options: o, failed: make(map[policy.Securable]failure), carriers: make(map[string]*carriers)}
}

// Request says what to plan.
type Request struct {
	Protector *protect.Protector
	Reader    Protections // in place of the Worker's; nil for that
	Inventory *policy.Inventory
	Whole     []policy.Securable // catalogs of which the inventory holds everything
	InScope   func(policy.Securable) bool
	Try       bool // the plan is all that is wanted, so that whether the warehouse takes statements is to be found out by one without effect
	TryAgain  bool // tables that could not be protected are tried again at once
	// ElseClosed are tables of which a filter that shows no row to whom policies do not allow it is set, whatever the Protector's options say.
	ElseClosed map[policy.Securable]bool
	// Denied returns whom a table's filter shows no row besides; nil where that is nobody.
	Denied func(policy.Securable) *judge.Denials
}

// Plan is what is to be done about protection.
type Plan struct {
	// Protected are the tables whose filters and masks are enforced once Changes are applied, or already.
	Protected map[policy.Securable]bool
	// Bound are the tables on which policies bind somebody, protected or closed.
	Bound map[policy.Securable]bool
	// Columns are those whose masks show NULL of the other columns to those who are allowed some.
	Columns map[policy.Securable]bool
	Changes []policy.ProtectionChange // sorted by table
	Drop    []string                  // functions that nothing refers to any more
	// Statements is how many SQL statements that takes, with those that make our schemas and what tables share.
	Statements int
	Findings   []policy.Finding
	// Unread are tables of which it could not be read what they carry, though it may be later. They count as protected, since
	// nothing may be changed on them until they were read.
	Unread []load.LeftOut
	// Unprotected are tables that could not be protected a while ago, and so are closed.
	Unprotected []load.LeftOut
	Conflicts   []Conflict // sorted by table
}

// KeepOn takes from the plan what lifts filters and masks of the tables that on reports, and says which and why: somebody holds SELECT
// there whom no policy allows it, or may, and would see more.
func (p *Plan) KeepOn(on func(table policy.Securable) bool, why string) {
	var kept []policy.Securable
	for i, c := range p.Changes {
		if c.Lifts() && on(c.Table) {
			p.Changes[i] = c.WithoutLifts()
			p.Statements -= c.Statements() - p.Changes[i].Statements()
			kept = append(kept, c.Table)
		}
	}
	p.Changes = slices.DeleteFunc(p.Changes, func(c policy.ProtectionChange) bool { return c.Statements() == 0 })
	if len(kept) > 0 {
		p.Findings = append(p.Findings, policy.Finding{Effect: policy.EffectNarrower, Securable: kept[0], Count: len(kept) - 1,
			Message: "row filters and masks " + why})
	}
}

// planning is the work on one plan.
type planning struct {
	*Worker
	Request
	mu        sync.Mutex
	out       *Plan
	functions map[string]policy.SQLFunction // of our schemas
	used      map[string]bool               // functions that tables carry or are to carry
	seen      map[policy.Securable]bool     // schemas all of whose tables were read
	absent    map[string]bool               // catalogs that do not have our schema yet
	unread    map[string]error              // catalogs of which something could not be read, and why
	looked    map[policy.Securable]bool     // tables of which it was read what they carry
	own       map[policy.Securable]bool     // tables of which the attribute-based policies on themselves are read in any case

	elseClosed func() *protect.Protector // made once

	unseen     map[string][]policy.Securable // of which attribute-based policies could not be read, by what that means
	sharedOnce sync.Once                     // see shared
	sharedBy   map[policy.Securable]string
	sharedErr  error
}

// Plan reads the tables that policies are about, and returns what is to be changed on them. What cannot be read closes the
// tables it is about and is a finding; an error says that ctx has ended.
func (w *Worker) Plan(ctx context.Context, r Request) (*Plan, error) {
	if r.Reader == nil {
		r.Reader = w.Reader
	}
	p := &planning{Worker: w, Request: r, out: &Plan{Protected: make(map[policy.Securable]bool), Bound: make(map[policy.Securable]bool), Columns: make(map[policy.Securable]bool)}, functions: make(map[string]policy.SQLFunction),
		used: make(map[string]bool), seen: make(map[policy.Securable]bool), unread: make(map[string]error), absent: make(map[string]bool),
		unseen: make(map[string][]policy.Securable), looked: make(map[policy.Securable]bool)}
	p.elseClosed = sync.OnceValue(r.Protector.ElseClosed)
	bySchema := make(map[policy.Securable][]policy.Object)
	catalogs := make(map[string]bool)
	for _, c := range r.Whole {
		catalogs[c.FullName] = true
	}
	var rest []policy.Securable // tables that policies are not about
	for o := range r.Inventory.Objects {
		if o.Type != policy.Table || !r.InScope(o.Securable) {
			continue
		}
		if !p.concerns(o) {
			rest = append(rest, o.Securable)
			continue
		}
		if !o.Kind.CanBeProtected() {
			continue // closed as ever: what is enforced below it is another's
		}
		schema, _ := o.Parent()
		bySchema[schema] = append(bySchema[schema], o)
		catalogs[o.Names()[0]] = true
	}
	p.mayCarry(rest, catalogs)
	if err := p.readFunctions(ctx, slices.Sorted(maps.Keys(catalogs))); err != nil {
		return nil, err
	}
	p.own = someOf(bySchema, maxOwn)
	schemas := slices.SortedFunc(maps.Keys(bySchema), policy.Securable.Compare)
	if err := p.each(ctx, len(schemas), func(ctx context.Context, i int) { p.schema(ctx, schemas[i], bySchema[schemas[i]]) }); err != nil {
		return nil, err
	}
	if err := p.readOthers(ctx, bySchema); err != nil {
		return nil, err
	}
	for _, c := range slices.Sorted(maps.Keys(catalogs)) {
		if err := p.leftovers(ctx, c, slices.ContainsFunc(r.Whole, func(whole policy.Securable) bool { return whole.FullName == c })); err != nil {
			return nil, err
		}
	}
	p.findExempt()
	p.out.Statements = p.statements()
	slices.SortFunc(p.out.Changes, func(a, b policy.ProtectionChange) int { return a.Table.Compare(b.Table) })
	p.noteWarehouse(ctx)
	slices.SortStableFunc(p.out.Conflicts, func(a, b Conflict) int { return a.Table.Compare(b.Table) })
	p.noteUnseen()
	var said policy.Report // what holds of many tables is said once
	said.Merge(p.out.Findings)
	p.out.Findings = said.Findings
	return p.out, nil
}

// concerns reports whether a table may have to carry something: by policies on its rows or columns, or for those who are denied it.
func (p *planning) concerns(o policy.Object) bool {
	return p.Protector.Concerns(o) || p.Denied != nil && p.Denied(o.Securable) != nil
}

// each calls do for 0 to n-1, some at once. The error says that ctx has ended.
func (w *Worker) each(ctx context.Context, n int, do func(context.Context, int)) error {
	g := group.New()
	g.SetLimit(w.Parallel)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			do(ctx, i)
			return nil
		})
	}
	_ = g.Wait() // no function fails
	return ctx.Err()
}

func (p *planning) find(effect policy.Effect, on policy.Securable, format string, args ...any) {
	p.out.Findings = append(p.out.Findings, policy.Finding{Effect: effect, Securable: on, Message: fmt.Sprintf(format, args...)})
}

// schemaIn returns our schema in a catalog.
func (w *Worker) schemaIn(catalog string) policy.Securable {
	return policy.Securable{Type: policy.Schema, FullName: catalog + "." + w.Schema}
}

// readFunctions reads the functions in our schema of each catalog.
func (p *planning) readFunctions(ctx context.Context, catalogs []string) error {
	return p.each(ctx, len(catalogs), func(ctx context.Context, i int) {
		catalog := catalogs[i]
		list, err := p.Reader.Functions(ctx, p.schemaIn(catalog))
		p.mu.Lock()
		defer p.mu.Unlock()
		if err != nil && policy.CodeOf(err) != policy.CodeNotFound {
			p.unread[catalog] = err
			if ctx.Err() == nil && !policy.CodeOf(err).Retryable() {
				p.find(policy.EffectNarrower, p.schemaIn(catalog), "the functions there cannot be read, so tables that policies filter or mask stay closed for whom they bind: %v", err)
			}
			return
		}
		p.absent[catalog] = err != nil
		for _, f := range list {
			p.functions[f.Name] = f
		}
	})
}

// statements counts the statements of the plan.
func (p *planning) statements() int {
	n := len(p.out.Drop)
	made := make(map[string]bool)
	for i := range p.out.Changes {
		c := &p.out.Changes[i]
		n += c.Statements() - len(c.Create)
		for _, f := range c.Create {
			if !made[f.Name] {
				made[f.Name] = true
				n++
			}
			if catalog, _, _ := strings.Cut(f.Name, "."); p.absent[catalog] {
				p.absent[catalog] = false
				n++
			}
		}
	}
	return n
}

// fewTables is up to how many tables of a schema are read one by one.
const fewTables = 3

// schema plans the tables of a schema that policies are about.
func (p *planning) schema(ctx context.Context, schema policy.Securable, tables []policy.Object) {
	catalog := schema.Names()[0]
	p.mu.Lock()
	unread := p.unread[catalog]
	p.mu.Unlock()
	if unread != nil {
		for _, o := range tables {
			p.leave(ctx, o.Securable, fmt.Errorf("read the functions in %s: %w", p.schemaIn(catalog), unread))
		}
		return
	}
	others, err := p.Reader.AttributePolicies(ctx, schema)
	p.noteOthers(schema, others, err)
	states, failed := p.read(ctx, schema, tables)
	for _, o := range tables {
		state, ok := states[o.Securable]
		if !ok {
			if err := failed[o.Securable]; err != nil && !p.leave(ctx, o.Securable, err) && ctx.Err() == nil {
				p.mu.Lock()
				p.find(policy.EffectNarrower, o.Securable, "what it carries cannot be read, so it is not granted to whom row filters and masks bind: %v", err)
				p.mu.Unlock()
			}
			continue
		}
		p.table(ctx, &state, others)
	}
}

// leave notes that a table could not be read, and reports whether it may be later, so that it is left as it is until then.
func (p *planning) leave(ctx context.Context, table policy.Securable, err error) bool {
	if !policy.CodeOf(err).Retryable() || ctx.Err() != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.Protected[table], p.out.Columns[table] = true, true
	p.out.Unread = append(p.out.Unread, load.LeftOut{Securable: table, Code: policy.CodeOf(err), Reason: err.Error(), Protection: true})
	return true
}

// read reads tables of a schema; those of all of it where they are many.
func (p *planning) read(ctx context.Context, schema policy.Securable, tables []policy.Object) (states map[policy.Securable]policy.TableState, failed map[policy.Securable]error) {
	states, failed = make(map[policy.Securable]policy.TableState), make(map[policy.Securable]error)
	if len(tables) > fewTables {
		list, err := p.Reader.Tables(ctx, schema)
		for _, t := range list {
			states[t.Securable] = t
			p.carries(&t)
		}
		if err != nil {
			for _, o := range tables {
				failed[o.Securable] = err
			}
		} else {
			p.mu.Lock()
			p.seen[schema] = true
			p.mu.Unlock()
		}
		return states, failed
	}
	for _, o := range tables {
		list, err := p.Reader.Tables(ctx, o.Securable)
		if err != nil || len(list) == 0 {
			failed[o.Securable] = err
			continue
		}
		states[o.Securable] = list[0]
		p.carries(&list[0])
	}
	return states, failed
}

func (p *planning) inspection(of *policy.TableState) *attach.Inspection {
	return &attach.Inspection{Schema: p.Schema, Functions: p.functions, Self: p.isSelf, Learned: p.learned, Was: p.wasSet(of)}
}

func (w *Worker) isSelf(owner string) bool {
	return w.Self != "" && policy.FoldPrincipal(owner) == policy.FoldPrincipal(w.Self)
}

// table plans one table.
func (p *planning) table(ctx context.Context, state *policy.TableState, others []policy.AttributePolicy) {
	var denied *judge.Denials
	if p.Denied != nil {
		denied = p.Denied(state.Securable)
	}
	protector := p.Protector
	if p.ElseClosed[state.Securable] {
		protector = p.elseClosed()
	}
	desired := protector.CompileOver(*state, denied, p.functions)
	failed := false
	if err := p.failedBefore(state.Securable); err != nil && desired.Binds() {
		desired.Closed, failed = err.Error(), true
		p.mu.Lock()
		p.out.Unprotected = append(p.out.Unprotected, NotProtected(state.Securable, err))
		p.mu.Unlock()
	}
	var diff attach.Outcome
	if desired.Closed == "" {
		diff = attach.Diff(*state, desired.Protection, desired.Functions, others, p.inspection(state))
	}
	if diff.Change.Sets() || p.own[state.Securable] && desired.Closed == "" { // policies on the table itself are not among those of its schema
		own, err := p.Reader.AttributePolicies(ctx, state.Securable)
		if err != nil && p.leave(ctx, state.Securable, fmt.Errorf("read its attribute-based policies: %w", err)) {
			return
		}
		if err == nil {
			diff = attach.Diff(*state, desired.Protection, desired.Functions, own, p.inspection(state))
		}
	}
	if diff.Change.Sets() {
		why, err := p.newlyProtected(ctx, state)
		if err != nil {
			p.leave(ctx, state.Securable, err)
			return
		}
		if why != "" {
			shared := *state
			shared.Unprotectable = why
			desired, diff = protector.Compile(shared, denied), attach.Outcome{}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(state, &desired, &diff)
	if !failed {
		p.conflict(state.Securable, cmp.Or(desired.Closed, diff.Closed), &diff)
	}
}

// add adds what Diff found of a table to the plan.
func (p *planning) add(state *policy.TableState, desired *protect.Desired, diff *attach.Outcome) {
	if desired.Binds() {
		p.out.Bound[state.Securable] = true
	}
	closed := cmp.Or(desired.Closed, diff.Closed)
	if closed != "" {
		desired.Close(closed)
	}
	p.out.Findings = append(append(p.out.Findings, desired.Findings...), diff.Findings...)
	if closed != "" {
		p.out.Findings = append(p.out.Findings, desired.WhyClosed(state.Securable, closed)...)
		if diff.Change.Lifts() {
			p.out.Changes = append(p.out.Changes, diff.Change)
		}
		return
	}
	p.out.Protected[state.Securable] = true
	p.out.Columns[state.Securable] = desired.Columns
	c := diff.Change
	for _, f := range desired.Functions {
		p.used[f.Name] = true
	}
	use := func(a policy.AttachedChange) {
		if a.To != nil {
			p.used[a.To.Function] = true
		}
	}
	if c.Filter != nil {
		use(*c.Filter)
	}
	if c.Through != nil {
		p.used[c.Through.Function] = true
	}
	for _, m := range c.Masks {
		use(m)
	}
	if c.Statements() > 0 {
		p.out.Changes = append(p.out.Changes, c)
	} else if state.Known {
		p.inSync(state)
	}
}
