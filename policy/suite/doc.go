// Package suite runs tests of policies. It takes a suite, in either of Apache Ranger's two JSON formats: one with its own
// policies ([Run]) or one of requests only, asked of a rules.RuleSet ([RunOn]). It returns a [Result] with a [Case] for each
// test: passed or not, what was wanted, what came instead, and the policy that decided. The command "policy test" calls it,
// and tests that hold the evaluator against Ranger's own suites. What a suite asks is answered by package evaluate; what a user sees
// of a table, by the functions of package protect.
package suite
