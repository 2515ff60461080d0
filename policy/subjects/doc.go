// Package subjects finds who the users, groups and roles of policies are in a workspace. It takes a rules.RuleSet, the policies that
// decide grants, and a directory.Directory ([Resolve] returns [Resolved]): for each subject its principal, whether the workspace has
// it and it may be granted something, and why not; what of that is worth knowing is among the findings. [Resolved.Alias] tells the
// judge which subjects are one principal.
//
// A grant in Unity Catalog names its principal and no more, so where the names of several subjects come to one
// principal it reaches everybody who is any of them.
//
// Package compile calls it for every snapshot and directory.
package subjects
