package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runSuiteFile runs a suite and fails the test for each case that does not pass.
func runSuiteFile(t *testing.T, file string) SuiteResult {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	result, err := RunSuite(data, filepath.Base(file), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), func(name string) ([]byte, error) {
		return os.ReadFile(filepath.Join(filepath.Dir(file), name))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range result.Cases {
		if !c.Passed {
			t.Errorf("%s\n  %s\n  %s", c.Name, c.Problem, c.Decision)
		}
	}
	return result
}

// TestRangerSuites is the conformance test: Apache Ranger's own suites decide what a policy means.
func TestRangerSuites(t *testing.T) {
	folder := rangerSuites(t)
	files, err := filepath.Glob(filepath.Join(folder, "test_*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no suites in %s: %v", folder, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			if r := runSuiteFile(t, file); r.Passed+r.Failed == 0 {
				t.Error("the suite has no tests")
			}
		})
	}
}
