package apiserver_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// advisory is what the list of accepted vulnerabilities says must stay unused because of one of them. A part names
// functions, methods, fields or types of a package, or without names the whole package.
type advisory struct {
	ID     string
	Unused []struct {
		Package string
		Names   []string
	}
}

// acceptedVulnerabilities reads the list that make vuln compares with.
func acceptedVulnerabilities(t *testing.T) []advisory {
	t.Helper()
	data, err := os.ReadFile("../tools/vuln/accepted.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []advisory
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// breach says which advisory's list names an object that is used, or returns "".
func breach(list []advisory, object types.Object) string {
	if object.Pkg() == nil {
		return ""
	}
	for _, a := range list {
		for _, u := range a.Unused {
			if u.Package != object.Pkg().Path() {
				continue
			}
			if len(u.Names) == 0 || slices.Contains(u.Names, object.Name()) {
				return fmt.Sprintf("%s.%s is used: %s is accepted only as long as it is not", u.Package, object.Name(), a.ID)
			}
		}
	}
	return ""
}

// goPackage is what go list says of a package.
type goPackage struct {
	ImportPath, Dir, Export string
	GoFiles, CgoFiles       []string
	Deps                    []string
	Module                  *struct{ Path string }
}

// goList lists packages with what they import, built the way this test is, so that the build cache has them.
func goList(t *testing.T, patterns ...string) map[string]goPackage {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,CgoFiles,Deps,Module"}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, patterns...)...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	packages := map[string]goPackage{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
}

// uses type-checks a package and returns every object that its files use, by the place of its first use.
func uses(path string, files []*ast.File, positions *token.FileSet, packages map[string]goPackage) (map[types.Object]token.Position, error) {
	compiled := func(path string) (io.ReadCloser, error) { return os.Open(packages[path].Export) }
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	checker := types.Config{Importer: importer.ForCompiler(positions, "gc", compiled)}
	if _, err := checker.Check(path, positions, files, info); err != nil {
		return nil, err
	}
	used := map[types.Object]token.Position{}
	for ident, object := range info.Uses {
		at := positions.Position(ident.Pos())
		if known, found := used[object]; !found || at.Filename == known.Filename && at.Offset < known.Offset {
			used[object] = at
		}
	}
	return used, nil
}

// What the accepted vulnerabilities are about is used nowhere in our code.
func TestAcceptedVulnerabilitiesStayUnused(t *testing.T) {
	list := acceptedVulnerabilities(t)
	packages := goList(t, "ucwarden/...")
	// Only a package that has one of theirs below it can use it.
	concerned := func(p goPackage) bool {
		return slices.ContainsFunc(list, func(a advisory) bool {
			for _, u := range a.Unused {
				if slices.Contains(p.Deps, u.Package) {
					return true
				}
			}
			return false
		})
	}
	checked := 0
	for path, p := range packages {
		if p.Module == nil || p.Module.Path != "ucwarden" || !concerned(p) {
			continue
		}
		if len(p.CgoFiles) > 0 {
			t.Fatalf("%s uses cgo, which this test cannot read", path)
		}
		positions := token.NewFileSet()
		var files []*ast.File
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(positions, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		used, err := uses(path, files, positions, packages)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for object, at := range used {
			if found := breach(list, object); found != "" {
				t.Errorf("%s: %s", at, found)
			}
		}
		checked++
	}
	if len(list) > 0 && checked == 0 {
		t.Error("no package of ours has what the list names below it: it is out of date")
	}
}

// Each name of the list exists, so that none is a slip, and a use of each kind is found.
func TestAcceptedVulnerabilitiesAreFoundWhenUsed(t *testing.T) {
	list := acceptedVulnerabilities(t)
	packages := goList(t, "github.com/labstack/echo/v4", "io")
	known := map[string][]string{}
	for _, a := range list {
		for _, u := range a.Unused {
			if len(u.Names) == 0 {
				continue
			}
			if known[u.Package] == nil {
				known[u.Package] = namesOf(t, u.Package, packages)
			}
			for _, name := range u.Names {
				if !slices.Contains(known[u.Package], name) {
					t.Errorf("%s: %s has no %s", a.ID, u.Package, name)
				}
			}
		}
	}
	var whole advisory
	if err := json.Unmarshal([]byte(`{"id": "GO-0", "unused": [{"package": "io"}]}`), &whole); err != nil {
		t.Fatal(err)
	}
	list = append(list, whole)
	for body, want := range map[string]string{
		"func f(c echo.Context) string { return c.RealIP() }":                     "RealIP is used: GO-2026-6872",
		"func f(e *echo.Echo) { e.IPExtractor = nil }":                            "IPExtractor is used: GO-2026-6872",
		"var f = echo.ExtractIPFromXFFHeader":                                     "ExtractIPFromXFFHeader is used: GO-2026-6872",
		"type s struct{ echo.Context }\nfunc f(x s) string { return x.Scheme() }": "Scheme is used: GO-2026-6875",
		"func f(g *echo.Group) { g.Static(\"/\", \"/\") }":                        "Static is used: GO-2026-6875",
		"func f(e *echo.Echo) bool { return e.Logger.Output() == io.Discard }":    "io.Discard is used: GO-0",
		"func f(c echo.Context) error { return c.JSON(200, nil) }":                "",
	} {
		source := "package x\nimport \"github.com/labstack/echo/v4\"\n"
		if strings.Contains(body, "io.") {
			source += "import \"io\"\n"
		}
		source += body
		positions := token.NewFileSet()
		file, err := parser.ParseFile(positions, "x.go", source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		used, err := uses("x", []*ast.File{file}, positions, packages)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for object := range used {
			if b := breach(list, object); b != "" {
				found = append(found, b)
			}
		}
		if want == "" && len(found) > 0 || want != "" && !slices.ContainsFunc(found, func(b string) bool { return strings.Contains(b, want) }) {
			t.Errorf("%s\ngot %q, want one with %q", body, found, want)
		}
	}
}

// namesOf returns the names a package exports: of its functions and types, and of their methods and fields.
func namesOf(t *testing.T, path string, packages map[string]goPackage) []string {
	t.Helper()
	compiled := func(path string) (io.ReadCloser, error) { return os.Open(packages[path].Export) }
	pkg, err := importer.ForCompiler(token.NewFileSet(), "gc", compiled).Import(path)
	if err != nil {
		t.Fatal(err)
	}
	names := pkg.Scope().Names()
	for _, name := range pkg.Scope().Names() {
		object, isType := pkg.Scope().Lookup(name).(*types.TypeName)
		if !isType {
			continue
		}
		methods := types.NewMethodSet(types.NewPointer(object.Type()))
		if types.IsInterface(object.Type()) {
			methods = types.NewMethodSet(object.Type())
		}
		for method := range methods.Methods() {
			names = append(names, method.Obj().Name())
		}
		if s, isStruct := object.Type().Underlying().(*types.Struct); isStruct {
			for field := range s.Fields() {
				names = append(names, field.Name())
			}
		}
	}
	return names
}
