// Package drift tells what others granted and revoked from what policies newly say. In: what the last sync made sure of on each
// securable, and the changes that a plan makes now. Out: the grants among them that others took away, and how many are drift, and how many
// row filters and masks that others took off or changed.
package drift
