// Package region places what policies name in Unity Catalog: a [Region] is catalog, schema and object patterns, down to the
// level that one set of policy resources names. [New] takes the levels of a matcher of package match; [Region.At] returns
// which classes of object the region covers at and inside a container, by its patterns alone. An [Index] finds, among many
// regions, those that match a name. Package compile decides grants by it, package lint whether an object matches at all.
package region
