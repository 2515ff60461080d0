// Package match decides whether the resources that a policy names are the ones that a request asks for. It takes the resource
// definitions ([Forest]), the resources of a policy ([New] returns a [Matcher]) and the [Values] of one request
// and returns how the two lie to each other ([Type]). An [Index] finds the matchers that may match a [Path], and a [Template] fills in
// macros. Scripts come in as a [ScriptCompiler], so that no JavaScript engine is imported. Packages rules, evaluate and
// compile call it.
//
// It is a package of its own because it knows names and patterns only: no subjects, no items, no zones. The RuleSet of
// package rules is built from it, and rules would be too large to read as one package with it inside.
package match
