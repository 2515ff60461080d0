package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "ucwarden"

// arrows says which packages of ours a package may import. A package that is not listed must be added on purpose.
var arrows = map[string][]string{
	"atomicfile":                 {},
	"endpoint":                   {},
	"policy":                     {},
	"policy/source":              {"atomicfile", "endpoint", "policy"},
	"policy/source/rangertest":   {"policy"},
	"connector":                  {"atomicfile", "policy"},
	"connector/tasks":            {"connector", "ondemand", "policy"},
	"connector/unitycatalog":     {"connector", "endpoint", "policy"},
	"connector/emulator":         {"connector", "policy"},
	"ondemand":                   {"policy"},
	"ondemand/eventhub":          {"ondemand", "policy"},
	"ondemand/eventhub/emulator": {},
	"apiserver":                  {"apiserver/keys", "endpoint", "ondemand", "policy"},
	"apiserver/client":           {"ondemand"},
	"apiserver/keys":             {"atomicfile", "policy"},
	"config":                     {"endpoint"},
	"deploy/ranger":              {},
	"cmd/ucwarden":               {"*"},
}

// owners says who alone may import a library, tests included.
var owners = map[string][]string{
	"github.com/databricks/databricks-sdk-go":                     {"connector/unitycatalog"},
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs": {"ondemand/eventhub", "ondemand/eventhub/emulator"},
	"github.com/spf13/viper":                                      {"config"},
	"github.com/spf13/cobra":                                      {"cmd/ucwarden"},
	"github.com/labstack/echo":                                    {"apiserver"},
	"go.etcd.io/bbolt":                                            {"ondemand"},
	module + "/config":                                            {"cmd/ucwarden", "config"},
}

// hollow are package names that say nothing about what is inside.
var hollow = []string{"util", "utils", "common", "types", "models", "model", "helpers", "misc", "pkg", "shared"}

// pkg is what go list tells of a package.
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
			case !isOurs && name == "policy" && strings.Contains(strings.Split(imported, "/")[0], "."):
				bad("policy imports %s: it uses the standard library only", imported)
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
	slices.Sort(found)
	return slices.Compact(found)
}

func TestArrows(t *testing.T) {
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
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 5 {
		t.Fatalf("go list found %d packages", len(packages))
	}
	for _, v := range violations(packages) {
		t.Error(v)
	}
}

// Each rule finds what breaks it.
func TestArrowsFindViolations(t *testing.T) {
	for want, p := range map[string]pkg{
		"policy imports ondemand: arrows point one way":                                                     {ImportPath: "ucwarden/policy", Imports: []string{"ucwarden/ondemand"}},
		"policy imports golang.org/x/sync: it uses the standard library only":                               {ImportPath: "ucwarden/policy", Imports: []string{"fmt", "golang.org/x/sync"}},
		"connector imports ondemand: arrows point one way":                                                  {ImportPath: "ucwarden/connector", Imports: []string{"ucwarden/ondemand", "ucwarden/policy"}},
		"connector imports connector/tasks: arrows point one way":                                           {ImportPath: "ucwarden/connector", Imports: []string{"ucwarden/connector/tasks"}},
		"ondemand imports connector: arrows point one way":                                                  {ImportPath: "ucwarden/ondemand", Imports: []string{"ucwarden/connector"}},
		"connector imports github.com/databricks/databricks-sdk-go/apierr: only connector/unitycatalog may": {ImportPath: "ucwarden/connector", TestImports: []string{"github.com/databricks/databricks-sdk-go/apierr"}},
		"apiserver imports ucwarden/config: only cmd/ucwarden and config may":                               {ImportPath: "ucwarden/apiserver", XTestImports: []string{"ucwarden/config"}},
		"policy/source imports github.com/spf13/viper: only config may":                                     {ImportPath: "ucwarden/policy/source", Imports: []string{"github.com/spf13/viper"}},
		"policy/util: the name says nothing: name a package for what is in it":                              {ImportPath: "ucwarden/policy/util"},
		"web: a new package: say in arrows what it may import":                                              {ImportPath: "ucwarden/web"},
	} {
		if got := violations([]pkg{p}); !slices.Contains(got, want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
	fine := []pkg{
		{ImportPath: "ucwarden/cmd/ucwarden", Imports: []string{"ucwarden/config", "ucwarden/policy", "github.com/spf13/cobra"}},
		{ImportPath: "ucwarden/policy", Imports: []string{"fmt"}, TestImports: []string{"pgregory.net/rapid"}, XTestImports: []string{"ucwarden/deploy/ranger"}},
	}
	if got := violations(fine); len(got) > 0 {
		t.Errorf("found in what is fine: %q", got)
	}
}
