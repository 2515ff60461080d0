package protection

import (
	"context"
	"maps"
	"slices"
	"time"

	"ucwarden/connector/memory"
	"ucwarden/policy"
	"ucwarden/policy/attach"
)

// carriers are the tables of a catalog that carry filters and masks of ours, as far as syncs have seen, and what they made sure of there.
// Others may set some, too: after lookAgain, and where there is an old function that no table is known to refer to, all tables are looked
// at again.
type carriers struct {
	memory.Carriers
	changed bool // since it was kept
}

// carriersIn returns what is known of a catalog; the lock is held.
func (w *Worker) carriersIn(catalog string) *carriers {
	c := w.carriers[catalog]
	if c != nil {
		return c
	}
	c = &carriers{}
	if w.Memory != nil {
		var err error
		if c.Carriers, err = w.Memory.Carriers(catalog); err != nil {
			w.Logger.Warn("cannot read which tables carry row filters and masks; all tables of the catalog are looked at again", "catalog", catalog, "error", err)
		}
	}
	if c.Tables == nil {
		c.Tables = make(map[string]memory.Carried)
	}
	w.carriers[catalog] = c
	return c
}

// carry notes whether a table carries something of ours, or is about to.
func (w *Worker) carry(table policy.Securable, ours bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.carriersIn(table.Names()[0])
	if _, known := c.Tables[table.FullName]; known == ours {
		return
	}
	c.changed = true
	if ours {
		c.Tables[table.FullName] = memory.Carried{}
	} else {
		delete(c.Tables, table.FullName)
	}
}

// carrying returns the tables of a catalog that are known to carry something of ours, sorted, and when all were looked at.
func (w *Worker) carrying(catalog string) (tables []policy.Securable, looked time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.carriersIn(catalog)
	for _, name := range slices.Sorted(maps.Keys(c.Tables)) {
		tables = append(tables, policy.Securable{Type: policy.Table, FullName: name})
	}
	return tables, c.Looked
}

// lookedAt notes that all tables of a catalog were looked at; what is known of others is forgotten.
func (p *planning) lookedAt(catalog string) {
	p.Worker.mu.Lock()
	defer p.Worker.mu.Unlock()
	c := p.carriersIn(catalog)
	c.Looked, c.changed = time.Now(), true
	maps.DeleteFunc(c.Tables, func(name string, _ memory.Carried) bool {
		return !p.Inventory.Has(policy.Securable{Type: policy.Table, FullName: name})
	})
}

// inSync notes that a table carries what it is to carry.
func (p *planning) inSync(t *policy.TableState) {
	set := make(map[string]string)
	if f := t.Protection.Filter; f != nil && attach.OurName(f.Function, p.Schema) {
		set[""] = f.Function
	}
	for column, m := range t.Protection.Masks {
		if attach.OurName(m.Function, p.Schema) {
			set[column] = m.Function
		}
	}
	p.noteSet(t, set, true)
}

// noteSet notes which functions a sync made sure that a table carries, by column; an empty one is none. all says that these are all of ours
// there.
func (w *Worker) noteSet(t *policy.TableState, set map[string]string, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.carriersIn(t.Names()[0])
	was, known := c.Tables[t.FullName]
	if all && len(set) == 0 {
		delete(c.Tables, t.FullName)
		c.changed = c.changed || known
		return
	}
	is := memory.Carried{ID: t.ID, Set: make(map[string]string)}
	if !all && was.ID == t.ID {
		maps.Copy(is.Set, was.Set)
	}
	maps.Copy(is.Set, set)
	maps.DeleteFunc(is.Set, func(_, function string) bool { return function == "" })
	if was.ID != is.ID || !maps.Equal(was.Set, is.Set) {
		c.Tables[t.FullName], c.changed = is, true
	}
}

// noteChanged notes what a change set, or what it lifted.
func (w *Worker) noteChanged(c policy.ProtectionChange, t *policy.TableState, lifted bool) {
	set := make(map[string]string)
	note := func(column string, a policy.AttachedChange) {
		if (a.To == nil) != lifted {
			return
		}
		set[column] = ""
		if a.To != nil {
			set[column] = a.To.Function
		}
	}
	if c.Filter != nil {
		note("", *c.Filter)
	}
	for column, m := range c.Masks {
		note(column, m)
	}
	w.noteSet(t, set, false)
}

// expect notes, before changes are made, which tables may carry something of ours from then on.
func (w *Worker) expect(ctx context.Context, changes []policy.ProtectionChange) {
	for _, c := range changes {
		w.carry(c.Table, true)
	}
	w.Remember(ctx)
}

// wasSet returns what the last sync made sure that a table carries; see attach.Inspection.
func (w *Worker) wasSet(t *policy.TableState) func(column string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	is := w.carriersIn(t.Names()[0]).Tables[t.FullName]
	if is.ID != t.ID {
		return nil // that was another table of this name
	}
	return func(column string) string { return is.Set[column] } // a set is never changed once made
}

// mayCarry adds to catalogs those of the tables that policies are not about and that may carry something of ours all the same, so that it
// is lifted: they are known to, or it was not looked at for long, and there are few of them.
func (p *planning) mayCarry(tables []policy.Securable, catalogs map[string]bool) {
	p.Worker.mu.Lock()
	defer p.Worker.mu.Unlock()
	for _, t := range tables {
		catalog := t.Names()[0]
		if catalogs[catalog] {
			continue
		}
		c := p.carriersIn(catalog)
		_, known := c.Tables[t.FullName]
		if !known && len(tables) <= fewTables && time.Since(c.Looked) >= lookAgain {
			c.Tables[t.FullName], known = memory.Carried{}, true
		}
		if known {
			catalogs[catalog] = true
		}
	}
}

// Remember keeps which tables carry something of ours for the next process, as far as that changed.
func (w *Worker) Remember(ctx context.Context) {
	if w.Memory == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for catalog, c := range w.carriers {
		if !c.changed {
			continue
		}
		if err := w.Memory.SaveCarriers(catalog, c.Carriers); err != nil {
			w.Logger.WarnContext(ctx, "cannot keep which tables carry row filters and masks; after a restart all tables are looked at, and what others take off is not told from what is new", "catalog", catalog, "error", err)
			continue
		}
		c.changed = false
	}
}
