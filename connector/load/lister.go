package load

import (
	"context"
	"slices"
	"sync"

	"ucwarden/group"
	"ucwarden/policy"
)

// Lister finds the objects of a workspace. Every error is classified (see policy.CodeOf).
type Lister interface {
	// List returns every object of type t directly inside parent, in no particular order. The zero parent stands for
	// the metastore: List(ctx, policy.Securable{}, policy.Catalog) lists the catalogs, and so on for each root type;
	// policy.Metastore returns the one metastore of the workspace, with its id as FullName. For parent a schema, t is
	// Table, Function or Volume (views come with Table, registered models with Function, told apart by Kind).
	// Table, Function and Volume may also be asked of a catalog: all of its schemas at once.
	// All pages are read; a page that fails fails the listing, so a result is never partial.
	List(ctx context.Context, parent policy.Securable, t policy.SecurableType) ([]policy.Object, error)

	// Get looks one object up; an error of policy.CodeNotFound says that it does not exist.
	Get(ctx context.Context, s policy.Securable) (policy.Object, error)
}

// lister lists what containers hold.
type lister struct {
	Lister
	parallel int
	builtIn  bool // what Unity Catalog itself keeps is listed too
	// failed notes that what a container holds could not be listed, and returns nil where the rest may go on; nil: a
	// listing that fails fails everything.
	failed func(ctx context.Context, container policy.Securable, err error) error
	// answered is called for each listing that came back; nil for nobody.
	answered func()
}

// tolerate returns nil where a failed listing of a container is noted and the rest goes on. That a container was not
// found is for the caller to look into.
func (l lister) tolerate(ctx context.Context, container policy.Securable, err error) error {
	if err == nil && l.answered != nil {
		l.answered()
	}
	if err == nil || l.failed == nil || policy.CodeOf(err) == policy.CodeNotFound {
		return err
	}
	return l.failed(ctx, container, err)
}

// Inventory lists everything that policies can be about, Unity Catalog's own objects included, with at most parallel
// calls at once for each catalog. It fails when anything cannot be listed; what is dropped meanwhile is left out.
func Inventory(ctx context.Context, from Lister, parallel int) (*policy.Inventory, error) {
	l := lister{Lister: from, parallel: max(parallel, 1), builtIn: true}
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
	g, ctx := group.WithContext(ctx)
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
// policy.CodeNotFound only if the container is really gone, and an *unlistedError if it is there.
func (l lister) confirmGone(ctx context.Context, container policy.Securable, listing error) error {
	_, err := l.Get(ctx, container)
	if err == nil {
		return &unlistedError{policy.Errorf(policy.CodeUnavailable, "%s exists, but cannot be listed: %w", container, listing)}
	}
	return err
}

// unlistedError says that a container exists whose listing says that it does not.
type unlistedError struct{ err error }

func (e *unlistedError) Error() string { return e.err.Error() }
func (e *unlistedError) Unwrap() error { return e.err }

// schemasError says that the schemas of a catalog could not be listed, whatever else of it could.
type schemasError struct{ err error }

func (e *schemasError) Error() string { return e.err.Error() }
func (e *schemasError) Unwrap() error { return e.err }

// catalog lists a catalog: its tables in bulk, what else it holds schema by schema.
func (l lister) catalog(ctx context.Context, catalog policy.Securable) ([]policy.Object, error) {
	var schemas, tables []policy.Object
	g, gctx := group.WithContext(ctx)
	g.Go(func() (err error) {
		schemas, err = l.List(gctx, catalog, policy.Schema)
		if err != nil {
			err = &schemasError{err}
		}
		return l.tolerate(gctx, catalog, err)
	})
	g.Go(func() (err error) {
		tables, err = l.List(gctx, catalog, policy.Table)
		return l.tolerate(gctx, catalog, err)
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if !l.builtIn {
		schemas = slices.DeleteFunc(schemas, func(o policy.Object) bool { return BuiltIn(o.Securable) })
		tables = slices.DeleteFunc(tables, func(o policy.Object) bool { return BuiltIn(o.Securable) })
	}

	inside := make([][]policy.Object, len(schemas))
	dropped := make([]bool, len(schemas))
	g, gctx = group.WithContext(ctx)
	g.SetLimit(l.parallel)
	for i, schema := range schemas {
		g.Go(func() (err error) {
			inside[i], err = l.listTypes(gctx, schema.Securable, schema.Securable, policy.Function, policy.Volume)
			if policy.CodeOf(err) != policy.CodeNotFound {
				return err
			}
			if err = l.confirmGone(gctx, schema.Securable, err); policy.CodeOf(err) == policy.CodeNotFound {
				dropped[i] = true // since it was listed
				return nil
			}
			return l.tolerate(gctx, schema.Securable, err)
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
	inside, err := l.listTypes(ctx, schema, schema, policy.Table, policy.Function, policy.Volume)
	if err != nil {
		return nil, err
	}
	return append([]policy.Object{{Securable: schema}}, inside...), nil
}

func (l lister) listEach(ctx context.Context, parent policy.Securable, types ...policy.SecurableType) ([]policy.Object, error) {
	return l.listTypes(ctx, policy.Securable{}, parent, types...)
}

// listTypes lists objects of the types directly inside parent. Of a type that cannot be listed, about is noted: the
// container, or, for one without a type or a name, the type of root objects.
func (l lister) listTypes(ctx context.Context, about, parent policy.Securable, types ...policy.SecurableType) ([]policy.Object, error) {
	var all []policy.Object
	for _, t := range types {
		list, err := l.List(ctx, parent, t)
		container := about
		if about.FullName == "" {
			container.Type = t
		}
		if err := l.tolerate(ctx, container, err); err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}
