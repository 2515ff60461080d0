// Package policy is ucwarden's domain: it reads Ranger-style policies, decides what they mean, compiles them to Unity
// Catalog grants, and works out the ordered changes that lead from the grants of today to the grants desired.
//
// A [Snapshot] holds one verified version of the policies. [Compile] turns it and the [Object]s of a workspace into a
// desired [GrantSet] with a fidelity [Report]; [Diff] compares two GrantSets within a [Scope] and gives the ordered
// [Change]s of a [Plan], which a [Guard] may refuse.
//
// The package uses the standard library only. It does no I/O, reads no clock, starts no goroutine and logs nothing:
// whatever it needs is passed in, and the same input gives the same output.
package policy
