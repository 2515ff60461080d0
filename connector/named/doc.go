// Package named says what becomes of the places that policies name and that no sync changes. Policies, the scope and what was
// found in the workspace go in; findings come out: on what Unity Catalog itself keeps, on what is outside the scope, and on what
// no listing shows. The connector adds them to the plan of a shard.
package named
