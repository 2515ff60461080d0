package pace

import (
	"math"
	"time"
)

// Control finds the rate of calls that a server takes, from what it accepts and refuses, and follows it as it moves.
//
// It holds a rate just below the last known limit. From time to time it probes: it lets the rate grow, slowly as long as the
// limit may be where it was, until a call is refused. Then calls stop (see stop) until one is accepted, and what was accepted
// shows the limit: so a probe costs few refusals. How often it probes follows from a budget of refusals, and from how low the rate is.
//
// A 429 may also be stray: without a limit behind it. Until the first that counts, single ones are passed over where many calls are
// under way, for which a stop would be long. Later, where refusals do not end as the rate is lowered, an experiment tells
// them apart: the rate is lowered further, and calls that are still refused now and then, not one after another, are stray.
// The rate then grows again, and only a share of refusals well above the stray one counts, as long as the rate that is held shows
// stray ones. Nor does a refusal
// count, but where they come one after another, while calls come more slowly than they may.
type Control struct {
	max float64 // calls per second; 0: no limit

	rate    float64 // present limit of starts per second; 0: no limit
	phase   ratePhase
	began   time.Time // when the phase began
	epoch   time.Time // calls that started before show nothing about the present rate
	updated time.Time // when growth was last reckoned
	stop    stop
	last    refusedCall // that began the present stop

	known float64   // limit as last measured; 0: not known
	fresh time.Time // what was accepted before shows nothing about the present limit
	exact bool      // the server counts the calls of the last second, without a window that ends

	base   float64 // rate at which the present climb began
	good   float64 // highest rate of a call accepted in it
	slow   bool    // it measures a limit that is near
	trials int     // calls beyond the known limit that were accepted in it

	peak  float64 // highest limit measured of late
	moves moves

	anchor      time.Time // start of the last refused call that counted, when a server that lets calls save up had nothing saved
	sinceAnchor int       // calls accepted since
	accepts     float64   // calls per second that it accepted from the refused call before to the last; 0: not known

	held        time.Duration // how long the rate has been held and used
	trims       int           // of the rate that is held
	acceptedNow int           // calls accepted since the first trim
	series      time.Time     // start of the first of several refused calls soon one after another

	before  float64 // rate before a test; 0: it was not limited
	latency float64 // of answers, in seconds; negative before the first

	answers, refusals int // in this epoch

	run          int       // refusals one after another
	firstRefused time.Time // start of the first call of the run

	passedOver                int     // refusals in climbs that looked stray
	sincePassed               int     // calls accepted since the last of these
	undecided                 bool    // nothing shows yet whether refusals are stray
	stray                     float64 // share of calls that are refused without a limit behind; 0: none known
	strayUntil                time.Time
	heldAnswers, heldRefusals int     // since then, while the rate was held
	evidence                  float64 // that more is refused than the stray share
	budget                    float64 // refusals that may be spent on probes
}

// refusedCall is a call whose refusal counted.
type refusedCall struct {
	started time.Time
	rate    float64 // then
	phase   ratePhase
}

type ratePhase int

const (
	phaseFree  ratePhase = iota // the rate is not limited
	phaseHold                   // just below the known limit
	phaseClimb                  // growing, to find the limit
	phaseTest                   // far below what was refused, to see whether refusals end
)

// Bounds of the rate, per second.
const (
	minRate        = 0.5  // less would stall a sync
	startRate      = 100  // so that a low limit costs few refusals, and a high one is found within two seconds;
	startUnderWay  = 3    // more where no more calls than these are then under way,
	maxStartRate   = 400  // but no more than this
	maxLimitedRate = 1000 // above this the rate counts as unlimited
)

const (
	holdShare = 0.97 // of the measured limit is held
	trim      = 0.96
	maxTrims  = 4

	// Probing may spend this share of calls on refusals, and some at first: more would reach 1 %, less finds a raised limit
	// late.
	budgetPerCall = 0.005
	firstBudget   = 12
	maxBudget     = 30

	// So many answers without a refusal show that there are no stray ones: of 4 % there would be one in 19 of 20 cases.
	testAnswers    = 75
	minTestAnswers = 13               // at low rates, which take too long
	strayMemory    = 30 * time.Second // how often the stray share is measured again
	minStray       = 0.01
	maxStray       = 0.08
	limitedShare   = 0.1 // share of refusals, above the stray one, that shows a limit
	alarm          = 6   // log of the odds at which evidence counts

	// Before anything shows whether refusals are stray, and where so many calls are under way that a stop is long, three refusals soon
	// one after another show a limit, and three that are not show stray ones.
	manyUnderWay = 8
	firstStrays  = 3
	firstAlarm   = 3 // log of the odds
	supposed     = 0.04
)

// New returns a control that never lets more than maxRate calls a second start; 0: no limit.
func New(maxRate float64) *Control {
	c := &Control{max: maxRate, budget: firstBudget, latency: -1, undecided: true}
	c.begin(phaseClimb, startRate, time.Time{})
	return c
}

// Rate returns the present limit of starts per second; 0: none.
func (c *Control) Rate() float64 { return c.rate }

// isFree reports whether no 429 limits the rate at present.
func (c *Control) isFree() bool { return c.phase == phaseFree }

// Interval returns the time between two starts at the present rate, which must be limited.
func (c *Control) Interval() time.Duration {
	return time.Duration(float64(time.Second) / c.rate)
}

// Accept notes that a call that started at the given rate was not refused. The rate grows only while it is what callers
// wait for: used. It reports whether calls waited for this answer, so that starts go on from that call's.
func (c *Control) Accept(started time.Time, rate float64, now time.Time, used bool) (waitedFor bool) {
	c.noteStart(started)
	took := min(now.Sub(started).Seconds(), 1)
	if c.latency < 0 { // the first answer
		c.latency = took
		c.setRate(max(c.rate, min(startUnderWay/max(took, 1e-4), maxStartRate)))
	}
	c.latency += 0.1 * (took - c.latency)
	c.stop.accept(started)
	c.budget = min(c.budget+budgetPerCall, maxBudget)
	if c.run > 0 && !started.Before(c.firstRefused) {
		c.run = 0
	}
	c.sincePassed++
	if started.After(c.anchor) {
		c.sinceAnchor++
	}
	c.acceptedNow++
	if started.Before(c.epoch) {
		return false
	}
	c.answers++
	if c.phase == phaseHold {
		c.heldAnswers++
		c.moves.notFallen = started
	}
	s := c.expected()
	c.evidence = max(0, c.evidence-math.Log((1-s)/(1-s-limitedShare)))
	if c.stop.isScout(started) {
		c.scouted(started, now)
		return true
	}
	elapsed := min(now.Sub(c.updated), time.Second)
	c.updated = now
	if c.stop.phase != stopNone || !used && c.phase != phaseTest {
		return false
	}
	switch c.phase {
	case phaseHold:
		if c.held += elapsed; c.held >= c.holdTime(now) {
			c.begin(phaseClimb, c.rate, now)
		}
	case phaseTest:
		c.endTest(now)
	case phaseClimb:
		c.good = max(c.good, rate)
		most := 2.0 // times what was tried
		if c.known > 0 && c.rate < 1.5*c.base {
			most = 1.3
		}
		grown := c.rate * math.Exp2(elapsed.Seconds()/c.climbPeriod())
		c.setRate(min(grown, max(c.rate, most*rate)))
	}
	return false
}

func (c *Control) noteStart(started time.Time) {
	if c.fresh.IsZero() {
		c.fresh = started
	}
}

// Refuse notes that a call that started at the given rate was answered 429; the server allows the next attempt at retryAt,
// zero where it did not say. used is as for Accept. It reports whether scouts are refused for so long that all calls should
// wait until retryAt.
func (c *Control) Refuse(started time.Time, rate float64, now, retryAt time.Time, used bool) (pause bool) {
	c.noteStart(started)
	c.budget = max(c.budget-1, -maxBudget)
	if c.run == 0 || started.Before(c.firstRefused) {
		c.firstRefused = started
	}
	c.run++
	if c.stop.isScout(started) && !c.stop.trial {
		if c.stop.confirm > 0 {
			c.dropped(started, now)
			return false
		}
		c.stop.refuse(started, now)
		return c.stop.tries > 1 && (now.Sub(c.stop.first) > longStop || retryAt.Sub(now) > countWindow*3/2)
	}
	c.stop.refuseUnderWay(started)
	if started.Before(c.epoch) || c.stop.phase != stopNone && !c.stop.trial {
		return false
	}
	c.answers++
	c.refusals++
	if c.phase == phaseHold {
		c.heldAnswers++
		c.heldRefusals++
	}
	if !c.counts(now, used) {
		return false
	}
	c.evidence, c.undecided = 0, false
	if c.phase == phaseTest && c.run < c.blockedAfter() {
		c.endTest(now)
		return false
	}
	if rate == 0 { // it started when the rate was not limited
		rate = c.countedAt(started)
	}
	c.last = refusedCall{started: started, rate: rate, phase: c.phase}
	c.moveAnchor(started)
	c.epoch = now
	interval := maxScoutGap
	if c.known > 0 {
		interval = time.Duration(float64(time.Second) / c.known)
	}
	c.stop.begin(started, now, interval)
	return false
}

// Lose notes that a call which started then got no answer that shows whether it was refused.
func (c *Control) Lose(started, now time.Time) { c.stop.lose(started, now) }

// Start notes that a call starts.
func (c *Control) Start(now time.Time) { c.stop.start(now) }

// Earliest returns the time before which no call may start, whatever the rate, while so many are under way.
func (c *Control) Earliest(now time.Time, inFlight int) time.Time {
	c.try(now, inFlight)
	at := c.stop.waitsUntil()
	if room := c.room(now, inFlight); room.After(at) {
		return room
	}
	return at
}

// counts reports whether a refusal in the present epoch shows a limit: it may be stray, or the rate not the cause.
func (c *Control) counts(now time.Time, used bool) bool {
	if c.stray > 0 && now.After(c.strayUntil) {
		c.renewStray(now)
	}
	if c.run >= c.blockedAfter() {
		return true
	}
	if c.undecided {
		return !c.strayAtFirst(now) && (used || c.isFree())
	}
	if s := c.expected(); s > 0 {
		c.evidence += math.Log((s + limitedShare) / s)
		untested := c.isFree() && c.stray == 0 && c.refusals >= 8 && c.refusals*50 > c.answers
		if c.evidence < alarm && !untested {
			return false
		}
	}
	return used || c.isFree()
}

// strayAtFirst reports whether a refusal, of which nothing shows yet whether it is stray, is not counted. A climb that goes on over a
// limit is soon refused more.
func (c *Control) strayAtFirst(now time.Time) bool {
	if c.rate*c.latency < manyUnderWay {
		return false
	}
	c.evidence += math.Log((supposed + limitedShare) / supposed)
	if c.evidence >= firstAlarm {
		return false
	}
	if c.refusals >= firstStrays {
		c.believeStray(float64(c.refusals)/float64(c.answers), now)
	}
	return true
}

// expected returns the share of refusals that shows no limit. A rate that is not limited is far above any limit that comes
// up, which then shows clearly.
func (c *Control) expected() float64 {
	if c.isFree() || c.undecided {
		return max(c.stray, supposed)
	}
	return c.stray
}

// blockedAfter returns how many refusals one after another cannot be chance.
func (c *Control) blockedAfter() int {
	return min(3+int(c.expected()/0.02), 6)
}

// endTest ends a test, once there were enough answers: without any refusal the rate grows again, with a few they are stray.
func (c *Control) endTest(now time.Time) {
	enough := min(max(int(4*c.rate), minTestAnswers), testAnswers)
	switch {
	case c.refusals > 2 && float64(c.refusals) > 2*maxStray*float64(c.answers): // the limit is lower still
		c.before, c.known = 0, 0
		c.begin(phaseClimb, c.rate/4, now)
	case c.answers < enough && (c.refusals < 2 || c.answers < enough/3):
	case c.refusals == 0:
		c.begin(phaseClimb, c.rate, now)
	default:
		c.learnStray(float64(c.refusals)/float64(c.answers), now)
	}
}

// learnStray notes the share of calls that are refused without a limit, and lets the rate grow again.
func (c *Control) learnStray(share float64, now time.Time) {
	c.believeStray(share, now)
	c.known = 0
	if c.before == 0 {
		c.begin(phaseFree, c.max, now)
		return
	}
	c.begin(phaseClimb, c.before, now)
}

func (c *Control) believeStray(share float64, now time.Time) {
	c.undecided = false
	c.stray = min(max(share, minStray), maxStray)
	c.strayUntil = now.Add(strayMemory)
	c.heldAnswers, c.heldRefusals = 0, 0
}

// renewStray measures the stray share again at a rate that was held, so that it needs no other test. It forgets the share where
// that shows none, or more than stray refusals.
func (c *Control) renewStray(now time.Time) {
	share := float64(c.heldRefusals) / float64(max(1, c.heldAnswers))
	if c.heldAnswers < testAnswers || share <= c.stray/4 || share >= maxStray {
		c.stray, c.evidence = 0, 0
		return
	}
	c.believeStray(share, now)
}

// begin starts a phase at a rate: what started before shows nothing about it.
func (c *Control) begin(phase ratePhase, rate float64, now time.Time) {
	if phase != phaseHold || c.phase != phaseHold {
		c.trims = 0
	}
	c.phase, c.base, c.good, c.slow, c.trials = phase, rate, 0, false, 0
	c.epoch, c.began, c.updated, c.held = now, now, now, 0
	c.answers, c.refusals = 0, 0
	if phase == phaseFree {
		c.rate = c.max
		return
	}
	c.setRate(max(rate, minRate))
}

func (c *Control) setRate(rate float64) {
	switch {
	case c.max > 0 && rate >= c.max, c.max == 0 && rate > maxLimitedRate:
		c.phase, c.rate, c.known = phaseFree, c.max, 0
	default:
		c.rate = rate
	}
}
