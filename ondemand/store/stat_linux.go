package store

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// fileState says which file one is, and how long.
type fileState struct {
	size       int64
	dev, inode uint64
}

func (s fileState) same(other fileState) bool { return s.dev == other.dev && s.inode == other.inode }

// stateOf returns the state of an open file without asking for its times: Linux from 6.13 gives a file whose time was asked for a new one at
// the next write, so that its record has to be written as well, for which the commit waits half an fsync longer.
func stateOf(file *os.File) (fileState, error) {
	return statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, file.Stat)
}

// stateAt is stateOf of the file at a path.
func stateAt(path string) (fileState, error) {
	return statx(unix.AT_FDCWD, path, 0, func() (os.FileInfo, error) { return os.Stat(path) })
}

func statx(dir int, path string, flags int, stat func() (os.FileInfo, error)) (fileState, error) {
	var s unix.Statx_t
	err := unix.Statx(dir, path, flags, unix.STATX_SIZE|unix.STATX_INO, &s)
	for errors.Is(err, unix.EINTR) {
		err = unix.Statx(dir, path, flags, unix.STATX_SIZE|unix.STATX_INO, &s)
	}
	switch {
	case err == nil:
		return fileState{int64(s.Size), unix.Mkdev(s.Dev_major, s.Dev_minor), s.Ino}, nil //nolint:gosec // no file is that long
	case !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM):
		return fileState{}, &os.PathError{Op: "statx", Path: path, Err: err}
	}
	info, err := stat() // the system, or what confines the process, does not know statx
	if err != nil {
		return fileState{}, err
	}
	known, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileState{}, errors.ErrUnsupported
	}
	return fileState{info.Size(), known.Dev, known.Ino}, nil //nolint:unconvert // widths differ between systems
}
