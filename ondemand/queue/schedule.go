package queue

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// ScheduleOptions configures a [Scheduler].
type ScheduleOptions struct {
	Interval time.Duration // between two full syncs; 0 switches the schedule off
	Jitter   time.Duration // upper bound of a random time added to each interval
	OnStart  bool          // submit a full sync as soon as Run starts
	Source   string        // label of the tasks; default "schedule"
	Logger   *slog.Logger
}

// Scheduler submits FULL_SYNC tasks to a queue, one per interval, and never one while another that takes all has not ended.
type Scheduler struct {
	queue *Queue
	opts  ScheduleOptions
}

// NewScheduler returns a scheduler of full syncs for q. It returns an error for a negative interval or jitter.
func NewScheduler(q *Queue, o ScheduleOptions) (*Scheduler, error) {
	if o.Interval < 0 || o.Jitter < 0 {
		return nil, policy.Errorf(policy.CodeInvalid, "schedule of full syncs: interval and jitter must not be negative")
	}
	if o.Source == "" {
		o.Source = "schedule"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Scheduler{q, o}, nil
}

// Run submits full syncs until ctx ends, and returns nil then.
func (s *Scheduler) Run(ctx context.Context) error {
	if s.opts.OnStart {
		s.submit(ctx)
	}
	if s.opts.Interval == 0 {
		<-ctx.Done()
		return nil
	}
	for {
		wait := s.opts.Interval
		if s.opts.Jitter > 0 {
			wait += rand.N(s.opts.Jitter)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
			s.submit(ctx)
		}
	}
}

// submit submits one full sync, unless one that takes all is still active. A failure is logged; the next interval tries again.
func (s *Scheduler) submit(ctx context.Context) {
	if s.queue.hasWholeSync() {
		s.opts.Logger.Info("scheduled full sync skipped: the previous one has not ended")
		return
	}
	t, _, err := s.queue.Submit(ctx, ondemand.Task{Type: ondemand.FullSync, Source: s.opts.Source, CreateTime: s.queue.now()})
	if err != nil && ctx.Err() == nil {
		s.opts.Logger.Error("submitting the scheduled full sync failed", "error", err)
		return
	}
	s.opts.Logger.Debug("scheduled full sync submitted", "task", t.ID)
}

// SupersedeFullSyncs ends the full syncs that have not ended and carry neither an approval nor a saved plan, but for the task
// by, which does what they were to do, and returns them. They become SKIPPED, with their open shards; what they have
// applied stays. It is for a queue that does not run yet: what of them a crash has left was read, and planned, before that.
func (q *Queue) SupersedeFullSyncs(by string) (ended []ondemand.Task, err error) {
	q.mu.Lock()
	var ids []string
	for e := range q.live.fullSyncs {
		if e.id != by && e.approve == "" && e.plan == "" && e.run == nil {
			ids = append(ids, e.id)
		}
	}
	q.mu.Unlock()
	slices.Sort(ids)
	for _, id := range ids {
		t, err := q.commitChanges(func(tx *store.Tx) ([]change, error) {
			t, err := records.LoadExisting(tx, id)
			if err != nil {
				return nil, err
			}
			t.SupersededBy = by
			return cancelTree(tx, t, "superseded by task "+by+", a full sync that reads everything anew", q.now())
		})
		if err != nil {
			return ended, err
		}
		ended = append(ended, t)
	}
	return ended, nil
}
