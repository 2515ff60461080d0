package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// A daemon whose tasks do not come over REST says how it is and what it does, on the address for that, and takes no tasks there.
func TestHealthWithoutAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	p, err := launch(w.dir, environment(), "serve", "-c", w.config, "--set", "apiserver.enabled=false", "--set", "apiserver.admin_addr=127.0.0.1:0", "--set", "sync.on_start=true")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	m, err := p.logged(regexp.MustCompile(`msg="admin server listens".* addr=(\S+)`))
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (int, string) {
		t.Helper()
		resp, err := http.Get("http://" + m[1] + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	for path, want := range map[string]string{"/healthz": "", "/metrics": "ucwarden_build_info", "/openapi.json": "/api/v1/tasks"} {
		if status, body := get(path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if _, body := get("/readyz"); strings.Contains(body, "keys") {
		t.Errorf("/readyz speaks of keys that nobody has: %s", body)
	}
	if status, body := get("/api/v1/tasks"); status != http.StatusNotFound {
		t.Errorf("tasks: %d %s", status, body)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if _, err := p.logged(regexp.MustCompile(`msg="read again after SIGHUP" parts="policies: `)); err != nil {
		t.Error(err)
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Errorf("%v\n%s", err, p.logs())
	}
}
