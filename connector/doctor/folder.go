package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Folder returns what is found about a folder that must be written to, by making a file in it and removing it again; for
// one that does not exist yet, in the nearest folder above it that does, where the first start makes it. setting is the key
// that names it.
func Folder(setting, path string) Finding {
	at := path
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			return Problem.Is("correct "+setting, "%s (%s) is in %s, which is not a folder", path, setting, at)
		}
		if err == nil {
			break
		}
		if parent := filepath.Dir(at); errors.Is(err, fs.ErrNotExist) && parent != at {
			at = parent
			continue
		}
		return Problem.Is("correct "+setting, "%s (%s): %v", path, setting, err)
	}
	probe, err := os.CreateTemp(at, ".ucwarden-doctor-*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		return Problem.Is("let the user that runs ucwarden write there, or set "+setting+" to another path", "%s (%s) cannot be written to: %v", at, setting, err)
	}
	if at != path {
		return Found("%s (%s) does not exist yet; the first start makes it", path, setting)
	}
	return Found("%s (%s) can be written to", path, setting)
}
