package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"ucwarden/config"
	"ucwarden/policy/ranger"
)

// What the README shows works: its configuration loads, its policy parses. Its exit codes: see exit_test.go.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(data)
	block := func(language string) string {
		m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindStringSubmatch(readme)
		if m == nil {
			t.Fatalf("no %s block", language)
		}
		return m[1]
	}

	file := filepath.Join(t.TempDir(), "ucwarden.yaml")
	if err := os.WriteFile(file, []byte(block("yaml")), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Options{File: file, Environ: []string{"UCWARDEN_DATABRICKS_CLIENT_SECRET=x"}})
	if err != nil || len(c.Warnings()) > 0 || !c.ServesAPI() {
		t.Errorf("the configuration: %v %v", err, c)
	}
	if _, _, err := ranger.ParsePolicies([]byte(block("json")), "README.md"); err != nil {
		t.Errorf("the policy: %v", err)
	}
}
