package connector

import (
	"context"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/directory"
	"ucwarden/policy/ranger"
)

var errNoPolicies = policy.Errorf(policy.CodeUnavailable, "no policies have been loaded yet, so nothing can be said about what should be granted")

// run is one sync under way, with the policies that it plans by.
type run struct {
	*Syncer
	request  Request
	id       uint64 // with the coordinator
	snapshot *ranger.Snapshot
	compiler *compile.Compiler
	at       time.Time   // at which the compiler judges validity
	unknown  unknownView // whom not to try
	watch    *standings  // while a plan is applied

	dir        *directory.Directory // of principals, by which the compiler resolved
	identities *identities
}

// begin starts a sync by the policies and the directory of principals in force, once no change by others is on its way. It
// must be ended.
func (s *Syncer) begin(ctx context.Context, r Request) (*run, error) {
	if s.Policies.Current() == nil {
		return nil, errNoPolicies
	}
	if err := s.refreshDirectory(ctx, r.ByPerson, len(r.Roots) == 0); err != nil {
		return nil, givenUp(err)
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
		s.unknown.tryAgain()
	}
	if !g.identities.directory.Read() {
		s.mu.Lock()
		s.byShape = true
		s.mu.Unlock()
	}
	unknown := s.unknown.view()
	id, err := s.coordinator.begin(ctx, g.compiler)
	if err != nil {
		return nil, givenUp(err)
	}
	run := s.runOf(g, r)
	run.id, run.unknown = id, unknown
	s.recallExpansions(ctx)
	s.Journal.Settle(ctx, resolved{s.Workspace, g.identities})
	return run, nil
}

// runOf returns a run by a generation that is not known to the coordinator yet.
func (s *Syncer) runOf(g generation, r Request) *run {
	return &run{
		Syncer: s, request: r, snapshot: g.snapshot, compiler: g.compiler, at: g.at, unknown: s.unknown.view(),
		dir: g.identities.directory, identities: g.identities,
	}
}

func (r *run) end() { r.coordinator.end(r.id) }

// givenUp classifies the end of a context: whoever asks again may be answered.
func givenUp(err error) error {
	return policy.Errorf(policy.CodeUnavailable, "sync given up: %w", err)
}

// orGivenUp returns err, or that the sync was given up where ctx has ended.
func orGivenUp(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return givenUp(ctx.Err())
	}
	return err
}

// mayRemove reports whether a sync takes grants of a privilege on a type of securable away that no policy gives.
func (r *run) mayRemove(t policy.SecurableType, p policy.Privilege) bool {
	return r.Scope.Keeps(t, p, r.compiler.Expresses) == ""
}
