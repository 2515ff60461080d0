// Package judge decides whether a principal may be granted a privilege: a grant in Unity Catalog reaches every member of a group,
// also those whom policies deny it. It takes the policies that allow and deny the privilege at a place ([View], of [Policy]
// values made from rules) and who is in which groups and roles ([New] returns a [Judge]), and returns a [Verdict], with whom
// stands against the grant. Package compile calls it for every candidate of a grant.
package judge
