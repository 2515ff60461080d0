package guard_test

import (
	"testing"
	"time"

	"ucwarden/policy"
	"ucwarden/policy/guard"
)

func TestGuards(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const digest = "0123456789abcdef"
	revokes := guard.Revokes{Max: 100, MaxRatio: 0.6}
	byNumber := guard.Revokes{Max: 100, MaxRatio: 1}
	listing := guard.ShrunkenListing{MaxLoss: 0.5, MinLast: 10}
	stale := guard.StalePolicies{MaxAge: time.Hour}
	for _, test := range []struct {
		name             string
		guard            guard.Guard
		removes, managed int
		in               guard.Input
		want             bool
	}{
		{"revokes: at the number", revokes, 100, 1000, guard.Input{}, false},
		{"revokes: above the number, a small share", revokes, 101, 1000, guard.Input{}, true},
		{"revokes: at the ratio", revokes, 60, 100, guard.Input{}, false},
		{"revokes: above the ratio, a small number", revokes, 61, 100, guard.Input{}, true},
		{"revokes: ten are never too large a share", revokes, 10, 10, guard.Input{}, false},
		{"revokes: eleven of eleven", revokes, 11, 11, guard.Input{}, true},
		{"revokes: more than half at first contact", revokes, 51, 100, guard.Input{FirstContact: true}, true},
		{"revokes: half at first contact", revokes, 50, 100, guard.Input{FirstContact: true}, false},
		{"revokes: ten of ten at first contact", revokes, 10, 10, guard.Input{FirstContact: true}, false},
		{"revokes: ratio 1 switches shares off", byNumber, 100, 100, guard.Input{FirstContact: true}, false},
		{"revokes: ratio 1 keeps the number", byNumber, 101, 100000, guard.Input{}, true},
		{"revokes: no number allowed", guard.Revokes{Max: 0, MaxRatio: 1}, 1, 100000, guard.Input{}, true},
		{"revokes: approved", revokes, 101, 101, guard.Input{Approved: digest}, false},
		{"revokes: another plan approved", revokes, 101, 101, guard.Input{Approved: "0000000000000000"}, true},
		{"revokes: together with earlier ones", revokes, 60, 100, guard.Input{RevokedBefore: 61, ManagedBefore: 100}, true},
		{"revokes: together many, but a small share", revokes, 60, 100, guard.Input{RevokedBefore: 61, ManagedBefore: 200}, false},
		{"revokes: none here", revokes, 0, 100, guard.Input{RevokedBefore: 500, ManagedBefore: 500}, false},
		{"listing: never seen before", listing, 1, 1, guard.Input{Listed: 1}, false},
		{"listing: half is gone", listing, 1, 1, guard.Input{Listed: 50, LastTime: 100}, false},
		{"listing: more than half is gone", listing, 1, 1, guard.Input{Listed: 49, LastTime: 100}, true},
		{"listing: nothing is revoked", listing, 0, 1, guard.Input{Listed: 1, LastTime: 100}, false},
		{"listing: too small to judge", listing, 1, 1, guard.Input{Listed: 2, LastTime: 9}, false},
		{"listing: small and empty", listing, 1, 1, guard.Input{Listed: 1, LastTime: 2}, true},
		{"listing: approved", listing, 1, 1, guard.Input{Listed: 1, LastTime: 100, Approved: digest}, false},
		{"stale: confirmed an hour ago", stale, 1, 1, guard.Input{Policies: 1, Now: now, FetchedAt: now.Add(-time.Hour)}, false},
		{"stale: longer ago", stale, 1, 1, guard.Input{Policies: 1, Now: now, FetchedAt: now.Add(-time.Hour - 1)}, true},
		{"stale: nothing is revoked", stale, 0, 1, guard.Input{Policies: 1, Now: now, FetchedAt: now.Add(-9 * time.Hour)}, false},
		{"stale: a source without times", stale, 1, 1, guard.Input{Policies: 1, Now: now}, false},
		{"stale: no policies", stale, 1, 1, guard.Input{Now: now, FetchedAt: now}, true},
		{"stale: approved", stale, 1, 1, guard.Input{Now: now, Approved: digest}, false},
	} {
		test.in.Totals, test.in.Digest = policy.Totals{Removes: test.removes, Managed: test.managed}, digest
		err := guard.CheckAll([]guard.Guard{test.guard}, test.in)
		if refused := policy.CodeOf(err) == policy.CodeRefused; refused != test.want || (err != nil) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
