package connector

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ucwarden/connector/memory"
	"ucwarden/policy"
)

// validityPrecision is how exactly the openings and closings of validity schedules are met.
const validityPrecision = 200 * time.Millisecond

// WatchValidity calls changed, until ctx ends, when a validity schedule has opened or closed since some shard was brought
// into sync: what it ends is to be revoked at once, not at the next full sync. It looks at the clock itself, so that it also
// notices what happened while this process did not run, and a clock that is set. An error of changed is logged, and it is
// called again.
func (s *Syncer) WatchValidity(ctx context.Context, changed func(context.Context) error) {
	tick := time.NewTicker(validityPrecision)
	defer tick.Stop()
	var seen generation
	var noted uint64
	asked := make(map[policy.Securable]string) // by shard, between which openings
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		g, err := s.current()
		now := s.memory.Noted()
		if err != nil || seen.rules == g.rules && seen.open == g.open && noted == now {
			continue
		}
		passed, err := s.passed(g)
		ask := false
		for _, p := range passed {
			between := fmt.Sprintf("%p %s %s", g.rules, p.open, g.open)
			ask = ask || asked[p.shard] != between
			asked[p.shard] = between
		}
		if err == nil && ask {
			err = changed(ctx)
		}
		if err != nil {
			clear(asked)
			s.Logger.WarnContext(ctx, "cannot sync what a validity schedule concerns; it is tried again", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(5 * validityPrecision):
			}
			continue
		}
		seen, noted = g, now
	}
}

// passedShard is a shard that was last brought into sync while other validity schedules were open than now.
type passedShard struct {
	shard policy.Securable
	last  memory.LastSync
	open  string // then, of the policies in force now
}

// passed returns the shards for which a validity schedule opened or closed since they were brought into sync, sorted.
// Shards that never were wait for their first sync.
func (s *Syncer) passed(g generation) ([]passedShard, error) {
	if !g.rules.Scheduled() {
		return nil, nil
	}
	all, err := s.memory.LastSyncs()
	if err != nil {
		return nil, err
	}
	var list []passedShard
	for name, last := range all {
		shard, ok := memory.ParseShard(name)
		if !ok || last.At.IsZero() {
			continue
		}
		if open := g.rules.OpenAt(last.At); open != g.open {
			list = append(list, passedShard{shard, last, open})
		}
	}
	slices.SortFunc(list, func(a, b passedShard) int { return a.shard.Compare(b.shard) })
	return list, nil
}
