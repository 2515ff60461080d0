package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// policyTest runs ucwarden policy test.
func policyTest(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(append([]string{"policy", "test"}, args...), nil, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// Apache Ranger's suites, and documents beside them that hold no tests, go through the command as they are.
func TestPolicyTestRunsRangerSuites(t *testing.T) {
	folder := filepath.Join("..", "..", "..", "shared", "ranger")
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Skipf("Ranger's suites are not in %s", folder)
	}
	code, stdout, stderr := policyTest(t, folder)
	if code != exitOK || stderr != "" || !regexp.MustCompile(`(?m)^[1-9][0-9]* passed, 0 failed\n\z`).MatchString(stdout) {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, file := range files {
		_, stdout, _ := policyTest(t, file)
		suite := strings.HasPrefix(filepath.Base(file), "test_")
		if none := strings.Contains(stdout, "holds no tests"); none == suite {
			t.Errorf("%s: %s", filepath.Base(file), stdout)
		}
	}
}

// The suite that the README shows is one of the sample suites, and runs as it says.
func TestReadmeSuite(t *testing.T) {
	const file = "demo/suites/intern.json"
	suite, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := policyTest(t, file)
	if code != exitOK || stdout != "2 passed, 0 failed\n" {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(readme), "\n## Testing policies\n")
	if !found {
		t.Fatal("the README has no section on testing policies")
	}
	if !strings.Contains(section, "```json\n"+string(suite)+"```") || !strings.Contains(section, stdout) {
		t.Errorf("the section does not show %s and its outcome", file)
	}
}
