package ondemand

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	bolt "go.etcd.io/bbolt"

	"ucwarden/policy"
)

// A task that is retried for weeks keeps the first of its transitions and the last.
const (
	keepFirst = 8
	keepLast  = 42
)

// ShardPriority is the priority of children that their parent gave none: below on-demand work.
const ShardPriority = -10

// change is one step of a task's life, made in a transaction and applied to memory after its commit.
type change struct {
	task   Task   // as it is now
	from   Status // "" for a new task
	loaded bool   // not a step: the task was found so at the start
}

// moveTask moves a task, loaded in the same transaction with its status unchanged, to another status, and stores it.
func moveTask(tx *bolt.Tx, t Task, to Status, reason string, now time.Time) (change, error) {
	from := t.Status
	now = now.UTC().Round(0)
	t.Status = to
	t.Transitions = append(t.Transitions, Transition{From: from, To: to, Time: now, Reason: reason})
	if n := len(t.Transitions); n > keepFirst+keepLast {
		t.Transitions = append(t.Transitions[:keepFirst:keepFirst], t.Transitions[n-keepLast:]...)
	}
	switch {
	case to.Terminal():
		t.EndTime, t.NotBefore = now, time.Time{}
	case to == InProgress:
		t.StartTime, t.NotBefore = now, time.Time{}
	}
	if err := storeTask(tx, &t, from); err != nil {
		return change{}, err
	}
	return change{task: t, from: from}, nil
}

// endTask ends a task, and its parent with it when it was the last open child.
func endTask(tx *bolt.Tx, t Task, to Status, reason string, now time.Time) ([]change, error) {
	c, err := moveTask(tx, t, to, reason, now)
	if err != nil || t.ParentID == "" {
		return []change{c}, err
	}
	shards, key := tx.Bucket(bucketShards), familyKey(t.ParentID, []byte(t.ID))
	if v := shards.Get(key); len(v) != 1 || v[0] != statusBytes[New] {
		return []change{c}, nil // a child of an earlier run of its parent
	}
	if err := shards.Put(key, []byte{statusBytes[to]}); err != nil {
		return nil, err
	}
	parent, found, err := loadTask(tx, t.ParentID)
	if err != nil || !found || parent.Status != InProgress || parent.Children == nil {
		return []change{c}, err
	}
	parent.Children.count(to, 1)
	if parent.Children.Open() > 0 {
		return []change{c, {task: parent, from: InProgress}}, storeTask(tx, &parent, InProgress)
	}
	status, message := parent.Children.verdict()
	if len(parent.Resources) > 0 {
		if own, _ := aggregate(parent.Resources); own == Failed || status == Skipped {
			status = own
		}
	}
	parent.StatusMessage = join(parent.StatusMessage, message)
	more, err := endTask(tx, parent, status, message, now)
	return append([]change{c}, more...), err
}

func (c *Children) count(s Status, n int) {
	switch s {
	case Success:
		c.Succeeded += n
	case Failed:
		c.Failed += n
	case Skipped:
		c.Skipped += n
	}
}

// verdict is how a parent ends by its children, in one word and in one line.
func (c *Children) verdict() (Status, string) {
	message := fmt.Sprintf("%d of %d shards succeeded, %d failed, %d skipped", c.Succeeded, c.Total, c.Failed, c.Skipped)
	switch {
	case c.Failed > 0:
		return Failed, message
	case c.Succeeded == 0 && c.Skipped > 0:
		return Skipped, message
	}
	return Success, message
}

// Cancel ends a task that has not ended as SKIPPED, and with it the open children it has. A running one is told
// through its context; what it has applied so far stays. An error of class conflict says that the task has ended.
func (q *Queue) Cancel(_ context.Context, id string) (Task, error) {
	return q.change(func(tx *bolt.Tx) ([]change, error) {
		t, err := mustLoad(tx, id)
		if err != nil {
			return nil, err
		}
		if t.Status.Terminal() {
			return nil, policy.Errorf(policy.CodeConflict, "task %s cannot be cancelled: it has ended as %s", id, t.Status)
		}
		return cancelTree(tx, t, "cancelled", time.Now())
	})
}

func cancelTree(tx *bolt.Tx, t Task, reason string, now time.Time) ([]change, error) {
	t.StatusMessage = reason
	var open []string
	if t.Children != nil {
		open = openShards(tx, t.ID)
		t.Children.count(Skipped, len(open))
	}
	changes, err := endTask(tx, t, Skipped, reason, now)
	if err != nil {
		return nil, err
	}
	for _, id := range open {
		child, found, err := loadTask(tx, id)
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

// Retry starts a task that ended FAILED or SKIPPED over from WAITING, its attempts from 0. An error of class conflict
// says that it did not end so.
func (q *Queue) Retry(_ context.Context, id string) (Task, error) {
	return q.change(func(tx *bolt.Tx) ([]change, error) {
		t, err := mustLoad(tx, id)
		if err != nil {
			return nil, err
		}
		if t.Status != Failed && t.Status != Skipped {
			return nil, policy.Errorf(policy.CodeConflict, "task %s cannot be retried: it is %s", id, t.Status)
		}
		var changes []change
		if t.ParentID != "" {
			if changes, err = reopenShard(tx, t); err != nil {
				return nil, err
			}
		}
		t.Attempts, t.StatusMessage, t.Resources, t.Children = 0, "", nil, nil
		t.StartTime, t.EndTime = time.Time{}, time.Time{}
		c, err := moveTask(tx, t, Waiting, "retried", time.Now())
		return append([]change{c}, changes...), err
	})
}

// reopenShard takes an ended child out of the count of a parent that is still open.
func reopenShard(tx *bolt.Tx, child Task) ([]change, error) {
	shards, key := tx.Bucket(bucketShards), familyKey(child.ParentID, []byte(child.ID))
	parent, found, err := loadTask(tx, child.ParentID)
	if err != nil || !found || parent.Status != InProgress || parent.Children == nil || shards.Get(key) == nil {
		return nil, err
	}
	if err := shards.Put(key, []byte{statusBytes[New]}); err != nil {
		return nil, err
	}
	parent.Children.count(child.Status, -1)
	return []change{{task: parent, from: InProgress}}, storeTask(tx, &parent, InProgress)
}

// change commits steps of tasks and applies them; the first is of the task that is given back.
func (q *Queue) change(fn func(tx *bolt.Tx) ([]change, error)) (Task, error) {
	var changes []change
	err := q.store.commits.do(func(tx *bolt.Tx) (err error) {
		changes, err = fn(tx)
		return err
	}, func() { q.apply(changes) })
	if err != nil {
		return Task{}, err
	}
	return changes[0].task, nil
}

// apply brings memory in line with committed steps. It runs in the order of commits.
func (q *Queue) apply(changes []change) {
	now := time.Now()
	q.mu.Lock()
	for i := range changes {
		t := &changes[i].task
		q.applyOne(t, changes[i].from, now)
		for c := range q.watchers[t.ID] {
			wake(c)
		}
	}
	q.mu.Unlock()
	wake(q.wakeDispatch)
	for i := range changes {
		if c := &changes[i]; c.from != c.task.Status && !c.loaded {
			q.record(&c.task, c.from)
		}
	}
}

func (q *Queue) applyOne(t *Task, from Status, now time.Time) {
	e := q.live.byID[t.ID]
	switch {
	case t.Status.Terminal():
		if e != nil && e.job != nil {
			e.job.leave(e)
		}
		if e != nil {
			q.live.remove(e)
		}
	case e == nil: // new, retried or found at the start
		e = newEntry(t, q.refusal)
		q.live.add(e, now)
		q.fresh = append(q.fresh, e)
	case from == InProgress && t.Status == Waiting: // another attempt
		q.live.setStatus(e, Waiting)
		e.job, e.notBefore = nil, t.NotBefore
		q.live.enqueue(e, now)
	default:
		q.live.setStatus(e, t.Status)
	}
	if e != nil && e.typ == FullSync && t.Status == InProgress && t.Children != nil && e.held == nil {
		// No other full sync begins before the shards of this one have ended.
		e.held = []policy.Securable{{Type: lockType, FullName: string(FullSync)}}
		q.live.hold(e.held, e.id)
	}
}

// refusal says why a task cannot run and ends SKIPPED; "" when it can. legal is the number of its legal resources.
func (q *Queue) refusal(t *Task, legal int) string {
	if q.opts.Handlers[t.Type] == nil {
		return fmt.Sprintf("unsupported task type %q", t.Type)
	}
	if t.Type == ResourceSync && legal == 0 {
		return "no resource can be synced"
	}
	return ""
}

// record writes one line for a step, and counts it.
func (q *Queue) record(t *Task, from Status) {
	q.metrics.step(t, from)
	level := slog.LevelInfo
	if t.Status.queued() && from.queued() || from == "" {
		level = slog.LevelDebug
	}
	var last Transition
	if n := len(t.Transitions); n > 0 {
		last = t.Transitions[n-1]
	}
	q.log.LogAttrs(context.Background(), level, "task moved",
		slog.String("task", t.ID), slog.String("type", string(t.Type)), slog.String("from", cmp.Or(string(from), "-")),
		slog.String("to", string(t.Status)), slog.Int("attempt", t.Attempts), slog.String("reason", last.Reason))
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}
