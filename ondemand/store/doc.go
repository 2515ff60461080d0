// Package store keeps sorted buckets of keys and values in one file, durably. A [Store] is opened by one process at a
// time. [Store.Update] returns once its write is on the disk; many writers share one fsync. [Store.View] reads one state.
//
// In: writes of package records, which says what is in its buckets, and values that other packages save. Out: what was
// written, or an error that says what to do about the file. It is the only importer of bbolt.
package store
