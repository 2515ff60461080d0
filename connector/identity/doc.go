// Package identity knows who there is in an account, for all syncs at once: the directory of principals, read once per interval
// from a [Source]; the names in grants, turned into principals; and whom the workspace did not know when they were to be
// granted something. The connector asks it before it compiles, plans and sends.
package identity
