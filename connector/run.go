package connector

import (
	"context"

	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/ranger"
)

// run is one sync under way, with the policies that it plans by.
type run struct {
	*Syncer
	request  Request
	id       uint64 // with the coordinator
	snapshot *ranger.Snapshot
	compiler *compile.Compiler
}

// begin starts a sync by the policies in force, once no change by other policies is on its way. It must be ended.
func (s *Syncer) begin(ctx context.Context, r Request) (*run, error) {
	snapshot, compiler, err := s.current()
	if err != nil {
		return nil, err
	}
	id, err := s.coordinator.begin(ctx, compiler)
	if err != nil {
		return nil, givenUp(err)
	}
	return &run{Syncer: s, request: r, id: id, snapshot: snapshot, compiler: compiler}, nil
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
