package keys

import (
	"slices"
	"time"

	"ucwarden/policy"
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

// The issuer and audience used where the configuration names none, by [Issue] and by [NewVerifier] alike.
const (
	DefaultIssuer   = "ucwarden"
	DefaultAudience = "ucwarden"
)

// Identity is what a verified token says about its bearer.
type Identity struct {
	Subject string
	Scopes  []Scope
	KeyID   string    // of the key that verified the token; "" for the shared secret
	TokenID string    // claim jti, may be empty
	Expires time.Time // claim exp

	// Limited is set when the token carries a catalogs claim: it then reaches only catalogs that one of the
	// Catalogs patterns matches, none when the claim is an empty list.
	Limited  bool
	Catalogs []policy.Pattern
}

// Has reports whether the identity holds the scope, by itself or through admin.
func (i Identity) Has(s Scope) bool {
	return slices.Contains(i.Scopes, s) || slices.Contains(i.Scopes, ScopeAdmin)
}

// Reaches reports whether the identity may sync objects of the named catalog, in any case of letters.
func (i Identity) Reaches(catalog string) bool {
	return !i.Limited || slices.ContainsFunc(i.Catalogs, func(p policy.Pattern) bool { return p.Match(policy.CanonicalName(catalog)) })
}
