package queue

import (
	"context"
	"maps"
	"slices"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// inChunks calls fn for at most size ids at a time, each in a transaction of its own, and applies the changes that fn
// returns after the commit. A chunk for which fn returns an error of class conflict is skipped.
func (q *Queue) inChunks(ids []string, size int, fn func(tx *store.Tx, ids []string) ([]change, error)) error {
	for part := range slices.Chunk(ids, size) {
		var changes []change
		err := q.store.Update(func(tx *store.Tx) (err error) {
			if changes, err = fn(tx, part); err != nil {
				return err
			}
			return q.noteEnds(tx, changes)
		}, func() { q.apply(changes) })
		if err != nil && policy.CodeOf(err) != policy.CodeConflict {
			return err
		}
	}
	return nil
}

// admit moves tasks from NEW to WAITING, or to SKIPPED with the reason where they are not to be done, and brings those of the
// backlog to memory when there is room, until ctx ends.
func (q *Queue) admit(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.wakeAdmit:
		}
		if !q.gather(ctx) {
			return
		}
		ids, reasons, superseding := q.takePending()
		err := q.admitTasks(ids, reasons, superseding)
		if err != nil {
			q.requeuePending(ids)
		} else {
			err = q.refillAll(ctx)
		}
		if err != nil {
			q.log.Error("admitting tasks failed; trying again", "tasks", len(ids), "error", err)
			if !sleep(ctx, q.opts.RetryBase) {
				return
			}
			signal(q.wakeAdmit)
		}
	}
}

// sleep waits, and reports whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// gather waits until Options.AdmitWindow has passed since a task came, or Options.AdmitSize of them are there.
func (q *Queue) gather(ctx context.Context) bool {
	if q.opts.AdmitWindow == 0 || q.newTasks() == 0 {
		return true
	}
	timer := time.NewTimer(q.opts.AdmitWindow)
	defer timer.Stop()
	for q.newTasks() < q.opts.AdmitSize {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-q.wakeAdmit:
		}
	}
	return true
}

func (q *Queue) newTasks() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.pendingAdmission)
}

// admitTasks moves tasks that are NEW to WAITING, or those for which there is a reason to SKIPPED.
func (q *Queue) admitTasks(ids []string, reasons, superseding map[string]string) error {
	return q.inChunks(ids, q.opts.AdmitSize, func(tx *store.Tx, ids []string) ([]change, error) {
		var changes []change
		now := q.now()
		for _, id := range ids {
			t, found, err := records.Load(tx, id)
			if err != nil {
				return nil, err
			}
			reason := reasons[id]
			if !found || !t.Status.Queued() || reason == "" && t.Status == ondemand.Waiting {
				continue // claimed or cancelled meanwhile
			}
			var done []change
			if reason == "" {
				var c change
				c, err = moveTask(tx, t, ondemand.Waiting, reasonAdmitted, now)
				done = []change{c}
			} else {
				t.SupersededBy = superseding[id]
				t.StatusMessage, t.Resources = reason, resultsOf(&t, ondemand.SecurablesOf(t.RequestInfo.Resources), nil)
				if _, message := aggregateResults(t.Resources); message != "" && len(t.Resources) > 0 && t.Type == ondemand.ResourceSync {
					t.StatusMessage = message
				}
				done, err = endTask(tx, t, ondemand.Skipped, t.StatusMessage, now)
			}
			if err != nil {
				return nil, err
			}
			changes = append(changes, done...)
		}
		if len(changes) == 0 {
			return nil, policy.Errorf(policy.CodeConflict, "admit: nothing to do")
		}
		return changes, nil
	})
}

// refillAll brings tasks of the backlog to memory as long as there is room.
func (q *Queue) refillAll(ctx context.Context) error {
	for ctx.Err() == nil {
		q.mu.Lock()
		lanes := q.live.window.due(q.opts.AdmitSize)
		q.mu.Unlock()
		if len(lanes) == 0 {
			return nil
		}
		n, err := q.refillLanes(lanes)
		if n == 0 || err != nil { // none: they were cancelled or taken along meanwhile
			return err
		}
	}
	return nil
}

// refillLanes brings that many tasks of each lane to memory, and returns how many entries of the backlog it has used up.
func (q *Queue) refillLanes(lanes map[string]int) (n int, err error) {
	var changes []change
	err = q.store.Update(func(tx *store.Tx) error {
		n, changes = 0, nil
		for _, lane := range slices.Sorted(maps.Keys(lanes)) {
			more, used, err := q.refill(tx, lane, lanes[lane])
			if err != nil {
				return err
			}
			n += used
			changes = append(changes, more...)
		}
		return nil
	}, func() { q.apply(changes) })
	return n, err
}

// takePending empties pendingAdmission. It returns the ids of the tasks to admit, and the reason for each of them that
// is to be skipped, with the task that supersedes it.
func (q *Queue) takePending() (ids []string, reasons, superseding map[string]string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	reasons, superseding = make(map[string]string), make(map[string]string)
	for _, e := range q.pendingAdmission {
		if e.run != nil || q.live.byID[e.id] != e {
			continue
		}
		if e.skipReason != "" {
			reasons[e.id] = e.skipReason
		} else if o := q.live.supersededBy(e); o != nil {
			superseding[e.id] = o.id
			reasons[e.id] = "superseded by task " + o.id + ", a full sync that has not begun yet"
		} else if e.status == ondemand.Waiting {
			continue // admitted
		}
		ids = append(ids, e.id)
	}
	q.pendingAdmission = nil
	return ids, reasons, superseding
}

func (q *Queue) requeuePending(ids []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		if e := q.live.byID[id]; e != nil {
			q.pendingAdmission = append(q.pendingAdmission, e)
		}
	}
}

// purge removes tasks that ended longer than Options.Retention ago, repeatedly until ctx ends.
func (q *Queue) purge(ctx context.Context) {
	every := min(max(q.opts.Retention/10, time.Second), time.Hour)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		n, err := q.purgeBefore(q.now().Add(-q.opts.Retention))
		if err != nil {
			q.log.Error("removing ended tasks failed; trying again", "error", err)
		} else if n > 0 {
			q.log.Info("removed ended tasks", "tasks", n, "retention", q.opts.Retention)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// maxPurged bounds how many tasks one look for old ones collects.
const maxPurged = 10_000

// purgeBefore removes the tasks that ended before the cutoff and returns their number. A child is kept as long as its
// parent has not ended, because the parent counts it.
func (q *Queue) purgeBefore(cutoff time.Time) (int, error) {
	total := 0
	for _, s := range []ondemand.Status{ondemand.Success, ondemand.Failed, ondemand.Skipped} {
		for from, more := []byte(nil), true; more; more = from != nil {
			var ids []string
			err := q.store.View(func(tx *store.Tx) error { // tasks were received before they ended
				ids, from = records.ReceivedBefore(tx, s, cutoff, from, maxPurged)
				return nil
			})
			if err != nil {
				return total, err
			}
			n, err := q.purgeTasks(ids, cutoff)
			if total += n; err != nil {
				return total, err
			}
		}
	}
	return total, nil
}

// purgeTasks removes those of the tasks that ended before the cutoff.
func (q *Queue) purgeTasks(ids []string, cutoff time.Time) (int, error) {
	purged := make(map[string]bool)
	err := q.inChunks(ids, q.opts.AdmitSize, func(tx *store.Tx, ids []string) ([]change, error) {
		n := 0
		for _, id := range ids {
			t, found, err := records.Load(tx, id)
			if err != nil {
				return nil, err
			}
			if !found || !t.Status.Terminal() || !t.EndTime.Before(cutoff) {
				continue
			}
			if t.ParentID != "" {
				if parent, ok, err := records.Load(tx, t.ParentID); err != nil {
					return nil, err
				} else if ok && !parent.Status.Terminal() {
					continue
				}
			}
			if err := records.Delete(tx, &t); err != nil {
				return nil, err
			}
			purged[id] = true
			n++
		}
		if n == 0 {
			return nil, policy.Errorf(policy.CodeConflict, "purge: nothing to do")
		}
		return nil, nil
	})
	return len(purged), err
}
