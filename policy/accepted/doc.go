// Package accepted finds what policies hold that is accepted and means nothing, or not what its author may expect: values that can
// match nothing, items for nobody, fields without effect, parts that cannot be understood. It takes a rules.RuleSet and returns
// findings ([Findings]), each with what it means for access. Packages compile and lint report them.
package accepted
