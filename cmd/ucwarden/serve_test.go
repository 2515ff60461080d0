package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"ucwarden/connector/emulator"
	"ucwarden/ondemand"
)

// Full syncs come by the schedule.
func TestScheduledSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	daemon, _ := w.serve("--set", "sync.interval=50ms", "--set", "sync.jitter=1ms")
	ended := regexp.MustCompile(`msg="task moved" .*type=FULL_SYNC .*to=SUCCESS`)
	for range 2 {
		if _, err := daemon.logged(ended); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.grants(); !strings.Contains(strings.Join(got, "\n"), "TABLE:c.s.t1 analysts SELECT") {
		t.Errorf("granted is %q", got)
	}
	if err := daemon.signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

// A task that is posted while a full sync is at its first part is carried out before the other parts.
func TestOnDemandOvertakesFullSync(t *testing.T) {
	t.Parallel()
	seed := oneSchema("t1")
	for i := range 5 { // catalogs whose turn comes before that of the table
		seed.Catalogs = append(seed.Catalogs, emulator.SeedCatalog{SeedObject: emulator.SeedObject{Name: fmt.Sprintf("a%d", i)}})
	}
	w := newWorld(t, seed, readTables)
	_, api := w.serve("--set", "ondemand.workers=1")
	began, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.onRequest(func(r *http.Request, serve func()) {
		if strings.Contains(r.URL.Path, "/permissions/") {
			once.Do(func() {
				close(began)
				<-release
			})
		}
		serve()
	})
	full, err := api.Submit(t.Context(), ondemand.Task{Type: ondemand.FullSync})
	if err != nil {
		t.Fatal(err)
	}
	<-began
	urgent, err := api.Submit(t.Context(), tableSync("urgent", "c", "s", "t1"))
	if err != nil {
		t.Fatal(err)
	}
	close(release)
	urgent = w.done(api, urgent.ID, ondemand.Success)
	w.done(api, full.ID, ondemand.Success)
	page, err := api.List(t.Context(), ondemand.Filter{ParentID: full.ID})
	if err != nil {
		t.Fatal(err)
	}
	before := 0
	for _, part := range page.Items {
		if part.StartTime.Before(urgent.StartTime) {
			before++
		}
	}
	if len(page.Items) != 7 || before != 0 {
		t.Errorf("%d of %d parts began before the task, want 0 of 7", before, len(page.Items))
	}
}

// What the API refuses changes nothing and leaves no task; no token gets into the log.
func TestServeRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, oneSchema("t1"), readTables)
	const secret = "a shared secret of more than 32 bytes"
	p, url, err := launchServe(w.dir, environment("UCWARDEN_APISERVER_JWT_HS256_SECRET="+secret), "-c", w.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	sign := func(expires time.Time) string {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"iss": "ucwarden", "aud": "ucwarden", "sub": "somebody", "scope": "tasks:write tasks:read", "exp": expires.Unix(),
		}).SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good, expired := sign(time.Now().Add(time.Hour)), sign(time.Now().Add(-time.Hour))
	const body = `{"type": "RESOURCE_SYNC", "requestInfo": {"resources": [{"type": "table", "values": {"catalog": "c", "schema": "s", "table": "t1"}}]}}`
	for name, test := range map[string]struct {
		token, contentType, body string
		status                   int
	}{
		"expired token": {expired, "application/json", body, http.StatusUnauthorized},
		"huge body":     {good, "application/json", `{"type": "` + strings.Repeat("x", 2<<20) + `"}`, http.StatusRequestEntityTooLarge},
		"not JSON":      {good, "application/json", `{"type": `, http.StatusBadRequest},
		"no resources":  {good, "application/json", `{"type": "RESOURCE_SYNC"}`, http.StatusBadRequest},
		"other content": {good, "text/plain", body, http.StatusUnsupportedMediaType},
		"listing works": {good, "", "", http.StatusOK},
	} {
		method := http.MethodPost
		if test.body == "" {
			method = http.MethodGet
		}
		req, err := http.NewRequestWithContext(t.Context(), method, url+"/api/v1/tasks", strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+test.token)
		req.Header.Set("Content-Type", test.contentType)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		answer, err := io.ReadAll(resp.Body)
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if err != nil || resp.StatusCode != test.status {
			t.Errorf("%s: status %d, want %d: %s %v", name, resp.StatusCode, test.status, answer, err)
		}
		if want := "application/problem+json"; test.status >= 400 && resp.Header.Get("Content-Type") != want {
			t.Errorf("%s: the answer is %s, want %s", name, resp.Header.Get("Content-Type"), want)
		}
		if test.status == http.StatusOK && !strings.Contains(string(answer), `"items":[]`) {
			t.Errorf("there is a task: %s", answer)
		}
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	for _, secret := range []string{secret, good, expired, ourToken} {
		if strings.Contains(p.logs(), secret) {
			t.Errorf("a secret is in the log:\n%s", p.logs())
		}
	}
	for _, e := range w.emulator.Trace() {
		if e.Method == http.MethodPatch {
			t.Errorf("%s %s", e.Method, e.Path)
		}
	}
}

// saboteur is a standard output that, when a text passes, makes the workspace named in it fail.
type saboteur struct {
	bytes.Buffer
	at    string
	fault string
	err   error
}

func (s *saboteur) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	if s.at != "" && strings.Contains(s.String(), s.at) {
		s.at = ""
		var resp *http.Response
		url := regexp.MustCompile(`serves on (\S+)`).FindStringSubmatch(s.String())[1]
		if resp, s.err = http.Post(url+"/_emulator/faults", "application/json", strings.NewReader(s.fault)); s.err == nil {
			s.err = resp.Body.Close()
		}
	}
	return n, err
}

// A step of the demo that fails fails the demo.
func TestDemoFails(t *testing.T) {
	for step, test := range map[string]struct{ fault, want string }{
		"3. The full sync":   {`{"method": "PATCH", "securable": "table:sales.*", "status": 403}`, "ucwarden: demo: task .* ended FAILED: .*\n"},
		"5. A table":         {`{"method": "POST", "status": 403}`, "ucwarden: demo: create table: 403 .*\n"},
		"7. A pipeline":      {`{"method": "POST", "path": "/api/2.0/pipelines/*", "status": 403}`, "ucwarden: demo: task .* ended FAILED: .*\n"},
		"8. A second full":   {`{"method": "GET", "path": "*/permissions/*", "stale_versions": 10}`, "ucwarden: demo: .*\n"},
		"2. The plan: what ": {`{"method": "GET", "path": "*/catalogs", "status": 403}`, "ucwarden: demo: .*\n"},
	} {
		t.Run(step, func(t *testing.T) {
			stdout, stderr := &saboteur{at: step, fault: test.fault}, &bytes.Buffer{}
			code := run([]string{"demo", "--exit"}, os.Environ(), strings.NewReader(""), stdout, stderr)
			if stdout.err != nil {
				t.Fatal(stdout.err)
			}
			if lines := strings.Split(stderr.String(), "\n"); code != exitFailed || !regexp.MustCompile("(^|\n)"+test.want+"(hint: .*\n)?$").MatchString(stderr.String()) {
				t.Errorf("exit code %d, want %d; last said is %q", code, exitFailed, lines[max(0, len(lines)-3):])
			}
		})
	}
}
