package store

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"
)

// within fails the test where do does not return: it waits for a lock that nobody lets go.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not return", what)
	}
}

// No transaction can begin in a file without meta pages. Those that began before end all the same, and so does the process.
func TestNoTransactionCanBegin(t *testing.T) {
	for name, how := range map[string]func(data []byte) []byte{
		"cut":    func([]byte) []byte { return nil },
		"zeroed": func(data []byte) []byte { clear(data); return data },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tasks.db")
			used(t, path)
			s := openStore(t, path)
			cut, ended := make(chan struct{}), make(chan error)
			begun := make(chan struct{})
			go func() {
				ended <- s.View(func(*Tx) error { close(begun); <-cut; return nil })
			}()
			<-begun
			change(t, path, how)
			nothing := func(*Tx) error { return nil }
			within(t, "reading", func() {
				for range 2 {
					if err := s.file.view(nothing); !errors.Is(err, ErrDamaged) {
						t.Errorf("read: %v", err)
					}
				}
			})
			within(t, "writing", func() {
				defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
				s.commits.mu.Lock()
				defer s.commits.mu.Unlock()
				if _, err := s.commits.begin(); !errors.Is(err, ErrDamaged) {
					t.Errorf("write: %v", err)
				}
			})
			close(cut)
			within(t, "the end of what was read", func() {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
			within(t, "closing", func() { _ = s.Close() })
		})
	}
}

// A file that is cut when a transaction is to begin that writes, and then put back, is used on.
func TestCutBeforeWriteAndPutBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	want := used(t, path)
	s := openStore(t, path)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	within(t, "writing", func() {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		s.commits.mu.Lock() // as after a look at the file that found it whole
		defer s.commits.mu.Unlock()
		if err := os.Truncate(path, 0); err != nil {
			t.Error(err)
		}
		if _, err := s.commits.begin(); !errors.Is(err, ErrDamaged) {
			t.Errorf("write: %v", err)
		}
		change(t, path, func([]byte) []byte { return data })
	})
	within(t, "going on", func() {
		if err := s.Save("new", []byte("x")); err != nil {
			t.Error(err)
		}
	})
	want["new"] = "x"
	if got, err := content(s); err != nil || !maps.Equal(got, want) {
		t.Errorf("%d of %d values, %v", len(got), len(want), err)
	}
	within(t, "closing", func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
