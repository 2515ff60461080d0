// Package source reads policy snapshots from where policies are kept: [Files] from a file or a folder, [Ranger] from
// Ranger Admin's download API. It does the I/O that package policy may not.
//
// Both sources have one shape. Load reads once and gives the snapshot in force; Watch follows the changes; Current is
// the snapshot in force, and Problem what keeps a newer one out. They share one machinery, which holds the rule that
// unknown is not empty:
//
//   - Content is taken whole or not at all, and only after [policy.NewSnapshot] has verified it. Policies, roles, user
//     store and tags that were read together are one version.
//   - The last verified snapshot stays in force whatever happens: a file that does not parse, a server that is down,
//     a login page, a truncated answer, a version that goes back.
//   - Content that lost everything of a kind, or more than GuardOptions.MaxShrink of it, is refused until an operator
//     accepts it by its digest.
//   - With a cache folder the last verified snapshot outlives the process, and so do these rules.
//
// A snapshot's identity is its Digest. Its Version is for people and never goes back: for Ranger it is Ranger's policy
// version (a change of roles or users alone gives a new digest and the same version), for files a number that grows
// with each change.
package source
