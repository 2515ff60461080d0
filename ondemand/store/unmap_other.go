//go:build !linux

package store

// unmapPages does nothing: the mapping of the file is left to the system.
func unmapPages(uintptr, int64) {}
