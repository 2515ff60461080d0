package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "ucwarden"

// arrows says which packages of ours a package may import, as the table in ARCHITECTURE.md does. A package that is not
// listed must be added on purpose, in both.
var arrows = map[string][]string{
	"atomicfile":                         {},
	"endpoint":                           {},
	"group":                              {},
	"input":                              {"jsontext"},
	"policy":                             {"input", "policy/naming"},
	"policy/naming":                      {},
	"jsontext":                           {},
	"policy/ranger":                      {"input", "policy"},
	"policy/parse":                       {"input", "jsontext", "policy", "policy/ranger"},
	"policy/delta":                       {"policy", "policy/ranger"},
	"policy/schedule":                    {"input", "policy/ranger"},
	"policy/match":                       {"policy/naming", "policy/ranger", "policy/schedule"},
	"policy/condition":                   {"policy/match", "policy/naming", "policy/ranger", "policy/schedule"},
	"policy/rules":                       {"policy", "policy/condition", "policy/match", "policy/naming", "policy/ranger", "policy/schedule"},
	"policy/verify":                      {"input", "policy", "policy/ranger", "policy/rules", "policy/schedule"},
	"policy/evaluate":                    {"policy/condition", "policy/match", "policy/naming", "policy/ranger", "policy/rules"},
	"policy/directory":                   {"input", "policy"},
	"policy/region":                      {"policy", "policy/match", "policy/naming", "policy/rules"},
	"policy/guard":                       {"policy"},
	"policy/accepted":                    {"input", "policy", "policy/match", "policy/naming", "policy/ranger", "policy/rules"},
	"policy/judge":                       {"policy", "policy/ranger", "policy/rules"},
	"policy/grantrules":                  {"policy", "policy/accepted", "policy/judge", "policy/match", "policy/ranger", "policy/region", "policy/rules"},
	"policy/subjects":                    {"policy", "policy/accepted", "policy/directory", "policy/judge", "policy/rules"},
	"policy/compile":                     {"policy", "policy/directory", "policy/grantrules", "policy/judge", "policy/ranger", "policy/region", "policy/rules", "policy/subjects"},
	"policy/order":                       {"policy"},
	"policy/sqlexpr":                     {"policy"},
	"policy/attach":                      {"policy", "policy/sqlexpr"},
	"policy/protect":                     {"policy", "policy/attach", "policy/judge", "policy/match", "policy/naming", "policy/ranger", "policy/rules", "policy/sqlexpr"},
	"policy/explain":                     {"policy", "policy/attach", "policy/compile", "policy/condition", "policy/evaluate", "policy/match", "policy/protect", "policy/ranger", "policy/rules"},
	"policy/lint":                        {"policy", "policy/accepted", "policy/compile", "policy/condition", "policy/explain", "policy/match", "policy/naming", "policy/ranger", "policy/region", "policy/rules", "policy/schedule", "policy/sqlexpr", "policy/verify"},
	"policy/suite":                       {"policy", "policy/compile", "policy/delta", "policy/evaluate", "policy/match", "policy/parse", "policy/protect", "policy/ranger", "policy/rules"},
	"policy/script":                      {"policy/match", "policy/schedule"},
	"policy/policytest":                  {"policy", "policy/match", "policy/parse", "policy/ranger", "policy/rules"},
	"policy/policytest/shareddata":       {},
	"policy/source":                      {"atomicfile", "policy", "policy/parse", "policy/ranger", "policy/source/content", "policy/source/rangeradmin"},
	"policy/source/content":              {"input", "policy", "policy/parse", "policy/ranger", "policy/source/yamljson", "policy/verify"},
	"policy/source/rangeradmin":          {"endpoint", "policy", "policy/delta", "policy/parse", "policy/ranger"},
	"policy/source/yamljson":             {},
	"policy/source/rangertest":           {"policy/delta", "policy/ranger"},
	"connector":                          {"connector/apply", "connector/call", "connector/coordinate", "connector/drift", "connector/expansion", "connector/identity", "connector/load", "connector/memory", "connector/named", "connector/protection", "connector/success", "connector/unread", "connector/written", "group", "policy", "policy/compile", "policy/directory", "policy/guard", "policy/judge", "policy/order", "policy/protect", "policy/ranger", "policy/rules", "span"},
	"connector/apply":                    {"connector/call", "connector/coordinate", "connector/expansion", "connector/identity", "connector/written", "group", "policy", "policy/compile", "policy/order"},
	"connector/call":                     {"policy"},
	"connector/written":                  {"connector/load", "policy"},
	"connector/memory":                   {"atomicfile", "policy"},
	"connector/protection":               {"connector/load", "connector/memory", "group", "policy", "policy/attach", "policy/judge", "policy/protect"},
	"connector/drift":                    {"policy"},
	"connector/success":                  {"connector/memory", "policy"},
	"connector/warehousetest":            {"connector/protection", "policy"},
	"connector/identity":                 {"connector/memory", "policy", "policy/directory"},
	"connector/expansion":                {"connector/memory", "policy"},
	"connector/load":                     {"connector/memory", "group", "policy"},
	"connector/coordinate":               {"policy", "policy/compile"},
	"connector/unread":                   {"connector/load", "policy", "policy/compile"},
	"connector/named":                    {"connector/load", "input", "policy", "policy/compile", "policy/directory", "policy/naming", "policy/ranger", "policy/rules"},
	"connector/audit":                    {"atomicfile", "connector/apply", "policy"},
	"connector/doctor":                   {},
	"connector/invariants":               {},
	"connector/tasks":                    {"connector", "connector/apply", "connector/call", "connector/drift", "connector/load", "connector/protection", "group", "ondemand", "policy", "span"},
	"connector/pipelines":                {"ondemand", "policy"},
	"connector/unitycatalog/pipelineapi": {"connector/pipelines", "connector/unitycatalog", "policy"},
	"connector/unitycatalog/pace":        {},
	"connector/unitycatalog":             {"connector", "connector/apply", "connector/call", "connector/doctor", "connector/identity", "connector/protection", "connector/unitycatalog/pace", "endpoint", "group", "policy", "policy/directory", "policy/naming", "span"},
	"connector/emulator":                 {"connector/emulator/statement"},
	"connector/emulator/statement":       {},
	"connector/emulator/conformance":     {},
	"ondemand":                           {"input", "jsontext", "policy", "policy/naming"},
	"ondemand/queue":                     {"group", "input", "ondemand", "ondemand/records", "ondemand/store", "policy", "span"},
	"ondemand/records":                   {"ondemand", "ondemand/store", "policy"},
	"ondemand/store":                     {"atomicfile", "policy"},
	"ondemand/eventhub":                  {"ondemand", "ondemand/queue", "policy", "policy/naming", "span"},
	"ondemand/eventhub/emulator":         {},
	"apiserver":                          {"apiserver/document", "apiserver/keys", "endpoint", "input", "jsontext", "ondemand", "ondemand/store", "policy", "span"},
	"apiserver/client":                   {"endpoint", "ondemand", "ondemand/store"},
	"apiserver/document":                 {"input", "jsontext"},
	"apiserver/keys":                     {"atomicfile", "endpoint", "input", "policy", "policy/naming"},
	"span":                               {"policy"},
	"tracing":                            {"endpoint", "policy", "span"},
	"webhook":                            {"endpoint", "ondemand/store", "policy"},
	"config":                             {"endpoint", "input"},
	"examples":                           {},
	"cmd/ucwarden":                       {"*"},
}

// planned are packages of arrows that are not written yet.
var planned = []string{}

// daemonPath are the packages that change grants or serve those that ask for it. They reach none of the packages in
// questions, at any depth: those answer what people ask of policies, scripts among them, and decide no grant.
var (
	daemonPath = []string{"apiserver", "connector", "connector/audit", "connector/pipelines", "connector/tasks", "connector/unitycatalog", "ondemand", "ondemand/eventhub", "ondemand/queue", "ondemand/store", "policy/compile", "policy/source"}
	questions  = []string{"policy/evaluate", "policy/explain", "policy/lint", "policy/script", "policy/suite"}
)

// mayUseLibraries are the packages under policy that do I/O or run scripts; the others, and policy itself, use the
// standard library only, and what [owners] lets them import by name.
var mayUseLibraries = []string{"policy/policytest", "policy/script", "policy/source", "policy/source/content", "policy/source/rangertest", "policy/source/yamljson"}

// owners says who alone may import a library, tests included.
var owners = map[string][]string{
	"github.com/databricks/databricks-sdk-go":                     {"connector/unitycatalog", "connector/emulator/conformance"},
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs": {"ondemand/eventhub", "ondemand/eventhub/emulator"},
	"github.com/spf13/viper":                                      {"config"},
	"github.com/spf13/cobra":                                      {"cmd/ucwarden"},
	"github.com/labstack/echo":                                    {"apiserver"},
	"go.opentelemetry.io/otel/sdk":                                {"cmd/ucwarden", "span", "tracing"},
	"go.opentelemetry.io/otel/exporters":                          {"tracing"},
	"go.etcd.io/bbolt":                                            {"ondemand/store"},
	"github.com/dop251/goja":                                      {"policy/script"},
	"golang.org/x/text/unicode/norm":                              {"policy/naming"},
	module + "/config":                                            {"cmd/ucwarden", "config"},
}

// hollow are package names that say nothing about what is inside.
var hollow = []string{"util", "utils", "common", "types", "models", "model", "helpers", "misc", "pkg", "shared"}

// pkg is what go list says about a package.
type pkg struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// violations lists what breaks the rules above.
func violations(packages []pkg) []string {
	var found []string
	bad := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for _, p := range packages {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if slices.Contains(hollow, path.Base(name)) {
			bad("%s: the name says nothing: name a package for what is in it", name)
		}
		allowed, known := arrows[name]
		if !known {
			bad("%s: a new package: say in arrows what it may import", name)
		}
		for _, imported := range p.Imports {
			ours, isOurs := strings.CutPrefix(imported, module+"/")
			switch {
			case isOurs && known && !slices.Contains(allowed, ours) && !slices.Contains(allowed, "*"):
				bad("%s imports %s: arrows point one way", name, ours)
			case !isOurs && pure(name) && strings.Contains(strings.Split(imported, "/")[0], ".") && !slices.Contains(owners[imported], name):
				bad("%s imports %s: it uses the standard library only", name, imported)
			}
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			for library, may := range owners {
				if (imported == library || strings.HasPrefix(imported, library+"/")) && !slices.Contains(may, name) {
					bad("%s imports %s: only %s may", name, imported, strings.Join(may, " and "))
				}
			}
		}
	}
	for _, from := range daemonPath {
		for _, chain := range chainsTo(packages, from, questions) {
			bad("%s: the daemon's path leads to what only people's questions need", strings.Join(chain, " → "))
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// pure reports whether a package may use the standard library only.
func pure(name string) bool {
	return (name == "policy" || strings.HasPrefix(name, "policy/")) && !slices.Contains(mayUseLibraries, name)
}

// chainsTo returns, for each of the packages in to that from imports at any depth, one chain of imports that leads there.
func chainsTo(packages []pkg, from string, to []string) [][]string {
	imports := make(map[string][]string)
	for _, p := range packages {
		for _, imported := range p.Imports {
			if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
				name := strings.TrimPrefix(p.ImportPath, module+"/")
				imports[name] = append(imports[name], ours)
			}
		}
	}
	var chains [][]string
	seen := map[string]bool{from: true}
	for queue := [][]string{{from}}; len(queue) > 0; queue = queue[1:] {
		chain := queue[0]
		for _, next := range imports[chain[len(chain)-1]] {
			if seen[next] {
				continue
			}
			seen[next] = true
			longer := append(slices.Clone(chain), next)
			if slices.Contains(to, next) {
				chains = append(chains, longer)
			}
			queue = append(queue, longer)
		}
	}
	return chains
}

func TestArrows(t *testing.T) {
	packages := listPackages(t)
	for _, v := range violations(packages) {
		t.Error(v)
	}
	exists := make(map[string]bool)
	for _, p := range packages {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		exists[name] = true
		for _, allowed := range arrows[name] {
			if allowed != "*" && !slices.Contains(p.Imports, module+"/"+allowed) {
				t.Errorf("%s does not import %s: take the arrow out", name, allowed)
			}
		}
	}
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(arrows)), daemonPath, questions, mayUseLibraries) {
		if !exists[name] && !slices.Contains(planned, name) {
			t.Errorf("the rules name package %s, which does not exist", name)
		}
	}
	for _, name := range planned {
		if exists[name] {
			t.Errorf("package %s is written: take it out of planned", name)
		}
	}
}

// The table of allowed imports in ARCHITECTURE.md says what arrows says.
func TestArrowsInArchitecture(t *testing.T) {
	data, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(data), "\n| package | may import |")
	if !found {
		t.Fatal("no table that begins with | package | may import |")
	}
	quoted := regexp.MustCompile("`([^`]*)`")
	listed := make(map[string][]string)
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			break
		}
		var allowed []string
		for _, m := range quoted.FindAllStringSubmatch(cells[2], -1) {
			allowed = append(allowed, m[1])
		}
		if strings.TrimSpace(cells[2]) == "every package" {
			allowed = []string{"*"}
		}
		name := quoted.FindStringSubmatch(cells[1])
		if name == nil {
			t.Fatalf("no package name in %q", line)
		}
		listed[name[1]] = allowed
	}
	for _, name := range slices.Sorted(maps.Keys(arrows)) {
		got, ok := listed[name]
		if want := slices.Sorted(slices.Values(arrows[name])); !ok || !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Errorf("%s may import %q; the table in ARCHITECTURE.md has %q", name, want, got)
		}
	}
	for name := range listed {
		if _, ok := arrows[name]; !ok {
			t.Errorf("ARCHITECTURE.md lists package %s, which arrows does not have", name)
		}
	}
}

// listPackages returns every package of the module.
func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var packages []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// Each rule finds what breaks it.
func TestArrowsFindViolations(t *testing.T) {
	for want, p := range map[string]pkg{
		"policy imports ondemand: arrows point one way":                                                                                        {ImportPath: "ucwarden/policy", Imports: []string{"ucwarden/ondemand"}},
		"policy imports golang.org/x/sync: it uses the standard library only":                                                                  {ImportPath: "ucwarden/policy", Imports: []string{"fmt", "golang.org/x/sync"}},
		"connector imports ondemand: arrows point one way":                                                                                     {ImportPath: "ucwarden/connector", Imports: []string{"ucwarden/ondemand", "ucwarden/policy"}},
		"connector imports connector/tasks: arrows point one way":                                                                              {ImportPath: "ucwarden/connector", Imports: []string{"ucwarden/connector/tasks"}},
		"ondemand imports connector: arrows point one way":                                                                                     {ImportPath: "ucwarden/ondemand", Imports: []string{"ucwarden/connector"}},
		"connector imports github.com/databricks/databricks-sdk-go/apierr: only connector/unitycatalog and connector/emulator/conformance may": {ImportPath: "ucwarden/connector", TestImports: []string{"github.com/databricks/databricks-sdk-go/apierr"}},
		"apiserver imports ucwarden/config: only cmd/ucwarden and config may":                                                                  {ImportPath: "ucwarden/apiserver", XTestImports: []string{"ucwarden/config"}},
		"policy/source imports github.com/spf13/viper: only config may":                                                                        {ImportPath: "ucwarden/policy/source", Imports: []string{"github.com/spf13/viper"}},
		"policy/util: the name says nothing: name a package for what is in it":                                                                 {ImportPath: "ucwarden/policy/util"},
		"policy/rules imports policy/compile: arrows point one way":                                                                            {ImportPath: "ucwarden/policy/rules", Imports: []string{"ucwarden/policy/compile"}},
		"policy/evaluate imports policy/compile: arrows point one way":                                                                         {ImportPath: "ucwarden/policy/evaluate", Imports: []string{"ucwarden/policy/compile"}},
		"policy/match imports golang.org/x/text/cases: it uses the standard library only":                                                      {ImportPath: "ucwarden/policy/match", Imports: []string{"golang.org/x/text/cases"}},
		"policy/match imports golang.org/x/text/unicode/norm: only policy/naming may":                                                          {ImportPath: "ucwarden/policy/match", Imports: []string{"golang.org/x/text/unicode/norm"}},
		"policy/suite imports github.com/dop251/goja/parser: only policy/script may":                                                           {ImportPath: "ucwarden/policy/suite", TestImports: []string{"github.com/dop251/goja/parser"}},
		"web: a new package: say in arrows what it may import":                                                                                 {ImportPath: "ucwarden/web"},
	} {
		if got := violations([]pkg{p}); !slices.Contains(got, want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
	chain := []pkg{
		{ImportPath: "ucwarden/connector/tasks", Imports: []string{"fmt", "ucwarden/connector"}},
		{ImportPath: "ucwarden/connector", Imports: []string{"ucwarden/policy/compile"}},
		{ImportPath: "ucwarden/policy/compile", Imports: []string{"ucwarden/policy/rules"}},
		{ImportPath: "ucwarden/policy/rules", Imports: []string{"ucwarden/policy/script"}},
	}
	const want = "connector/tasks → connector → policy/compile → policy/rules → policy/script: the daemon's path leads to what only people's questions need"
	if got := violations(chain); !slices.Contains(got, want) {
		t.Errorf("want %q, got %q", want, got)
	}
	fine := []pkg{
		{ImportPath: "ucwarden/policy/script", Imports: []string{"github.com/dop251/goja", "ucwarden/policy/match"}},
		{ImportPath: "ucwarden/cmd/ucwarden", Imports: []string{"ucwarden/config", "ucwarden/policy", "github.com/spf13/cobra"}},
		{ImportPath: "ucwarden/policy/naming", Imports: []string{"strings", "golang.org/x/text/unicode/norm"}, TestImports: []string{"pgregory.net/rapid"}, XTestImports: []string{"ucwarden/deploy/ranger"}},
	}
	if got := violations(fine); len(got) > 0 {
		t.Errorf("found in what is fine: %q", got)
	}
}
