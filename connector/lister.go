package connector

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"ucwarden/policy"
)

// lister lists what containers hold.
type lister struct {
	Lister
	parallel int
	builtIn  bool // what Unity Catalog itself keeps is listed too
}

// Inventory lists everything that policies can be about, Unity Catalog's own objects included, with at most parallel
// calls at once for each catalog. It fails when anything cannot be listed; what is dropped meanwhile is left out.
func Inventory(ctx context.Context, from Lister, parallel int) (*policy.Inventory, error) {
	l := lister{from, max(parallel, 1), true}
	var types []policy.SecurableType
	for _, t := range policy.SecurableTypes {
		if t.Depth() == 1 && t != policy.Catalog && len(policy.Privileges(t, "")) > 0 {
			types = append(types, t)
		}
	}
	all, err := l.listEach(ctx, policy.Securable{}, types...)
	if err != nil {
		return nil, err
	}
	catalogs, err := l.List(ctx, policy.Securable{}, policy.Catalog)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(l.parallel)
	for _, c := range catalogs {
		g.Go(func() error {
			inside, err := l.catalog(ctx, c.Securable)
			if policy.CodeOf(err) == policy.CodeNotFound {
				return nil // dropped since it was listed
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, inside...)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return policy.NewInventory(all...), nil
}

// confirmGone looks a container up whose listing said that it does not exist. The answer may have been about the call,
// and what is taken for gone is no reason any more to let anybody keep USE_* above it. The error is of
// policy.CodeNotFound only if the container is really gone.
func (l lister) confirmGone(ctx context.Context, container policy.Securable, listing error) error {
	_, err := l.Get(ctx, container)
	if err == nil {
		return policy.Errorf(policy.CodeUnavailable, "%s exists, but cannot be listed: %w", container, listing)
	}
	return err
}

// catalog lists a catalog: its tables in bulk, what else it holds schema by schema.
func (l lister) catalog(ctx context.Context, catalog policy.Securable) ([]policy.Object, error) {
	var schemas, tables []policy.Object
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		schemas, err = l.List(gctx, catalog, policy.Schema)
		return err
	})
	g.Go(func() (err error) {
		tables, err = l.List(gctx, catalog, policy.Table)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if !l.builtIn {
		schemas = slices.DeleteFunc(schemas, func(o policy.Object) bool { return builtIn(o.Securable) })
		tables = slices.DeleteFunc(tables, func(o policy.Object) bool { return builtIn(o.Securable) })
	}

	inside := make([][]policy.Object, len(schemas))
	dropped := make([]bool, len(schemas))
	g, gctx = errgroup.WithContext(ctx)
	g.SetLimit(l.parallel)
	for i, schema := range schemas {
		g.Go(func() (err error) {
			inside[i], err = l.listEach(gctx, schema.Securable, policy.Function, policy.Volume)
			if policy.CodeOf(err) != policy.CodeNotFound {
				return err
			}
			if err = l.confirmGone(gctx, schema.Securable, err); policy.CodeOf(err) == policy.CodeNotFound {
				dropped[i], err = true, nil // since it was listed
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, schema := range schemas {
		if dropped[i] {
			tables = slices.DeleteFunc(tables, func(o policy.Object) bool { return schema.Contains(o.Securable) })
			continue
		}
		inside[i] = append(inside[i], schema)
	}
	return slices.Concat(append(inside, []policy.Object{{Securable: catalog}}, tables)...), nil
}

func (l lister) schema(ctx context.Context, schema policy.Securable) ([]policy.Object, error) {
	inside, err := l.listEach(ctx, schema, policy.Table, policy.Function, policy.Volume)
	if err != nil {
		return nil, err
	}
	return append([]policy.Object{{Securable: schema}}, inside...), nil
}

func (l lister) listEach(ctx context.Context, parent policy.Securable, types ...policy.SecurableType) ([]policy.Object, error) {
	var all []policy.Object
	for _, t := range types {
		list, err := l.List(ctx, parent, t)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}
