// Package accepted finds what policies hold that is accepted and means nothing, or not what its author may expect: values that can
// match nothing, names that can be nobody's, items for nobody, fields without effect, parts that cannot be understood. It takes a
// rules.RuleSet and returns findings ([Findings]), each with what it means for access; of one value, name or option it says what is
// wrong ([ValueProblem], [Name], [DefinitionProblems]). Packages grantrules, compile and lint call it.
package accepted
