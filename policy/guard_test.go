package policy_test

import (
	"testing"
	"time"

	"ucwarden/policy"
)

func TestGuards(t *testing.T) {
	plan := func(removes, managed int) *policy.Plan {
		return &policy.Plan{Totals: policy.Totals{Removes: removes, Managed: managed}}
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	approved := plan(0, 0).Digest() // plans without changes have one digest
	revokes := policy.RevokeGuard{Max: 10, MaxRatio: 0.2}
	listing := policy.ShrunkenListingGuard{MaxLoss: 0.5, MinLast: 10}
	stale := policy.StalePolicyGuard{MaxAge: time.Hour}
	for _, test := range []struct {
		name  string
		guard policy.Guard
		plan  *policy.Plan
		in    policy.GuardInput
		want  bool // refused
	}{
		{"revokes: at the number", revokes, plan(10, 10), policy.GuardInput{}, false},
		{"revokes: at the ratio", revokes, plan(20, 100), policy.GuardInput{}, false},
		{"revokes: above both", revokes, plan(21, 100), policy.GuardInput{}, true},
		{"revokes: approved", revokes, plan(21, 100), policy.GuardInput{Approved: approved}, false},
		{"revokes: another plan approved", revokes, plan(21, 100), policy.GuardInput{Approved: "0000000000000000"}, true},
		{"revokes: together with earlier ones", revokes, plan(9, 40), policy.GuardInput{RevokedBefore: 9, ManagedBefore: 40}, true},
		{"revokes: together at the ratio", revokes, plan(9, 40), policy.GuardInput{RevokedBefore: 7, ManagedBefore: 40}, false},
		{"revokes: too many by itself, however much there was before", revokes, plan(21, 100), policy.GuardInput{ManagedBefore: 9999}, true},
		{"revokes: none here", revokes, plan(0, 100), policy.GuardInput{RevokedBefore: 50, ManagedBefore: 100}, false},
		{"listing: never seen before", listing, plan(1, 1), policy.GuardInput{Listed: 1}, false},
		{"listing: half is gone", listing, plan(1, 1), policy.GuardInput{Listed: 50, LastTime: 100}, false},
		{"listing: more than half is gone", listing, plan(1, 1), policy.GuardInput{Listed: 49, LastTime: 100}, true},
		{"listing: nothing is revoked", listing, plan(0, 1), policy.GuardInput{Listed: 1, LastTime: 100}, false},
		{"listing: too small to judge", listing, plan(1, 1), policy.GuardInput{Listed: 2, LastTime: 9}, false},
		{"listing: small and empty", listing, plan(1, 1), policy.GuardInput{Listed: 1, LastTime: 2}, true},
		{"listing: approved", listing, plan(1, 1), policy.GuardInput{Listed: 1, LastTime: 100, Approved: approved}, false},
		{"stale: confirmed an hour ago", stale, plan(1, 1), policy.GuardInput{Policies: 1, Now: now, FetchedAt: now.Add(-time.Hour)}, false},
		{"stale: longer ago", stale, plan(1, 1), policy.GuardInput{Policies: 1, Now: now, FetchedAt: now.Add(-time.Hour - 1)}, true},
		{"stale: nothing is revoked", stale, plan(0, 1), policy.GuardInput{Policies: 1, Now: now, FetchedAt: now.Add(-9 * time.Hour)}, false},
		{"stale: a source without times", stale, plan(1, 1), policy.GuardInput{Policies: 1, Now: now}, false},
		{"stale: no policies", stale, plan(1, 1), policy.GuardInput{Now: now, FetchedAt: now}, true},
		{"stale: approved", stale, plan(1, 1), policy.GuardInput{Now: now, Approved: approved}, false},
	} {
		err := policy.CheckAll([]policy.Guard{test.guard}, test.plan, test.in)
		if refused := policy.CodeOf(err) == policy.CodeRefused; refused != test.want || (err != nil) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
