package queue

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"ucwarden/input"
	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// keepLast is how many of the last transitions of a task are kept, beside the first ones. A task may be retried, or make room
// for others, for weeks.
const keepLast = 480

// change is the new state of one task, written in a transaction and applied to memory after the commit.
type change struct {
	task      *ondemand.Task  // its new state
	from      ondemand.Status // "" for a new task
	recovered bool            // no transition: the task was read from the file at start-up
	overflow  bool            // the task is in the backlog
	by        *run            // that takes it along from the backlog; nil: none
	entry     *entry          // of a new task; nil: not made yet
}

// ends reports whether the task ends with the change.
func (c change) ends() bool {
	return c.task.Status.Terminal() && c.from != c.task.Status && !c.recovered
}

// moveTask sets the status of a task, appends the transition, and stores it. t was loaded in the same transaction and
// still has the status it has in the store.
func moveTask(tx *store.Tx, t ondemand.Task, to ondemand.Status, reason string, now time.Time) (change, error) {
	from := t.Status
	t.Status = to
	t.Transitions = append(t.Transitions, ondemand.Transition{From: from, To: to, Time: now, Reason: reason})
	if n := len(t.Transitions); n > ondemand.KeepFirst+keepLast {
		t.Transitions = append(t.Transitions[:ondemand.KeepFirst:ondemand.KeepFirst], t.Transitions[n-keepLast:]...)
		t.LeftOut += n - ondemand.KeepFirst - keepLast
	}
	switch {
	case to.Terminal():
		t.EndTime, t.NotBefore = now, time.Time{}
	case to == ondemand.InProgress:
		t.StartTime, t.NotBefore = now, time.Time{}
	}
	if err := records.Store(tx, &t, from); err != nil {
		return change{}, err
	}
	return change{task: &t, from: from}, nil
}

// endTask ends a task, and its parent too when this was the parent's last open child.
func endTask(tx *store.Tx, t ondemand.Task, to ondemand.Status, reason string, now time.Time) ([]change, error) {
	c, err := moveTask(tx, t, to, reason, now)
	if err != nil || t.ParentID == "" {
		return []change{c}, err
	}
	if records.ShardStatus(tx, t.ParentID, t.ID) != ondemand.New {
		return []change{c}, nil // a child of an earlier run of its parent
	}
	if err := records.SetShard(tx, t.ParentID, t.ID, to); err != nil {
		return nil, err
	}
	parent, found, err := records.Load(tx, t.ParentID)
	if err != nil || !found || parent.Status != ondemand.InProgress || parent.Children == nil {
		return []change{c}, err
	}
	countChild(parent.Children, to, 1)
	if parent.Children.Open() > 0 {
		return []change{c, {task: &parent, from: ondemand.InProgress}}, records.Store(tx, &parent, ondemand.InProgress)
	}
	status, message := aggregateChildren(parent.Children)
	if len(parent.Resources) > 0 {
		if own, _ := aggregateResults(parent.Resources); own == ondemand.Failed || status == ondemand.Skipped {
			status = own
		}
	}
	parent.StatusMessage = joinMessages(parent.StatusMessage, message)
	more, err := endTask(tx, parent, status, message, now)
	return append([]change{c}, more...), err
}

// countChild counts n more children that ended so, or fewer.
func countChild(c *ondemand.Children, s ondemand.Status, n int) {
	switch s {
	case ondemand.Success:
		c.Succeeded += n
	case ondemand.Failed:
		c.Failed += n
	case ondemand.Skipped:
		c.Skipped += n
	}
}

// aggregateChildren returns the status in which a parent ends, and one line about its children.
func aggregateChildren(c *ondemand.Children) (ondemand.Status, string) {
	message := fmt.Sprintf("%d of %d shards succeeded, %d failed, %d skipped", c.Succeeded, c.Total, c.Failed, c.Skipped)
	switch {
	case c.Failed > 0:
		return ondemand.Failed, message
	case c.Succeeded == 0 && c.Skipped > 0:
		return ondemand.Skipped, message
	}
	return ondemand.Success, message
}

// Cancel ends a task as SKIPPED, with its open children; by is who asked for it, if that is known. The context of a running one is
// cancelled; what it has applied so far stays. One whose update of a pipeline was started stays INPROGRESS until that has stopped.
// Cancel returns an error of class conflict when the task has already ended, of class not found when there is none.
func (q *Queue) Cancel(_ context.Context, id, by string) (ondemand.Task, error) {
	return q.commitChanges(func(tx *store.Tx) ([]change, error) {
		t, err := records.LoadExisting(tx, id)
		if err != nil {
			return nil, err
		}
		if t.Status.Terminal() {
			return nil, policy.Errorf(policy.CodeConflict, "task %s cannot be cancelled: it has ended as %s", id, t.Status)
		}
		if changes, ok, err := cancelRun(tx, t, by, q.now()); ok {
			return changes, err
		}
		return cancelTree(tx, t, ondemand.CancelledBy(by), q.now())
	})
}

func cancelTree(tx *store.Tx, t ondemand.Task, reason string, now time.Time) ([]change, error) {
	t.StatusMessage = reason
	var open []string
	if t.Children != nil {
		open = records.OpenShards(tx, t.ID)
		countChild(t.Children, ondemand.Skipped, len(open))
	}
	changes, err := endTask(tx, t, ondemand.Skipped, reason, now)
	if err != nil {
		return nil, err
	}
	for _, id := range open {
		child, found, err := records.Load(tx, id)
		if err != nil {
			return nil, err
		}
		if !found || child.Status.Terminal() {
			continue
		}
		more, err := cancelTree(tx, child, "cancelled with its parent "+t.ID, now)
		if err != nil {
			return nil, err
		}
		changes = append(changes, more...)
	}
	return changes, nil
}

// Retry moves a task that ended FAILED or SKIPPED back to WAITING, with no attempts counted. It returns an error of
// class conflict when the task has another status, of class not found when there is none. What the task does from then on is done
// for by, the subject who asked, if that is known.
func (q *Queue) Retry(_ context.Context, id, by string) (ondemand.Task, error) {
	return q.commitChanges(func(tx *store.Tx) ([]change, error) {
		t, err := records.LoadExisting(tx, id)
		if err != nil {
			return nil, err
		}
		if t.Status != ondemand.Failed && t.Status != ondemand.Skipped {
			return nil, policy.Errorf(policy.CodeConflict, "task %s cannot be retried: its status is %s, not FAILED or SKIPPED", id, t.Status)
		}
		var changes []change
		if t.ParentID != "" {
			if changes, err = reopenShard(tx, t); err != nil {
				return nil, err
			}
		}
		t.Attempts, t.StatusMessage, t.Resources, t.Children, t.PolicyVersion, t.Pending, t.SupersededBy, t.Run = 0, "", nil, nil, 0, nil, "", nil
		t.StartTime, t.EndTime, t.Crashes, t.RanAlone = time.Time{}, time.Time{}, 0, false
		t.RetriedBy = by
		waiting := t
		waiting.Status = ondemand.Waiting
		overflow := q.overflow(1, func(int) *ondemand.Task { return &waiting }, true)[0]
		c, err := moveTask(tx, t, ondemand.Waiting, ondemand.RetriedBy(by), q.now())
		if err == nil && overflow {
			c.overflow, err = true, records.JoinBacklog(tx, c.task)
		}
		return append([]change{c}, changes...), err
	})
}

// reopenShard subtracts an ended child from the counts of a parent that has not ended.
func reopenShard(tx *store.Tx, child ondemand.Task) ([]change, error) {
	parent, found, err := records.Load(tx, child.ParentID)
	if err != nil || !found || parent.Status != ondemand.InProgress || parent.Children == nil || records.ShardStatus(tx, child.ParentID, child.ID) == "" {
		return nil, err
	}
	if err := records.SetShard(tx, child.ParentID, child.ID, ondemand.New); err != nil {
		return nil, err
	}
	countChild(parent.Children, child.Status, -1)
	return []change{{task: &parent, from: ondemand.InProgress}}, records.Store(tx, &parent, ondemand.InProgress)
}

// commitChanges commits and applies the changes that fn returns, and returns the task of the first one.
func (q *Queue) commitChanges(fn func(tx *store.Tx) ([]change, error)) (ondemand.Task, error) {
	var changes []change
	err := q.store.Update(func(tx *store.Tx) (err error) {
		if changes, err = fn(tx); err != nil {
			return err
		}
		return q.noteEnds(tx, changes)
	}, func() { q.apply(changes) })
	if err != nil {
		return ondemand.Task{}, err
	}
	return *changes[0].task, nil
}

// noteDrift calls [Options.Drift] for the result of a job, whose changes are given.
func (q *Queue) noteDrift(tx *store.Tx, changes []change, found ondemand.Drift) error {
	first := changes[0].task
	if first.Status.Queued() {
		found = found.PutRight()
	}
	if q.opts.Drift == nil || found.None() {
		return nil
	}
	if err := q.opts.Drift(tx, first, found); err != nil {
		return fmt.Errorf("note the drift that task %s found: %w", first.ID, err)
	}
	return nil
}

// noteEnds calls [Options.Ended] for each change with which a task ends.
func (q *Queue) noteEnds(tx *store.Tx, changes []change) error {
	if q.opts.Ended == nil {
		return nil
	}
	for i := range changes {
		if !changes[i].ends() {
			continue
		}
		if err := q.opts.Ended(tx, changes[i].task); err != nil {
			return fmt.Errorf("note the end of task %s: %w", changes[i].task.ID, err)
		}
	}
	return nil
}

// apply updates memory with committed changes. It runs in the order of commits.
func (q *Queue) apply(changes []change) {
	now, runs := time.Now(), false
	q.mu.Lock()
	for i := range changes {
		t := changes[i].task
		q.applyOne(&changes[i], now)
		runs = q.live.noteRun(t) || runs
		for c := range q.watchers[t.ID] {
			signal(c)
		}
	}
	q.mu.Unlock()
	signal(q.wakeDispatch)
	if runs {
		signal(q.wakeRuns)
	}
	if q.opts.AfterEnd != nil && slices.ContainsFunc(changes, change.ends) {
		q.opts.AfterEnd()
	}
	for i := range changes {
		if c := &changes[i]; c.from != c.task.Status && !c.recovered {
			q.logTransition(c.task, c.from)
		}
	}
}

func (q *Queue) applyOne(c *change, now time.Time) {
	t, from := c.task, c.from
	e := q.live.byID[t.ID]
	if e == nil && from.Queued() {
		q.live.countBacklog(t.Type, from, records.LaneOf(t), -1)
	}
	switch {
	case c.overflow:
		q.live.countBacklog(t.Type, t.Status, records.LaneOf(t), 1)
	case t.Status.Terminal():
		if e != nil && e.run != nil {
			e.run.removeTask(e)
		}
		if e != nil {
			q.live.remove(e)
		}
	case e == nil: // new, retried, from the backlog, or recovered at start-up
		if e = c.entry; e == nil {
			e = q.newEntry(t)
		}
		e.admitted = t.Status == ondemand.Waiting || q.opts.AdmitWindow == 0
		e.due, e.alone = q.due(t, now), q.mustRunAlone(t)
		q.live.add(e, now)
		if c.by != nil {
			c.by.join(q.live, e)
		} else {
			q.pendingAdmission = append(q.pendingAdmission, e)
		}
	case from == ondemand.InProgress && t.Status == ondemand.Waiting: // another attempt
		q.live.setStatus(e, ondemand.Waiting)
		e.run, e.due, e.priority, e.alone = nil, q.due(t, now), t.Priority, false
		q.live.enqueue(e, now)
	case t.Status == ondemand.Waiting && !e.admitted:
		e.admitted = true
		q.live.setStatus(e, ondemand.Waiting)
		q.live.enqueue(e, now)
	default:
		q.live.setStatus(e, t.Status)
	}
	if e != nil && e.typ == ondemand.FullSync && t.Status == ondemand.InProgress && t.Children != nil && e.heldLocks == nil {
		// No other full sync begins before the shards of this one have ended.
		e.heldLocks = []policy.Securable{{Type: lockType, FullName: string(ondemand.FullSync)}}
		q.live.locks.acquire(e.heldLocks, e.holder())
	}
}

// newEntry returns the entry of a task.
func (q *Queue) newEntry(t *ondemand.Task) *entry {
	e := newEntry(t, q.skipReason)
	e.narrow = t.Type == ondemand.FullSync && q.opts.Narrow != nil && q.opts.Narrow(t)
	return e
}

// due returns when the next attempt of a task may begin, by the monotonic clock: the clock on the wall may have jumped since the
// time was stored.
func (q *Queue) due(t *ondemand.Task, now time.Time) time.Time {
	if t.NotBefore.IsZero() {
		return now
	}
	return now.Add(min(t.NotBefore.Sub(q.now()), q.opts.RetryMax))
}

// skipReason returns why a task cannot run and must end SKIPPED; "" when it can. valid is the number of its valid
// resources.
func (q *Queue) skipReason(t *ondemand.Task, valid int) string {
	if q.opts.Handlers[t.Type] == nil {
		known := slices.Sorted(maps.Keys(q.opts.Handlers))
		names := make([]string, len(known))
		for i, typ := range known {
			names[i] = string(typ)
		}
		if meant := input.Misspelt(strings.ToUpper(string(t.Type)), names); meant != "" {
			return fmt.Sprintf("unsupported task type %q; did you mean %s?", t.Type, meant)
		}
		return fmt.Sprintf("unsupported task type %q", t.Type)
	}
	if t.Type == ondemand.ResourceSync && valid == 0 {
		return "none of its resources can be synced"
	}
	return ""
}

// logTransition logs and counts one transition.
func (q *Queue) logTransition(t *ondemand.Task, from ondemand.Status) {
	q.metrics.countTransition(t, from)
	level := slog.LevelInfo
	if t.Status.Queued() && from.Queued() || from == "" {
		level = slog.LevelDebug
	}
	var last ondemand.Transition
	if n := len(t.Transitions); n > 0 {
		last = t.Transitions[n-1]
	}
	q.log.LogAttrs(context.Background(), level, "task moved",
		slog.String("task", t.ID), slog.String("type", string(t.Type)), slog.String("from", cmp.Or(string(from), "-")),
		slog.String("to", string(t.Status)), slog.Int("attempt", t.Attempts), slog.String("reason", last.Reason))
}

func joinMessages(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}
