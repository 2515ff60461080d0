package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Folder returns what is found about a folder that must be written to, by writing a file in it and removing it again; for
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
	err := write(at)
	if Full(err) {
		return Problem.Is("free some space, or set "+setting+" to a path on another disk", "%s (%s): the disk is full: %v", at, setting, err)
	}
	if err != nil {
		return Problem.Is("let the user that runs ucwarden write there, or set "+setting+" to another path", "%s (%s) cannot be written to: %v", at, setting, err)
	}
	if at != path {
		return Found("%s (%s) does not exist yet; the first start makes it", path, setting)
	}
	return Found("%s (%s) can be written to", path, setting)
}

// probeSize is how much room there must be: the task store grows by less at once, as long as it is small.
const probeSize = 1 << 20

// write makes a file in a folder, writes to the disk, and removes it again.
func write(folder string) error {
	probe, err := os.CreateTemp(folder, ".ucwarden-doctor-*")
	if err != nil {
		return err
	}
	_, err = probe.Write(make([]byte, probeSize))
	if err == nil {
		err = probe.Sync()
	}
	return errors.Join(err, probe.Close(), os.Remove(probe.Name()))
}

// Full reports whether an error says that a disk, or somebody's share of it, is full.
func Full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
