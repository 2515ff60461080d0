package ondemand

import (
	"context"
	"encoding/binary"
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

func TestOpenRefuses(t *testing.T) {
	filled := func(t *testing.T, path string) {
		r := &rig{t: t, path: path, opts: Options{}, stop: func() {}}
		r.open()
		for range 20 {
			var batch []Task
			for range 20 {
				batch = append(batch, Task{Type: "x", Source: strings.Repeat("s", 300)})
			}
			if _, err := r.submitAll(context.Background(), batch); err != nil {
				t.Fatal(err)
			}
		}
		r.close()
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
		}, "is in use by another process: stop that process", policy.CodeUnavailable},
		{"not a database", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("hello ", 4000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is damaged (invalid database): restore it from a backup, or move it away", policy.CodeInternal},
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
		{"newer layout", func(t *testing.T, path string) {
			s := openStore(t, path)
			err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, []byte("99")) })
			if err := errors.Join(err, s.Close()); err != nil {
				t.Fatal(err)
			}
		}, `layout version "99", this program knows "1"`, policy.CodeConflict},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tasks.db")
			c.spoil(t, path)
			_, err := Open(path, StoreOptions{LockTimeout: 10 * time.Millisecond})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || policy.CodeOf(err) != c.code {
				t.Fatalf("error is %v (%s), want %q of class %s", err, policy.CodeOf(err), c.want, c.code)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has more than one line: %v", err)
			}
		})
	}
}

// Any flipped byte is refused or harmless; it never panics.
func TestOpenSurvivesAnyDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tasks.db")
	r := &rig{t: t, path: path, stop: func() {}}
	r.open()
	for i := range 40 {
		r.submit(Task{ID: fmt.Sprint(i), Type: "x", Source: strings.Repeat("s", 700)})
	}
	r.close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(whole); i += 3989 {
		data := append([]byte(nil), whole...)
		for j := i; j < min(i+16, len(data)); j++ {
			data[j] ^= 0xff
		}
		path := filepath.Join(dir, fmt.Sprint(i)) // one each: the lock outlives a panic inside bbolt's own Open
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, StoreOptions{LockTimeout: time.Second})
		if err != nil {
			continue
		}
		if q, err := NewQueue(s, Options{}); err == nil {
			if _, err := q.List(context.Background(), Filter{}); err != nil {
				t.Logf("damage at %d is found by a listing: %v", i, err)
			}
		}
		s.Close() // may fail; must not panic
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
	s, err := Open(filepath.Join(t.TempDir(), "tasks.db"), StoreOptions{Registerer: reg})
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
			err := s.commits.do(func(tx *bolt.Tx) error {
				switch i % 20 {
				case 1:
					return refused
				case 2, 3:
					if err := tx.Bucket(bucketValues).Put(key, key); err != nil {
						return err
					}
					if i%20 == 3 {
						panic("at the disk")
					}
					return broken // after a write: the others must not lose theirs
				}
				return tx.Bucket(bucketValues).Put(key, key)
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

// failing makes the next commits fail: before anything is written, or after.
func failing(s *Store, modes ...string) {
	s.commits.commit = func(tx *bolt.Tx) error {
		if len(modes) == 0 {
			return tx.Commit()
		}
		mode := modes[0]
		modes = modes[1:]
		if mode == "after" {
			if err := tx.Commit(); err != nil {
				return err
			}
		} else if err := tx.Rollback(); err != nil {
			return err
		}
		return errors.New("input/output error")
	}
}

func TestFailingDisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		modes []string
		code  policy.Code // of the submit
		there bool        // and so it must run
	}{
		{"lost", []string{"before"}, policy.CodeUnavailable, false},
		{"uncertain, then confirmed", []string{"after"}, "", true},
		{"uncertain, then lost", []string{"after", "before"}, policy.CodeUnavailable, true},
		{"uncertain twice", []string{"after", "after"}, policy.CodeUnavailable, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Options{Handlers: handlers(succeed)})
			failing(r.store, c.modes...)
			_, _, err := r.Submit(context.Background(), syncTask("a", "catalog:c"))
			if policy.CodeOf(err) != c.code {
				t.Errorf("submit: %v", err)
			}
			_, err = r.Get(context.Background(), "a")
			if (err == nil) != c.there {
				t.Errorf("get: %v", err)
			}
			r.start()
			if c.there { // acknowledged or not: memory follows the file, and the task is not lost
				if done := r.wait("a"); done.Status != Success {
					t.Errorf("ended %s", done.Status)
				}
			}
			_, created, err := r.Submit(context.Background(), syncTask("a", "catalog:c"))
			if err != nil || created == c.there {
				t.Errorf("submitted again: created %v, %v", created, err)
			}
			if done := r.wait("a"); done.Status != Success {
				t.Errorf("ended %s", done.Status)
			}
			before := binary.BigEndian.AppendUint64(nil, r.store.commits.seq)
			r.close()
			r.open()
			if got := binary.BigEndian.AppendUint64(nil, r.store.commits.seq); string(got) < string(before) {
				t.Error("the number of the last commit went back")
			}
		})
	}
}

// The claim and the end of a task are tried again when the disk fails under them.
func TestRunOnFailingDisk(t *testing.T) {
	for n := range 5 {
		for _, mode := range []string{"before", "after"} {
			r := newRig(t, Options{Handlers: handlers(succeed), RetryBase: time.Millisecond, RetryMax: time.Millisecond})
			r.submit(syncTask("a", "catalog:c"))
			r.submit(Task{ID: "b", Type: "unknown"})
			modes := make([]string, n)
			for i := range modes {
				modes[i] = mode
			}
			failing(r.store, modes...)
			r.start()
			if done := r.wait("a"); done.Status != Success || done.Attempts != 1 {
				t.Errorf("%d commits that failed %s: ended %s after %d attempts", n, mode, done.Status, done.Attempts)
			}
			if done := r.wait("b"); done.Status != Skipped {
				t.Errorf("%d commits that failed %s: ended %s", n, mode, done.Status)
			}
			r.close()
		}
	}
}

func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	s, err := Open(path, StoreOptions{MaxSize: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	q, err := NewQueue(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	stored := 0
	for ; stored < 1000; stored++ {
		if _, _, err = q.Submit(context.Background(), Task{Type: "x", Source: strings.Repeat("s", 5000)}); err != nil {
			break
		}
	}
	if policy.CodeOf(err) != policy.CodeUnavailable || stored == 0 || stored == 1000 {
		t.Errorf("after %d tasks: %v", stored, err)
	}
	if got := q.Stats().New; got != stored {
		t.Errorf("%d tasks in memory, %d acknowledged", got, stored)
	}
}
