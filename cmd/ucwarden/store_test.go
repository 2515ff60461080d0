package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ucwarden/ondemand"
)

// until waits until ok returns true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(processTimeout); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s within %s", what, processTimeout)
		}
	}
}

// A daemon whose store is damaged, or gone, under it is not ready, takes no task, and lives on.
func TestStoreChangedUnderTheDaemon(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"truncated": func(path string) error { return os.Truncate(path, 5000) },
		"removed":   os.Remove,
		"replaced": func(path string) error {
			return os.Rename(filepath.Join(filepath.Dir(path), "audit.jsonl"), path)
		},
		"randomised": func(path string) error {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Write([]byte(strings.Repeat("garbage", 10_000)))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, oneSchema("t1"), readTables)
			s := w.serveAt()
			first, err := s.Submit(t.Context(), tableSync("", "c", "s", "t1"))
			if err != nil {
				t.Fatal(err)
			}
			w.done(s.Client, first.ID, ondemand.Success)
			until(t, "ready", func() bool { status, _ := s.readiness(t); return status == http.StatusOK })

			if err := spoil(filepath.Join(w.dir, "data", "ucwarden.db")); err != nil {
				t.Fatal(err)
			}
			// While a commit is in progress, it is this commit that looks.
			until(t, "not ready because of the store", func() bool {
				status, body := s.readiness(t)
				return status == http.StatusServiceUnavailable && strings.Contains(body, "/checks/store")
			})
			for range 3 {
				if task, err := s.Submit(t.Context(), tableSync("", "c", "s", "t1")); err == nil {
					t.Errorf("a task was taken: %s", task.ID)
				}
			}
			resp, err := http.Get(s.url + "/healthz")
			if err != nil {
				t.Fatal(err)
			}
			if resp.Body.Close(); resp.StatusCode != http.StatusOK {
				t.Errorf("/healthz answers %d", resp.StatusCode)
			}
			if log := s.logs(); strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") {
				t.Errorf("it panicked:\n%s", log)
			}
		})
	}
}

// A damaged store is refused, or moved aside where the configuration says so; then a full sync makes good what tasks were
// to do.
func TestDamagedStoreAtTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	path := filepath.Join(w.dir, "data", "ucwarden.db")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil { // what a disk that was full may leave
		t.Fatal(err)
	}
	_, _, err := launchServe(w.dir, environment(), "-c", w.config)
	if err == nil || !strings.Contains(err.Error(), "is damaged (the file is empty)") || !strings.Contains(err.Error(), "ucwarden store restore") {
		t.Fatalf("served, or did not say why not: %v", err)
	}
	s := w.serveAt("--set", "store.on_damage=quarantine")
	if _, err := s.logged(regexp.MustCompile(`level=INFO.*task moved.* type=FULL_SYNC .*to=SUCCESS`)); err != nil {
		t.Fatal(err)
	}
	if granted := strings.Join(w.grants(), "\n"); !strings.Contains(granted, "TABLE:c.s.t1 analysts SELECT") {
		t.Errorf("granted is %s", granted)
	}
	aside, err := filepath.Glob(path + ".damaged-*")
	if err != nil || len(aside) != 1 || !strings.Contains(s.logs(), aside[0]) {
		t.Errorf("moved to %q, %v", aside, err)
	}
	if err := s.signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

// A store that is gone while the audit trail is still there is said, and a full sync makes good what its tasks were to do.
func TestStoreGoneAtTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	s := w.serveAt()
	task, err := s.Submit(t.Context(), tableSync("", "c", "s", "t1"))
	if err != nil {
		t.Fatal(err)
	}
	w.done(s.Client, task.ID, ondemand.Success)
	if err := s.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.logs(), "there is no task store") {
		t.Errorf("said at the first start:\n%s", s.logs())
	}
	if err := os.Remove(filepath.Join(w.dir, "data", "ucwarden.db")); err != nil {
		t.Fatal(err)
	}
	s = w.serveAt()
	if _, err := s.logged(regexp.MustCompile(`level=INFO.*task moved.* type=FULL_SYNC .*to=SUCCESS`)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.logs(), "there is no task store, although the audit trail shows") {
		t.Errorf("not said:\n%s", s.logs())
	}
	if err := s.signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

// A workspace or policies that fail after the start leave the daemon ready, and it says so.
func TestReadyWithoutWorkspace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	s := w.serveAt("--set", "databricks.max_attempts=1")
	until(t, "ready", func() bool { status, _ := s.readiness(t); return status == http.StatusOK })
	w.onRequest(func(*http.Request, func()) { panic(http.ErrAbortHandler) })
	task, err := s.Submit(t.Context(), tableSync("", "c", "s", "t1"))
	if err != nil {
		t.Fatal(err)
	}
	var body string
	until(t, "degraded", func() bool {
		var status int
		if status, body = s.readiness(t); status != http.StatusOK {
			t.Fatalf("/readyz answers %d %s", status, body)
		}
		return strings.Contains(body, `"status":"degraded"`)
	})
	if !strings.Contains(body, "/checks/workspace") {
		t.Errorf("it says %s", body)
	}
	w.write("policies.yaml", "id: {")
	until(t, "told of the policies", func() bool { _, body := s.readiness(t); return strings.Contains(body, "/checks/policies") })
	w.write("policies.yaml", readTables)
	w.onRequest(nil)
	w.done(s.Client, task.ID, ondemand.Success)
	until(t, "ready again", func() bool { _, body := s.readiness(t); return strings.Contains(body, `"status":"ready"`) })
}
