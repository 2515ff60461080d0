package suite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/parse"
	"ucwarden/policy/policytest/shareddata"
	"ucwarden/policy/script"
)

// runSuiteFile runs a suite and fails the test for each case that does not pass.
func runSuiteFile(t *testing.T, file string) Result {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	result, err := Run(data, filepath.Base(file), Options{Scripts: script.Compile, Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), File: func(name string) ([]byte, error) {
		return os.ReadFile(filepath.Join(filepath.Dir(file), name))
	}})
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
	folder := shareddata.Folder(t, "ranger")
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

// TestOwnSuites runs the suites of this project, which are about the Unity Catalog service definition.
func TestOwnSuites(t *testing.T) {
	files, err := filepath.Glob("testdata/suites/test_*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no suites: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) { checkPolicyIDs(t, file, runSuiteFile(t, file)) })
	}
}

// checkPolicyIDs asks more of our suites than of Ranger's: the deciding policy must be the one the test states.
func checkPolicyIDs(t *testing.T, file string, result Result) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var suite engineSuite
	if err := parse.Decode(data, file, &suite); err != nil {
		t.Fatal(err)
	}
	tests := append(suite.Tests, suite.UpdatedTests...)
	if len(tests) > 0 && len(tests) != len(result.Cases) {
		t.Fatalf("%d results for %d tests", len(result.Cases), len(tests))
	}
	for i, test := range tests {
		if test.Result == nil {
			continue
		}
		want := "no policy decides"
		if id := test.Result.policyID(); id >= 0 {
			want = fmt.Sprintf("by policy %d ", id)
		}
		if got := result.Cases[i].Decision; !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", test.Name, got, want)
		}
	}
}

func TestSuiteReportsFailures(t *testing.T) {
	const suite = `{"policies":[{"id":5,"name":"open","resources":{"catalog":{"values":["c"]}},"policyItems":[{"accesses":[{"type":"select"}],"users":["ann"]}]}],
		"tests":[{"name":"wrong","request":{"resource":{"elements":{"catalog":"c"}},"accessType":"select","user":"ann"},"result":{"isAllowed":false}},
			{"name":"right","request":{"resource":{"elements":{"catalog":"d"}},"accessType":"select","user":"ann"},"result":{"isAllowed":false}},
			{"name":"bad time","request":{"accessTime":"noon"},"result":{"isAllowed":false}}]}`
	r, err := Run([]byte(suite), "mine.json", Options{Scripts: script.Compile})
	if err != nil || r.Passed != 1 || r.Failed != 2 {
		t.Fatalf("%d passed, %d failed, error %v; want 1 and 2", r.Passed, r.Failed, err)
	}
	if c := r.Cases[0]; c.Problem != "want not allowed, got allowed" || c.Decision != `allowed by policy 5 "open", policyItems[0] for select to user ann` {
		t.Errorf("case %+v", c)
	}
	for name, doc := range map[string]string{
		"neither format": `{"policies":[]}`, "not JSON": `{`, "tags without a reader": `{"tests":[],"serviceDef":{"name":"x","contextEnrichers":[{"enricherOptions":{"serviceTagsFileName":"t.json"}}]}}`,
		"bad delta": `{"tests":[],"updatedPolicies":{"policyDeltas":[{"changeType":7,"policy":{"id":1}}]}}`, "no policies": `{"testCases":[{"name":"x"}]}`,
	} {
		if _, err := Run([]byte(doc), "mine.json", Options{Scripts: script.Compile}); policy.CodeOf(err) != policy.CodeInvalid || !strings.HasPrefix(err.Error(), "mine.json: ") {
			t.Errorf("%s: error %v, want one of class invalid that begins with the file", name, err)
		}
	}
}
