// Package lint looks for likely mistakes in policies. It takes a ranger.Snapshot, which need not be verified, and [Options]:
// how names become principals, how policies become grants, the objects of a workspace where they are known. [Run] returns
// a [Result] with one [Finding] for each mistake: its [Severity], its check, where it is written and what to do. An error
// is a policy that is not taken, or one that can never do what it says; a warning a policy that does not do what it seems to;
// info the rest. The command "policy lint" calls it.
package lint
