package connector

import (
	"context"
	"time"

	"ucwarden/policy"
)

// validityPrecision is how exactly the openings and closings of validity schedules are met.
const validityPrecision = 200 * time.Millisecond

// WatchValidity calls changed, until ctx ends, with the shards that it concerns when a validity schedule has opened or
// closed: what it ends is to be revoked at once, not at the next full sync. It looks at the clock itself, so that it also
// notices what happened while this process did not run, and a clock that is set. An error of changed, or of listing the
// shards, is logged, and it is tried again.
func (s *Syncer) WatchValidity(ctx context.Context, changed func(context.Context, []policy.Securable) error) {
	tick := time.NewTicker(validityPrecision)
	defer tick.Stop()
	var seen generation
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		g, err := s.current()
		if err != nil || seen.rules != nil && !g.rules.Scheduled() {
			continue // no policies yet, or none with a schedule; at first, one may have ended for good
		}
		if seen.rules == g.rules && seen.open == g.open {
			continue
		}
		if seen.rules != nil && seen.rules != g.rules {
			seen = g // other policies: that is synced as such
			continue
		}
		if err := s.validityChanged(ctx, changed); err != nil {
			s.Logger.WarnContext(ctx, "cannot sync what a validity schedule concerns; it is tried again", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(5 * validityPrecision):
			}
			continue
		}
		seen = g
	}
}

// validityChanged finds the shards that were in sync before, and are not by what is open now.
func (s *Syncer) validityChanged(ctx context.Context, changed func(context.Context, []policy.Securable) error) error {
	shards, _, err := s.shards(ctx)
	if err != nil {
		return err
	}
	bases, err := s.memory.bases()
	if err != nil {
		return err
	}
	concerned, err := s.Concerned(shards)
	if err != nil {
		return err
	}
	var known []policy.Securable // the others wait for their first full sync
	for _, shard := range concerned {
		if bases[shard.String()] != "" {
			known = append(known, shard)
		}
	}
	if len(known) == 0 {
		return nil
	}
	return changed(ctx, known)
}
