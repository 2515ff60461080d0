package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ucwarden/ondemand"
)

// syncing is a sync in a process of its own, whose third change is on its way and not answered.
type syncing struct {
	*world
	cmd     *exec.Cmd
	stdout  bytes.Buffer
	stderr  *bufio.Scanner
	release func() // answers what is on its way
	changes func() int
}

func startSyncing(t *testing.T, args ...string) *syncing {
	t.Helper()
	var tables []string
	for i := range 20 {
		tables = append(tables, "t"+strconv.Itoa(i))
	}
	s := &syncing{world: newWorld(t, oneSchema(tables...), readTables)}
	began, release := make(chan struct{}), make(chan struct{})
	s.release = sync.OnceFunc(func() { close(release) })
	t.Cleanup(s.release)
	var mu sync.Mutex
	patches := 0
	s.changes = func() int {
		mu.Lock()
		defer mu.Unlock()
		return patches
	}
	s.onRequest(func(r *http.Request, serve func()) {
		if r.Method == http.MethodPatch {
			mu.Lock()
			patches++
			third := patches == 3
			mu.Unlock()
			if third {
				close(began)
				<-release
			}
		}
		serve()
	})
	program, err := exec.LookPath("ucwarden")
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(program, append([]string{"sync", "-c", s.config, "--set", "databricks.max_concurrency=1"}, args...)...)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout = s.dir, environment(), &s.stdout
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stderr = bufio.NewScanner(stderr)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() }) // it may have ended
	<-began
	return s
}

// interrupt sends an interrupt, and waits until it was heard.
func (s *syncing) interrupt() {
	s.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.Fatal(err)
	}
	for s.stderr.Scan() {
		if strings.Contains(s.stderr.Text(), "interrupt again") {
			return
		}
	}
	s.Fatal("it did not hear the interrupt")
}

// wait returns the rest of standard error and the state in which the process ended.
func (s *syncing) wait() (stderr string, state *os.ProcessState) {
	for s.stderr.Scan() {
		stderr += s.stderr.Text() + "\n"
	}
	_ = s.cmd.Wait() // the state says it
	return stderr, s.cmd.ProcessState
}

// An interrupted sync ends when the change on its way is answered, says what was done, and leaves no task behind that a
// later run would go on with.
func TestInterruptedSync(t *testing.T) {
	t.Parallel()
	s := startSyncing(t, "-o", "json")
	s.interrupt()
	s.release()
	stderr, state := s.wait()
	if state.ExitCode() != exitSignal || !strings.Contains(stderr, "what was done stays") {
		t.Errorf("%s: %s", state, stderr)
	}
	var report syncReport
	if err := json.Unmarshal(s.stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v: %s", err, s.stdout.String())
	}
	if n := s.changes(); n != 3 || !report.Interrupted || len(report.Shards) != 2 {
		t.Errorf("%d changes, interrupted %t, %d parts", n, report.Interrupted, len(report.Shards))
	}
	said := false
	for _, part := range report.Shards {
		said = said || part.Status == ondemand.Waiting && strings.Contains(part.StatusMessage, "made until then: ") && strings.Contains(part.StatusMessage, " left")
	}
	if !said {
		t.Errorf("no part says what was done: %s", s.stdout.String())
	}

	done := exec.Command(s.cmd.Path, "sync", "-c", s.config)
	done.Dir, done.Env = s.dir, environment()
	out, err := done.CombinedOutput()
	if err != nil || strings.Contains(string(out), "superseded") {
		t.Errorf("the next sync: %v: %s", err, out)
	}
	if got := strings.Count(strings.Join(s.grants(), "\n"), "analysts SELECT"); got != 20 {
		t.Errorf("%d tables are granted after the next sync", got)
	}
}

// A second interrupt does not wait.
func TestInterruptedTwice(t *testing.T) {
	t.Parallel()
	s := startSyncing(t)
	s.interrupt()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_, state := s.wait()
	if status, ok := state.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %s", state)
	}
}

// Likewise for one change that is not answered in time: the sync does not wait for ever, and says that it is not known.
func TestInterruptedWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	s := startSyncing(t)
	s.interrupt()
	if _, state := s.wait(); state.ExitCode() != exitSignal || !strings.Contains(s.stdout.String(), "Interrupted: ") {
		t.Errorf("%s: %s", state, s.stdout.String())
	}
}
