package connector

import (
	"context"

	"ucwarden/connector/load"
	"ucwarden/policy"
)

// Permissions reads and changes the direct grants of securables.
type Permissions interface {
	// Grants returns the direct grants on s. Grants of deleted principals, which have no name any more, are left out. A
	// grant names its principal and does not say its kind, so the principals are of policy.UnknownKind, spelled as the
	// workspace has them.
	Grants(ctx context.Context, s policy.Securable) ([]policy.Assignment, error)

	// Apply sends the change as one request that holds whole or not at all, and returns the grants on the securable
	// afterwards, as Grants does. Applying the same change again returns the same state.
	Apply(ctx context.Context, c policy.Change) ([]policy.Assignment, error)
}

// Workspace is what a sync needs of Unity Catalog.
type Workspace interface {
	load.Lister
	Permissions
}
