package store

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// Where the folder of the store was removed, the process that has it open saves what is in it all the same.
func TestBackupWithoutFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "tasks.db")
	want := used(t, path)
	s := openStore(t, path)
	defer s.Close()
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Check(); err != nil {
		t.Error(err)
	}
	to := path + ".backup"
	if _, err := s.Backup(to); err != nil {
		t.Fatal(err)
	}
	saved := openStore(t, to)
	defer saved.Close()
	if got, err := content(saved); err != nil || !maps.Equal(got, want) {
		t.Errorf("%d of %d values, %v", len(got), len(want), err)
	}
}
