package lint

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"ucwarden/policy/compile"
	"ucwarden/policy/match"
	"ucwarden/policy/parse"
	"ucwarden/policy/ranger"
)

// stub stands for a script: what it returns whatever is asked.
type stub struct {
	out match.Outcome
	err error
	ran *int
}

func (s stub) Met(*match.Values) (match.Outcome, error) {
	if s.ran != nil {
		*s.ran++
	}
	return s.out, s.err
}

func (s stub) Text(*match.Values) (string, error) { return "", s.err }

// Scripts that fail are found wherever policies have scripts, as errors; one that was not run as a warning.
func TestLintScripts(t *testing.T) {
	endless, silent := 0, 0 // runs
	scripts := func(source string) (match.Script, error) {
		switch source {
		case "(":
			return nil, errors.New("unexpected end of input")
		case "for(;;);":
			return stub{err: fmt.Errorf("too long: %w", match.ErrScriptBounds), ran: &endless}, nil
		case "if (USER.x) ctx.result = true":
			return stub{out: match.Outcome{From: match.FromNothing}, ran: &silent}, nil
		case "not run":
			return stub{err: fmt.Errorf("script: %w, since others were ended", match.ErrScriptNotRun)}, nil
		case "USR == 1":
			return stub{err: match.ErrScriptUndefined}, nil
		}
		return stub{out: match.Outcome{From: match.FromOtherType, Value: "0"}}, nil
	}
	condition := func(source string) string {
		return `"conditions": [{"type": "_expression", "values": ["` + source + `"]}]`
	}
	item := func(source string) string {
		return `"policyItems": [{"accesses": [{"type": "select"}], "users": ["ann"], ` + condition(source) + `}]`
	}
	list, _, err := parse.Policies([]byte("["+on(1, item("("))+","+on(2, item("for(;;);"))+","+on(3, item("TAG.x"))+","+
		on(4, condition("(")+`,"policyItems": [{"accesses": [{"type": "select"}], "users": ["ann"]}]`)+","+
		`{"id": 5, "name": "p5", "resources": {"catalog": {"values": ["c${{(}}"]}}, "policyItems": [{"accesses": [{"type": "use_catalog"}], "users": ["ann"]}]},`+on(6, item("USR == 1"))+","+on(7, item("not run"))+","+on(8, item("for(;;);"))+","+on(9, item("if (USER.x) ctx.result = true"))+","+
		`{"id": 10, "name": "p10", "resources": {"catalog": {"values": ["c${{0}}"]}}, "policyItems": [{"accesses": [{"type": "use_catalog"}], "users": ["ann"]}]}`+"]"), "p.json")
	if err != nil {
		t.Fatal(err)
	}
	r := Run(ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: &ranger.ServicePolicies{Policies: list}}), Options{Compile: compile.Options{Time: lintTime}, Scripts: scripts})
	var got []string
	for _, f := range r.Findings {
		if f.Check == CheckScript {
			got = append(got, fmt.Sprintf("%s %d %s", f.Severity, f.PolicyID, f.Field))
		}
	}
	want := []string{"error 1 policyItems[0].conditions[0].values", "error 2 policyItems[0].conditions[0].values", "warning 3 policyItems[0].conditions[0].values", "error 4 conditions[0].values", "error 5 resources.catalog.values",
		"error 6 policyItems[0].conditions[0].values", "warning 7 policyItems[0].conditions[0].values", "error 8 policyItems[0].conditions[0].values"}
	if !slices.Equal(got, want) {
		t.Errorf("scripts found: %q, want %q", got, want)
	}
	if endless != 1 || silent != 2 {
		t.Errorf("a script that has to be ended is run %d times, want once; one that may set ctx.result %d times, want twice", endless, silent)
	}
}
