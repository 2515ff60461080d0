package store

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ucwarden/atomicfile"
)

// Quarantine moves a file that could not be opened aside, and returns where it is now. Nothing of it is lost.
func Quarantine(path string) (aside string, err error) {
	aside = fmt.Sprintf("%s.damaged-%s", path, time.Now().UTC().Format("20060102T150405.000Z"))
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("move the damaged task store aside: %w", err)
	}
	return aside, atomicfile.SyncFolder(filepath.Dir(path))
}
