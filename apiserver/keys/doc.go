// Package keys generates the signing keys and tokens of the REST API ([Generate], [Issue]) and verifies tokens
// ([Verifier]). In: key files, a key set's URL, a shared secret, and bearer tokens. Out: the [Identity] of a token's
// bearer. Package apiserver and the keys commands call it.
//
// The algorithm of a token is fixed by the key that its kid names, never by the token. Keys are read again when their
// file or URL changes, so that they can be rotated without a restart.
package keys
