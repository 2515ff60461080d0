package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// accepted is one advisory that the product lives with: no fixed version exists, and what the advisory is about is not
// used. The test of package apiserver holds that nothing named in Unused is used.
type accepted struct {
	ID     string   `json:"id"`
	Module string   `json:"module"`
	Reason string   `json:"reason"`
	Unused []unused `json:"unused"`
}

// unused names what must stay unused of a package: these names, or without any the whole package.
type unused struct {
	Package string   `json:"package"`
	Names   []string `json:"names"`
}

// readAccepted reads the list of accepted advisories. An entry without a reason, or without a word on what must stay
// unused, is an error, as are two entries for one advisory.
func readAccepted(data []byte) ([]accepted, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var list []accepted
	if err := decoder.Decode(&list); err != nil {
		return nil, fmt.Errorf("read the list: %w", err)
	}
	if decoder.More() {
		return nil, errors.New("read the list: something follows it")
	}
	seen := map[string]bool{}
	for i, a := range list {
		switch {
		case a.ID == "" || a.Module == "":
			return nil, fmt.Errorf("entry %d needs an id and a module", i+1)
		case strings.TrimSpace(a.Reason) == "":
			return nil, fmt.Errorf("%s needs a reason", a.ID)
		case len(a.Unused) == 0 || slices.ContainsFunc(a.Unused, func(u unused) bool { return u.Package == "" }):
			return nil, fmt.Errorf("%s needs to say what of which package must stay unused", a.ID)
		case seen[a.ID]:
			return nil, fmt.Errorf("%s is listed twice", a.ID)
		}
		seen[a.ID] = true
	}
	return list, nil
}

// finding is a vulnerability that our code reaches.
type finding struct {
	ID, Summary, Module, Version, Fixed string
	Trace                               string // one way from our code to the vulnerable function
}

// message is one of the JSON objects that govulncheck writes; its schema is golang.org/x/vuln/internal/govulncheck.
type message struct {
	Config *struct {
		ScanLevel string `json:"scan_level"`
		ScanMode  string `json:"scan_mode"`
	} `json:"config"`
	SBOM *struct {
		GoVersion string   `json:"go_version"`
		Roots     []string `json:"roots"`
	} `json:"SBOM"`
	OSV *struct {
		ID      string `json:"id"`
		Summary string `json:"summary"`
	} `json:"osv"`
	Finding *struct {
		OSV          string  `json:"osv"`
		FixedVersion string  `json:"fixed_version"`
		Trace        []frame `json:"trace"`
	} `json:"finding"`
}

// frame is one call on the way from the vulnerable function, which comes first, to our code.
type frame struct {
	Module   string `json:"module"`
	Version  string `json:"version"`
	Package  string `json:"package"`
	Function string `json:"function"`
	Receiver string `json:"receiver"`
	Position *struct {
		Filename string `json:"filename"`
		Line     int    `json:"line"`
	} `json:"position"`
}

func (f frame) String() string {
	name := f.Package + "."
	if f.Receiver != "" {
		name += strings.TrimPrefix(f.Receiver, "*") + "."
	}
	return name + f.Function
}

// scanned is what a scan found: which Go's standard library it looked at, and one finding for each vulnerability that
// is reached, by id.
type scanned struct {
	GoVersion string
	Reached   []finding
}

// readScan reads what govulncheck wrote with -format json. A scan that did not look at calls, or looked at none of the
// packages of module, is an error: it would find nothing and look clean.
func readScan(r io.Reader, module string) (scanned, error) {
	var result scanned
	var symbols, ours bool
	summaries := map[string]string{}
	reached := map[string]finding{}
	decoder := json.NewDecoder(r)
	for {
		var m message
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return scanned{}, fmt.Errorf("read govulncheck's output: %w", err)
		}
		switch {
		case m.Config != nil:
			symbols = m.Config.ScanLevel == "symbol" && m.Config.ScanMode == "source"
		case m.SBOM != nil:
			result.GoVersion = m.SBOM.GoVersion
			ours = slices.ContainsFunc(m.SBOM.Roots, func(root string) bool { return strings.HasPrefix(root+"/", module+"/") })
		case m.OSV != nil:
			summaries[m.OSV.ID] = m.OSV.Summary
		case m.Finding != nil && len(m.Finding.Trace) > 0 && m.Finding.Trace[0].Function != "":
			vulnerable := m.Finding.Trace[0]
			f := finding{
				ID: m.Finding.OSV, Module: vulnerable.Module, Version: vulnerable.Version,
				Fixed: m.Finding.FixedVersion, Trace: describe(m.Finding.Trace),
			}
			// Of several ways the one of fewest words is the easiest to follow.
			if known, found := reached[f.ID]; !found || len(f.Trace) < len(known.Trace) {
				reached[f.ID] = f
			}
		}
	}
	if !symbols {
		return scanned{}, errors.New("govulncheck did not say that it looked at the calls of the source")
	}
	if !ours {
		return scanned{}, fmt.Errorf("govulncheck looked at no package of %s", module)
	}
	for _, f := range reached {
		f.Summary = summaries[f.ID]
		result.Reached = append(result.Reached, f)
	}
	slices.SortFunc(result.Reached, func(a, b finding) int { return strings.Compare(a.ID, b.ID) })
	return result, nil
}

// describe returns where our code starts on its way to the vulnerable function, and that function.
func describe(trace []frame) string {
	entry := trace[len(trace)-1]
	if entry.Position == nil {
		return fmt.Sprintf("%s reaches %s", entry, trace[0])
	}
	return fmt.Sprintf("%s:%d: %s reaches %s", entry.Position.Filename, entry.Position.Line, entry, trace[0])
}

// compare returns a line for each finding that the list does not accept, and for each entry of the list that is no
// longer found: an entry that outlives its advisory would hide the next mistake.
func compare(found []finding, list []accepted) []string {
	var problems []string
	byID := map[string]accepted{}
	for _, a := range list {
		byID[a.ID] = a
	}
	for _, f := range found {
		a, listed := byID[f.ID]
		delete(byID, f.ID)
		switch {
		case !listed:
			problems = append(problems, unaccepted(f))
		case a.Module != f.Module:
			problems = append(problems, fmt.Sprintf("%s is accepted for %s but found in %s", f.ID, a.Module, f.Module))
		case f.Fixed != "":
			problems = append(problems, fmt.Sprintf("%s is accepted, but %s %s has the fix: go get %s@%s and remove the entry", f.ID, f.Module, f.Fixed, f.Module, f.Fixed))
		}
	}
	for _, a := range list {
		if _, left := byID[a.ID]; left {
			problems = append(problems, fmt.Sprintf("%s is accepted, but our code no longer reaches it: remove the entry", a.ID))
		}
	}
	return problems
}

// unaccepted describes a finding and what to do about it.
func unaccepted(f finding) string {
	version := strings.TrimRight(" "+f.Version, " ")
	remedy := "no fixed version is known: stop using it, or accept it with a reason"
	switch {
	case f.Fixed != "" && f.Module == "stdlib":
		remedy = "fixed in Go " + strings.TrimPrefix(f.Fixed, "v") + ": raise the toolchain line of go.mod"
	case f.Fixed != "":
		remedy = fmt.Sprintf("fixed in %s: go get %s@%s", f.Fixed, f.Module, f.Fixed)
	}
	return fmt.Sprintf("%s in %s%s: %s\n    %s\n    %s", f.ID, f.Module, version, f.Summary, f.Trace, remedy)
}
