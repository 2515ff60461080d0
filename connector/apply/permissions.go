package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ucwarden/connector/identity"
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

// PrincipalError says that a change was refused, whole, because it names a principal that the workspace does not
// know. The rest of the change may be sent again without that principal. Its class is policy.CodeInvalid and never
// policy.CodeNotFound: that class, from the same call, says that the securable is gone.
type PrincipalError struct {
	Principal policy.Principal // empty when the answer does not tell which of several it was
	Err       error            // the answer
}

func (e *PrincipalError) Error() string {
	if e.Principal.Name == "" {
		return fmt.Sprintf("a principal does not exist in the account: %v", e.Err)
	}
	return fmt.Sprintf("principal %q does not exist in the account: %v", e.Principal.Name, e.Err)
}

// Unwrap returns the answer, below the class of the error.
func (e *PrincipalError) Unwrap() error { return &policy.Error{Code: policy.CodeInvalid, Err: e.Err} }

// resolved is the permissions of the workspace with the principals that the directory knows.
type resolved struct {
	Permissions
	identities *identity.Names
}

// Resolved returns the permissions of a workspace with principals that have their kind and the names that policies use: grants
// are read so, and changes sent with the names as the workspace spells them.
func Resolved(of Permissions, identities *identity.Names) Permissions {
	return resolved{of, identities}
}

// Grants implements Permissions.
func (r resolved) Grants(ctx context.Context, s policy.Securable) ([]policy.Assignment, error) {
	list, err := r.Permissions.Grants(ctx, s)
	r.identities.Resolve(list)
	return list, err
}

// Apply implements Permissions.
func (r resolved) Apply(ctx context.Context, c policy.Change) ([]policy.Assignment, error) {
	spelled := make(map[policy.Principal]policy.Principal)
	spell := func(list []policy.Assignment) []policy.Assignment {
		list = slices.Clone(list)
		for i, a := range list {
			list[i].Name = r.identities.Directory.Spelling(a.Principal)
			spelled[list[i].Principal] = a.Principal
		}
		return list
	}
	sent := c
	sent.Add, sent.Remove = spell(c.Add), spell(c.Remove)
	sent.AddTemporary, sent.RemoveTemporary, sent.Keep = spell(c.AddTemporary), spell(c.RemoveTemporary), spell(c.Keep)
	list, err := r.Permissions.Apply(ctx, sent)
	if unknown, ok := errors.AsType[*PrincipalError](err); ok && unknown.Principal.Name != "" {
		unknown.Principal = spelled[unknown.Principal]
	}
	r.identities.Resolve(list)
	return list, err
}
