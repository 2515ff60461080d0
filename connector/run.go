package connector

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"ucwarden/connector/apply"
	"ucwarden/connector/drift"
	"ucwarden/connector/identity"
	"ucwarden/connector/load"
	"ucwarden/connector/named"
	"ucwarden/connector/written"
	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/directory"
	"ucwarden/policy/order"
	"ucwarden/policy/protect"
	"ucwarden/policy/ranger"
	"ucwarden/span"
)

var errNoPolicies = policy.Errorf(policy.CodeUnavailable, "no policies have been loaded yet, so nothing can be said about what should be granted")

// run is one sync under way, with the policies that it plans by.
type run struct {
	*Syncer
	request  Request
	pending  []policy.Securable // containers that are left to syncs of their own; see Request.Bounded
	id       uint64             // with the coordinator
	snapshot *ranger.Snapshot
	places   *named.Places // of the snapshot
	compiler *compile.Compiler
	protect  *protect.Protector // nil where nothing enforces row filters and masks
	at       time.Time          // at which the compiler judges validity
	unknown  identity.View      // whom not to try
	watch    *written.Watch     // while a plan is applied
	wanted   *policy.GrantSet   // what is to be granted, while a plan is made
	granted  drift.Record       // of a shard, once a plan is made: what holds when it is applied; nil where that is what held before

	dir        *directory.Directory // of principals, by which the compiler resolved
	identities *identity.Names
}

// begin starts a sync by the policies and the directory of principals in force, once no change by others is on its way. It
// must be ended.
func (s *Syncer) begin(ctx context.Context, r Request) (*run, error) {
	if s.Policies.Current() == nil {
		return nil, errNoPolicies
	}
	if err := s.refreshDirectory(ctx, r.ByPerson, len(r.Roots) == 0); err != nil {
		return nil, apply.GivenUp(err)
	}
	return s.beginNow(ctx, r)
}

// beginNow starts a sync by the principals as they were last read.
func (s *Syncer) beginNow(ctx context.Context, r Request) (*run, error) {
	g, err := s.current()
	if err != nil {
		return nil, err
	}
	if r.ByPerson {
		s.unknown.TryAgain()
	}
	s.mu.Lock()
	if s.plannedBy == nil {
		s.plannedBy = g.identities.Directory
	}
	s.mu.Unlock()
	unknown := s.unknown.View()
	id, err := s.coordinator.Begin(ctx, g.compiler)
	if err != nil {
		return nil, apply.GivenUp(err)
	}
	run := s.runOf(g, r)
	run.id, run.unknown = id, unknown
	s.recallExpansions(ctx)
	s.Journal.Settle(ctx, apply.Resolved(s.Workspace, g.identities), s.tables())
	return run, nil
}

// runOf returns a run by a generation that is not known to the coordinator yet.
func (s *Syncer) runOf(g generation, r Request) *run {
	return &run{
		Syncer: s, request: r, snapshot: g.snapshot, places: g.places, compiler: g.compiler, protect: g.protector, at: g.at, unknown: s.unknown.View(),
		dir: g.identities.Directory, identities: g.identities,
	}
}

func (r *run) end() { r.coordinator.End(r.id) }

// orGivenUp returns err, or that the sync was given up where ctx has ended.
func orGivenUp(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return apply.GivenUp(ctx.Err())
	}
	return err
}

// apply carries out changes; see [apply.Changes].
func (r *run) apply(ctx context.Context, changes []policy.Change, closed map[policy.Securable]bool, unmade *order.Unmade) ([]apply.Outcome, error) {
	r.expansions.Expect(changes)
	r.saveExpansions(ctx)
	defer r.saveExpansions(context.WithoutCancel(ctx))
	return apply.Changes(ctx, apply.Options{
		Permissions: apply.Resolved(r.Workspace, r.identities), Get: r.Workspace.Get, Journal: r.Journal, Origin: r.request.Origin,
		Coordinator: r.coordinator, Sync: r.id, Compiler: r.compiler, Outdated: r.outdated, MayRemove: r.mayRemove,
		Unknown: r.Syncer.unknown, NotTried: r.unknown, Expansions: r.expansions, Watch: r.watch,
		Parallel: r.Parallel, Report: func(done, total int) { r.request.report("apply", done, total) },
		Sent: r.metrics.changed, Failed: r.metrics.failures.Inc, Logger: r.Logger,
	}, changes, closed, unmade)
}

// outdated reports whether the plan is no longer what the policies mean.
func (r *run) outdated() bool {
	g, err := r.current()
	return err != nil || g.compiler != r.compiler
}

// mayRemove reports whether a sync takes grants of a privilege on a type of securable away that no policy gives.
func (r *run) mayRemove(t policy.SecurableType, p policy.Privilege) bool {
	return r.Scope.Keeps(t, p, r.compiler.Expresses) == ""
}

// loadOptions returns what a load reads of the workspace, and how.
func (r *run) loadOptions() load.Options {
	return load.Options{
		Lister: r.Workspace, Grants: r.grants, Scope: r.Scope, Parallel: r.Parallel, Memory: r.memory, Logger: r.Logger,
		Named:    func(in policy.Securable) []policy.Securable { return r.compiler.Named(in, maxNamed) },
		Report:   r.request.report,
		LeftOut:  r.metrics.leftOut.Inc,
		Recalled: func(n int) { r.metrics.recalled.Add(float64(n)) },
	}
}

// load lists what the roots hold and reads the grants on all of it.
func (r *run) load(ctx context.Context, roots []policy.Securable, also []policy.Object) (found *load.Found, err error) {
	ctx, s := span.Start(ctx, "load objects and grants", attribute.Int("ucwarden.roots", len(roots)))
	defer func() { span.End(s, err) }()
	l := load.New(r.loadOptions(), roots, also)
	if err := l.ListObjects(ctx); err != nil {
		return nil, err
	}
	if err := l.ReadGrants(ctx, nil); err != nil {
		return nil, err
	}
	return l.Found(), nil
}
