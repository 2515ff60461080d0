package atomicfile_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"ucwarden/atomicfile"
)

// names lists what is in a folder.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestWriteReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.json")
	if err := os.WriteFile(path, []byte("a longer content than the new one"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o600, 0o644} {
		if err := atomicfile.Write(path, mode, []byte("head\n"), nil, []byte("body")); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil || string(data) != "head\nbody" {
			t.Errorf("holds %q, %v", data, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("mode %v, %v, want %v", info.Mode(), err, mode)
		}
	}
	if list := names(t, dir); len(list) != 1 {
		t.Errorf("left in the folder: %q", list)
	}
}

// What cannot be replaced stays as it was, and nothing is left beside it.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(path, "inside"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, 0o600, []byte("new")); err == nil {
		t.Error("a folder was replaced")
	}
	if list := names(t, dir); len(list) != 1 {
		t.Errorf("left in the folder: %q", list)
	}
	if err := atomicfile.Write(filepath.Join(dir, "missing", "file"), 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

// A reader beside a writer finds one content or the other.
func TestReadersSeeWholeFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	old, next := bytes.Repeat([]byte("o"), 1<<20), bytes.Repeat([]byte("n"), 1<<19)
	if err := atomicfile.Write(path, 0o600, old); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		var err error
		for i := range 20 {
			err = errors.Join(err, atomicfile.Write(path, 0o600, [][]byte{next, old}[i%2]))
		}
		written <- err
	}()
	for {
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(data, old) && !bytes.Equal(data, next) {
			t.Fatalf("read %d bytes, %v", len(data), err)
		}
		select {
		case err := <-written:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}

// A new file is there whole or not at all, and none that is there is touched.
func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "new")
	full := errors.New("disk full")
	err := atomicfile.Create(path, func(w io.Writer) error {
		_, err := io.WriteString(w, "half")
		return errors.Join(err, full)
	})
	if left := names(t, dir); !errors.Is(err, full) || len(left) > 0 {
		t.Errorf("a write that fails: %v, left %v", err, left)
	}
	write := func(text string) error {
		return atomicfile.Create(path, func(w io.Writer) error { _, err := io.WriteString(w, text); return err })
	}
	if err := write("whole"); err != nil {
		t.Fatal(err)
	}
	if err := write("other"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that is there: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "whole" || info.Mode() != 0o600 {
		t.Errorf("%q, mode %v, %v", text, info.Mode(), err)
	}
}
