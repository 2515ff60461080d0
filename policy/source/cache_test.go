package source_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ucwarden/policy/source"
)

// restamp rewrites the one cache file in dir so that its snapshot was confirmed at the given time, and returns its path.
func restamp(t *testing.T, dir string, confirmed time.Time) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.snapshot"))
	if err != nil || len(files) != 1 {
		t.Fatalf("cache files %q, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := bytes.Cut(data, []byte("\n"))
	var entry map[string]json.RawMessage
	if err := json.Unmarshal(body, &entry); err != nil {
		t.Fatal(err)
	}
	if entry["fetchedAt"], err = json.Marshal(confirmed); err != nil {
		t.Fatal(err)
	}
	if body, err = json.Marshal(entry); err != nil {
		t.Fatal(err)
	}
	magic, _, _ := bytes.Cut(head, []byte("sha256:"))
	data = fmt.Appendf(nil, "%ssha256:%x\n%s", magic, sha256.Sum256(body), body)
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	return files[0]
}

// A cached snapshot is as old as its stamp says. One that is stamped in the future is as old as its file, and never
// fresher than now: guards against stale policies go by it.
func TestCacheStampedInTheFuture(t *testing.T) {
	now := time.Now().Round(0)
	ago, ahead := now.Add(-3*time.Hour), now.Add(3*time.Hour)
	longAgo, farAhead := now.Add(-30*time.Hour), now.Add(30*time.Hour)
	for _, test := range []struct {
		name           string
		stamp, written time.Time
		want           time.Time // zero: the time of the load
	}{
		{"in the past", longAgo, ago, longAgo},
		{"in the past, in a file of the future", ago, ahead, ago},
		{"in the future, in a file of the past", ahead, ago, ago},
		{"in the future, in a file of the future", ahead, farAhead, time.Time{}},
		{"in the future, in a file of less far ahead", farAhead, ahead, time.Time{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, cacheDir := t.TempDir(), t.TempDir()
			options := source.FilesOptions{Path: dir, CacheDir: cacheDir, Debounce: 1}
			write(t, dir, map[string]string{"p.json": list(3)})
			load(t, options)
			path := restamp(t, cacheDir, test.stamp)
			if err := os.Chtimes(path, test.written, test.written); err != nil {
				t.Fatal(err)
			}
			write(t, dir, map[string]string{"p.json": "{"}) // the source is down
			before := time.Now()
			f := newFiles(t, options)
			s, err := f.Load(t.Context())
			if err != nil || f.Problem() == nil {
				t.Fatalf("not loaded from the cache: %v, %v", err, f.Problem())
			}
			if test.want.IsZero() {
				if s.FetchedAt.Before(before.Add(-time.Second)) || s.FetchedAt.After(time.Now()) {
					t.Errorf("confirmed at %v, want the time of the load, %v", s.FetchedAt, before)
				}
			} else if d := s.FetchedAt.Sub(test.want).Abs(); d > time.Second { // what a file system may round
				t.Errorf("confirmed at %v, want %v", s.FetchedAt, test.want)
			}
		})
	}
}

// A snapshot that the source confirms is written again once its stamp is an hour old, and not each time.
func TestCacheIsRefreshed(t *testing.T) {
	for age, want := range map[time.Duration]bool{59 * time.Minute: false, 61 * time.Minute: true} {
		dir, cacheDir := t.TempDir(), t.TempDir()
		options := source.FilesOptions{Path: dir, CacheDir: cacheDir, Debounce: 1}
		write(t, dir, map[string]string{"p.json": list(3)})
		load(t, options)
		path := restamp(t, cacheDir, time.Now().Add(-age))
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		load(t, options)
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if rewritten := !bytes.Equal(before, after); rewritten != want {
			t.Errorf("stamped %v ago: rewritten %t", age, rewritten)
		}
	}
}

// A process that has just written its snapshot does not write it again when the source confirms it.
func TestCacheIsNotRewritten(t *testing.T) {
	dir, cacheDir := t.TempDir(), t.TempDir()
	f := newFiles(t, source.FilesOptions{Path: dir, CacheDir: cacheDir, Debounce: 1})
	write(t, dir, map[string]string{"p.json": list(3)})
	var contents [2][]byte
	for i := range contents {
		if _, err := f.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(cacheDir, "*.snapshot"))
		if err != nil || len(files) != 1 {
			t.Fatalf("cache files %q, %v", files, err)
		}
		if contents[i], err = os.ReadFile(files[0]); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(contents[0], contents[1]) {
		t.Error("the cache was written again")
	}
}

// The cache of one source, put in the place of another's, is not used.
func TestCacheOfAnotherSource(t *testing.T) {
	cacheDir := t.TempDir()
	cacheOf := func(dir string) string {
		own := t.TempDir()
		write(t, dir, map[string]string{"p.json": list(3)})
		load(t, source.FilesOptions{Path: dir, CacheDir: own, Debounce: 1})
		files, err := filepath.Glob(filepath.Join(own, "*.snapshot"))
		if err != nil || len(files) != 1 {
			t.Fatalf("cache files %q, %v", files, err)
		}
		return files[0]
	}
	mine, other := t.TempDir(), t.TempDir()
	place := cacheOf(mine)
	data, err := os.ReadFile(cacheOf(other))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cacheDir, filepath.Base(place)), data, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, mine, map[string]string{"p.json": "{"})
	if s, err := newFiles(t, source.FilesOptions{Path: mine, CacheDir: cacheDir, Debounce: 1}).Load(t.Context()); err == nil {
		t.Errorf("the cache of another folder was used: %d policies", len(s.Policies))
	}
}

// A cache that another process keeps is read, and left as it is.
func TestReadOnlyCache(t *testing.T) {
	dir, cacheDir := tempWith(t, map[string]string{"a.json": allow(1, "a", "t1")}), t.TempDir()
	load(t, source.FilesOptions{Path: dir, CacheDir: filepath.Join(cacheDir, "none"), CacheReadOnly: true, Debounce: 1})
	if _, err := os.Stat(filepath.Join(cacheDir, "none")); err == nil {
		t.Error("a cache was made")
	}
	load(t, source.FilesOptions{Path: dir, CacheDir: cacheDir, Debounce: 1})
	files, err := filepath.Glob(filepath.Join(cacheDir, "*.snapshot"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	before, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"a.json": allow(1, "a", "t2")})
	if s := load(t, source.FilesOptions{Path: dir, CacheDir: cacheDir, CacheReadOnly: true, Debounce: 1}); s.Policies[0].Resources["table"].Values[0] != "t2" {
		t.Errorf("loaded %v", s.Policies)
	}
	if after, err := os.ReadFile(files[0]); err != nil || string(after) != string(before) {
		t.Errorf("the cache was changed: %v", err)
	}
	write(t, dir, map[string]string{"a.json": `{"rangerRoles":5}`})
	if s := load(t, source.FilesOptions{Path: dir, CacheDir: cacheDir, CacheReadOnly: true, Debounce: 1}); s.Policies[0].Resources["table"].Values[0] != "t1" {
		t.Errorf("from the cache: %v", s.Policies)
	}
}
