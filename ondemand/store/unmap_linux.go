package store

import "syscall"

// unmapPages drops the pages of a mapping of a file from the memory of the process; they are read again when touched.
func unmapPages(start uintptr, size int64) {
	// An error leaves them where they are.
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, start, uintptr(size), syscall.MADV_DONTNEED)
}
