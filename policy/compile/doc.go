// Package compile turns policies into grants of Unity Catalog. It takes a rules.RuleSet ([New] returns a [Compiler]) and the
// objects of a workspace as a policy.Inventory, and returns a [Result]: the desired policy.GrantSet, and a policy.Report of
// what grants cannot express. [Options] hold the time, the [DenyStrategy] and who is managed; package region says where in
// the catalogs the resources of a policy lie. Package connector calls it for every plan, explain and lint for their answers.
//
// # The rule of compilation
//
// A principal is granted a privilege on a securable if and only if the policies allow it for every object and every
// person that the grant reaches:
//
//   - Every object: a grant on a container is inherited by all its objects, present and future, on which the privilege
//     acts. So it goes on the highest container whose patterns cover all of them and below which nothing denies it, and no row
//     filter or mask is enforced, of whomever it binds: a table that is dropped and made again has none until the next sync. The
//     objects that exist today never decide: a policy on cust_* becomes grants on tables even if every table matches.
//   - Every person: a grant to a group or role reaches its members. It is not made as it is where somebody who may be a
//     member, by the user store and the roles, would not be allowed; [DenyStrategy] says what is done instead. Where
//     the user store does not say who is in the group, anybody may be.
//   - No more than needed: a grant is left out where another implies it: the same one on a container above,
//     ALL_PRIVILEGES, or the same one to a group or role that the principal is known to be in.
//   - Required USE_*: USE_CATALOG and USE_SCHEMA are added for everybody who is granted something below, unless a policy
//     denies them.
//
// What grants cannot express is reported, and access is closed rather than opened. Allows on columns, under conditions or
// with macros are not granted. Denies on columns close the table, and denies under conditions hold always. A row filter or
// mask that is not enforced closes the table for those it binds. A policy on a container holds for everything inside it
// where the service definition says so (ranger.OptionInheritAccess; the built-in one does), since Unity Catalog inherits
// privileges.
//
// Property tests hold the rule against package evaluate, which reads the same RuleSet: the access that the grants confer
// is never wider than what the evaluator allows, whatever the report says; it is the same where the report is exact; and
// no grant can be taken away without somebody losing access.
package compile

// Reading numbers the ways in which this program has read policies, from 1; who kept none was at 1. It is raised when a change of this
// package, or of one that it takes policies from, makes other grants of the same policies: guard.Upgrade then shows the first plan to a person.
//
// Reading 2 grants tables that row filters and masks protect. Until then a configured warehouse was without effect, and policy
// managers configure one whoever reads it: an upgrade would have set filters and opened tables by itself.
//
// Reading 3 takes policies more strictly: what cannot be understood in a policy, a tag, a zone or around the policies of a file closes what it
// may be about, nothing is granted to a name that can be nobody's, and what an access type implies by way of another is denied and not
// allowed. It grants more where a mask or filter is for another access than select, and where a policy is on a tag that is over. Where
// tables may be protected it grants nothing on containers that reaches such a table, also to whom nothing binds there.
const Reading = 3
