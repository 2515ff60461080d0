package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptCommands are what scripts have beside those of testscript.
var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){
	"code":     code,
	"emulator": emulatorScript,
	"hub":      hubScript,
	"crash":    crashScript,
	"serve":    serveScript,
	"logged":   loggedScript,
	"halt":     haltScript,
	"hangup":   hangupScript,
	"call":     callScript,
	"mask":     maskScript,
	"shown":    shownScript,
}

// code checks the exit code of a program: code 64 ucwarden version extra.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program arguments...")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = strconv.Itoa(exit.ExitCode())
	}
	if got != args[0] {
		ts.Fatalf("exit code is %s, want %s: %q", got, args[0], args[1:])
	}
}

// scriptState is what a script has running.
type scriptState struct{ daemon, hub *process }

func stateOf(ts *testscript.TestScript) *scriptState { return ts.Value(scriptState{}).(*scriptState) }

// scriptEnviron is the environment for a process that a script keeps running.
func scriptEnviron(ts *testscript.TestScript) []string {
	var list []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TZ", "GORACE", "UCWARDEN_DATABRICKS_HOST", "UCWARDEN_DATABRICKS_TOKEN", "UCWARDEN_ONDEMAND_EVENTHUB_CONNECTION_STRING"} {
		if value := ts.Getenv(name); value != "" {
			list = append(list, name+"="+value)
		}
	}
	return list
}

// emulatorScript runs a Unity Catalog until the script ends, and sets what leads there: emulator --seed FILE.
func emulatorScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("emulator cannot fail")
	}
	p, err := launch(ts.MkAbs("."), scriptEnviron(ts),
		append([]string{"emulator", "unitycatalog", "--addr", "127.0.0.1:0", "-o", "json", "--token", "workspace-secret"}, args...)...)
	ts.Check(err)
	ts.Defer(p.kill)
	var started struct{ URL string }
	if err := json.NewDecoder(p.stdout).Decode(&started); err != nil {
		ts.Fatalf("the emulator did not start: %v\n%s", err, p.logs())
	}
	ts.Setenv("WORKSPACE", started.URL)
	ts.Setenv("UCWARDEN_DATABRICKS_HOST", started.URL)
	ts.Setenv("UCWARDEN_DATABRICKS_TOKEN", "workspace-secret")
}

// hubScript runs an event hub until the script ends, or another one begins, and sets what leads there: hub ARGUMENTS.
func hubScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("hub cannot fail")
	}
	p, err := launch(ts.MkAbs("."), scriptEnviron(ts), append([]string{"emulator", "eventhub"}, args...)...)
	ts.Check(err)
	ts.Defer(p.kill)
	if before := stateOf(ts).hub; before != nil {
		before.kill()
	}
	stateOf(ts).hub = p
	line, err := bufio.NewReader(p.stdout).ReadString('\n')
	if err != nil {
		ts.Fatalf("the event hub did not start: %v\n%s", err, p.logs())
	}
	ts.Setenv("HUB", strings.TrimSpace(line))
	ts.Setenv("UCWARDEN_ONDEMAND_EVENTHUB_CONNECTION_STRING", strings.TrimSpace(line))
}

// crashScript ends a child process as a crash would: crash serve, or crash hub.
func crashScript(ts *testscript.TestScript, neg bool, args []string) {
	state := stateOf(ts)
	switch {
	case !neg && len(args) == 1 && args[0] == "serve" && state.daemon != nil:
		state.daemon.kill()
		state.daemon = nil
	case !neg && len(args) == 1 && args[0] == "hub" && state.hub != nil:
		state.hub.kill()
		state.hub = nil
	default:
		ts.Fatalf("usage: crash serve|hub")
	}
}

// serveScript runs the daemon until stop or the script's end, and sets what leads to its API: serve ARGUMENTS.
func serveScript(ts *testscript.TestScript, neg bool, args []string) {
	state := stateOf(ts)
	if neg || state.daemon != nil {
		ts.Fatalf("serve: one at a time, and it must not fail; for a failure use: ! exec ucwarden serve")
	}
	p, url, err := launchServe(ts.MkAbs("."), scriptEnviron(ts), args...)
	ts.Check(err)
	state.daemon = p
	ts.Defer(p.kill)
	ts.Setenv("UCWARDEN_SERVER", url)
}

// loggedScript waits until the daemon has logged a line: logged PATTERN. After stop, ! logged PATTERN checks that no
// such line is in its whole log.
func loggedScript(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: logged PATTERN")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	daemon := stateOf(ts).daemon
	if neg {
		for line := range strings.Lines(daemon.logs()) {
			if pattern.MatchString(line) {
				ts.Fatalf("logged: %s", line)
			}
		}
		return
	}
	_, err = daemon.logged(pattern)
	ts.Check(err)
}

// haltScript asks the daemon to end, which it must do in good order. Its log goes to serve.log. (stop is testscript's own
// command, which ends the script and lets it pass.)
func haltScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: halt")
	}
	daemon := stateOf(ts).daemon
	err := daemon.signal(syscall.SIGTERM)
	ts.Check(os.WriteFile(ts.MkAbs("serve.log"), []byte(daemon.logs()), 0o600))
	if err != nil {
		ts.Fatalf("serve ended badly: %v\n%s", err, daemon.logs())
	}
	stateOf(ts).daemon = nil
}

// hangupScript asks the daemon to read policies and keys again.
func hangupScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: hangup")
	}
	ts.Check(stateOf(ts).daemon.cmd.Process.Signal(syscall.SIGHUP))
}

// callScript makes a request and puts status and answer on stdout: call [-token TOKEN] METHOD URL [BODY-FILE]. Without
// -token, calls to the daemon carry the token in UCWARDEN_TOKEN_FILE and those to the workspace its own.
func callScript(ts *testscript.TestScript, neg bool, args []string) {
	token, given := "", false
	if len(args) > 1 && args[0] == "-token" {
		token, given, args = args[1], true, args[2:]
	}
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: call [-token TOKEN] METHOD URL [BODY-FILE]")
	}
	var body io.Reader
	if len(args) == 3 {
		body = strings.NewReader(ts.ReadFile(args[2]))
	}
	req, err := http.NewRequest(args[0], args[1], body)
	ts.Check(err)
	switch server := ts.Getenv("UCWARDEN_SERVER"); {
	case given:
	case server != "" && strings.HasPrefix(args[1], server+"/api/"):
		token = strings.TrimSpace(ts.ReadFile(ts.Getenv("UCWARDEN_TOKEN_FILE")))
	case strings.HasPrefix(args[1], ts.Getenv("WORKSPACE")+"/api/"):
		token = ts.Getenv("UCWARDEN_DATABRICKS_TOKEN")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	answer, err := io.ReadAll(resp.Body)
	ts.Check(errors.Join(err, resp.Body.Close()))
	fmt.Fprintf(ts.Stdout(), "%s\n%s\n", resp.Status, bytes.TrimSpace(answer))
}

// maskScript replaces what varies in a file, so that it can be compared: mask PATTERN REPLACEMENT FILE.
func maskScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: mask PATTERN REPLACEMENT FILE")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	text := ts.ReadFile(args[2])
	if !pattern.MatchString(text) {
		ts.Fatalf("nothing in %s matches %s", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(pattern.ReplaceAllString(text, args[1])), 0o600))
}

// shownScript checks that what the last command printed holds the text FORGED, which others chose, and nothing that does something to
// a terminal: no character of control or format but line breaks and tabs, and no line that begins with that text.
func shownScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: shown")
	}
	text := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	if !strings.Contains(text, "FORGED") {
		ts.Fatalf("the text FORGED is not in the output")
	}
	if !utf8.ValidString(text) {
		ts.Fatalf("the output is no UTF-8: %q", text)
	}
	for i, r := range text {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			ts.Fatalf("the output has %U: %q", r, text[max(i-40, 0):min(i+40, len(text))])
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimLeft(line, " \t"), "FORGED") {
			ts.Fatalf("a text of others begins a line: %q", line)
		}
	}
}
