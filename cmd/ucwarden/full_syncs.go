package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"ucwarden/connector/tasks"
	"ucwarden/ondemand"
	"ucwarden/policy"
)

// fullSyncs keeps how many of the last full syncs failed, for readiness.
type fullSyncs struct {
	mu     sync.Mutex
	failed int
	since  time.Time // the end of the first of them
	last   string    // the task of the last of them
	whole  bool      // one of them was not for a change of the policies, and so about everything
}

// maxFailedShown is how many failed full syncs are told apart from more of them.
const maxFailedShown = 100

// recall notes the full syncs that the store has.
func (f *fullSyncs) recall(list func(context.Context, ondemand.Filter) (ondemand.Page, error)) error {
	page, err := list(context.Background(), ondemand.Filter{Type: ondemand.FullSync, Limit: maxFailedShown})
	for _, t := range slices.Backward(page.Items) { // the newest come first
		f.ended(&t)
	}
	return err
}

// ended notes the end of a task. A full sync for a change of the policies takes only the catalogs that it concerns, so that its success says
// nothing about a failure of one that was about everything.
func (f *fullSyncs) ended(t *ondemand.Task) {
	if t.Type != ondemand.FullSync {
		return
	}
	whole := t.Source != tasks.SourcePolicyChange
	f.mu.Lock()
	defer f.mu.Unlock()
	switch t.Status {
	case ondemand.Failed:
		if f.failed++; f.failed == 1 {
			f.since = t.EndTime
		}
		f.last, f.whole = t.ID, f.whole || whole
	case ondemand.Success:
		if whole || !f.whole {
			f.failed, f.whole = 0, false
		}
	}
}

// problem is the readiness check of full syncs. Anybody may ask for it, so why they failed is left to those who may see tasks.
func (f *fullSyncs) problem(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	const ask = "'ucwarden task get %s' says why"
	switch {
	case f.failed == 0:
		return nil
	case f.failed == 1:
		return policy.Errorf(policy.CodeUnavailable, "the last full sync failed, at %s: "+ask, f.since.Format(time.RFC3339), f.last)
	case f.failed >= maxFailedShown:
		return policy.Errorf(policy.CodeUnavailable, "the last %d full syncs and more failed: "+ask, maxFailedShown, f.last)
	}
	return policy.Errorf(policy.CodeUnavailable, "the last %d full syncs failed, since %s: "+ask, f.failed, f.since.Format(time.RFC3339), f.last)
}
