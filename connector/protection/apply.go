package protection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/attach"
)

// Note is called before something is changed on a table; when it returns an error nothing may be. ended is called with what
// became of it.
type Note func(ctx context.Context, c policy.ProtectionChange) (ended func(error), err error)

// Apply makes functions and sets filters and masks, and returns for each of the changes what went wrong, nil where what is
// to be set is set. A table that failed stays closed for a while. What is to be taken away stays.
func (w *Worker) Apply(ctx context.Context, changes []policy.ProtectionChange, note Note) []error {
	a := &applying{Worker: w, note: note, made: make(map[string]*made)}
	errs := make([]error, len(changes))
	w.expect(ctx, changes)
	defer w.Remember(ctx)
	_ = w.each(ctx, len(changes), func(ctx context.Context, i int) {
		if changes[i].Sets() {
			errs[i] = a.set(ctx, changes[i])
		}
	})
	for i := range changes {
		switch {
		case !changes[i].Sets():
		case errs[i] == nil && ctx.Err() != nil && !a.done(changes[i].Table):
			errs[i] = policy.Errorf(policy.CodeUnavailable, "given up before %s was protected: %w", changes[i].Table, ctx.Err())
		case errs[i] == nil:
			w.succeed(changes[i].Table)
		case ctx.Err() == nil:
			w.fail(changes[i].Table, errs[i])
		}
	}
	return errs
}

// Lift takes away what is not wanted any more, and drops the functions that nothing refers to. It returns for each of the
// changes what went wrong.
func (w *Worker) Lift(ctx context.Context, changes []policy.ProtectionChange, drop []string, note Note) []error {
	a := &applying{Worker: w, note: note}
	errs := make([]error, len(changes))
	w.expect(ctx, changes)
	defer w.Remember(ctx)
	_ = w.each(ctx, len(changes), func(ctx context.Context, i int) {
		if changes[i].Lifts() {
			errs[i] = a.lift(ctx, changes[i])
		}
	})
	_ = w.each(ctx, len(drop), func(ctx context.Context, i int) {
		if err := w.drop(ctx, drop[i]); err != nil {
			w.Logger.WarnContext(ctx, "cannot drop a function that nothing refers to; it is tried again", "function", drop[i], "error", err)
		}
	})
	return errs
}

func (w *Worker) drop(ctx context.Context, name string) error {
	list, err := w.Reader.Functions(ctx, policy.Securable{Type: policy.Function, FullName: name})
	if policy.CodeOf(err) == policy.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if len(list) != 1 || !attach.Ours(list[0], w.Schema, w.isSelf) {
		return errors.New("it is not ours any more")
	}
	text, err := attach.DropFunction(name)
	if err != nil {
		return err
	}
	_, err = w.Warehouse.Execute(ctx, text)
	return err
}

// applying is one run over changes.
type applying struct {
	*Worker
	note Note

	mu        sync.Mutex
	made      map[string]*made // functions and schemas, by name
	protected map[policy.Securable]bool
	givenUp   atomic.Int32 // tables in a row; see outage
}

// made is a function or schema that one of several tables makes for all.
type made struct {
	once sync.Once
	err  error
}

func (a *applying) done(table policy.Securable) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.protected[table]
}

// once makes something that several tables need once.
func (a *applying) once(name string, do func() error) error {
	a.mu.Lock()
	m := a.made[name]
	if m == nil {
		m = &made{}
		a.made[name] = m
	}
	a.mu.Unlock()
	m.once.Do(func() { m.err = do() })
	return m.err
}

// set makes the functions that a change needs, and sets what refers to them. What stands is read before, so that nothing of
// others is replaced, and after, so that what is opened then is known to be protected.
func (a *applying) set(ctx context.Context, c policy.ProtectionChange) error {
	err := a.change(ctx, c, func(statements attach.Statements, table *policy.TableState) error {
		err := a.setBy(ctx, c, statements)
		if err == nil {
			a.noteChanged(c, table, false)
		}
		return err
	})
	switch {
	case err == nil:
		a.givenUp.Store(0)
	case policy.CodeOf(err).Retryable():
		a.givenUp.Add(1)
	}
	return err
}

// change makes a change by its statements, unless the table carries something else than was planned for; the journal has its
// beginning and its end.
func (a *applying) change(ctx context.Context, c policy.ProtectionChange, do func(attach.Statements, *policy.TableState) error) (err error) {
	statements, err := attach.StatementsOf(c)
	if err != nil {
		return err
	}
	ended, err := a.note(ctx, c)
	if err != nil {
		return err
	}
	defer func() { ended(err) }()
	state, err := a.stillAs(ctx, c)
	if err != nil {
		return err
	}
	return do(statements, state)
}

func (a *applying) setBy(ctx context.Context, c policy.ProtectionChange, statements attach.Statements) error {
	for i, f := range c.Create {
		if err := a.once(f.Name, func() error { return a.create(ctx, f, statements.Create[i]) }); err != nil {
			return fmt.Errorf("make the function %s: %w", f.Name, err)
		}
	}
	for n := 0; ; n++ {
		var failed error
		for _, text := range statements.Set {
			if _, failed = a.Warehouse.Execute(ctx, text); failed != nil {
				break
			}
		}
		// An error may mean that it is not known what became of it.
		wrong, err := a.verify(ctx, c)
		switch {
		case err == nil && wrong == "":
			a.mu.Lock()
			if a.protected == nil {
				a.protected = make(map[policy.Securable]bool)
			}
			a.protected[c.Table] = true
			a.mu.Unlock()
			return nil
		case failed != nil && (!policy.CodeOf(failed).Retryable() || n+1 == tries):
			return fmt.Errorf("protect %s: %w", c.Table, failed)
		case err != nil:
			return fmt.Errorf("look at whether %s is protected: %w", c.Table, err)
		case n+1 == tries || !a.pause(ctx, n):
			return policy.Errorf(policy.CodeUnavailable, "protect %s: %w", c.Table, cmp.Or(failed, fmt.Errorf("the statements were accepted, but %s", wrong)))
		}
	}
}

// tries is how often statements are sent that fail in a way that may pass.
const tries = 4

// outage is how many tables in a row have to be given up before the next are not waited for any more: what is down is so for all.
const outage = 3

// pause waits before statements are sent again, n times until now, twice as long each time; the first time it does not. It reports
// whether to.
func (a *applying) pause(ctx context.Context, n int) bool {
	if n == 0 {
		return ctx.Err() == nil
	}
	if a.givenUp.Load() >= outage {
		return false
	}
	timer := time.NewTimer(a.Backoff << (n - 1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// state reads a table.
func (a *applying) state(ctx context.Context, table policy.Securable) (policy.TableState, error) {
	list, err := a.Reader.Tables(ctx, table)
	if err != nil {
		return policy.TableState{}, err
	}
	if len(list) != 1 || !list[0].Known {
		return policy.TableState{}, policy.Errorf(policy.CodeForbidden, "the workspace does not show what it carries")
	}
	return list[0], nil
}

// stillAs reads a table; where that carries something else than when the change was planned, or than after it, that is an error.
func (a *applying) stillAs(ctx context.Context, c policy.ProtectionChange) (*policy.TableState, error) {
	state, err := a.state(ctx, c.Table)
	if err != nil {
		return nil, fmt.Errorf("read what %s carries: %w", c.Table, err)
	}
	is := func(what string, have *policy.Attached, planned policy.AttachedChange) error {
		if same(have, planned.From) || same(have, planned.To) {
			return nil
		}
		return policy.Errorf(policy.CodeUnavailable, "somebody changed the %s of %s since that was planned; it is planned anew", what, c.Table)
	}
	if c.Filter != nil {
		if err := is("row filter", state.Protection.Filter, *c.Filter); err != nil {
			return nil, err
		}
	}
	for _, column := range slices.Sorted(maps.Keys(c.Masks)) {
		if err := is("mask of column "+column, maskOf(state, column), c.Masks[column]); err != nil {
			return nil, err
		}
	}
	return &state, nil
}

func maskOf(state policy.TableState, column string) *policy.Attached {
	if m, ok := state.Protection.Masks[column]; ok {
		return &m
	}
	return nil
}

func same(a, b *policy.Attached) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// verify says what of a change is not so; empty where all that it sets is.
func (a *applying) verify(ctx context.Context, c policy.ProtectionChange) (wrong string, err error) {
	state, err := a.state(ctx, c.Table)
	if err != nil {
		return "", err
	}
	if c.Filter != nil && c.Filter.To != nil && !same(state.Protection.Filter, c.Filter.To) {
		return "its row filter is not the one that was set", nil
	}
	for _, column := range slices.Sorted(maps.Keys(c.Masks)) {
		if to := c.Masks[column].To; to != nil && !same(maskOf(state, column), to) {
			return "the mask of column " + column + " is not the one that was set", nil
		}
	}
	return "", nil
}

// create makes a function, never in place of one that exists.
func (a *applying) create(ctx context.Context, f policy.SQLFunction, text string) error {
	catalog, _, _ := strings.Cut(f.Name, ".")
	schema := a.schemaIn(catalog)
	if err := a.once(schema.FullName, func() error { return a.createSchema(ctx, catalog, schema) }); err != nil {
		return fmt.Errorf("make the schema %s: %w", schema.FullName, err)
	}
	for n := 0; ; n++ {
		_, failed := a.Warehouse.Execute(ctx, text)
		list, err := a.Reader.Functions(ctx, policy.Securable{Type: policy.Function, FullName: f.Name})
		switch {
		case err == nil && len(list) == 1:
			return a.learn(ctx, f, list[0])
		case failed != nil && (!policy.CodeOf(failed).Retryable() || n+1 == tries):
			return failed
		case err != nil && policy.CodeOf(err) != policy.CodeNotFound:
			return err
		case n+1 == tries || !a.pause(ctx, n):
			return cmp.Or(failed, error(policy.Errorf(policy.CodeUnavailable, "the statement was accepted, but the function is not there")))
		}
	}
}

func (a *applying) createSchema(ctx context.Context, catalog string, schema policy.Securable) error {
	text, err := attach.CreateSchema(catalog, a.Schema)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if _, err := a.Reader.Functions(ctx, schema); err == nil {
			return nil // it is there, maybe by a statement whose answer was lost
		}
		if _, err := a.Warehouse.Execute(ctx, text); err == nil || !policy.CodeOf(err).Retryable() || n+1 == tries || !a.pause(ctx, n) {
			return err
		}
	}
}

// learn checks a function that was just made, and keeps how the workspace shows it.
func (a *applying) learn(ctx context.Context, f, have policy.SQLFunction) error {
	hash, ok := attach.MadeAs(&have, &f, a.isSelf)
	if !ok {
		return policy.Errorf(policy.CodeConflict, "there is one of that name that is not ours")
	}
	if a.Memory == nil || attach.SameBody(have.Body, f.Body) {
		return nil
	}
	if err := a.Memory.LearnBody(f.Name, hash, have.Body); err != nil {
		a.Logger.WarnContext(ctx, "cannot keep how the workspace shows a function; it may be taken for one that was changed", "function", f.Name, "error", err)
	}
	return nil
}

// learned reports whether a body is how the workspace showed a function when it was made.
func (w *Worker) learned(fullName, hash, body string) bool {
	if w.Memory == nil {
		return false
	}
	known, err := w.Memory.KnowsBody(fullName, hash, body)
	return known && err == nil
}

// lift takes away what a change takes away.
func (a *applying) lift(ctx context.Context, c policy.ProtectionChange) error {
	return a.change(ctx, c, func(statements attach.Statements, table *policy.TableState) error {
		for _, text := range statements.Lift {
			if _, err := a.Warehouse.Execute(ctx, text); err != nil {
				return fmt.Errorf("lift what protects %s: %w", c.Table, err)
			}
		}
		a.noteChanged(c, table, true)
		return nil
	})
}
