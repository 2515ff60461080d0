// Package load reads what a sync needs to know of a workspace: which objects there are in the scope, and the grants on them. A
// [Lister] and what is remembered of earlier listings go in; [Found] comes out, with what does not exist and what could not
// be looked at. Missing from one listing is not gone, and a workspace that does not answer is an error, never an empty one. Package
// connector calls it for each sync, package lint for the objects of the workspace.
package load
