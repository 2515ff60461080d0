package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"unique"

	"ucwarden/connector/memory"
	"ucwarden/group"
	"ucwarden/policy"
)

// Found is what was read from the workspace for a sync.
type Found struct {
	Roots     []policy.Securable // those that exist; a METASTORE root without a name is spelled out
	Missing   []policy.Securable // roots that do not exist
	Skipped   []Skipped
	Left      []LeftOut
	Hidden    []LeftOut                        // what policies name, no listing showed, and we may not ask for: it may be there
	Ancestors []policy.Securable               // containers above the roots, outermost first
	Inventory *policy.Inventory                // everything listed, and the ancestors
	Kinds     map[policy.Securable]policy.Kind // of what is no plain object of its type
	Read      []policy.Securable               // whose grants were read, sorted
	Current   *policy.GrantSet
	Listings  []memory.Listing
	Asked     map[policy.Securable]bool // what policies name, no listing showed, and was found or does not exist
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
	Schemas   bool             `json:"schemas,omitempty"` // of the listing of a catalog: schemas may be missing, with the grants on them
	// Protection says that what could not be read is the row filter and masks of a table; Unprotected, that they could not be set or
	// lifted, which Reason says; Carried with that, that they could not be lifted, so that the table carries them still.
	Protection  bool `json:"protection,omitempty"`
	Unprotected bool `json:"unprotected,omitempty"`
	Carried     bool `json:"carried,omitempty"`
	Hidden      bool `json:"hidden,omitempty"` // whether it exists is not known: see Found.Hidden
}

func (l LeftOut) String() string {
	if l.Listing && l.Securable.FullName == "" {
		return fmt.Sprintf("objects of type %s cannot be listed: %s", l.Securable.Type, l.Reason)
	}
	if l.Listing {
		return fmt.Sprintf("what %s holds cannot be listed: %s", l.Securable, l.Reason)
	}
	if l.Hidden {
		return fmt.Sprintf("whether %s exists is not shown: %s", l.Securable, l.Reason)
	}
	if l.Protection {
		return fmt.Sprintf("what row filter and masks %s carries cannot be read: %s", l.Securable, l.Reason)
	}
	if l.Unprotected {
		return fmt.Sprintf("%s: %s", l.Securable, l.Reason)
	}
	return fmt.Sprintf("the grants on %s cannot be read: %s", l.Securable, l.Reason)
}

// MayWake reports whether there may be grants that are to be revoked, and that USE_* would wake before. What we may not
// read is not ours to manage, and its grants are there to stay.
func (l LeftOut) MayWake() bool { return l.Code != policy.CodeForbidden }

// rootTypes are the types of root object, catalogs aside, whose grants policies can manage. Shares are granted to
// recipients, not to principals of the account, and are synced only when named.
var rootTypes = []policy.SecurableType{policy.Metastore, policy.ExternalLocation, policy.StorageCredential, policy.Credential, policy.Connection}

// Lists reports whether a sync of everything looks for objects of the type.
func Lists(t policy.SecurableType) bool {
	return t.Depth() > 1 || t == policy.Catalog || slices.Contains(rootTypes, t)
}

// BuiltIn reports whether Unity Catalog itself keeps the object: its grants are not for anyone to manage.
func BuiltIn(s policy.Securable) bool {
	names := s.Names()
	switch {
	case s.Type.Depth() == 1 && s.Type != policy.Catalog:
		return false
	case len(names) > 1 && names[1] == BuiltInSchema:
		return true
	}
	return slices.Contains(BuiltInCatalogs, names[0])
}

// BuiltInSchema is kept by Unity Catalog itself in every catalog.
const BuiltInSchema = "information_schema"

// BuiltInCatalogs are those that Unity Catalog itself keeps.
var BuiltInCatalogs = []string{"system", "samples", "hive_metastore", "__databricks_internal"}

// covers reports whether listing root shows o: it lies inside, or is one of the metastore's root objects.
func covers(root, o policy.Securable) bool {
	if root == (policy.Securable{Type: policy.Metastore}) && slices.Contains(rootTypes, o.Type) {
		return true
	}
	return root.Contains(o)
}

// Options say what is read of a workspace and how.
type Options struct {
	Lister   Lister
	Grants   func(context.Context, policy.Securable) ([]policy.Assignment, error) // the direct grants on a securable
	Scope    policy.Scope
	Parallel int // how many calls are under way at once
	Memory   *memory.Memory
	Logger   *slog.Logger
	Named    func(container policy.Securable) []policy.Securable // what policies name exactly, in a container or of root objects; nil: nothing

	Report   func(phase string, done, total int) // called now and then, never twice at once
	LeftOut  func()                              // called for each object that is left out
	Recalled func(n int)                         // called where a listing did not show n objects that exist
}

// Loader reads what a sync needs to know of a workspace: first which objects there are, then the grants on them. What does
// not exist is no error, and what cannot be read is left out, with everything that depends on it; a workspace that does not
// answer at all, or not for much, fails the whole load, since unknown is not empty.
type Loader struct {
	Options
	lister
	roots   []policy.Securable
	mu      sync.Mutex // guards what is below while calls are under way, and keeps reports of progress apart
	objects []policy.Object
	done    int // objects whose grants were read
	out     *Found

	answered        bool  // some listing or look-up came back
	unanswered      int   // what was left out because the workspace did not answer for it
	firstUnanswered error // why, the first time
}

// New returns a Loader of the roots, and of objects that are known to exist.
func New(o Options, roots []policy.Securable, also []policy.Object) *Loader {
	l := &Loader{Options: o, roots: roots, objects: slices.Clone(also), out: &Found{Kinds: make(map[policy.Securable]policy.Kind), Asked: make(map[policy.Securable]bool)}}
	l.lister = lister{Lister: o.Lister, parallel: o.Parallel, failed: l.leaveOutListing, answered: l.noteAnswer}
	return l
}

// Found returns what was found so far.
func (l *Loader) Found() *Found { return l.out }

// ListRemembered takes what the last good listings held for what there is; roots are shards of a full sync. Nothing is
// asked of the workspace.
func (l *Loader) ListRemembered() error {
	for _, shard := range l.roots {
		objects, err := l.Memory.Objects(shard)
		if err != nil {
			return err
		}
		l.objects = append(l.objects, objects...)
		if shard.FullName != "" {
			l.out.Roots = append(l.out.Roots, shard)
			continue
		}
		for _, o := range objects {
			l.out.Roots = append(l.out.Roots, o.Securable)
		}
	}
	l.arrange()
	return nil
}

// ListObjects finds out what the roots hold.
func (l *Loader) ListObjects(ctx context.Context) error {
	g, ctx := group.WithContext(ctx)
	g.SetLimit(l.Parallel)
	roots := slices.Compact(slices.SortedFunc(slices.Values(l.roots), policy.Securable.Compare))
	var inside []policy.Securable // roots that the listing of another root shows
	for _, root := range roots {
		switch reason := l.skipReason(root); {
		case reason != "":
			l.out.Skipped = append(l.out.Skipped, Skipped{root, reason})
		case slices.ContainsFunc(roots, func(r policy.Securable) bool { return r != root && covers(r, root) }):
			inside = append(inside, root)
		default:
			g.Go(func() error { return l.root(ctx, root) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if l.firstUnanswered != nil && !l.answered {
		return l.firstUnanswered // not this or that is out of order: nothing came back at all
	}
	l.arrange()
	for _, root := range inside {
		_, found := slices.BinarySearchFunc(l.objects, root, func(o policy.Object, s policy.Securable) int { return o.Compare(s) })
		if !found {
			l.out.Missing = append(l.out.Missing, root)
		}
	}
	l.out.Ancestors = slices.DeleteFunc(l.out.Ancestors, func(a policy.Securable) bool {
		return slices.ContainsFunc(l.out.Roots, func(r policy.Securable) bool { return r.Contains(a) })
	})
	slices.SortFunc(l.out.Ancestors, policy.Securable.Compare)
	slices.SortFunc(l.out.Roots, policy.Securable.Compare)
	return nil
}

// arrange sorts what was listed into an inventory.
func (l *Loader) arrange() {
	slices.SortFunc(l.objects, memory.CompareObjects)
	l.objects = slices.CompactFunc(l.objects, func(a, b policy.Object) bool { return a.Securable == b.Securable })
	l.out.Inventory = policy.NewInventory(l.objects...)
	for _, o := range l.objects {
		if o.Kind != "" {
			l.out.Kinds[o.Securable] = o.Kind
		}
	}
}

// skipReason returns why a root is not for a sync; "" where it is.
func (l *Loader) skipReason(root policy.Securable) string {
	switch {
	case BuiltIn(root):
		return "Unity Catalog keeps it itself, and its grants are not for anyone to manage"
	case !l.Scope.Reaches(root):
		return "it is outside the scope that scope.* sets"
	}
	return ""
}

// root lists one root, and what is inside.
func (l *Loader) root(ctx context.Context, root policy.Securable) error {
	var found []policy.Object
	var err error
	switch {
	case root.Type == policy.Metastore && root.FullName == "":
		found, err = l.listTypes(ctx, root, policy.Securable{}, slices.DeleteFunc(slices.Clone(rootTypes), func(t policy.SecurableType) bool {
			return !l.Scope.ReachesType(t)
		})...)
	case root.Type == policy.Catalog:
		found, err = l.catalog(ctx, root)
	case root.Type == policy.Schema:
		found, err = l.schema(ctx, root)
	default:
		var o policy.Object
		if o, err = l.Get(ctx, root); err == nil {
			l.noteAnswer()
			found = []policy.Object{o}
		}
	}
	if root.Type.IsContainer() && policy.CodeOf(err) == policy.CodeNotFound {
		err = l.confirmGone(ctx, root, err)
	}
	if _, unlisted := errors.AsType[*unlistedError](err); unlisted {
		found, err = []policy.Object{{Securable: root}}, l.leaveOutListing(ctx, root, err)
	}
	if err == nil && (root.Type.IsContainer() || root.FullName == "") {
		if found, err = l.recall(ctx, root, found); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if policy.CodeOf(err) == policy.CodeNotFound {
		l.out.Missing = append(l.out.Missing, root)
		return nil
	}
	if err != nil && l.goesOnWithout(ctx, err) {
		l.leaveOut(LeftOut{Securable: root, Code: policy.CodeOf(err), Reason: err.Error()})
		return nil
	}
	if err != nil {
		return err
	}
	if root.FullName == "" {
		for _, o := range found {
			l.out.Roots = append(l.out.Roots, o.Securable)
		}
	} else {
		l.out.Roots = append(l.out.Roots, root)
	}
	l.objects = append(l.objects, found...)
	for parent, ok := root.Parent(); ok; parent, ok = parent.Parent() {
		if !slices.Contains(l.out.Ancestors, parent) {
			l.out.Ancestors = append(l.out.Ancestors, parent)
		}
	}
	l.Report("list", len(l.objects), 0)
	return nil
}

// FailsSmall reports whether an error is about the one object that was asked for, and not about the workspace, our
// credentials or this process.
func FailsSmall(err error) bool {
	switch policy.CodeOf(err) {
	case policy.CodeForbidden, policy.CodeNotFound, policy.CodeInvalid, policy.CodeConflict, policy.CodeTooLarge, policy.CodeInternal:
		return true
	}
	return false
}

// leaveOut notes what could not be looked at; the lock is held.
func (l *Loader) leaveOut(left LeftOut) {
	l.out.Left = append(l.out.Left, left)
	l.LeftOut()
}

// leaveOutListing notes that what a container, or a type of root objects, holds could not be listed. It returns an error
// where that says that nothing can be.
func (l *Loader) leaveOutListing(ctx context.Context, s policy.Securable, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, schemas := errors.AsType[*schemasError](err)
	if _, unlisted := errors.AsType[*unlistedError](err); unlisted {
		l.answered, schemas = true, s.Type == policy.Catalog
	} else if !l.goesOnWithout(ctx, err) {
		return err
	}
	l.leaveOut(LeftOut{Securable: s, Code: policy.CodeOf(err), Reason: err.Error(), Listing: true, Schemas: schemas})
	return nil
}

// maxUnanswered is how much of one load may be left out because the workspace did not answer for it, be it a listing, a
// look-up or the grants on an object: more, and it is the workspace that does not answer.
const maxUnanswered = 10

// goesOnWithout reports whether a load may go on without what an error is about; the lock is held.
func (l *Loader) goesOnWithout(ctx context.Context, err error) bool {
	switch {
	case FailsSmall(err):
		l.answered = true
		return true
	case policy.CodeOf(err) != policy.CodeUnavailable || ctx.Err() != nil || l.unanswered == maxUnanswered:
		return false
	}
	l.unanswered++
	l.firstUnanswered = cmp.Or(l.firstUnanswered, err)
	return true
}

// noteAnswer notes that the workspace answers.
func (l *Loader) noteAnswer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered = true
}

// ReadGrants reads the grants on every listed object in scope that only picks; on all with a nil one. An object that is gone
// by now is left out.
func (l *Loader) ReadGrants(ctx context.Context, only func(policy.Securable) bool) error {
	var read []policy.Securable
	for _, o := range l.objects {
		if only != nil && !only(o.Securable) {
			continue
		}
		if (l.Scope.Filters(o.Securable) || l.Scope.AddsOnly(o.Securable)) && len(policy.Privileges(o.Type, o.Kind)) > 0 {
			read = append(read, o.Securable)
		}
	}
	grants := make([][]policy.Assignment, len(read))
	without := make([]bool, len(read)) // gone, or left out
	unanswered := 0                    // here: more than half of the objects is no single one
	g, ctx := group.WithContext(ctx)
	g.SetLimit(l.Parallel)
	for i, sec := range read {
		g.Go(func() error {
			list, err := l.GrantsOf(ctx, sec)
			for j := range list { // the same few words on every object are held once
				list[j].Privilege = unique.Make(list[j].Privilege).Value()
			}
			grants[i], without[i] = list, err != nil
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.done++; l.done%64 == 0 || l.done == len(read) {
				l.Report("read", l.done, len(read))
			}
			switch _, gone := errors.AsType[*GoneError](err); {
			case err == nil:
			case gone:
				l.gone(sec)
			case FailsSmall(err), unanswered < len(read)/2 && l.goesOnWithout(ctx, err):
				if !FailsSmall(err) {
					unanswered++
				}
				l.leaveOut(LeftOut{Securable: sec, Code: policy.CodeOf(err), Reason: err.Error()})
			default:
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	l.out.Current = &policy.GrantSet{}
	for i, sec := range read {
		if !without[i] {
			l.out.Read = append(l.out.Read, sec)
			l.out.Current.Set(sec, grants[i])
			grants[i] = nil
		}
	}
	slices.SortFunc(l.out.Missing, policy.Securable.Compare)
	slices.SortFunc(l.out.Left, func(a, b LeftOut) int { return a.Securable.Compare(b.Securable) })
	slices.SortFunc(l.out.Hidden, func(a, b LeftOut) int { return a.Securable.Compare(b.Securable) })
	for _, left := range l.out.Left {
		l.Logger.WarnContext(ctx, "left out of the sync, which goes on without it", "securable", left.Securable.String(), "reason", left.Reason)
	}
	return nil
}

// gone notes that a listed object does not exist any more; the lock is held.
func (l *Loader) gone(sec policy.Securable) {
	l.out.Roots = slices.DeleteFunc(l.out.Roots, func(r policy.Securable) bool { return r == sec })
	if slices.Contains(l.roots, sec) {
		l.out.Missing = append(l.out.Missing, sec)
	}
}

// GoneError says that an object, asked for itself, does not exist.
type GoneError struct{ err error }

func (e *GoneError) Error() string { return e.err.Error() }
func (e *GoneError) Unwrap() error { return e.err }

// GrantsOf reads the grants on an object. That the call does not find it may be about the call: only an object that,
// asked for itself, does not exist is a *GoneError.
func (o Options) GrantsOf(ctx context.Context, s policy.Securable) ([]policy.Assignment, error) {
	list, err := o.Grants(ctx, s)
	if policy.CodeOf(err) != policy.CodeNotFound {
		return list, err
	}
	if _, getErr := o.Lister.Get(ctx, s); policy.CodeOf(getErr) == policy.CodeNotFound {
		return nil, &GoneError{getErr}
	} else if getErr != nil {
		return nil, fmt.Errorf("the call for its grants does not find it (%w), and it cannot be asked for itself: %w", err, getErr)
	}
	if list, err = o.Grants(ctx, s); policy.CodeOf(err) != policy.CodeNotFound { // it may have been created just now
		return list, err
	}
	return nil, policy.Errorf(policy.CodeInvalid, "it exists, but the call for its grants does not find it: %w", err)
}
