// Package connector brings a workspace in accord with the policies: it loads securables and grants, compiles, diffs,
// asks the guards, and applies. [Syncer] does so for one [policy.Scope]; a [Workspace] is the Unity Catalog it works on.
package connector
