// Package rules reads policies, once for everybody. It takes a ranger.Snapshot; [New] returns a [RuleSet]: which policies
// hold where (zones included), for whom, when, in what order, with which access types, implied grants, conditions and
// unreadable parts. Evaluator, compiler, explanations and lint take their facts from it, so that none of them can read a
// policy in another way. A [Policy] is its lists of items ([Item]); the users, groups and roles they name are numbered by
// a [SubjectTable] and resolved by a [Membership]. What cannot be understood of a policy comes in as its faults
// (package verify), and is closed here. Package connector makes the RuleSet that plans are compiled from, cmd/ucwarden those
// that people ask.
package rules
