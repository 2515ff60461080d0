package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"ucwarden/config"
)

// planSections are the parts of the configuration that decide what a plan holds, and whether a guard lets it pass.
var planSections = []string{"scope", "principals", "policies", "protection", "guard", "sync.mode", "sync.grant_updates", "databricks.host", "databricks.warehouse"}

// planSettings identifies the settings by which plans are made, and who we are: a plan that is stored when the process stops is made
// anew where the next one has others. A shard planned in mode observe must not be applied in mode grant-only.
func planSettings(c *config.Config, self string) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q\n", self)
	for _, s := range c.Settings() {
		if s.Type != config.TypeSecret && slices.ContainsFunc(planSections, func(part string) bool { return s.Key == part || strings.HasPrefix(s.Key, part+".") }) {
			fmt.Fprintf(sum, "%s %q\n", s.Key, s.Text())
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
