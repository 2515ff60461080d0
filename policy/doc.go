// Package policy holds the words that every other package shares: a [Securable] and the [Object] found in a workspace, a
// [Principal], a [Privilege], a [Grant] and the [GrantSet] that is a state of the world, the [Scope] a sync may change,
// the [Plan] with its changes in order ([Change]) and what its reader must know ([Finding]), and the classified [Error].
//
// It takes two GrantSets, the current one and the desired one; [Diff] returns the changes that lead from the first to the
// second. Package connector calls it. The packages under this one are
// about Ranger's policies: source fetches them; ranger, delta, verify, schedule, match, condition and rules read them, once;
// evaluate and compile decide by what was read, region and directory say where and whom it is about; order puts changes into
// a safe order, and guard may refuse them; explain, lint, suite and script answer what people ask.
//
// The package uses the standard library only, does no I/O, reads no clock, starts no goroutine and logs nothing:
// whatever it needs is passed in, and the same input returns the same output. This holds for every package under it but
// source, which does the I/O, and script, which runs JavaScript. How names are folded and matched by patterns is in package
// naming below it, since everything compares names by it and it needs no other word of this package.
package policy
