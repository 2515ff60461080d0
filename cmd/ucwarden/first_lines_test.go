package main

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ucwarden/connector/emulator"
)

// doctor returns what doctor prints about the world with more settings, one finding a line.
func (w *world) doctor(environ []string, args ...string) string {
	w.Helper()
	command := exec.Command("ucwarden", append([]string{"doctor", "-c", w.config}, args...)...)
	command.Dir, command.Env = w.dir, environ
	out, err := command.Output()
	if err == nil {
		w.Errorf("doctor finds nothing wrong:\n%s", out)
	}
	return string(out)
}

// The first lines of the log say that a clock is wrong, and doctor agrees.
func TestClockIsWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &emulator.Seed{}, `[]`)
	ahead := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Date", time.Now().Add(2*time.Hour).UTC().Format(http.TimeFormat))
		w.emulator.ServeHTTP(rw, r)
	}))
	t.Cleanup(ahead.Close)
	host := "databricks.host=" + ahead.URL
	p, _ := w.serve("--set", host)
	if _, err := p.logged(regexp.MustCompile(`our clock and the workspace's differ by (1h59|2h0)`)); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(p.logs(), "\n"); !strings.Contains(strings.Join(lines[:min(len(lines), 10)], "\n"), "our clock") {
		t.Errorf("it is not in the first lines:\n%s", p.logs())
	}
	if out := w.doctor(environment(), "--set", host); !regexp.MustCompile(`(?m)^problem  clock  +our clock and the workspace's differ by .*; let a time service`).MatchString(out) {
		t.Errorf("doctor: %s", out)
	}
}

// The first line of the log names a secret that is missing, and doctor agrees. Keys, which the chart makes before, need none.
func TestSecretIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &emulator.Seed{}, `[]`)
	path := filepath.Join(w.dir, "secrets", "databricks.token")
	environ := environment("UCWARDEN_DATABRICKS_TOKEN_FILE=" + path)
	const names = "env UCWARDEN_DATABRICKS_TOKEN_FILE: databricks.token: read the secret: open "
	p, err := launch(w.dir, environ, "serve", "-c", w.config)
	if err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if first, _, _ := strings.Cut(p.logs(), "\n"); !strings.Contains(first, names+path) {
		t.Errorf("the log begins with %s", first)
	}
	if out := w.doctor(environ); !strings.HasPrefix(out, "problem  configuration  "+names+path) || !strings.Contains(out, "\nok       store ") {
		t.Errorf("doctor: %s", out)
	}
	generate := exec.Command("ucwarden", "keys", "generate", "-c", w.config, "--once", "--out", "new")
	generate.Dir, generate.Env = w.dir, environ
	if out, err := generate.CombinedOutput(); err != nil {
		t.Errorf("keys: %v: %s", err, out)
	}
}
