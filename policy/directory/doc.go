// Package directory knows the principals of a workspace: which users, groups and service principals there are, who is in
// which group, and in which groups we are ourselves. It takes a [Listing], as a client read it, and returns a [Directory], which
// resolves the principals that policies name ([Directory.Resolve]) and those that grants name ([Directory.Identify]), each
// with its kind, so that a user never becomes a group of the same name. Package compile asks it about policies, package
// connector about grants.
package directory
