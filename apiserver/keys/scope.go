package keys

import (
	"slices"
	"time"

	"ucwarden/policy/naming"
)

// Scope is one word of a token's scope claim.
type Scope string

// The scopes. Admin implies the other two; ScopeWrite does not imply ScopeRead.
const (
	ScopeWrite Scope = "tasks:write" // submit, cancel and retry tasks
	ScopeRead  Scope = "tasks:read"  // read and list tasks
	ScopeAdmin Scope = "admin"       // both, and approve a plan that a guard refused
)

var scopes = []Scope{ScopeWrite, ScopeRead, ScopeAdmin}

// The defaults of [Issue] and [NewVerifier].
const (
	defaultIssuer   = "ucwarden"
	defaultAudience = "ucwarden"
)

// Identity is what a verified token says about its bearer.
type Identity struct {
	Subject string
	Scopes  []Scope
	KeyID   string    // of the key that verified the token; "" for the shared secret
	TokenID string    // claim jti, may be empty
	Expires time.Time // claim exp

	// Limited is set when the token has a catalogs claim: it then allows only catalogs that one of the Catalogs
	// patterns matches, none when the claim is an empty list.
	Limited  bool
	Catalogs []naming.Pattern
	// Pipelines are the patterns of the claim pipelines, by id or by name, which may be updated; without the claim there are none.
	Pipelines []naming.Pattern
}

// Has reports whether the identity has the scope, directly or through admin.
func (i Identity) Has(s Scope) bool {
	return slices.Contains(i.Scopes, s) || slices.Contains(i.Scopes, ScopeAdmin)
}

// AllowsCatalog reports whether the identity may sync objects of the named catalog; case does not matter.
func (i Identity) AllowsCatalog(catalog string) bool {
	return !i.Limited || slices.ContainsFunc(i.Catalogs, func(p naming.Pattern) bool { return p.Match(naming.Canonical(catalog)) })
}

// AllowsPipeline reports whether the identity may update the pipeline of that id, or of that name; case does not matter.
func (i Identity) AllowsPipeline(idOrName string) bool {
	return slices.ContainsFunc(i.Pipelines, func(p naming.Pattern) bool { return p.Match(naming.Canonical(idOrName)) })
}
