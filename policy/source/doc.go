// Package source loads policy snapshots: [Files] from a file or a folder, [Ranger] from Ranger Admin's download API.
// In: policies, roles, user store and tags, as JSON or YAML. Out: verified snapshots. The daemon and the commands that
// read policies call it; it does the I/O that the other policy packages must not do.
//
// Both sources have the same methods. Load reads once and returns the snapshot in force; Watch calls a function for
// each new snapshot; Current returns the snapshot in force, and Problem the error that keeps a newer one out. Neither
// takes unknown for empty:
//
//   - A version is used as a whole or not at all, and only after ranger.NewSnapshot has verified it. Policies, roles,
//     user store and tags that were read together are one version.
//   - The last verified snapshot stays in force after any failure: a file that does not parse, a server that is down,
//     a login page, a truncated answer, a version that goes back.
//   - A file with a field that Ranger's model does not have is such a failure. Without a last verified snapshot a daemon may
//     start all the same (FilesOptions.PartialStart): the file's policies are then unreadable. Ranger Admin's newer
//     versions add fields, so in a download an unknown field is a problem of the snapshot, and no failure.
//   - A version that lost everything of a kind, or more than GuardOptions.MaxShrink of it, is rejected until an
//     operator accepts it by its digest.
//   - With a cache folder the last verified snapshot survives a restart, and so do these rules.
//
// A snapshot is identified by its Digest. Its Version is for people and never goes back: for Ranger it is Ranger's
// policy version (a change of roles or users alone changes the digest and not the version), for files a number that
// grows with each change.
package source
