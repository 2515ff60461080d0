package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A file that is cut in the instant in which a commit ends is not taken for what the commit left.
func TestCutAtTheEndOfACommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	used(t, path)
	s := openStore(t, path)
	defer s.Close() // may return an error, must not hang
	if err := s.Save("last", []byte("saved")); err != nil {
		t.Fatal(err)
	}
	s.commits.mu.Lock()
	m, err := readMetas(s.file.file, s.file.state.size)
	size := int64(m.high-1) * int64(m.pageSize)
	if err = errors.Join(err, os.Truncate(path, size), s.file.wrote()); err != nil {
		t.Fatal(err)
	}
	if s.file.modified() == nil {
		t.Error("that the file is shorter does not show")
	}
	s.file.state.size = size // as where it was cut before it was opened
	if err := s.file.intact(s.commits.seq); !errors.Is(err, ErrDamaged) {
		t.Errorf("a page is missing: %v", err)
	}
	s.commits.mu.Unlock()
	if err := s.readState(nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("read: %v", err)
	}
	if err := s.Health(); err == nil {
		t.Error("nothing is wrong")
	}
	if err := s.Save("new", []byte("x")); err == nil {
		t.Error("written to a file that lacks a page")
	}
}
