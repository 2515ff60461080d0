package unitycatalog

import (
	"math"
	"time"
)

// rateControl finds the rate of calls that a server takes, from what it accepts and refuses, and follows it as it moves.
//
// It holds a rate just below the last known limit. From time to time it probes: it lets the rate grow, slowly at first,
// until a call is refused, comes back, and grows once more in small steps; the rate that is refused then, when whatever
// burst the server allows is used up, is the limit. How often it probes follows from a budget of refusals.
//
// A 429 may also be stray: without a limit behind it. What tells them apart is an experiment. When refusals do not end
// after the rate was lowered a little, it is halved: calls that are still refused now and then, not soon and not one after
// another, are stray. The rate is then restored, and for a while only a share of refusals well above the stray one counts.
//
// A pause that the server asks for holds all calls only when calls are refused one after another; a refusal among
// accepted calls holds back just the call that was refused.
type rateControl struct {
	max float64 // calls per second; 0: no limit

	rate    float64 // present limit of starts per second; 0: no limit
	phase   ratePhase
	epoch   time.Time // calls that started before show nothing about the present rate
	updated time.Time // when growth was last reckoned
	began   time.Time // of the first call

	base   float64       // rate at which the present growth began
	good   float64       // highest rate known to be accepted; 0: none
	period float64       // in fine growth: seconds in which the rate doubles
	held   time.Duration // how long the rate has been held and used
	before float64       // rate before a cut by half or more; 0: it was not limited
	trims  int           // of the rate that is held, one soon after another

	answers, refusals int // in this epoch

	run          int       // refusals one after another
	firstRefused time.Time // start of the first call of the run

	stray      float64 // share of calls that are refused without a limit behind; 0: none known
	strayUntil time.Time
	evidence   float64 // that more is refused than the stray share

	budget   float64 // refusals that may be spent on probes
	accepted rateWindow
}

type ratePhase int

const (
	phaseFree   ratePhase = iota // the rate is not limited
	phaseHold                    // just below the known limit
	phaseCoarse                  // growing, to see whether the limit is higher
	phaseFine                    // growing in small steps, to measure the limit
	phaseTest                    // far below what was refused, to see whether refusals end
)

// Bounds of the rate, per second.
const (
	minRate        = 0.5  // less would stall a sync
	minFirstRate   = 5    // lower bound after the first 429, which may come before a rate was measured
	maxLimitedRate = 1000 // above this the rate counts as unlimited
)

const (
	holdShare = 0.96 // of the measured limit is held
	trim      = 0.96
	maxTrims  = 3

	// Probing may spend this share of calls on refusals, and some at first: more would reach 1 %, less finds a raised limit
	// late.
	budgetPerCall = 0.005
	firstBudget   = 20
	maxBudget     = 30
	probeCost     = 4 // refusals that a probe may cost

	testAnswers = 13
	fewAnswers  = 5

	minHold = 3 * time.Second
	maxHold = 6 * time.Second

	strayMemory  = 30 * time.Second // how long a stray share is believed before it is measured again
	minStray     = 0.01
	maxStray     = 0.08
	limitedShare = 0.1 // share of refusals, above the stray one, that shows a limit
	alarm        = 6   // log of the odds at which evidence counts
)

func newRateControl(maxRate float64) *rateControl {
	return &rateControl{max: maxRate, rate: maxRate, budget: firstBudget}
}

// isFree reports whether no 429 limits the rate at present.
func (c *rateControl) isFree() bool { return c.phase == phaseFree }

// interval returns the time between two starts at the present rate, which must be limited.
func (c *rateControl) interval() time.Duration {
	return time.Duration(float64(time.Second) / c.rate)
}

// accept notes that a call that started at the given rate was not refused. The rate grows only while it is what callers
// wait for: used.
func (c *rateControl) accept(started time.Time, rate float64, now time.Time, used bool) {
	if c.began.IsZero() {
		c.began = started
	}
	c.accepted.add(now)
	c.budget = min(c.budget+budgetPerCall, maxBudget)
	if c.run > 0 && !started.Before(c.firstRefused) {
		c.run = 0
	}
	if started.Before(c.epoch) {
		return
	}
	c.answers++
	s := c.expected()
	c.evidence = max(0, c.evidence-math.Log((1-s)/(1-s-limitedShare)))
	elapsed := min(now.Sub(c.updated), time.Second)
	c.updated = now
	if !used && c.phase != phaseTest {
		return
	}
	switch c.phase {
	case phaseHold:
		c.held += elapsed
		if c.held >= c.holdTime() {
			c.begin(phaseCoarse, c.rate, now)
			c.good = c.rate
		}
	case phaseTest:
		c.endTest(now)
	case phaseCoarse:
		grown := c.rate * math.Exp2(elapsed.Seconds()/c.coarsePeriod())
		c.setRate(min(grown, max(c.rate, 2*rate))) // at most twice what was tried
	case phaseFine:
		c.setRate(c.rate * math.Exp2(elapsed.Seconds()/c.period))
	}
}

// coarsePeriod returns the seconds in which the rate doubles: few after a cut, and the fewer the further a probe came.
func (c *rateControl) coarsePeriod() float64 {
	switch grown := c.rate / c.base; {
	case c.good == 0:
		return 0.3
	case grown < 1.6:
		return 0.8
	case grown < 3:
		return 0.4
	}
	return 0.25
}

// holdTime returns the time from one probe to the next: long enough to earn what a probe costs.
func (c *rateControl) holdTime() time.Duration {
	missing := probeCost - c.budget
	if missing <= 0 {
		return minHold
	}
	return min(minHold+time.Duration(missing/budgetPerCall/c.rate*float64(time.Second)), maxHold)
}

// refuse notes that a call that started at the given rate was answered 429. It reports whether calls are refused one after
// another, so that all should pause.
func (c *rateControl) refuse(started time.Time, rate float64, now time.Time) (blocked bool) {
	if c.began.IsZero() {
		c.began = started
	}
	c.budget = max(c.budget-1, -maxBudget)
	if c.run == 0 || started.Before(c.firstRefused) {
		c.firstRefused = started
	}
	c.run++
	blocked = c.run >= c.blockedAfter()
	if started.Before(c.epoch) {
		return blocked
	}
	c.answers++
	c.refusals++
	if c.stray > 0 && now.After(c.strayUntil) {
		c.stray, c.evidence = 0, 0
	}
	if s := c.expected(); s > 0 && !blocked {
		c.evidence += math.Log((s + limitedShare) / s)
		untested := c.isFree() && c.stray == 0 && c.refusals >= 8 && c.refusals*50 > c.answers
		if c.evidence < alarm && !untested {
			return false
		}
	}
	c.evidence = 0
	if rate == 0 { // it started when the rate was not limited
		rate = max(c.accepted.perSecond(now), minFirstRate)
	}
	c.adapt(rate, blocked, now)
	return blocked
}

// expected returns the share of refusals that shows no limit. A rate that is not limited is far above any limit that comes
// up, which then shows clearly.
func (c *rateControl) expected() float64 {
	if c.isFree() {
		return max(c.stray, 0.04)
	}
	return c.stray
}

// blockedAfter returns how many refusals one after another cannot be chance.
func (c *rateControl) blockedAfter() int {
	return min(3+int(c.expected()/0.02), 6)
}

// adapt lowers the rate after a refusal that counts, of a call that started at the given rate.
func (c *rateControl) adapt(rate float64, blocked bool, now time.Time) {
	early := c.answers < testAnswers && rate < 1.2*c.base
	switch {
	case c.phase == phaseFree:
		c.before, c.good = 0, 0
		if now.Sub(c.began) < time.Second {
			c.begin(phaseCoarse, rate, now) // measured for less than a second: rather too low
			return
		}
		c.cutRate(rate, blocked, now)
	case c.phase == phaseHold:
		if c.trims < maxTrims && !blocked { // the limit may be just below
			c.trims++
			// Where one in n is refused, the limit is that much lower.
			c.hold(min(rate, c.rate)*max(0.85, min(trim, 0.98*(1-float64(c.refusals)/float64(c.answers)))), now)
			return
		}
		if c.trims == 0 { // the window just measured is full
			c.trims++
			c.hold(min(0.9*rate, max(0.96*c.accepted.perSecond(now), rate/4)), now)
			return
		}
		c.trims = 0
		c.before, c.good = c.rate, 0
		c.cutRate(rate, blocked, now)
	case blocked && c.phase == phaseCoarse && c.good > 0:
		c.hold(min(c.good, max(0.96*c.accepted.perSecond(now), minRate)), now)
	case c.good > 0 && (!early || rate > 1.02*c.good):
		if c.phase == phaseFine {
			c.trims = 0
			c.hold(max(holdShare*rate, c.good), now)
			return
		}
		if c.answers <= fewAnswers { // so few show no more than that the limit is where it was
			c.trims = 0
			c.hold(c.good, now)
			return
		}
		c.fine(max(c.good, 0.4*rate), rate, now)
	case c.phase == phaseTest && !blocked:
		if c.refusals >= 3 && 4*c.refusals >= c.answers {
			c.cutRate(rate, false, now)
			return
		}
		c.endTest(now)
	case !early && !blocked:
		c.fine(rate/2, rate, now)
	default: // the limit is lower still
		c.good = 0
		c.cutRate(rate, blocked, now)
	}
}

// endTest ends a test, once there were enough answers: without any refusal the rate grows again, with a few they are stray.
func (c *rateControl) endTest(now time.Time) {
	switch {
	case c.answers < min(max(testAnswers, int(0.4*c.rate)), 5*testAnswers):
	case c.refusals == 0:
		c.begin(phaseCoarse, c.rate, now)
	case float64(c.refusals) <= maxStray*float64(c.answers):
		c.learnStray(now)
	default:
		c.cutRate(c.rate, false, now)
	}
}

// learnStray notes the share of calls that are refused although the rate is far below what it was, and restores the rate.
func (c *rateControl) learnStray(now time.Time) {
	c.stray = min(max(float64(c.refusals)/float64(c.answers), minStray), maxStray)
	c.strayUntil = now.Add(strayMemory)
	if c.before == 0 {
		c.begin(phaseFree, c.max, now)
		return
	}
	c.hold(c.before, now)
}

func (c *rateControl) cutRate(rate float64, blocked bool, now time.Time) {
	if c.rate > 0 {
		rate = min(rate, c.rate)
	}
	if blocked {
		if now.Sub(c.epoch) < time.Second {
			c.begin(phaseCoarse, rate/4, now)
		} else {
			c.hold(min(0.9*rate, max(0.96*c.accepted.perSecond(now), minRate)), now)
		}
		return
	}
	c.begin(phaseTest, rate/2, now)
}

func (c *rateControl) hold(rate float64, now time.Time) {
	c.begin(phaseHold, rate, now)
	c.good = c.rate
}

// fine lets the rate grow from what is known to be accepted to what was refused, in a second or so.
func (c *rateControl) fine(from, to float64, now time.Time) {
	c.begin(phaseFine, from, now)
	c.good = from
	c.period = 1.2 / max(math.Log2(to/from), 0.1)
}

// begin starts a phase at a rate: what started before shows nothing about it.
func (c *rateControl) begin(phase ratePhase, rate float64, now time.Time) {
	c.phase, c.base = phase, rate
	c.epoch, c.updated, c.held = now, now, 0
	c.answers, c.refusals = 0, 0
	if phase == phaseFree {
		c.rate = c.max
		return
	}
	c.setRate(max(rate, minRate))
}

func (c *rateControl) setRate(rate float64) {
	switch {
	case c.max > 0 && rate >= c.max, c.max == 0 && rate > maxLimitedRate:
		c.phase, c.rate = phaseFree, c.max
	default:
		c.rate = rate
	}
}
