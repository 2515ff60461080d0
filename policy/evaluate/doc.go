// Package evaluate answers single requests as Apache Ranger's policy engine does. It takes a rules.RuleSet ([New] returns an
// [Evaluator]) and a [Request]: a resource, an access type, a user with groups, a time, a context. It returns a [Decision]
// with the policy and item that decided, or the mask or row filter that applies; [Evaluator.ResourceACLs] and
// [Evaluator.ResourceAccess] return who may do what on a resource. Packages explain and suite call it, and the property
// tests of package compile. The daemon does not: it compiles.
package evaluate
