package queue

import (
	"context"
	"encoding/json"
	"fmt"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// pauseKey is where the store keeps the [Pause] of its queue.
const pauseKey = "ondemand/pause"

// Pause keeps jobs from beginning until [Queue.Resume], also after a restart, and returns since when. What runs goes on to
// its end; tasks are stored and admitted as ever.
func (q *Queue) Pause(_ context.Context, by string) (ondemand.Pause, error) {
	q.pausing.Lock()
	defer q.pausing.Unlock()
	if p := q.Paused(); p != nil {
		return *p, nil
	}
	p := ondemand.Pause{Since: q.now(), By: by}
	data, err := json.Marshal(p)
	if err != nil {
		return ondemand.Pause{}, fmt.Errorf("pause the queue: %w", err)
	}
	if err := q.store.Save(pauseKey, data); err != nil {
		return ondemand.Pause{}, fmt.Errorf("pause the queue: %w", err)
	}
	q.setPause(&p)
	q.log.Warn("the pipeline is paused: no task begins until it is resumed", "by", by)
	return p, nil
}

// Resume lets jobs begin again after [Queue.Pause].
func (q *Queue) Resume(_ context.Context, by string) error {
	q.pausing.Lock()
	defer q.pausing.Unlock()
	if q.Paused() == nil {
		return nil
	}
	if err := q.store.Save(pauseKey, nil); err != nil {
		return fmt.Errorf("resume the queue: %w", err)
	}
	q.setPause(nil)
	q.log.Warn("the pipeline is resumed", "by", by)
	return nil
}

// Paused returns since when no job begins; nil when they do.
func (q *Queue) Paused() *ondemand.Pause {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.paused
}

func (q *Queue) setPause(p *ondemand.Pause) {
	q.mu.Lock()
	q.paused = p
	q.mu.Unlock()
	signal(q.wakeDispatch)
}

// loadPause reads whether an earlier process was paused.
func (q *Queue) loadPause() error {
	data, err := q.store.Load(pauseKey)
	if err != nil || data == nil {
		return err
	}
	var p ondemand.Pause
	if err := json.Unmarshal(data, &p); err != nil {
		return policy.Errorf(policy.CodeInternal, "read since when the queue is paused: %w", err)
	}
	q.paused = &p
	return nil
}
