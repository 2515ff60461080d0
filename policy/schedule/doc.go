// Package schedule reads validity schedules: spans of time in a time zone, with recurrences as in cron. It takes the
// schedules of a policy, a tag or a condition as Ranger writes them; [New] returns a [Validity], or an error for one that
// cannot be read, and the Validity answers whether it is open at a time and within which span it can be. Packages match,
// rules and lint call it.
//
// It is a package of its own because tags (package match) and policies (package rules) both have schedules, and match
// stands below rules; with schedules and matchers in it, rules would also be too large to read as one package.
package schedule
