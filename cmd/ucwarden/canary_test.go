package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"ucwarden/config"
)

// canaries are secrets of one process, by configuration key. None may be seen in what it prints or answers.
type canaries map[string]string

// newCanaries returns a secret for each key that holds one, of the form that the key wants.
func newCanaries() canaries {
	c := make(canaries)
	for i, k := range config.Keys() {
		if k.Type == config.TypeSecret {
			c[k.Name] = fmt.Sprintf("canary%02d-d41d8cd98f00b204e9800998ecf8427e", i)
			if k.Name == "webhook.secret" {
				c[k.Name] = "whsec_" + base64.StdEncoding.EncodeToString([]byte(c[k.Name]))
			}
		}
	}
	return c
}

// environ sets the keys, but for those that are left out.
func (c canaries) environ(without ...string) []string {
	var list []string
next:
	for _, k := range config.Keys() {
		value, ok := c[k.Name]
		for _, w := range without {
			if k.Name == w {
				continue next
			}
		}
		switch {
		case !ok:
			continue
		case k.Name == "tracing.headers":
			value = "Api-Key=" + value
		case k.Name == "webhook.query":
			value = "v=1&sig=" + value
		case strings.HasSuffix(k.Name, "connection_string"):
			value = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=reader;SharedAccessKey=" + value + ";EntityPath=hub;UseDevelopmentEmulator=true"
		}
		list = append(list, k.Env()+"="+value)
	}
	return list
}

// seen fails for each canary that the text shows, plainly or as it travels.
func (c canaries) seen(t *testing.T, where, text string) {
	t.Helper()
	for key, secret := range c {
		for _, form := range []string{
			secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)),
			base64.StdEncoding.EncodeToString([]byte("reader:" + secret)), base64.StdEncoding.EncodeToString([]byte("a0b1c2d3:" + secret)),
		} {
			if at := strings.Index(text, form); at >= 0 {
				t.Errorf("%s shows the secret %s: ...%s...", where, key, text[max(0, at-200):min(len(text), at+len(form)+50)])
				break
			}
		}
	}
}

// mirror answers as a hostile or careless server does: whatever it is sent it repeats, in errors of every kind, once passing is
// set only of those after which it is asked again.
func mirror(t *testing.T) (address string, passing *atomic.Bool) {
	passing = new(atomic.Bool)
	asked := new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dump, err := httputil.DumpRequest(r, true)
		if err != nil {
			t.Error(err)
		}
		n := asked.Add(1)
		status := []int{400, 401, 403, 404, 409, 418, 429, 500, 502, 503, 302}[n%11]
		if passing.Load() {
			status = []int{429, 500, 502, 503}[n%4]
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "/elsewhere?authorization="+url.QueryEscape(r.Header.Get("Authorization")))
		w.WriteHeader(status)
		switch n % 3 {
		case 0:
			_ = json.NewEncoder(w).Encode(map[string]any{"error_code": "BAD_" + string(dump), "message": string(dump), "error": string(dump), "error_description": string(dump), "msgDesc": string(dump)})
		case 1:
			_, _ = w.Write(dump)
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": 1, "message": string(dump)}, "items": string(dump)})
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, passing
}

// Whatever goes wrong, and whatever servers repeat of what they were sent, no secret is in logs, answers, metrics, the dump of a
// process that is aborted, or the output of commands.
func TestNoSecretIsSeen(t *testing.T) {
	t.Parallel()
	all := newCanaries()
	for name, without := range map[string][]string{
		"token": {"databricks.client_secret", "ondemand.eventhub.entra.client_secret"},
		"oauth": {"databricks.token", "ondemand.eventhub.connection_string", "webhook.query"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			hostile, passing := mirror(t)
			environ := environment(append(all.environ(without...), "UCWARDEN_LOG_LEVEL=debug", "HTTPS_PROXY=http://127.0.0.1:1")...)
			settings := []string{
				"databricks.host=" + hostile, "databricks.max_attempts=2", "databricks.request_timeout=2s", "store.path=" + filepath.Join(dir, "data"),
				"policies.ranger.url=" + hostile, "policies.ranger.service=uc", "policies.ranger.username=reader", "policies.ranger.poll_interval=1s",
				"apiserver.enabled=true", "apiserver.addr=127.0.0.1:0", "ondemand.enabled=true", "sync.on_start=true", "ondemand.eventhub.enabled=true",
				"webhook.url=" + hostile, "webhook.allow_private=true", "tracing.url=" + hostile,
			}
			if name == "oauth" {
				settings = append(settings, "webhook.url="+hostile+"/hook?code="+all["webhook.query"], "databricks.client_id=a0b1c2d3", "ondemand.eventhub.namespace=none.servicebus.windows.net", "ondemand.eventhub.name=hub",
					"ondemand.eventhub.entra.tenant_id=11111111-2222-3333-4444-555555555555", "ondemand.eventhub.entra.client_id=a0b1c2d3")
			}
			var flags []string
			for _, s := range settings {
				flags = append(flags, "--set", s)
			}
			for _, command := range []string{"config show", "config show -o json", "config check", "doctor", "doctor -o json", "plan", "plan -o json", "sync"} {
				cmd := exec.Command("ucwarden", append(strings.Fields(command), flags...)...)
				cmd.Dir, cmd.Env = dir, environ
				out, _ := cmd.CombinedOutput() // most of them fail, as they must
				all.seen(t, command, string(out))
			}
			passing.Store(true)
			daemon, address, err := launchServe(dir, environ, flags...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(daemon.kill)
			secret := all["apiserver.jwt.hs256_secret"]
			for _, path := range []string{"/metrics", "/readyz", "/healthz", "/config", "/openapi.json", "/api/v1/tasks", "/api/v1/tasks?token=" + secret, "/api/v1/tasks/" + secret[:6]} {
				for _, bearer := range []string{secret, "Bearer a.b." + all["databricks.token"]} {
					all.seen(t, path, strings.ReplaceAll(get(t, address+path, bearer), path, "PATH"))
				}
			}
			for _, line := range []string{"waiting for the workspace", "no policies yet", "no policies yet"} { // it goes on trying
				if _, err := daemon.logged(regexp.MustCompile(line)); err != nil {
					t.Fatal(err)
				}
			}
			all.seen(t, "/metrics", get(t, address+"/metrics", ""))
			all.seen(t, "/readyz", get(t, address+"/readyz", ""))
			if err := daemon.cmd.Process.Signal(syscall.SIGABRT); err != nil {
				t.Fatal(err)
			}
			<-daemon.ended
			if !strings.Contains(daemon.logs(), "SIGABRT: abort") {
				t.Error("the process that was aborted shows no stack")
			}
			all.seen(t, "the log", daemon.logs())
		})
	}
}

// get returns status, headers and body of an answer.
func get(t *testing.T, address, authorization string) string {
	t.Helper()
	resp, body := getAnswer(t, address, authorization)
	return fmt.Sprint(resp.Status, resp.Header, string(body))
}

// getAnswer returns an answer and its body.
func getAnswer(t *testing.T, address, authorization string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}
