package ondemand

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	bolt "go.etcd.io/bbolt"

	"ucwarden/policy"
)

// Options tunes a [Queue]. Zero values take the defaults named here.
type Options struct {
	Handlers    map[Type]Handler // by task type; a type without one ends SKIPPED
	Workers     int              // jobs that run at once; default 4
	MaxAttempts int              // runs of a task before it ends FAILED; default 8
	MaxQueued   int              // waiting tasks before Submit refuses; default 100,000
	Retention   time.Duration    // how long an ended task is kept; default 720h
	Grace       time.Duration    // how long running jobs may go on after a shutdown began; default 10s
	RetryBase   time.Duration    // wait before the second attempt, doubled for each further one; default 1s
	RetryMax    time.Duration    // longest such wait; default 5m
	Logger      *slog.Logger
	Registerer  prometheus.Registerer // may be nil
}

func (o *Options) validate() error {
	if o.Workers < 0 || o.MaxAttempts < 0 || o.MaxQueued < 0 || o.Retention < 0 || o.Grace < 0 || o.RetryBase < 0 || o.RetryMax < 0 {
		return policy.Errorf(policy.CodeInvalid, "task queue: no option may be negative")
	}
	for _, d := range []struct{ v, def *int }{
		{&o.Workers, ptr(4)}, {&o.MaxAttempts, ptr(8)}, {&o.MaxQueued, ptr(100_000)},
	} {
		if *d.v == 0 {
			*d.v = *d.def
		}
	}
	for _, d := range []struct{ v, def *time.Duration }{
		{&o.Retention, ptr(720 * time.Hour)}, {&o.Grace, ptr(10 * time.Second)},
		{&o.RetryBase, ptr(time.Second)}, {&o.RetryMax, ptr(5 * time.Minute)},
	} {
		if *d.v == 0 {
			*d.v = *d.def
		}
	}
	if o.RetryMax < o.RetryBase {
		return policy.Errorf(policy.CodeInvalid, "task queue: the longest retry wait %v is below the first %v", o.RetryMax, o.RetryBase)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

func ptr[T any](v T) *T { return &v }

// Queue takes tasks in, keeps their state and has them carried out. Its methods may be called at any time between
// [NewQueue] and the store's Close; tasks move on while [Queue.Run] runs.
type Queue struct {
	opts    Options
	store   *Store
	log     *slog.Logger
	metrics *metrics

	wakeDispatch chan struct{} // capacity 1: something may be claimable
	wakeAdmit    chan struct{} // capacity 1: something may need admission

	mu       sync.Mutex
	live     *live
	fresh    []*entry // not yet admitted
	running  int      // jobs
	reserved int      // tasks being submitted
	watchers map[string]map[chan struct{}]struct{}
}

// NewQueue takes up the tasks in the store where the last process left them: what was INPROGRESS waits again, with
// the attempt counted, unless its attempts are spent.
func NewQueue(s *Store, o Options) (*Queue, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	q := &Queue{
		opts: o, store: s, log: o.Logger,
		wakeDispatch: make(chan struct{}, 1), wakeAdmit: make(chan struct{}, 1),
		live: newLive(), watchers: make(map[string]map[chan struct{}]struct{}),
	}
	var err error
	if q.metrics, err = newMetrics(q, o.Registerer); err != nil {
		return nil, err
	}
	if err := q.takeUp(); err != nil {
		return nil, fmt.Errorf("take up stored tasks: %w", err)
	}
	return q, nil
}

// Submission is what became of one task of a batch.
type Submission struct {
	Task    Task
	Created bool  // false: a task of that id and content was there already
	Err     error // why this one was not taken, while others were
}

// Submit stores a task; it is durable when Submit returns it. Without an id it is given one. The same id with the
// same content gives the task there is, created false. Errors by class: conflict, the id has other content; rate
// limited, the queue is full; unavailable, the store cannot commit, so that nothing is acknowledged; invalid, the id
// cannot serve.
//
// Type, labels, RequestInfo, Extra and Priority are the caller's; every other field is set here. A task handed in
// with Status SKIPPED is recorded as such with its StatusMessage: an event that could not be read.
func (q *Queue) Submit(ctx context.Context, t Task) (Task, bool, error) {
	list, err := q.SubmitAll(ctx, []Task{t})
	if err != nil {
		return Task{}, false, err
	}
	return list[0].Task, list[0].Created, list[0].Err
}

// SubmitAll stores tasks in one transaction. The error concerns all of them; what concerns one is in its Submission.
func (q *Queue) SubmitAll(ctx context.Context, tasks []Task) ([]Submission, error) {
	if err := ctx.Err(); err != nil {
		return nil, policy.Errorf(policy.CodeUnavailable, "submit tasks: %w", err)
	}
	if len(tasks) == 0 {
		return nil, nil
	}
	room := q.reserve(len(tasks))
	if room {
		defer q.unreserve(len(tasks))
	}
	prepared := make([]Task, len(tasks))
	now := time.Now()
	for i := range tasks {
		prepared[i] = q.prepare(&tasks[i], now)
	}
	var results []Submission
	var changes []change
	err := q.store.commits.do(func(tx *bolt.Tx) error {
		results, changes = make([]Submission, len(prepared)), nil
		for i, t := range prepared {
			if err := checkID(t.ID); err != nil {
				results[i].Err = policy.Errorf(policy.CodeInvalid, "submit task: %w", err)
				continue
			}
			old, found, err := loadTask(tx, t.ID)
			switch {
			case err != nil:
				return err
			case found: // first, so that a repeated task is answered also when the queue is full
				results[i] = Submission{Task: old, Err: sameContent(&old, &t)}
				continue
			case !room:
				return policy.Errorf(policy.CodeRateLimited, "the task queue is full (%d waiting): try again later", q.opts.MaxQueued)
			}
			done, err := createTask(tx, t)
			if err != nil {
				return err
			}
			changes = append(changes, done...)
			results[i] = Submission{Task: done[len(done)-1].task, Created: true}
		}
		return nil
	}, func() { q.apply(changes) })
	if err != nil {
		return nil, err
	}
	return results, nil
}

// reserve makes room for n tasks under MaxQueued.
func (q *Queue) reserve(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.live.waiting+q.reserved+n > q.opts.MaxQueued {
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

// prepare sets the server's fields.
func (q *Queue) prepare(in *Task, now time.Time) Task {
	t := Task{
		ID: in.ID, Type: in.Type, AppType: in.AppType, AppSubType: in.AppSubType, Source: in.Source,
		CreateTime: in.CreateTime, RequestInfo: in.RequestInfo, Extra: in.Extra, Priority: in.Priority,
		Status: New, ReceivedTime: now.UTC().Round(0),
	}
	if t.ID == "" {
		t.ID = q.store.ids.next()
	}
	if in.Status == Skipped {
		t.Status, t.StatusMessage = Skipped, in.StatusMessage
	}
	return t
}

// createTask stores a new task, and ends it at once when it is SKIPPED.
func createTask(tx *bolt.Tx, t Task) ([]change, error) {
	end, message := t.Status, t.StatusMessage
	t.Status, t.StatusMessage = New, ""
	if err := storeTask(tx, &t, ""); err != nil {
		return nil, err
	}
	changes := []change{{task: t}}
	if end == Skipped {
		t.StatusMessage = message
		c, err := moveTask(tx, t, Skipped, message, t.ReceivedTime)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// sameContent reports as a conflict that two tasks of one id ask for different things.
func sameContent(old, t *Task) error {
	// Marshal writes unknown fields in one manner of escaping, however they came.
	content := func(t *Task) (string, error) {
		b, err := json.Marshal(Task{
			Type: t.Type, AppType: t.AppType, AppSubType: t.AppSubType, Source: t.Source,
			CreateTime: t.CreateTime, RequestInfo: t.RequestInfo, Extra: t.Extra,
		})
		return string(b), err
	}
	a, err := content(old)
	if err != nil {
		return err
	}
	b, err := content(t)
	if err != nil {
		return err
	}
	if a != b {
		return policy.Errorf(policy.CodeConflict, "task %s exists with other content: choose another id", t.ID)
	}
	return nil
}

// Get gives one task; an error of class not found when there is none.
func (q *Queue) Get(_ context.Context, id string) (Task, error) {
	var t Task
	err := q.store.view(func(tx *bolt.Tx) (err error) {
		t, err = mustLoad(tx, id)
		return err
	})
	return t, err
}

// List gives one page of the tasks that the filter selects, newest received first. An error of class invalid says
// that the status or the cursor is none.
func (q *Queue) List(_ context.Context, f Filter) (Page, error) {
	var page Page
	err := q.store.view(func(tx *bolt.Tx) (err error) {
		page, err = list(tx, f)
		return err
	})
	return page, err
}

// HasActive reports whether a task of the type has not ended yet.
func (q *Queue) HasActive(typ Type) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range []Status{New, Waiting, InProgress} {
		if q.live.counts[countKey{typ, s}] > 0 {
			return true
		}
	}
	return false
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
		case New:
			s.New += n
		case Waiting:
			s.Waiting += n
		case InProgress:
			s.InProgress += n
		}
	}
	return s
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // a wake-up is already on its way
	}
}
