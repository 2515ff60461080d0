// Package memory keeps what syncs learned of a workspace from one run to the next: what the last good listings held, by which
// policies each part was brought into sync, which metastores were ever synced. It goes into a [Store], which the connector
// and its parts use for what they keep, too. That something is not kept costs work, never access: it is learned anew.
package memory
