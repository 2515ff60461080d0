package store

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Those who write again as soon as they are answered share the next commit, too: the first of them does not have the others wait for
// one of its own.
func TestWritersShareCommits(t *testing.T) {
	const writers, times, tries = 16, 10, 20
	fewest := writers * times
	for try := range tries { // on a busy machine they may not come soon enough
		fewest = min(fewest, countCommits(t, writers, times))
		if fewest <= times*3/2 {
			t.Logf("%d commits, at try %d", fewest, try)
			return
		}
	}
	t.Errorf("%d commits for %d writes by %d writers, want %d at most", fewest, writers*times, writers, times*3/2)
}

// countCommits returns in how many commits so many writers write so many times each, to a slow disk.
func countCommits(t *testing.T, writers, times int) int {
	t.Helper()
	commits := 0
	s, err := Open(filepath.Join(t.TempDir(), "tasks.db"), Options{NoSync: true, Commit: func(commit func() error) error {
		commits++
		<-time.After(4 * time.Millisecond)
		return commit()
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for i := range times {
				if err := s.Save(fmt.Sprintf("%d/%d", w, i), []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	return commits
}
