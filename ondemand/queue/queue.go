package queue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"ucwarden/ondemand"
	"ucwarden/ondemand/records"
	"ucwarden/ondemand/store"
	"ucwarden/policy"
)

// Options configures a [Queue]. Zero values take the defaults named here.
type Options struct {
	Handlers map[ondemand.Type]ondemand.Handler // by task type; a task of a type without one ends SKIPPED
	// Workers is how many jobs run at the same time; default 4. Jobs of full syncs never have the last of them; where there is
	// but one, an on-demand task may run beside such a job.
	Workers     int
	MaxAttempts int // runs of a task before it ends FAILED, but for those that a crash ended; default 8
	MaxCrashes  int // crashes during a task before it ends FAILED, if it ran alone in the last one; default 8
	// MaxQueued is how many tasks may be NEW or WAITING before Submit returns an error; default 100,000. Owners with less than a
	// hundredth of it have a tenth more.
	MaxQueued   int
	InMemory    int           // waiting tasks that are held in memory, about; the others are read when it is their turn; default 4,000
	AdmitWindow time.Duration // how long a new task may wait for others to be admitted with it; default 0: not at all
	AdmitSize   int           // tasks that are admitted in one commit at most; default 500
	Retention   time.Duration // how long an ended task is kept; default 720h
	Grace       time.Duration // how long running jobs may go on after a shutdown began; default 10s
	RetryBase   time.Duration // delay before the second attempt, doubled for each further one; default 1s
	RetryMax    time.Duration // longest such delay; default 5m
	Logger      *slog.Logger
	Registerer  prometheus.Registerer // may be nil
	Tracer      trace.Tracer          // begins the spans of runs; default: none are recorded
	// Narrow, where set, reports whether a full sync takes only a part of what there is, so that it does not do what another full
	// sync was asked for.
	Narrow func(t *ondemand.Task) bool
	// Census is what was counted while the store was opened; nil: the queue counts by itself.
	Census *records.Census
	// Ended, where set, is called in each transaction in which a task ends, and may write to it; its error aborts the transaction,
	// which may be tried again. Drift, where set, is called likewise, once for each result of a job that found drift, with the first
	// of the job's tasks; of an attempt that is to be made again it has what was put right, as the next one finds the rest.
	// AfterEnd, where set, is called once a transaction is committed in which either was.
	Ended    func(tx *store.Tx, t *ondemand.Task) error
	Drift    func(tx *store.Tx, t *ondemand.Task, found ondemand.Drift) error
	AfterEnd func()
	// Now returns the time that is stored with tasks, and that stored times are compared with; default time.Now. It may jump:
	// how long something takes is measured apart from it.
	Now func() time.Time
}

func (o *Options) validate() error {
	if o.AdmitWindow < 0 {
		return errNegative
	}
	for _, d := range []struct{ v, def *int }{
		{&o.Workers, ptr(4)}, {&o.MaxAttempts, ptr(8)}, {&o.MaxCrashes, ptr(8)}, {&o.MaxQueued, ptr(100_000)},
		{&o.InMemory, ptr(4_000)}, {&o.AdmitSize, ptr(500)},
	} {
		if *d.v < 0 {
			return errNegative
		}
		if *d.v == 0 {
			*d.v = *d.def
		}
	}
	for _, d := range []struct{ v, def *time.Duration }{
		{&o.Retention, ptr(720 * time.Hour)}, {&o.Grace, ptr(10 * time.Second)},
		{&o.RetryBase, ptr(time.Second)}, {&o.RetryMax, ptr(5 * time.Minute)},
	} {
		if *d.v < 0 {
			return errNegative
		}
		if *d.v == 0 {
			*d.v = *d.def
		}
	}
	if o.RetryMax < o.RetryBase {
		return policy.Errorf(policy.CodeInvalid, "task queue: the longest retry delay %v is shorter than the first %v", o.RetryMax, o.RetryBase)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tracer == nil {
		o.Tracer = noop.NewTracerProvider().Tracer("")
	}
	return nil
}

var errNegative = policy.Errorf(policy.CodeInvalid, "task queue: no option may be negative")

func ptr[T any](v T) *T { return &v }

// Queue stores tasks, keeps their state and runs them. Its methods may be called at any time between [NewQueue] and the
// store's Close, by many goroutines; tasks make progress while [Queue.Run] runs.
type Queue struct {
	opts    Options
	store   *store.Store
	log     *slog.Logger
	metrics *metrics
	ids     idGenerator

	wakeDispatch chan struct{} // capacity 1: a task may be claimable
	wakeAdmit    chan struct{} // capacity 1: a task may need admission
	wakeRuns     chan struct{} // capacity 1: see RunsChanged
	pausing      sync.Mutex    // held while a pause begins or ends
	memory       sync.Pool     // of *preparation, for events

	mu               sync.Mutex
	live             *liveTasks
	pendingAdmission []*entry        // not yet admitted
	running          int             // jobs
	shards           int             // of them, those of full syncs
	alone            bool            // one runs beside which no other may
	paused           *ondemand.Pause // nil: jobs begin
	reserved         int             // tasks being submitted
	watchers         map[string]map[chan struct{}]struct{}
}

// New returns a queue over the tasks in s. A task that the last process left INPROGRESS goes back to WAITING with
// the attempt counted, or to FAILED when that was its last attempt; one that is followed stays as it is ([Queue.Runs]).
func New(s *store.Store, o Options) (*Queue, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	q := &Queue{
		opts: o, store: s, log: o.Logger,
		wakeDispatch: make(chan struct{}, 1), wakeAdmit: make(chan struct{}, 1), wakeRuns: make(chan struct{}, 1),
		live: newLiveTasks(o.InMemory), watchers: make(map[string]map[chan struct{}]struct{}),
	}
	var err error
	if q.metrics, err = newMetrics(q, o.Registerer); err != nil {
		return nil, err
	}
	if err := records.Open(s); err != nil {
		return nil, err
	}
	if err := q.loadPause(); err != nil {
		return nil, err
	}
	if err := q.recoverTasks(); err != nil {
		return nil, fmt.Errorf("recover the stored tasks: %w", err)
	}
	return q, nil
}

// Submit stores a task and returns it as stored; it is durable then. A task without an id gets one. For an id that is
// stored with the same content Submit returns the stored task, and created is false. Errors by class: conflict, the id
// is stored with other content; rate limited, the queue is full; unavailable, the store cannot commit, so that nothing
// is acknowledged; invalid, the id is not allowed.
//
// Type, labels, RequestInfo, Extra and Priority are taken from t; every other field is set here. A task with Status
// SKIPPED is stored as such, with its StatusMessage: that records an event that could not be parsed.
func (q *Queue) Submit(ctx context.Context, t ondemand.Task) (stored ondemand.Task, created bool, err error) {
	list, err := q.SubmitAll(ctx, []ondemand.Task{t})
	if err != nil {
		return ondemand.Task{}, false, err
	}
	return list[0].Task, list[0].Created, list[0].Err
}

// SubmitAll stores tasks in one transaction, each as [Queue.Submit] does, and returns what became of each. The error
// concerns all of them: nothing is stored then. A queue with room for some takes the first ones.
func (q *Queue) SubmitAll(ctx context.Context, tasks []ondemand.Task) ([]ondemand.Submission, error) {
	if err := ctx.Err(); err != nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "submit tasks: %w", err)
	}
	if len(tasks) == 0 {
		return nil, nil
	}
	room, owner := len(tasks), soleOwner(tasks)
	for !q.reserve(owner, room) {
		room--
	}
	defer q.unreserve(room)
	prepared := q.prepareAll(ctx, new(preparation), len(tasks), func(i int) (*ondemand.Task, string) { return &tasks[i], "" })
	var results []ondemand.Submission
	var changes []change
	err := q.store.UpdateMany(ctx, len(tasks), func(tx *store.Tx) error {
		results, changes = make([]ondemand.Submission, len(prepared)), make([]change, 0, len(prepared))
		left := room
		for i := range prepared {
			t := &prepared[i].task
			if err := ondemand.CheckID(t.ID); err != nil {
				results[i].Err = policy.Errorf(policy.CodeInvalid, "submit task: %w", err)
				continue
			}
			old, found, err := records.Load(tx, t.ID)
			switch {
			case err != nil:
				return err
			case found: // before the check for room, so that repeating a submission works when the queue is full
				results[i] = ondemand.Submission{Task: old, Err: ondemand.SameContent(&old, t)}
				continue
			case left == 0:
				results[i].Err = policy.Errorf(policy.CodeRateLimited, "the task queue is full (%d waiting): try again later", q.opts.MaxQueued)
				continue
			}
			left--
			if changes, err = createTask(tx, &prepared[i], changes); err != nil {
				return err
			}
			results[i] = ondemand.Submission{Task: *changes[len(changes)-1].task, Created: true}
		}
		return q.noteEnds(tx, changes)
	}, func() { q.apply(changes) })
	if err != nil {
		return nil, err
	}
	return results, nil
}

// soleOwner returns whose tasks these are; "" where they are of several owners.
func soleOwner(tasks []ondemand.Task) string {
	owner := records.OwnerOf(&tasks[0])
	for i := range tasks {
		if records.OwnerOf(&tasks[i]) != owner {
			return ""
		}
	}
	return owner
}

// reserve reserves room for n tasks under MaxQueued, and reports whether there was room; for none there always is. Beyond
// MaxQueued there is some for owners of whom next to nothing waits, so that nobody can fill the queue for all.
func (q *Queue) reserve(owner string, n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	most := q.opts.MaxQueued
	if owner != "" && q.live.window.owned[owner]+n <= most/100 {
		most += most / 10
	}
	if n > 0 && q.live.waiting+q.reserved+n > most {
		return false
	}
	q.reserved += n
	return true
}

func (q *Queue) unreserve(n int) {
	q.mu.Lock()
	q.reserved -= n
	q.mu.Unlock()
}

// now returns the time that is stored with tasks.
func (q *Queue) now() time.Time { return q.opts.Now().UTC().Round(0) }

// Get returns one task, or an error of class not found when there is none.
func (q *Queue) Get(_ context.Context, id string) (ondemand.Task, error) {
	var t ondemand.Task
	err := q.store.View(func(tx *store.Tx) (err error) {
		t, err = records.LoadExisting(tx, id)
		return err
	})
	return t, err
}

// List returns one page of the tasks that the filter selects, newest received first. It returns an error of class
// invalid for an unknown status or cursor.
func (q *Queue) List(_ context.Context, f ondemand.Filter) (ondemand.Page, error) {
	var page ondemand.Page
	err := q.store.View(func(tx *store.Tx) (err error) {
		page, err = records.List(tx, f)
		return err
	})
	return page, err
}

// HasActive reports whether there is a task of the type that has not ended.
func (q *Queue) HasActive(typ ondemand.Type) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range []ondemand.Status{ondemand.New, ondemand.Waiting, ondemand.InProgress} {
		if q.live.counts[countKey{typ, s}] > 0 {
			return true
		}
	}
	return false
}

// hasWholeSync reports whether there is a full sync that has not ended and takes all that there is.
func (q *Queue) hasWholeSync() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, s := range []ondemand.Status{ondemand.New, ondemand.Waiting, ondemand.InProgress} {
		n += q.live.counts[countKey{ondemand.FullSync, s}]
	}
	for e := range q.live.fullSyncs {
		if e.narrow {
			n--
		}
	}
	return n > 0
}

// Stats is the state of the queue at one moment.
type Stats struct {
	New, Waiting, InProgress int // tasks; INPROGRESS includes parents whose children are open
	Jobs                     int // running now
	Workers                  int // jobs that can run at once
	MaxQueued                int // of New and Waiting together
}

// Stats counts the tasks that have not ended.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Stats{Jobs: q.running, Workers: q.opts.Workers, MaxQueued: q.opts.MaxQueued}
	for k, n := range q.live.counts {
		switch k.status {
		case ondemand.New:
			s.New += n
		case ondemand.Waiting:
			s.Waiting += n
		case ondemand.InProgress:
			s.InProgress += n
		}
	}
	return s
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // a signal is pending already
	}
}
