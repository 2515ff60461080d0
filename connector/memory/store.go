package memory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ucwarden/atomicfile"
)

// Store keeps small facts from one run to the next.
type Store interface {
	// Load returns the value saved under key, nil when there is none.
	Load(key string) ([]byte, error)
	Save(key string, value []byte) error
}

// Folder keeps each value in a file KEY.json of the folder that it names; keys must be legal file names. Unlike the store of
// tasks it can be read while another process has it.
type Folder string

// Load implements Store.
func (s Folder) Load(key string) ([]byte, error) {
	value, err := os.ReadFile(s.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return value, err
}

// Save implements Store. A reader sees the value before or after, never half of it; the folder is made if need be.
func (s Folder) Save(key string, value []byte) error {
	if err := os.MkdirAll(string(s), 0o700); err != nil {
		return fmt.Errorf("make folder for state: %w", err)
	}
	if err := atomicfile.Write(s.path(key), 0o600, value); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

func (s Folder) path(key string) string { return filepath.Join(string(s), key+".json") }

var _ Store = Folder("")
