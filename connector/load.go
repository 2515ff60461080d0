package connector

import (
	"context"
	"slices"
	"sync"
	"unique"

	"golang.org/x/sync/errgroup"

	"ucwarden/policy"
)

// loaded is what was read from the workspace for a sync.
type loaded struct {
	roots     []policy.Securable // those that exist; a METASTORE root without a name is spelled out
	missing   []policy.Securable
	ancestors []policy.Securable               // containers above the roots, outermost first
	inventory *policy.Inventory                // everything listed, and the ancestors
	kinds     map[policy.Securable]policy.Kind // of what is no plain object of its type
	read      []policy.Securable               // whose grants were read, sorted
	current   *policy.GrantSet
	listings  []listing
}

// rootTypes are the types of root object, catalogs aside, whose grants policies can manage. Shares are granted to
// recipients, not to principals of the account, and are synced only when named.
var rootTypes = []policy.SecurableType{policy.Metastore, policy.ExternalLocation, policy.StorageCredential, policy.Credential, policy.Connection}

// builtIn reports whether Unity Catalog itself keeps the object: its grants are not for anyone to manage.
func builtIn(s policy.Securable) bool {
	names := s.Names()
	switch {
	case s.Type.Depth() == 1 && s.Type != policy.Catalog:
		return false
	case len(names) > 1 && names[1] == "information_schema":
		return true
	}
	return slices.Contains([]string{"system", "samples", "hive_metastore", "__databricks_internal"}, names[0])
}

// covers reports whether listing root shows o: it lies inside, or is one of the metastore's root objects.
func covers(root, o policy.Securable) bool {
	if root == (policy.Securable{Type: policy.Metastore}) && slices.Contains(rootTypes, o.Type) {
		return true
	}
	return root.Contains(o)
}

// load lists what the roots hold and reads the grants on all of it. What does not exist is no error; everything else
// that cannot be listed or read fails the whole load, since unknown is not empty.
func (r *run) load(ctx context.Context, roots []policy.Securable) (*loaded, error) {
	l := &loader{run: r, lister: lister{r.Workspace, r.Parallel, false}, roots: roots, out: &loaded{kinds: make(map[policy.Securable]policy.Kind)}}
	if len(roots) == 0 {
		var err error
		if l.roots, err = r.Shards(ctx); err != nil {
			return nil, err
		}
	}
	if err := l.list(ctx); err != nil {
		return nil, err
	}
	if err := l.readGrants(ctx); err != nil {
		return nil, err
	}
	return l.out, nil
}

type loader struct {
	run *run
	lister
	roots   []policy.Securable
	mu      sync.Mutex // guards what is below while calls are under way, and keeps reports of progress apart
	objects []policy.Object
	done    int // objects whose grants were read
	out     *loaded
}

func (l *loader) list(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(l.run.Parallel)
	roots := slices.Compact(slices.SortedFunc(slices.Values(l.roots), policy.Securable.Compare))
	var inside []policy.Securable // roots that the listing of another root shows
	for _, root := range roots {
		switch {
		case builtIn(root):
			l.out.missing = append(l.out.missing, root)
		case slices.ContainsFunc(roots, func(r policy.Securable) bool { return r != root && covers(r, root) }):
			inside = append(inside, root)
		default:
			g.Go(func() error { return l.root(ctx, root) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	slices.SortFunc(l.objects, func(a, b policy.Object) int { return a.Compare(b.Securable) })
	l.objects = slices.CompactFunc(l.objects, func(a, b policy.Object) bool { return a.Securable == b.Securable })
	l.out.inventory = policy.NewInventory(l.objects...)
	for _, o := range l.objects {
		if o.Kind != "" {
			l.out.kinds[o.Securable] = o.Kind
		}
	}
	for _, root := range inside {
		_, found := slices.BinarySearchFunc(l.objects, root, func(o policy.Object, s policy.Securable) int { return o.Compare(s) })
		if !found {
			l.out.missing = append(l.out.missing, root)
		}
	}
	l.out.ancestors = slices.DeleteFunc(l.out.ancestors, func(a policy.Securable) bool {
		return slices.ContainsFunc(l.out.roots, func(r policy.Securable) bool { return r.Contains(a) })
	})
	slices.SortFunc(l.out.ancestors, policy.Securable.Compare)
	slices.SortFunc(l.out.roots, policy.Securable.Compare)
	return nil
}

// root lists one root, and what is inside.
func (l *loader) root(ctx context.Context, root policy.Securable) error {
	var found []policy.Object
	var err error
	switch {
	case root.Type == policy.Metastore && root.FullName == "":
		found, err = l.listEach(ctx, policy.Securable{}, rootTypes...)
	case root.Type == policy.Catalog:
		found, err = l.catalog(ctx, root)
	case root.Type == policy.Schema:
		found, err = l.schema(ctx, root)
	default:
		var o policy.Object
		if o, err = l.run.Workspace.Get(ctx, root); err == nil {
			found = []policy.Object{o}
		}
	}
	if root.Type.IsContainer() && policy.CodeOf(err) == policy.CodeNotFound {
		err = l.confirmGone(ctx, root, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if policy.CodeOf(err) == policy.CodeNotFound {
		l.out.missing = append(l.out.missing, root)
		return nil
	}
	if err != nil {
		return err
	}
	if root.FullName == "" {
		for _, o := range found {
			l.out.roots = append(l.out.roots, o.Securable)
		}
	} else {
		l.out.roots = append(l.out.roots, root)
	}
	l.objects = append(l.objects, found...)
	if root.Type.IsContainer() {
		l.out.listings = append(l.out.listings, listing{root, len(found)})
	}
	for parent, ok := root.Parent(); ok; parent, ok = parent.Parent() {
		if !slices.Contains(l.out.ancestors, parent) {
			l.out.ancestors = append(l.out.ancestors, parent)
		}
	}
	l.run.request.report("list", len(l.objects), 0)
	return nil
}

// readGrants reads the grants on every listed object in scope. An object that is gone by now is left out.
func (l *loader) readGrants(ctx context.Context) error {
	var read []policy.Securable
	for _, o := range l.objects {
		if l.run.Scope.Filters(o.Securable) && len(policy.Privileges(o.Type, o.Kind)) > 0 {
			read = append(read, o.Securable)
		}
	}
	grants := make([][]policy.Assignment, len(read))
	gone := make([]bool, len(read))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(l.run.Parallel)
	for i, sec := range read {
		g.Go(func() error {
			list, err := l.run.grants(ctx, sec)
			for j := range list { // the same few words on every object are held once
				list[j].Privilege = unique.Make(list[j].Privilege).Value()
			}
			switch {
			case policy.CodeOf(err) == policy.CodeNotFound:
				gone[i] = true
			case err != nil:
				return err
			case sec.Type.IsContainer():
				l.run.coordinator.saw(l.run.id, sec, list) // from here on others read it
			}
			grants[i] = list
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.done++; l.done%64 == 0 || l.done == len(read) {
				l.run.request.report("read", l.done, len(read))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	l.out.current = &policy.GrantSet{}
	for i, sec := range read {
		if gone[i] {
			l.out.roots = slices.DeleteFunc(l.out.roots, func(r policy.Securable) bool { return r == sec })
			if slices.Contains(l.roots, sec) {
				l.out.missing = append(l.out.missing, sec)
			}
			continue
		}
		l.out.read = append(l.out.read, sec)
		l.out.current.Set(sec, grants[i])
		grants[i] = nil
	}
	slices.SortFunc(l.out.missing, policy.Securable.Compare)
	return nil
}

// Shards lists what a full sync is made of: each catalog in scope, and a METASTORE without a name for the metastore
// with its other root objects.
func (s *Syncer) Shards(ctx context.Context) ([]policy.Securable, error) {
	catalogs, err := s.Workspace.List(ctx, policy.Securable{}, policy.Catalog)
	if err != nil {
		return nil, err
	}
	shards := []policy.Securable{{Type: policy.Metastore}}
	for _, c := range catalogs {
		if !builtIn(c.Securable) && s.Scope.Filters(c.Securable) {
			shards = append(shards, c.Securable)
		}
	}
	slices.SortFunc(shards, policy.Securable.Compare)
	return shards, nil
}
