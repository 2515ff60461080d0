package connector

import (
	"bytes"
	"context"

	"ucwarden/connector/drift"
	"ucwarden/connector/load"
	"ucwarden/connector/memory"
	"ucwarden/policy"
)

// noteDrift notes in the causes of changes, and of what the mode leaves, what others did, and, of the plan of one shard, what holds once it
// is applied. In mode observe policies that changed stay to be enforced, so that what they no longer ask for is not told from drift.
func (r *run) noteDrift(ctx context.Context, found *load.Found, changes, left []policy.Change) {
	records := make(map[policy.Securable]drift.Record)
	recordOf := func(s policy.Securable) drift.Record {
		shard := memory.ShardOf(s)
		if _, loaded := records[shard]; !loaded {
			record, err := r.memory.Granted(shard)
			if err != nil {
				r.Logger.WarnContext(ctx, "cannot read what was granted before; what others revoked is not told from what is new", "securable", shard.String(), "error", err)
			}
			records[shard] = record
		}
		return records[shard]
	}
	for _, list := range [][]policy.Change{changes, left} {
		drift.Note(list, r.wanted, recordOf, r.Mode != policy.ModeObserve)
	}
	r.granted = nil
	if roots := r.request.Roots; len(roots) == 1 && memory.IsShard(roots[0]) {
		if record := drift.NewRecord(found.Read, r.wanted); !bytes.Equal(record, recordOf(roots[0])) {
			r.granted = record
		}
	}
	r.wanted = nil
}

// changesOf returns the changes that would revoke grants, which come sorted by securable.
func changesOf(notRevoked []policy.Grant) (list []policy.Change) {
	for _, g := range notRevoked {
		if n := len(list); n == 0 || list[n-1].Securable != g.Securable {
			list = append(list, policy.Change{Securable: g.Securable})
		}
		c := &list[len(list)-1]
		c.Remove = append(c.Remove, policy.Assignment{Principal: g.Principal, Privilege: g.Privilege})
	}
	return list
}

// noteGranted keeps what holds in a shard of which a plan was applied, but for what failed; nil is what held before.
func (r *run) noteGranted(ctx context.Context, roots []policy.Securable, granted drift.Record, result *Result) {
	if len(roots) != 1 || !memory.IsShard(roots[0]) {
		return
	}
	var failed []policy.Securable
	for _, o := range result.Outcomes {
		if o.Err != nil || o.Gone || len(o.Unknown) > 0 {
			failed = append(failed, o.Change.Securable)
		}
	}
	if granted == nil {
		if len(failed) == 0 {
			return
		}
		var err error
		if granted, err = r.memory.Granted(roots[0]); err != nil {
			granted = nil // nothing is known, then
		}
	}
	r.keepGranted(ctx, roots[0], granted.Without(failed))
}

// keepGranted keeps what holds in a shard; nil forgets it.
func (s *Syncer) keepGranted(ctx context.Context, shard policy.Securable, granted drift.Record) {
	if err := s.memory.SaveGranted(shard, granted); err != nil {
		s.Logger.WarnContext(ctx, "cannot keep what was granted; what others revoke is not told from what is new", "securable", shard.String(), "error", err)
	}
}
