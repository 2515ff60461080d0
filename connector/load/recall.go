package load

import (
	"context"
	"slices"

	"ucwarden/connector/memory"
	"ucwarden/group"
	"ucwarden/policy"
)

// How many objects that a listing does not show any more are asked for at once, before it is known whether it is the
// listing that is wrong; and how many of more are tried first.
const (
	maxRecalled = 1000
	sampled     = 50
)

// recall asks for what the last good listing of a container held, or policies name in it, and this one does not: missing
// from one listing is not gone. What exists is added; a listing that misses very many that exist is no listing, and the load
// fails.
func (l *Loader) recall(ctx context.Context, root policy.Securable, found []policy.Object) ([]policy.Object, error) {
	last, err := l.Memory.Objects(root)
	if err != nil {
		return nil, err
	}
	shown := make(map[policy.Securable]bool, len(found))
	for _, o := range found {
		shown[o.Securable] = true
	}
	var missing []policy.Object
	for _, o := range last {
		if !shown[o.Securable] && (root.FullName != "" || l.Scope.ReachesType(o.Type)) {
			missing = append(missing, o)
		}
	}
	if len(missing) > maxRecalled {
		some, err := l.Ask(ctx, everyNth(missing, len(missing)/sampled))
		if err != nil {
			return nil, err
		}
		if len(some) > 0 {
			return nil, policy.Errorf(policy.CodeUnavailable, "the listing of %s misses %d objects that were there the last time, and %s exists: the listing is not complete", root, len(missing), some[0].Securable)
		}
	}
	back, err := l.Ask(ctx, missing)
	if err != nil {
		return nil, err
	}
	for _, o := range missing {
		shown[o.Securable] = true
	}
	named, err := l.askNamed(ctx, root, shown)
	if err != nil {
		return nil, err
	}
	if back = append(back, named...); len(back) > 0 {
		l.Recalled(len(back))
		l.Logger.WarnContext(ctx, "a listing did not show objects that exist; they were asked for one by one", "container", root.String(), "objects", len(back), "one", back[0].String())
	}
	found = append(found, back...)
	at := memory.Listing{Root: root, Last: len(last)}
	for _, o := range found {
		at.Found = append(at.Found, policy.Object{Securable: o.Securable, Kind: o.Kind})
	}
	slices.SortStableFunc(at.Found, memory.CompareObjects)
	at.Found = slices.CompactFunc(at.Found, func(a, b policy.Object) bool { return a.Securable == b.Securable })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.Listings = append(l.out.Listings, at)
	return found, nil
}

// askNamed returns what policies name in a container, is not shown, and exists. It asks for no more than maxRecalled.
func (l *Loader) askNamed(ctx context.Context, root policy.Securable, shown map[policy.Securable]bool) ([]policy.Object, error) {
	if l.Named == nil {
		return nil, nil
	}
	var list []policy.Object
	for _, s := range l.Named(root) {
		if s.Type != policy.Metastore && Lists(s.Type) && covers(root, s) && !shown[s] && !BuiltIn(s) && l.Scope.Reaches(s) && len(list) < maxRecalled {
			list = append(list, policy.Object{Securable: s})
		}
	}
	return l.ask(ctx, list, false)
}

// Ask returns which of the objects, sorted, exist. What lies in a schema of the list that does not is not asked for. One that
// cannot be looked up may exist: it is returned as it is known, and its grants will hardly be readable either.
func (l *Loader) Ask(ctx context.Context, list []policy.Object) ([]policy.Object, error) {
	return l.ask(ctx, list, true)
}

// ask is Ask; seen is whether the objects were seen to exist once. Of others we may be refused to say whether they do.
func (l *Loader) ask(ctx context.Context, list []policy.Object, seen bool) ([]policy.Object, error) {
	var back []policy.Object
	gone := make(map[policy.Securable]bool)
	each := func(list []policy.Object) error {
		g, ctx := group.WithContext(ctx)
		g.SetLimit(l.Parallel)
		for _, known := range list {
			g.Go(func() error {
				o, err := l.Get(ctx, known.Securable)
				l.mu.Lock()
				defer l.mu.Unlock()
				switch {
				case err == nil:
					back = append(back, o)
					l.out.Asked[known.Securable] = true
				case policy.CodeOf(err) == policy.CodeNotFound:
					gone[known.Securable], l.out.Asked[known.Securable] = true, true
				case !seen && policy.CodeOf(err) == policy.CodeForbidden:
					l.out.Hidden = append(l.out.Hidden, LeftOut{Securable: known.Securable, Code: policy.CodeForbidden, Reason: err.Error(), Hidden: true})
					l.LeftOut()
				case l.goesOnWithout(ctx, err):
					l.Logger.WarnContext(ctx, "cannot look up an object that no listing showed; it is taken to exist", "object", known.String(), "error", err)
					back = append(back, known)
				default:
					return err
				}
				return nil
			})
		}
		return g.Wait()
	}
	isContainer := func(o policy.Object) bool { return o.Type.IsContainer() }
	containers := slices.DeleteFunc(slices.Clone(list), func(o policy.Object) bool { return !isContainer(o) })
	if err := each(containers); err != nil {
		return nil, err
	}
	inside := slices.DeleteFunc(slices.Clone(list), func(o policy.Object) bool {
		parent, ok := o.Parent()
		return isContainer(o) || ok && gone[parent]
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
