package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const (
	config = `{"config":{"protocol_version":"v1.0.0","scan_level":"symbol","scan_mode":"source"}}`
	sbom   = `{"SBOM":{"go_version":"go1.26.10","roots":["ucwarden/cmd/ucwarden"]}}`
	osvs   = `{"osv":{"id":"GO-1","summary":"first"}} {"osv":{"id":"GO-2","summary":"second"}}`

	required = `{"finding":{"osv":"GO-1","trace":[{"module":"example.com/a","version":"v1.0.0"}]}}`
	imported = `{"finding":{"osv":"GO-1","trace":[{"module":"example.com/a","version":"v1.0.0","package":"example.com/a"}]}}`
	called   = `{"finding":{"osv":"GO-1","fixed_version":"v1.2.0","trace":[
		{"module":"example.com/a","version":"v1.0.0","package":"example.com/a","function":"Read","receiver":"*File"},
		{"module":"ucwarden","package":"ucwarden/connector","function":"Sync","position":{"filename":"connector/sync.go","line":7}}]}}`
	calledFar = `{"finding":{"osv":"GO-1","fixed_version":"v1.2.0","trace":[
		{"module":"example.com/a","version":"v1.0.0","package":"example.com/a","function":"ReadEverything"},
		{"module":"ucwarden","package":"ucwarden/connector","function":"Synchronise","position":{"filename":"connector/sync.go","line":70}}]}}`
	calledStdlib = `{"finding":{"osv":"GO-2","fixed_version":"v1.26.11","trace":[
		{"module":"stdlib","version":"v1.26.10","package":"net/http","function":"Get"},{"module":"ucwarden","package":"ucwarden/cmd","function":"main"}]}}`
)

func TestReadScan(t *testing.T) {
	read := func(parts ...string) []finding {
		t.Helper()
		result, err := readScan(strings.NewReader(strings.Join(parts, "\n")), "ucwarden")
		if err != nil {
			t.Fatal(err)
		}
		if result.GoVersion != "go1.26.10" {
			t.Errorf("Go version %q", result.GoVersion)
		}
		return result.Reached
	}
	if got := read(config, sbom, osvs, required, imported); len(got) != 0 {
		t.Errorf("what is only required or imported counts as reached: %+v", got)
	}
	want := []finding{
		{"GO-1", "first", "example.com/a", "v1.0.0", "v1.2.0", "connector/sync.go:7: ucwarden/connector.Sync reaches example.com/a.File.Read"},
		{"GO-2", "second", "stdlib", "v1.26.10", "v1.26.11", "ucwarden/cmd.main reaches net/http.Get"},
	}
	if got := read(config, sbom, osvs, required, imported, calledStdlib, calledFar, called); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A scan that saw nothing of ours must not look clean.
func TestReadScanRefusesAScanOfNothing(t *testing.T) {
	for name, c := range map[string]struct{ output, want string }{
		"nothing":        {"", "did not say"},
		"packages only":  {strings.Replace(config, "symbol", "package", 1) + sbom, "did not say"},
		"a binary":       {strings.Replace(config, "source", "binary", 1) + sbom, "did not say"},
		"no packages":    {config, "no package of ucwarden"},
		"other packages": {config + strings.ReplaceAll(sbom, "ucwarden", "ucwardens"), "no package of ucwarden"},
		"cut short":      {config + sbom + `{"finding":{"osv":`, "read govulncheck's output"},
	} {
		if _, err := readScan(strings.NewReader(c.output), "ucwarden"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	open := finding{ID: "GO-1", Summary: "first", Module: "example.com/a", Version: "v1.0.0", Trace: "x.go:1: f reaches g"}
	fixed, std := open, open
	fixed.Fixed = "v1.2.0"
	std.Module, std.Fixed = "stdlib", "v1.26.11"
	entry := accepted{ID: "GO-1", Module: "example.com/a", Reason: "r"}
	elsewhere := accepted{ID: "GO-1", Module: "example.com/b", Reason: "r"}
	for name, c := range map[string]struct {
		found []finding
		list  []accepted
		want  string // in the one problem; none without
	}{
		"nothing found, nothing accepted": {},
		"found and accepted":              {found: []finding{open}, list: []accepted{entry}},
		"found, not accepted, not fixed":  {found: []finding{open}, want: "GO-1 in example.com/a v1.0.0: first\n    x.go:1: f reaches g\n    no fixed version is known"},
		"found, not accepted, fixed":      {found: []finding{fixed}, want: "go get example.com/a@v1.2.0"},
		"found in the standard library":   {found: []finding{std}, want: "fixed in Go 1.26.11: raise the toolchain line"},
		"accepted for another module":     {found: []finding{open}, list: []accepted{elsewhere}, want: "accepted for example.com/b but found in example.com/a"},
		"accepted though it has a fix":    {found: []finding{fixed}, list: []accepted{entry}, want: "go get example.com/a@v1.2.0 and remove the entry"},
		"accepted, no longer reached":     {list: []accepted{entry}, want: "GO-1 is accepted, but our code no longer reaches it"},
	} {
		got := compare(c.found, c.list)
		if c.want == "" && len(got) == 0 {
			continue
		}
		if c.want == "" || len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s: got %q, want one with %q", name, got, c.want)
		}
	}
}

func TestReadAccepted(t *testing.T) {
	entry := `{"id":"GO-1","module":"example.com/a","reason":"r","unused":[{"package":"example.com/a","names":["Read"]}]}`
	if list, err := readAccepted([]byte("[" + entry + "]")); err != nil || len(list) != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
	for name, c := range map[string]struct{ data, want string }{
		"not JSON":       {"[", "read the list"},
		"more follows":   {"[][]", "something follows"},
		"unknown field":  {`[{"why":"r"}]`, "unknown field"},
		"no id":          {strings.Replace("["+entry+"]", "GO-1", "", 1), "needs an id"},
		"no module":      {strings.Replace("["+entry+"]", `"module":"example.com/a"`, `"module":""`, 1), "needs an id and a module"},
		"no reason":      {strings.Replace("["+entry+"]", `"r"`, `" "`, 1), "needs a reason"},
		"nothing unused": {`[{"id":"GO-1","module":"m","reason":"r"}]`, "must stay unused"},
		"no package":     {`[{"id":"GO-1","module":"m","reason":"r","unused":[{"names":["Read"]}]}]`, "must stay unused"},
		"twice":          {"[" + entry + "," + entry + "]", "listed twice"},
	} {
		if _, err := readAccepted([]byte(c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestTheListCanBeRead(t *testing.T) {
	data, err := os.ReadFile("accepted.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readAccepted(data); err != nil {
		t.Error(err)
	}
}
