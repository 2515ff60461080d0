package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"ucwarden/group"
	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
	"ucwarden/span"
)

// reasonAdmitted is why a task goes from NEW to WAITING.
const reasonAdmitted = "admitted"

var (
	errShutdown  = errors.New("the process is shutting down")
	errCancelled = errors.New("the task was cancelled")
)

// run is one claim: the tasks it claimed, and the locks it holds until its handler has returned.
type run struct {
	leader     *entry
	entries    []*entry // leader first
	locks      []policy.Securable
	early      map[string]bool // followers claimed before their NotBefore: the attempt is not counted
	ctx        context.Context
	cancel     context.CancelCauseFunc
	unfinished int // entries not ended; guarded by the queue's lock
}

// join adds a task of the backlog, which is in memory now.
func (r *run) join(l *liveTasks, e *entry) {
	l.dequeue(e)
	e.run = r
	r.entries = append(r.entries, e)
	r.unfinished++
	lock := policy.Securable{Type: lockTask, FullName: e.id}
	r.locks = append(r.locks, lock)
	l.locks.acquire([]policy.Securable{lock}, r.leader.holder())
}

// removeTask removes a task that ended while it ran, by a cancel. The last one cancels the run's context.
func (r *run) removeTask(e *entry) {
	e.run = nil
	if r.unfinished--; r.unfinished == 0 {
		r.cancel(errCancelled)
	}
}

// Run admits and runs tasks until ctx ends. Then it claims no more, waits up to Options.Grace for the running jobs,
// cancels them, and returns nil when their handlers have returned; a task that was interrupted goes back to WAITING, and
// its attempt is not counted. Run may be called once.
func (q *Queue) Run(ctx context.Context) error {
	jobs, cancelJobs := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancelJobs(nil)
	var running, helpers sync.WaitGroup
	helpers.Go(func() { q.admit(ctx) })
	helpers.Go(func() { q.purge(ctx) })

	for ctx.Err() == nil {
		timer := q.dispatch(jobs, &running)
		signal(q.wakeAdmit) // after the claims: claiming a NEW task admits it
		select {
		case <-ctx.Done():
		case <-q.wakeDispatch:
		case <-timer.C:
		}
		timer.Stop()
	}
	stop := time.AfterFunc(q.opts.Grace, func() { cancelJobs(errShutdown) })
	defer stop.Stop()
	running.Wait()
	helpers.Wait()
	return nil
}

// dispatch starts a job on every free worker while there are tasks to run. It returns a timer that fires when the next
// delayed task becomes claimable.
func (q *Queue) dispatch(ctx context.Context, running *sync.WaitGroup) *time.Timer {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for {
		leader, followers := q.nextJob(now)
		if leader == nil {
			break
		}
		r := &run{leader: leader, entries: append([]*entry{leader}, followers...), early: make(map[string]bool)}
		r.locks = leader.locks()
		for _, e := range r.entries {
			e.run = r
			if e != leader {
				r.locks = append(r.locks, policy.Securable{Type: lockTask, FullName: e.id})
				r.early[e.id] = e.due.After(now)
			}
		}
		r.unfinished = len(r.entries)
		r.ctx, r.cancel = context.WithCancelCause(ctx)
		q.live.locks.acquire(r.locks, leader.holder())
		shard := leader.isShard()
		q.count(shard, 1)
		running.Go(func() {
			q.work(r)
			r.cancel(nil)
			q.mu.Lock()
			q.live.locks.release(slices.DeleteFunc(r.locks, func(l policy.Securable) bool { return slices.Contains(leader.heldLocks, l) }))
			q.count(shard, -1)
			q.alone = false // either it was, or it is still
			q.mu.Unlock()
			signal(q.wakeDispatch)
		})
	}
	wait := 24 * time.Hour
	if due, ok := q.live.nextDue(); ok {
		wait = min(wait, max(due.Sub(now), 0))
	}
	if q.room().least > ondemand.Urgent {
		wait = 24 * time.Hour // the end of a job, or of the pause, wakes the loop
	}
	return time.NewTimer(wait)
}

// nextJob returns the next task to run with those that it takes along; leader is nil where none can run now. A task that was
// running in several crashes runs alone, before all others, so that another crash shows whether it is the cause.
func (q *Queue) nextJob(now time.Time) (leader *entry, followers []*entry) {
	free := q.room()
	for e := q.live.alone.peek(); e != nil && free.least < math.MaxInt; e = q.live.alone.peek() {
		if q.running > 0 {
			return nil, nil
		}
		if _, blocked := q.live.locks.blocked(e); !blocked {
			q.live.dequeue(e)
			q.alone = true
			return e, nil
		}
		q.live.alone.remove(e)
		e.alone = false
		q.live.enqueue(e, now)
	}
	return q.live.claim(now, free)
}

// mustRunAlone reports whether a task was running in so many crashes that it may be their cause.
func (q *Queue) mustRunAlone(t *ondemand.Task) bool { return t.Crashes >= max(1, q.opts.MaxCrashes/2) }

// room returns for which tasks there is a worker: for an urgent one there is one more than Options.Workers.
func (q *Queue) room() room {
	workers := q.opts.Workers
	if workers == 1 && q.shards > 0 {
		workers++ // there is one that shards never have
	}
	switch {
	case q.paused != nil || q.alone || q.running > workers:
		return room{least: math.MaxInt}
	case q.running == workers:
		return room{least: ondemand.Urgent}
	}
	return room{least: math.MinInt, shards: q.shards < max(1, q.opts.Workers-1)}
}

// count notes that a job began or ended.
func (q *Queue) count(shard bool, n int) {
	q.running += n
	if shard {
		q.shards += n
	}
}

// work claims the tasks of r in the store, calls the handler, and commits the result.
func (q *Queue) work(r *run) {
	job, err := q.claim(r)
	if err != nil {
		q.log.Error("claiming a task failed; trying again", "task", r.leader.id, "error", err)
		q.putBack(r)
		return
	}
	if job.Task.ID == "" {
		return // every task was cancelled meanwhile
	}
	ctx, s := q.beginSpan(r.ctx, &job)
	outcome, err := q.handle(ctx, job)
	outcome.SetTraceparent(span.Traceparent(ctx))
	q.finish(r, job, outcome, err)
	span.End(s, err)
}

// beginSpan begins the span of a run, under whoever asked for its leader. Those who asked for the followers are linked.
func (q *Queue) beginSpan(ctx context.Context, job *ondemand.Job) (context.Context, trace.Span) {
	t := &job.Task
	ctx, s := q.opts.Tracer.Start(span.Within(ctx, t.Traceparent), "task "+string(t.Type), trace.WithSpanKind(trace.SpanKindConsumer))
	if !s.IsRecording() {
		return ctx, s
	}
	s.SetAttributes(attribute.String("ucwarden.task.id", t.ID), attribute.Int("ucwarden.task.attempt", t.Attempts), attribute.Int("ucwarden.task.followers", len(job.Followers)),
		attribute.Int("ucwarden.task.resources", len(job.Resources)))
	for i := range min(len(job.Resources), maxSpanResources) {
		s.SetAttributes(attribute.String(fmt.Sprintf("ucwarden.task.resource.%d", i), job.Securables[i].String()))
	}
	for i := range min(len(job.Followers), maxSpanLinks) {
		if c := span.ContextOf(job.Followers[i].Traceparent); c.IsValid() {
			s.AddLink(trace.Link{SpanContext: c, Attributes: []attribute.KeyValue{attribute.String("ucwarden.task.id", job.Followers[i].ID)}})
		}
	}
	return ctx, s
}

// Bounds of what the span of a run says.
const (
	maxSpanResources = 10
	maxSpanLinks     = 100
)

// claim moves the tasks that are still waiting to INPROGRESS and returns the job made of them; its Task is zero when
// there are none.
func (q *Queue) claim(r *run) (ondemand.Job, error) {
	var job ondemand.Job
	var applied bool
	var changes []change
	entries := r.entries
	err := q.store.Update(func(tx *store.Tx) error {
		job, changes = ondemand.Job{}, nil
		now := q.now()
		for _, e := range entries {
			t, found, err := records.Load(tx, e.id)
			if err != nil {
				return err
			}
			if !found || !t.Status.Queued() {
				continue
			}
			if t.Status == ondemand.New {
				c, err := moveTask(tx, t, ondemand.Waiting, reasonAdmitted, now)
				if err != nil {
					return err
				}
				changes, t = append(changes, c), *c.task
			}
			t.RanAlone = e == r.leader && e.alone
			reason := "a worker began it"
			switch {
			case r.early[t.ID]:
				reason = "runs early together with task " + r.leader.id
			case e != r.leader:
				reason = "runs together with task " + r.leader.id
			case t.RanAlone:
				reason = fmt.Sprintf("runs alone: the process stopped %d times while it ran", t.Crashes)
			}
			if !r.early[t.ID] {
				t.Attempts++
			}
			due := t.NotBefore
			c, err := moveTask(tx, t, ondemand.InProgress, reason, now)
			if err != nil {
				return err
			}
			changes = append(changes, c)
			claimed := *c.task
			claimed.NotBefore = due // restored when a run before that time fails
			if e == r.leader {
				job.Task = claimed
			} else {
				job.Followers = append(job.Followers, claimed)
			}
		}
		if len(changes) == 0 {
			return policy.Errorf(policy.CodeConflict, "claim: every task of the job was cancelled")
		}
		if job.Task.ID == "" || job.Task.RanAlone {
			return nil
		}
		more, err := swallow(tx, r.leader, maxFollowers-len(job.Followers))
		if err != nil {
			return err
		}
		for _, t := range more {
			done, err := takeAlong(tx, t, r, now)
			if err != nil {
				return err
			}
			changes = append(changes, done...)
			job.Followers = append(job.Followers, *done[len(done)-1].task)
		}
		return nil
	}, func() { applied = true; q.apply(changes) })
	if applied {
		err = nil
	}
	if policy.CodeOf(err) == policy.CodeConflict {
		return ondemand.Job{}, nil
	}
	if err != nil {
		return ondemand.Job{}, err
	}
	if job.Task.ID == "" { // the leader was cancelled; a follower takes its place
		job.Task, job.Followers = job.Followers[0], job.Followers[1:]
	}
	q.metrics.coalesced.Add(float64(len(job.Followers)))
	setResources(&job, r.named())
	job.Yield = q.othersWait
	return job, nil
}

// takeAlong moves a task of the backlog to INPROGRESS, as part of a run.
func takeAlong(tx *store.Tx, t ondemand.Task, r *run, now time.Time) ([]change, error) {
	var changes []change
	if t.Status == ondemand.New {
		c, err := moveTask(tx, t, ondemand.Waiting, reasonAdmitted, now)
		if err != nil {
			return nil, err
		}
		changes, t = append(changes, c), *c.task
	}
	t.Attempts++
	c, err := moveTask(tx, t, ondemand.InProgress, "runs together with task "+r.leader.id, now)
	changes = append(changes, c)
	changes[0].by = r
	return changes, err
}

// othersWait reports whether on-demand tasks are ready while every worker has a job, or the queue is paused.
func (q *Queue) othersWait() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	mayHaveIt := q.opts.Workers > 1 // else there is one beside that of the shards
	return q.paused != nil || mayHaveIt && q.room().least > math.MinInt && q.live.ready.onDemand.peek() != nil
}

// named returns what the resources of each task name, by the id of the task.
func (r *run) named() map[string][]policy.Securable {
	by := make(map[string][]policy.Securable, len(r.entries))
	for _, e := range r.entries {
		by[e.id] = e.named
	}
	return by
}

// setResources sets the valid resources of a job's tasks, without duplicates, the leader's first.
func setResources(j *ondemand.Job, named map[string][]policy.Securable) {
	seen := make(map[policy.Securable]bool)
	for _, t := range append([]ondemand.Task{j.Task}, j.Followers...) {
		for i, s := range named[t.ID] {
			if s != (policy.Securable{}) && !seen[s] {
				seen[s] = true
				j.Resources, j.Securables = append(j.Resources, t.RequestInfo.Resources[i]), append(j.Securables, s)
			}
		}
	}
}

// putBack puts tasks that could not be claimed in the store back into the queue, for a retry after Options.RetryBase.
func (q *Queue) putBack(r *run) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for _, e := range r.entries {
		if e.run != r {
			continue
		}
		e.run = nil
		e.due, e.alone = now.Add(q.opts.RetryBase), false
		q.live.enqueue(e, now)
	}
}

// handle calls the handler. A panic becomes an error.
func (q *Queue) handle(ctx context.Context, job ondemand.Job) (out ondemand.Outcome, err error) {
	defer func() {
		if r := recover(); r != nil {
			stack := debug.Stack()
			if p, ok := r.(*group.Panic); ok { // the one that tells what happened
				r, stack = p.Value, p.Stack
			}
			q.log.Error("task handler panicked", "task", job.Task.ID, "panic", fmt.Sprint(r), "stack", string(stack))
			err = policy.Errorf(policy.CodeInternal, "internal error in the handler: %v", r)
		}
	}()
	out, err = q.opts.Handlers[job.Task.Type].Handle(ctx, job)
	if err == nil {
		err = checkOutcome(job, out)
	}
	return out, err
}

// finish commits the result of a job, for all of its tasks in one transaction. While the store cannot commit, it tries
// again, because the work is done and only the record is missing; after a shutdown began it gives up, and the next start
// runs the tasks again.
func (q *Queue) finish(r *run, job ondemand.Job, out ondemand.Outcome, handlerErr error) {
	completion := completion{
		job: job, named: r.named(), outcome: out, err: handlerErr, maxAttempts: q.opts.MaxAttempts, early: r.early,
		interrupted: handlerErr != nil && errors.Is(context.Cause(r.ctx), errShutdown),
		backoff:     func(attempt int) time.Duration { return backoff(attempt, q.opts.RetryBase, q.opts.RetryMax) },
	}
	for attempt := 1; ; attempt++ {
		var changes []change
		var applied bool
		err := q.store.Update(func(tx *store.Tx) (err error) {
			if changes, err = completion.commit(tx, q.ids.next, q.now()); err != nil {
				return err
			}
			if err := q.noteDrift(tx, changes, out.Drift); err != nil {
				return err
			}
			return q.noteEnds(tx, changes)
		}, func() {
			applied = true
			q.apply(changes)
			if q.opts.AfterEnd != nil && !out.Drift.None() {
				q.opts.AfterEnd()
			}
		})
		switch {
		case err == nil || applied || policy.CodeOf(err) == policy.CodeConflict:
			return
		case r.ctx.Err() != nil && attempt > 3:
			q.log.Error("the result of a task was not stored; the next start runs the task again", "task", job.Task.ID, "error", err)
			return
		}
		q.log.Error("storing the result of a task failed; trying again", "task", job.Task.ID, "error", err)
		timer := time.NewTimer(backoff(attempt, q.opts.RetryBase, q.opts.RetryMax))
		select {
		case <-timer.C:
		case <-r.ctx.Done():
		}
		timer.Stop()
	}
}

// backoff returns the delay after the given attempt: doubled each time up to longest, and jittered between half of that
// and the whole, so that tasks that failed together do not retry together.
func backoff(attempt int, base, longest time.Duration) time.Duration {
	d := longest
	if attempt < 32 && base<<(attempt-1) > 0 {
		d = min(d, base<<(attempt-1))
	}
	return d/2 + rand.N(d/2+1)
}
