package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"ucwarden/policy"
)

// flip inverts a bit of the byte at that place.
func flip(t rapid.TB, path string, at int64) {
	t.Helper()
	change(t, path, func(data []byte) []byte { data[at] ^= 1 << (at % 8); return data })
}

// change rewrites a file in place, as a program that has it open, too, would.
func change(t rapid.TB, path string, how func(data []byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data = how(data)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteAt(data, 0)
	}
	if err = errors.Join(err, file.Truncate(int64(len(data))), file.Close()); err != nil {
		t.Fatal(err)
	}
}

// content returns all saved values.
func content(s *Store) (map[string]string, error) {
	values := make(map[string]string)
	err := s.Range("", func(key string, value []byte) error {
		values[key] = string(value)
		return nil
	})
	return values, err
}

// used makes a file that has had many commits: deleted keys, small and large values, free pages.
func used(t rapid.TB, path string) map[string]string {
	t.Helper()
	s, err := Open(path, Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		values := make(map[string][]byte)
		for range 20 {
			key := fmt.Sprintf("key/%03d", random.IntN(300))
			if values[key] = bytes.Repeat([]byte{'v'}, random.IntN(600)); random.IntN(3) == 0 {
				values[key] = nil
			}
		}
		if err := s.SaveAll(values); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SaveAll(map[string][]byte{"large": bytes.Repeat([]byte("l"), 30_000)}); err != nil {
		t.Fatal(err)
	}
	want, err := content(s)
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return want
}

// Whatever one damage does to a file, opening it refuses it, or all that was saved is there: nothing is lost in silence,
// and nothing panics, also when the file is then written to.
func TestAnyDamageIsFoundOrHarmless(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tasks.db")
	want := used(t, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused, n := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		data := damage(t, bytes.Clone(whole))
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
		for range 2 {
			s, err := Open(path, Options{NoSync: true})
			if err != nil {
				if !errors.Is(err, ErrDamaged) && policy.CodeOf(err) != policy.CodeConflict {
					t.Fatalf("error %v (%s)", err, policy.CodeOf(err))
				}
				refused++
				return
			}
			got, err := content(s)
			if err != nil || !maps.Equal(got, want) {
				t.Fatalf("%d values instead of %d, %v", len(got), len(want), err)
			}
			values := make(map[string][]byte)
			for key, value := range want { // takes free pages
				values[key] = []byte(value)
			}
			if err := errors.Join(s.SaveAll(values), s.Close()); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Logf("%d of %d were refused", refused, n)
	if refused == 0 {
		t.Error("no damage was found")
	}
}

// damage spoils a file at random.
func damage(t *rapid.T, data []byte) []byte {
	at := rapid.IntRange(0, len(data)-1).Draw(t, "at")
	if rapid.Bool().Draw(t, "in a header") { // where a wrong bit does most
		at = min(at/os.Getpagesize()*os.Getpagesize()+rapid.IntRange(0, 63).Draw(t, "byte"), len(data)-1)
	}
	switch rapid.IntRange(0, 3).Draw(t, "how") {
	case 0:
		data[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	case 1:
		data = data[:at]
	case 2:
		clear(data[at:min(at+rapid.IntRange(1, 9000).Draw(t, "zeros"), len(data))])
	case 3:
		for i := at; i < min(at+rapid.IntRange(1, 9000).Draw(t, "garbage"), len(data)); i++ {
			data[i] = rapid.Uint8().Draw(t, "byte")
		}
	}
	return data
}

// waitHealth waits until the store accepts writes, or no longer does.
func waitHealth(t *testing.T, s *Store, well bool) error {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		err := s.Health()
		if (err == nil) == well {
			return err
		}
		if time.Now().After(deadline) {
			t.Fatalf("accepts writes: %v, want %v (%v)", err == nil, well, err)
		}
	}
}

// waitNoted waits until there was no commit for so long that what else is written to the file shows by its time.
func waitNoted(t *testing.T, s *Store) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s.commits.mu.Lock()
		noted := s.file.last != nil
		s.commits.mu.Unlock()
		if noted {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the time of the file is not known")
		}
	}
}

// What happens to the file under a running process is seen at once: nothing is written or acknowledged any more, nothing
// panics, and once the file is as it was, all goes on.
func TestFileChangedUnderneath(t *testing.T) {
	for name, c := range map[string]struct {
		how     func(t *testing.T, path string)
		undo    func(t *testing.T, path string) // nil: it stays so
		reads   bool                            // while it is so
		message string
	}{
		"truncated": {how: func(t *testing.T, path string) {
			change(t, path, func(data []byte) []byte { return data[:3*4096] })
		}, message: "damaged"},
		"truncated to nothing": {how: func(t *testing.T, path string) {
			change(t, path, func([]byte) []byte { return nil })
		}, message: "damaged (the file is empty)"},
		"zeroed": {how: func(t *testing.T, path string) {
			change(t, path, func(data []byte) []byte { clear(data); return data })
		}, message: "damaged"},
		"randomised": {how: func(t *testing.T, path string) {
			change(t, path, func(data []byte) []byte {
				for i := range data {
					data[i] = byte(rand.IntN(256))
				}
				return data
			})
		}, message: "damaged"},
		"a bit of a value": {how: func(t *testing.T, path string) {
			change(t, path, func(data []byte) []byte {
				return bytes.ReplaceAll(data, []byte("llllllll"), []byte("mlllllll")) // also where the page is free now
			})
		}, message: "wrong checksum"},
		"removed": {how: func(t *testing.T, path string) {
			if err := os.Rename(path, path+".away"); err != nil {
				t.Fatal(err)
			}
		}, undo: func(t *testing.T, path string) {
			if err := os.Rename(path+".away", path); err != nil {
				t.Fatal(err)
			}
		}, reads: true, message: "was removed: this process alone has its tasks"},
		"replaced": {how: func(t *testing.T, path string) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Rename(path, path+".away"), os.WriteFile(path, data, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, undo: func(t *testing.T, path string) {
			if err := os.Rename(path+".away", path); err != nil {
				t.Fatal(err)
			}
		}, reads: true, message: "was replaced by another file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tasks.db")
			want := used(t, path)
			s := openStore(t, path)
			defer s.Close() // may return an error, must not panic
			if err := errors.Join(s.Health(), s.Save("last", []byte("saved"))); err != nil {
				t.Fatal(err)
			}
			want["last"] = "saved"
			waitNoted(t, s)
			c.how(t, path)

			if err := s.Health(); err == nil {
				t.Fatal("nothing is wrong")
			}
			if err := s.Save("new", []byte("x")); policy.CodeOf(err) != policy.CodeUnavailable {
				t.Fatalf("save: %v", err)
			}
			if err := waitHealth(t, s, false); !bytes.Contains([]byte(err.Error()), []byte(c.message)) {
				t.Errorf("it says %v", err)
			}
			got, err := content(s)
			if c.reads && (err != nil || !maps.Equal(got, want)) || !c.reads && policy.CodeOf(err) != policy.CodeUnavailable {
				t.Errorf("%d of %d values, %v", len(got), len(want), err)
			}
			if c.undo == nil {
				return
			}
			c.undo(t, path)
			waitHealth(t, s, true)
			if err := s.Save("new", []byte("x")); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A file that was only touched is used on.
func TestTouchedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	want := used(t, path)
	s := openStore(t, path)
	defer s.Close()
	if err := os.Chtimes(path, time.Now(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.Save("key/000", []byte("x")); err != nil {
		t.Fatal(err)
	}
	want["key/000"] = "x"
	if got, err := content(s); err != nil || !maps.Equal(got, want) {
		t.Errorf("%d of %d values, %v", len(got), len(want), err)
	}
}

// A disk without room: no write is accepted while what was refused does not fit, and all goes on by itself when it does.
func TestDiskFullForAWhile(t *testing.T) {
	var full atomic.Bool
	path := filepath.Join(t.TempDir(), "tasks.db")
	want := used(t, path)
	s, err := Open(path, Options{NoSync: true, Commit: func(commit func() error) error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return commit()
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	full.Store(true)
	for range 3 {
		if err := s.Save("new", []byte("x")); policy.CodeOf(err) != policy.CodeUnavailable || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("save: %v", err)
		}
		if err := s.Health(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("health: %v", err)
		}
		if got, err := content(s); err != nil || !maps.Equal(got, want) {
			t.Fatalf("%d of %d values, %v", len(got), len(want), err)
		}
	}
	full.Store(false)
	waitHealth(t, s, true)
	if err := s.Save("new", []byte("x")); err != nil {
		t.Fatal(err)
	}
}

// A store that is full is not ready until what was refused fits.
// Where there is room for a small write and none for what was refused, no write is accepted: health and writes say the same. A task
// goes into many buckets, each of which needs new pages.
func TestRoomForLessThanWasRefused(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "tasks.db"), Options{NoSync: true, MaxSize: 1 << 18})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var names [][]byte
	for i := range 12 {
		names = append(names, fmt.Appendf(nil, "bucket%d", i))
	}
	if err := s.AddBuckets(names...); err != nil {
		t.Fatal(err)
	}
	wide := func(n int) error {
		return s.Update(func(tx *Tx) error {
			for _, name := range names {
				if err := tx.Bucket(name).Put(fmt.Appendf(nil, "%04d", n), []byte("x")); err != nil {
					return err
				}
			}
			return nil
		}, nil)
	}
	for i := range 100 {
		if err := s.Save(fmt.Sprintf("large%d", i), make([]byte, 3000)); err != nil {
			t.Fatalf("%d: the small write is refused first: %v", i, err)
		}
		if err := wide(i); err == nil {
			continue
		}
		if err := s.Health(); err == nil {
			t.Error("it seems to accept writes")
		}
		if err := wide(i); policy.CodeOf(err) != policy.CodeUnavailable {
			t.Errorf("again: %v", err)
		}
		// However often it is tried, what there has to be room for stays the same.
		room := s.commits.room
		for range 5 {
			s.commits.look()
		}
		if s.commits.room != room || room > 1<<18 {
			t.Errorf("room for %d bytes became %d", room, s.commits.room)
		}
		return
	}
	t.Fatal("there is no limit")
}

func TestSizeLimit(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "tasks.db"), Options{NoSync: true, MaxSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Save("small", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := s.Save("large", make([]byte, 2<<20)); policy.CodeOf(err) != policy.CodeUnavailable {
		t.Fatalf("save: %v", err)
	}
	if err := s.Health(); err == nil {
		t.Error("it accepts writes")
	}
	if v, err := s.Load("small"); string(v) != "x" || err != nil {
		t.Errorf("load: %q, %v", v, err)
	}
}

// A file of layout version 1, which had no checksums, is rewritten.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	err = db.Update(func(tx *bolt.Tx) error {
		own, err := tx.CreateBucket(bucketMeta)
		values, other := tx.CreateBucket(ValuesBucket)
		err = errors.Join(err, other, own.Put(keySchema, []byte("1")))
		for i := range 1000 {
			key := fmt.Sprint("key", i)
			want[key] = fmt.Sprint("value", i)
			err = errors.Join(err, values.Put([]byte(key), []byte(want[key])))
		}
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := openStore(t, path)
		if got, err := content(s); err != nil || !maps.Equal(got, want) {
			t.Errorf("%d of %d values, %v", len(got), len(want), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Two processes that start at once on no file have one store.
func TestCreatedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	results := make(chan error)
	for range 4 {
		go func() {
			s, err := Open(path, Options{LockTimeout: time.Millisecond})
			if err == nil {
				defer s.Close()
			}
			results <- err
		}()
	}
	for range 4 {
		if err := <-results; err != nil && policy.CodeOf(err) != policy.CodeUnavailable {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%d files, %v", len(left), err)
	}
}
