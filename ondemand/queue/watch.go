package queue

import (
	"context"
	"slices"

	"ucwarden/ondemand"
)

// watch returns a channel that receives a value after the task changes, until stop is called.
func (q *Queue) watch(id string) (woken <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.watchers[id] == nil {
		q.watchers[id] = make(map[chan struct{}]struct{})
	}
	q.watchers[id][c] = struct{}{}
	return c, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if delete(q.watchers[id], c); len(q.watchers[id]) == 0 {
			delete(q.watchers, id)
		}
	}
}

// Wait waits for the task to end and returns it. When ctx ends first, Wait returns the task as it is, with ctx's error.
func (q *Queue) Wait(ctx context.Context, id string) (ondemand.Task, error) {
	woken, stop := q.watch(id)
	defer stop()
	for {
		t, err := q.Get(ctx, id)
		if err != nil || t.Status.Terminal() && !q.isLive(id) {
			return t, err
		}
		select {
		case <-ctx.Done():
			return t, ctx.Err()
		case <-woken:
		}
	}
}

// isLive reports whether memory still has the task as not ended. Memory is updated just after the store, and a caller
// that waited for the end must not find the task still active ([Queue.HasActive]).
func (q *Queue) isLive(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, live := q.live.byID[id]
	return live
}

// Subscribe sends the task as it is now and again after each change, and closes the channel when it has ended or ctx
// is done. A slow reader may miss states in between, but never the last one; Task.Transitions has them all. Subscribe
// returns an error of class not found when there is no such task.
func (q *Queue) Subscribe(ctx context.Context, id string) (<-chan ondemand.Task, error) {
	woken, stop := q.watch(id)
	t, err := q.Get(ctx, id)
	if err != nil {
		stop()
		return nil, err
	}
	c := make(chan ondemand.Task)
	go func() {
		defer stop()
		defer close(c)
		for {
			select {
			case c <- t:
			case <-ctx.Done():
				return
			}
			if t.Status.Terminal() {
				return
			}
			for sent := t; !changed(&sent, &t); {
				select {
				case <-woken:
				case <-ctx.Done():
					return
				}
				if t, err = q.Get(ctx, id); err != nil {
					return // purged, or the store is closed
				}
			}
		}
	}()
	return c, nil
}

// changed reports whether two states of a task differ: several changes in one commit notify a watcher more than once.
func changed(a, b *ondemand.Task) bool {
	return a.Status != b.Status || !slices.Equal(a.Transitions, b.Transitions) ||
		(a.Children == nil) != (b.Children == nil) || a.Children != nil && *a.Children != *b.Children
}
