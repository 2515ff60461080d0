package connector

import "context"

type backgroundKey struct{}

// WithBackground returns a context whose calls of a [Workspace] let others go first: those of shards of a full sync, which
// nobody waits for.
func WithBackground(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

// IsBackground reports whether the calls of a [Workspace] with ctx let others go first.
func IsBackground(ctx context.Context) bool {
	return ctx.Value(backgroundKey{}) != nil
}
