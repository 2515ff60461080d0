// Package expansion reads grants back where a workspace shows, instead of ALL_PRIVILEGES, what that confers. What it looks like is
// learned from the answers to our own changes, for each securable and principal, and kept from run to run. Grants as the
// workspace shows them go in, grants with ALL_PRIVILEGES come out. The connector calls it for all grants that it reads.
package expansion
