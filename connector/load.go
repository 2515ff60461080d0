package connector

import (
	"context"
	"errors"
	"fmt"
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
	skipped   []Skipped
	left      []LeftOut
	ancestors []policy.Securable               // containers above the roots, outermost first
	inventory *policy.Inventory                // everything listed, and the ancestors
	kinds     map[policy.Securable]policy.Kind // of what is no plain object of its type
	read      []policy.Securable               // whose grants were read, sorted
	current   *policy.GrantSet
	listings  []listing
}

// Skipped is a requested root that is not for a sync, and why.
type Skipped struct {
	Securable policy.Securable `json:"securable"`
	Reason    string           `json:"reason"`
}

// LeftOut is an object in scope that a sync could not look at, so that it is neither granted nor revoked anything there.
type LeftOut struct {
	Securable policy.Securable `json:"securable"`
	Code      policy.Code      `json:"code"`
	Reason    string           `json:"reason"`
	Listing   bool             `json:"listing,omitempty"` // what it holds could not be listed; it may be known itself
}

func (l LeftOut) String() string {
	if l.Listing && l.Securable.FullName == "" {
		return fmt.Sprintf("objects of type %s cannot be listed: %s", l.Securable.Type, l.Reason)
	}
	if l.Listing {
		return fmt.Sprintf("what %s holds cannot be listed: %s", l.Securable, l.Reason)
	}
	return fmt.Sprintf("the grants on %s cannot be read: %s", l.Securable, l.Reason)
}

// mayWake reports whether there may be grants that are to be revoked, and that USE_* would wake before. What we may not
// read is not ours to manage, and its grants are there to stay.
func (l LeftOut) mayWake() bool { return l.Code != policy.CodeForbidden }

// rootTypes are the types of root object, catalogs aside, whose grants policies can manage. Shares are granted to
// recipients, not to principals of the account, and are synced only when named.
var rootTypes = []policy.SecurableType{policy.Metastore, policy.ExternalLocation, policy.StorageCredential, policy.Credential, policy.Connection}

// builtIn reports whether Unity Catalog itself keeps the object: its grants are not for anyone to manage.
func builtIn(s policy.Securable) bool {
	names := s.Names()
	switch {
	case s.Type.Depth() == 1 && s.Type != policy.Catalog:
		return false
	case len(names) > 1 && names[1] == builtInSchema:
		return true
	}
	return slices.Contains(builtInCatalogs, names[0])
}

const builtInSchema = "information_schema"

var builtInCatalogs = []string{"system", "samples", "hive_metastore", "__databricks_internal"}

// covers reports whether listing root shows o: it lies inside, or is one of the metastore's root objects.
func covers(root, o policy.Securable) bool {
	if root == (policy.Securable{Type: policy.Metastore}) && slices.Contains(rootTypes, o.Type) {
		return true
	}
	return root.Contains(o)
}

// load lists what the roots hold and reads the grants on all of it. What does not exist is no error, and what cannot be
// read is left out, with everything that depends on it; a workspace that does not answer fails the whole load, since
// unknown is not empty.
func (r *run) load(ctx context.Context, roots []policy.Securable, also []policy.Object) (*loaded, error) {
	l := r.newLoader(roots, also)
	if err := l.list(ctx); err != nil {
		return nil, err
	}
	if err := l.readGrants(ctx); err != nil {
		return nil, err
	}
	return l.out, nil
}

func (r *run) newLoader(roots []policy.Securable, also []policy.Object) *loader {
	l := &loader{run: r, roots: roots, objects: slices.Clone(also), out: &loaded{kinds: make(map[policy.Securable]policy.Kind)}}
	l.lister = lister{Lister: r.Workspace, parallel: r.Parallel, failed: l.leaveOutListing}
	return l
}

type loader struct {
	run *run
	lister
	roots   []policy.Securable
	only    func(policy.Securable) bool // of what is listed, what to read; nil for all
	mu      sync.Mutex                  // guards what is below while calls are under way, and keeps reports of progress apart
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
		switch reason := l.run.skipReason(root); {
		case reason != "":
			l.out.skipped = append(l.out.skipped, Skipped{root, reason})
		case slices.ContainsFunc(roots, func(r policy.Securable) bool { return r != root && covers(r, root) }):
			inside = append(inside, root)
		default:
			g.Go(func() error { return l.root(ctx, root) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	l.arrange()
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

// arrange sorts what was listed into an inventory.
func (l *loader) arrange() {
	slices.SortFunc(l.objects, compareObjects)
	l.objects = slices.CompactFunc(l.objects, func(a, b policy.Object) bool { return a.Securable == b.Securable })
	l.out.inventory = policy.NewInventory(l.objects...)
	for _, o := range l.objects {
		if o.Kind != "" {
			l.out.kinds[o.Securable] = o.Kind
		}
	}
}

// skipReason returns why a root is not for a sync; "" where it is.
func (r *run) skipReason(root policy.Securable) string {
	switch {
	case builtIn(root):
		return "Unity Catalog keeps it itself, and its grants are not for anyone to manage"
	case !r.Scope.Reaches(root):
		return "it is outside the scope that scope.* sets"
	}
	return ""
}

// root lists one root, and what is inside.
func (l *loader) root(ctx context.Context, root policy.Securable) error {
	var found []policy.Object
	var err error
	switch {
	case root.Type == policy.Metastore && root.FullName == "":
		found, err = l.listTypes(ctx, root, policy.Securable{}, slices.DeleteFunc(slices.Clone(rootTypes), func(t policy.SecurableType) bool {
			return !l.run.Scope.ReachesType(t)
		})...)
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
	if _, unlisted := errors.AsType[*unlistedError](err); unlisted {
		found, err = []policy.Object{{Securable: root}}, l.leaveOutListing(root, err)
	}
	if err == nil && (root.Type.IsContainer() || root.FullName == "") {
		found, err = l.recall(ctx, root, found)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if policy.CodeOf(err) == policy.CodeNotFound {
		l.out.missing = append(l.out.missing, root)
		return nil
	}
	if err != nil && failsSmall(err) {
		l.leaveOut(LeftOut{Securable: root, Code: policy.CodeOf(err), Reason: err.Error()})
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
	for parent, ok := root.Parent(); ok; parent, ok = parent.Parent() {
		if !slices.Contains(l.out.ancestors, parent) {
			l.out.ancestors = append(l.out.ancestors, parent)
		}
	}
	l.run.request.report("list", len(l.objects), 0)
	return nil
}

// failsSmall reports whether an error is about the one object that was asked for, and not about the workspace, our
// credentials or this process.
func failsSmall(err error) bool {
	switch policy.CodeOf(err) {
	case policy.CodeForbidden, policy.CodeNotFound, policy.CodeInvalid, policy.CodeConflict, policy.CodeTooLarge, policy.CodeInternal:
		return true
	}
	return false
}

// leaveOut notes what could not be looked at; the lock is held.
func (l *loader) leaveOut(left LeftOut) {
	l.out.left = append(l.out.left, left)
	l.run.metrics.leftOut.Inc()
}

// leaveOutListing notes that what a container, or a type of root objects, holds could not be listed. It returns an error
// where that says that nothing can be.
func (l *loader) leaveOutListing(s policy.Securable, err error) error {
	if _, unlisted := errors.AsType[*unlistedError](err); !unlisted && !failsSmall(err) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaveOut(LeftOut{Securable: s, Code: policy.CodeOf(err), Reason: err.Error(), Listing: true})
	return nil
}

// maxUnanswered is how many objects of one load may be left out because the workspace did not answer for them: more, and
// it is the workspace that does not answer.
const maxUnanswered = 10

// readGrants reads the grants on every listed object in scope. An object that is gone by now is left out.
func (l *loader) readGrants(ctx context.Context) error {
	var read []policy.Securable
	for _, o := range l.objects {
		if l.only != nil && !l.only(o.Securable) {
			continue
		}
		if (l.run.Scope.Filters(o.Securable) || l.run.Scope.AddsOnly(o.Securable)) && len(policy.Privileges(o.Type, o.Kind)) > 0 {
			read = append(read, o.Securable)
		}
	}
	grants := make([][]policy.Assignment, len(read))
	without := make([]bool, len(read)) // gone, or left out
	unanswered := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(l.run.Parallel)
	for i, sec := range read {
		g.Go(func() error {
			list, err := l.run.grantsOf(ctx, sec)
			for j := range list { // the same few words on every object are held once
				list[j].Privilege = unique.Make(list[j].Privilege).Value()
			}
			if err == nil && sec.Type.IsContainer() {
				l.run.coordinator.saw(l.run.id, sec, list) // from here on others read it
			}
			grants[i], without[i] = list, err != nil
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.done++; l.done%64 == 0 || l.done == len(read) {
				l.run.request.report("read", l.done, len(read))
			}
			switch _, gone := errors.AsType[*goneError](err); {
			case err == nil:
			case gone:
				l.gone(sec)
			case failsSmall(err):
				l.leaveOut(LeftOut{Securable: sec, Code: policy.CodeOf(err), Reason: err.Error()})
			case policy.CodeOf(err) == policy.CodeUnavailable && ctx.Err() == nil && unanswered < maxUnanswered && unanswered < len(read)/2:
				unanswered++
				l.leaveOut(LeftOut{Securable: sec, Code: policy.CodeUnavailable, Reason: err.Error()})
			default:
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	l.out.current = &policy.GrantSet{}
	for i, sec := range read {
		if !without[i] {
			l.out.read = append(l.out.read, sec)
			l.out.current.Set(sec, grants[i])
			grants[i] = nil
		}
	}
	slices.SortFunc(l.out.missing, policy.Securable.Compare)
	slices.SortFunc(l.out.left, func(a, b LeftOut) int { return a.Securable.Compare(b.Securable) })
	for _, left := range l.out.left {
		l.run.Logger.WarnContext(ctx, "left out of the sync, which goes on without it", "securable", left.Securable.String(), "reason", left.Reason)
	}
	return nil
}

// gone notes that a listed object does not exist any more; the lock is held.
func (l *loader) gone(sec policy.Securable) {
	l.out.roots = slices.DeleteFunc(l.out.roots, func(r policy.Securable) bool { return r == sec })
	if slices.Contains(l.roots, sec) {
		l.out.missing = append(l.out.missing, sec)
	}
}

// goneError says that an object, asked for itself, does not exist.
type goneError struct{ err error }

func (e *goneError) Error() string { return e.err.Error() }
func (e *goneError) Unwrap() error { return e.err }

// grantsOf reads the grants on an object. That the call does not find it may be about the call: only an object that,
// asked for itself, does not exist is a *goneError.
func (r *run) grantsOf(ctx context.Context, s policy.Securable) ([]policy.Assignment, error) {
	list, err := r.grants(ctx, s)
	if policy.CodeOf(err) != policy.CodeNotFound {
		return list, err
	}
	if _, getErr := r.Workspace.Get(ctx, s); policy.CodeOf(getErr) == policy.CodeNotFound {
		return nil, &goneError{getErr}
	} else if getErr != nil {
		return nil, fmt.Errorf("the call for its grants does not find it (%w), and it cannot be asked for itself: %w", err, getErr)
	}
	if list, err = r.grants(ctx, s); policy.CodeOf(err) != policy.CodeNotFound { // it may have been created just now
		return list, err
	}
	return nil, policy.Errorf(policy.CodeInvalid, "it exists, but the call for its grants does not find it: %w", err)
}
