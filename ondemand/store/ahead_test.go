//go:build unix

package store

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The file system has blocks for the pages that the next commits use, so that they need not wait for its own records.
func TestWritesAhead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	allocated := func() int64 {
		var there syscall.Stat_t
		if err := syscall.Stat(path, &there); err != nil {
			t.Fatal(err)
		}
		return there.Blocks * 512 // the unit of stat, on every system
	}
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	fill(t, s, 3000)
	r, err := s.Check() // of a copy of what is used
	if err != nil {
		t.Fatal(err)
	}
	if r.Bytes >= size() {
		t.Fatalf("%d bytes are used of %d: the case needs more", r.Bytes, size())
	}
	if got, want := allocated(), min(r.Bytes+ahead/2, size()); got < want {
		t.Errorf("%d bytes are allocated, want %d of %d", got, want, size())
	}
	if err := s.Health(); err != nil { // the file is as we left it
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if again, err := Check(path); err != nil || again.Entries["values"] != 3000 {
		t.Errorf("%+v, %v", again, err)
	}
}
