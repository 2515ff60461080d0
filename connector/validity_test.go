package connector_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"ucwarden/connector"
	"ucwarden/policy"
	"ucwarden/policy/ranger"
)

// What was brought into sync by other validities than those that are open now, before a restart or a moment ago, is synced
// at once; what is in sync is left alone, and a failure is tried again.
func TestWatchValidity(t *testing.T) {
	state := &memory{}
	scheduled := allow("table:hr.core.staff", "bob@example.com", "select")
	scheduled.ValiditySchedules = []ranger.ValiditySchedule{{StartTime: "2001/01/01 00:00:00", EndTime: "2099/01/01 00:00:00"}}
	policies := []ranger.Policy{scheduled, allow("table:sales.emea.orders", "bob@example.com", "select")}
	r := newRig(t, rigOptions{syncer: connector.Options{State: state}}, policies...)
	r.sync()

	hr := sec(t, "catalog:hr")
	left, err := r.Concerned([]policy.Securable{hr, sec(t, "catalog:sales"), {Type: policy.Metastore}})
	if err != nil || len(left) > 0 {
		t.Fatalf("%v: concerned although in sync: %v", err, left)
	}
	// Now the same with the policy's end behind us: only the catalog that it is about is concerned.
	policies[0].ValiditySchedules[0].EndTime = "2002/01/01 00:00:00"
	ended := newRig(t, rigOptions{syncer: connector.Options{State: state}}, policies...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var calls []string
	ended.WatchValidity(ctx, func(_ context.Context, shards []policy.Securable) error {
		calls = append(calls, strings.Join(spell(shards), " "))
		if len(calls) == 1 {
			return errors.New("not now")
		}
		cancel()
		return nil
	})
	if got := strings.Join(calls, ", "); got != "CATALOG:hr, CATALOG:hr" {
		t.Errorf("synced %q", got)
	}
}
