// Package source loads policy snapshots: [Files] from a file or a folder, [Ranger] from Ranger Admin's download API.
// In: policies, roles, user store and tags, as JSON or YAML. Out: verified snapshots. The daemon and the commands that
// read policies call it; it does the I/O that the other policy packages must not do.
//
// Both sources have the same methods. Load reads once and returns the snapshot in force; Watch calls a function for
// each new snapshot; Current returns the snapshot in force, and Problem the error that keeps a newer one out. Neither
// takes unknown for empty:
//
//   - Policies, roles, user store and tags that were read together are one version, which is used as a whole or not at all.
//   - What cannot be understood in a policy is a fault of that policy (package verify). What is not ours in a folder, and
//     policies of other services, are left out. Both are named in the snapshot's findings.
//   - A policy file that cannot be read any more keeps what was last read from it. A new one is left out, unless it may hold
//     what takes access away: that is a failure.
//   - The last verified snapshot stays in force after any failure: roles that do not parse, a server that is down, a login
//     page, a truncated answer, a version that goes back, a misspelt field outside of policies.
//   - A version that lost everything of a kind, or more than GuardOptions.MaxShrink of it, is rejected until an
//     operator accepts it by its digest.
//   - With a cache folder the last verified snapshot survives a restart, and so do these rules.
//
// A snapshot is identified by its Digest. Its Version is for people and never goes back: for Ranger it is Ranger's
// policy version (a change of roles or users alone changes the digest and not the version), for files a number that
// grows with each change.
package source
