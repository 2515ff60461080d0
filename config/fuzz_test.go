package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ucwarden/config"
)

// Whatever the file holds, a load ends, and either returns a configuration with every setting or reports a problem.
func FuzzLoad(f *testing.F) {
	f.Add("", "")
	f.Add(vars, "UCWARDEN_LOG_LEVEL=debug")
	f.Add("a: &a [*a]\nsync: {interval: 1h}\n", "")
	f.Add("a: &a {b: *a}\n", "")
	f.Add("a: &a [x,x,x]\nb: &b {c: *a, d: *a}\ne: {f: *b, g: *b}\n", "CONNECTOR_DATABRICKS_UNITY_CATALOG_GRANT_UPDATES=0")
	f.Add("? {a: b}\n: c\n", "UCWARDEN_=1")
	f.Add("scope: {protected: [1, 2.5, true, null, 2026-01-01]}\n", "UCWARDEN_SYNC_INTERVAL=9999999999d")
	f.Add(strings.Repeat("a: {", 200)+strings.Repeat("}", 200), "")
	path := filepath.Join(f.TempDir(), "ucwarden.yaml")
	f.Fuzz(func(t *testing.T, file, variable string) {
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(config.Options{File: path, Environ: []string{variable}})
		switch {
		case err != nil && strings.TrimSpace(err.Error()) == "", err == nil && c == nil:
			t.Fatalf("error %q, configuration %v", err, c)
		case c != nil && len(c.Settings()) != len(config.Keys()):
			t.Fatalf("%d settings", len(c.Settings()))
		}
	})
}
