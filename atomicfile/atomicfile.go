package atomicfile

import (
	"errors"
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
	folder, err := os.Open(dir)
	if err != nil {
		return err
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
