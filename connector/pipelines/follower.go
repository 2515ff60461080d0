package pipelines

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ucwarden/ondemand"
	"ucwarden/policy"
)

// Tasks is what a Follower needs of the queue.
type Tasks interface {
	// Runs returns the ids of the tasks to follow, and whether each was cancelled.
	Runs() map[string]bool
	// RunsChanged receives a value after there is another one, or one was cancelled.
	RunsChanged() <-chan struct{}
	// Get returns a task.
	Get(ctx context.Context, id string) (ondemand.Task, error)
	// UpdateRun changes the run of a task, and EndRun ends it. Errors are of class policy.CodeConflict where it has ended.
	UpdateRun(ctx context.Context, id string, set func(*ondemand.Task) error) (ondemand.Task, error)
	EndRun(ctx context.Context, id string, to ondemand.Status, message string, set func(*ondemand.Task) error) (ondemand.Task, error)
	// Paused returns since when nothing may begin; nil where it may.
	Paused() *ondemand.Pause
}

// WhenActive says what to do with a task whose pipeline has an active update that somebody else started.
type WhenActive string

// The choices: wait for its end, end FAILED, follow it instead of starting another.
const (
	Wait WhenActive = "wait"
	Fail WhenActive = "fail"
	Join WhenActive = "join"
)

// Options configure a [Follower]. Zero values take the defaults named here.
type Options struct {
	Service    Service       // required
	Tasks      Tasks         // required
	WhenActive WhenActive    // default Wait
	Observe    bool          // start nothing, and say what would have been started
	PollFirst  time.Duration // until an update is looked at for the first time; it rises by half each time; default 2s
	PollMost   time.Duration // longest such time; default 30s
	// Exempt are users, groups and application ids that no row filter and no mask binds. A refresh whose pipeline runs as another one
	// warns that its results lack what is hidden from that one.
	Exempt     []string
	Limit      time.Duration // how long to wait for another update to end, or for a service that does not say the state; default 1h
	Parallel   int           // updates that are looked at, started or stopped at the same time; default 8
	Logger     *slog.Logger
	Registerer prometheus.Registerer // may be nil
	// Now returns the time that is stored with tasks; default time.Now. It may jump: how long something takes is measured apart.
	Now func() time.Time
}

func (o *Options) validate() error {
	if o.Service == nil || o.Tasks == nil {
		return errors.New("pipelines: no service, or no tasks")
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&o.PollFirst, 2 * time.Second}, {&o.PollMost, 30 * time.Second}, {&o.Limit, time.Hour}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	o.PollMost = max(o.PollMost, o.PollFirst)
	if o.Parallel <= 0 {
		o.Parallel = 8
	}
	if o.WhenActive == "" {
		o.WhenActive = Wait
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Follower starts the updates that tasks ask for, and follows each until it is over.
type Follower struct {
	Options
	ended *prometheus.CounterVec

	mu       sync.Mutex
	starting map[string]string // by pipeline: the task whose request to start may be on its way
}

// New returns a Follower, which does nothing until [Follower.Run].
func New(o Options) (*Follower, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	f := &Follower{Options: o, starting: make(map[string]string)}
	f.ended = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ucwarden_pipeline_updates_ended_total",
		Help: "Tasks of type PIPELINE_UPDATE that ended, by status."}, []string{"status"})
	for _, status := range []ondemand.Status{ondemand.Success, ondemand.Failed, ondemand.Skipped} { // an increase is seen only of what was there before
		f.ended.WithLabelValues(string(status))
	}
	followed := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ucwarden_pipeline_updates_followed",
		Help: "Updates of pipelines that are followed now."}, func() float64 { return float64(len(f.Tasks.Runs())) })
	if o.Registerer == nil {
		return f, nil
	}
	for _, c := range []prometheus.Collector{f.ended, followed} {
		if err := o.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("pipelines: register metrics: %w", err)
		}
	}
	return f, nil
}

// item is a task that is followed.
type item struct {
	id    string
	due   time.Time // by the monotonic clock
	index int       // in the heap; -1: not in it
	again bool      // something happened while it was being looked at

	cancelled bool // known to Run

	// Of who looks at it:
	delay   time.Duration
	started string // update whose id is not stored yet
	asked   bool   // for the errors of an update that failed, which may come late

	unknown, waiting, sent span
}

// span measures how long something holds. A clock that is set does not count, nor the time between two processes.
type span struct{ began time.Time }

// elapsed returns for how long something holds that had held for that many seconds in earlier processes. store says that it is time
// to store the seconds again.
func (s *span) elapsed(seconds int) (lasted time.Duration, store bool) {
	now, before := time.Now(), time.Duration(seconds)*time.Second
	if s.began.IsZero() {
		s.began = now.Add(-before)
	}
	lasted = now.Sub(s.began)
	return lasted, seconds == 0 || lasted-before >= time.Minute
}

// secondsOf returns a duration as it is stored; at least 1, since 0 is nothing.
func secondsOf(d time.Duration) int { return max(1, int(d/time.Second)) }

// queue orders items by when they are due.
type queue []*item

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i]; q[i].index, q[j].index = i, j }
func (q *queue) Push(x any)        { it := x.(*item); it.index = len(*q); *q = append(*q, it) }
func (q *queue) Pop() any {
	old := *q
	it := old[len(old)-1]
	*q, it.index = old[:len(old)-1], -1
	return it
}

// spread is the time over which the items that were there at the start begin, each.
const spread = 20 * time.Millisecond

// Run follows tasks until ctx ends; then they stay as they are, and the next Run goes on with them.
func (f *Follower) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	work, done := make(chan *item), make(chan stepped, f.Parallel)
	defer close(work)
	for range f.Parallel {
		workers.Go(func() {
			for it := range work {
				after, over := f.step(ctx, it)
				done <- stepped{it, after, over} // which has room for one of each
			}
		})
	}
	items := make(map[string]*item)
	var waiting queue
	add := func(it *item, after time.Duration) {
		it.due = time.Now().Add(after)
		heap.Push(&waiting, it)
	}
	take := func() {
		runs := f.Tasks.Runs()
		for id, cancelled := range runs {
			it := items[id]
			switch {
			case it == nil:
				it = &item{id: id, cancelled: cancelled, delay: f.PollFirst, index: -1}
				f.holdStart(ctx, id)
				items[id] = it
				add(it, rand.N(min(f.PollMost, time.Duration(len(runs))*spread)))
			case cancelled && !it.cancelled:
				it.cancelled, it.again = true, true
				if it.index >= 0 {
					it.due, it.delay = time.Now(), f.PollFirst
					heap.Fix(&waiting, it.index)
				}
			}
		}
	}
	take()
	for {
		var next *item
		var out chan<- *item
		timer := time.NewTimer(time.Hour)
		if len(waiting) > 0 {
			if wait := time.Until(waiting[0].due); wait <= 0 {
				next, out = waiting[0], work
			} else {
				timer.Reset(wait)
			}
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case out <- next:
			heap.Pop(&waiting)
			next.again = false
		case s := <-done:
			switch {
			case s.over:
				delete(items, s.item.id)
			case s.item.again:
				s.item.delay = f.PollFirst
				add(s.item, 0)
			default:
				add(s.item, s.after)
			}
		case <-f.Tasks.RunsChanged():
			take()
		case <-timer.C:
		}
		timer.Stop()
	}
}

// stepped is what became of an item.
type stepped struct {
	item  *item
	after time.Duration // when to look again
	over  bool          // it is not followed any more
}

// step does what is next for a task.
func (f *Follower) step(ctx context.Context, it *item) (after time.Duration, over bool) {
	defer func() {
		if r := recover(); r != nil {
			f.Logger.Error("following a pipeline panicked", "task", it.id, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			after, over = f.end(ctx, it, ondemand.Failed, fmt.Sprintf("internal error while the update was followed: %v", r), nil)
		}
	}()
	t, err := f.Tasks.Get(ctx, it.id)
	switch {
	case policy.CodeOf(err) == policy.CodeNotFound:
		return 0, true
	case err != nil:
		return f.stumble(it, err)
	case t.Status != ondemand.InProgress || t.Run == nil:
		f.releaseStart(it.id)
		return 0, true
	case t.Run.UpdateID != "":
		return f.poll(ctx, it, t)
	case it.started != "":
		return f.storeStart(ctx, it, it.started, f.Now())
	case !t.Run.SentTime.IsZero():
		return f.find(ctx, it, t)
	}
	return f.begin(ctx, it, t)
}

// stumble logs that the store does not do what it should, and has it tried again. Where the task has ended meanwhile, it is let go.
func (f *Follower) stumble(it *item, err error) (time.Duration, bool) {
	if code := policy.CodeOf(err); code == policy.CodeConflict || code == policy.CodeNotFound {
		f.releaseStart(it.id)
		return 0, true
	}
	f.Logger.Error("how far an update of a pipeline is cannot be stored; trying again", "task", it.id, "error", err)
	return f.PollFirst, false
}

// update stores the task as set changes it.
func (f *Follower) update(ctx context.Context, it *item, set func(*ondemand.Task)) (ondemand.Task, error) {
	return f.Tasks.UpdateRun(context.WithoutCancel(ctx), it.id, func(t *ondemand.Task) error {
		set(t)
		return nil
	})
}

// end ends the task.
func (f *Follower) end(ctx context.Context, it *item, to ondemand.Status, message string, set func(*ondemand.Run)) (time.Duration, bool) {
	_, err := f.Tasks.EndRun(context.WithoutCancel(ctx), it.id, to, message, func(t *ondemand.Task) error {
		r := t.Run
		r.Known, r.UnknownSeconds, r.WaitedSeconds = nil, 0, 0
		if set != nil {
			set(r)
		}
		return nil
	})
	if err != nil {
		return f.stumble(it, err)
	}
	f.ended.WithLabelValues(string(to)).Inc()
	f.releaseStart(it.id)
	return 0, true
}

// unclear notes that what became of the run cannot be said now, and ends the task where that has lasted beyond the limit.
func (f *Follower) unclear(ctx context.Context, it *item, r *ondemand.Run, why string, rawState string) (time.Duration, bool) {
	lasted, store := it.unknown.elapsed(r.UnknownSeconds)
	if lasted >= f.Limit {
		text := fmt.Sprintf("gave up after %v: %s", lasted.Round(time.Second), why)
		if r.UpdateID != "" {
			text += "; the update itself was not stopped"
		}
		return f.end(ctx, it, ondemand.Failed, text, func(r *ondemand.Run) {
			if r.UpdateID != "" {
				r.Status = ondemand.RunUnknown
			}
		})
	}
	if store || r.RawState != rawState {
		_, err := f.update(ctx, it, func(t *ondemand.Task) {
			r := t.Run
			r.UnknownSeconds = secondsOf(lasted)
			if r.UpdateID != "" {
				r.Status = ondemand.RunUnknown
				if r.RawState != rawState {
					r.RawState, r.LastStateChange = rawState, f.Now().UTC().Round(0)
				}
			}
			t.StatusMessage = why
		})
		if err != nil {
			return f.stumble(it, err)
		}
		if r.UnknownSeconds == 0 {
			f.Logger.Warn("the state of an update of a pipeline is not known", "task", it.id, "pipeline", r.PipelineID, "because", why)
		}
	}
	return f.later(it), false
}

// later returns when to look again, each time later.
func (f *Follower) later(it *item) time.Duration {
	d := it.delay
	it.delay = min(it.delay+it.delay/2, f.PollMost)
	return d - rand.N(d/10+1)
}
