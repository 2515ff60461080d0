// Package naming folds names and matches them by patterns: it is the one rule by which names of securables and principals, and
// the values of policies, scopes and tokens, are compared. Names go in; [Canonical] and [Loose] return what of them is
// compared, a [Pattern] whether it matches. The scope of package policy, packages match, condition and region, and whoever else
// compares names call it, so that evaluator and compiler cannot differ.
//
// It uses the standard library only, and of the Go project's text package the normal forms of Unicode, for [Loose]: names that
// look alike and differ in bytes must not slip by a deny, and a table of our own of which characters compose would have to be
// kept up with Unicode.
package naming
