package doctor_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ucwarden/connector/doctor"
)

// A folder is found to be usable by writing to its disk, and nothing of that is left.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	if f := doctor.Folder("store.path", dir); f.Status != doctor.OK {
		t.Errorf("%+v", f)
	}
	if f := doctor.Folder("store.path", filepath.Join(dir, "a", "b")); f.Status != doctor.OK || !strings.Contains(f.Message, "first start makes it") {
		t.Errorf("%+v", f)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := doctor.Folder("store.path", filepath.Join(file, "data")); f.Status != doctor.Problem || !strings.Contains(f.Do, "store.path") {
		t.Errorf("%+v", f)
	}
}

func TestFull(t *testing.T) {
	for err, want := range map[error]bool{
		&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}:                                  true,
		errors.Join(errors.New("other"), &fs.PathError{Op: "sync", Path: "x", Err: syscall.EDQUOT}): true,
		&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}:                                   false,
	} {
		if doctor.Full(err) != want {
			t.Errorf("%v: full %t, want %t", err, !want, want)
		}
	}
}
