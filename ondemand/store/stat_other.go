//go:build !linux

package store

import "os"

// fileState says which file one is, and how long.
type fileState struct {
	size int64
	info os.FileInfo
}

func (s fileState) same(other fileState) bool { return os.SameFile(s.info, other.info) }

// stateOf returns the state of an open file.
func stateOf(file *os.File) (fileState, error) { return newFileState(file.Stat()) }

// stateAt is stateOf of the file at a path.
func stateAt(path string) (fileState, error) { return newFileState(os.Stat(path)) }

func newFileState(info os.FileInfo, err error) (fileState, error) {
	if err != nil {
		return fileState{}, err
	}
	return fileState{info.Size(), info}, nil
}
