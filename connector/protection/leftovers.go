package protection

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/attach"
)

const lookAgain = 24 * time.Hour

// minAge is how old a function must be that nothing refers to before it is dropped: a query or a sync under way may still.
const minAge = time.Hour

// carries notes what a table carries, and plans to take off what of ours no policy asks for.
func (p *planning) carries(t *policy.TableState) {
	ours := false
	refer := func(function string) {
		p.used[function] = true
		ours = ours || attach.OurName(function, p.Schema)
	}
	p.mu.Lock()
	if !t.Known {
		p.unread[t.Names()[0]] = errNotShown
	}
	if t.Protection.Filter != nil {
		refer(t.Protection.Filter.Function)
	}
	for _, m := range t.Protection.Masks {
		refer(m.Function)
	}
	again := p.looked[t.Securable]
	p.looked[t.Securable] = true
	p.mu.Unlock()
	unwanted := !p.concerns(policy.Object{Securable: t.Securable, Kind: t.Kind})
	if t.Known && (ours || unwanted) { // what is wanted there and missing was taken away
		p.carry(t.Securable, ours)
	}
	if again || !ours || !unwanted || !p.Inventory.Has(t.Securable) || !p.InScope(t.Securable) {
		return
	}
	if diff := attach.Diff(*t, policy.Protection{}, nil, nil, p.inspection(t)); diff.Change.Lifts() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.out.Changes = append(p.out.Changes, diff.Change)
	}
}

// ours lists our functions in a catalog, sorted.
func (p *planning) ours(catalog string) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(p.functions)) {
		f := p.functions[name]
		if f.Name == name && strings.HasPrefix(name, catalog+".") && attach.Ours(f, p.Schema, p.isSelf) {
			list = append(list, name)
		}
	}
	return list
}

// unused returns those of the functions that no table is known to refer to, and that are old enough to be dropped.
func (p *planning) unused(functions []string) []string {
	return slices.DeleteFunc(slices.Clone(functions), func(name string) bool {
		at := p.functions[name].UpdatedAt
		return p.used[name] || at.IsZero() || time.Since(at) < minAge
	})
}

// leftovers plans to take our filters and masks off the tables that no policy asks for any on, of those that are known to carry some,
// and of a catalog that was read whole from time to time of all; there, what nothing refers to is dropped.
func (p *planning) leftovers(ctx context.Context, catalog string, whole bool) error {
	if p.unread[catalog] != nil {
		return nil //nolint:nilerr // it is among what could not be read
	}
	known, looked := p.carrying(catalog)
	known = slices.DeleteFunc(known, func(t policy.Securable) bool { return p.looked[t] || !p.Inventory.Has(t) })
	if err := p.each(ctx, len(known), func(ctx context.Context, i int) {
		list, err := p.Reader.Tables(ctx, known[i])
		switch {
		case err == nil && len(list) == 1:
			p.carries(&list[0])
		case policy.CodeOf(err) != policy.CodeNotFound:
			p.mu.Lock()
			p.unread[catalog] = err
			p.mu.Unlock()
		}
	}); err != nil || !whole {
		return err
	}
	ours := p.ours(catalog)
	if len(p.unused(ours)) > 0 || time.Since(looked) >= lookAgain {
		if err := p.look(ctx, catalog, len(ours) > 0); err != nil {
			return err
		}
	}
	if p.unread[catalog] == nil {
		p.out.Drop = append(p.out.Drop, p.unused(ours)...)
	}
	return nil
}

// look reads all tables of a catalog that were not read yet; where we have no functions there, no table carries what could be lifted.
func (p *planning) look(ctx context.Context, catalog string, functions bool) error {
	var schemas []policy.Securable
	for _, s := range p.Inventory.Children[catalog] {
		if functions && !p.seen[s.Securable] && s.FullName != p.schemaIn(catalog).FullName && len(p.Inventory.Children[s.FullName]) > 0 {
			schemas = append(schemas, s.Securable)
		}
	}
	err := p.each(ctx, len(schemas), func(ctx context.Context, i int) {
		list, err := p.Reader.Tables(ctx, schemas[i])
		if err != nil && policy.CodeOf(err) != policy.CodeNotFound {
			p.mu.Lock()
			p.unread[catalog] = err
			p.mu.Unlock()
		}
		for _, t := range list {
			p.carries(&t)
		}
	})
	if err != nil || p.unread[catalog] != nil {
		return err
	}
	p.lookedAt(catalog)
	return nil
}
