package lint

import (
	"testing"

	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/compile"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
)

// Whatever policies say, lint ends, with the objects of a workspace and without: also of types of policies that nobody knows.
func TestLintOfOddWorlds(t *testing.T) {
	policytest.CheckWorlds(t, 300, func(t *rapid.T) {
		w := policytest.DrawOddWorld(t)
		for policies := range w.Snapshot.PolicyLists() {
			for i := range policies {
				if rapid.IntRange(0, 5).Draw(t, "another type") == 0 {
					policies[i].PolicyType = rapid.SampledFrom([]ranger.PolicyType{-1, 0, 1, 2, 3, 1 << 40}).Draw(t, "type")
				}
			}
		}
		for _, inventory := range []*policy.Inventory{nil, policy.NewInventory(w.Listed...)} {
			Run(w.Snapshot, Options{Names: policytest.Names, Compile: compile.Options{Time: lintTime}, Inventory: inventory})
		}
	})
}
