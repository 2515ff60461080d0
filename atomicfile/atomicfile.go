package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Write replaces the file at path with the parts, one after the other. Its folder must exist. The content is written
// to a temporary file beside it, whose name begins with a dot, and is on disk before it takes the name; the folder is
// on disk when Write returns. The file has the mode when it appears, and no other user may read it before. On an error
// the temporary file is removed, and path is as it was unless only the last step, syncing the folder, failed.
func Write(path string, mode fs.FileMode, parts ...[]byte) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	if err := errors.Join(fill(tmp, mode, parts), tmp.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return SyncFolder(dir)
}

// Create writes a new file at path; one that is there already is an error. Its content is on disk when Create returns, and
// its name too; where writing fails no file is left. No other user may read it.
func Create(path string, write func(w io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write to a new file: %w", err)
	}
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return SyncFolder(filepath.Dir(path))
}

// SyncFolder returns when the names of files that were created, moved or removed in a folder are on disk.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync the folder %s: %w", path, err)
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func fill(f *os.File, mode fs.FileMode, parts [][]byte) error {
	for _, part := range parts {
		if _, err := f.Write(part); err != nil {
			return err
		}
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	return f.Sync()
}
