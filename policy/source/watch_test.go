package source_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/policy"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source"
)

// notifications collects the snapshots that Watch passes to its function.
type notifications struct {
	mu   sync.Mutex
	list []*ranger.Snapshot
}

func (o *notifications) add(s *ranger.Snapshot) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, s)
}

func (o *notifications) sizes() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var b strings.Builder
	for _, s := range o.list {
		fmt.Fprintf(&b, "%d ", len(s.Policies))
	}
	return strings.TrimSpace(b.String())
}

// advance lets d of the bubble's time go by, and everything that is due happen.
func advance(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestWatchPolls(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"p.json": list(3)})
	synctest.Test(t, func(t *testing.T) {
		var log logged
		reg := prometheus.NewRegistry()
		f := newFiles(t, source.FilesOptions{Path: dir, DisableNotify: true, Logger: log.logger(), Registerer: reg})
		if _, err := f.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var out notifications
		done := make(chan error, 1)
		go func() { done <- f.Watch(ctx, out.add) }()

		advance(5 * time.Minute)
		if out.sizes() != "" {
			t.Errorf("notified of %s without a change", out.sizes())
		}
		if got := gauge(t, reg, "ucwarden_policy_snapshot_stale_seconds"); got > 31 {
			t.Errorf("stale for %v s though confirmed", got)
		}
		write(t, dir, map[string]string{"p.json": list(4)})
		advance(31 * time.Second)
		write(t, dir, map[string]string{"p.json": list(4)[:400]})
		advance(time.Hour)
		if out.sizes() != "4" || f.Problem() == nil {
			t.Errorf("notified of %q, problem %v", out.sizes(), f.Problem())
		}
		if got := gauge(t, reg, "ucwarden_policy_snapshot_stale_seconds"); got < 3500 {
			t.Errorf("stale for %v s, want an hour", got)
		}
		if n := log.count("level=WARN"); n != 1 {
			t.Errorf("%d warnings in an hour, want 1:\n%s", n, log.String())
		}
		write(t, dir, map[string]string{"p.json": list(5)})
		advance(31 * time.Second)
		if out.sizes() != "4 5" || f.Problem() != nil {
			t.Errorf("notified of %q, problem %v", out.sizes(), f.Problem())
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("watch ended with %v", err)
		}
	})
}

// Files that could not be read are tried again soon, not only after the poll interval.
func TestWatchTriesAgainSoon(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := newFiles(t, source.FilesOptions{Path: dir, DisableNotify: true, PollInterval: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		var out notifications
		done := make(chan error, 1)
		go func() { done <- f.Watch(ctx, out.add) }()
		synctest.Wait()
		write(t, dir, map[string]string{"p.json": list(2)})
		advance(5 * time.Second)
		if out.sizes() != "2" {
			t.Errorf("notified of %q", out.sizes())
		}
		cancel()
		<-done
	})
}

func TestWatchStartsWithoutPolicies(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var log logged
		f := newFiles(t, source.FilesOptions{Path: dir, DisableNotify: true, Logger: log.logger()})
		ctx, cancel := context.WithCancel(t.Context())
		var out notifications
		done := make(chan error, 1)
		go func() { done <- f.Watch(ctx, out.add) }()
		advance(10 * time.Minute)
		if log.count("level=WARN") != 1 {
			t.Errorf("want one warning:\n%s", log.String())
		}
		write(t, dir, map[string]string{"p.json": list(2)})
		advance(time.Minute)
		if out.sizes() != "2" {
			t.Errorf("notified of %q", out.sizes())
		}
		cancel()
		<-done
	})
}

// A file that somebody is writing is left alone, even when every prefix of it would be good YAML.
func TestHalfWrittenFilesAreNeverTaken(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "p.yaml")
	var all []string
	for i := range 12 {
		all = append(all, "- "+allow(int64(i+1), fmt.Sprintf("p%d", i), "t")+"\n")
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFiles(t, source.FilesOptions{Path: dir, DisableNotify: true, PollInterval: time.Second, Debounce: 250 * time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		var out notifications
		done := make(chan error, 1)
		go func() { done <- f.Watch(ctx, out.add) }()
		for i := range all {
			if err := os.WriteFile(path, []byte(strings.Join(all[:i+1], "")), 0o644); err != nil {
				t.Fatal(err)
			}
			advance(200 * time.Millisecond)
		}
		advance(5 * time.Second)
		if out.sizes() != "12" {
			t.Errorf("took versions of %s policies, want 12 only", out.sizes())
		}
		cancel()
		<-done
	})
}

func TestFilesThatNeverSettle(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"p.json": list(3)})
	synctest.Test(t, func(t *testing.T) {
		f := newFiles(t, source.FilesOptions{Path: dir})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ctx.Err() == nil; i++ {
				write(t, dir, map[string]string{"p.json": list(3 + i)})
				advance(100 * time.Millisecond)
			}
		}()
		_, err := f.Load(t.Context())
		cancel()
		<-done
		if policy.CodeOf(err) != policy.CodeUnavailable || !strings.Contains(err.Error(), "keep changing") {
			t.Errorf("got %v", err)
		}
	})
}

// watchReal runs Watch on the real file system with polling out of the way, and returns the channel of the snapshots it reports.
func watchReal(t *testing.T, f *source.Files) <-chan *ranger.Snapshot {
	t.Helper()
	if _, err := f.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	out := make(chan *ranger.Snapshot, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.Watch(ctx, func(s *ranger.Snapshot) { out <- s })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return out
}

// wants waits for a snapshot of n policies. do is repeated until it comes, because the watch may not have begun.
func wants(t *testing.T, out <-chan *ranger.Snapshot, n int, do func()) {
	t.Helper()
	do()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	giveUp := time.After(10 * time.Second)
	for {
		select {
		case s := <-out:
			if len(s.Policies) == n {
				return
			}
		case <-tick.C:
			do()
		case <-giveUp:
			t.Fatalf("no snapshot of %d policies came", n)
		}
	}
}

func TestWatchIsNotified(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "policies")
	write(t, dir, map[string]string{"p.json": list(2)})
	f := newFiles(t, source.FilesOptions{Path: dir, PollInterval: time.Hour, Debounce: 10 * time.Millisecond})
	out := watchReal(t, f)
	wants(t, out, 3, func() { write(t, dir, map[string]string{"sub/q.json": allow(9, "nine", "t")}) })
	// the new folder is watched as well
	wants(t, out, 4, func() { write(t, dir, map[string]string{"sub/r.json": allow(10, "ten", "t")}) })
	// an editor that writes elsewhere and renames
	wants(t, out, 5, func() {
		write(t, root, map[string]string{"new": list(3)})
		if err := os.Rename(filepath.Join(root, "new"), filepath.Join(dir, "p.json")); err != nil {
			t.Fatal(err)
		}
	})
}

// Kubernetes writes each version of a ConfigMap to a folder of its own and swaps the link ..data to it.
func TestWatchSeesConfigMapUpdates(t *testing.T) {
	for _, test := range []struct{ name, path string }{{"folder", ""}, {"one file", "p.json"}} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			version := 0
			mount := func(policies int) {
				version++
				target := fmt.Sprintf("..2026_%d", version)
				write(t, dir, map[string]string{filepath.Join(target, "p.json"): list(policies)})
				if err := os.Symlink(target, filepath.Join(dir, "..data_tmp")); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
					t.Fatal(err)
				}
				if version > 1 {
					if err := os.RemoveAll(filepath.Join(dir, fmt.Sprintf("..2026_%d", version-1))); err != nil {
						t.Fatal(err)
					}
				}
			}
			mount(2)
			if err := os.Symlink(filepath.Join("..data", "p.json"), filepath.Join(dir, "p.json")); err != nil {
				t.Fatal(err)
			}
			f := newFiles(t, source.FilesOptions{Path: filepath.Join(dir, test.path), PollInterval: time.Hour, Debounce: 10 * time.Millisecond})
			out := watchReal(t, f)
			wants(t, out, 3, func() { mount(3) })
			wants(t, out, 4, func() { mount(4) })
		})
	}
}

// The path itself may be a link to the current release.
func TestWatchSeesASwappedPath(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"v1/p.json": list(2), "v2/p.json": list(3)})
	path := filepath.Join(root, "current")
	point := func(to string) {
		tmp := filepath.Join(root, "next")
		if err := os.Symlink(to, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, path); err != nil {
			t.Fatal(err)
		}
	}
	point("v1")
	f := newFiles(t, source.FilesOptions{Path: path, PollInterval: time.Hour, Debounce: 10 * time.Millisecond})
	out := watchReal(t, f)
	wants(t, out, 3, func() { point("v2") })
	wants(t, out, 4, func() { write(t, root, map[string]string{"v2/q.json": allow(9, "nine", "t")}) })
}
