package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/policy"
)

// What something else writes while this process writes, or in the same tick of the clock, leaves the file's time as it is. It is found
// before the next commit builds on it, or by what comes of that; nothing hangs, and no write is acknowledged that was not kept.
func TestDamageThatTheTimeHides(t *testing.T) {
	newest := func(t *testing.T, path string, data []byte) meta {
		m, err := readMetas(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(path, err)
		}
		return m
	}
	random := func(data []byte) {
		for i := range data {
			data[i] = byte(rand.IntN(256))
		}
	}
	for name, c := range map[string]struct {
		how  func(t *testing.T, path string, data []byte)
		save bool // whether a write may be kept: what is damaged has nothing to do with it
	}{
		"pages that the list of free pages goes on for": {how: func(t *testing.T, path string, data []byte) {
			m := newest(t, path, data)
			order.PutUint32(data[int(m.freelist)*m.pageSize+12:], 1<<31)
		}},
		"list of free pages": {how: func(t *testing.T, path string, data []byte) {
			m := newest(t, path, data)
			random(data[int(m.freelist)*m.pageSize:][:m.pageSize])
		}},
		"newest meta page": {how: func(t *testing.T, path string, data []byte) {
			m := newest(t, path, data)
			random(data[int(m.txid%2)*m.pageSize:][:m.pageSize])
		}},
		"both meta pages": {how: func(t *testing.T, path string, data []byte) { random(data[:2*4096]) }},
		"root page": {how: func(t *testing.T, path string, data []byte) {
			m := newest(t, path, data)
			random(data[int(m.root)*m.pageSize:][:m.pageSize])
		}},
		"all but the meta pages": {how: func(t *testing.T, path string, data []byte) { random(data[2*4096:]) }},
		"a value": {how: func(t *testing.T, path string, data []byte) {
			copy(data, bytes.ReplaceAll(data, []byte("llllllll"), []byte("mlllllll")))
		}, save: true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tasks.db")
			used(t, path)
			s := openStore(t, path)
			defer s.Close() // may return an error, must not panic or hang
			if err := errors.Join(s.Save("last", []byte("saved")), s.Health()); err != nil {
				t.Fatal(err)
			}
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			change(t, path, func(data []byte) []byte { c.how(t, path, data); return data })
			if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
				t.Fatal(err)
			}
			switch err := s.Save("new", []byte("x")); {
			case c.save && err == nil:
				if _, err := content(s); !errors.Is(err, ErrDamaged) { // finds it
					t.Errorf("read: %v", err)
				}
			case !errors.Is(err, ErrDamaged):
				t.Errorf("save: %v", err)
			}
			if err := waitHealth(t, s, false); !errors.Is(err, ErrDamaged) {
				t.Errorf("health: %v", err)
			}
			if err := s.Save("later", []byte("x")); policy.CodeOf(err) != policy.CodeUnavailable {
				t.Errorf("save later: %v", err)
			}
		})
	}
}

// Damage that no write and no read comes upon is found some time after the commits that it may have hidden behind.
func TestDamageIsLookedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "tasks.db")
		used(t, path)
		s := openStore(t, path)
		if err := s.Save("last", []byte("saved")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // a whole file is read, and nothing comes of it
		if err := errors.Join(s.Health(), s.Save("last", []byte("again"))); err != nil {
			t.Fatal(err)
		}
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		change(t, path, func(data []byte) []byte { return bytes.ReplaceAll(data, []byte("llllllll"), []byte("mlllllll")) })
		if err := os.Chtimes(path, before.ModTime(), before.ModTime()); err != nil {
			t.Fatal(err)
		}
		if err := s.Health(); err != nil {
			t.Fatalf("it shows: %v", err)
		}
		time.Sleep(scrubAfter)
		synctest.Wait()
		if err := s.Health(); !errors.Is(err, ErrDamaged) {
			t.Errorf("health: %v", err)
		}
		if err := s.Save("later", []byte("x")); policy.CodeOf(err) != policy.CodeUnavailable {
			t.Errorf("save: %v", err)
		}
		_ = s.Close()
	})
}
