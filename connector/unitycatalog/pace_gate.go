package unitycatalog

import (
	"container/list"
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// gate decides when an attempt may start. Whoever asks first goes first; a retry keeps the place of its first ask.
//
// Concurrency follows AIMD as TCP does: it grows by one per answer at first, and after the first sign of trouble by
// one per round of answers; a sign of trouble halves it, once per round. The rate is without bound until the server
// says 429: then it drops below what the server has just been seen to take, and grows back, slowly at first.
type gate struct {
	max      int           // concurrency
	maxRate  float64       // starts per second; 0: no bound
	patience time.Duration // a pause longer than this fails the waiters
	metrics  *metrics

	mu       sync.Mutex
	tickets  uint64
	waiters  list.List // of *waiter, by ticket
	inFlight int
	timer    *time.Timer // wakes the first waiter, when time alone holds it

	limit     float64 // concurrency allowed at present
	calm      float64 // latency alone does not lower limit below this
	slowStart bool    // no trouble seen yet
	round     int     // signs of trouble count once per round

	paused time.Time // no start before this: the server said so
	rate   float64   // starts per second at present; 0: no bound
	probe  bool      // rate is a first guess, to be doubled each second until the next 429
	next   time.Time // no start before this, because of rate
	cut    time.Time // when rate was last lowered
	raised time.Time // when rate was last raised

	answers window
	latency map[string]*latency // by route
}

// Bounds of the rate, per second.
const (
	rateFloor   = 0.5  // less would stall a sync for good
	firstRate   = 5    // the least that the first 429 leads to: it may come before there is anything to go by
	rateCeiling = 1000 // more is as good as no bound
)

func newGate(p Pacing, patience time.Duration, m *metrics) *gate {
	g := &gate{max: p.MaxConcurrency, maxRate: p.MaxRate, patience: patience, metrics: m,
		limit: float64(p.InitialConcurrency), calm: max(1, float64(p.InitialConcurrency)/2), slowStart: true,
		rate: p.MaxRate, latency: make(map[string]*latency)}
	m.limit.Set(g.limit)
	m.rate.Set(g.rate)
	return g
}

// ticket gives a place in the queue, for all attempts of one call.
func (g *gate) ticket() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tickets++
	return g.tickets
}

type waiter struct {
	ticket uint64
	ready  chan struct{} // closed when granted or failed
	grant  permit
	err    error
}

// permit allows one attempt. It is given back with release or cancel.
type permit struct {
	started time.Time
	round   int
}

// pausedError says that the server wants no request for longer than a call may wait.
type pausedError struct{ until time.Time }

func (e *pausedError) Error() string {
	return fmt.Sprintf("the workspace wants no requests until %s", e.until.UTC().Format(time.RFC3339))
}

// acquire waits until the holder of ticket may start an attempt.
func (g *gate) acquire(ctx context.Context, ticket uint64) (permit, error) {
	if err := ctx.Err(); err != nil {
		return permit{}, err
	}
	w := &waiter{ticket: ticket, ready: make(chan struct{})}
	g.mu.Lock()
	if until := g.paused; time.Until(until) > g.patience {
		g.mu.Unlock()
		return permit{}, &pausedError{until}
	}
	e := g.waiters.Back()
	for e != nil && e.Value.(*waiter).ticket > ticket {
		e = e.Prev()
	}
	if e == nil {
		e = g.waiters.PushFront(w)
	} else {
		e = g.waiters.InsertAfter(w, e)
	}
	g.dispatch()
	g.mu.Unlock()

	select {
	case <-w.ready:
		return w.grant, w.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.ready: // granted in the same instant
		if w.err == nil {
			g.inFlight--
		}
	default:
		g.waiters.Remove(e)
	}
	g.dispatch()
	return permit{}, ctx.Err()
}

// dispatch grants to waiters, in order, what may start now. g.mu is held.
func (g *gate) dispatch() {
	if g.timer != nil {
		g.timer.Stop()
		g.timer = nil
	}
	for g.waiters.Len() > 0 && g.inFlight < int(g.limit) {
		now := time.Now()
		at := g.paused
		if g.rate > 0 && g.next.After(at) {
			at = g.next
		}
		if at.After(now) {
			g.timer = time.AfterFunc(at.Sub(now), func() {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.dispatch()
			})
			break
		}
		if g.rate > 0 {
			g.next = now.Add(g.interval())
		}
		w := g.waiters.Remove(g.waiters.Front()).(*waiter)
		w.grant = permit{started: now, round: g.round}
		g.inFlight++
		close(w.ready)
	}
	g.metrics.inFlight.Set(float64(g.inFlight))
	g.metrics.waiting.Set(float64(g.waiters.Len()))
}

// outcome is what an attempt says about the load on the server.
type outcome int

const (
	answered  outcome = iota // it took the request
	throttled                // it asks for fewer requests: 429
	overloaded
	untold // nothing: the caller gave up, or the failure has another cause
)

// release gives a permit back and learns from what became of it.
func (g *gate) release(p permit, route string, o outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	switch o {
	case answered:
		slow := g.observe(route, p.started, now)
		g.answers.add(now)
		g.grow(p, slow)
		g.raiseRate(now)
	case throttled:
		if g.newRound(p) {
			g.setLimit(g.limit / 2)
		}
		if p.started.After(g.cut) { // one that started before says nothing about the rate since
			g.lowerRate(now)
		}
	case overloaded:
		if g.newRound(p) {
			g.setLimit(g.limit / 2)
		}
	}
	g.inFlight--
	g.dispatch()
}

// pause lets nothing start before until.
func (g *gate) pause(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !until.After(g.paused) {
		return
	}
	g.paused = until
	if time.Until(until) <= g.patience {
		return
	}
	for g.waiters.Len() > 0 {
		w := g.waiters.Remove(g.waiters.Front()).(*waiter)
		w.err = &pausedError{until}
		close(w.ready)
	}
	g.dispatch()
}

// newRound reports whether an attempt may count as a sign of trouble: it started after the last one that did.
func (g *gate) newRound(p permit) bool {
	if p.round != g.round {
		return false
	}
	g.round++
	g.slowStart = false
	return true
}

func (g *gate) setLimit(limit float64) {
	g.limit = min(max(limit, 1), float64(g.max))
	g.metrics.limit.Set(g.limit)
}

// grow raises the concurrency after an answer, when as much as is allowed was made use of and answers are not slow.
func (g *gate) grow(p permit, slow bool) {
	switch {
	case slow:
		if g.limit > g.calm && g.newRound(p) {
			g.setLimit(max(g.calm, g.limit*0.9))
		}
	case float64(g.inFlight) < g.limit/2:
	case g.slowStart:
		g.setLimit(g.limit + 1)
	default:
		g.setLimit(g.limit + 1/g.limit)
	}
}

// lowerRate starts from what the server took in the last second. That may be too little, if the client had not been
// at work for a second; hence the probing that follows.
func (g *gate) lowerRate(now time.Time) {
	if g.unbound() {
		g.rate = max(0.9*g.answers.perSecond(now), firstRate)
		g.probe = true
	} else {
		g.rate *= 0.7
		g.probe = false
	}
	g.setRate(min(max(g.rate, rateFloor), rateCeiling))
	g.cut, g.raised = now, now
	g.next = now.Add(g.interval())
}

// raiseRate lets the rate grow by about 5 % per second, faster the longer ago the last 429 is.
func (g *gate) raiseRate(now time.Time) {
	if g.unbound() {
		return
	}
	seconds := min(now.Sub(g.raised).Seconds(), 1) // an idle client learns nothing
	rate := g.rate
	if g.probe {
		rate *= math.Exp2(seconds)
	} else {
		rate += seconds * (0.05*rate + 0.05) * (1 + now.Sub(g.cut).Seconds()/20)
	}
	if g.maxRate == 0 && rate > rateCeiling {
		rate = 0
	}
	g.setRate(rate)
	g.raised = now
}

// unbound reports whether no 429 bounds the rate at present.
func (g *gate) unbound() bool { return g.rate == 0 || g.maxRate > 0 && g.rate >= g.maxRate }

// interval between two starts at the present rate, which is bound.
func (g *gate) interval() time.Duration { return time.Duration(float64(time.Second) / g.rate) }

func (g *gate) setRate(rate float64) {
	g.rate = rate
	if g.maxRate > 0 {
		g.rate = min(g.rate, g.maxRate)
	}
	g.metrics.rate.Set(g.rate)
}

// latency of one route, in seconds.
type latency struct {
	least  float64
	recent float64
	at     time.Time // of the last answer
}

// latencyMemory is how long it takes until a lasting change of latency becomes the new normal.
const latencyMemory = time.Minute

// observe records the latency of an answer and reports whether answers have become slow: three times what the route
// took when the server was at ease, and noticeably so.
func (g *gate) observe(route string, started, now time.Time) bool {
	took := now.Sub(started).Seconds()
	l := g.latency[route]
	if l == nil {
		g.latency[route] = &latency{least: took, recent: took, at: now}
		return false
	}
	l.recent += 0.2 * (took - l.recent)
	if took < l.least {
		l.least = took
	} else {
		l.least += min(1, now.Sub(l.at).Seconds()/latencyMemory.Seconds()) * (took - l.least)
	}
	l.at = now
	return l.recent > 3*l.least+0.1
}

// window counts events over the last second or so.
type window struct {
	start    time.Time // of the present second
	now, old float64   // events in the present second and in the one before
}

func (w *window) roll(t time.Time) {
	switch elapsed := t.Sub(w.start); {
	case elapsed >= 2*time.Second:
		*w = window{start: t}
	case elapsed >= time.Second:
		*w = window{start: w.start.Add(time.Second), old: w.now}
	}
}

func (w *window) add(t time.Time) {
	w.roll(t)
	w.now++
}

// perSecond is the number of events in the second up to t, taking those of the second before as evenly spread.
func (w *window) perSecond(t time.Time) float64 {
	w.roll(t)
	return w.now + w.old*(1-t.Sub(w.start).Seconds())
}
