// Package drift tells what others granted and revoked from what policies newly say. In: what the last sync made sure of on each
// securable, and the changes that a plan makes now. Out: the grants among them that others took away, and how many are drift.
package drift
