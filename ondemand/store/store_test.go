package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	bolt "go.etcd.io/bbolt"

	"ucwarden/policy"
)

// openStore opens a store that does not sync: no test cuts the power, and fsync would be most of their time.
func openStore(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path, Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fill saves n values of 300 bytes.
func fill(t *testing.T, s *Store, n int) {
	t.Helper()
	values := make(map[string][]byte, n)
	for i := range n {
		values[fmt.Sprintf("key/%05d", i)] = []byte(strings.Repeat("s", 300))
	}
	if err := s.SaveAll(values); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	filled := func(t *testing.T, path string) {
		s := openStore(t, path)
		fill(t, s, 400)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		want  string
		code  policy.Code
	}{
		{"locked", func(t *testing.T, path string) {
			s := openStore(t, path)
			t.Cleanup(func() { s.Close() })
		}, fmt.Sprintf("is in use by another process: number %d (store.test); stop that process", os.Getpid()), policy.CodeUnavailable},
		{"not a database", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("hello ", 4000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is damaged (meta page 0: it is not one of a task store): restore a backup (ucwarden store restore BACKUP --file ", policy.CodeInternal},
		{"damaged pages", func(t *testing.T, path string) {
			filled(t, path)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 2 * 4096; i < len(data); i++ {
				data[i] = byte(i * 7)
			}
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is damaged", policy.CodeInternal},
		{"truncated", func(t *testing.T, path string) {
			filled(t, path)
			if err := os.Truncate(path, 4*4096); err != nil {
				t.Fatal(err)
			}
		}, "is damaged", policy.CodeInternal},
		{"older meta page", func(t *testing.T, path string) {
			filled(t, path)
			flip(t, path, pageHeader+20)
		}, "is damaged (meta page 0: wrong checksum)", policy.CodeInternal},
		{"newer meta page", func(t *testing.T, path string) {
			filled(t, path)
			flip(t, path, int64(os.Getpagesize())+pageHeader+20)
		}, "is damaged (meta page 1: wrong checksum)", policy.CodeInternal},
		{"empty", func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is damaged (the file is empty)", policy.CodeInternal},
		{"zeroed", func(t *testing.T, path string) {
			filled(t, path)
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, make([]byte, info.Size()), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is damaged (meta page 0: it is not one of a task store)", policy.CodeInternal},
		{"newer layout", func(t *testing.T, path string) {
			s := openStore(t, path)
			err := s.file.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, []byte("99")) })
			if err := errors.Join(err, s.Close()); err != nil {
				t.Fatal(err)
			}
		}, `layout version 99, this program knows up to 4: run the version of ucwarden that wrote it`, policy.CodeConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tasks.db")
			c.spoil(t, path)
			_, err := Open(path, Options{LockTimeout: 10 * time.Millisecond})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || policy.CodeOf(err) != c.code {
				t.Fatalf("error is %v (%s), want %q of class %s", err, policy.CodeOf(err), c.want, c.code)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has more than one line: %v", err)
			}
		})
	}
}

// What a later version wrote is neither restored nor exported: this program would leave out, unseen, what it does not know.
func TestNewerLayoutIsLeftAlone(t *testing.T) {
	newer, path := filepath.Join(t.TempDir(), "newer.db"), filepath.Join(t.TempDir(), "tasks.db")
	for _, p := range []string{newer, path} {
		s := openStore(t, p)
		fill(t, s, 3)
		if p == newer {
			if err := s.file.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, []byte("99")) }); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	known := fmt.Sprintf("layout version 99, this program knows up to %d", schemaVersion)
	_, _, err := Restore(newer, path)
	if err == nil || !strings.Contains(err.Error(), known+": nothing was changed") || strings.Contains(err.Error(), "--file") {
		t.Errorf("restore: %v", err)
	}
	if r, err := Check(path); err != nil || r.Entries[string(ValuesBucket)] != 3 {
		t.Errorf("after the refused restore: %v, %v", r, err)
	}
	_, err = Entries(newer, func(_, _, _ []byte) error { t.Error("read"); return nil })
	if err == nil || !strings.Contains(err.Error(), known) {
		t.Errorf("export: %v", err)
	}
}

func TestValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "tasks.db")
	s := openStore(t, path)
	if v, err := s.Load("k"); v != nil || err != nil {
		t.Errorf("absent key = %q, %v", v, err)
	}
	for _, v := range []string{"one", "two"} {
		if err := s.Save("k", []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Save("gone", []byte("x")), s.Save("gone", nil), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := s.Save("k", []byte("three")); policy.CodeOf(err) != policy.CodeUnavailable {
		t.Errorf("save into a closed store: %v", err)
	}
	if _, err := s.Load("k"); policy.CodeOf(err) != policy.CodeUnavailable {
		t.Errorf("load from a closed store: %v", err)
	}
	s = openStore(t, path)
	defer s.Close()
	for key, want := range map[string]string{"k": "two", "gone": ""} {
		if v, err := s.Load(key); string(v) != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", key, v, err, want)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the file is %v, %v", info.Mode(), err)
	}
}

func TestManyValues(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "tasks.db"))
	defer s.Close()
	values := map[string][]byte{"other": []byte("x"), "plan": []byte("y")}
	for i := range 2500 {
		values[fmt.Sprintf("plan/%04d", i)] = fmt.Append(nil, i)
	}
	if err := s.SaveAll(values); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveAll(map[string][]byte{"plan/0000": nil, "plan/0001": []byte("new")}); err != nil {
		t.Fatal(err)
	}
	var keys []string
	if err := s.Range("plan/", func(key string, value []byte) error {
		if keys = append(keys, key); key == "plan/0001" && string(value) != "new" {
			t.Errorf("%s is %s", key, value)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(keys) != 2499 || keys[0] != "plan/0001" || keys[2498] != "plan/2499" {
		t.Errorf("%d keys from %v", len(keys), keys[:1])
	}
	if err := s.RemoveAll("plan/"); err != nil {
		t.Fatal(err)
	}
	left := 0
	if err := s.Range("", func(string, []byte) error { left++; return nil }); err != nil || left != 2 {
		t.Errorf("%d values are left, %v", left, err)
	}
	if err := s.SaveAll(map[string][]byte{"": nil}); policy.CodeOf(err) != policy.CodeInvalid {
		t.Errorf("an empty key: %v", err)
	}
}

func TestGroupCommit(t *testing.T) {
	reg := prometheus.NewRegistry()
	s, err := Open(filepath.Join(t.TempDir(), "tasks.db"), Options{Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var wg sync.WaitGroup
	refused := policy.Errorf(policy.CodeConflict, "no")
	broken := errors.New("broken")
	for i := range 200 {
		wg.Go(func() {
			key := fmt.Appendf(nil, "%d", i)
			var applied bool
			err := s.Update(func(tx *Tx) error {
				switch i % 20 {
				case 1:
					return refused
				case 2, 3:
					if err := tx.Bucket(ValuesBucket).Put(key, key); err != nil {
						return err
					}
					if i%20 == 3 {
						panic("at the disk")
					}
					return broken // after a write: the others must not lose theirs
				}
				return tx.Bucket(ValuesBucket).Put(key, key)
			}, func() { applied = true })
			want := map[int]policy.Code{1: policy.CodeConflict, 2: policy.CodeUnavailable, 3: policy.CodeInternal}[i%20]
			if policy.CodeOf(err) != want || applied != (want == "") {
				t.Errorf("write %d: %v, applied %v", i, err, applied)
			}
		})
	}
	wg.Wait()
	for i := range 200 {
		key := fmt.Sprint(i)
		v, err := s.Load(key)
		if want := i%20 < 1 || i%20 > 3; err != nil || (string(v) == key) != want {
			t.Errorf("value %d is %q, %v", i, v, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := Open("x", Options{MaxSize: -1}); policy.CodeOf(err) != policy.CodeInvalid {
		t.Errorf("negative size: %v", err)
	}
}
