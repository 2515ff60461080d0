package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ucwarden/apiserver/client"
	"ucwarden/ondemand"
	"ucwarden/policy/ranger"
	"ucwarden/policy/source/rangertest"
)

// served is a daemon that serves its API at a URL.
type served struct {
	*process
	*client.Client
	url string
}

func (w *world) serveAt(args ...string) served {
	w.Helper()
	p, url, err := launchServe(w.dir, environment(), append([]string{"-c", w.config}, args...)...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(p.kill)
	return served{p, w.api(url), url}
}

// readiness returns what /readyz answers.
func (s served) readiness(t *testing.T) (status int, body string) {
	t.Helper()
	resp, err := http.Get(s.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// acceptedWhileMissing submits a task to a daemon that is not ready, because of what the named check finds.
func (s served) acceptedWhileMissing(t *testing.T, check string) ondemand.Task {
	t.Helper()
	if status, body := s.readiness(t); status != http.StatusServiceUnavailable || !strings.Contains(body, "/checks/"+check) {
		t.Errorf("/readyz answers %d %s", status, body)
	}
	task, err := s.Submit(t.Context(), tableSync("", "c", "s", "t1"))
	if err != nil {
		t.Fatal(err)
	}
	if task.Status.Terminal() {
		t.Errorf("the task ended %s", task.Status)
	}
	return task
}

// A daemon takes tasks while its workspace is down at the start, and carries them out when it is there. Credentials that
// are rejected after the wait may be good later.
func TestServeWaitsForTheWorkspace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	w.onRequest(func(*http.Request, func()) { panic(http.ErrAbortHandler) })
	s := w.serveAt()
	if _, err := s.logged(regexp.MustCompile(`level=WARN.*waiting for the workspace`)); err != nil {
		t.Fatal(err)
	}
	text := string(bodyOf(t, s.url+"/metrics", ""))
	for _, name := range []string{
		`ucwarden_syncs_total{result="done"} 0`, `ucwarden_syncs_total{result="error"} `, `ucwarden_drift_grants_found_total{kind="excess"} 0`, "ucwarden_grants_added_total 0",
	} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("no metric %s before the workspace was reached", name)
		}
	}
	task := s.acceptedWhileMissing(t, "workspace")
	until(t, "a sync that cannot begin counts as failed", func() bool {
		return strings.Contains(string(bodyOf(t, s.url+"/metrics", "")), "\n"+`ucwarden_syncs_total{result="error"} 1`)
	})
	w.onRequest(func(r *http.Request, serve func()) {
		r.Header.Set("Authorization", "Bearer unknown")
		serve()
	})
	if _, err := s.logged(regexp.MustCompile(`waiting for the workspace.*rejects the credentials`)); err != nil {
		t.Fatal(err)
	}
	w.onRequest(nil)
	w.done(s.Client, task.ID, ondemand.Success)
	if status, body := s.readiness(t); status != http.StatusOK {
		t.Errorf("/readyz answers %d %s", status, body)
	}
	if err := s.signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

// Likewise while the policy source is down. A daemon that waits can be stopped.
func TestServeWaitsForThePolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	admin := rangertest.New("unity")
	admin.SetPolicies(readingTables(1, "t*"))
	admin.SetFault(rangertest.Policies, rangertest.Fault{Status: http.StatusServiceUnavailable})
	server := httptest.NewServer(admin)
	t.Cleanup(server.Close)
	for _, comesBack := range []bool{false, true} {
		s := w.serveAt("--set", "policies.path=", "--set", "policies.ranger.url="+server.URL, "--set", "policies.ranger.service=unity")
		if _, err := s.logged(regexp.MustCompile(`level=WARN.*waiting for the policies`)); err != nil {
			t.Fatal(err)
		}
		task := s.acceptedWhileMissing(t, "policies")
		if comesBack {
			admin.SetFault(rangertest.Policies, rangertest.Fault{})
			w.done(s.Client, task.ID, ondemand.Success)
			if status, body := s.readiness(t); status != http.StatusOK {
				t.Errorf("/readyz answers %d %s", status, body)
			}
		}
		if err := s.signal(syscall.SIGTERM); err != nil {
			t.Errorf("stopped: %v", err)
		}
	}
	if got := strings.Join(w.grants(), "\n"); !strings.Contains(got, "TABLE:c.s.t1 analysts SELECT") {
		t.Errorf("granted is %q", got)
	}
}

// Likewise while policy files are missing, broken, or say nothing: they are taken when they are there.
func TestServeWaitsForPolicyFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	folder := filepath.Join(w.dir, "later")
	s := w.serveAt("--set", "policies.path="+folder)
	task := s.acceptedWhileMissing(t, "policies")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ text, logged string }{
		{"{", `no policies yet.*not valid JSON`},
		{"[]", `no policies yet.*no enabled policy`},
	} {
		w.write("later/p.json", step.text)
		if _, err := s.logged(regexp.MustCompile(step.logged)); err != nil {
			t.Fatal(err)
		}
		if status, body := s.readiness(t); status != http.StatusServiceUnavailable || !strings.Contains(body, "/checks/policies") {
			t.Errorf("with %q /readyz answers %d %s", step.text, status, body)
		}
	}
	w.write("later/p.yaml", readTables)
	w.done(s.Client, task.ID, ondemand.Success)
	if got := strings.Join(w.grants(), "\n"); !strings.Contains(got, "TABLE:c.s.t1 analysts SELECT") {
		t.Errorf("granted is %q", got)
	}
	if err := s.signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

// readingTables is a policy by which analysts read tables of the schema c.s.
func readingTables(id int64, pattern string) ranger.Policy {
	return ranger.Policy{ID: id, Name: fmt.Sprintf("analysts read %d", id), Resources: map[string]ranger.PolicyResource{
		"catalog": {Values: []string{"c"}}, "schema": {Values: []string{"s"}}, "table": {Values: []string{pattern}},
	}, PolicyItems: []ranger.PolicyItem{{Groups: []string{"analysts"}, Accesses: []ranger.ItemAccess{{Type: "select"}}}}}
}

// A task that is posted right after a change of the policies carries out that change, however seldom they are read
// otherwise, and says which version that was. While their source is down it says that, too.
func TestTaskEnforcesTheNewestPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1", "t2"), readTables)
	admin := rangertest.New("unity")
	version := admin.SetPolicies(readingTables(1, "t1"))
	server := httptest.NewServer(admin)
	t.Cleanup(server.Close)
	s := w.serveAt("--set", "policies.path=", "--set", "policies.ranger.url="+server.URL, "--set", "policies.ranger.service=unity",
		"--set", "policies.ranger.poll_interval=1h")
	sync := func(id string) ondemand.Task {
		if _, err := s.Submit(t.Context(), tableSync(id, "c", "s", "t2")); err != nil {
			t.Fatal(err)
		}
		return w.done(s.Client, id, ondemand.Success)
	}
	if task := sync("before"); task.PolicyVersion != version || strings.Contains(strings.Join(w.grants(), "\n"), "TABLE:c.s.t2 analysts SELECT") {
		t.Errorf("policies of version %d: %q", task.PolicyVersion, w.grants())
	}
	version = admin.SetPolicies(readingTables(1, "t1"), readingTables(2, "t2"))
	if task := sync("after"); task.PolicyVersion != version || !strings.Contains(strings.Join(w.grants(), "\n"), "TABLE:c.s.t2 analysts SELECT") {
		t.Errorf("policies of version %d, want %d: %q", task.PolicyVersion, version, w.grants())
	}
	admin.SetFault(rangertest.Policies, rangertest.Fault{Status: http.StatusServiceUnavailable})
	if task := sync("down"); task.PolicyVersion != version || !strings.Contains(task.StatusMessage, "could not be asked for news") {
		t.Errorf("policies of version %d: %q", task.PolicyVersion, task.StatusMessage)
	}
}

// What says that the configuration is wrong ends the start, although the API is served already.
func TestServeRefusesToStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	admin := httptest.NewServer(rangertest.New("unity"))
	t.Cleanup(admin.Close)
	for name, test := range map[string]struct {
		environ string
		sets    []string
		want    string
	}{
		"token":   {"UCWARDEN_DATABRICKS_TOKEN=other", nil, "rejects the credentials"},
		"host":    {"", []string{"databricks.host=ftp://nowhere"}, "databricks.host"},
		"service": {"", []string{"policies.path=", "policies.ranger.url=" + admin.URL, "policies.ranger.service=other"}, "other"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"serve", "-c", w.config}
			for _, set := range test.sets {
				args = append(args, "--set", set)
			}
			p, err := launch(w.dir, environment(test.environ), args...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.kill)
			ctx, cancel := context.WithTimeout(t.Context(), processTimeout)
			defer cancel()
			select {
			case <-p.ended:
			case <-ctx.Done():
				t.Fatal("it did not end")
			}
			if last := p.logs(); p.state == nil || !strings.Contains(last, test.want) {
				t.Errorf("ended with %v: %s", p.state, last)
			}
		})
	}
}

// Syncs that are due and cannot begin count as failed for as long as that is, now and then; not where none is due, and not while all goes well.
func TestSyncsHeldUpCount(t *testing.T) {
	for _, test := range []struct {
		name                    string
		workspace, policies     bool // fail
		dueAfter, begins, watch time.Duration
		want                    int
	}{
		{"all goes well", false, false, 0, time.Hour, time.Hour, 0},
		{"the workspace does not answer", true, false, 0, 2 * time.Hour, time.Hour, 12},
		{"there are no policies", false, true, 0, 2 * time.Hour, time.Hour, 12},
		{"nothing is due before half an hour", true, false, 30 * time.Minute, 2 * time.Hour, time.Hour, 6},
		{"it answers after six minutes", true, false, 0, 6 * time.Minute, time.Hour, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStartup()
				if test.workspace {
					s.noteWorkspace(errors.New("connection refused"))
				}
				count := 0
				ctx, cancel := context.WithTimeout(t.Context(), test.watch)
				defer cancel()
				done := make(chan struct{})
				go func() {
					defer close(done)
					s.countHeldUp(ctx, func() error {
						if test.policies {
							return errors.New("no such file")
						}
						return nil
					}, func(waited time.Duration) bool { return waited >= test.dueAfter }, func() { count++ })
				}()
				time.Sleep(test.begins)
				close(s.begun)
				<-done
				if count < test.want-1 || count > test.want+1 || (count == 0) != (test.want == 0) {
					t.Errorf("counted %d, want about %d", count, test.want)
				}
			})
		})
	}
}
