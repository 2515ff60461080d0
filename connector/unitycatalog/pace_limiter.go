package unitycatalog

import (
	"container/list"
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"ucwarden/connector"
)

// limiter decides when an attempt may start. Of each priority, calls start in the order in which they came; a retry keeps
// the place of its call. Calls in the background go after the others, but for every fifth start, which is theirs.
//
// Concurrency follows AIMD (additive increase, multiplicative decrease) as in TCP: it grows by one per answer at first,
// and after the first sign of overload by one per round of answers; a sign of overload halves it, once per round. The
// rate is unlimited until the server answers 429: then it drops below the rate just measured, and grows again, slowly at
// first.
type limiter struct {
	max         int           // concurrency
	maxRate     float64       // starts per second; 0: no limit
	giveUpAfter time.Duration // a pause longer than this fails the waiting requests
	metrics     *metrics

	mu       sync.Mutex
	tickets  uint64
	waiters  [priorities]list.List // of *waiter, by ticket
	passed   int                   // starts since the last one in the background, while such calls waited
	inFlight int
	timer    *time.Timer // dispatches when the pause or the rate allows the next start

	limit        float64 // present limit of concurrency
	latencyFloor float64 // latency alone does not lower limit below this
	slowStart    bool    // no sign of overload yet
	round        int     // a sign of overload counts once per round

	pausedUntil time.Time // no start before this, because of Retry-After
	rate        float64   // present limit of starts per second; 0: no limit
	probing     bool      // rate is a first estimate, doubled each second until the next 429
	nextStart   time.Time // no start before this, because of rate
	lowered     time.Time // when rate was last lowered
	raised      time.Time // when rate was last raised

	recentAnswers rateWindow
	latency       map[string]*routeLatency // by route
}

// Bounds of the rate, per second.
const (
	minRate        = 0.5  // less would stall a sync
	minFirstRate   = 5    // lower bound after the first 429, which may come before a rate was measured
	maxLimitedRate = 1000 // above this the rate counts as unlimited
)

// Priorities of calls, the first first.
const (
	foreground = iota
	background
	priorities
)

// backgroundShare is how many starts there are to one in the background, where both wait.
const backgroundShare = 5

func priorityOf(ctx context.Context) int {
	if connector.IsBackground(ctx) {
		return background
	}
	return foreground
}

func newLimiter(p Pacing, giveUpAfter time.Duration, m *metrics) *limiter {
	lim := &limiter{max: p.MaxConcurrency, maxRate: p.MaxRate, giveUpAfter: giveUpAfter, metrics: m,
		limit: float64(p.InitialConcurrency), latencyFloor: max(1, float64(p.InitialConcurrency)/2), slowStart: true,
		rate: p.MaxRate, latency: make(map[string]*routeLatency)}
	m.limit.Set(lim.limit)
	m.rate.Set(lim.rate)
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
			lim.inFlight--
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
	for lim.waiting() > 0 && lim.inFlight < int(lim.limit) {
		now := time.Now()
		at := lim.pausedUntil
		if lim.rate > 0 && lim.nextStart.After(at) {
			at = lim.nextStart
		}
		if at.After(now) {
			lim.timer = time.AfterFunc(at.Sub(now), func() {
				lim.mu.Lock()
				defer lim.mu.Unlock()
				lim.dispatch()
			})
			break
		}
		if lim.rate > 0 {
			lim.nextStart = now.Add(lim.startInterval())
		}
		w := lim.next()
		w.grant = permit{started: now, round: lim.round}
		lim.inFlight++
		close(w.ready)
	}
	lim.metrics.inFlight.Set(float64(lim.inFlight))
	lim.metrics.waiting.Set(float64(lim.waiting()))
}

func (lim *limiter) waiting() int {
	return lim.waiters[foreground].Len() + lim.waiters[background].Len()
}

// next removes and returns the waiter that starts next; there must be one.
func (lim *limiter) next() *waiter {
	queue := &lim.waiters[foreground]
	if behind := &lim.waiters[background]; behind.Len() > 0 {
		if lim.passed++; queue.Len() == 0 || lim.passed >= backgroundShare {
			queue, lim.passed = behind, 0
		}
	}
	return queue.Remove(queue.Front()).(*waiter)
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
func (lim *limiter) release(p permit, route string, o loadSignal) {
	lim.mu.Lock()
	defer lim.mu.Unlock()
	now := time.Now()
	switch o {
	case signalOK:
		slow := lim.observe(route, p.started, now)
		lim.recentAnswers.add(now)
		lim.grow(p, slow)
		lim.raiseRate(now)
	case signalThrottled:
		if lim.newRound(p) {
			lim.setLimit(lim.limit / 2)
		}
		if p.started.After(lim.lowered) { // an attempt that started before shows nothing about the rate since
			lim.lowerRate(now)
		}
	case signalOverloaded:
		if lim.newRound(p) {
			lim.setLimit(lim.limit / 2)
		}
	}
	lim.inFlight--
	lim.dispatch()
}

// pause prevents starts before until. It fails the waiters if that is longer than giveUpAfter.
func (lim *limiter) pause(until time.Time) {
	lim.mu.Lock()
	defer lim.mu.Unlock()
	if !until.After(lim.pausedUntil) {
		return
	}
	lim.pausedUntil = until
	if time.Until(until) <= lim.giveUpAfter {
		return
	}
	for lim.waiting() > 0 {
		w := lim.next()
		w.err = &pausedError{until}
		close(w.ready)
	}
	lim.dispatch()
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

// lowerRate lowers the rate after a 429: the first time to below the rate measured in the last second, later by 30 %.
// The measured rate is too low if the client has been sending for less than a second; hence probing.
func (lim *limiter) lowerRate(now time.Time) {
	if lim.isUnlimited() {
		lim.rate = max(0.9*lim.recentAnswers.perSecond(now), minFirstRate)
		lim.probing = true
	} else {
		lim.rate *= 0.7
		lim.probing = false
	}
	lim.setRate(min(max(lim.rate, minRate), maxLimitedRate))
	lim.lowered, lim.raised = now, now
	lim.nextStart = now.Add(lim.startInterval())
}

// raiseRate raises the rate by about 5 % per second, more the longer ago the last 429 is.
func (lim *limiter) raiseRate(now time.Time) {
	if lim.isUnlimited() {
		return
	}
	seconds := min(now.Sub(lim.raised).Seconds(), 1) // idle time does not count
	rate := lim.rate
	if lim.probing {
		rate *= math.Exp2(seconds)
	} else {
		rate += seconds * (0.05*rate + 0.05) * (1 + now.Sub(lim.lowered).Seconds()/20)
	}
	if lim.maxRate == 0 && rate > maxLimitedRate {
		rate = 0
	}
	lim.setRate(rate)
	lim.raised = now
}

// isUnlimited reports whether no 429 limits the rate at present.
func (lim *limiter) isUnlimited() bool {
	return lim.rate == 0 || lim.maxRate > 0 && lim.rate >= lim.maxRate
}

// startInterval returns the time between two starts at the present rate, which must be limited.
func (lim *limiter) startInterval() time.Duration {
	return time.Duration(float64(time.Second) / lim.rate)
}

func (lim *limiter) setRate(rate float64) {
	lim.rate = rate
	if lim.maxRate > 0 {
		lim.rate = min(lim.rate, lim.maxRate)
	}
	lim.metrics.rate.Set(lim.rate)
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

// rateWindow counts events of the last one to two seconds.
type rateWindow struct {
	start    time.Time // of the present second
	now, old float64   // events in the present second and in the one before
}

func (w *rateWindow) roll(t time.Time) {
	switch elapsed := t.Sub(w.start); {
	case elapsed >= 2*time.Second:
		*w = rateWindow{start: t}
	case elapsed >= time.Second:
		*w = rateWindow{start: w.start.Add(time.Second), old: w.now}
	}
}

func (w *rateWindow) add(t time.Time) {
	w.roll(t)
	w.now++
}

// perSecond returns the number of events in the second up to t, assuming that those of the second before were evenly
// spread.
func (w *rateWindow) perSecond(t time.Time) float64 {
	w.roll(t)
	return w.now + w.old*(1-t.Sub(w.start).Seconds())
}
