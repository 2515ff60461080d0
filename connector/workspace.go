package connector

import (
	"context"

	"ucwarden/policy"
	"ucwarden/policy/directory"
)

// Lister finds the objects of a workspace. Every error is classified (see policy.CodeOf).
type Lister interface {
	// List returns every object of type t directly inside parent, in no particular order. The zero parent stands for
	// the metastore: List(ctx, policy.Securable{}, policy.Catalog) lists the catalogs, and so on for each root type;
	// policy.Metastore returns the one metastore of the workspace, with its id as FullName. For parent a schema, t is
	// Table, Function or Volume (views come with Table, registered models with Function, told apart by Kind).
	// Table, Function and Volume may also be asked of a catalog: all of its schemas at once.
	// All pages are read; a page that fails fails the listing, so a result is never partial.
	List(ctx context.Context, parent policy.Securable, t policy.SecurableType) ([]policy.Object, error)

	// Get looks one object up; an error of policy.CodeNotFound says that it does not exist.
	Get(ctx context.Context, s policy.Securable) (policy.Object, error)
}

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
	Lister
	Permissions
}

// Directory lists the principals of a workspace.
type Directory interface {
	// Principals returns every user, group and service principal, with who is in which group and who the client itself is.
	// A listing is never partial: what cannot be read is an error.
	Principals(ctx context.Context) (directory.Listing, error)
}
