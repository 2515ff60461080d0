package connector

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"ucwarden/policy"
)

// How many objects that a listing does not show any more are asked for at once, before it is known whether it is the
// listing that is wrong; and how many of more are tried first.
const (
	maxRecalled = 1000
	sampled     = 50
)

// recall asks for what the last good listing of a container held and this one does not: missing from one listing is not
// gone. What exists is added; a listing that misses very many that exist is no listing, and the load fails.
func (l *loader) recall(ctx context.Context, root policy.Securable, found []policy.Object) ([]policy.Object, error) {
	last, err := l.run.memory.objects(root)
	if err != nil {
		return nil, err
	}
	shown := make(map[policy.Securable]bool, len(found))
	for _, o := range found {
		shown[o.Securable] = true
	}
	var missing []policy.Securable
	for _, o := range last {
		if !shown[o.Securable] && (root.FullName != "" || l.run.Scope.ReachesType(o.Type)) {
			missing = append(missing, o.Securable)
		}
	}
	if len(missing) > maxRecalled {
		some, err := l.ask(ctx, everyNth(missing, len(missing)/sampled))
		if err != nil {
			return nil, err
		}
		if len(some) > 0 {
			return nil, policy.Errorf(policy.CodeUnavailable, "the listing of %s misses %d objects that were there the last time, and %s exists: the listing is not complete", root, len(missing), some[0].Securable)
		}
	}
	back, err := l.ask(ctx, missing)
	if err != nil {
		return nil, err
	}
	if len(back) > 0 {
		l.run.metrics.recalled.Add(float64(len(back)))
		l.run.Logger.WarnContext(ctx, "a listing did not show objects that exist; they were asked for one by one", "container", root.String(), "objects", len(back), "one", back[0].String())
	}
	found = append(found, back...)
	at := listing{root: root, last: len(last)}
	for _, o := range found {
		at.found = append(at.found, policy.Object{Securable: o.Securable, Kind: o.Kind})
	}
	slices.SortStableFunc(at.found, compareObjects)
	at.found = slices.CompactFunc(at.found, func(a, b policy.Object) bool { return a.Securable == b.Securable })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.listings = append(l.out.listings, at)
	return found, nil
}

// ask returns which of the securables, sorted, exist. What lies in a schema of the list that does not is not asked for.
// One that may not be looked up may exist: it is returned, and its grants will not be readable either.
func (l *loader) ask(ctx context.Context, list []policy.Securable) ([]policy.Object, error) {
	var mu sync.Mutex
	var back []policy.Object
	gone := make(map[policy.Securable]bool)
	each := func(list []policy.Securable) error {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(l.run.Parallel)
		for _, s := range list {
			g.Go(func() error {
				o, err := l.run.Workspace.Get(ctx, s)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					back = append(back, o)
				case policy.CodeOf(err) == policy.CodeNotFound:
					gone[s] = true
				case failsSmall(err):
					back = append(back, policy.Object{Securable: s})
				default:
					return err
				}
				return nil
			})
		}
		return g.Wait()
	}
	isContainer := func(s policy.Securable) bool { return s.Type.IsContainer() }
	containers := slices.DeleteFunc(slices.Clone(list), func(s policy.Securable) bool { return !isContainer(s) })
	if err := each(containers); err != nil {
		return nil, err
	}
	inside := slices.DeleteFunc(slices.Clone(list), func(s policy.Securable) bool {
		parent, ok := s.Parent()
		return isContainer(s) || ok && gone[parent]
	})
	err := each(inside)
	return back, err
}

func everyNth[T any](list []T, n int) []T {
	var some []T
	for i := 0; i < len(list); i += max(n, 1) {
		some = append(some, list[i])
	}
	return some
}

// Shards lists what a full sync is made of: each catalog that may hold something in scope, and a METASTORE without a name
// for the metastore with its other root objects. Catalogs that the last listing held and this one does not are asked for.
func (s *Syncer) Shards(ctx context.Context) ([]policy.Securable, error) {
	if err := s.refreshDirectory(ctx, false, true); err != nil {
		return nil, givenUp(err)
	}
	shards, catalogs, err := s.shards(ctx)
	if err == nil {
		err = s.memory.saveCatalogs(catalogs)
	}
	return shards, err
}

func (s *Syncer) shards(ctx context.Context) (shards, catalogs []policy.Securable, err error) {
	found, err := s.Workspace.List(ctx, policy.Securable{}, policy.Catalog)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range found {
		catalogs = append(catalogs, c.Securable)
	}
	last, err := s.memory.catalogs()
	if err != nil {
		return nil, nil, err
	}
	for _, c := range last {
		if slices.Contains(catalogs, c) {
			continue
		}
		switch _, err := s.Workspace.Get(ctx, c); {
		case err == nil || failsSmall(err) && policy.CodeOf(err) != policy.CodeNotFound:
			s.Logger.WarnContext(ctx, "the listing of catalogs did not show one that exists", "catalog", c.FullName)
			catalogs = append(catalogs, c)
		case policy.CodeOf(err) != policy.CodeNotFound:
			return nil, nil, err
		}
	}
	if root := (policy.Securable{Type: policy.Metastore}); s.Scope.Reaches(root) {
		shards = append(shards, root)
	}
	for _, c := range catalogs {
		if !builtIn(c) && s.Scope.Reaches(c) {
			shards = append(shards, c)
		}
	}
	slices.SortFunc(shards, policy.Securable.Compare)
	slices.SortFunc(catalogs, policy.Securable.Compare)
	return shards, catalogs, nil
}

// Concerned returns those of the shards that a change of the policies concerns: all but those that are in sync by policies
// and settings that mean the same there.
func (s *Syncer) Concerned(shards []policy.Securable) ([]policy.Securable, error) {
	g, err := s.current()
	if err != nil {
		return nil, err
	}
	last, err := s.memory.lastSyncs()
	if err != nil {
		return nil, err
	}
	r := s.runOf(g, Request{})
	return slices.DeleteFunc(slices.Clone(shards), func(shard policy.Securable) bool { return last[shard.String()].Basis == r.basis(shard) }), nil
}
