// Package policy is ucwarden's domain: it reads Ranger-style policies, decides what they mean, compiles them to Unity
// Catalog grants, and works out the ordered changes that lead from the grants of today to the grants desired.
//
// A [Snapshot] holds one verified version of the policies. An [Evaluator] answers single requests from it as Apache
// Ranger does; [RunSuite] holds it against test suites in Ranger's formats. A [Compiler] turns it and the [Object]s of
// a workspace into a desired [GrantSet] with a fidelity [Report]; [Diff] compares two GrantSets within a [Scope] and
// gives the ordered [Change]s of a [Plan], which a [Guard] may refuse.
//
// The package uses the standard library only. It does no I/O, reads no clock, starts no goroutine and logs nothing:
// whatever it needs is passed in, and the same input gives the same output.
//
// # The rule of compilation
//
// A principal is granted a privilege on a securable if and only if the evaluator allows it, for every object the grant
// reaches and every person it reaches:
//
//   - Every object: a grant on a container reaches all its objects, present and future, on which the privilege acts. So
//     it goes on the highest container whose patterns cover all of them and below which nothing denies it. The data
//     never decides: a policy on cust_* becomes grants on tables even if today every table matches.
//   - Every person: a grant to a group or role reaches its members. Whoever could be a member, by the user store and
//     the roles, and would not be allowed, stands against the grant; see [DenyStrategy] for what is done then. Whether
//     somebody belongs where the user store says nothing is unknown, and unknown stands against it, too.
//   - The smallest set: a grant is left out where another implies it: the same on a container above, ALL_PRIVILEGES,
//     or the same to a group or role that the principal is known to be in.
//   - The way: USE_CATALOG and USE_SCHEMA are added for who holds something below, unless a policy denies them.
//
// What grants cannot say, the compiler reports and closes: allows on columns, under conditions or with macros are not
// granted; denies on columns close the table, denies under conditions hold always; a row filter or mask that is not
// enforced closes the table for whom it binds. A policy on a container holds for everything inside it where the service
// definition says so ([OptionInheritAccess], as the built-in one does), since Unity Catalog inherits privileges.
//
// Property tests hold the rule: against the evaluator the access that grants give is never wider, whatever the report
// says; it is the same where the report is exact; and no grant can be taken away without somebody losing access.
package policy
