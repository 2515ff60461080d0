package connector

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ucwarden/atomicfile"
)

// State keeps small facts from one run to the next.
type State interface {
	// Load returns the value saved under key, nil when there is none.
	Load(key string) ([]byte, error)
	Save(key string, value []byte) error
}

// FileState keeps each value in a file KEY.json of the folder that it names; keys must be legal file names. Unlike
// the store of tasks it can be read while another process has it.
type FileState string

// Load implements State.
func (s FileState) Load(key string) ([]byte, error) {
	value, err := os.ReadFile(s.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return value, err
}

// Save implements State. A reader sees the value before or after, never half of it; the folder is made if need be.
func (s FileState) Save(key string, value []byte) error {
	if err := os.MkdirAll(string(s), 0o700); err != nil {
		return fmt.Errorf("make folder for state: %w", err)
	}
	if err := atomicfile.Write(s.path(key), 0o600, value); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

func (s FileState) path(key string) string { return filepath.Join(string(s), key+".json") }

var _ State = FileState("")
