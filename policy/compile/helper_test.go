package compile

import (
	"pgregory.net/rapid"

	"ucwarden/policy"
	"ucwarden/policy/policytest"
	"ucwarden/policy/ranger"
	"ucwarden/policy/rules"
)

func compilerOf(s *ranger.Snapshot) *Compiler {
	return New(policytest.Rules(s, rules.NameMapping{}), Options{})
}

// compileOf reads a snapshot and compiles it.
func compileOf(s *ranger.Snapshot, inv *policy.Inventory, o Options, names rules.NameMapping) *Result {
	return New(policytest.Rules(s, names), o).Compile(inv)
}

// compileWorld compiles a world by a random strategy, with memberships known or not.
func compileWorld(t *rapid.T, w *policytest.World) (*Result, Options, bool) {
	known := rapid.Bool().Draw(t, "membership known")
	if known {
		w.Snapshot.Users = &ranger.UserStore{UserGroupMapping: w.GroupsOf}
	}
	o := Options{
		Deny: []DenyStrategy{rapid.SampledFrom([]DenyStrategy{DenyWithhold, DenyExpand}).Draw(t, "strategy")},
	}
	return compileOf(w.Snapshot, policy.NewInventory(w.Listed...), o, policytest.Names), o, known
}
