// Package order puts the changes of a plan into an order that keeps every person's access, at every moment of their
// application, between what old and new grants both confer and what either confers; also when a change fails for good and
// what depends on it is held back. It takes the changes that policy.Diff returns, one for each securable, and the current
// grants, and returns the same changes with waves, what depends on what, and now and then more than one change for a
// securable, or temporary USE_*. Package connector calls [Changes].
//
// A person is anybody who may hold grants: a user, or none, together with any groups. Memberships are not asked for, so
// an order holds for people in whatever groups.
//
// Access to an object takes a privilege on it or above, USE_SCHEMA on its schema or above, and USE_CATALOG on its
// catalog. Each of these is a need; see [problem.relate] for what two principals' needs require of two changes.
package order
