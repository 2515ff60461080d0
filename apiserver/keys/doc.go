// Package keys makes the signing keys and tokens of the REST API ([Generate], [Issue]) and checks tokens against the
// keys that are in force ([Verifier]). The algorithm of a token is fixed by the key that its kid names, never by the
// token; keys are read again when their file or URL changes, so that they rotate without a restart.
package keys
