package main

import (
	"strings"
	"testing"

	"ucwarden/config"
)

// What a plan depends on is told apart by its settings, and what it does not depend on is not: a stored plan is applied by a process
// with the same settings alone.
func TestPlanSettings(t *testing.T) {
	token := "x"
	of := func(self string, settings ...string) string {
		t.Helper()
		o := config.Options{Environ: []string{"UCWARDEN_DATABRICKS_TOKEN=" + token}}
		for _, s := range append([]string{"databricks.host=https://w", "policies.path=p"}, settings...) {
			key, value, _ := strings.Cut(s, "=")
			o.Flags = append(o.Flags, config.Flag{Key: key, Value: value, Name: "--set"})
		}
		c, err := config.Load(o)
		if err != nil {
			t.Fatal(err)
		}
		return planSettings(c, self)
	}
	base := of("me")
	seen := map[string]string{base: "nothing"}
	for _, setting := range []string{
		"sync.mode=observe", "sync.mode=grant-only", "sync.grant_updates=false", "scope.catalogs.include=sales", "scope.users.exclude=bob*", "scope.protected=ann",
		"scope.privileges.table.exclude=MODIFY", "guard.max_revokes=0", "policies.deny_strategy=withhold", "principals.group_prefix=g_", "databricks.warehouse=w1",
		"databricks.host=https://other", "protection.else=closed",
	} {
		got := of("me", setting)
		if before, same := seen[got]; same {
			t.Errorf("%s and %s: the same settings", setting, before)
		}
		seen[got] = setting
	}
	if of("somebody else") == base {
		t.Error("a plan of one identity is applied by another")
	}
	token = "y" // a new one is no other setting
	for _, setting := range []string{"log.level=debug", "apiserver.enabled=true", "ondemand.workers=3", "sync.interval=2h", "audit.keep=3"} {
		if of("me", setting) != base {
			t.Errorf("%s: plans are made anew for it", setting)
		}
	}
}
