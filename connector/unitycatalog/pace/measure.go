package pace

import (
	"math"
	"time"
)

// fewCalls in a second are too few to count: one more or less is a tenth.
const fewCalls = 12

// scouted is called when a scout was accepted. Where others had been refused before it, the next ones must be, too, before
// that shows a window: after a limit that dropped they are not.
func (c *Control) scouted(started, now time.Time) {
	s := &c.stop
	switch {
	case s.trial:
		s.trial, s.phase = false, stopNone
		if s.boundary.IsZero() || started.Before(s.windowEnd(started).Add(-s.unsure()-windowMargin)) {
			c.trials++
		}
		c.updated = now
		return
	case s.confirm == 0:
		s.ended = started
		if s.tries > 0 && s.boundary.IsZero() {
			s.confirm = confirmations
			s.phase, s.next = stopArmed, now
			return
		}
	default:
		if s.confirm--; s.confirm > 0 {
			s.phase, s.next = stopArmed, now
			return
		}
		s.boundary, s.after = s.ended, s.refused
	}
	s.phase = stopNone
	switch {
	case s.ended.Sub(s.first) > 2*countWindow: // a pause that the server asked for: nothing follows from it
		c.known, s.boundary = 0, time.Time{}
		c.begin(phaseClimb, c.countedAt(s.first)/2, now)
	case s.tries > 0 || s.endedWithWindow():
		n := s.inWindow()
		s.narrow()
		c.measured(max(n, 1), now)
	default:
		if !s.boundary.IsZero() {
			s.boundary = time.Time{}
			c.exact = true
		}
		c.measure(now)
	}
}

// dropped is called when a call soon after an accepted scout is refused: the limit is far lower than it was.
func (c *Control) dropped(started, now time.Time) {
	s := &c.stop
	rate := s.count(s.first, started) / started.Sub(s.first).Seconds()
	c.known, c.fresh, s.boundary = 0, s.first, time.Time{}
	c.begin(phaseClimb, rate/2, now)
	s.begin(started, now, c.Interval())
	c.last = refusedCall{started: started, rate: max(rate, minRate), phase: phaseClimb}
}

// measure finds the limit from a refusal after which the first scout was accepted.
func (c *Control) measure(now time.Time) {
	switch c.last.phase {
	case phaseFree:
		c.before = 0
		c.begin(phaseTest, c.countedAt(c.last.started)/2, now)
	case phaseTest:
		c.known = 0
		c.begin(phaseClimb, c.rate/4, now)
	case phaseHold:
		c.trimHeld(now)
	case phaseClimb:
		if c.looksStray(now) {
			return
		}
		c.endClimb(now)
	}
}

// looksStray reports whether a refusal in a climb looks stray, since all calls that were under way behind it were accepted.
// The climb then goes on. The third of these in a row settles it.
func (c *Control) looksStray(now time.Time) bool {
	if c.stop.failed > 0 || c.stop.passed < 4 || c.exact || c.sincePassed < fewCalls {
		c.passedOver = 0
		return false
	}
	c.passedOver++
	c.sincePassed = 0
	c.updated = now
	if c.passedOver > 2 {
		c.passedOver, c.before = 0, c.rate
		c.learnStray(maxStray/2, now)
	}
	return true
}

// endClimb finds the limit that a climb came to. Where the rate grew fast, the calls accepted in a second show only that it is
// not below; the rate then grows once more from there, slowly.
func (c *Control) endClimb(now time.Time) {
	rate, counted := c.last.rate, c.countedAt(c.last.started)
	unmoved := c.known > 0 && !c.slow && (c.known < 20 && c.good < 1.6*c.known ||
		c.known >= fewCalls && counted < 1.15*c.known && rate < 2*c.known)
	switch exact := c.exact && counted >= fewCalls; {
	case exact && (!unmoved || counted > 0.8*c.known):
		c.measured(counted, now)
	case unmoved:
		c.measured(1.02*c.known, now)
	case rate < 20 && c.good > 0.7*rate, counted < fewCalls && c.slow:
		c.measured(math.Sqrt(rate*max(c.good, rate/2)), now)
	case rate > 1.4*counted && !c.slow:
		c.known = max(counted, rate/8)
		c.begin(phaseClimb, holdShare*c.known, now)
		c.slow = true
	default:
		c.measured(min(counted, rate), now)
	}
}

// trimHeld lowers a rate that was held and refused. Between two refusals soon one after another a server that lets calls save
// up has nothing saved, so that what it accepted meanwhile is its limit.
func (c *Control) trimHeld(now time.Time) {
	started := c.last.started
	first := c.trims == 0 || started.Sub(c.series) > 2*time.Second
	if first {
		c.series = started
	}
	if c.trims == 0 {
		c.acceptedNow = 0
	}
	if c.countedAt(started) < 0.9*c.known {
		c.exact = false
	}
	c.trims++
	limit := trim * c.known
	if c.trims >= maxTrims && c.acceptedNow > 6*c.trims { // so few of so many
		c.before = c.rate
		c.begin(phaseTest, 0.6*c.rate, now)
		return
	}
	if !first && (c.stop.failed > 0 || c.stop.passed < 4) {
		limit = min(limit, (c.stop.count(c.series, started)+1)/started.Sub(c.series).Seconds())
	}
	if c.accepts > 0 && c.accepts < 0.9*c.known && !c.countsWindows() {
		limit = min(limit, c.accepts)
	}
	c.measured(limit, now)
}

// moveAnchor notes a refusal that counts. What was accepted from one to the next at a rate that was held is the limit of a
// server that lets calls save up, however many: it had nothing saved at either. A stray refusal shows in that as many calls were
// accepted as were to start.
func (c *Control) moveAnchor(started time.Time) {
	n := float64(c.sinceAnchor)
	c.accepts = 0
	if c.phase == phaseHold && n >= 5 && n < 0.92*c.known*started.Sub(c.began).Seconds() {
		c.accepts = (n + 0.3) / started.Sub(c.anchor).Seconds()
	}
	c.anchor, c.sinceAnchor = started, 0
}

// measured holds a rate just below a limit.
func (c *Control) measured(limit float64, now time.Time) {
	c.known = limit
	c.peak = max(limit, 0.95*c.peak)
	c.moves.measured(limit, c.last.started)
	c.begin(phaseHold, holdShare*limit, now)
}

// countedAt returns how many calls were accepted in the second before a time, or would have been at that pace, at least one.
func (c *Control) countedAt(to time.Time) float64 {
	from := to.Add(-countWindow)
	if c.fresh.After(from) {
		from = c.fresh
	}
	return max(1, c.stop.count(from, to)/max(to.Sub(from).Seconds(), 0.1))
}

// try makes the next call a trial where a climb comes to the known limit of a server that counts calls: a single refusal then
// shows that the limit is where it was.
func (c *Control) try(now time.Time, inFlight int) {
	s := &c.stop
	if c.phase != phaseClimb || c.known == 0 || s.phase != stopNone || c.trials >= confirmations || !c.countsWindows() {
		return
	}
	from := now.Add(-countWindow)
	if !s.boundary.IsZero() {
		from = s.windowStart(now)
	}
	if s.count(from, now)+float64(inFlight) >= math.Ceil(c.known) {
		s.phase, s.next, s.trial = stopArmed, now, true
	}
}

// room returns when the next call may start so that, soon after a limit was measured, no more calls than that start within a
// second: servers that count the calls of the last second count those from before, too.
func (c *Control) room(now time.Time, inFlight int) time.Time {
	if c.phase != phaseHold || now.Sub(c.epoch) > countWindow {
		return time.Time{}
	}
	from := now.Add(-countWindow)
	over := int(c.stop.count(from, now)+float64(inFlight)) - int(math.Ceil(c.known))
	if over < 0 {
		return time.Time{}
	}
	if i := c.stop.before(from) + over; i < len(c.stop.accepted) {
		return c.stop.accepted[i].Add(countWindow)
	}
	return now.Add(minScoutGap) // they are still under way
}
