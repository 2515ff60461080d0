package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// stateFiles keeps small facts in files beside the task store. Unlike the store they can be read while a daemon runs.
type stateFiles struct{ dir string }

// Load implements connector.State.
func (s stateFiles) Load(key string) ([]byte, error) {
	value, err := os.ReadFile(s.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return value, err
}

// Save implements connector.State. A reader sees the value before or after, never half of it.
func (s stateFiles) Save(key string, value []byte) (err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make folder for state: %w", err)
	}
	f, err := os.CreateTemp(s.dir, key+".*.tmp")
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	_, err = f.Write(value)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.path(key))
	}
	if err != nil {
		return fmt.Errorf("write state: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

func (s stateFiles) path(key string) string { return filepath.Join(s.dir, key+".json") }
