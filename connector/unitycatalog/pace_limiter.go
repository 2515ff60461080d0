package unitycatalog

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"ucwarden/connector/call"
	"ucwarden/connector/unitycatalog/pace"
)

// limiter decides when an attempt may start. Of each priority, calls start in the order in which they came; a retry keeps
// the place of its call. Calls in the background go after the others, but for every fifth start, which is theirs.
//
// Concurrency follows AIMD (additive increase, multiplicative decrease) as in TCP: it grows by one per answer at first,
// and after the first sign of overload by one per round of answers; a sign of overload halves it, once per round. The
// rate follows what the server refuses; see pace.Control.
type limiter struct {
	max         int           // concurrency
	giveUpAfter time.Duration // a pause longer than this fails the waiting requests
	metrics     *metrics

	mu       sync.Mutex
	tickets  uint64
	waiters  [priorities]list.List // of *waiter, by ticket
	passed   int                   // starts since the last one in the background, while such calls waited
	inFlight int
	behind   int         // how many of inFlight are in the background
	idle     bool        // some calls were answered, and nothing was waited for or under way when the first waiter came
	timer    *time.Timer // dispatches when the pause or the rate allows the next start

	limit        float64 // present limit of concurrency
	latencyFloor float64 // latency alone does not lower limit below this
	slowStart    bool    // no sign of overload yet
	round        int     // a sign of overload counts once per round

	pausedUntil time.Time // no start before this, because of Retry-After
	rate        *pace.Control
	nextStart   time.Time // no start before this, because of the rate
	waited      bool      // for the rate, since the last answer
	accepted    uint64    // attempts that were not refused, so far

	latency map[string]*routeLatency // by route
}

// Priorities of calls, the first first.
const (
	foreground = iota
	background
	priorities
)

// backgroundShare is how many starts there are to one in the background, where both wait.
const backgroundShare = 5

// reservedShare is of how many calls at a time one may not be in the background: else a call that comes finds the server occupied by
// those that started together, and waits until they end.
const reservedShare = 16

// maxCatchUp bounds by how much starts that came late, because timers do, may be made up for.
const maxCatchUp = 25 * time.Millisecond

// savedStarts is how many starts that nobody wanted may be made up for, where the rate leaves less time than maxCatchUp between two: then
// a task that asks for some things at a time need not wait in between.
const savedStarts = 2

func priorityOf(ctx context.Context) int {
	if call.IsBackground(ctx) {
		return background
	}
	return foreground
}

func newLimiter(p Pacing, giveUpAfter time.Duration, m *metrics) *limiter {
	lim := &limiter{max: p.MaxConcurrency, giveUpAfter: giveUpAfter, metrics: m,
		limit: float64(p.InitialConcurrency), latencyFloor: max(1, float64(p.InitialConcurrency)/2), slowStart: true,
		rate: pace.New(p.MaxRate), latency: make(map[string]*routeLatency)}
	m.limit.Set(lim.limit)
	m.rate.Set(lim.rate.Rate())
	return lim
}

// ticket returns the place of a call in the queue, for all of its attempts.
func (lim *limiter) ticket() uint64 {
	lim.mu.Lock()
	defer lim.mu.Unlock()
	lim.tickets++
	return lim.tickets
}

type waiter struct {
	ticket uint64
	ready  chan struct{} // closed when granted or failed
	grant  permit
	err    error
}

// permit allows one attempt. It must be returned with release.
type permit struct {
	started time.Time
	round   int
	behind  bool   // it is in the background
	since   uint64 // how many attempts had been accepted when it started, for a retry when the attempt before did
}

// pausedError says that the server's Retry-After is longer than a call may wait.
type pausedError struct{ until time.Time }

func (e *pausedError) Error() string {
	return fmt.Sprintf("the workspace accepts no requests until %s (Retry-After)", e.until.UTC().Format(time.RFC3339))
}

// acquire waits until the call with the ticket may start an attempt. The caller must release the permit.
func (lim *limiter) acquire(ctx context.Context, ticket uint64) (permit, error) {
	if err := ctx.Err(); err != nil {
		return permit{}, err
	}
	w := &waiter{ticket: ticket, ready: make(chan struct{})}
	lim.mu.Lock()
	if until := lim.pausedUntil; time.Until(until) > lim.giveUpAfter {
		lim.mu.Unlock()
		return permit{}, &pausedError{until}
	}
	lim.idle = lim.waiting() == 0 && lim.inFlight == 0 && lim.accepted > 0
	queue := &lim.waiters[priorityOf(ctx)]
	e := queue.Back()
	for e != nil && e.Value.(*waiter).ticket > ticket {
		e = e.Prev()
	}
	if e == nil {
		e = queue.PushFront(w)
	} else {
		e = queue.InsertAfter(w, e)
	}
	lim.dispatch()
	lim.mu.Unlock()

	select {
	case <-w.ready:
		return w.grant, w.err
	case <-ctx.Done():
	}
	lim.mu.Lock()
	defer lim.mu.Unlock()
	select {
	case <-w.ready: // granted in the same instant
		if w.err == nil {
			lim.ended(w.grant)
			lim.rate.Lose(w.grant.started, time.Now())
		}
	default:
		queue.Remove(e)
	}
	lim.dispatch()
	return permit{}, ctx.Err()
}

// dispatch grants permits to waiters, in order, while they may start now. The caller holds lim.mu.
func (lim *limiter) dispatch() {
	if lim.timer != nil {
		lim.timer.Stop()
		lim.timer = nil
	}
	for lim.mayStart() {
		now := time.Now()
		at := lim.pausedUntil
		if lim.rate.Rate() > 0 && lim.nextStart.After(at) {
			at = lim.nextStart
			lim.waited = true
		}
		if until := lim.rate.Earliest(now, lim.inFlight); until.After(at) {
			at = until
		}
		if at.After(now) {
			lim.timer = time.AfterFunc(at.Sub(now), func() {
				lim.mu.Lock()
				defer lim.mu.Unlock()
				lim.dispatch()
			})
			break
		}
		if lim.rate.Rate() > 0 {
			interval := lim.rate.Interval()
			if now.Sub(lim.nextStart) > maxCatchUp {
				lim.nextStart = now
				if lim.idle && interval < maxCatchUp {
					lim.nextStart = now.Add(-savedStarts * interval)
				}
			}
			lim.nextStart = lim.nextStart.Add(interval)
		}
		lim.idle = false
		lim.rate.Start(now)
		w, priority := lim.next()
		w.grant = permit{started: now, round: lim.round, since: lim.accepted, behind: priority == background}
		lim.inFlight++
		if w.grant.behind {
			lim.behind++
		}
		close(w.ready)
	}
	lim.metrics.inFlight.Set(float64(lim.inFlight))
	lim.metrics.waiting.Set(float64(lim.waiting()))
}

func (lim *limiter) waiting() int {
	return lim.waiters[foreground].Len() + lim.waiters[background].Len()
}

// mayStart reports whether a call waits that may be under way together with those that are.
func (lim *limiter) mayStart() bool {
	return lim.inFlight < int(lim.limit) && (lim.waiters[foreground].Len() > 0 || lim.waiters[background].Len() > 0 && lim.mayBehind())
}

// mayBehind reports whether one more call may be in the background.
func (lim *limiter) mayBehind() bool {
	limit := int(lim.limit)
	return lim.behind < max(1, limit-(limit+reservedShare-1)/reservedShare)
}

// next removes and returns the waiter that starts next, with its priority; there must be one that may.
func (lim *limiter) next() (*waiter, int) {
	priority := foreground
	if lim.waiters[background].Len() > 0 && lim.mayBehind() {
		if lim.passed++; lim.waiters[foreground].Len() == 0 || lim.passed >= backgroundShare {
			priority, lim.passed = background, 0
		}
	}
	queue := &lim.waiters[priority]
	return queue.Remove(queue.Front()).(*waiter), priority
}

// ended notes that an attempt is no longer under way.
func (lim *limiter) ended(p permit) {
	lim.inFlight--
	if p.behind {
		lim.behind--
	}
}

// loadSignal is what an attempt shows about the load on the server.
type loadSignal int

const (
	signalOK        loadSignal = iota // the server answered
	signalThrottled                   // 429
	signalOverloaded
	signalNone // nothing: the caller gave up, or the failure has another cause
)

// release returns a permit and adapts concurrency and rate to the attempt's signal.
// retryAt is when the server allows the next attempt, zero where it did not say. It reports whether the attempt was refused
// while the server accepted others: they had this call's turn.
func (lim *limiter) release(p permit, route string, o loadSignal, retryAt time.Time) (passed bool) {
	lim.mu.Lock()
	defer lim.mu.Unlock()
	now := time.Now()
	switch o {
	case signalOK:
		lim.accepted++
		slow := lim.observe(route, p.started, now)
		lim.grow(p, slow)
		lim.rate.Accept(p.started, now, lim.waited)
		lim.waited = false
	case signalThrottled:
		lim.throttled(p, now, retryAt)
	case signalOverloaded:
		if lim.newRound(p) {
			lim.setLimit(lim.limit / 2)
		}
		lim.rate.Lose(p.started, now)
	case signalNone:
		lim.rate.Lose(p.started, now)
	}
	lim.metrics.rate.Set(lim.rate.Rate())
	lim.ended(p)
	lim.dispatch()
	return o == signalThrottled && lim.accepted > p.since
}

// throttled adapts the rate to a 429, and pauses everything until retryAt where calls are refused one after another for long.
func (lim *limiter) throttled(p permit, now, retryAt time.Time) {
	lim.slowStart = false
	rate := lim.rate.Rate()
	if lim.rate.Refuse(p.started, now, retryAt, lim.waited) {
		lim.pause(retryAt)
	}
	if lim.rate.Rate() > 0 && lim.rate.Rate() != rate { // starts go on at the new rate
		lim.nextStart = now.Add(lim.rate.Interval())
	}
}

// pause prevents starts before until. It fails the waiters if that is longer than giveUpAfter. The caller holds lim.mu.
func (lim *limiter) pause(until time.Time) {
	if !until.After(lim.pausedUntil) {
		return
	}
	lim.pausedUntil = until
	if time.Until(until) <= lim.giveUpAfter {
		return
	}
	for priority := range lim.waiters {
		for queue := &lim.waiters[priority]; queue.Len() > 0; {
			w := queue.Remove(queue.Front()).(*waiter)
			w.err = &pausedError{until}
			close(w.ready)
		}
	}
}

// newRound reports whether an attempt counts as a sign of overload: it must have started after the last one that did.
func (lim *limiter) newRound(p permit) bool {
	if p.round != lim.round {
		return false
	}
	lim.round++
	lim.slowStart = false
	return true
}

func (lim *limiter) setLimit(limit float64) {
	lim.limit = min(max(limit, 1), float64(lim.max))
	lim.metrics.limit.Set(lim.limit)
}

// grow raises the concurrency limit after an answer, if at least half of it is in use and answers are not slow. Slow
// answers lower it by a tenth.
func (lim *limiter) grow(p permit, slow bool) {
	switch {
	case slow:
		if lim.limit > lim.latencyFloor && lim.newRound(p) {
			lim.setLimit(max(lim.latencyFloor, lim.limit*0.9))
		}
	case float64(lim.inFlight) < lim.limit/2:
	case lim.slowStart:
		lim.setLimit(lim.limit + 1)
	default:
		lim.setLimit(lim.limit + 1/lim.limit)
	}
}

// routeLatency is the latency of one route, in seconds.
type routeLatency struct {
	baseline float64
	recent   float64
	at       time.Time // of the last answer
}

// latencyMemory is how long it takes until a lasting change of latency becomes the new baseline.
const latencyMemory = time.Minute

// observe records the latency of an answer and reports whether answers have become slow: more than three times the
// route's baseline plus 100 ms.
func (lim *limiter) observe(route string, started, now time.Time) bool {
	took := now.Sub(started).Seconds()
	l := lim.latency[route]
	if l == nil {
		lim.latency[route] = &routeLatency{baseline: took, recent: took, at: now}
		return false
	}
	l.recent += 0.2 * (took - l.recent)
	if took < l.baseline {
		l.baseline = took
	} else {
		l.baseline += min(1, now.Sub(l.at).Seconds()/latencyMemory.Seconds()) * (took - l.baseline)
	}
	l.at = now
	return l.recent > 3*l.baseline+0.1
}
