package store

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"ucwarden/policy"
)

// Whoever closes a store under writers loses nothing that was acknowledged, and each of them learns that it is closed.
func TestCloseUnderWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	for round := range 20 {
		s := openStore(t, path)
		var saved sync.Map
		var writers sync.WaitGroup
		some := make(chan struct{}, 1)
		for w := range 1 + round%4 { // one alone, and several
			writers.Go(func() {
				for i := 0; ; i++ {
					key := fmt.Sprintf("%d/%d/%d", round, w, i)
					switch err := s.Save(key, []byte("x")); policy.CodeOf(err) {
					case "":
						saved.Store(key, true)
					case policy.CodeUnavailable:
						return
					default:
						t.Error(err)
						return
					}
					select {
					case some <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 5 {
			<-some
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		writers.Wait()
		again := openStore(t, path)
		saved.Range(func(key, _ any) bool {
			if value, err := again.Load(key.(string)); err != nil || string(value) != "x" {
				t.Errorf("%v was acknowledged: %q, %v", key, value, err)
			}
			return true
		})
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
}
