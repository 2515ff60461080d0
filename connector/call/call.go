package call

import (
	"context"
	"sync/atomic"

	"ucwarden/policy"
)

type backgroundKey struct{}

// WithBackground returns a context whose calls of a workspace let others go first: those of shards of a full sync, which
// nobody waits for.
func WithBackground(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

// IsBackground reports whether the calls of a workspace with ctx let others go first.
func IsBackground(ctx context.Context) bool {
	return ctx.Value(backgroundKey{}) != nil
}

type callsKey struct{}

// WithLimit returns a context with which a workspace makes at most n requests, and a function that reports whether it was
// asked for more.
func WithLimit(ctx context.Context, n int64) (_ context.Context, exceeded func() bool) {
	left := new(atomic.Int64)
	left.Store(n)
	return context.WithValue(ctx, callsKey{}, left), func() bool { return left.Load() < 0 }
}

// Count is called by a workspace before each request with ctx. An error says that it must not be made.
func Count(ctx context.Context) error {
	if left, ok := ctx.Value(callsKey{}).(*atomic.Int64); ok && left.Add(-1) < 0 {
		return policy.Errorf(policy.CodeUnavailable, "look at a container: more calls than a bounded sync may make")
	}
	return nil
}

type requestIDKey struct{}

// WithRequestID returns a context that notes, for the call it is passed to, the id by which the workspace knows the
// request; see [NoteRequestID].
func WithRequestID(ctx context.Context) (_ context.Context, id *string) {
	id = new(string)
	return context.WithValue(ctx, requestIDKey{}, id), id
}

// NoteRequestID is called by a workspace, before it returns from a call with ctx, with the id by which the service
// knows the request.
func NoteRequestID(ctx context.Context, id string) {
	if noted, ok := ctx.Value(requestIDKey{}).(*string); ok {
		*noted = id
	}
}
