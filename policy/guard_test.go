package policy_test

import (
	"testing"
	"time"

	"ucwarden/policy"
)

func TestGuards(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const digest = "0123456789abcdef"
	revokes := policy.RevokeGuard{Max: 100, MaxRatio: 0.6}
	byNumber := policy.RevokeGuard{Max: 100, MaxRatio: 1}
	listing := policy.ShrunkenListingGuard{MaxLoss: 0.5, MinLast: 10}
	stale := policy.StalePolicyGuard{MaxAge: time.Hour}
	for _, test := range []struct {
		name             string
		guard            policy.Guard
		removes, managed int
		in               policy.GuardInput
		want             bool
	}{
		{"revokes: at the number", revokes, 100, 1000, policy.GuardInput{}, false},
		{"revokes: above the number, a small share", revokes, 101, 1000, policy.GuardInput{}, true},
		{"revokes: at the ratio", revokes, 60, 100, policy.GuardInput{}, false},
		{"revokes: above the ratio, a small number", revokes, 61, 100, policy.GuardInput{}, true},
		{"revokes: ten are never too large a share", revokes, 10, 10, policy.GuardInput{}, false},
		{"revokes: eleven of eleven", revokes, 11, 11, policy.GuardInput{}, true},
		{"revokes: more than half at first contact", revokes, 51, 100, policy.GuardInput{FirstContact: true}, true},
		{"revokes: half at first contact", revokes, 50, 100, policy.GuardInput{FirstContact: true}, false},
		{"revokes: ten of ten at first contact", revokes, 10, 10, policy.GuardInput{FirstContact: true}, false},
		{"revokes: ratio 1 switches shares off", byNumber, 100, 100, policy.GuardInput{FirstContact: true}, false},
		{"revokes: ratio 1 keeps the number", byNumber, 101, 100000, policy.GuardInput{}, true},
		{"revokes: no number allowed", policy.RevokeGuard{Max: 0, MaxRatio: 1}, 1, 100000, policy.GuardInput{}, true},
		{"revokes: approved", revokes, 101, 101, policy.GuardInput{Approved: digest}, false},
		{"revokes: another plan approved", revokes, 101, 101, policy.GuardInput{Approved: "0000000000000000"}, true},
		{"revokes: together with earlier ones", revokes, 60, 100, policy.GuardInput{RevokedBefore: 61, ManagedBefore: 100}, true},
		{"revokes: together many, but a small share", revokes, 60, 100, policy.GuardInput{RevokedBefore: 61, ManagedBefore: 200}, false},
		{"revokes: none here", revokes, 0, 100, policy.GuardInput{RevokedBefore: 500, ManagedBefore: 500}, false},
		{"listing: never seen before", listing, 1, 1, policy.GuardInput{Listed: 1}, false},
		{"listing: half is gone", listing, 1, 1, policy.GuardInput{Listed: 50, LastTime: 100}, false},
		{"listing: more than half is gone", listing, 1, 1, policy.GuardInput{Listed: 49, LastTime: 100}, true},
		{"listing: nothing is revoked", listing, 0, 1, policy.GuardInput{Listed: 1, LastTime: 100}, false},
		{"listing: too small to judge", listing, 1, 1, policy.GuardInput{Listed: 2, LastTime: 9}, false},
		{"listing: small and empty", listing, 1, 1, policy.GuardInput{Listed: 1, LastTime: 2}, true},
		{"listing: approved", listing, 1, 1, policy.GuardInput{Listed: 1, LastTime: 100, Approved: digest}, false},
		{"stale: confirmed an hour ago", stale, 1, 1, policy.GuardInput{Policies: 1, Now: now, FetchedAt: now.Add(-time.Hour)}, false},
		{"stale: longer ago", stale, 1, 1, policy.GuardInput{Policies: 1, Now: now, FetchedAt: now.Add(-time.Hour - 1)}, true},
		{"stale: nothing is revoked", stale, 0, 1, policy.GuardInput{Policies: 1, Now: now, FetchedAt: now.Add(-9 * time.Hour)}, false},
		{"stale: a source without times", stale, 1, 1, policy.GuardInput{Policies: 1, Now: now}, false},
		{"stale: no policies", stale, 1, 1, policy.GuardInput{Now: now, FetchedAt: now}, true},
		{"stale: approved", stale, 1, 1, policy.GuardInput{Now: now, Approved: digest}, false},
	} {
		test.in.Totals, test.in.Digest = policy.Totals{Removes: test.removes, Managed: test.managed}, digest
		err := policy.CheckAll([]policy.Guard{test.guard}, test.in)
		if refused := policy.CodeOf(err) == policy.CodeRefused; refused != test.want || (err != nil) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
