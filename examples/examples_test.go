// Package examples holds the policy sets for newcomers; its tests run their suites.
package examples

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/lint"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
	"ucwarden/policy/script"
	"ucwarden/policy/source"
	"ucwarden/policy/suite"
	"ucwarden/policy/verify"
)

// expected lists, by example, the checks whose warnings it is there to show.
var expected = map[string][]string{"deny-inside-a-group": {lint.CheckFidelity}}

// now is when the examples are judged: the schedules in them are open.
var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func folders(t *testing.T) []string {
	t.Helper()
	suites, err := filepath.Glob("*/suite.json")
	if err != nil || len(suites) < 3 {
		t.Fatalf("found the suites %q: %v", suites, err)
	}
	for i := range suites {
		suites[i] = filepath.Dir(suites[i])
	}
	return suites
}

func read(t *testing.T, folder string) ranger.SnapshotInput {
	t.Helper()
	in, err := source.ReadInput([]string{filepath.Join(folder, "policies")}, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// run runs the suite of an example on policies.
func run(t *testing.T, folder string, in ranger.SnapshotInput) suite.Result {
	t.Helper()
	s, err := ranger.NewSnapshot(in)
	if err != nil {
		t.Fatal(err)
	}
	s = verify.Snapshot(s)
	for p, fault := range s.Faults {
		t.Fatalf("policy %d: %s", p.ID, fault)
	}
	set, err := rules.New(s, rules.Options{Scripts: script.Compile})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "suite.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	result, err := suite.RunOn(set, data, file, suite.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestSuites(t *testing.T) {
	for _, folder := range folders(t) {
		t.Run(folder, func(t *testing.T) {
			result := run(t, folder, read(t, folder))
			if result.Passed == 0 {
				t.Error("the suite holds no case")
			}
			for _, c := range result.Cases {
				if !c.Passed {
					t.Errorf("%s: %s (%s)", c.Name, c.Problem, c.Decision)
				}
			}
		})
	}
}

// Without any one of its policies, the suite of an example fails.
func TestEveryPolicyHasACase(t *testing.T) {
	for _, folder := range folders(t) {
		t.Run(folder, func(t *testing.T) {
			in := read(t, folder)
			removed := 0
			without := func(list *[]ranger.Policy) {
				for i, p := range *list {
					all := *list
					*list = slices.Delete(slices.Clone(all), i, i+1)
					removed++
					if result := run(t, folder, in); result.Failed == 0 {
						t.Errorf("policy %d %q can be taken out, and every case still passes", p.ID, p.Name)
					}
					*list = all
				}
			}
			without(&in.Policies.Policies)
			for _, zone := range in.Policies.SecurityZones {
				without(&zone.Policies)
			}
			if removed < 2 {
				t.Errorf("took out %d policies, want at least 2", removed)
			}
		})
	}
}

// Lint finds nothing in the examples but what they are there to show, and that it does find.
func TestLint(t *testing.T) {
	for _, folder := range folders(t) {
		t.Run(folder, func(t *testing.T) {
			result := lint.Run(ranger.UnverifiedSnapshot(read(t, folder)), lint.Options{
				Scripts: script.Compile, Compile: compile.Options{Time: now, Deny: []compile.DenyStrategy{compile.DenyWithhold}},
			})
			var checks []string
			for _, f := range result.Findings {
				if f.Severity == lint.SeverityInfo {
					continue
				}
				checks = append(checks, f.Check)
				if !slices.Contains(expected[folder], f.Check) {
					t.Errorf("%s: policy %d: %s: %s", f.Severity, f.PolicyID, f.Field, f.Message)
				}
			}
			for _, check := range expected[folder] {
				if !slices.Contains(checks, check) {
					t.Errorf("lint does not find %q any more, which the example is there to show", check)
				}
			}
		})
	}
}

// An example compiles to grants, in a workspace that has what its suite asks about.
func TestGrants(t *testing.T) {
	for folder, want := range map[string]string{
		"first-grant":         "SCHEMA:sales.emea analysts SELECT",
		"deny-inside-a-group": "TABLE:sales.emea.returns analysts SELECT",
		"zones":               "CATALOG:sales analysts SELECT",
	} {
		t.Run(folder, func(t *testing.T) {
			s, err := ranger.NewSnapshot(read(t, folder))
			if err != nil {
				t.Fatal(err)
			}
			set, err := rules.New(s, rules.Options{})
			if err != nil {
				t.Fatal(err)
			}
			inventory := policy.NewInventory()
			for _, name := range []string{"sales.emea.orders", "sales.emea.returns", "sales.emea.forecast_q3", "hr.payroll.salaries"} {
				inventory.Add(policy.Object{Securable: policy.Securable{Type: policy.Table, FullName: name}})
			}
			var got []string
			for g := range compile.New(set, compile.Options{Time: now}).Compile(inventory).Grants.All() {
				got = append(got, g.Securable.String()+" "+g.Principal.Name+" "+string(g.Privilege))
			}
			slices.Sort(got)
			if !slices.Contains(got, want) {
				t.Errorf("want %s among:\n%s", want, strings.Join(got, "\n"))
			}
		})
	}
}

// The README of each example shows commands for its own folder.
func TestReadmes(t *testing.T) {
	for _, folder := range folders(t) {
		data, err := os.ReadFile(filepath.Join(folder, "README.md"))
		if err != nil {
			t.Error(err)
		}
		for _, command := range []string{
			"ucwarden policy test --policies examples/" + folder + "/policies examples/" + folder + "/suite.json\n",
			"ucwarden policy lint examples/" + folder + "/policies\n",
		} {
			if !strings.Contains(string(data), command) {
				t.Errorf("%s/README.md does not show %q", folder, command)
			}
		}
	}
}
