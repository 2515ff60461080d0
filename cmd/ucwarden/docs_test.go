package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ucwarden/config"
	"ucwarden/connector/emulator"
	"ucwarden/policy/parse"
)

// A page shows commands in blocks of sh, which TestDocumentedCommands runs, page by page in the order in which they stand, and of
// console, of which it runs what follows "$ ". A block after a line <!-- not run: REASON --> is only looked at: its commands of
// ucwarden and make must be there, with their flags.
var (
	fence   = regexp.MustCompile("(?ms)^(<!-- not run: ([^>]+) -->\n+)?```(\\w*)\n(.*?)^```$")
	pages   = []string{"README.md", "docs/api.md", "docs/deployment.md", "docs/operations.md", "docs/limits.md", "docs/peers.md", "docs/pipelines.md", "CONTRIBUTING.md"}
	servers = regexp.MustCompile(`^(ucwarden (?:serve|emulator) [^#]*)`)
)

type docBlock struct{ notRun, language, text string }

func blocksOf(t *testing.T, page string) []docBlock {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	var list []docBlock
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		list = append(list, docBlock{m[2], m[3], m[4]})
	}
	return list
}

// commandsOf returns the command lines of a block.
func (b docBlock) commands() []string {
	switch b.language {
	case "sh":
		return strings.Split(strings.TrimSpace(strings.ReplaceAll(b.text, "\\\n", " ")), "\n")
	case "console":
		var list []string
		for line := range strings.Lines(b.text) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				list = append(list, strings.TrimSpace(command))
			}
		}
		return list
	}
	return nil
}

// Every command that the pages show exists, with its flags, and is shown in a block that says whether it is run.
func TestDocumentedFlags(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		for _, b := range blocksOf(t, page) {
			if b.language == "" && regexp.MustCompile(`(?m)^\$? ?(ucwarden|make|curl|kubectl|helm) `).MatchString(b.text) {
				t.Errorf("%s: a block of commands must be sh or console:\n%s", page, b.text)
			}
			for _, line := range b.commands() {
				for _, command := range regexp.MustCompile(`(?:^|[|(;&] ?|-- /)ucwarden ([a-z][^|&#)>]*)`).FindAllStringSubmatch(line, -1) {
					if err := checkCommand(command[1]); err != nil {
						t.Errorf("%s: %s: %v", page, line, err)
					}
				}
				for _, target := range regexp.MustCompile(`^make ([a-z-]+)`).FindAllStringSubmatch(line, -1) {
					if !regexp.MustCompile(`(?m)^` + target[1] + `:`).Match(makefile) {
						t.Errorf("%s: %s: no such target", page, line)
					}
				}
			}
		}
	}
}

// checkCommand looks for a command and its flags.
func checkCommand(line string) error {
	words := strings.Fields(strings.NewReplacer("'", "", `"`, "").Replace(line))
	command, rest, err := newRootCommand(&app{}).Find(words)
	if err != nil {
		return err
	}
	if command.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && !strings.Contains(rest[0], "|") && rest[0] == strings.ToLower(rest[0]) {
		return fmt.Errorf("%s has no command %s", command.CommandPath(), rest[0])
	}
	return command.ParseFlags(rest)
}

// What the pages show for a plain machine works as it stands, beside a workspace that has what the README's policies name.
func TestDocumentedCommands(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl")
	}
	for _, page := range pages {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			blocks := blocksOf(t, page)
			script := docScript(blocks)
			if script == "" {
				t.Skip("nothing to run")
			}
			w := newDocWorld(t, page)
			ctx, cancel := context.WithTimeout(t.Context(), 2*processTimeout)
			defer cancel()
			command := exec.CommandContext(ctx, bash, "-c", strings.NewReplacer("127.0.0.1:8282", w.api, "127.0.0.1:8283", w.second, "127.0.0.1:5672", w.hub).Replace(script))
			command.Dir, command.Env = w.dir, w.environ
			var out bytes.Buffer
			command.Stdout, command.Stderr = &out, &out
			if err := command.Run(); err != nil {
				t.Errorf("%v\n%s", err, &out)
			}
		})
	}
}

// docScript returns a script that runs blocks: servers in the background, until it ends, and everything else one after another.
func docScript(blocks []docBlock) string {
	var script strings.Builder
	for _, b := range blocks {
		if b.notRun != "" {
			continue
		}
		for _, line := range b.commands() {
			if strings.HasPrefix(line, "UCWARDEN_DATABRICKS_TOKEN=") { // another workspace than the one that the world has a secret of
				line = "env -u UCWARDEN_DATABRICKS_CLIENT_SECRET " + line
			}
			if m := servers.FindStringSubmatch(line); m != nil {
				answers := "http://127.0.0.1:8282/healthz"
				if strings.HasPrefix(line, "ucwarden emulator unitycatalog") {
					m[1] += " --addr 127.0.0.1:8283"
					answers = "http://127.0.0.1:8283/_emulator/stats"
				}
				fmt.Fprintf(&script, "printf '%%s\\n' %q\n%s &\nready %s\n", line, strings.TrimSpace(m[1]), answers)
				continue
			}
			fmt.Fprintln(&script, line)
		}
	}
	if script.Len() == 0 {
		return ""
	}
	return `set -eu -o pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
ready() { # waits until what was just started answers, or ended
	for _ in $(seq 600); do
		if ! kill -0 $! 2>/dev/null; then wait $!; fi
		if curl -sS -o /dev/null "$1" 2>/dev/null; then return; fi
		sleep 0.1
	done
	echo 'not ready' >&2
	return 1
}
set -v
` + script.String()
}

// docWorld is a folder as the pages take it for given, beside a workspace.
type docWorld struct {
	dir, api, second, hub string
	environ               []string
}

func newDocWorld(t *testing.T, page string) docWorld {
	t.Helper()
	const application, secret = "3f9d2c1e-0000-4000-8000-1a2b3c4d5e6f", "the-secret"
	table := func(name string) emulator.SeedTable {
		return emulator.SeedTable{SeedObject: emulator.SeedObject{Name: name}}
	}
	server, err := emulator.New(emulator.Options{
		Seed: &emulator.Seed{
			Pipelines: []emulator.SeedPipeline{{Name: "nightly", Permissions: map[string]string{application: "CAN_RUN"}}},
			Metastore: emulator.SeedMetastore{SeedObject: emulator.SeedObject{Owner: application}},
			Users:     []string{"ann@example.com", "bob@example.com", "intern@example.com", "break-glass@example.com"},
			Groups:    []emulator.SeedGroup{{Name: "analysts", Members: []string{"ann@example.com", "intern@example.com"}}},
			Catalogs: []emulator.SeedCatalog{{SeedObject: emulator.SeedObject{Name: "sales"}, Schemas: []emulator.SeedSchema{
				{SeedObject: emulator.SeedObject{Name: "emea"}, Tables: []emulator.SeedTable{table("orders"), table("returns")}},
				{SeedObject: emulator.SeedObject{Name: "apac"}},
			}}},
		},
		Clients: map[string]string{application: secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	workspace := httptest.NewServer(server)
	t.Cleanup(workspace.Close)
	w := docWorld{dir: t.TempDir(), api: freeAddress(t), second: freeAddress(t), hub: freeAddress(t)}
	readme := blocksOf(t, "README.md")
	write := func(name, text string) {
		path := filepath.Join(w.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ucwarden.yaml", nthBlock(t, readme, "yaml", 0))
	write("policies/sales.json", nthBlock(t, readme, "json", 0))
	vars, err := os.ReadFile("../../tools/chart/testdata/vars.connector.databricks.unity.catalog.yml")
	if err != nil {
		t.Fatal(err)
	}
	write("vars.connector.databricks.unity.catalog.yml", string(vars))
	write("policies/people.json", `{"userGroupMapping": {"ann@example.com": ["analysts"], "intern@example.com": ["analysts"]}}`)
	write("intern.json", nthBlock(t, readme, "json", 1))
	write("suites/intern.json", nthBlock(t, readme, "json", 1))
	write("task.json", `{"type":"RESOURCE_SYNC","requestInfo":{"resources":[{"type":"table","values":{"catalog":"sales","schema":"emea","table":"orders"}}]}}`)
	w.environ = environment("UCWARDEN_DATABRICKS_HOST="+workspace.URL, "UCWARDEN_DATABRICKS_CLIENT_SECRET="+secret, "UCWARDEN_APISERVER_ADDR="+w.api,
		"UCWARDEN_SYNC_JITTER=0s", "HOME="+w.dir)
	if page != "README.md" { // which begins from nothing; the others begin where it ends
		p, _, err := launchServeWithKeys(w)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
	}
	return w
}

// launchServeWithKeys makes keys as the README does, and starts a daemon.
func launchServeWithKeys(w docWorld) (*process, string, error) {
	generate := exec.Command("ucwarden", "keys", "generate", "--instance", "instance1", "--out", "keys")
	generate.Dir, generate.Env = w.dir, w.environ
	if out, err := generate.CombinedOutput(); err != nil {
		return nil, "", fmt.Errorf("%w: %s", err, out)
	}
	return launchServe(w.dir, w.environ, "-c", "ucwarden.yaml")
}

func nthBlock(t *testing.T, blocks []docBlock, language string, n int) string {
	t.Helper()
	for _, b := range blocks {
		if b.language == language {
			if n == 0 {
				return b.text
			}
			n--
		}
	}
	t.Fatalf("the page has too few blocks of %s", language)
	return ""
}

// freeAddress returns an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// The Python of docs/api.md runs against a daemon, and its Go is what the client's example is.
func TestDocumentedClients(t *testing.T) {
	blocks := blocksOf(t, "docs/api.md")
	example, err := os.ReadFile("../../apiserver/client/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if shown := nthBlock(t, blocks, "go", 0); !strings.Contains(strings.ReplaceAll(string(example), "\n\t", "\n"), shown) {
		t.Errorf("the example in apiserver/client is another than docs/api.md shows:\n%s", shown)
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	w := newDocWorld(t, "docs/api.md")
	token, err := os.ReadFile(filepath.Join(w.dir, "keys/instance1/api-server/token"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), python, "-c", nthBlock(t, blocks, "python", 0))
	command.Dir = w.dir
	command.Env = append(w.environ, "UCWARDEN_SERVER=http://"+w.api, "UCWARDEN_TOKEN="+strings.TrimSpace(string(token)))
	if out, err := command.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "SUCCESS") {
		t.Errorf("%v: %s", err, out)
	}
}

// The README's configuration loads without a warning and serves the API, and its policy parses. Its exit codes: see exit_test.go.
func TestReadme(t *testing.T) {
	blocks := blocksOf(t, "README.md")
	file := filepath.Join(t.TempDir(), "ucwarden.yaml")
	if err := os.WriteFile(file, []byte(nthBlock(t, blocks, "yaml", 0)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Options{File: file, Environ: []string{"UCWARDEN_DATABRICKS_CLIENT_SECRET=x"}})
	if err != nil || len(c.Warnings()) > 0 || !c.ServesAPI() {
		t.Errorf("the configuration: %v %v", err, c)
	}
	if _, _, err := parse.Policies([]byte(nthBlock(t, blocks, "json", 0)), "README.md"); err != nil {
		t.Errorf("the policy: %v", err)
	}
}
