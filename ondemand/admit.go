package ondemand

import (
	"context"
	"time"

	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// recoverTasks loads every task that has not ended, and moves what the last process left INPROGRESS: back to WAITING, or
// to FAILED when its attempts are spent, so that a task that brings the process down cannot do so for ever. A parent
// whose children are open stays INPROGRESS.
func (q *Queue) recoverTasks() error {
	var ids []string
	err := q.store.View(func(tx *store.Tx) error {
		for _, s := range []Status{New, Waiting, InProgress} {
			c := tx.Bucket(bucketByStatus).Cursor()
			prefix := statusBytes[s]
			for k, _ := c.Seek([]byte{prefix}); k != nil && k[0] == prefix; k, _ = c.Next() {
				ids = append(ids, string(k[9:]))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return q.inChunks(ids, func(tx *store.Tx, ids []string) ([]change, error) {
		var changes []change
		now := time.Now()
		for _, id := range ids {
			t, err := loadExisting(tx, id)
			if err != nil {
				return nil, err
			}
			switch {
			case t.Status != InProgress || t.Children != nil && t.Children.Open() > 0:
				changes = append(changes, change{task: t, recovered: true})
			case t.Attempts >= q.opts.MaxAttempts:
				t.StatusMessage = "gave up: the process stopped while the task ran, on its last attempt"
				done, err := endTask(tx, t, Failed, t.StatusMessage, now)
				if err != nil {
					return nil, err
				}
				changes = append(changes, done...)
			default:
				c, err := moveTask(tx, t, Waiting, "the process stopped while the task ran", now)
				if err != nil {
					return nil, err
				}
				changes = append(changes, c)
			}
		}
		return changes, nil
	})
}

// inChunks calls fn for at most 500 ids at a time, each in a transaction of its own, and applies the changes that fn
// returns after the commit. A chunk for which fn returns an error of class conflict is skipped.
func (q *Queue) inChunks(ids []string, fn func(tx *store.Tx, ids []string) ([]change, error)) error {
	const chunk = 500
	for len(ids) > 0 {
		part := ids[:min(chunk, len(ids))]
		ids = ids[len(part):]
		var changes []change
		err := q.store.Update(func(tx *store.Tx) (err error) {
			changes, err = fn(tx, part)
			return err
		}, func() { q.apply(changes) })
		if err != nil && policy.CodeOf(err) != policy.CodeConflict {
			return err
		}
	}
	return nil
}

// admit moves tasks from NEW to WAITING, or to SKIPPED with the reason where they are not to be done, until ctx ends.
func (q *Queue) admit(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.wakeAdmit:
		}
		ids, reasons, superseding := q.takePending()
		err := q.inChunks(ids, func(tx *store.Tx, ids []string) ([]change, error) {
			var changes []change
			now := time.Now()
			for _, id := range ids {
				t, found, err := loadTask(tx, id)
				if err != nil {
					return nil, err
				}
				reason := reasons[id]
				if !found || !t.Status.queued() || reason == "" && t.Status == Waiting {
					continue // claimed or cancelled meanwhile
				}
				var done []change
				if reason == "" {
					var c change
					c, err = moveTask(tx, t, Waiting, "", now)
					done = []change{c}
				} else {
					t.SupersededBy = superseding[id]
					t.StatusMessage, t.Resources = reason, resultsOf(&t, securablesOf(t.RequestInfo.Resources), nil)
					if _, message := aggregateResults(t.Resources); message != "" && len(t.Resources) > 0 && t.Type == ResourceSync {
						t.StatusMessage = message
					}
					done, err = endTask(tx, t, Skipped, t.StatusMessage, now)
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
		if err != nil {
			q.log.Error("admitting tasks failed; trying again", "tasks", len(ids), "error", err)
			q.requeuePending(ids)
			timer := time.NewTimer(q.opts.RetryBase)
			select {
			case <-ctx.Done():
			case <-timer.C:
				signal(q.wakeAdmit)
			}
			timer.Stop()
		}
	}
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
		ids = append(ids, e.id)
		if e.skipReason != "" {
			reasons[e.id] = e.skipReason
		} else if o := q.live.supersededBy(e); o != nil {
			superseding[e.id] = o.id
			reasons[e.id] = "superseded by task " + o.id + ", a full sync that has not begun yet"
		}
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
		n, err := q.purgeBefore(time.Now().Add(-q.opts.Retention))
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

// purgeBefore removes the tasks that ended before the cutoff and returns their number. A child is kept as long as its
// parent has not ended, because the parent counts it.
func (q *Queue) purgeBefore(cutoff time.Time) (int, error) {
	var ids []string
	err := q.store.View(func(tx *store.Tx) error {
		for _, s := range []Status{Success, Failed, Skipped} {
			c := tx.Bucket(bucketByStatus).Cursor()
			end := append([]byte{statusBytes[s]}, timeKey(cutoff)...)
			for k, _ := c.Seek(end[:1]); k != nil && k[0] == end[0] && string(k[:9]) < string(end); k, _ = c.Next() {
				ids = append(ids, string(k[9:])) // received before the cutoff; the end time is checked below
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	purged := make(map[string]bool)
	err = q.inChunks(ids, func(tx *store.Tx, ids []string) ([]change, error) {
		n := 0
		for _, id := range ids {
			t, found, err := loadTask(tx, id)
			if err != nil {
				return nil, err
			}
			if !found || !t.Status.Terminal() || !t.EndTime.Before(cutoff) {
				continue
			}
			if t.ParentID != "" {
				if parent, ok, err := loadTask(tx, t.ParentID); err != nil {
					return nil, err
				} else if ok && !parent.Status.Terminal() {
					continue
				}
			}
			if err := deleteTask(tx, &t); err != nil {
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
