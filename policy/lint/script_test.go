package lint

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"ucwarden/policy/compile"
	"ucwarden/policy/match"
	"ucwarden/policy/ranger"
)

// endless stands for a script that has to be ended; thrower for one that fails for want of what it reads, stray for one that
// fails for what nothing defines.
type (
	endless struct{}
	thrower struct{}
	stray   struct{ thrower }
)

func (stray) Met(*match.Values) (bool, error) { return false, match.ErrScriptUndefined }

func (endless) Met(*match.Values) (bool, error) {
	return false, fmt.Errorf("too long: %w", match.ErrScriptBounds)
}
func (endless) Text(*match.Values) (string, error) { return "", match.ErrScriptBounds }
func (thrower) Met(*match.Values) (bool, error)    { return false, errors.New("no tag") }
func (thrower) Text(*match.Values) (string, error) { return "", errors.New("no tag") }

// Scripts that are no JavaScript use what nothing defines or have to be ended are found wherever policies have scripts; those that only lack what a
// request brings are not.
func TestLintScripts(t *testing.T) {
	scripts := func(source string) (match.Script, error) {
		switch source {
		case "(":
			return nil, errors.New("unexpected end of input")
		case "for(;;);":
			return endless{}, nil
		case "USR == 1":
			return stray{}, nil
		}
		return thrower{}, nil
	}
	condition := func(source string) string {
		return `"conditions": [{"type": "_expression", "values": ["` + source + `"]}]`
	}
	item := func(source string) string {
		return `"policyItems": [{"accesses": [{"type": "select"}], "users": ["ann"], ` + condition(source) + `}]`
	}
	list, _, err := ranger.ParsePolicies([]byte("["+on(1, item("("))+","+on(2, item("for(;;);"))+","+on(3, item("TAG.x"))+","+
		on(4, condition("(")+`,"policyItems": [{"accesses": [{"type": "select"}], "users": ["ann"]}]`)+","+
		`{"id": 5, "name": "p5", "resources": {"catalog": {"values": ["c${{(}}"]}}, "policyItems": [{"accesses": [{"type": "use_catalog"}], "users": ["ann"]}]},`+on(6, item("USR == 1"))+"]"), "p.json")
	if err != nil {
		t.Fatal(err)
	}
	r := Run(ranger.UnverifiedSnapshot(ranger.SnapshotInput{Policies: &ranger.ServicePolicies{Policies: list}}), Options{Compile: compile.Options{Time: lintTime}, Scripts: scripts})
	var got []string
	for _, f := range r.Findings {
		if f.Check == CheckScript {
			got = append(got, fmt.Sprintf("%d %s", f.PolicyID, f.Field))
		}
	}
	want := []string{"1 policyItems[0].conditions[0].values", "2 policyItems[0].conditions[0].values", "4 conditions[0].values", "5 resources.catalog.values", "6 policyItems[0].conditions[0].values"}
	if !slices.Equal(got, want) {
		t.Errorf("scripts found: %q, want %q", got, want)
	}
}
