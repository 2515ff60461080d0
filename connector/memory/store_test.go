package memory_test

import (
	"os"
	"path/filepath"
	"testing"

	"ucwarden/connector/memory"
)

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "when-needed")
	s := memory.Folder(dir)
	if value, err := s.Load("key"); value != nil || err != nil {
		t.Errorf("nothing saved, loaded %q, %v", value, err)
	}
	for _, value := range []string{"first", "2"} {
		if err := s.Save("key", []byte(value)); err != nil {
			t.Fatal(err)
		}
		if got, err := memory.Folder(dir).Load("key"); string(got) != value || err != nil {
			t.Errorf("loaded %q, %v, want %q", got, err, value)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder has mode %v, %v", info.Mode(), err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load("folder"); err == nil {
		t.Error("no error for what cannot be read")
	}
	if err := memory.Folder(filepath.Join(dir, "key.json")).Save("key", nil); err == nil {
		t.Error("no error for what cannot be written")
	}
}
