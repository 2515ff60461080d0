package pace

import (
	"math"
	"time"
)

// Control finds the rate of calls that a server takes, from what it accepts and refuses, and follows it as it moves.
//
// It weighs hypotheses about the server (see belief): each is a way to count calls, with a limit. While many limits are likely, the rate is
// near the middle of them, and answers tell which are not. A limit that is known well enough is held. From time to time a probe
// lets a single call start beyond it, which is refused if the limit is where it was. Else a call starts when the rate allows it and the
// hypotheses say that it will hardly be refused. A budget of refusals says how often there are probes.
//
// A 429 may also be stray: without a limit behind it. The hypotheses allow for the share of calls that is.
type Control struct {
	max    float64 // calls per second; 0: no limit
	rate   float64 // present limit of starts per second; 0: no limit
	phase  phase
	belief *belief
	calls  calls

	latency float64 // of answers, in seconds; negative before the first
	updated time.Time

	known float64       // limit that is held
	held  time.Duration // how long it has been held and used
	moves moves

	extra      bool      // one call may start that will likely be refused
	extraStart time.Time // when the last one did
	probeBegan time.Time
	tries      int // extra calls of this probe, but for the first

	budget       float64   // refusals that may be spent on probes
	everRefused  bool      // by the present server
	run          int       // calls refused one after another, each started after the answer to the one before,
	firstRefused time.Time // the start of the first,
	lastRefused  time.Time // and the answer to the last
	refusedFree  float64   // share of calls that were refused of late while the rate is not limited

	chanceAt time.Time // when chance was reckoned; zero: not since the last answer or start
	chance   float64
}

type phase int

const (
	climb phase = iota // the limit is not known
	hold               // its limit is held
	probe              // a call beyond it shows whether it was raised
	free               // the rate is not limited
)

// Rates, in calls per second.
const (
	minRate   = 0.5 // less would stall a sync
	startRate = 100 // at least, until a call is refused
	freeRate  = 800 // higher limits need not be known
)

// While the limit is not known, so much of the weight lies below the rate.
const (
	climbQuantile = 0.33
	climbLow      = 0.15 // or the rate is climbAbove times the limit below which so much lies
	climbAbove    = 1.2
	firstQuantile = 0.4 // until a call is refused, so that a server without a limit is soon used to the full
)

// A limit is known when at most a tenth of the weight lies clearly below it, and about a tenth clearly above.
const (
	lowShare, low   = 0.1, 0.85 // times the limit
	highShare, high = 0.12, 1.15
)

// Signs that the limit moved.
const (
	fellTo       = 0.8 // times the limit that is held
	raisedTo     = 1.1 // times the limit,
	raisedShare  = 0.6 // with so much of the weight above; a climb finds it
	notRaised    = 0.35
	freeShare    = 0.8  // of the weight above freeRate: there is no limit
	refusedShare = 0.15 // of calls of late: there is one now
	refusedDecay = 0.05 // of that share, for each call
)

// Calls start that are accepted with this chance, at least.
const (
	climbChance = 0.87
	extraChance = 0.3 // in a climb, for one call whose answer tells most
	holdChance  = 0.7
	probeChance = 0.6 // one that is less likely shows whether the limit was raised
)

const (
	maxCreep   = 1.03 // times the limit as it was measured: more is found by probes
	probeRate  = 1.3  // times the limit, until the extra call
	spendTime  = 0.7  // seconds in which a probe uses up the calls that a server saved
	probeTime  = 3    // seconds that a probe may take,
	probeCalls = 20   // and the time of so many calls
	moreTries  = 1    // where the answer to the first extra call leaves it open

	silence            = 1100 * time.Millisecond // after it a call may start whatever its chance, to learn more
	leastWait, maxWait = 4 * time.Millisecond, 50 * time.Millisecond

	// An answer is late after this time, in latencies and beside them.
	lateLatencies = 1.3
	lateTime      = 5 * time.Millisecond
)

// All hypotheses may be wrong: after so many refusals one after another calls start one at a time, longer and longer apart.
const (
	longRun           = 3
	runGap, maxRunGap = 40 * time.Millisecond, 5 * time.Second
	runGrowth         = 1.5
	longRefused       = 1100 * time.Millisecond // longer than servers count calls
	longRetryAfter    = 1500 * time.Millisecond
)

// New returns a control that never lets more than maxRate calls a second start; 0: no limit.
func New(maxRate float64) *Control {
	c := &Control{max: maxRate, belief: newBelief(), latency: -1, budget: firstBudget}
	c.setRate(startRate)
	return c
}

// Rate returns the present limit of starts per second; 0: none.
func (c *Control) Rate() float64 { return c.rate }

// Interval returns the time between two starts at the present rate, which must be limited.
func (c *Control) Interval() time.Duration { return time.Duration(float64(time.Second) / c.rate) }

// Start notes that a call starts.
func (c *Control) Start(now time.Time) {
	if c.phase == free {
		return
	}
	if c.extra && (c.phase == probe && c.chanceOf(now) < probeChance || c.phase == climb && c.chanceOf(now) < climbChance) {
		c.extra, c.extraStart = false, now
		if c.phase == probe {
			c.setRate(c.known)
		}
	}
	c.calls.start(now)
	c.chanceAt = time.Time{}
}

// Accept notes that a call which started then was not refused. used says that the rate is what callers wait for.
func (c *Control) Accept(started, now time.Time, used bool) {
	took := min(now.Sub(started).Seconds(), 1)
	if c.latency < 0 { // the first answer
		c.latency = took
	}
	c.latency += 0.1 * (took - c.latency)
	c.belief.blur = blurPerLatency * c.latency
	c.budget = min(c.budget+budgetPerCall, maxBudget)
	c.run = 0
	if c.phase == free {
		c.refusedFree -= refusedDecay * c.refusedFree
		return
	}
	c.answer(started, now, accepted)
	c.adapt(started, now, used)
}

// Refuse notes that a call which started then was answered 429; the server allows the next attempt at retryAt, zero where it did not say.
// used is as for Accept. It reports whether calls are refused for so long that all should wait until retryAt.
func (c *Control) Refuse(started, now, retryAt time.Time, used bool) (pause bool) {
	if c.run == 0 {
		c.firstRefused = started
	}
	if c.run == 0 || !started.Before(c.lastRefused) {
		c.run, c.lastRefused = c.run+1, now
	}
	pause = c.run >= longRun && (started.Sub(c.firstRefused) > longRefused || retryAt.Sub(now) > longRetryAfter)
	if c.phase == free {
		c.refusedFree += refusedDecay * (1 - c.refusedFree)
		if c.refusedFree > refusedShare {
			c.restart()
		}
		return pause
	}
	c.everRefused = true
	if c.phase == probe && c.extra && started.After(c.probeBegan) { // less was accepted than was thought sure
		c.extra, c.extraStart = false, started
	}
	c.answer(started, now, refused)
	c.adapt(started, now, used)
	return pause
}

// Lose notes that a call which started then got no answer that shows whether it was refused.
func (c *Control) Lose(started, now time.Time) {
	if c.phase != free {
		c.answer(started, now, lost)
	}
}

// Earliest returns the time before which no call may start, whatever the rate, while so many are under way.
func (c *Control) Earliest(now time.Time, inFlight int) time.Time {
	if c.run >= longRun {
		gap := time.Duration(min(float64(runGap)*math.Pow(runGrowth, float64(c.run-longRun)), float64(maxRunGap)))
		if inFlight > 0 {
			return now.Add(gap)
		}
		return c.lastRefused.Add(gap)
	}
	least := holdChance
	switch {
	case c.phase == free, c.phase == probe && c.extra:
		return time.Time{}
	case c.phase == climb && c.extra:
		least = extraChance
	case c.phase == climb:
		least = climbChance
	}
	if c.chanceOf(now) >= least || inFlight == 0 && now.Sub(c.calls.lastStart()) > silence {
		return time.Time{}
	}
	wait := time.Duration(0.2 / c.belief.quantile(0.3) * float64(time.Second)) // a part of the time in which one more is accepted
	return now.Add(min(max(wait, leastWait), maxWait))
}

// chanceOf returns how likely a call is accepted that starts now.
func (c *Control) chanceOf(now time.Time) float64 {
	if !now.Equal(c.chanceAt) {
		c.chanceAt, c.chance = now, c.belief.chance(now, c.calls.pending(), c.calls.accepted)
	}
	return c.chance
}

// answer notes what became of a call, and learns from all that are settled now.
func (c *Control) answer(started, now time.Time, s state) {
	c.chanceAt = time.Time{}
	if late := c.calls.answer(started, s); late && s == refused {
		c.belief.assume(now, false)
	}
	overdue := now.Add(-lateTime - time.Duration(lateLatencies*max(c.latency, 0)*float64(time.Second)))
	for {
		next, ok := c.calls.next(overdue)
		if !ok {
			return
		}
		switch next.state {
		case underWay:
			c.belief.assume(next.started, true)
		case accepted:
			c.belief.learn(next.started, true, c.calls.accepted)
			c.belief.noteStray(0)
		case refused:
			stray := c.belief.learn(next.started, false, c.calls.accepted)
			c.budget = max(c.budget-(1-stray), -maxBudget)
			if c.run < longRun { // stray ones do not come one after another
				c.belief.noteStray(stray)
			}
		}
	}
}

// adapt sets phase and rate by what is known after the answer to a call that started then.
func (c *Control) adapt(started, now time.Time, used bool) {
	c.belief.quiet = c.moves.quiet(now)
	elapsed := min(now.Sub(c.updated), time.Second)
	c.updated = now
	switch c.phase {
	case climb:
		c.adaptClimb(started, now)
	case hold:
		limit := c.belief.quantile(0.5)
		if limit < fellTo*c.known {
			c.beginClimb()
			return
		}
		c.moves.notFallen = started
		c.setRate(min(limit, maxCreep*c.known))
		if used {
			c.held += elapsed
		}
		if c.held > c.holdTime(now) {
			c.phase, c.tries, c.probeBegan = probe, 0, now
			c.tryExtra()
		}
	case probe:
		c.adaptProbe(started, now)
	}
}

func (c *Control) adaptClimb(started, now time.Time) {
	c.climbOn()
	if c.belief.above(freeRate) > freeShare {
		c.phase, c.rate, c.refusedFree = free, c.max, 0
		return
	}
	if limit := c.belief.quantile(0.5); c.belief.quantile(lowShare) > low*limit && c.belief.above(high*limit) < highShare {
		c.beginHold(limit, started)
		return
	}
	if !started.Before(c.extraStart) {
		c.extra = true
	}
}

func (c *Control) adaptProbe(started, now time.Time) {
	above := c.belief.above(raisedTo * c.known)
	switch {
	case c.belief.quantile(0.3) < fellTo*c.known, above > raisedShare:
		c.beginClimb()
	case now.Sub(c.probeBegan).Seconds() > probeTime+probeCalls/c.known:
		c.beginHold(c.belief.quantile(0.5), started)
	case c.extra:
		c.setRate(c.probing())
	case started.Before(c.extraStart): // its answer shows more
	case above < notRaised || c.tries >= moreTries:
		c.beginHold(min(c.belief.quantile(0.5), raisedTo*c.known), started)
	default:
		c.tries++
		c.tryExtra()
	}
}

func (c *Control) beginClimb() {
	c.phase, c.extra = climb, false
	c.climbOn()
}

func (c *Control) climbOn() {
	rate := max(c.belief.quantile(climbQuantile), climbAbove*c.belief.quantile(climbLow))
	if !c.everRefused {
		rate = max(c.belief.quantile(firstQuantile), startRate)
	}
	c.setRate(min(rate, highest))
}

func (c *Control) beginHold(limit float64, started time.Time) {
	c.phase, c.known, c.held = hold, limit, 0
	c.setRate(limit)
	c.moves.measured(limit, started)
}

// tryExtra lets one call start that goes beyond the limit, if it is where it was.
func (c *Control) tryExtra() {
	c.extra = true
	c.setRate(c.probing())
}

// probing returns the rate until the extra call.
func (c *Control) probing() float64 {
	return probeRate*c.known + max(0, c.belief.saved(c.known)-1)/spendTime
}

func (c *Control) setRate(rate float64) {
	c.rate = max(rate, minRate)
	if c.max > 0 {
		c.rate = min(c.rate, c.max)
	}
}

// restart forgets what was believed, where a limit shows and there was none.
func (c *Control) restart() {
	stray, blur := c.belief.stray, c.belief.blur
	c.belief, c.calls, c.everRefused = newBelief(), calls{}, true
	c.belief.stray, c.belief.blur = stray, blur
	c.beginClimb()
}

// What a probe may cost, and how often there is one.
const (
	longestGap  = 5 * time.Second // at startRate and above; shorter the lower the limit, because there is more to gain
	gapExponent = 0.25
	minGap      = time.Second
	maxGap      = 15 * time.Second

	// Probes may spend this share of calls on refusals, and some at first: more would reach 1 %, less finds a raised limit late. What
	// they cost may be earned later, more of it where a move is due.
	budgetPerCall = 0.004
	firstBudget   = 20
	maxBudget     = 30
	overdraft     = 10
	dueOverdraft  = 15
)

// holdTime returns the time from one probe to the next: long enough to earn what it costs, but short when a move is due.
func (c *Control) holdTime(now time.Time) time.Duration {
	if c.moves.quiet(now) {
		return c.held + c.moves.at.Add(quietTime).Sub(now)
	}
	gap := max(minGap, time.Duration(float64(longestGap)*min(1, math.Pow(c.known/startRate, gapExponent))))
	if due := c.moves.gap(); due > 0 && c.budget > -dueOverdraft {
		return min(due, gap)
	}
	switch missing := -overdraft - c.budget; {
	case c.budget > 0:
		return gap
	case missing <= 0:
		return 2 * gap
	default:
		return min(2*gap+time.Duration(missing/budgetPerCall/c.rate*float64(time.Second)), maxGap)
	}
}
