// Package connector brings a workspace into sync with the policies: it loads securables and grants, compiles, diffs,
// asks the guards, and applies. [Syncer] does so for one [policy.Scope]; a [Workspace] is the Unity Catalog it works on.
// A [Request] goes in, a [Result] with the plan and the outcome of each change comes out. Package tasks calls it, and the
// plan command. Reading the workspace is the work of package load, who there is of package identity, ALL_PRIVILEGES that is
// shown written out of package expansion, sending changes of package apply, and what is kept between runs of package memory.
//
// Syncs may run side by side. When the policies change, changes planned by the older ones stop before the next request,
// and no sync by the newer ones reads before the last of them has ended: the newest policies have the last word. USE_*
// that a sync of an object counts on is not taken away by a sync of its container that may not know the object.
package connector
