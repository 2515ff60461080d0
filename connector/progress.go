package connector

import (
	"sync"

	"ucwarden/policy"
)

// joinedProgress adds up the progress of shards that are planned side by side.
type joinedProgress struct {
	request Request
	mu      sync.Mutex
	at      map[policy.Securable]Progress
}

func newJoinedProgress(r Request) *joinedProgress {
	return &joinedProgress{request: r, at: make(map[policy.Securable]Progress)}
}

// of returns what a shard reports its progress to; nil where nobody looks.
func (j *joinedProgress) of(shard policy.Securable) func(Progress) {
	if j.request.Progress == nil {
		return nil
	}
	return func(p Progress) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.at[shard] = p
		sum := Progress{Phase: p.Phase}
		for _, at := range j.at {
			if at.Phase == p.Phase {
				sum.Done, sum.Total = sum.Done+at.Done, sum.Total+at.Total
			}
		}
		j.request.Progress(sum)
	}
}
